//! The file list: where each file lies in the torrent, and in which files a range of bytes lies.

use std::path::Path;
use std::path::PathBuf;

use crate::base::ids::FileIndex;

/// One file of a torrent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileEntry {
    path: PathBuf,
    length: u64,
    offset: u64,
    kind: FileKind,
    marks: Marks,
}

/// What else a torrent says of a file (BEP 47).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Marks {
    pub(crate) is_executable: bool,
    pub(crate) is_hidden: bool,
    /// Where a link leads.
    pub(crate) target: Option<Box<Path>>,
}

/// What an entry of the file list stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FileKind {
    Data,
    /// Zeros that only align the next file: never on disk (BEP 47).
    Pad,
    /// Not created: a link could point anywhere (BEP 47).
    Symlink,
}

impl FileEntry {
    /// Path below the torrent's directory: relative, ordinary names only. No two
    /// entries that are on disk share a place, on file systems that ignore case neither.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes of the torrent before this file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether this is padding behind a file (BEP 47): zeros, never on disk. A torrent of v2 only
    /// has no pad files of its own; there one stands for each gap, up to the end of the last piece
    /// of the file before it.
    pub fn is_pad(&self) -> bool {
        self.kind == FileKind::Pad
    }

    /// Whether this is a symbolic link (BEP 47): listed, never created.
    pub fn is_symlink(&self) -> bool {
        self.kind == FileKind::Symlink
    }

    /// Where a symbolic link leads, seen from the torrent's directory (BEP 47); `None` for anything
    /// else and for a link without a target. Made of safe names like [`FileEntry::path`], but
    /// nothing says that a file is there.
    pub fn symlink_target(&self) -> Option<&Path> {
        self.marks.target.as_deref()
    }

    /// Whether its maker marked it as a program (BEP 47, attribute `x`). Not acted upon.
    pub fn is_executable(&self) -> bool {
        self.marks.is_executable
    }

    /// Whether its maker marked it as hidden (BEP 47, attribute `h`). Not acted upon.
    pub fn is_hidden(&self) -> bool {
        self.marks.is_hidden
    }

    /// Whether there is a file on disk for this entry.
    pub fn is_on_disk(&self) -> bool {
        self.kind == FileKind::Data
    }
}

/// The files of one torrent, in its order; together they are its bytes without gaps.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileList {
    entries: Vec<FileEntry>,
    /// The files that are not empty: a million empty ones cost nothing when a range is looked up.
    solid: Vec<FileIndex>,
    total: u64,
}

/// A range of one file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(crate) file: FileIndex,
    /// Bytes of the file before the range.
    pub(crate) offset: u64,
    /// Bytes; at least 1.
    pub(crate) length: u32,
}

impl FileList {
    /// Appends a file; `None` if the total or the count would overflow.
    #[must_use]
    pub(crate) fn push(&mut self, path: PathBuf, length: u64, kind: FileKind) -> Option<FileIndex> {
        self.push_marked(path, length, kind, Marks::default())
    }

    /// Appends a file of which more is known.
    #[must_use]
    pub(crate) fn push_marked(
        &mut self,
        path: PathBuf,
        length: u64,
        kind: FileKind,
        marks: Marks,
    ) -> Option<FileIndex> {
        let total = self.total.checked_add(length)?;
        let index = FileIndex(u32::try_from(self.entries.len()).ok()?);
        if length > 0 {
            self.solid.push(index);
        }
        self.entries.push(FileEntry { path, length, offset: self.total, kind, marks });
        self.total = total;
        Some(index)
    }

    /// The list is whole: lets go of the room for more.
    pub(crate) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
        self.solid.shrink_to_fit();
    }

    /// Bytes of all files.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn entries(&self) -> &[FileEntry] {
        &self.entries
    }

    pub(crate) fn get(&self, file: FileIndex) -> Option<&FileEntry> {
        self.entries.get(file.as_usize())
    }

    /// Entries with their index.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (FileIndex, &FileEntry)> {
        self.entries.iter().enumerate().map(|(index, entry)| (FileIndex(index as u32), entry))
    }

    /// Where `length` bytes from `offset` of the torrent lie, rising; cut off at the end of the
    /// torrent. Found by binary search; empty files are passed over. Pad files are included: see
    /// [`FileEntry::is_on_disk`]. A span of 4 GiB or more comes in parts.
    pub(crate) fn spans(&self, offset: u64, length: u64) -> impl Iterator<Item = Span> + '_ {
        let end = offset.saturating_add(length).min(self.total);
        let mut at = offset;
        let mut next = self.solid.partition_point(|file| self.end(*file) <= offset);
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let file = *self.solid.get(next)?;
            let entry = self.get(file)?;
            let stop = self.end(file).min(end);
            let length = u32::try_from(stop - at).unwrap_or(u32::MAX);
            let span = Span { file, offset: at - entry.offset, length };
            at += u64::from(length);
            if at == self.end(file) {
                next += 1;
            }
            Some(span)
        })
    }

    /// One past the file's last byte in the torrent.
    fn end(&self, file: FileIndex) -> u64 {
        self.get(file).map_or(0, |entry| entry.offset + entry.length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prop_assert;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::*;

    fn list(lengths: &[u64]) -> FileList {
        let mut files = FileList::default();
        for (index, length) in lengths.iter().enumerate() {
            files.push(index.to_string().into(), *length, FileKind::Data).unwrap();
        }
        files
    }

    fn spans(files: &FileList, offset: u64, length: u64) -> Vec<(u32, u64, u32)> {
        files.spans(offset, length).map(|s| (s.file.0, s.offset, s.length)).collect()
    }

    #[test]
    fn a_range_over_files_comes_in_spans_without_empty_files() {
        let files = list(&[0, 10, 0, 0, 5, 20, 0]);
        assert_eq!(spans(&files, 0, 10), [(1, 0, 10)]);
        assert_eq!(spans(&files, 8, 10), [(1, 8, 2), (4, 0, 5), (5, 0, 3)]);
        assert_eq!(spans(&files, 30, 100), [(5, 15, 5)]);
        assert_eq!(spans(&files, 35, 1), []);
        assert_eq!(spans(&files, 3, 0), []);
        assert_eq!(spans(&files, u64::MAX, u64::MAX), []);
    }

    #[test]
    fn a_span_beyond_four_gigabytes_comes_in_parts() {
        let files = list(&[1 << 33]);
        let parts = spans(&files, 5, 1 << 32);
        assert_eq!(parts, [(0, 5, u32::MAX), (0, 5 + u64::from(u32::MAX), 1)]);
    }

    #[test]
    fn a_total_that_overflows_is_refused() {
        let mut files = list(&[u64::MAX - 1]);
        assert_eq!(files.push("x".into(), 2, FileKind::Data), None);
        assert_eq!(files.entries().len(), 1);
        assert!(files.get(FileIndex(0)).is_some() && files.get(FileIndex(1)).is_none());
    }

    proptest! {
        #[test]
        fn spans_cover_the_range_in_order(
            lengths in proptest::collection::vec(0..20u64, 0..20),
            offset in 0..300u64, length in 0..300u64,
        ) {
            let files = list(&lengths);
            let end = (offset + length).min(files.total());
            let mut at = offset;
            for span in files.spans(offset, length) {
                let entry = files.get(span.file).unwrap();
                let end = span.offset + u64::from(span.length);
                prop_assert!(span.length > 0 && end <= entry.length());
                prop_assert_eq!(entry.offset() + span.offset, at);
                at += u64::from(span.length);
            }
            prop_assert_eq!(at, end.max(offset));
        }
    }
}
