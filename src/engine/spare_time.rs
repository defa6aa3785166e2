//! Spare time: hash jobs of other shards, done while this one has nothing to hash itself.

use std::collections::VecDeque;

use crate::base::digest_lanes::Lanes;
use crate::base::ids::ShardId;
use crate::base::instant::Instant;
use crate::base::limits::SPARE_TIME_BATCH_MAX;
use crate::base::limits::SPARE_TIME_MAX;
use crate::engine::hasher::HashJob;
use crate::engine::hasher::Hasher;
use crate::engine::outwork::BatchId;
use crate::engine::outwork::Busy;
use crate::engine::outwork::Returned;

/// Batches of others, in the order in which they came.
#[derive(Debug)]
pub(crate) struct SpareTime {
    /// Has the jobs of the first batch.
    hasher: Hasher,
    batches: VecDeque<Guest>,
    hashed: u64,
}

/// A batch of another shard.
#[derive(Debug)]
struct Guest {
    from: ShardId,
    id: BatchId,
    since: Instant,
    /// Not with the hasher yet.
    jobs: Vec<HashJob>,
    job_count: usize,
    done: Vec<HashJob>,
}

impl SpareTime {
    pub(crate) fn new(lanes: Lanes) -> SpareTime {
        SpareTime { hasher: Hasher::new(lanes), batches: VecDeque::new(), hashed: 0 }
    }

    /// Bytes hashed for others.
    pub(crate) fn hashed(&self) -> u64 {
        self.hashed
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.batches.is_empty()
    }

    /// Takes a batch in.
    ///
    /// # Errors
    /// Too many wait already.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        (from, id): (ShardId, BatchId),
        jobs: Vec<HashJob>,
    ) -> Result<(), Busy> {
        if self.batches.len() >= SPARE_TIME_BATCH_MAX {
            return Err(Busy);
        }
        let job_count = jobs.len();
        self.batches.push_back(Guest { from, id, since: now, jobs, job_count, done: Vec::new() });
        Ok(())
    }

    /// Hashes for as long as `slice` bytes of a lone piece take.
    pub(crate) fn work(&mut self, slice: usize) {
        let Some(first) = self.batches.front_mut() else { return };
        first.jobs.drain(..).for_each(|job| self.hasher.push(job));
        self.hasher.work(slice);
        first.done.extend(std::iter::from_fn(|| self.hasher.poll_done()));
    }

    /// A batch that is hashed, or was here for too long.
    pub(crate) fn poll_back(&mut self, now: Instant) -> Option<(ShardId, BatchId, Returned)> {
        let first = self.batches.front()?;
        let is_done = first.done.len() == first.job_count;
        if !is_done && now < first.since + SPARE_TIME_MAX {
            return None;
        }
        let back = self.pop()?;
        if is_done {
            self.hashed += back.done.iter().map(|job| job.data.len() as u64).sum::<u64>();
        }
        Some((back.from, back.id, if is_done { Ok(back.done) } else { Err(Busy) }))
    }

    /// A batch that is not going to be hashed, because the shard ends.
    pub(crate) fn pop_undone(&mut self) -> Option<(ShardId, BatchId)> {
        self.pop().map(|batch| (batch.from, batch.id))
    }

    fn pop(&mut self) -> Option<Guest> {
        self.hasher.clear();
        self.batches.pop_front()
    }
}

#[cfg(test)]
pub(in crate::engine) mod tests;
