//! Which files of a torrent are complete, and which still carry `.part`.

use smallvec::SmallVec;

use crate::base::bitfield::Bitfield;
use crate::base::ids::FileIndex;
use crate::base::ids::PieceIndex;
use crate::content::torrent::Torrent;
use crate::engine::disk::FileSeen;

/// Per file: pieces that are missing, and what is on disk.
#[derive(Debug, Default)]
pub(crate) struct FileProgress {
    missing: Vec<u32>,
    seen: Vec<FileSeen>,
}

impl FileProgress {
    pub(crate) fn new(seen: Vec<FileSeen>) -> FileProgress {
        FileProgress { missing: Vec::new(), seen }
    }

    /// The pieces that may be on disk: those whose every byte lies in a file that is long enough
    /// (F3).
    pub(crate) fn plausible(&self, torrent: &Torrent) -> Bitfield {
        let layout = torrent.layout();
        let mut plausible = Bitfield::zeros(layout.piece_count());
        for piece in layout.pieces() {
            let length = u64::from(layout.piece_len(piece));
            let mut spans = torrent.file_list().spans(layout.offset(piece), length);
            let is_there = spans
                .all(|span| self.reaches(torrent, span.file, span.offset + u64::from(span.length)));
            if is_there {
                plausible.set(piece.as_u32());
            }
        }
        plausible
    }

    fn reaches(&self, torrent: &Torrent, file: FileIndex, end: u64) -> bool {
        let is_on_disk = torrent.file_list().get(file).is_some_and(|entry| entry.is_on_disk());
        match self.seen.get(file.as_usize()) {
            _ if !is_on_disk => true,
            Some(FileSeen::Part { length } | FileSeen::Final { length }) => *length >= end,
            Some(FileSeen::Missing) | None => false,
        }
    }

    /// After the check: counts what is missing per file, O(files + missing pieces).
    pub(crate) fn set_have(&mut self, torrent: &Torrent, have: &Bitfield) {
        self.missing = torrent
            .file_list()
            .iter()
            .map(|(file, _)| torrent.pieces_of(file).filter(|p| !have.get(*p)).count() as u32)
            .collect();
    }

    /// Whether directories or files must be made before the torrent is whole on disk.
    pub(crate) fn wants_create(&self, torrent: &Torrent) -> bool {
        let mut files = torrent.file_list().iter().filter(|(_, entry)| entry.is_on_disk());
        files.any(|(file, _)| {
            let is_missing = self.seen.get(file.as_usize()) == Some(&FileSeen::Missing);
            is_missing || self.missing.get(file.as_usize()).is_some_and(|count| *count > 0)
        })
    }

    /// The missing files have been made: as `.part`, empty ones under their final name.
    pub(crate) fn created(&mut self, torrent: &Torrent) {
        for ((_, entry), seen) in torrent.file_list().iter().zip(&mut self.seen) {
            if *seen == FileSeen::Missing && entry.is_on_disk() {
                let length = entry.length();
                *seen = match length {
                    0 => FileSeen::Final { length },
                    _ => FileSeen::Part { length },
                };
            }
        }
    }

    /// A piece is written: the files that got their last piece by it.
    pub(crate) fn piece_done(
        &mut self,
        torrent: &Torrent,
        piece: PieceIndex,
    ) -> SmallVec<[FileIndex; 4]> {
        let layout = torrent.layout();
        let length = u64::from(layout.piece_len(piece));
        let mut done = SmallVec::new();
        for span in torrent.file_list().spans(layout.offset(piece), length) {
            let Some(count) = self.missing.get_mut(span.file.as_usize()) else { continue };
            *count = count.saturating_sub(1);
            if *count == 0 {
                done.push(span.file);
            }
        }
        done
    }

    /// Complete files that still carry `.part`.
    pub(crate) fn unnamed(&self) -> Vec<FileIndex> {
        let files = self.seen.iter().zip(&self.missing).enumerate();
        let is_done = |(seen, missing): (&FileSeen, &u32)| {
            *missing == 0 && matches!(seen, FileSeen::Part { .. })
        };
        files.filter(|(_, file)| is_done(*file)).map(|(at, _)| FileIndex(at as u32)).collect()
    }

    pub(crate) fn is_part(&self, file: FileIndex) -> bool {
        matches!(self.seen.get(file.as_usize()), Some(FileSeen::Part { .. }))
    }

    /// The file has its final name.
    pub(crate) fn named(&mut self, file: FileIndex) {
        if let Some(seen) = self.seen.get_mut(file.as_usize())
            && let FileSeen::Part { length } = *seen
        {
            *seen = FileSeen::Final { length };
        }
    }
}
