//! The files of one torrent on a simulated disk: their bytes, lengths and names.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use crate::base::digest::Sha1;
use crate::base::digest::Sha256;
use crate::base::ids::FileIndex;
use crate::base::ids::PieceIndex;
use crate::content::files::FileEntry;
use crate::content::files::Span;
use crate::content::merkle;
use crate::content::torrent::Torrent;
use crate::engine::add::Allocation;
use crate::engine::digesting::tree_len;
use crate::engine::disk::FileSeen;

/// Files of one torrent; they outlive the engine.
#[derive(Debug)]
pub(crate) struct Contents {
    torrent: Arc<Torrent>,
    /// The torrent's bytes; what no file holds is zero.
    bytes: Vec<u8>,
    /// What lies aside of files that are not there, at its place in the torrent.
    aside: Vec<u8>,
    seen: Vec<FileSeen>,
    /// Pieces whose bytes were hashed and not touched since.
    proven: BTreeSet<PieceIndex>,
}

impl Contents {
    /// No file is there.
    pub(crate) fn empty(torrent: &Arc<Torrent>) -> Contents {
        Contents {
            torrent: Arc::clone(torrent),
            bytes: vec![0; torrent.layout().total() as usize],
            aside: vec![0; torrent.layout().total() as usize],
            seen: vec![FileSeen::Missing; torrent.files().len()],
            proven: BTreeSet::new(),
        }
    }

    /// All files are there under their final names.
    pub(crate) fn complete(torrent: &Arc<Torrent>, bytes: &[u8]) -> Contents {
        let seen = torrent.files().iter().map(|file| match file.is_on_disk() {
            true => FileSeen::Final { length: file.length() },
            false => FileSeen::Missing,
        });
        let seen = seen.collect();
        Contents { seen, bytes: bytes.to_vec(), ..Contents::empty(torrent) }
    }

    /// As `Open` reports them.
    pub(crate) fn seen(&self) -> &[FileSeen] {
        &self.seen
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether all files lie there under their final names.
    pub(crate) fn is_finished(&self) -> bool {
        let files = self.torrent.files().iter().zip(&self.seen);
        let mut files = files.filter(|(file, _)| file.is_on_disk());
        files.all(|(_, seen)| matches!(seen, FileSeen::Final { .. }))
    }

    /// Makes these files where they are missing: empty ones complete, others as `.part`, with what
    /// lies aside for them.
    pub(crate) fn create(&mut self, files: &[FileIndex], allocation: Allocation) {
        let torrent = Arc::clone(&self.torrent);
        for file in files {
            let entry = &torrent.files()[file.as_usize()];
            assert!(entry.is_on_disk(), "{file:?} is never on any disk");
            let length = entry.length();
            let seen = self.seen[file.as_usize()];
            if seen == FileSeen::Aside {
                let range = entry.offset() as usize..(entry.offset() + length) as usize;
                self.bytes[range.clone()].copy_from_slice(&self.aside[range.clone()]);
                self.aside[range].fill(0);
            }
            self.seen[file.as_usize()] = match (seen, length, allocation) {
                (FileSeen::Missing, 0, _) => FileSeen::Final { length: 0 },
                (FileSeen::Missing, _, Allocation::Sparse) => FileSeen::Part { length: 0 },
                (FileSeen::Missing | FileSeen::Aside, ..) => FileSeen::Part { length },
                (there, ..) => there,
            };
        }
    }

    /// Whether nothing lies aside.
    pub(crate) fn is_tidy(&self) -> bool {
        self.aside.iter().all(|byte| *byte == 0)
    }

    /// `None` where a file is missing or ends early.
    pub(crate) fn read(&self, offset: u64, length: u32) -> Option<Vec<u8>> {
        let start = usize::try_from(offset).ok()?;
        let mut bytes = self.bytes.get(start..start.checked_add(length as usize)?)?.to_vec();
        for span in self.spans_on_disk(offset, length.into()) {
            let place = self.place(span);
            match self.seen.get(span.file.as_usize())? {
                FileSeen::Missing => return None,
                FileSeen::Aside => {
                    bytes[place.start - start..place.end - start]
                        .copy_from_slice(&self.aside[place]);
                }
                FileSeen::Part { length } | FileSeen::Final { length } => {
                    if *length < span.offset + u64::from(span.length) {
                        return None;
                    }
                }
            }
        }
        Some(bytes)
    }

    /// Bytes of pads are left out: they are zeros, whoever reads them. Those of files that were not
    /// created go aside.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) {
        for span in self.spans_on_disk(offset, data.len() as u64) {
            let place = self.place(span);
            let from = place.start - offset as usize;
            let data = &data[from..from + span.length as usize];
            let end = span.offset + u64::from(span.length);
            match &mut self.seen[span.file.as_usize()] {
                FileSeen::Part { length } | FileSeen::Final { length } => {
                    *length = end.max(*length);
                    self.bytes[place].copy_from_slice(data);
                }
                seen @ (FileSeen::Missing | FileSeen::Aside) => {
                    *seen = FileSeen::Aside;
                    self.aside[place].copy_from_slice(data);
                }
            }
        }
        let touched = self.torrent.layout().pieces_of(offset, data.len() as u64);
        self.proven.retain(|piece| !touched.contains(&piece.as_u32()));
    }

