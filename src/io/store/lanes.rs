//! Lanes: how many reads and writes are under way at once, and who waits.

use std::collections::VecDeque;

use crate::engine::disk::JobId;

/// Reads under way at once per shard: where random reads stop getting faster.
const READ_MAX: usize = 32;
/// Writes under way at once per shard: depth 4 at 1 MiB fills a device, 8 hides its hiccups.
const WRITE_MAX: usize = 8;

/// Both lanes: neither kind waits for the other.
#[derive(Default)]
pub(super) struct Lanes {
    reads: Lane,
    writes: Lane,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<JobId>,
    count: usize,
}

impl Lanes {
    /// Queues up.
    pub(super) fn wait(&mut self, id: JobId, is_read: bool) {
        self.lane(is_read).waiting.push_back(id);
    }

    /// The next job that may begin; it counts until it leaves.
    pub(super) fn enter(&mut self) -> Option<JobId> {
        self.reads.enter(READ_MAX).or_else(|| self.writes.enter(WRITE_MAX))
    }

    /// Whether a job may begin.
    pub(super) fn may_enter(&self) -> bool {
        self.reads.may_enter(READ_MAX) || self.writes.may_enter(WRITE_MAX)
    }

    /// Writes that entered and have not ended.
    pub(super) fn write_count(&self) -> usize {
        self.writes.count
    }

    /// A job that entered has ended.
    pub(super) fn leave(&mut self, is_read: bool) {
        let lane = self.lane(is_read);
        lane.count = lane.count.saturating_sub(1);
    }

    fn lane(&mut self, is_read: bool) -> &mut Lane {
        if is_read { &mut self.reads } else { &mut self.writes }
    }
}

impl Lane {
    fn may_enter(&self, max: usize) -> bool {
        self.count < max && !self.waiting.is_empty()
    }

    fn enter(&mut self, max: usize) -> Option<JobId> {
        if self.count >= max {
            return None;
        }
        let id = self.waiting.pop_front()?;
        self.count += 1;
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_lane_waits_and_the_other_goes_on() {
        let mut lanes = Lanes::default();
        (0..100).for_each(|id| lanes.wait(JobId(id), id < 90));
        let entered: Vec<JobId> = std::iter::from_fn(|| lanes.enter()).collect();
        assert_eq!(entered.len(), READ_MAX + WRITE_MAX);
        assert_eq!(lanes.write_count(), WRITE_MAX);
        assert!(!lanes.may_enter());
        lanes.leave(true);
        assert!(lanes.may_enter());
        assert_eq!(lanes.enter(), Some(JobId(READ_MAX as u64)));
        assert_eq!(lanes.enter(), None);
        lanes.leave(false);
        assert_eq!(lanes.enter(), Some(JobId(90 + WRITE_MAX as u64)));
    }
}
