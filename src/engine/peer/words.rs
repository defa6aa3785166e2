//! What a peer's bytes mean: the words between a peer and its swarm.

use crate::base::ids::BlockIndex;
use crate::base::ids::PieceIndex;
use crate::codec::hash_request::HashRequest;
use crate::engine::peer::pieces::Pieces;

/// What a peer's bytes mean to its swarm.
#[derive(Debug)]
pub(crate) enum PeerEvent<'i> {
    /// It chokes us: these requests will not be answered (empty with the fast extension, where it
    /// rejects each one).
    Choked(Vec<(PieceIndex, BlockIndex)>),
    Unchoked,
    /// Whether it wants something of us changed.
    InterestChanged,
    /// It has one more piece.
    Has(PieceIndex),
    /// It told all it has.
    HasSet,
    /// It told all it has again, and has more than it had before, which this was.
    HasMore(Pieces),
    /// A request was queued.
    Requested,
    /// A block's header came, and whether we asked for it.
    BlockStart {
        piece: PieceIndex,
        block: BlockIndex,
        was_asked: bool,
    },
    BlockBytes(&'i [u8]),
    BlockEnd,
    /// It will not answer this request.
    Rejected(PieceIndex, BlockIndex),
    /// It allows this piece even while it chokes us.
    AllowedFast,
    /// It told its client name, queue length or that it only uploads.
    Introduced,
    /// It told something of its pieces that is kept until the layout is known.
    EarlyTold,
    /// It asks for a part of the metadata.
    MetadataWanted(u32),
    /// It sent what it says is a part of the metadata.
    Metadata {
        part: u32,
        total_size: Option<u32>,
        bytes: Box<[u8]>,
    },
    /// It does not give us a part of the metadata.
    MetadataRejected(u32),
    /// It asked for hashes of a file's tree.
    HashesWanted,
    /// It sent hashes of a file's tree.
    Hashes {
        request: HashRequest,
        hashes: Box<[u8]>,
    },
    /// It does not give us these hashes.
    HashesRejected(HashRequest),
    /// Nothing for the swarm.
    Nothing,
}

/// A block whose bytes are arriving.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receiving {
    pub(crate) piece: PieceIndex,
    pub(crate) block: BlockIndex,
    /// Bytes of it that have come.
    pub(crate) position: u32,
    /// Whether they are kept or passed over.
    pub(crate) is_taken: bool,
}
