//! What one case is: who seeds, who leeches, how they meet and what they exchange.

use std::time::Duration;

use crate::engine::Engine;
use crate::payload::Shape;

/// How the peers of a case learn of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meet {
    /// All announce to an opentracker over HTTP.
    HttpTracker,
    /// All announce to an opentracker over UDP.
    UdpTracker,
    /// The leech announces to a tracker of ours over HTTPS, which names the seed.
    HttpsTracker,
    /// The leech is given the seed's address.
    LeechDials,
    /// The seed is given the leech's address.
    SeedDials,
}

/// Which versions of the protocol the torrent speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    V1,
    V2,
    Hybrid,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Hybrid => "hybrid",
        }
    }
}

/// What a leech knows of the torrent at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// The .torrent file.
    File,
    /// A magnet link with the v1 hash.
    Btih,
    /// A magnet link with the v2 hash.
    Btmh,
    /// A magnet link with both.
    Both,
}

impl Link {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Btih => "btih",
            Self::Btmh => "btmh",
            Self::Both => "btih-and-btmh",
        }
    }
}

/// What happens in a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plot {
    /// Everyone starts, every leech finishes.
    Straight,
    /// The one leech is ended by SIGTERM when half is there, and started again.
    Restart,
}

/// One row of the table.
pub(crate) struct Case {
    /// What the filter matches and the report prints.
    pub(crate) name: String,
    pub(crate) seed: Engine,
    pub(crate) leeches: Vec<(Engine, Link)>,
    pub(crate) kind: Kind,
    pub(crate) meet: Meet,
    pub(crate) shape: Shape,
    pub(crate) plot: Plot,
    /// From the start of the first program to the end of the last comparison.
    pub(crate) deadline: Duration,
}
