//! Outwork: hash jobs that other shards do for this one, because it has no time for them.
//!
//! A shard whose turn ended with hashing left gives jobs to one that has time, in batches. The data
//! is shared, not copied, and a copy of each job stays here: what does not come back in time, or
//! comes back undone, is hashed here after all. So a lost batch costs time and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::ids::ShardId;
use crate::base::instant::Instant;
use crate::base::limits::OUTWORK_BATCH_MAX;
use crate::base::limits::OUTWORK_RETRY;
use crate::base::limits::OUTWORK_TIMEOUT;
use crate::base::slots::SlotId;
use crate::engine::hasher::HashJob;
use crate::engine::heat::is_idle;

/// A shard that got a batch so lately is busy because of that: its load says nothing else. Two
/// seconds, since loads are those of the last one.
const FRESH: Duration = Duration::from_secs(2);

/// Names a batch of this shard; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct BatchId(u64);

/// How a batch comes back: hashed, or as it was, because that shard has no time either.
pub(crate) type Returned = Result<Vec<HashJob>, Busy>;

/// A shard has no time for the jobs of others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Busy;

/// The batches that are out, and who may get another one.
#[derive(Debug)]
pub(crate) struct Outwork {
    own: ShardId,
    out: BTreeMap<BatchId, Batch>,
    /// Of every shard of the session, by its number.
    hands: Vec<Hand>,
    batch_count: u64,
    hashed: u64,
}

#[derive(Debug)]
struct Batch {
    to: ShardId,
    jobs: Vec<HashJob>,
    /// Those of swarms that have left: they are in memory until the batch is back.
    orphans: Vec<HashJob>,
    until: Instant,
}

/// A shard that may help.
#[derive(Clone, Copy, Debug, Default)]
struct Hand {
    /// Nothing is given to it before: it had no time.
    retry_at: Instant,
    given_at: Option<Instant>,
    batch_count: u32,
}

/// What a batch that is not out any more leaves to be done.
#[derive(Debug, Default)]
pub(crate) struct Settlement {
    /// Jobs that are hashed.
    pub(crate) hashed: Vec<HashJob>,
    /// Jobs that are to be hashed here.
    pub(crate) undone: Vec<HashJob>,
    /// Jobs that nobody waits for: what they hold goes back.
    pub(crate) orphans: Vec<HashJob>,
}

impl Outwork {
    /// Of a shard in a session of `shard_count`.
    pub(crate) fn new(own: ShardId, shard_count: usize) -> Outwork {
        let hands = vec![Hand::default(); shard_count];
        Outwork { own, out: BTreeMap::new(), hands, batch_count: 0, hashed: 0 }
    }

    /// Bytes that others hashed for this shard.
    pub(crate) fn hashed(&self) -> u64 {
        self.hashed
    }

    /// The shard that should get the next batch: with the fewest of them, then the idlest. `loads`
    /// are those of the last second, or empty in the first.
    pub(crate) fn next_hand(&self, now: Instant, loads: &[u16]) -> Option<ShardId> {
        let able = self.able(now, loads);
        let free = able.filter(|(_, hand)| hand.batch_count < OUTWORK_BATCH_MAX);
        let best = free.min_by_key(|(at, hand)| (hand.batch_count, load(loads, *at)));
        // A session has at most one shard per core: far below 65,536.
        best.map(|(at, _)| ShardId(at as u16))
    }

    /// Batches that others could have at once.
    pub(crate) fn batch_room(&self, now: Instant, loads: &[u16]) -> usize {
        self.able(now, loads).count() * OUTWORK_BATCH_MAX as usize
    }

    /// The shards that seem to have time.
    fn able<'a>(
        &'a self,
        now: Instant,
        loads: &'a [u16],
    ) -> impl Iterator<Item = (usize, &'a Hand)> {
        let others = self.hands.iter().enumerate().filter(|(at, _)| *at != self.own.as_usize());
        others.filter(move |(at, hand)| {
            let is_fresh = hand.given_at.is_some_and(|given| now < given + FRESH);
            now >= hand.retry_at && (is_fresh || is_idle(load(loads, *at)))
        })
    }

    /// These jobs go to that shard.
    pub(crate) fn give(&mut self, now: Instant, to: ShardId, jobs: Vec<HashJob>) -> BatchId {
        self.batch_count += 1;
        let (id, until) = (BatchId(self.batch_count), now + OUTWORK_TIMEOUT);
        self.out.insert(id, Batch { to, jobs, orphans: Vec::new(), until });
        if let Some(hand) = self.hands.get_mut(to.as_usize()) {
            hand.given_at = Some(now);
            hand.batch_count += 1;
        }
        id
    }

    /// A batch came back. One that was given up already changes nothing.
    pub(crate) fn handle_back(&mut self, now: Instant, id: BatchId, back: Returned) -> Settlement {
        let Some(batch) = self.end(id) else { return Settlement::default() };
        let Batch { to, jobs, orphans, .. } = batch;
        let Ok(done) = back else {
            self.rest(to, now + OUTWORK_RETRY);
            return Settlement { undone: jobs, orphans, ..Settlement::default() };
        };
        // What is hashed takes the place of what was given; the rest, if any, is still to be done.
        let is_of = |one: &HashJob, all: &[HashJob]| all.iter().any(|other| one.is_same(other));
        let hashed: Vec<HashJob> = done.into_iter().filter(|job| is_of(job, &jobs)).collect();
        let undone = jobs.into_iter().filter(|job| !is_of(job, &hashed)).collect();
        self.hashed += hashed.iter().map(|job| job.data.len() as u64).sum::<u64>();
        Settlement { hashed, undone, orphans }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.out.values().map(|batch| batch.until).min()
    }

    /// A batch that is not back in time: its shard may have ended.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<Settlement> {
        let late = self.out.iter().find(|(_, batch)| batch.until <= now);
        let id = late.map(|(id, _)| *id)?;
        let Batch { to, jobs, orphans, .. } = self.end(id)?;
        self.rest(to, now + OUTWORK_TIMEOUT);
        Some(Settlement { undone: jobs, orphans, ..Settlement::default() })
    }

    /// A swarm leaves: nobody waits for its jobs any more. `is_held`: for a job's bytes a budget
    /// waits all the same.
    pub(crate) fn forget(&mut self, swarm: SlotId, is_held: impl Fn(&HashJob) -> bool) {
        for batch in self.out.values_mut() {
            let left = batch.jobs.extract_if(.., |job| job.swarm == swarm);
            batch.orphans.extend(left.filter(|job| is_held(job)));
        }
    }

    fn end(&mut self, id: BatchId) -> Option<Batch> {
        let batch = self.out.remove(&id)?;
        if let Some(hand) = self.hands.get_mut(batch.to.as_usize()) {
            hand.batch_count = hand.batch_count.saturating_sub(1);
        }
        Some(batch)
    }

    fn rest(&mut self, shard: ShardId, until: Instant) {
        if let Some(hand) = self.hands.get_mut(shard.as_usize()) {
            (hand.retry_at, hand.given_at) = (until, None);
        }
    }
}

fn load(loads: &[u16], at: usize) -> u16 {
    loads.get(at).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
