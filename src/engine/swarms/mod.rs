//! The swarms of a shard: found by id and by hash, worked on one at a time, each panic contained.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::time::Duration;

use hashbrown::HashMap;

use crate::base::digest::Sha1;
use crate::base::ids::ShardId;
use crate::base::ids::TorrentId;
use crate::base::instant::Instant;
use crate::base::limits::ANNEX_MAX;
use crate::base::slots::SlotId;
use crate::base::slots::Slots;
use crate::engine::add::Addition;
use crate::engine::heat::helper;
use crate::engine::heat::is_hot;
use crate::engine::note::Ending;
use crate::engine::note::Enlistment;
use crate::engine::note::Note;
use crate::engine::note::Word;
use crate::engine::swarm::annex::Annex;
use crate::engine::swarm::sleeper::Sleeper;
use crate::engine::swarm::state::Phase;
use crate::engine::swarm::state::Swarm;
use crate::engine::to_ring::Output;
use crate::engine::turn::Turn;

/// What a torrent's owner is told after a contained panic.
const CONTAINED: &str =
    "a bug in the engine was contained; please report it, then resume the torrent";

/// A torrent sleeps when it had nothing to do for so long: who comes and goes every second is not
/// worth the way there and back.
const SLEEP_AFTER: Duration = Duration::from_secs(2);
/// Torrents that fall asleep in one turn: some 20 us.
const DOZE_MAX: usize = 64;
/// Swarms whose timer is due that are handled per call: one may have to wake, which takes some ten
/// microseconds.
const TIMEOUT_MAX: usize = 8;
/// Swarms that ask again per call when something came back to a budget; peers likewise.
const FEED_MAX: usize = 4;

/// All swarms, who has something due this turn, and when each wakes.
#[derive(Debug, Default)]
pub(crate) struct Swarms {
    all: Slots<Berth>,
    by_id: BTreeMap<TorrentId, SlotId>,
    by_hash: HashMap<Sha1, SlotId>,
    /// Swarms with something due this turn.
    due: VecDeque<SlotId>,
    /// Swarms that a budget refused.
    starved: BTreeSet<SlotId>,
    /// Those among them that may ask again: something came back.
    called: BTreeSet<SlotId>,
    /// More came back since.
    has_freed: bool,
    /// Bytes came back to the budget of reads, and so many of those who wait for them may ask.
    readers_called: usize,
    timers: BTreeSet<(Instant, SlotId)>,
    /// Swarms that may fall asleep, and when.
    drowsy: BTreeSet<(Instant, SlotId)>,
    annex_count: usize,
}

/// A torrent's place: most of thousands have nothing to do, and are kept small.
#[derive(Debug)]
enum Berth {
    Awake(Box<Swarm>),
    Asleep(Sleeper),
}

impl Berth {
    fn awake(&self) -> Option<&Swarm> {
        match self {
            Berth::Awake(swarm) => Some(swarm),
            Berth::Asleep(_) => None,
        }
    }

    fn awake_mut(&mut self) -> Option<&mut Swarm> {
        match self {
            Berth::Awake(swarm) => Some(swarm),
            Berth::Asleep(_) => None,
        }
    }
}

impl Swarms {
    pub(crate) fn insert(&mut self, now: Instant, turn: &mut Turn, addition: Addition) -> SlotId {
        let (id, names) = (addition.id, addition.torrent.info_hashes());
        let slot = self
            .all
            .insert_with(|slot| Berth::Awake(Box::new(Swarm::new(slot, addition, now, turn))));
        self.by_id.insert(id, slot);
        self.by_hash.extend(names.swarms().map(|name| (name, slot)));
        slot
    }

    /// Torrents of other shards among them.
    pub(crate) fn annex_count(&self) -> usize {
        self.annex_count
    }

    /// The torrent that sends most, of those that another shard could serve as well.
    fn hottest(&mut self, now: Instant) -> Option<SlotId> {
        let awake =
            self.all.iter_mut().filter_map(|(slot, berth)| Some((slot, berth.awake_mut()?)));
        let able = awake.filter(|(_, swarm)| swarm.may_lend(now));
        let rated = able.map(|(slot, swarm)| (swarm.sent.per_second(now), slot));
        rated.max().map(|(_, slot)| slot)
    }

