//! Open loop: requests are due by the clock, whatever the engine has answered.
//!
//! Their latency counts from the moment they were due. Whoever counts from the moment of sending
//! leaves out the time that an engine kept others waiting ("coordinated omission").

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

/// The moments at which requests are due.
pub(crate) struct Schedule {
    per_second: u32,
    total: u64,
    began: Option<Instant>,
    given: u64,
    /// Due before, and lost by a choke or a closed connection.
    again: VecDeque<Instant>,
}

impl Schedule {
    /// `total` requests, evenly spaced.
    pub(crate) fn new(per_second: u32, total: u64) -> Schedule {
        Schedule { per_second, total, began: None, given: 0, again: VecDeque::new() }
    }

    /// Begins, unless it has.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.began.get_or_insert(now);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.began.is_some()
    }

    /// Whether a request is due.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.wait(now).is_some_and(|wait| wait.is_zero())
    }

    /// Time until the next request is due; `None` when none will be.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        Some(self.due(self.given)?.saturating_duration_since(now))
    }

    /// The moment of one request that is due now, each once.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Instant> {
        if let Some(due) = self.again.pop_front() {
            return Some(due);
        }
        let due = self.due(self.given).filter(|due| *due <= now)?;
        self.given += 1;
        Some(due)
    }

    /// A request got lost: it is due still, since the moment it was first.
    pub(crate) fn give_back(&mut self, due: Instant) {
        self.again.push_back(due);
    }

    /// Requests that were given out so far, each counted once.
    pub(crate) fn given(&self) -> u64 {
        self.given
    }

    /// Nothing will be due any more.
    pub(crate) fn is_over(&self) -> bool {
        self.given == self.total && self.again.is_empty()
    }

    /// When the last request is due; `None` before the beginning.
    pub(crate) fn end(&self) -> Option<Instant> {
        self.due(self.total.saturating_sub(1))
    }

    fn due(&self, number: u64) -> Option<Instant> {
        let began = self.began.filter(|_| number < self.total)?;
        let (per_second, nanos) = (u64::from(self.per_second), 1_000_000_000);
        let rest = number % per_second * nanos / per_second;
        began.checked_add(Duration::from_secs(number / per_second) + Duration::from_nanos(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn requests_are_due_evenly_and_as_many_as_were_ordered() {
        let (start, mut schedule) = (clock::now(), Schedule::new(4, 6));
        assert_eq!(schedule.next(start), None, "not begun");
        schedule.begin(start);
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(schedule.next(start), Some(start));
        assert_eq!(schedule.next(at(249)), None);
        assert_eq!(schedule.wait(at(249)), Some(Duration::from_millis(1)));
        assert_eq!(schedule.next(at(700)), Some(at(250)), "late, and due when it was");
        assert_eq!(schedule.next(at(700)), Some(at(500)));
        let rest: Vec<_> = std::iter::from_fn(|| schedule.next(at(9_000))).collect();
        assert_eq!(rest, [at(750), at(1_000), at(1_250)]);
        assert!(schedule.is_over() && schedule.wait(at(9_000)).is_none());
    }

    #[test]
    fn a_lost_request_is_due_since_the_first_time() {
        let (start, mut schedule) = (clock::now(), Schedule::new(1, 1));
        schedule.begin(start);
        let due = schedule.next(start).unwrap();
        schedule.give_back(due);
        assert!(!schedule.is_over());
        assert_eq!(schedule.next(start + Duration::from_secs(5)), Some(start));
        assert_eq!((schedule.given(), schedule.is_over()), (1, true));
    }
}
