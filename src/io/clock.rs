//! The clock: the monotonic time of the system as instants since the session's start.

use rustix::time::ClockId;
use rustix::time::Timespec;
use rustix::time::clock_gettime;

use crate::base::instant::Instant;

/// Reads CLOCK_MONOTONIC. Copies share their origin, so instants of one session can be compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin_nanos: u64,
}

impl Clock {
    /// With the present as its origin.
    pub(crate) fn start() -> Clock {
        Clock { origin_nanos: monotonic_nanos() }
    }

    /// Never earlier than what any copy said before.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(monotonic_nanos().saturating_sub(self.origin_nanos))
    }
}

fn monotonic_nanos() -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Monotonic);
    tv_sec as u64 * 1_000_000_000 + tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_share_the_origin_and_time_goes_on() {
        let clock = Clock::start();
        let copy = clock;
        let first = clock.now();
        let second = copy.now();
        assert!(first <= second && second.as_nanos() < 60_000_000_000);
    }
}
