//! The demo's payload: files of pseudo-random bytes, and the torrent of them.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use coreswarm::Sha1;
use coreswarm::TorrentMaker;

/// Name of the torrent: the directory its files lie in.
const NAME: &str = "coreswarm-demo";

/// Writes `size` bytes below `directory` and makes their torrent, announced at `tracker`. Several
/// files, so that pieces cross from one to the next, and one without a byte.
pub(crate) fn make(directory: &Path, size: u64, tracker: &str) -> anyhow::Result<Vec<u8>> {
    let files = [
        ("small.bin", size.min(1_000)),
        ("large.bin", size.saturating_sub(1_000) / 4 * 3),
        ("empty.bin", 0),
    ];
    let used: u64 = files.iter().map(|(_, length)| length).sum();
    let rest = ("rest.bin", size.saturating_sub(used));
    let mut maker = TorrentMaker::directory(NAME);
    for (name, length) in files.into_iter().chain([rest]) {
        maker = maker.file([name], length);
    }
    let maker = maker.tier([tracker]).created_by("coreswarm demo");
    let mut pieces = Pieces::new(maker.piece_length()? as usize);
    let place = directory.join(NAME);
    fs::create_dir_all(&place)?;
    for (name, length) in files.into_iter().chain([rest]) {
        write_file(&place.join(name), length, &mut pieces)?;
    }
    Ok(maker.finish(&pieces.finish())?)
}

fn write_file(path: &Path, length: u64, pieces: &mut Pieces) -> anyhow::Result<()> {
    let mut file = File::create(path)?;
    let mut left = length;
    while left > 0 {
        let part = pieces.next_part(left);
        left -= part.len() as u64;
        file.write_all(part)?;
    }
    Ok(())
}

/// Generates the payload piece by piece and hashes each when it is full.
struct Pieces {
    piece: Vec<u8>,
    /// Bytes of the piece that were handed out.
    used: usize,
    hashes: Vec<Sha1>,
    state: u64,
}

impl Pieces {
    fn new(piece_length: usize) -> Pieces {
        let mut pieces =
            Pieces { piece: vec![0; piece_length], used: 0, hashes: Vec::new(), state: 1 };
        pieces.fill();
        pieces
    }

    /// The next bytes of the payload: at most `wanted`, and not beyond the end of a piece.
    fn next_part(&mut self, wanted: u64) -> &[u8] {
        if self.used == self.piece.len() {
            self.hashes.push(Sha1::of(&self.piece));
            self.fill();
            self.used = 0;
        }
        let start = self.used;
        let room = self.piece.len() - start;
        self.used += usize::try_from(wanted).map_or(room, |wanted| wanted.min(room));
        &self.piece[start..self.used]
    }

    fn finish(mut self) -> Vec<Sha1> {
        if self.used > 0 {
            self.hashes.push(Sha1::of(&self.piece[..self.used]));
        }
        self.hashes
    }

    /// xorshift64: quick, and no two pieces alike.
    fn fill(&mut self) {
        for bytes in self.piece.chunks_exact_mut(8) {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            bytes.copy_from_slice(&self.state.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use coreswarm::Torrent;

    use super::*;

    #[test]
    fn the_torrent_describes_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        for size in [0, 1, 999, 16_384, 100_000] {
            let made = make(dir.path(), size, "http://127.0.0.1:1/announce").unwrap();
            let torrent = Torrent::parse(&made).unwrap();
            assert_eq!(torrent.total_length(), size, "{size}");
            for file in torrent.files() {
                let length = fs::metadata(dir.path().join(file.path())).unwrap().len();
                assert_eq!(length, file.length());
            }
        }
    }
}
