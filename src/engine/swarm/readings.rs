//! Pieces that are hashed from the disk: checks, and pieces that were written through.

use std::collections::BTreeMap;

use crate::base::bitfield::Bitfield;
use crate::base::ids::PieceIndex;
use crate::content::layout::Layout;
use crate::engine::digesting::Expected;
use crate::engine::digesting::Sums;

/// Bytes per read: where buffered reads stop getting cheaper.
pub(crate) const READ_LEN: u32 = 1024 * 1024;
/// Pieces read at once per torrent, and as many more for each batch that another shard may hash:
/// keeps the disk busy while the core hashes sixteen together. More would crowd its caches.
pub(crate) const READING_MAX: usize = 16;

/// The pieces being read; each has one read or one digest under way.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    open: BTreeMap<PieceIndex, Reading>,
}

#[derive(Debug)]
struct Reading {
    /// Digests of the bytes before `position`; with the hasher while it works.
    sums: Option<Sums>,
    position: u32,
}

impl Readings {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn open(&mut self, piece: PieceIndex, expected: Expected) {
        self.open.insert(piece, Reading { sums: Some(Sums::new(expected)), position: 0 });
    }

    /// Offset in the torrent and length of the next read of `piece`; `None` when all of it was
    /// read.
    pub(crate) fn next_read(&self, layout: &Layout, piece: PieceIndex) -> Option<(u64, u32)> {
        let position = self.open.get(&piece)?.position;
        let length = layout.piece_len(piece).saturating_sub(position).min(READ_LEN);
        (length > 0).then(|| (layout.offset(piece) + u64::from(position), length))
    }

    /// A read came: the digests so far, to go on with, and the bytes of the piece before it.
    pub(crate) fn take_sums(&mut self, piece: PieceIndex, length: u32) -> Option<(Sums, u32)> {
        let reading = self.open.get_mut(&piece)?;
        let sums = reading.sums.take()?;
        reading.position += length;
        Some((sums, reading.position - length))
    }

    /// The digests go on later.
    pub(crate) fn put_sums(&mut self, piece: PieceIndex, sums: Sums) {
        if let Some(reading) = self.open.get_mut(&piece) {
            reading.sums = Some(sums);
        }
    }

    /// The piece is done with; false if it was not being read.
    pub(crate) fn close(&mut self, piece: PieceIndex) -> bool {
        self.open.remove(&piece).is_some()
    }

    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }
}

/// How far a check is.
#[derive(Debug)]
pub(crate) struct Check {
    /// Pieces that may be there and have not been read.
    pending: Bitfield,
    cursor: u32,
    /// Pieces that passed.
    pub(crate) have: Bitfield,
}

impl Check {
    pub(crate) fn new(plausible: Bitfield) -> Check {
        let have = Bitfield::zeros(plausible.len());
        Check { pending: plausible, cursor: 0, have }
    }

    /// The next piece to read, in order.
    pub(crate) fn next_piece(&mut self, layout: &Layout) -> Option<PieceIndex> {
        while self.cursor < self.pending.len() {
            let raw = self.cursor;
            self.cursor += 1;
            if self.pending.get(raw) {
                return layout.piece(raw).ok();
            }
        }
        None
    }

    /// Whether every piece was handed out.
    pub(crate) fn is_read(&self) -> bool {
        self.pending.count_ones() == 0 || self.cursor >= self.pending.len()
    }

    /// Pieces looked at or passed over so far.
    pub(crate) fn checked_count(&self) -> u32 {
        self.cursor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_piece_is_read_in_parts_and_a_check_skips_what_cannot_be_there() {
        let layout = Layout::new(5 * 1024 * 1024, 2 * 1024 * 1024).unwrap();
        let mut plausible = Bitfield::zeros(3);
        plausible.set(0);
        plausible.set(2);
        let mut check = Check::new(plausible);
        let mut readings = Readings::default();
        let mut reads = Vec::new();
        while let Some(piece) = check.next_piece(&layout) {
            readings.open(piece, Expected::of(None, None));
            while let Some((offset, length)) = readings.next_read(&layout, piece) {
                reads.push((piece.as_u32(), offset >> 20, length >> 20));
                let (sums, before) = readings.take_sums(piece, length).unwrap();
                assert_eq!(layout.offset(piece) + u64::from(before), offset);
                readings.put_sums(piece, sums);
            }
            assert!(readings.close(piece));
        }
        assert_eq!(reads, [(0, 0, 1), (0, 1, 1), (2, 4, 1)]);
        assert!(check.is_read() && readings.len() == 0);
    }
}
