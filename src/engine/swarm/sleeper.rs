//! A torrent asleep: whole, without peers and with nothing under way, reduced to what only it
//! knows. Everything else follows from its description when it wakes.

use std::path::Path;
use std::sync::Arc;

use crate::base::ids::TorrentId;
use crate::base::instant::Instant;
use crate::base::published::Published;
use crate::base::rate::Rate;
use crate::base::status::TorrentStats;
use crate::content::torrent::Torrent;
use crate::content::wanted::FileChoice;
use crate::engine::add::Addition;
use crate::engine::add::Allocation;
use crate::engine::add::Known;
use crate::engine::add::PieceOrder;
use crate::engine::add::WriteMode;
use crate::engine::announce::Announcer;
use crate::engine::candidates::Candidates;

/// See the module.
#[derive(Debug)]
pub(crate) struct Sleeper {
    pub(crate) id: TorrentId,
    pub(super) torrent: Arc<Torrent>,
    pub(super) directory: Arc<Path>,
    pub(super) known: Arc<Known>,
    pub(super) stats: Arc<Published<TorrentStats>>,
    /// `None` without trackers.
    pub(super) announcer: Option<Box<Announcer>>,
    /// `None` when nobody is known or banned.
    pub(super) candidates: Option<Box<Candidates>>,
    /// `None` when nothing ever went either way.
    pub(super) totals: Option<Box<Totals>>,
    /// The engine's timer for it: when it wakes by itself.
    pub(super) timer: Option<Instant>,
    pub(super) peer_id: [u8; 20],
    pub(super) allocation: Allocation,
    pub(super) write_mode: WriteMode,
    pub(super) order: PieceOrder,
    pub(super) is_upload_only: bool,
    pub(super) has_announced_stop: bool,
}

/// What went either way.
#[derive(Debug)]
pub(crate) struct Totals {
    pub(super) received: Rate,
    pub(super) sent: Rate,
    pub(super) wasted: u64,
}

impl Sleeper {
    /// What it is added with when it wakes.
    pub(super) fn addition(&self) -> Addition {
        Addition {
            id: self.id,
            torrent: Arc::clone(&self.torrent),
            directory: Arc::clone(&self.directory),
            allocation: self.allocation,
            write_mode: self.write_mode,
            order: self.order,
            is_paused: false,
            choice: FileChoice::All,
            magnet: None,
            known: Arc::clone(&self.known),
            peers: Vec::new(),
            stats: Arc::clone(&self.stats),
        }
    }
}
