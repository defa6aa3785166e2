//! Commands: what the session asks of a shard.

use std::net::SocketAddr;

use crate::base::ids::TorrentId;
use crate::content::wanted::FileChoice;
use crate::engine::add::Addition;

/// Names the reply to a command; the ring keeps who waits for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Ticket(pub(crate) u64);

/// A question or an order. Each gets exactly one reply.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Own this torrent. Replied to at once; opening and checking go on and end in alerts.
    Add(Box<Addition>),
    /// Close peers, let operations end, forget the torrent. Replied to when all of that is done.
    Remove(TorrentId),
    /// Close peers, tell trackers, keep the torrent.
    Pause(TorrentId),
    /// Go on, also after an error.
    Resume(TorrentId),
    /// Hash everything again.
    Recheck(TorrentId),
    /// Try these peers.
    AddPeers(TorrentId, Vec<SocketAddr>),
    /// Announce now, as far as the tracker's minimum interval allows.
    Reannounce(TorrentId),
    /// Ask the tracker for its counts (BEP 48).
    Scrape(TorrentId),
    /// Want these files from here on.
    ChooseFiles(TorrentId, FileChoice),
    /// Each file: its priority, and how much of it is there.
    Files(TorrentId),
    /// Everything about one torrent.
    Status(TorrentId),
    /// Close everything, tell trackers, finish writes. Replied to when nothing is left.
    Shutdown,
}

impl Command {
    /// The torrent that it is about, if it is about one that is there.
    pub(crate) fn torrent(&self) -> Option<TorrentId> {
        match self {
            Command::Add(_) | Command::Shutdown => None,
            Command::Remove(id)
            | Command::Pause(id)
            | Command::Resume(id)
            | Command::Recheck(id)
            | Command::AddPeers(id, _)
            | Command::Reannounce(id)
            | Command::Scrape(id)
            | Command::ChooseFiles(id, _)
            | Command::Files(id)
            | Command::Status(id) => Some(*id),
        }
    }
}
