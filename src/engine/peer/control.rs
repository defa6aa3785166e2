//! The allowance of control messages: a bucket that refills with time.

use crate::base::instant::Instant;
use crate::base::limits::CONTROL_BURST_MAX;
use crate::base::limits::CONTROL_RATE_MAX;

/// `CONTROL_BURST_MAX` at once, `CONTROL_RATE_MAX` per second over time.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: u32,
    refilled: Instant,
}

impl Allowance {
    pub(crate) fn new(now: Instant) -> Allowance {
        Allowance { left: CONTROL_BURST_MAX, refilled: now }
    }

    /// Takes one; false when none is left.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        if self.left == 0 {
            self.refill(now);
        }
        let has_one = self.left > 0;
        self.left = self.left.saturating_sub(1);
        has_one
    }

    fn refill(&mut self, now: Instant) {
        let earned = now.since(self.refilled).as_millis() * u128::from(CONTROL_RATE_MAX) / 1000;
        if earned > 0 {
            self.left = u32::try_from(earned).unwrap_or(u32::MAX).min(CONTROL_BURST_MAX);
            self.refilled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_a_flood_does_not() {
        let mut allowance = Allowance::new(Instant::ZERO);
        let burst = (0..10_000).filter(|_| allowance.take(Instant::ZERO)).count();
        assert_eq!(burst, CONTROL_BURST_MAX as usize);
        let later = Instant::from_millis(1_000 * 11);
        assert_eq!((0..10_000).filter(|_| allowance.take(later)).count(), 2_000);
        let soon = later + std::time::Duration::from_secs(1);
        assert_eq!((0..10_000).filter(|_| allowance.take(soon)).count(), 200);
    }
}
