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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::metainfo::BLOCK;

    #[test]
    fn the_first_and_every_64th_piece_is_judged_when_it_is_whole() {
        // Its hashes are those of nothing.
        let torrent = Metainfo::made_up(2 * BLOCK, 4 * u64::from(BLOCK));
        let mut samples = Samples::default();
        let mut verdicts = Vec::new();
        for number in 0..130 {
            samples.begin(&torrent, 1);
            for at in [BLOCK, 0] {
                let verdict = samples.take(&torrent, 1, at, &[1; BLOCK as usize]);
                verdicts.extend(verdict.map(|is_intact| (number, is_intact)));
            }
        }
        assert_eq!(verdicts, [(0, false), (64, false), (128, false)]);
    }

    #[test]
    fn bytes_beyond_the_piece_and_of_other_pieces_are_left_alone() {
        let torrent = Metainfo::made_up(BLOCK, 2 * u64::from(BLOCK));
        let mut samples = Samples::default();
        samples.begin(&torrent, 0);
        assert_eq!(samples.take(&torrent, 1, 0, &[1; BLOCK as usize]), None);
        assert_eq!(samples.take(&torrent, 0, 1, &[1; BLOCK as usize]), None);
        assert_eq!(samples.take(&torrent, 0, u32::MAX, &[1]), None);
        assert_eq!(samples.take(&torrent, 0, 0, &[1; BLOCK as usize]), Some(false));
    }
}
