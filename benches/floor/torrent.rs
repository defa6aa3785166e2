//! What a floor needs of a .torrent: a v1 torrent is one run of bytes.

use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

use crate::wire::BLOCK;
use crate::wire::Request;

/// A v1 torrent.
pub(crate) struct Torrent {
    pub(crate) info_hash: [u8; 20],
    pub(crate) piece_length: u32,
    pub(crate) size: u64,
    hashes: Vec<[u8; 20]>,
}

impl Torrent {
    pub(crate) fn read(path: &Path) -> Result<Torrent> {
        Self::of(&coreswarm::Torrent::parse(&coreswarm::read_torrent_file(path)?)?)
    }

    pub(crate) fn of(torrent: &coreswarm::Torrent) -> Result<Torrent> {
        let info = torrent.info_bytes();
        let key = b"6:pieces";
        let at = info.windows(key.len()).position(|part| part == key).context("not v1")?;
        let rest = &info[at + key.len()..];
        let colon = rest.iter().position(|byte| *byte == b':').context("not v1")?;
        let length: usize = std::str::from_utf8(&rest[..colon])?.parse()?;
        let hashes =
            rest.get(colon + 1..).and_then(|rest| rest.get(..length)).context("cut off")?;
        let hashes = hashes.as_chunks().0.to_vec();
        let (size, piece_length) = (torrent.total_length(), torrent.piece_length());
        ensure!(hashes.len() as u64 == size.div_ceil(piece_length.into()), "hashes and pieces");
        ensure!(piece_length.is_multiple_of(BLOCK), "pieces of whole blocks");
        Ok(Torrent { info_hash: *torrent.info_hash().as_bytes(), piece_length, size, hashes })
    }

    pub(crate) fn piece_count(&self) -> u32 {
        self.hashes.len() as u32
    }

    /// The last one may be short.
    pub(crate) fn piece_size(&self, piece: u32) -> u32 {
        let begin = u64::from(piece) * u64::from(self.piece_length);
        u64::from(self.piece_length).min(self.size - begin) as u32
    }

    pub(crate) fn hash(&self, piece: u32) -> [u8; 20] {
        self.hashes[piece as usize]
    }

    /// Where a block starts, if there is such a block.
    pub(crate) fn place(&self, request: Request) -> Option<u64> {
        let end = u64::from(request.begin) + u64::from(request.length);
        let is_block = request.piece < self.piece_count()
            && request.length <= BLOCK
            && end <= u64::from(self.piece_size(request.piece));
        let start = u64::from(request.piece) * u64::from(self.piece_length);
        is_block.then_some(start + u64::from(request.begin))
    }
}
