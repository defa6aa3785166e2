//! All started pieces of a torrent: those with free blocks stand in front.

use hashbrown::HashMap;

use crate::base::ids::PieceIndex;
use crate::engine::pick::blocks::Partial;

/// Started pieces. Every change goes through [`Partials::change`], which keeps the division.
#[derive(Debug, Default)]
pub(crate) struct Partials {
    /// `list[..open]` are wanted and have free blocks.
    list: Vec<Partial>,
    open: usize,
    /// For lookup only; never walked.
    place: HashMap<PieceIndex, usize>,
}

impl Partials {
    pub(crate) fn insert(&mut self, partial: Partial) {
        let piece = partial.piece;
        debug_assert!(!self.place.contains_key(&piece), "a piece is started once");
        self.place.insert(piece, self.list.len());
        self.list.push(partial);
        self.divide(piece);
    }

    pub(crate) fn remove(&mut self, piece: PieceIndex) -> Option<Partial> {
        // Out of the front first, so that taking the last one into its place keeps the division.
        self.change(piece, |partial| partial.is_wanted = false)?;
        let at = self.place.remove(&piece)?;
        let partial = self.list.swap_remove(at);
        if let Some(moved) = self.list.get(at) {
            self.place.insert(moved.piece, at);
        }
        Some(partial)
    }

    pub(crate) fn change<T>(
        &mut self,
        piece: PieceIndex,
        how: impl FnOnce(&mut Partial) -> T,
    ) -> Option<T> {
        let at = *self.place.get(&piece)?;
        let answer = how(&mut self.list[at]);
        self.divide(piece);
        Some(answer)
    }

    /// Those that are wanted and have free blocks.
    pub(crate) fn open(&self) -> &[Partial] {
        &self.list[..self.open]
    }

    pub(crate) fn all(&self) -> &[Partial] {
        &self.list
    }

    fn divide(&mut self, piece: PieceIndex) {
        let Some(at) = self.place.get(&piece).copied() else { return };
        let belongs = self.list[at].is_wanted && self.list[at].free() > 0;
        if belongs && at >= self.open {
            self.swap(at, self.open);
            self.open += 1;
        } else if !belongs && at < self.open {
            self.open -= 1;
            self.swap(at, self.open);
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.list.swap(a, b);
        for at in [a, b] {
            self.place.insert(self.list[at].piece, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_with_free_blocks_stand_in_front() {
        let mut partials = Partials::default();
        let piece = PieceIndex::from_layout;
        for raw in 0..5 {
            partials.insert(Partial::new(piece(raw), 1, None));
        }
        let mut out = Vec::new();
        partials.change(piece(1), |p| p.hand_out(7, 1, false, &mut out));
        partials.change(piece(3), |p| p.is_wanted = false);
        let mut open: Vec<u32> = partials.open().iter().map(|p| p.piece.as_u32()).collect();
        open.sort_unstable();
        assert_eq!(open, [0, 2, 4]);
        assert!(partials.remove(piece(0)).is_some() && partials.remove(piece(0)).is_none());
        partials.change(piece(3), |p| p.is_wanted = true);
        assert_eq!((partials.open().len(), partials.all().len()), (3, 4));
        for (at, partial) in partials.all().iter().enumerate() {
            assert_eq!(partials.place.get(&partial.piece), Some(&at));
        }
    }
}
