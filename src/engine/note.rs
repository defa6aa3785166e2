//! Notes: what shards tell each other about a torrent that several of them serve.
//!
//! The owner of a complete torrent that keeps it busy asks an idle shard to serve the same files:
//! that shard's part is an annex. The owner grants shares for a short while, again and again; the
//! annex answers each grant with a report. Whoever hears nothing for `ANNEX_TIMEOUT` gives the
//! other up, so a lost note costs time and nothing else.

use std::path::Path;
use std::sync::Arc;

use crate::base::ids::TorrentId;
use crate::base::published::Published;
use crate::base::status::PeerStatus;
use crate::base::status::TorrentStats;
use crate::base::storage_error::StorageError;
use crate::content::torrent::Torrent;
use crate::content::wanted::FileChoice;
use crate::engine::add::Addition;
use crate::engine::add::Allocation;
use crate::engine::add::PieceOrder;
use crate::engine::add::WriteMode;

/// Something for another shard.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) torrent: TorrentId,
    /// Which annex: each enlistment by an owner has another number, so that a note that comes late
    /// is not taken for one about its successor.
    pub(crate) term: u32,
    pub(crate) word: Word,
}

/// What it says.
#[derive(Debug)]
pub(crate) enum Word {
    /// To a helper: serve this torrent too. Answered by reports, or by `Ended`.
    Enlist(Box<Enlistment>),
    /// To a helper: go on, with this share.
    Grant(Grant),
    /// To a helper: no more. Its peers go back to the owner, or are closed. Answered by `Ended`.
    CallOff { keeps_peers: bool },
    /// To the owner: how it goes; the answer to a grant.
    Report(Box<Report>),
    /// To the owner, last of all: the annex is gone.
    Ended(Box<Ending>),
}

/// What a helper needs to serve a torrent.
#[derive(Debug)]
pub(crate) struct Enlistment {
    pub(crate) torrent: Arc<Torrent>,
    pub(crate) directory: Arc<Path>,
    pub(crate) allocation: Allocation,
    /// The same as the owner's: to peers they are one.
    pub(crate) peer_id: [u8; 20],
    pub(crate) grant: Grant,
}

impl Enlistment {
    /// The torrent as the helper adds it: nobody looks at what it publishes.
    pub(crate) fn addition(&self, id: TorrentId) -> Addition {
        let stats = TorrentStats::new(id, self.torrent.info_hashes());
        Addition {
            id,
            torrent: Arc::clone(&self.torrent),
            directory: Arc::clone(&self.directory),
            allocation: self.allocation,
            // Helpers write nothing.
            write_mode: WriteMode::default(),
            order: PieceOrder::default(),
            is_paused: false,
            choice: FileChoice::All,
            magnet: None,
            known: Arc::new(Published::new(None)),
            peers: Vec::new(),
            stats: Arc::new(Published::new(stats)),
        }
    }
}

/// What an annex may hand out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Grant {
    /// Peers that may be unchoked.
    pub(crate) slots: u32,
    /// Peers that may be connected.
    pub(crate) peers_max: u32,
    /// Peers that the owner wants back now, because they have it better there.
    pub(crate) give_back: u32,
}

/// How an annex is doing.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Report {
    /// Its files are open: it takes peers.
    pub(crate) is_ready: bool,
    pub(crate) peer_count: u32,
    pub(crate) seed_count: u32,
    pub(crate) interested_count: u32,
    /// Connections for which its shard has room.
    pub(crate) room: u32,
    /// Payload sent since it began.
    pub(crate) uploaded: u64,
    pub(crate) upload_rate: u64,
    /// Its peers; not in every report.
    pub(crate) peers: Option<Vec<PeerStatus>>,
}

/// How an annex ended.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Ending {
    /// Payload sent while it was there.
    pub(crate) uploaded: u64,
    /// Why.
    pub(crate) reason: String,
    /// The files could not be read: the owner cannot go on either.
    pub(crate) storage: Option<StorageError>,
}

impl Ending {
    /// The answer to a word about an annex that is not there.
    pub(crate) fn refusal(torrent: TorrentId, term: u32, reason: &str) -> Note {
        let ending = Ending { uploaded: 0, reason: reason.to_owned(), storage: None };
        Note { torrent, term, word: Word::Ended(Box::new(ending)) }
    }
}
