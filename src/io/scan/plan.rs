//! What a scan is about: files in a row, pieces, and where they can be found.

use std::os::fd::OwnedFd;

use crate::base::bitfield::Bitfield;
use crate::base::limits::BLOCK_LEN;
use crate::content::files::FileEntry;
use crate::content::files::FileList;
use crate::content::files::Span;
use crate::io::scan::look::Look;
use crate::io::scan::look::Seen;

/// Bytes of a claim at least: what a thread takes on at once is worth its map and unmap.
const CLAIM_LEN_MIN: u64 = 16 * 1024 * 1024;
/// Bytes of a claim at most, but for a single piece: bounds the memory that is mapped per thread.
const CLAIM_LEN_MAX: u64 = 256 * 1024 * 1024;
/// Pieces that are hashed together.
pub(super) const BATCH: u32 = 16;

/// Everything that is known before the first byte is read.
pub(crate) struct Plan<'a> {
    /// The files of the torrent in a row, pads included.
    pub(crate) files: &'a FileList,
    /// Bytes of every piece but the last.
    pub(crate) piece_len: u32,
    /// Whether SHA-1 over each piece is wanted.
    pub(crate) wants_v1: bool,
    /// Whether the root of each piece is wanted; every file then begins a piece.
    pub(crate) wants_v2: bool,
    /// The directory that the files lie below; `None` if it is not there.
    pub(crate) root: Option<OwnedFd>,
    /// By file.
    pub(crate) looks: Vec<Look>,
    /// Pieces that are not to be read again.
    pub(crate) known: Option<Bitfield>,
}

/// What there is to read of a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Readiness {
    Ready,
    Missing,
    Short,
    Unreadable(i32),
}

impl Plan<'_> {
    /// Pieces of the grid.
    pub(crate) fn piece_count(&self) -> u32 {
        // Layouts bound it far below.
        u32::try_from(self.files.total().div_ceil(self.piece_len.max(1).into())).unwrap_or(u32::MAX)
    }

    /// Bytes of the torrent before `piece`.
    pub(super) fn offset(&self, piece: u32) -> u64 {
        u64::from(piece) * u64::from(self.piece_len)
    }

    /// Bytes of `piece`, pads included.
    pub(crate) fn len(&self, piece: u32) -> usize {
        let left = self.files.total().saturating_sub(self.offset(piece));
        left.min(self.piece_len.into()) as usize
    }

    /// Pieces that a thread takes on at once: many enough to be hashed together, few enough to be
    /// mapped together.
    pub(super) fn claim_len(&self) -> u32 {
        let piece = u64::from(self.piece_len.max(1));
        let most = (CLAIM_LEN_MAX / piece).clamp(1, BATCH.into());
        (CLAIM_LEN_MIN / piece).max(most) as u32
    }

    pub(super) fn is_known(&self, piece: u32) -> bool {
        self.known.as_ref().is_some_and(|known| known.get(piece))
    }

    /// Where the bytes of `piece` lie, pads included.
    pub(super) fn spans(&self, piece: u32) -> impl Iterator<Item = Span> + '_ {
        self.files.spans(self.offset(piece), self.len(piece) as u64)
    }

    /// The file that `piece` begins in.
    pub(crate) fn file_at(&self, piece: u32) -> Option<&FileEntry> {
        self.spans(piece).next().and_then(|span| self.files.get(span.file))
    }

    /// Whether all files of a piece are there and long enough.
    pub(super) fn readiness(&self, piece: u32) -> Readiness {
        let mut worst = Readiness::Ready;
        for span in self.spans(piece) {
            let Some(look) = self.looks.get(span.file.as_usize()) else { continue };
            match look.seen {
                Seen::Nowhere => {}
                Seen::Missing | Seen::NotAFile => return Readiness::Missing,
                Seen::Denied(errno) => worst = Readiness::Unreadable(errno),
                Seen::File(stamp) => {
                    let end = span.offset + u64::from(span.length);
                    if stamp.length < end && worst == Readiness::Ready {
                        worst = Readiness::Short;
                    }
                }
            }
        }
        worst
    }

    /// Bytes of the piece that lie in a file: what its v2 leaves are over. Files begin pieces, so
    /// these are the first ones.
    pub(super) fn file_len(&self, piece: u32) -> usize {
        let first = self.spans(piece).next();
        first.map_or(0, |span| span.length as usize)
    }

    /// Leaves of the piece's tree, padding included (BEP 52).
    pub(super) fn tree_width(&self, piece: u32) -> u32 {
        let bytes = self.file_at(piece).map_or(0, |file| file.length().min(self.piece_len.into()));
        (bytes.div_ceil(BLOCK_LEN.into()) as u32).next_power_of_two()
    }
}
