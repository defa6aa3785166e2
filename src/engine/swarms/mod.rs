//! The swarms of a shard: found by id and by hash, worked on one at a time, each panic contained.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use hashbrown::HashMap;

use crate::base::digest::Sha1;
use crate::base::ids::ShardId;
use crate::base::ids::TorrentId;
use crate::base::instant::Instant;
use crate::base::slots::SlotId;
use crate::base::slots::Slots;
use crate::engine::add::Addition;
use crate::engine::directory::Directory;
use crate::engine::swarm::state::Phase;
use crate::engine::swarm::state::Swarm;
use crate::engine::turn::Turn;

/// What a torrent's owner is told after a contained panic.
const CONTAINED: &str =
    "a bug in the engine was contained; please report it, then resume the torrent";

/// All swarms, who has something due this turn, and when each wakes.
#[derive(Debug, Default)]
pub(crate) struct Swarms {
    all: Slots<Swarm>,
    by_id: BTreeMap<TorrentId, SlotId>,
    by_hash: HashMap<Sha1, SlotId>,
    /// Swarms with something due this turn.
    due: VecDeque<SlotId>,
    /// Swarms that a budget refused.
    starved: BTreeSet<SlotId>,
    timers: BTreeSet<(Instant, SlotId)>,
}

impl Swarms {
    pub(crate) fn insert(&mut self, now: Instant, turn: &mut Turn, addition: Addition) -> SlotId {
        let (id, names) = (addition.id, addition.torrent.info_hashes());
        let slot = self.all.insert_with(|slot| Swarm::new(slot, addition, now, turn));
        self.by_id.insert(id, slot);
        self.by_hash.extend(names.swarms().map(|name| (name, slot)));
        slot
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn get(&self, slot: SlotId) -> Option<&Swarm> {
        self.all.get(slot)
    }

    pub(crate) fn by_id(&self, id: TorrentId) -> Option<SlotId> {
        self.by_id.get(&id).copied()
    }

    /// By any of its names.
    pub(crate) fn by_hash(&self, info_hash: &Sha1) -> Option<SlotId> {
        self.by_hash.get(info_hash).copied()
    }

    pub(crate) fn slots(&self) -> Vec<SlotId> {
        self.all.iter().map(|(slot, _)| slot).collect()
    }

    /// Lets a swarm work, and has it flushed at the end of the turn.
    pub(crate) fn contain<R>(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        slot: SlotId,
        work: impl FnOnce(&mut Swarm, &mut Turn) -> R,
    ) -> Option<R> {
        self.mark(slot);
        self.contain_quietly(now, turn, slot, work)
    }

    /// Lets a swarm work. If it panics, that torrent goes to its error state; the others and the
    /// shard live on (D20).
    pub(crate) fn contain_quietly<R>(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        slot: SlotId,
        work: impl FnOnce(&mut Swarm, &mut Turn) -> R,
    ) -> Option<R> {
        let swarm = self.all.get_mut(slot)?;
        let result = catch_unwind(AssertUnwindSafe(|| work(swarm, turn)));
        if result.is_err() {
            break_swarm(now, turn, swarm);
        }
        result.ok()
    }

    pub(crate) fn mark(&mut self, slot: SlotId) {
        if let Some(swarm) = self.all.get_mut(slot)
            && !swarm.is_due
        {
            swarm.is_due = true;
            self.due.push_back(slot);
        }
    }

    /// The next swarm to be flushed.
    pub(crate) fn pop_due(&mut self) -> Option<SlotId> {
        let slot = self.due.pop_front()?;
        if let Some(swarm) = self.all.get_mut(slot) {
            swarm.is_due = false;
        }
        Some(slot)
    }

    /// Something came back to a budget: whoever was refused asks again.
    pub(crate) fn feed_starved(&mut self, now: Instant, turn: &mut Turn) {
        while let Some(slot) = self.starved.pop_first() {
            self.contain(now, turn, slot, |swarm, _| {
                swarm.is_starved = false;
                swarm.mark_all();
            });
        }
    }

    /// The swarm was flushed: sees to its timer and to its hunger. A swarm that has left is
    /// returned.
    pub(crate) fn settle(
        &mut self,
        slot: SlotId,
        (directory, shard): (&Directory, ShardId),
    ) -> Option<Swarm> {
        let swarm = self.all.get_mut(slot)?;
        if swarm.is_starved {
            self.starved.insert(slot);
        }
        let next = if swarm.phase == Phase::Left { None } else { swarm.poll_timeout() };
        if next != swarm.timer {
            if let Some(old) = swarm.timer {
                self.timers.remove(&(old, slot));
            }
            swarm.timer = next;
            self.timers.extend(next.map(|at| (at, slot)));
        }
        if std::mem::take(&mut swarm.is_renamed) {
            for name in swarm.names().swarms() {
                self.by_hash.entry(name).or_insert(slot);
                directory.learn(name, shard);
            }
        }
        if swarm.phase != Phase::Left {
            return None;
        }
        self.starved.remove(&slot);
        let left = self.all.remove(slot)?;
        self.by_id.remove(&left.id);
        for name in left.names().swarms() {
            if self.by_hash.get(&name) == Some(&slot) {
                self.by_hash.remove(&name);
            }
        }
        Some(left)
    }

    /// Swarms whose timer is due.
    pub(crate) fn timed_out(&self, now: Instant) -> Vec<SlotId> {
        self.timers.iter().take_while(|(at, _)| *at <= now).map(|(_, slot)| *slot).collect()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }
}

/// The swarm panicked: its state cannot be trusted any more, only its identity. What it held is
/// given back by a second, contained attempt to halt it; if that panics too, budgets stay short by
/// what it held, which is the safe side.
fn break_swarm(now: Instant, turn: &mut Turn, swarm: &mut Swarm) {
    let is_leaving = swarm.leave.is_some();
    let fail = AssertUnwindSafe(|| swarm.fail(now, turn, CONTAINED.to_owned()));
    if !is_leaving && catch_unwind(fail).is_ok() {
        return;
    }
    turn.close_conns(|conn| conn.swarm() == Some(swarm.slot));
    // One that was on its way out has nothing left to wait for.
    swarm.phase = if is_leaving { Phase::Left } else { Phase::Broken };
    swarm.error = Some(CONTAINED.to_owned());
}
