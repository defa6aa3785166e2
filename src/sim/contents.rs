//! The files of one torrent on a simulated disk: their bytes, lengths and names.

use std::collections::BTreeSet;
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

    /// Makes missing files: empty ones complete, others as `.part`.
    pub(crate) fn create(&mut self, allocation: Allocation) {
        let files = self.seen.iter_mut().zip(self.torrent.files());
        for (seen, file) in files.filter(|(_, file)| file.is_on_disk()) {
            *seen = match (*seen, file.length(), allocation) {
                (FileSeen::Missing, 0, _) => FileSeen::Final { length: 0 },
                (FileSeen::Missing, length, Allocation::Full) => FileSeen::Part { length },
                (FileSeen::Missing, _, Allocation::Sparse) => FileSeen::Part { length: 0 },
                (there, ..) => there,
            };
        }
    }

    /// `None` where a file is missing or ends early.
    pub(crate) fn read(&self, offset: u64, length: u32) -> Option<&[u8]> {
        for span in self.spans_on_disk(offset, length.into()) {
            let there = match self.seen.get(span.file.as_usize())? {
                FileSeen::Missing => return None,
                FileSeen::Part { length } | FileSeen::Final { length } => *length,
            };
            if there < span.offset + u64::from(span.length) {
                return None;
            }
        }
        let start = usize::try_from(offset).ok()?;
        self.bytes.get(start..start.checked_add(length as usize)?)
    }

    /// Bytes of pads are left out: they are zeros, whoever reads them.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) {
        for span in self.spans_on_disk(offset, data.len() as u64) {
            let start =
                (self.torrent.files()[span.file.as_usize()].offset() + span.offset) as usize;
            let from = start - offset as usize;
            let len = span.length as usize;
            self.bytes[start..start + len].copy_from_slice(&data[from..from + len]);
            let end = span.offset + u64::from(span.length);
            match self.seen.get_mut(span.file.as_usize()) {
                Some(FileSeen::Part { length } | FileSeen::Final { length }) => {
                    *length = end.max(*length);
                }
                missing => panic!("a write to a file that was not created: {missing:?}"),
            }
        }
        let touched = self.torrent.layout().pieces_of(offset, data.len() as u64);
        self.proven.retain(|piece| !touched.contains(&piece.as_u32()));
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
                .is_some_and(|bytes| self.has_hashes(piece, bytes));
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
        contents.create(Allocation::Full);
        assert_eq!(contents.seen()[0], FileSeen::Part { length: 40_000 });
    }
}
