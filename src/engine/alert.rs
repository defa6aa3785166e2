//! Alerts: what happened, pulled by the session's owner (A17, B1, B2).

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::ids::ShardId;
use crate::base::ids::TorrentId;
use crate::base::info_hashes::InfoHashes;
use crate::base::shard_turns::TurnPart;
use crate::base::storage_error::StorageError;

/// Something that happened, in the order in which it happened on its shard.
#[derive(Clone, PartialEq, Debug)]
pub struct Alert {
    /// Rises by one per alert of a shard; a gap is announced by [`AlertKind::Lost`].
    pub sequence: u64,
    /// Where it happened.
    pub shard: ShardId,
    /// The torrent concerned, where one is, and all of its names.
    pub torrent: Option<(TorrentId, InfoHashes)>,
    /// What happened.
    pub kind: AlertKind,
}

/// What happened.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum AlertKind {
    /// A torrent was added.
    Added,
    /// A torrent left; its files, if any, stay.
    Removed,
    /// The metadata of a magnet has come from peers: the torrent is known from here on.
    MetadataReceived {
        /// The torrent's name, made safe.
        name: String,
        /// Bytes of all files.
        total_bytes: u64,
        /// Pieces of the torrent.
        piece_count: u32,
    },
    /// The check of existing data ended.
    Checked {
        /// Pieces that passed.
        have_count: u32,
        /// Pieces of the torrent.
        piece_count: u32,
    },
    /// Every wanted piece passed its hash and was written.
    Finished,
    /// The torrent stopped by command.
    Paused,
    /// The torrent goes on.
    Resumed,
    /// The torrent stopped by itself; `resume` tries again.
    Error {
        /// What happened and what to do about it.
        message: String,
    },
    /// A piece passed its hash and was written.
    PieceVerified {
        /// Its index.
        piece: u32,
    },
    /// A piece failed its hash and is fetched again.
    PieceFailed {
        /// Its index.
        piece: u32,
    },
    /// A block is not what its piece's v2 tree says; it alone is fetched again (BEP 52).
    BlockFailed {
        /// Index of its piece.
        piece: u32,
        /// Its number in the piece, in blocks of 16 KiB.
        block: u32,
    },
    /// A file got its last piece and its final name.
    FileCompleted {
        /// Position in the torrent's list of files.
        file: u32,
    },
    /// A peer finished the handshake.
    PeerConnected {
        /// Its address.
        address: SocketAddr,
        /// Whether it connected to us.
        is_inbound: bool,
    },
    /// A peer left or was sent away.
    PeerDisconnected {
        /// Its address.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// A peer lied and may not come back for a while.
    PeerBanned {
        /// Its address.
        address: SocketAddr,
        /// What it did.
        reason: String,
    },
    /// A tracker answered an announce.
    TrackerAnnounced {
        /// Its URL, passkeys redacted.
        url: String,
        /// Peers in its answer.
        peer_count: u32,
    },
    /// A tracker answered with a warning.
    TrackerWarning {
        /// Its URL, passkeys redacted.
        url: String,
        /// What it said.
        message: String,
    },
    /// An announce failed.
    TrackerError {
        /// Its URL, passkeys redacted.
        url: String,
        /// What went wrong.
        message: String,
    },
    /// The shard accepts peers.
    Listening {
        /// At this address (TCP).
        address: SocketAddr,
    },
    /// Hashing instructions of the shard's core computed wrong digests when they were tried at
    /// start: they are not used, and hashing is right but slower. The CPU is faulty.
    HashingFellBack {
        /// Which, as in "SHA-256 by AVX-512 x16".
        left_out: Vec<String>,
    },
    /// [`SendMode::Splice`](crate::SendMode::Splice) was asked for and the shard cannot, or can
    /// no more: it copies.
    SendingFellBack {
        /// What stood against it, and the remedy.
        message: String,
    },
    /// A file of the torrent could not be read or written.
    Storage(StorageError),
    /// The torrent keeps its shard busy: another one, which was idle, serves it too from here on.
    ShardEnlisted {
        /// The other one.
        shard: ShardId,
    },
    /// A shard that helped to serve the torrent does so no more.
    ShardReleased {
        /// That one.
        shard: ShardId,
        /// Why.
        reason: String,
    },
    /// A turn of the shard took more than 5 ms (C9).
    SlowTurn {
        /// How long.
        took: Duration,
        /// What took most of it.
        part: TurnPart,
    },
    /// The shard cannot go on; its torrents answer `Gone` from here on.
    ShardFailed {
        /// What happened and what to do about it.
        message: String,
    },
    /// The reader was too slow: this many alerts of this shard are missing here.
    Lost {
        /// How many.
        count: u64,
    },
}
