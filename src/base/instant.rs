//! Our own instant: std's cannot be made up, and the simulator must make up time.
//!
//! An [`Instant`] counts nanoseconds from an origin that its maker chose (the start of the session,
//! or the start of a simulation). Instants of different origins must not be mixed.

use std::fmt;
use std::ops::Add;
use std::ops::Sub;
use std::time::Duration;

/// A point in time: nanoseconds since the origin of the session or simulation. Range: 584 years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Instant(u64);

impl Instant {
    /// The origin.
    pub(crate) const ZERO: Instant = Instant(0);
    /// Later than anything that happens; the deadline of what never falls due.
    pub(crate) const FAR: Instant = Instant(u64::MAX);

    /// The instant `nanos` nanoseconds after the origin.
    pub(crate) const fn from_nanos(nanos: u64) -> Instant {
        Instant(nanos)
    }

    /// The instant `millis` milliseconds after the origin.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) const fn from_millis(millis: u64) -> Instant {
        Instant(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the origin.
    pub(crate) const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to this; zero if `earlier` is later, so that a clock that is read out of
    /// order can never panic.
    pub(crate) const fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, rhs: Duration) -> Instant {
        let nanos = u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(nanos))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;
    fn sub(self, rhs: Duration) -> Instant {
        let nanos = u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_sub(nanos))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}s", self.0 as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_runs_backwards_into_a_panic() {
        let early = Instant::from_millis(1);
        let late = Instant::from_millis(3);
        assert_eq!(late.since(early), Duration::from_millis(2));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(Instant::FAR + Duration::from_secs(1), Instant::FAR);
        assert_eq!(early - Duration::from_secs(9), Instant::ZERO);
    }
}