    /// Whether strangers who name this torrent belong here.
    pub(crate) fn serves(&self, info_hash: &Sha1) -> bool {
        let berth = self.by_hash(info_hash).and_then(|slot| self.all.get(slot));
        berth.is_some_and(|berth| berth.awake().is_none_or(Swarm::takes_strangers))
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn has(&self, slot: SlotId) -> bool {
        self.all.get(slot).is_some()
    }

    /// Unless it sleeps.
    pub(crate) fn awake(&self, slot: SlotId) -> Option<&Swarm> {
        self.all.get(slot).and_then(Berth::awake)
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
        self.wake(now, turn, slot);
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
        let swarm = self.all.get_mut(slot)?.awake_mut()?;
        let result = catch_unwind(AssertUnwindSafe(|| work(swarm, turn)));
        if result.is_err() {
            break_swarm(now, turn, swarm);
        }
        result.ok()
    }

    fn wake(&mut self, now: Instant, turn: &mut Turn, slot: SlotId) {
        let Some(berth) = self.all.get_mut(slot) else { return };
        if let Berth::Asleep(_) = berth {
            // For a moment nobody is there: the one who slept becomes the one who is awake.
            let Some(Berth::Asleep(asleep)) = self.all.take(slot) else { return };
            let swarm = Swarm::wake(slot, asleep, now, turn);
            self.all.put(slot, Berth::Awake(Box::new(swarm)));
        }
    }

    /// Lets those sleep that had nothing to do for a while. Some at a time.
    pub(crate) fn doze(&mut self, now: Instant, turn: &mut Turn) {
        for _ in 0..DOZE_MAX {
            let Some((at, slot)) = self.drowsy.first().copied() else { return };
            if at > now {
                return;
            }
            self.drowsy.pop_first();
            let Some(swarm) = self.all.get_mut(slot).and_then(Berth::awake_mut) else { continue };
            swarm.is_drowsy = false;
            if !swarm.may_sleep(now) {
                continue;
            }
            swarm.publish_last(now);
            self.see_to_timer(slot);
            if let Some(Berth::Awake(swarm)) = self.all.take(slot) {
                self.all.put(slot, Berth::Asleep(swarm.sleep(turn)));
            }
        }
    }

    /// The timer of a swarm may have changed.
    fn see_to_timer(&mut self, slot: SlotId) {
        let Some(swarm) = self.all.get_mut(slot).and_then(Berth::awake_mut) else { return };
        let next = if swarm.phase == Phase::Left { None } else { swarm.poll_timeout() };
        if next != swarm.timer {
            if let Some(old) = swarm.timer {
                self.timers.remove(&(old, slot));
            }
            swarm.timer = next;
            self.timers.extend(next.map(|at| (at, slot)));
        }
    }

    pub(crate) fn mark(&mut self, slot: SlotId) {
        if let Some(swarm) = self.all.get_mut(slot).and_then(Berth::awake_mut)
            && !swarm.is_due
        {
            swarm.is_due = true;
            self.due.push_back(slot);
        }
    }

    /// The next swarm to be flushed.
    pub(crate) fn pop_due(&mut self) -> Option<SlotId> {
        let slot = self.due.pop_front()?;
        if let Some(swarm) = self.all.get_mut(slot).and_then(Berth::awake_mut) {
            swarm.is_due = false;
        }
        Some(slot)
    }

    /// Another shard says something about a torrent that both serve, or shall serve.
    pub(crate) fn handle_note(&mut self, now: Instant, turn: &mut Turn, from: ShardId, note: Note) {
        let Note { torrent, term, word } = note;
        if let Word::Enlist(enlistment) = word {
            return self.handle_enlist(now, turn, (from, torrent, term), &enlistment);
        }
        let is_owners = matches!(word, Word::Grant(_) | Word::CallOff { .. });
        if let Some(slot) = self.by_id(torrent) {
            self.contain(now, turn, slot, |s, turn| s.handle_note(now, turn, (from, term), word));
        } else if is_owners {
            let note = Ending::refusal(torrent, term, "it is not there");
            turn.outputs.push_back(Output::Note { to: from, note });
        }
    }

    /// This shard shall help: serves the torrent too, unless it cannot.
    fn handle_enlist(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        (owner, id, term): (ShardId, TorrentId, u32),
        enlistment: &Enlistment,
    ) {
        if turn.is_ending || self.annex_count >= ANNEX_MAX || self.by_id(id).is_some() {
            let note = Ending::refusal(id, term, "it cannot just now");
            return turn.outputs.push_back(Output::Note { to: owner, note });
        }
        let annex = Annex::new(owner, term, enlistment.grant, now);
        self.annex_count += 1;
        let slot = self.insert(now, turn, enlistment.addition(id));
        let peer_id = enlistment.peer_id;
        self.contain(now, turn, slot, |swarm, turn| swarm.begin_annex(turn, annex, peer_id));
    }

    /// A second went by, see [`Turn::loads`]. A hot shard asks an idle one to help with the torrent
    /// that sends most.
    pub(crate) fn handle_loads(&mut self, now: Instant, turn: &mut Turn) {
        for slot in turn.lent.clone() {
            self.contain(now, turn, slot, |swarm, turn| swarm.handle_loads(turn));
        }
        let own = turn.loads.get(turn.shard.as_usize()).copied().unwrap_or(0);
        let others = helper(&turn.loads, |shard| shard == turn.shard);
        let is_hot = is_hot(own) && others.is_some() && !turn.is_ending;
        let Some(slot) = is_hot.then(|| self.hottest(now)).flatten() else { return };
        self.contain(now, turn, slot, |swarm, turn| {
            let is_taken = |shard| shard == turn.shard || swarm.is_helped_by(shard);
            if let Some(idle) = helper(&turn.loads, is_taken) {
                swarm.enlist(now, turn, idle);
            }
        });
    }

    /// Whoever a budget refused goes on, as far as something came back to it: some per call.
    pub(crate) fn feed(&mut self, now: Instant, turn: &mut Turn) {
        self.has_freed |= std::mem::take(&mut turn.has_freed);
        if self.called.is_empty() && std::mem::take(&mut self.has_freed) {
            // Who is refused once more waits behind all others.
            std::mem::swap(&mut self.called, &mut self.starved);
        }
        self.feed_starved(now, turn);
        if std::mem::take(&mut turn.has_freed_reads) {
            self.readers_called = turn.readers.len();
        }
        self.feed_readers(now, turn);
    }

    /// Something came back to a budget: whoever was refused asks again.
    fn feed_starved(&mut self, now: Instant, turn: &mut Turn) {
        let mut fed = 0;
        while fed < FEED_MAX
            && let Some(slot) = self.called.pop_first()
        {
            let called = |swarm: &mut Swarm, _: &mut Turn| {
                swarm.is_starved = false;
                swarm.mark_all();
            };
            fed += usize::from(self.contain(now, turn, slot, called).is_some());
        }
    }

    /// Bytes came back to the budget of reads: who waits for them is read for in turn, as far as
    /// they go.
    fn feed_readers(&mut self, now: Instant, turn: &mut Turn) {
        let mut fed = 0;
        while fed < FEED_MAX && self.readers_called > 0 {
            self.readers_called -= 1;
            let Some((slot, peer)) = turn.readers.pop_front() else { continue };
            let called = |swarm: &mut Swarm, turn: &mut Turn| swarm.read_called(turn, peer);
            match self.contain(now, turn, slot, called) {
                Some(true) => fed += 1,
                Some(false) => {
                    self.readers_called = 0;
                    return turn.readers.push_front((slot, peer));
                }
                None => {}
            }
        }
    }

    /// The swarm was flushed: sees to its timer and to its hunger. A swarm that has left is
    /// returned.
    pub(crate) fn settle(&mut self, now: Instant, slot: SlotId, turn: &Turn) -> Option<Box<Swarm>> {
        let swarm = self.all.get_mut(slot)?.awake_mut()?;
        if swarm.is_starved && !self.called.contains(&slot) {
            self.starved.insert(slot);
        }
        self.see_to_timer(slot);
        let swarm = self.all.get_mut(slot)?.awake_mut()?;
        if std::mem::take(&mut swarm.is_renamed) {
            for name in swarm.names().swarms() {
                self.by_hash.entry(name).or_insert(slot);
                turn.directory.learn(name, turn.shard);
            }
        }
        if !swarm.is_drowsy && swarm.may_sleep(now) {
            swarm.is_drowsy = true;
            // Who had nobody all its time waits for nobody: a start with thousands needs few awake.
            let pause = if swarm.peers.was_used() { SLEEP_AFTER } else { Duration::ZERO };
            self.drowsy.insert((now + pause, slot));
        }
        if swarm.phase != Phase::Left {
            return None;
        }
        self.starved.remove(&slot);
        self.called.remove(&slot);
        let Some(Berth::Awake(left)) = self.all.remove(slot) else { return None };
        self.annex_count -= usize::from(left.annex.is_some());
        self.by_id.remove(&left.id);
        for name in left.names().swarms() {
            if self.by_hash.get(&name) == Some(&slot) {
                self.by_hash.remove(&name);
            }
        }
        Some(left)
    }

    /// Some of the swarms whose timer is due, those first that waited longest; each sets its timer
    /// anew when it is flushed.
    pub(crate) fn handle_timeout(&mut self, now: Instant, turn: &mut Turn) {
        for _ in 0..TIMEOUT_MAX {
            let Some((at, slot)) = self.timers.first().copied().filter(|(at, _)| *at <= now) else {
                return;
            };
            self.timers.remove(&(at, slot));
            self.contain(now, turn, slot, |swarm, turn| {
                swarm.timer = None;
                swarm.handle_timeout(now, turn);
            });
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let drowsy = self.drowsy.first().map(|(at, _)| *at);
        timer.into_iter().chain(drowsy).min()
    }
}

/// The swarm panicked: its state cannot be trusted any more, only its identity. What it held is
/// given back by a second, contained attempt to halt it; if that panics too, budgets stay short by
/// what it held, which is the safe side.
fn break_swarm(now: Instant, turn: &mut Turn, swarm: &mut Swarm) {
    // An annex is given up, and its owner told.
    let is_leaving = swarm.leave.is_some();
    let fail = AssertUnwindSafe(|| swarm.fail(now, turn, CONTAINED.to_owned()));
    if !is_leaving && catch_unwind(fail).is_ok() {
        return;
    }
    turn.close_conns(|conn| conn.swarm() == Some(swarm.slot));
    // One that was on its way out has nothing left to wait for.
    let must_go = is_leaving || swarm.annex.is_some();
    swarm.phase = if must_go { Phase::Left } else { Phase::Broken };
    swarm.error = Some(CONTAINED.to_owned());
}

// A torrent without anything to do must stay small: there are many thousands of them.
const _: () = assert!(size_of::<Berth>() <= 160);
