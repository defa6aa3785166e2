//! What a peer says it has.

use crate::base::bitfield::Bitfield;
use crate::base::ids::PieceIndex;

/// A late bitfield counts as one control message for each so many pieces: the allowance of a peer
/// is then at most 1.6 million pieces to pass over per second.
pub(crate) const PIECES_PER_CHARGE: u32 = 8_192;

/// The pieces of one peer; `All` costs no memory, which is what seeds deserve.
#[derive(Clone, Debug)]
pub(crate) enum Pieces {
    All { piece_count: u32 },
    Some(Bitfield),
}

impl Pieces {
    pub(crate) fn none(piece_count: u32) -> Pieces {
        Pieces::Some(Bitfield::zeros(piece_count))
    }

    pub(crate) fn has(&self, piece: PieceIndex) -> bool {
        match self {
            Pieces::All { .. } => true,
            Pieces::Some(field) => field.get(piece.as_u32()),
        }
    }

    /// True if that was news.
    pub(crate) fn set(&mut self, piece: PieceIndex) -> bool {
        match self {
            Pieces::All { .. } => false,
            Pieces::Some(field) => field.set(piece.as_u32()),
        }
    }

    /// Adds what `more` has. Gives what was there before if that changed anything.
    pub(crate) fn grow(&mut self, more: Pieces) -> Option<Pieces> {
        let Pieces::Some(ours) = self else { return None };
        let grown = match more {
            Pieces::All { .. } => more,
            Pieces::Some(mut field) => {
                ours.iter_ones().for_each(|bit| _ = field.set(bit));
                if field.count_ones() == ours.count_ones() {
                    return None;
                }
                Pieces::Some(field)
            }
        };
        Some(std::mem::replace(self, grown))
    }

    /// The pieces that it has and `field` too.
    pub(crate) fn common(&self, field: &Bitfield) -> Bitfield {
        match self {
            Pieces::All { .. } => field.clone(),
            Pieces::Some(ours) => ours.and(field),
        }
    }

    pub(crate) fn is_all(&self) -> bool {
        match self {
            Pieces::All { .. } => true,
            Pieces::Some(field) => field.is_full(),
        }
    }

    pub(crate) fn count(&self) -> u32 {
        match self {
            Pieces::All { piece_count } => *piece_count,
            Pieces::Some(field) => field.count_ones(),
        }
    }

    /// The set, unless it is everything.
    pub(crate) fn field(&self) -> Option<&Bitfield> {
        match self {
            Pieces::All { .. } => None,
            Pieces::Some(field) => Some(field),
        }
    }
}
