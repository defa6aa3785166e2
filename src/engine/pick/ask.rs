//! The words between the picker and its owner: who asks for what, and what becomes of a block.

use smallvec::SmallVec;

use crate::base::bitfield::Bitfield;
use crate::base::ids::BlockIndex;
use crate::base::ids::PieceIndex;

/// A peer as its owner numbers it. The number must not be used again before all that the peer was
/// asked for has been released.
pub(crate) type PeerKey = u32;

/// The peers that a block is asked of at once: end game triples the traffic of a block at worst.
pub(crate) const ASKER_MAX: usize = 3;

/// What a peer has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Has<'a> {
    /// Everything.
    All,
    /// These pieces.
    Some(&'a Bitfield),
}

impl Has<'_> {
    pub(crate) fn has(&self, piece: u32) -> bool {
        match self {
            Has::All => true,
            Has::Some(field) => field.get(piece),
        }
    }
}

/// Whether a peer shares its pieces with others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Share {
    /// Blocks of a piece come from whoever is there: pieces end soonest.
    Shared,
    /// Pieces of its own, for peers under suspicion (blame is exact) or very fast ones. When no
    /// other piece is left to start, sharing is better than waiting.
    Whole,
}

/// One peer's wish for blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) peer: PeerKey,
    pub(crate) has: Has<'a>,
    /// Blocks wanted at most.
    pub(crate) want: usize,
    pub(crate) share: Share,
    /// Only these pieces: the allowed-fast set of a peer that chokes us (BEP 6). Short.
    pub(crate) only: Option<&'a [PieceIndex]>,
}

impl Ask<'_> {
    pub(crate) fn allows(&self, piece: PieceIndex) -> bool {
        self.has.has(piece.as_u32()) && self.only.is_none_or(|only| only.contains(&piece))
    }
}

/// Blocks handed out, in the order in which they should be asked for.
pub(crate) type Picks = Vec<(PieceIndex, BlockIndex)>;

/// What to do with a block that begins to arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Accept {
    /// Receive it: nobody else's bytes are taken until it is received or released.
    Take,
    /// Skip its bytes. The request counts as answered; it must not be released any more.
    Discard,
}

/// Why a peer no longer owes a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Release {
    /// It took too long or was rejected: another peer should be asked first.
    Late,
    /// The peer choked us, left, or was never sent the request.
    Lost,
}

/// What follows from a received block.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Received {
    /// All blocks of the piece are here: hash it.
    pub(crate) piece_is_complete: bool,
    /// Others who were asked for the block: send them `cancel`; they owe it no longer.
    pub(crate) cancel: SmallVec<[PeerKey; 4]>,
}
