//! Hash jobs between shards: given to others when there is no time for them, done for others when
//! there is.

use crate::base::digest::Sha1Stream;
use crate::base::ids::ShardId;
use crate::base::instant::Instant;
use crate::base::limits::OUTWORK_LEN_MAX;
use crate::engine::hasher::HashJob;
use crate::engine::hasher::Worth;
use crate::engine::outwork::BatchId;
use crate::engine::outwork::Busy;
use crate::engine::outwork::Returned;
use crate::engine::outwork::Settlement;
use crate::engine::to_ring::Output;
use crate::engine::whole::state::Engine;

impl Engine {
    /// The time of a turn is over and hashing is left: what is worth it goes to shards that have
    /// time.
    pub(crate) fn handle_overrun(&mut self, now: Instant) {
        self.now = now;
        while let Some(to) = self.turn.outwork.next_hand(now, &self.turn.loads) {
            let jobs = self.spare_jobs();
            if jobs.is_empty() {
                return;
            }
            let batch = self.turn.outwork.give(now, to, jobs.clone());
            self.turn.outputs.push_back(Output::GiveOut { to, batch, jobs });
        }
    }

    /// Jobs of this shard that another one could do: what was read from the disk, else pieces of
    /// the swarm that hashes next.
    fn spare_jobs(&mut self) -> Vec<HashJob> {
        let (len_min, len_max) = (self.turn.outwork_len_min, OUTWORK_LEN_MAX);
        let company = self.turn.hasher.lanes().company::<Sha1Stream>();
        let worth = Worth { len_min, len_max, company };
        let jobs = self.turn.hasher.take_spare(worth);
        if !jobs.is_empty() {
            return jobs;
        }
        let Some(slot) = self.turn.hashing.front().copied() else { return Vec::new() };
        self.contain(slot, |swarm, _| swarm.spare_pieces(worth)).unwrap_or_default()
    }

    /// Another shard has no time for these. Who has none either, or ends, says so at once.
    pub(crate) fn handle_jobs(
        &mut self,
        now: Instant,
        from: ShardId,
        batch: BatchId,
        jobs: Vec<HashJob>,
    ) {
        self.now = now;
        let has_time = self.is_done_hashing() && !self.turn.is_ending;
        if !has_time || self.turn.spare_time.take(now, (from, batch), jobs).is_err() {
            self.turn.outputs.push_back(Output::GiveBack { to: from, batch, back: Err(Busy) });
        }
    }

    /// What was given to another shard is back.
    pub(crate) fn handle_jobs_back(&mut self, now: Instant, batch: BatchId, back: Returned) {
        self.now = now;
        let settlement = self.turn.outwork.handle_back(now, batch, back);
        self.settle_outwork(now, settlement);
    }

    pub(in crate::engine) fn end_late_outwork(&mut self, now: Instant) {
        if self.turn.outwork.poll_timeout().is_some_and(|at| at <= now)
            && let Some(settlement) = self.turn.outwork.handle_timeout(now)
        {
            self.settle_outwork(now, settlement);
        }
    }

    fn settle_outwork(&mut self, now: Instant, settlement: Settlement) {
        let Settlement { hashed, undone, orphans } = settlement;
        for job in hashed {
            self.contain(job.swarm, |swarm, turn| swarm.handle_hashed(now, turn, job));
        }
        undone.into_iter().for_each(|job| self.turn.hasher.push(job));
        orphans.iter().for_each(|job| self.turn.settle_hash(job));
    }

    /// Whether nothing of its own is left to be hashed.
    pub(in crate::engine) fn is_done_hashing(&self) -> bool {
        let turn = &self.turn;
        turn.hasher.is_idle() && turn.hashing.is_empty() && turn.chores.is_empty()
    }

    /// Returns what is hashed for others, or was here for too long.
    pub(in crate::engine) fn give_back(&mut self, now: Instant) {
        while let Some((to, batch, back)) = self.turn.spare_time.poll_back(now) {
            self.turn.outputs.push_back(Output::GiveBack { to, batch, back });
        }
    }

    /// The shard ends: others hash what is theirs.
    pub(in crate::engine) fn return_all(&mut self) {
        while let Some((to, batch)) = self.turn.spare_time.pop_undone() {
            self.turn.outputs.push_back(Output::GiveBack { to, batch, back: Err(Busy) });
        }
    }
}
