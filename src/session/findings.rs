//! What a verification found: each piece, each file.

use std::ops::RangeInclusive;
use std::path::Path;
use std::path::PathBuf;

use crate::content::torrent::Torrent;
use crate::io::scan::look::Look;
use crate::io::scan::look::Seen;
use crate::session::checkpoint;

/// What became of a piece.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum PieceState {
    /// Not looked at: the verification was interrupted.
    Pending,
    /// It has the hash that the torrent says; in a hybrid, both hashes.
    Good,
    /// It has another hash.
    Corrupt,
    /// A file that it lies in is not there.
    Missing,
    /// A file that it lies in ends too early.
    Short,
    /// A file that it lies in could not be read.
    Unreadable,
}

/// What became of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FileState {
    /// It has the right length, and all its pieces are good.
    Good,
    /// Pads and symbolic links are not on disk.
    NotOnDisk,
    /// It has the right length; some of its pieces were not looked at, all others are good.
    Pending,
    /// It has the right length and pieces that are not good. A piece can lie in several files.
    Corrupt,
    /// It is not there.
    Missing,
    /// Something else than a file stands in its place: a directory, a link, a device.
    NotAFile,
    /// It ends too early.
    Short {
        /// Bytes that are there.
        length: u64,
    },
    /// Bytes follow behind its end.
    Long {
        /// Bytes that are there.
        length: u64,
    },
    /// It could not be read.
    Unreadable {
        /// What the system said.
        message: String,
    },
}

/// One file of a [`VerifyReport`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct FileReport {
    /// Below the directory, as the torrent calls it.
    pub path: PathBuf,
    /// Bytes that it should have.
    pub length: u64,
    /// What became of it.
    pub state: FileState,
    /// Pieces that have a byte in it.
    pub piece_count: u32,
    /// Those of them that are good.
    pub good_count: u32,
    /// Whether it was found with `.part` behind its name, as downloads leave it.
    pub is_part: bool,
}

/// What [`Verifier::run`](crate::Verifier::run) found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyReport {
    pieces: Vec<PieceState>,
    files: Vec<FileReport>,
    resumed_count: u32,
    checkpoint: Option<Vec<u8>>,
}

impl VerifyReport {
    pub(super) fn new(
        torrent: &Torrent,
        looks: &[Look],
        pieces: Vec<PieceState>,
        resumed_count: u32,
        error: impl Fn(u32) -> Option<i32>,
    ) -> VerifyReport {
        let files = torrent.files().iter().zip(looks).map(|(entry, look)| {
            let own = torrent.layout().pieces_of(entry.offset(), entry.length());
            let first = own.start;
            let own = pieces.get(own.start as usize..own.end as usize).unwrap_or_default();
            FileReport {
                path: entry.path().to_owned(),
                length: entry.length(),
                state: file_state(look, entry.length(), own, first, &error),
                piece_count: own.len() as u32,
                good_count: own.iter().filter(|state| **state == PieceState::Good).count() as u32,
                is_part: look.path != Path::new("") && look.path != entry.path(),
            }
        });
        let files = files.collect();
        let mut report = VerifyReport { pieces, files, resumed_count, checkpoint: None };
        if report.is_interrupted() {
            let kept: Vec<u8> = report.pieces.iter().map(kept).collect();
            report.checkpoint = checkpoint::encode(torrent, looks, &kept);
        }
        report
    }

    /// Each piece, in order.
    pub fn pieces(&self) -> &[PieceState] {
        &self.pieces
    }

    /// Each file, in the order of [`Torrent::files`].
    pub fn files(&self) -> &[FileReport] {
        &self.files
    }

    /// Pieces in this state.
    pub fn count(&self, state: PieceState) -> u32 {
        self.pieces.iter().filter(|piece| **piece == state).count() as u32
    }

    /// Runs of pieces in this state, rising.
    pub fn runs(&self, state: PieceState) -> impl Iterator<Item = RangeInclusive<u32>> + '_ {
        let mut at = 0u32;
        let runs = self.pieces.chunk_by(|a, b| a == b).map(move |run| {
            let first = at;
            at += run.len() as u32;
            (run.first().copied(), first..=at.saturating_sub(1))
        });
        runs.filter(move |(of, _)| *of == Some(state)).map(|(_, run)| run)
    }

    /// Whether every piece and every file is as the torrent says.
    pub fn is_good(&self) -> bool {
        let is_good =
            |file: &FileReport| matches!(file.state, FileState::Good | FileState::NotOnDisk);
        self.pieces.iter().all(|piece| *piece == PieceState::Good) && self.files.iter().all(is_good)
    }

    /// Whether pieces are left that were not looked at.
    pub fn is_interrupted(&self) -> bool {
        self.pieces.contains(&PieceState::Pending)
    }

    /// Whether something could not be read.
    pub fn is_unreadable(&self) -> bool {
        let is_unreadable = |file: &FileReport| matches!(file.state, FileState::Unreadable { .. });
        self.pieces.contains(&PieceState::Unreadable) || self.files.iter().any(is_unreadable)
    }

    /// Pieces that were taken over from a checkpoint.
    pub fn resumed_count(&self) -> u32 {
        self.resumed_count
    }

    /// After an interruption: bytes to keep for [`Verifier::resume`](crate::Verifier::resume).
    pub fn checkpoint(&self) -> Option<&[u8]> {
        self.checkpoint.as_deref()
    }
}

/// Missing and short pieces are found again at once.
fn kept(piece: &PieceState) -> u8 {
    match piece {
        PieceState::Good => checkpoint::GOOD,
        PieceState::Corrupt => checkpoint::CORRUPT,
        _ => checkpoint::PENDING,
    }
}

fn file_state(
    look: &Look,
    length: u64,
    pieces: &[PieceState],
    first: u32,
    error: impl Fn(u32) -> Option<i32>,
) -> FileState {
    let unreadable = |errno| {
        let message = std::io::Error::from_raw_os_error(errno).to_string();
        FileState::Unreadable { message }
    };
    let failed = pieces.iter().position(|piece| *piece == PieceState::Unreadable);
    let failed = failed.and_then(|at| error(first + at as u32));
    match look.seen {
        Seen::Nowhere => FileState::NotOnDisk,
        Seen::Missing => FileState::Missing,
        Seen::NotAFile => FileState::NotAFile,
        Seen::Denied(errno) => unreadable(errno),
        Seen::File(stamp) if stamp.length < length => FileState::Short { length: stamp.length },
        Seen::File(stamp) if stamp.length > length => FileState::Long { length: stamp.length },
        Seen::File(_) => match (failed, pieces.iter().max()) {
            (Some(errno), _) => unreadable(errno),
            (None, Some(worst)) if *worst > PieceState::Good => FileState::Corrupt,
            _ if pieces.contains(&PieceState::Pending) => FileState::Pending,
            _ => FileState::Good,
        },
    }
}