    /// Where it lies in the torrent.
    fn place(&self, span: Span) -> Range<usize> {
        let start = (self.torrent.files()[span.file.as_usize()].offset() + span.offset) as usize;
        start..start + span.length as usize
    }

    fn spans_on_disk(&self, offset: u64, length: u64) -> Vec<Span> {
        let files = self.torrent.file_list();
        let is_on_disk = |span: &Span| files.get(span.file).is_some_and(FileEntry::is_on_disk);
        files.spans(offset, length).filter(is_on_disk).collect()
    }

    /// Damages a byte behind the engine's back.
    pub(crate) fn flip(&mut self, offset: usize) {
        self.bytes[offset] ^= 1;
        self.proven.clear();
    }

    /// The file gets its final name.
    pub(crate) fn finish(&mut self, file: FileIndex) {
        if let Some(seen) = self.seen.get_mut(file.as_usize())
            && let FileSeen::Part { length } = *seen
        {
            *seen = FileSeen::Final { length };
        }
    }

    /// The file is cut off behind the engine's back.
    pub(crate) fn truncate(&mut self, file: FileIndex, to: u64) {
        if let Some(FileSeen::Part { length } | FileSeen::Final { length }) =
            self.seen.get_mut(file.as_usize())
        {
            *length = to.min(*length);
        }
    }

    /// The file is deleted behind the engine's back.
    pub(crate) fn delete(&mut self, file: FileIndex) {
        if let Some(seen) = self.seen.get_mut(file.as_usize()) {
            *seen = FileSeen::Missing;
        }
        self.proven.clear();
    }

    /// Whether the bytes on the disk have all of the piece's hashes.
    pub(crate) fn is_piece_right(&mut self, piece: PieceIndex) -> bool {
        let layout = self.torrent.layout();
        let is_right = self.proven.contains(&piece)
            || self
                .read(layout.offset(piece), layout.piece_len(piece))
                .is_some_and(|bytes| self.has_hashes(piece, &bytes));
        if is_right {
            self.proven.insert(piece);
        }
        is_right
    }

    fn has_hashes(&self, piece: PieceIndex, bytes: &[u8]) -> bool {
        let torrent = &self.torrent;
        let tree_len = tree_len(torrent, piece) as usize;
        let leaves: Vec<Sha256> = bytes[..tree_len].chunks(16_384).map(Sha256::of).collect();
        let root = (tree_len > 0).then(|| merkle::root(&leaves, torrent.piece_tree_width(piece)));
        let v1 = torrent.piece_hash_v1(piece).map(|_| Sha1::of(bytes));
        (v1, root) == (torrent.piece_hash_v1(piece), torrent.piece_root(piece))
            && (v1.is_some() || root.is_some())
    }

    /// Whether every piece with a byte of the file is right.
    pub(crate) fn is_file_right(&mut self, file: FileIndex) -> bool {
        let layout = self.torrent.layout().clone();
        let pieces = self.torrent.pieces_of(file);
        pieces.filter_map(|raw| layout.piece(raw).ok()).all(|piece| self.is_piece_right(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::bundle::Bundle;

    #[test]
    fn missing_short_and_damaged_files_are_told_apart() {
        let bundle = Bundle::directory(5, &[40_000, 0, 40_000]);
        let mut contents = Contents::complete(&bundle.torrent, &bundle.bytes);
        let piece = |raw| bundle.torrent.layout().piece(raw).unwrap();
        assert!(contents.is_finished() && contents.is_file_right(FileIndex(2)));
        contents.flip(0);
        assert!(!contents.is_piece_right(piece(0)) && contents.is_piece_right(piece(1)));
        contents.truncate(FileIndex(2), 39_999);
        assert!(!contents.is_piece_right(piece(2)) && contents.read(79_999, 1).is_none());
        contents.delete(FileIndex(0));
        assert!(contents.read(0, 1).is_none() && contents.read(40_000, 1).is_some());
        contents.create(&[FileIndex(0)], Allocation::Full);
        assert_eq!(contents.seen()[0], FileSeen::Part { length: 40_000 });
    }
}
