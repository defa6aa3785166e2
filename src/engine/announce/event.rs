//! What an announcer wants done, and what it has to tell.

use std::net::IpAddr;
use std::net::SocketAddr;

use crate::base::digest::Sha1;
use crate::base::ids::TorrentId;
use crate::codec::announce::AnnounceReply;
use crate::codec::announce::AnnounceRequest;
use crate::codec::announce::ScrapeCounts;

/// Drained after every `handle_*` of an announcer. A token is the announcer's own: it names a
/// question and is never used twice by one announcer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum AnnounceEvent {
    /// GET this URL; answered by `handle_http`.
    Http { token: u32, url: String },
    /// For the shard's `UdpTrackers`; answered by `handle_udp`.
    Udp { token: u32, ask: UdpAsk },
    /// A tracker named these peers of this swarm: unchecked, duplicates and ourselves included.
    Peers(Sha1, Vec<SocketAddr>),
    /// A tracker sees us at this address (BEP 24).
    ExternalIp(IpAddr),
    /// For an alert: an announce was answered.
    Announced { url: String, peer_count: u32 },
    /// For an alert: an answer carried a warning.
    Warning { url: String, message: String },
    /// For an alert: an announce failed.
    Error { url: String, message: String },
    /// After `stop`: every tracker that knew us was told, or the time for it is over.
    Stopped,
}

/// A question to a UDP tracker (BEP 15).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct UdpAsk {
    /// Name or address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Path and query of the announce URL, for trackers that tell users by it (BEP 41).
    pub(crate) url_data: String,
    pub(crate) what: UdpWhat,
}

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum UdpWhat {
    Announce(AnnounceRequest),
    Scrape(Sha1),
}

/// What a UDP tracker answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum UdpAnswer {
    Announced(AnnounceReply),
    Scraped(ScrapeCounts),
}

/// Whose question to a UDP tracker it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct UdpKey {
    pub(crate) torrent: TorrentId,
    /// The announcer's.
    pub(crate) token: u32,
}
