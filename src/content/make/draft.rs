//! What a .torrent file is to say, before the hashes are known: its grid of pieces and its rules.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::base::limits::PATH_DEPTH_MAX;
use crate::base::limits::PIECE_COUNT_MAX;
use crate::base::limits::PIECE_LEN_MAX;
use crate::base::limits::PIECE_LEN_MIN;
use crate::content::files::FileKind;
use crate::content::files::FileList;
use crate::content::layout::Layout;
use crate::content::make::cannot::MakeError;

/// Pieces aimed at when the piece length is ours to choose: keeps the .torrent below about 40 KiB
/// while a piece stays small enough to be shared soon.
const PIECE_COUNT_AIM: u64 = 2048;
/// Longest piece chosen by ourselves; longer ones only where the piece count would exceed its
/// limit.
const PIECE_LEN_CHOICE_MAX: u64 = 16 * 1024 * 1024;

/// Which versions of the protocol a torrent speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TorrentVersion {
    /// Pieces by SHA-1 over all files in a row (BEP 3): what every tracker and program takes.
    #[default]
    V1,
    /// A tree of files, each with a hash tree of its own by SHA-256 (BEP 52).
    V2,
    /// Both in one: pads between files (BEP 47) make the grids agree.
    Hybrid,
}

impl TorrentVersion {
    /// Whether pieces have SHA-1 hashes.
    pub fn has_v1(self) -> bool {
        self != TorrentVersion::V2
    }

    /// Whether files have hash trees, and so begin at pieces of their own.
    pub fn has_v2(self) -> bool {
        self != TorrentVersion::V1
    }
}

/// Path elements and length in bytes.
pub(super) type File = (Vec<Vec<u8>>, u64);

/// Everything but the hashes.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) name: Vec<u8>,
    /// One without a path is the torrent itself.
    pub(super) files: Vec<File>,
    pub(super) is_single: bool,
    pub(super) version: TorrentVersion,
    pub(super) piece_length: Option<u32>,
    pub(super) trackers: Vec<Vec<String>>,
    pub(super) web_seeds: Vec<String>,
    pub(super) is_private: bool,
    pub(super) source: Option<String>,
    pub(super) comment: Option<String>,
    pub(super) created_by: Option<String>,
    pub(super) creation_date: Option<i64>,
}

impl Draft {
    /// Bytes of all files, without pads.
    pub(super) fn total_length(&self) -> Result<u64, MakeError> {
        let mut lengths = self.files.iter().map(|(_, length)| *length);
        lengths.try_fold(0, u64::checked_add).ok_or(MakeError::TotalTooLarge)
    }

    /// Chosen or given.
    pub(super) fn piece_length(&self) -> Result<u32, MakeError> {
        let is_power_of_two = |length: u32| length.is_power_of_two() || !self.version.has_v2();
        match self.piece_length {
            Some(got) if !(PIECE_LEN_MIN..=PIECE_LEN_MAX).contains(&got) => {
                Err(MakeError::PieceLength { got })
            }
            Some(got) if !is_power_of_two(got) => Err(MakeError::PieceLengthV2 { got }),
            Some(given) => Ok(given),
            None => Ok(choose_piece_length(self.total_length()?)),
        }
    }

    /// The files in a row, as they lie on disk: below the torrent's directory, or by its name. With
    /// v2 every file of several is padded to whole pieces, the last one too: libtorrent does so in
    /// hybrids, and equal content should get equal info hashes.
    pub(super) fn file_list(&self) -> Result<FileList, MakeError> {
        let piece_length = u64::from(self.piece_length()?);
        let mut list = FileList::default();
        for (path, length) in &self.files {
            list.push(self.path(path), *length, FileKind::Data).ok_or(MakeError::TotalTooLarge)?;
            let into = list.total() % piece_length;
            if into > 0 && self.version.has_v2() && self.files.len() > 1 {
                let gap = piece_length - into;
                let path = [".pad", &gap.to_string()].iter().collect();
                list.push(path, gap, FileKind::Pad).ok_or(MakeError::TotalTooLarge)?;
            }
        }
        Ok(list)
    }

    fn path(&self, elements: &[Vec<u8>]) -> PathBuf {
        let name = self.is_single.then_some(&self.name);
        let elements = name.into_iter().chain(elements);
        elements.map(|element| OsString::from_vec(element.clone())).collect()
    }

    /// Pads included; what is wrong with names and sizes is found here.
    pub(super) fn layout(&self, files: &FileList) -> Result<Layout, MakeError> {
        if self.files.is_empty() {
            return Err(MakeError::NoFiles);
        }
        if !is_name(&self.name) {
            return Err(MakeError::Path { path: text([&self.name]) });
        }
        let paths = self.files.iter().map(|(path, _)| path);
        if let Some(path) = paths.clone().find(|path| !self.is_path(path)) {
            return Err(MakeError::Path { path: text(path) });
        }
        let mut pairs = paths.clone().zip(paths.skip(1));
        if let Some((_, path)) = pairs.find(|(a, b)| self.version.has_v2() && !may_follow(a, b)) {
            return Err(MakeError::Order { path: text(path) });
        }
        Ok(Layout::new(files.total(), self.piece_length()?)?)
    }

    fn is_path(&self, path: &[Vec<u8>]) -> bool {
        let is_count_right = path.is_empty() == self.is_single && path.len() <= PATH_DEPTH_MAX;
        is_count_right && path.iter().all(|element| is_name(element))
    }
}

/// Whether `next` comes behind `path`, and not inside of it as if that were a directory.
fn may_follow(path: &[Vec<u8>], next: &[Vec<u8>]) -> bool {
    path < next && !next.starts_with(path)
}

fn is_name(element: &[u8]) -> bool {
    !matches!(element, b"" | b"." | b"..") && !element.iter().any(|byte| matches!(byte, b'/' | 0))
}

fn text<'a>(path: impl IntoIterator<Item = &'a Vec<u8>>) -> String {
    let elements = path.into_iter().map(|element| String::from_utf8_lossy(element));
    elements.collect::<Vec<_>>().join("/")
}

/// A power of two: 1,024 to 2,048 pieces where that is 16 KiB to 16 MiB, more only where pieces
/// would be too many.
fn choose_piece_length(total: u64) -> u32 {
    let aim = total.div_ceil(PIECE_COUNT_AIM).clamp(PIECE_LEN_MIN.into(), PIECE_LEN_CHOICE_MAX);
    let least = total.div_ceil(PIECE_COUNT_MAX.into());
    let chosen = aim.next_power_of_two().max(least.checked_next_power_of_two().unwrap_or(u64::MAX));
    chosen.min(PIECE_LEN_MAX.into()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_piece_length_follows_the_size() {
        let kib = |total: u64| choose_piece_length(total) / 1024;
        assert_eq!(kib(0), 16);
        assert_eq!(kib(32 << 20), 16);
        assert_eq!(kib(1 << 30), 512);
        assert_eq!(kib(1 << 40), 16 * 1024);
        assert_eq!(kib(1 << 46), 32 * 1024, "beyond 2^21 pieces of 16 MiB");
        assert_eq!(kib(u64::MAX), 256 * 1024);
    }

    #[test]
    fn the_chosen_length_makes_1024_to_2048_pieces() {
        for total in [(16 << 20) + 1u64, 100 << 20, (1 << 30) - 1, (1 << 30) + 1, 16 << 30] {
            let count = total.div_ceil(choose_piece_length(total).into());
            assert!((1024..=2048).contains(&count), "{count} pieces of {total} bytes");
        }
    }
}
