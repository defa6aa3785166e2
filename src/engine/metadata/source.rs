//! A peer that says it has the metadata: what it was asked for, and when it may be asked again.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use smallvec::SmallVec;

use crate::base::instant::Instant;

/// Parts asked of one peer at once: two round trips' worth on most lines, and below what clients
/// refuse as a flood.
const IN_FLIGHT_MAX: usize = 4;
/// Time in which a peer must bring one of the parts asked of it.
const PART_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before a peer that was late is asked again, one part at a time.
const LATE_PAUSE: Duration = Duration::from_secs(10);
/// Pause after its first refusal; doubles with each further one up to `REFUSED_PAUSE_MAX`.
const REFUSED_PAUSE: Duration = Duration::from_secs(2);
const REFUSED_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Parts given up that are welcome all the same when they come late.
const OWED_MAX: usize = 16;

/// See the module.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) address: SocketAddr,
    /// Bytes of the metadata, as it claims.
    pub(crate) size: u32,
    asked: SmallVec<[u32; IN_FLIGHT_MAX]>,
    owed: VecDeque<u32>,
    /// When it was last heard while something was asked of it.
    heard: Instant,
    is_late: bool,
    refusals: u32,
    ready_at: Instant,
}

impl Source {
    pub(crate) fn new(now: Instant, address: SocketAddr, size: u32) -> Source {
        Source {
            address,
            size,
            asked: SmallVec::new(),
            owed: VecDeque::new(),
            heard: now,
            is_late: false,
            refusals: 0,
            ready_at: now,
        }
    }

    /// How many more parts may be asked of it.
    pub(crate) fn room(&self, now: Instant) -> usize {
        let most = if self.is_late { 1 } else { IN_FLIGHT_MAX };
        if now < self.ready_at { 0 } else { most.saturating_sub(self.asked.len()) }
    }

    pub(crate) fn ask(&mut self, now: Instant, part: u32) {
        if self.asked.is_empty() {
            self.heard = now;
        }
        self.asked.push(part);
    }

    pub(crate) fn is_asked(&self, part: u32) -> bool {
        self.asked.contains(&part)
    }

    /// It sent `part`; false if nobody asked it to.
    pub(crate) fn answered(&mut self, now: Instant, part: u32) -> bool {
        let was_asked = self.forget(part);
        if was_asked {
            self.heard = now;
            self.is_late = false;
            self.refusals = 0;
        }
        was_asked
    }

    /// It will not send `part` now; false if nobody asked it to.
    pub(crate) fn refused(&mut self, now: Instant, part: u32) -> bool {
        let was_asked = self.forget(part);
        if was_asked {
            self.heard = now;
            let pause = REFUSED_PAUSE * 2u32.saturating_pow(self.refusals.min(16));
            self.refusals += 1;
            self.rest(now + pause.min(REFUSED_PAUSE_MAX));
        }
        was_asked
    }

    /// It is not asked before `until`.
    pub(crate) fn rest(&mut self, until: Instant) {
        self.ready_at = self.ready_at.max(until);
    }

    /// Whether it was silent when it should have answered, and has not answered since.
    pub(crate) fn is_late(&self) -> bool {
        self.is_late
    }

    /// Takes back what it is late with.
    pub(crate) fn take_late(&mut self, now: Instant) -> SmallVec<[u32; IN_FLIGHT_MAX]> {
        if self.asked.is_empty() || now.since(self.heard) < PART_TIMEOUT {
            return SmallVec::new();
        }
        self.is_late = true;
        self.rest(now + LATE_PAUSE);
        self.take_asked()
    }

    /// Takes back everything.
    pub(crate) fn take_asked(&mut self) -> SmallVec<[u32; IN_FLIGHT_MAX]> {
        let asked = std::mem::take(&mut self.asked);
        self.owed.extend(asked.iter().copied());
        let surplus = self.owed.len().saturating_sub(OWED_MAX);
        self.owed.drain(..surplus);
        asked
    }

    /// It claims another size: what it still sends is of the old one.
    pub(crate) fn set_size(&mut self, size: u32) {
        self.size = size;
        self.asked.clear();
        self.owed.clear();
    }

    fn forget(&mut self, part: u32) -> bool {
        if let Some(at) = self.asked.iter().position(|asked| *asked == part) {
            self.asked.remove(at);
            return true;
        }
        let owed = self.owed.iter().position(|owed| *owed == part);
        owed.is_some_and(|at| self.owed.remove(at).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn source() -> Source {
        Source::new(ms(0), SocketAddr::from(([10, 0, 0, 1], 1)), 100_000)
    }

    #[test]
    fn a_silent_peer_loses_its_parts_rests_and_gets_one_to_try_until_it_answers() {
        let mut source = source();
        (0..4).for_each(|part| source.ask(ms(0), part));
        assert_eq!(source.room(ms(0)), 0);
        assert!(source.take_late(ms(9_999)).is_empty());
        assert_eq!(source.take_late(ms(10_000))[..], [0, 1, 2, 3]);
        assert_eq!((source.room(ms(19_999)), source.room(ms(20_000))), (0, 1));
        assert!(source.answered(ms(20_000), 2), "late, and welcome");
        assert!(!source.answered(ms(20_000), 2) && !source.answered(ms(20_000), 9));
        assert_eq!(source.room(ms(20_000)), 4);
    }

    #[test]
    fn an_answer_gives_the_others_time() {
        let mut source = source();
        (0..2).for_each(|part| source.ask(ms(0), part));
        assert!(source.answered(ms(9_000), 0));
        assert!(source.take_late(ms(18_999)).is_empty());
        assert_eq!(source.take_late(ms(19_000))[..], [1]);
    }

    #[test]
    fn refusals_make_it_rest_longer_each_time() {
        let mut source = source();
        let mut pauses = Vec::new();
        let mut now = ms(0);
        for part in 0..8 {
            source.ask(now, part);
            assert!(source.refused(now, part));
            let rested = (0..).find(|s| source.room(now + Duration::from_secs(*s)) > 0).unwrap();
            pauses.push(rested);
            now = now + Duration::from_secs(rested);
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert!(!source.refused(now, 77), "nobody asked");
    }
}
