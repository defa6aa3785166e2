//! The bytes that are exchanged: made from a number, and compared with what was made.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * 1024;

/// The shape of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One file whose last piece and last block are short.
    Single,
    /// The same, large enough to be interrupted half-way.
    Large,
    /// Many files: odd sizes, empty ones, folders, spaces and other alphabets, a short last piece.
    Multi,
}

impl Shape {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Large => "large",
            Self::Multi => "multi",
        }
    }

    /// Bytes in a piece: small enough that files share pieces, and pieces span files.
    pub(crate) fn piece_length(self) -> u64 {
        match self {
            Self::Single => 256 * KIB,
            Self::Large => 512 * KIB,
            Self::Multi => 128 * KIB,
        }
    }

    /// Paths below the payload's parent, with sizes in bytes.
    fn files(self) -> Vec<(&'static str, u64)> {
        match self {
            Self::Single => vec![("single.bin", 16 * MIB + 12_345)],
            Self::Large => vec![("large.bin", 48 * MIB + 4_321)],
            Self::Multi => vec![
                ("multi/a/empty at the start", 0),
                ("multi/a/one byte", 1),
                ("multi/b/block minus one.bin", 16 * KIB - 1),
                ("multi/b/block plus one.bin", 16 * KIB + 1),
                ("multi/b/deep/er/piece.bin", 128 * KIB),
                ("multi/c/empty in the middle", 0),
                ("multi/c/large.bin", 9 * MIB + 77),
                ("multi/c/tiny", 13),
                ("multi/d/großes Bild 画像.raw", 5 * MIB + 1),
                ("multi/d/odd.bin", 999_983),
                ("multi/z/empty at the end", 0),
            ],
        }
    }
}

/// A shape filled with bytes that follow from a number, so that no two cases share a torrent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload {
    pub(crate) shape: Shape,
    pub(crate) number: u64,
}

impl Payload {
    /// The file or folder the torrent is named after.
    pub(crate) fn name(self) -> &'static str {
        match self.shape {
            Shape::Single => "single.bin",
            Shape::Large => "large.bin",
            Shape::Multi => "multi",
        }
    }

    /// All bytes.
    pub(crate) fn size(self) -> u64 {
        self.shape.files().iter().map(|(_, size)| size).sum()
    }

    /// Writes it below `root`.
    pub(crate) fn write(self, root: &Path) -> Result<()> {
        for (index, (path, size)) in self.shape.files().into_iter().enumerate() {
            let path = root.join(path);
            fs::create_dir_all(path.parent().context("a file has a folder")?)?;
            let mut file = fs::File::create(&path).with_context(|| format!("{path:?}"))?;
            let mut noise = self.noise(index);
            let mut left = size;
            while left > 0 {
                let chunk = noise.chunk(left);
                file.write_all(chunk)?;
                left -= chunk.len() as u64;
            }
        }
        Ok(())
    }

    /// Compares what stands below `root`, names and bytes, and wants nothing beside it.
    /// `lenient_empty`: a program that is known not to create empty files is not blamed for it.
    pub(crate) fn compare(self, root: &Path, lenient_empty: bool) -> Result<()> {
        let mut found = BTreeMap::new();
        walk(root, Path::new(""), &mut found)?;
        for (index, (path, size)) in self.shape.files().into_iter().enumerate() {
            match found.remove(Path::new(path)) {
                None if size == 0 && lenient_empty => continue,
                None => bail!("{path} is missing below {root:?}; also there: {found:?}"),
                Some(got) => ensure!(got == size, "{path}: expected {size} bytes, got {got}"),
            }
            self.compare_file(index, &root.join(path), size)?;
        }
        ensure!(found.is_empty(), "left over below {root:?}: {found:?}");
        Ok(())
    }

    fn compare_file(self, index: usize, path: &Path, size: u64) -> Result<()> {
        let mut file = fs::File::open(path)?;
        let mut noise = self.noise(index);
        let mut got = Vec::new();
        let mut begin = 0;
        while begin < size {
            let want = noise.chunk(size - begin);
            got.resize(want.len(), 0);
            file.read_exact(&mut got)?;
            if let Some(at) = got.iter().zip(want).position(|(got, want)| got != want) {
                bail!("{path:?} differs at byte {}", begin + at as u64);
            }
            begin += want.len() as u64;
        }
        Ok(())
    }

    fn noise(self, file: usize) -> Noise {
        Noise { state: (self.number << 20) ^ file as u64, buffer: vec![0; 256 * 1024] }
    }
}

/// Files and their sizes below `root`, relative to it.
fn walk(root: &Path, below: &Path, found: &mut BTreeMap<PathBuf, u64>) -> Result<()> {
    for entry in fs::read_dir(root.join(below)).with_context(|| format!("{root:?}"))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let facts = fs::symlink_metadata(entry.path())?;
        if facts.is_dir() {
            walk(root, &path, found)?;
        } else {
            ensure!(facts.is_file(), "{path:?} is neither a file nor a folder");
            found.insert(path, facts.len());
        }
    }
    Ok(())
}

/// A stream of bytes that follows from a number (SplitMix64).
struct Noise {
    state: u64,
    buffer: Vec<u8>,
}

impl Noise {
    fn chunk(&mut self, most: u64) -> &[u8] {
        for word in self.buffer.chunks_exact_mut(8) {
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes());
        }
        let length = self.buffer.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        &self.buffer[..length]
    }
}
