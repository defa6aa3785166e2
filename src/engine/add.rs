//! What a shard is told about a torrent that it shall own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::base::ids::TorrentId;
use crate::base::published::Published;
use crate::base::status::TorrentStats;
use crate::content::torrent::Torrent;
use crate::content::wanted::FileChoice;

/// How file space is reserved before writing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Allocation {
    /// `fallocate` the whole file when it is created (the default): no fragmentation, and a full
    /// disk is noticed at once. Falls back to sparse where the file system cannot.
    #[default]
    Full,
    /// Space is taken as pieces are written.
    Sparse,
}

/// Which way pieces go to the disk.
///
/// Past the page cache (O_DIRECT) a write costs a fraction of the CPU and crowds nothing out of
/// memory, but what was just downloaded is read from the device when a peer asks for it. What is
/// not aligned to 4 KiB in both file and piece goes through the page cache in any case, as does
/// everything where the file system knows no other way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WriteMode {
    /// Writes of 1 MiB go past the page cache while every connected peer has everything or wants
    /// nothing; the others go through it, from where peers are served (the default).
    #[default]
    Auto,
    /// All through the page cache: the system writes them back in an order that suits the device.
    /// For slow disks with heads.
    Cached,
    /// Past the page cache wherever that is possible, from 64 KiB on.
    Direct,
}

/// In which order pieces are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PieceOrder {
    /// Rarest first (the default): best for the swarm.
    #[default]
    RarestFirst,
    /// Lowest index first.
    Sequential,
}

/// What a magnet link brought, beside its names and trackers.
#[derive(Clone, Debug, Default)]
pub(crate) struct MagnetHints {
    /// Peers to try; forgotten if the torrent is private (BEP 27).
    pub(crate) peers: Vec<SocketAddr>,
    /// The same by name and port: resolved first.
    pub(crate) hosts: Vec<(String, u16)>,
    pub(crate) web_seeds: Vec<String>,
}

/// Where the shard publishes what a torrent is; `None` while that is not known.
pub(crate) type Known = Published<Option<Arc<Torrent>>>;

/// Everything a shard needs to own a torrent.
#[derive(Clone, Debug)]
pub(crate) struct Addition {
    pub(crate) id: TorrentId,
    pub(crate) torrent: Arc<Torrent>,
    /// The directory below which the torrent's files lie.
    pub(crate) directory: Arc<Path>,
    pub(crate) allocation: Allocation,
    pub(crate) write_mode: WriteMode,
    pub(crate) order: PieceOrder,
    pub(crate) is_paused: bool,
    /// Which files are wanted.
    pub(crate) choice: FileChoice,
    /// `torrent` is nameless: its metadata is fetched from peers first.
    pub(crate) magnet: Option<Box<MagnetHints>>,
    pub(crate) known: Arc<Known>,
    /// Peers given by hand.
    pub(crate) peers: Vec<SocketAddr>,
    /// Where the shard publishes the torrent's figures, at most every 200 ms and only when they
    /// changed.
    pub(crate) stats: Arc<Published<TorrentStats>>,
}
