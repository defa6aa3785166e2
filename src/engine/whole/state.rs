//! Everything that one shard owns, and how one of its swarms is let work.

use crate::base::ids::TorrentId;
use crate::base::instant::Instant;
use crate::base::slots::SlotId;
use crate::engine::announce::udp::UdpTrackers;
use crate::engine::command::Ticket;
use crate::engine::shard_config::EngineConfig;
use crate::engine::swarm::state::Swarm;
use crate::engine::swarms::Swarms;
use crate::engine::turn::Turn;

/// Everything that one shard owns.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(in crate::engine) turn: Turn,
    pub(in crate::engine) swarms: Swarms,
    pub(in crate::engine) udp: UdpTrackers,
    /// When the shard was told to end, and by which command.
    pub(in crate::engine) shutdown: Option<Ticket>,
    /// Swarms that have not heard of it.
    pub(in crate::engine) staying: Vec<SlotId>,
    pub(in crate::engine) now: Instant,
}

impl Engine {
    pub(crate) fn new(config: EngineConfig, now: Instant) -> Engine {
        let udp = UdpTrackers::new(config.settings.allow_private_trackers);
        Engine {
            turn: Turn::new(config),
            swarms: Swarms::default(),
            udp,
            shutdown: None,
            staying: Vec::new(),
            now,
        }
    }

    pub(crate) fn tell<R>(
        &mut self,
        id: TorrentId,
        what: impl FnOnce(&mut Swarm, &mut Turn) -> R,
    ) -> Option<R> {
        let slot = self.swarms.by_id(id)?;
        self.contain(slot, what)
    }

    /// Lets a swarm work, and has it flushed at the end of the turn.
    pub(crate) fn contain<R>(
        &mut self,
        slot: SlotId,
        work: impl FnOnce(&mut Swarm, &mut Turn) -> R,
    ) -> Option<R> {
        self.swarms.contain(self.now, &mut self.turn, slot, work)
    }

    /// Whether the engine was told to end and nothing is left.
    pub(crate) fn is_drained(&self) -> bool {
        self.shutdown.is_some() && self.swarms.len() == 0
    }
}
