//! What a peer said of its pieces before anybody knew how many there are: kept raw and bounded
//! while a magnet's metadata is fetched, checked when it is there (BEP 9).

use smallvec::SmallVec;

use crate::base::bitfield::Bitfield;
use crate::base::limits::PIECE_COUNT_MAX;
use crate::base::limits::SUGGEST_MAX;
use crate::content::layout::Layout;
use crate::content::layout::LayoutFault;
use crate::engine::peer::fault::PeerFault;
use crate::engine::peer::pieces::Pieces;

/// Have messages kept beside a bitfield. Further ones are forgotten: the peer merely seems to have
/// less than it has.
const HAVE_MAX: usize = 16_384;

/// The first word of a peer about its pieces.
#[derive(Debug, Default)]
enum Word {
    #[default]
    Unsaid,
    Nothing,
    All,
    /// A bitfield of any length up to that of the largest torrent.
    Field(Box<[u8]>),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Early {
    word: Word,
    haves: Vec<u32>,
    /// What its swarm has counted of [`Early::held`].
    counted: usize,
    allowed: SmallVec<[u32; 4]>,
}

impl Early {
    pub(crate) fn handle_field(&mut self, wire: &[u8]) {
        self.word = Word::Field(wire.into());
    }

    pub(crate) fn handle_all(&mut self) {
        self.word = Word::All;
    }

    pub(crate) fn handle_nothing(&mut self) {
        self.word = Word::Nothing;
    }

    pub(crate) fn handle_have(&mut self, piece: u32) -> Result<(), PeerFault> {
        check(piece)?;
        if let Word::Field(field) = &mut self.word
            && let Some(byte) = field.get_mut(piece as usize / 8)
        {
            *byte |= 0x80 >> (piece % 8);
        } else if self.haves.len() < HAVE_MAX {
            self.haves.push(piece);
        }
        Ok(())
    }

    pub(crate) fn handle_allowed_fast(&mut self, piece: u32) -> Result<(), PeerFault> {
        check(piece)?;
        if self.allowed.len() < SUGGEST_MAX && !self.allowed.contains(&piece) {
            self.allowed.push(piece);
        }
        Ok(())
    }

    pub(crate) fn allowed_fast(&self) -> &[u32] {
        &self.allowed
    }

    /// Bytes that it keeps, about.
    pub(crate) fn held(&self) -> usize {
        let field = if let Word::Field(field) = &self.word { field.len() } else { 0 };
        field + self.haves.len() * size_of::<u32>()
    }

    /// What its swarm counted before, and counts from now on.
    pub(crate) fn recount(&mut self) -> (usize, usize) {
        let held = self.held();
        (std::mem::replace(&mut self.counted, held), held)
    }

    /// What it has, now that there is a layout; `None` if it told nothing.
    pub(crate) fn into_pieces(self, layout: &Layout) -> Result<Option<Pieces>, PeerFault> {
        let piece_count = layout.piece_count();
        let mut field = match self.word {
            Word::All => return Ok(Some(Pieces::All { piece_count })),
            Word::Unsaid if self.haves.is_empty() => return Ok(None),
            Word::Unsaid | Word::Nothing => Bitfield::zeros(piece_count),
            Word::Field(wire) => {
                Bitfield::from_wire(&wire, piece_count).ok_or(PeerFault::SpareBits)?
            }
        };
        for piece in self.haves {
            field.set(layout.piece(piece)?.as_u32());
        }
        Ok(Some(Pieces::Some(field)))
    }
}

/// No torrent has such a piece.
fn check(piece: u32) -> Result<(), PeerFault> {
    if piece < PIECE_COUNT_MAX {
        return Ok(());
    }
    Err(LayoutFault::PieceOutOfRange { piece, piece_count: PIECE_COUNT_MAX }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten pieces.
    fn layout() -> Layout {
        Layout::new(10 * 65_536, 65_536).unwrap()
    }

    fn count(early: Early) -> Result<Option<u32>, PeerFault> {
        Ok(early.into_pieces(&layout())?.map(|pieces| pieces.count()))
    }

    #[test]
    fn a_bitfield_and_haves_come_together_and_a_word_of_all_or_nothing_counts() {
        assert_eq!(count(Early::default()), Ok(None));
        let mut early = Early::default();
        early.handle_field(&[0x80, 0]);
        early.handle_have(9).unwrap();
        early.handle_have(9).unwrap();
        assert_eq!(count(early), Ok(Some(2)));
        let mut early = Early::default();
        early.handle_have(3).unwrap();
        assert_eq!(count(early), Ok(Some(1)));
        let mut early = Early::default();
        early.handle_nothing();
        assert_eq!(count(early), Ok(Some(0)));
        let mut early = Early::default();
        early.handle_all();
        assert_eq!(count(early), Ok(Some(10)));
    }

    #[test]
    fn what_does_not_fit_the_layout_is_a_fault_as_soon_as_that_is_known() {
        for field in [&[0xff, 0xe0][..], &[0xff], &[0xff, 0, 0]] {
            let mut early = Early::default();
            early.handle_field(field);
            assert_eq!(count(early), Err(PeerFault::SpareBits));
        }
        let mut early = Early::default();
        assert!(early.handle_have(PIECE_COUNT_MAX).is_err());
        early.handle_have(10).unwrap();
        assert!(matches!(count(early), Err(PeerFault::Layout(_))));
    }

    #[test]
    fn have_messages_are_kept_up_to_a_bound() {
        let mut early = Early::default();
        (0..100_000).for_each(|piece| early.handle_have(piece).unwrap());
        assert_eq!(early.held(), HAVE_MAX * 4);
        assert_eq!(early.recount(), (0, HAVE_MAX * 4));
        (0..100).for_each(|piece| early.handle_allowed_fast(piece).unwrap());
        assert_eq!(early.allowed_fast().len(), SUGGEST_MAX);
    }
}
