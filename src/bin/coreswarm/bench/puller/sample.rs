//! Some pieces are kept and hashed under `--verify`.

use crate::bench::metainfo::Metainfo;

/// One piece in so many: hashing all would be most of the generator's work.
const ONE_IN: u64 = 64;

/// The pieces of one connection.
#[derive(Default)]
pub(crate) struct Samples {
    pieces_begun: u64,
    kept: Option<Kept>,
}

/// A piece that is being received.
struct Kept {
    piece: u32,
    bytes: Vec<u8>,
    filled: usize,
}

impl Samples {
    /// A connection begins to ask for a piece: the first and every 64th one is kept, unless one
    /// is already.
    pub(crate) fn begin(&mut self, torrent: &Metainfo, piece: u32) {
        self.pieces_begun += 1;
        if self.pieces_begun % ONE_IN == 1 && self.kept.is_none() {
            let bytes = vec![0; torrent.piece_size(piece) as usize];
            self.kept = Some(Kept { piece, bytes, filled: 0 });
        }
    }

    /// Bytes of a block came in; with the piece's last ones, says whether it has its hash.
    pub(crate) fn take(
        &mut self,
        torrent: &Metainfo,
        piece: u32,
        at: u32,
        bytes: &[u8],
    ) -> Option<bool> {
        let kept = self.kept.as_mut().filter(|kept| kept.piece == piece)?;
        kept.bytes.get_mut(at as usize..)?.get_mut(..bytes.len())?.copy_from_slice(bytes);
        kept.filled += bytes.len();
        if kept.filled < kept.bytes.len() {
            return None;
        }
        let kept = self.kept.take()?;
        Some(torrent.is_intact(kept.piece, &kept.bytes))
    }

    /// What was asked for will not come.
    pub(crate) fn forget(&mut self) {
        self.kept = None;
    }
}
