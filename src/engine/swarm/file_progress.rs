//! Which files of a torrent are complete, and which still carry `.part`.

use smallvec::SmallVec;

use crate::base::bitfield::Bitfield;
use crate::base::ids::FileIndex;
use crate::base::ids::PieceIndex;
use crate::content::files::FileEntry;
use crate::content::torrent::Torrent;
use crate::content::wanted::FilePriorities;
use crate::engine::disk::FileSeen;

/// Where some bytes of a file may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whereabouts {
    Nowhere,
    /// Never on any disk: padding.
    Virtual,
    File,
    Aside,
}

/// Per file: what is missing, and what is on disk.
#[derive(Debug, Default)]
pub(crate) struct FileProgress {
    /// Pieces.
    missing: Vec<u32>,
    /// Bytes in those pieces. Empty until the check is over: all is missing then.
    left: Vec<u64>,
    seen: Vec<FileSeen>,
    /// Bytes of all files that are wanted.
    pub(crate) wanted: u64,
    /// Bytes of those that are missing.
    pub(crate) wanted_left: u64,
}

impl FileProgress {
    /// The files were looked at.
    pub(crate) fn handle_seen(&mut self, seen: Vec<FileSeen>) {
        self.seen = seen;
    }

    /// Whether every file is there under its final name and with its length.
    pub(crate) fn are_all_final(&self, torrent: &Torrent) -> bool {
        let entries = torrent.files();
        let mut files = self.seen.iter().zip(entries);
        self.seen.len() == entries.len() && files.all(|(seen, entry)| *seen == finished(entry))
    }

    /// Takes it for granted.
    pub(crate) fn set_all_final(&mut self, torrent: &Torrent) {
        self.seen = torrent.files().iter().map(finished).collect();
    }

    /// The pieces that may be on disk: those whose every byte lies in a file that is long enough
    /// (F3), or aside where another part of the piece lies in a file.
    pub(crate) fn plausible(&self, torrent: &Torrent) -> Bitfield {
        let layout = torrent.layout();
        let mut plausible = Bitfield::zeros(layout.piece_count());
        for piece in layout.pieces() {
            let length = u64::from(layout.piece_len(piece));
            let (mut is_there, mut is_aside, mut is_in_a_file) = (true, false, false);
            for span in torrent.file_list().spans(layout.offset(piece), length) {
                match self.whereabouts(torrent, span.file, span.offset + u64::from(span.length)) {
                    Whereabouts::Nowhere => is_there = false,
                    Whereabouts::Aside => is_aside = true,
                    Whereabouts::File => is_in_a_file = true,
                    Whereabouts::Virtual => {}
                }
            }
            if is_there && (is_in_a_file || !is_aside) {
                plausible.set(piece.as_u32());
            }
        }
        plausible
    }

    /// Where the bytes of `file` before `end` may be.
    fn whereabouts(&self, torrent: &Torrent, file: FileIndex, end: u64) -> Whereabouts {
        let is_on_disk = torrent.file_list().get(file).is_some_and(|entry| entry.is_on_disk());
        match self.seen.get(file.as_usize()) {
            _ if !is_on_disk => Whereabouts::Virtual,
            Some(FileSeen::Part { length } | FileSeen::Final { length }) if *length >= end => {
                Whereabouts::File
            }
            Some(FileSeen::Aside) => Whereabouts::Aside,
            _ => Whereabouts::Nowhere,
        }
    }

    /// After the check: counts what is missing per file, O(files + pieces).
    pub(crate) fn set_have(&mut self, torrent: &Torrent, have: &Bitfield) {
        let layout = torrent.layout();
        let piece_len = u64::from(layout.piece_len_max());
        (self.missing, self.left) = (Vec::new(), Vec::new());
        for (file, entry) in torrent.file_list().iter() {
            let (mut missing, mut left) = (0, 0);
            for raw in torrent.pieces_of(file).filter(|raw| !have.get(*raw)) {
                let start = (u64::from(raw) * piece_len).max(entry.offset());
                let end = (u64::from(raw) + 1).saturating_mul(piece_len);
                let end = end.min(entry.offset() + entry.length());
                missing += 1;
                left += end.saturating_sub(start);
            }
            self.missing.push(missing);
            self.left.push(left);
        }
    }

