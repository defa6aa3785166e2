//! Status: what a torrent, a tracker, a peer and a shard look like from outside.

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::digest::Sha1;
use crate::base::ids::Priority;
use crate::base::ids::ShardId;
use crate::base::ids::TorrentId;
use crate::base::info_hashes::InfoHashes;
use crate::base::shard_turns::ShardTurns;

/// What a torrent is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TorrentState {
    /// Fetching from peers what a magnet link does not tell: files, sizes and hashes.
    Metadata,
    /// Looking at its files.
    Opening,
    /// Hashing what is on disk.
    Checking,
    /// Fetching pieces.
    Downloading,
    /// Every wanted piece is there, serving peers. Where not all files are wanted,
    /// [`TorrentStats::have_count`] below [`TorrentStats::piece_count`] tells a partial seed.
    Seeding,
    /// Stopped by command.
    Paused,
    /// Stopped by an error; see [`TorrentStatus::error`].
    Error,
}

/// The figures of one torrent, as published at most 200 ms ago (D15).
#[derive(Clone, PartialEq, Debug)]
pub struct TorrentStats {
    /// The torrent.
    pub id: TorrentId,
    /// Its names, one for each version of the protocol that it speaks.
    pub info_hashes: InfoHashes,
    /// What it is doing.
    pub state: TorrentState,
    /// Pieces of the torrent.
    pub piece_count: u32,
    /// Pieces that passed their hash and are written.
    pub have_count: u32,
    /// Bytes of the pieces that we have.
    pub have_bytes: u64,
    /// Bytes of the torrent.
    pub total_bytes: u64,
    /// Bytes of the files that are wanted, padding excluded.
    pub wanted_bytes: u64,
    /// How many of those lie in pieces that we have.
    pub wanted_have_bytes: u64,
    /// Pieces looked at so far by a running check.
    pub checked_count: u32,
    /// Payload bytes received since the torrent was added, wasted ones included.
    pub downloaded: u64,
    /// Payload bytes sent since the torrent was added.
    pub uploaded: u64,
    /// Payload bytes received that were of no use: duplicates, or of pieces that failed.
    pub wasted: u64,
    /// Payload bytes per second received lately.
    pub download_rate: u64,
    /// Payload bytes per second sent lately.
    pub upload_rate: u64,
    /// Peers connected.
    pub peer_count: u32,
    /// Peers connected that have every piece.
    pub seed_count: u32,
    /// Peers known and not connected.
    pub candidate_count: u32,
    /// Blocks asked for and not received.
    pub outstanding_count: u32,
    /// The shards that serve it, its owner first. Empty while its owner serves it alone.
    pub shards: Vec<ShardShare>,
}

/// What one shard does for a torrent that several serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardShare {
    /// The shard.
    pub shard: ShardId,
    /// Peers connected to it.
    pub peer_count: u32,
    /// Payload bytes that it sent since it began to serve the torrent.
    pub uploaded: u64,
    /// Payload bytes per second that it sent lately.
    pub upload_rate: u64,
}

impl TorrentStats {
    /// Before the shard has had its first look.
    pub(crate) fn new(id: TorrentId, info_hashes: InfoHashes) -> TorrentStats {
        TorrentStats {
            id,
            info_hashes,
            state: TorrentState::Opening,
            piece_count: 0,
            have_count: 0,
            have_bytes: 0,
            total_bytes: 0,
            wanted_bytes: 0,
            wanted_have_bytes: 0,
            checked_count: 0,
            downloaded: 0,
            uploaded: 0,
            wasted: 0,
            download_rate: 0,
            upload_rate: 0,
            peer_count: 0,
            seed_count: 0,
            candidate_count: 0,
            outstanding_count: 0,
            shards: Vec::new(),
        }
    }
}

/// Everything about one torrent: the reply to a question.
#[derive(Clone, PartialEq, Debug)]
pub struct TorrentStatus {
    /// Its figures, fresh.
    pub stats: TorrentStats,
    /// Why it stopped, if it did.
    pub error: Option<String>,
    /// Its trackers in tier order.
    pub trackers: Vec<TrackerStatus>,
    /// Its peers.
    pub peers: Vec<PeerStatus>,
}

