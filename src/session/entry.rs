//! One torrent as the session knows it: what its handles share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::base::ids::ShardId;
use crate::base::ids::TorrentId;
use crate::base::published::Published;
use crate::base::status::TorrentStats;
use crate::content::torrent::Torrent;
use crate::engine::add::Known;

/// A torrent's identity and figures. Shared by the registry and all handles.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: TorrentId,
    pub(crate) shard: ShardId,
    /// As it was added: nameless if that was a magnet.
    pub(crate) torrent: Arc<Torrent>,
    pub(crate) known: Arc<Known>,
    pub(crate) stats: Arc<Published<TorrentStats>>,
    is_gone: AtomicBool,
}

impl Entry {
    pub(crate) fn new(id: TorrentId, shard: ShardId, torrent: Arc<Torrent>) -> Entry {
        let stats = Arc::new(Published::new(first_stats(id, &torrent)));
        // Every torrent has an `info` dictionary but one that is known by name alone.
        let is_known = !torrent.info_bytes().is_empty();
        let known = Arc::new(Published::new(is_known.then(|| Arc::clone(&torrent))));
        Entry { id, shard, torrent, known, stats, is_gone: AtomicBool::new(false) }
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    /// From here on every handle says `Gone`.
    pub(crate) fn set_gone(&self) {
        self.is_gone.store(true, Ordering::Release);
    }
}

/// What is published until the shard has had its first look.
fn first_stats(id: TorrentId, torrent: &Torrent) -> TorrentStats {
    TorrentStats {
        piece_count: torrent.piece_count(),
        total_bytes: torrent.total_length(),
        wanted_bytes: torrent.total_length(),
        ..TorrentStats::new(id, torrent.info_hashes())
    }
}