    /// Counts the bytes of the files that are wanted, O(files).
    pub(crate) fn count_wanted(&mut self, torrent: &Torrent, priorities: &FilePriorities) {
        (self.wanted, self.wanted_left) = (0, 0);
        let files = torrent.file_list().iter().filter(|(_, entry)| !entry.is_pad());
        for (file, entry) in files.filter(|(file, _)| priorities.wants(*file)) {
            self.wanted += entry.length();
            self.wanted_left += self.left.get(file.as_usize()).copied().unwrap_or(entry.length());
        }
    }

    /// Bytes of `file`, which has `length`, in pieces that we have.
    pub(crate) fn have_bytes(&self, file: FileIndex, length: u64) -> u64 {
        self.left.get(file.as_usize()).map_or(0, |left| length.saturating_sub(*left))
    }

    /// Wanted files that are not on disk.
    pub(crate) fn unmade(&self, torrent: &Torrent, priorities: &FilePriorities) -> Vec<FileIndex> {
        let files = torrent.file_list().iter();
        let wanted = files.filter(|(file, entry)| entry.is_on_disk() && priorities.wants(*file));
        wanted.map(|(file, _)| file).filter(|file| !self.is_made(*file)).collect()
    }

    /// Wanted files that are not on disk as they must be before the first write: missing, or
    /// incomplete, or of another length under a name that says that they are ours.
    pub(crate) fn unready(&self, torrent: &Torrent, priorities: &FilePriorities) -> Vec<FileIndex> {
        let files = torrent.file_list().iter();
        let wanted = files.filter(|(file, entry)| entry.is_on_disk() && priorities.wants(*file));
        let unready = wanted.filter(|(file, entry)| match self.seen.get(file.as_usize()) {
            Some(FileSeen::Part { length }) if *length != entry.length() => true,
            _ => {
                let missing = self.missing.get(file.as_usize());
                !self.is_made(*file) || missing.is_some_and(|count| *count > 0)
            }
        });
        unready.map(|(file, _)| file).collect()
    }

    fn is_made(&self, file: FileIndex) -> bool {
        let seen = self.seen.get(file.as_usize());
        matches!(seen, Some(FileSeen::Part { .. } | FileSeen::Final { .. }))
    }

    /// These files have been made where they were missing: as `.part`, empty ones under their final
    /// name.
    pub(crate) fn created(&mut self, torrent: &Torrent, files: &[FileIndex]) {
        for file in files.iter().copied().filter(|file| !self.is_made(*file)).collect::<Vec<_>>() {
            let Some(entry) = torrent.file_list().get(file) else { continue };
            let Some(seen) = self.seen.get_mut(file.as_usize()) else { continue };
            let length = entry.length();
            *seen = match length {
                0 => FileSeen::Final { length },
                _ => FileSeen::Part { length },
            };
        }
    }

    /// A piece is written: the files that got their last piece by it.
    pub(crate) fn piece_done(
        &mut self,
        torrent: &Torrent,
        priorities: &FilePriorities,
        piece: PieceIndex,
    ) -> SmallVec<[FileIndex; 4]> {
        let layout = torrent.layout();
        let length = u64::from(layout.piece_len(piece));
        let mut done = SmallVec::new();
        for span in torrent.file_list().spans(layout.offset(piece), length) {
            let at = span.file.as_usize();
            let Some((count, left)) = self.missing.get_mut(at).zip(self.left.get_mut(at)) else {
                continue;
            };
            *count = count.saturating_sub(1);
            *left = left.saturating_sub(u64::from(span.length));
            let is_pad = torrent.file_list().get(span.file).is_some_and(FileEntry::is_pad);
            if !is_pad && priorities.wants(span.file) {
                self.wanted_left = self.wanted_left.saturating_sub(u64::from(span.length));
            }
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

    /// Complete, and still with `.part`.
    pub(crate) fn is_unnamed(&self, file: FileIndex) -> bool {
        self.missing.get(file.as_usize()) == Some(&0) && self.is_part(file)
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

/// What is seen of a file that is finished.
fn finished(entry: &FileEntry) -> FileSeen {
    match entry.is_on_disk() {
        true => FileSeen::Final { length: entry.length() },
        false => FileSeen::Missing,
    }
}