/// One file of a torrent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileStatus {
    /// How much it is wanted. Padding has that of the file before it.
    pub priority: Priority,
    /// Its bytes.
    pub length: u64,
    /// Bytes of it in pieces that passed their hash and are written.
    pub have_bytes: u64,
}

/// Why an announce failed (G7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TrackerErrorClass {
    /// The host name did not resolve.
    Dns,
    /// No connection.
    Connect,
    /// The certificate or the TLS handshake was refused.
    Tls,
    /// No answer in time.
    Timeout,
    /// An HTTP status other than success.
    Http,
    /// The answer was not understood.
    Parse,
    /// The tracker said no (`failure reason`).
    Tracker,
}

/// One tracker as one torrent sees it (G7).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrackerStatus {
    /// Its URL, passkeys redacted.
    pub url: String,
    /// The swarm that it is asked about: a hybrid is announced under both of its names, v2
    /// truncated to 20 bytes (BEP 52), and has an entry for each.
    pub info_hash: Sha1,
    /// Its tier; 0 is asked first.
    pub tier: u32,
    /// Time since the last announce that was answered.
    pub last_announce: Option<Duration>,
    /// Time until the next announce.
    pub next_announce: Option<Duration>,
    /// Failures since the last success.
    pub fails_in_a_row: u32,
    /// What went wrong last, if the last announce failed.
    pub error: Option<(TrackerErrorClass, String)>,
    /// Status of the last HTTP answer.
    pub http_status: Option<u16>,
    /// What the tracker warned of last.
    pub warning: Option<String>,
    /// Seeds that the tracker knows.
    pub seeders: Option<u32>,
    /// Leechers that the tracker knows.
    pub leechers: Option<u32>,
    /// Completed downloads that the tracker counted.
    pub downloaded: Option<u32>,
}

/// One connected peer.
#[derive(Clone, PartialEq, Debug)]
pub struct PeerStatus {
    /// Where it is.
    pub address: SocketAddr,
    /// What it calls itself: `v` of its extension handshake, or its peer id's prefix.
    pub client: String,
    /// Whether it connected to us.
    pub is_inbound: bool,
    /// Pieces that it has.
    pub have_count: u32,
    /// Payload bytes per second received from it lately.
    pub download_rate: u64,
    /// Payload bytes per second sent to it lately.
    pub upload_rate: u64,
    /// Payload bytes received from it.
    pub downloaded: u64,
    /// Payload bytes sent to it.
    pub uploaded: u64,
    /// Whether we choke it.
    pub is_choked: bool,
    /// Whether it chokes us.
    pub chokes_us: bool,
    /// Whether it wants something of ours.
    pub is_interested: bool,
    /// Whether we want something of it.
    pub wants_us: bool,
    /// Whether it stopped answering requests.
    pub is_snubbed: bool,
    /// Blocks asked of it and not received.
    pub outstanding_count: u32,
}

/// The figures of one shard.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ShardStats {
    /// Torrents it owns.
    pub torrent_count: u32,
    /// Torrents of other shards that it helps to serve.
    pub annex_count: u32,
    /// Time in which it ran or waited for its core, in thousandths of the last second.
    pub busy_permille: u32,
    /// Connections it owns, handshakes included.
    pub connection_count: u32,
    /// Payload bytes received.
    pub downloaded: u64,
    /// Payload bytes sent.
    pub uploaded: u64,
    /// Bytes read for peers because they were not in memory. Divided by `uploaded` that is the read
    /// amplification.
    pub upload_read: u64,
    /// Bytes sent without a copy, block headers and small messages among them included.
    pub upload_spliced: u64,
    /// Bytes of the assembly budget in use.
    pub assembly_used: u64,
    /// Bytes that it had other shards hash, because its turns were full.
    pub hashed_by_others: u64,
    /// Bytes that it hashed for other shards, because it had time.
    pub hashed_for_others: u64,
    /// How long its turns took.
    pub turns: ShardTurns,
}
