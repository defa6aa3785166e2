//! Pieces that may be on the disk from earlier, found before anybody knew what they must hash to:
//! those of a v2 magnet whose piece layers come from peers (BEP 52).
//!
//! They are asked of nobody until they were read: the disk is nearer.

use std::collections::VecDeque;

use crate::base::bitfield::Bitfield;
use crate::base::ids::PieceIndex;
use crate::content::layout::Layout;

/// See the file.
#[derive(Debug)]
pub(crate) struct LateCheck {
    /// Pieces whose root is not known.
    waiting: Bitfield,
    /// Pieces to read.
    queue: VecDeque<PieceIndex>,
    /// Pieces that may be asked for: judged, or never on the disk.
    open: Bitfield,
    left: u32,
}

impl LateCheck {
    /// Of the pieces that may be there and are not `known`; `None` without any.
    pub(crate) fn new(plausible: &Bitfield, known: &Bitfield) -> Option<LateCheck> {
        let waiting = plausible.without(known);
        let left = waiting.count_ones();
        let open = Bitfield::ones(plausible.len()).without(&waiting);
        (left > 0).then(|| LateCheck { waiting, queue: VecDeque::new(), open, left })
    }

    /// The pieces that may be asked for.
    pub(crate) fn open(&self) -> &Bitfield {
        &self.open
    }

    /// More roots are known; all of them if there is no field.
    pub(crate) fn handle_roots(&mut self, layout: &Layout, known: Option<&Bitfield>) {
        let fresh = known.map_or_else(|| self.waiting.clone(), |known| self.waiting.and(known));
        self.queue.extend(fresh.iter_ones().filter_map(|raw| layout.piece(raw).ok()));
        self.waiting = self.waiting.without(&fresh);
    }

    /// The next piece to read.
    pub(crate) fn next_piece(&mut self) -> Option<PieceIndex> {
        self.queue.pop_front()
    }

    /// The piece was read and judged; false if it is none of these.
    pub(crate) fn judged(&mut self, piece: PieceIndex) -> bool {
        let is_ours = self.open.set(piece.as_u32());
        self.left -= u32::from(is_ours);
        is_ours
    }

    /// Whether every piece was judged.
    pub(crate) fn is_over(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(bits: &[u32]) -> Bitfield {
        let mut field = Bitfield::zeros(6);
        bits.iter().for_each(|bit| _ = field.set(*bit));
        field
    }

    #[test]
    fn pieces_are_read_when_their_root_is_known_and_asked_for_when_they_were_judged() {
        let layout = Layout::new(6 * 16_384, 16_384).unwrap();
        assert!(LateCheck::new(&field(&[1, 2]), &field(&[0, 1, 2])).is_none());
        let mut late = LateCheck::new(&field(&[0, 1, 2, 4]), &field(&[0, 5])).unwrap();
        assert_eq!(*late.open(), field(&[0, 3, 5]));
        assert_eq!(late.next_piece(), None);
        late.handle_roots(&layout, Some(&field(&[0, 2, 3, 5])));
        late.handle_roots(&layout, Some(&field(&[0, 2, 3, 5])));
        assert_eq!(late.next_piece().map(PieceIndex::as_u32), Some(2));
        assert_eq!(late.next_piece(), None, "each piece once");
        late.handle_roots(&layout, None);
        let rest: Vec<u32> = std::iter::from_fn(|| late.next_piece()).map(|p| p.as_u32()).collect();
        assert_eq!(rest, [1, 4]);
        let piece = |raw| layout.piece(raw).unwrap();
        assert!(!late.judged(piece(3)) && late.judged(piece(2)) && !late.judged(piece(2)));
        assert_eq!(*late.open(), field(&[0, 2, 3, 5]));
        assert!(late.judged(piece(1)) && !late.is_over() && late.judged(piece(4)));
        assert!(late.is_over());
    }
}
