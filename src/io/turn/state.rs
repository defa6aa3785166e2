//! A pump: what one shard drives, and what it remembers from turn to turn.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::Sender;

use crate::base::ids::ShardId;
use crate::base::instant::Instant;
use crate::base::published::Published;
use crate::base::shard_turns::TurnPart;
use crate::base::status::ShardStats;
use crate::engine::Engine;
use crate::engine::command::Ticket;
use crate::engine::hasher::HashingLeft;
use crate::engine::to_ring::ConnId;
use crate::engine::to_ring::Reply;
use crate::io::alert_queue::AlertSender;
use crate::io::clock::Clock;
use crate::io::link::Inbox;
use crate::io::link::ShardLink;
use crate::io::ring::Ring;
use crate::io::sockets::state::Sockets;
use crate::io::sockets::udp::Udp;
use crate::io::store::state::Store;
use crate::io::trackers::HttpPool;
use crate::io::turn::load::LoadMeter;
use crate::io::turn::meter::TurnMeter;
use crate::io::turn::pace::Pace;
use crate::io::turn::passes::Passes;
use crate::io::turn::quiet::Trimmer;

/// What a pump is made of. Everything in it belongs to the shard's thread.
pub(crate) struct Parts {
    pub(crate) shard: ShardId,
    pub(crate) engine: Engine,
    pub(crate) ring: Ring,
    pub(crate) sockets: Sockets,
    pub(crate) udp: Udp,
    pub(crate) store: Store,
    pub(crate) inbox: Inbox,
    /// The ways into all shards, this one included.
    pub(crate) links: Vec<ShardLink>,
    pub(crate) http: Arc<HttpPool>,
    pub(crate) alerts: AlertSender,
    /// The figures of all shards; its own are written here.
    pub(crate) stats: Vec<Arc<Published<ShardStats>>>,
    pub(crate) clock: Clock,
}

/// One shard at work.
pub(crate) struct Pump {
    pub(super) parts: Parts,
    pub(super) bell: Rc<OwnedFd>,
    /// Blocks that go out with the next submission.
    pub(super) sent_blocks: usize,
    pub(super) remotes: BTreeMap<ConnId, SocketAddr>,
    pub(super) tickets: BTreeMap<Ticket, Sender<Reply>>,
    pub(super) next_ticket: u64,
    pub(super) meter: TurnMeter,
    pub(super) pace: Pace,
    /// The turn ended before everything was done that can be done now.
    pub(super) is_behind: bool,
    pub(super) hashing: HashingLeft,
    pub(super) passes: Passes,
    pub(super) publish_at: Instant,
    pub(super) load: LoadMeter,
    pub(super) trimmer: Trimmer,
    /// Something happened that the published figures do not show.
    pub(super) has_news: bool,
}

impl Pump {
    pub(crate) fn new(mut parts: Parts) -> io::Result<Pump> {
        let bell = Rc::new(parts.inbox.bell().event()?);
        parts.ring.wake(Rc::clone(&bell));
        let now = parts.clock.now();
        Ok(Pump {
            parts,
            bell,
            sent_blocks: 0,
            remotes: BTreeMap::new(),
            tickets: BTreeMap::new(),
            next_ticket: 0,
            meter: TurnMeter::new(),
            pace: Pace::new(),
            is_behind: false,
            hashing: HashingLeft::Nothing,
            passes: Passes::new(now),
            publish_at: now,
            load: LoadMeter::new(now),
            trimmer: Trimmer::new(),
            has_news: true,
        })
    }

    pub(super) fn lap(&mut self, part: TurnPart) -> Duration {
        self.meter.lap(self.parts.clock.now(), part)
    }

    /// How old the turn is.
    pub(super) fn age(&self) -> Duration {
        self.meter.elapsed(self.parts.clock.now())
    }
}
