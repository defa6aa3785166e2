//! The turn meter: how long turns take, and which operation took most of a slow one (C9).

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::base::instant::Instant;
use crate::base::status::ShardStats;

/// A turn above this raises an alert. Ten times the budget: what one slow system call costs.
const SLOW: Duration = Duration::from_millis(5);

/// Measures the turns of one shard.
pub(crate) struct TurnMeter {
    /// Microseconds.
    turns: Histogram<u64>,
    began: Instant,
    mark: Instant,
    slowest: (Duration, &'static str),
}

impl TurnMeter {
    pub(crate) fn new() -> TurnMeter {
        TurnMeter {
            // Three digits up to a minute: 60 KiB per shard.
            turns: Histogram::new_with_bounds(1, 60_000_000, 3)
                .expect("the bounds are constants that hdrhistogram allows"),
            began: Instant::ZERO,
            mark: Instant::ZERO,
            slowest: (Duration::ZERO, ""),
        }
    }

    /// A turn begins.
    pub(crate) fn begin(&mut self, now: Instant) {
        (self.began, self.mark) = (now, now);
        self.slowest = (Duration::ZERO, "");
    }

    /// An operation of the turn ended.
    pub(crate) fn lap(&mut self, now: Instant, operation: &'static str) {
        let took = now.since(self.mark);
        self.mark = now;
        if took > self.slowest.0 {
            self.slowest = (took, operation);
        }
    }

    pub(crate) fn elapsed(&self, now: Instant) -> Duration {
        now.since(self.began)
    }

    /// The turn ended; its length and slowest operation if it was too slow.
    pub(crate) fn end(&mut self, now: Instant) -> Option<(Duration, &'static str)> {
        let took = now.since(self.began);
        self.turns.saturating_record(took.as_micros() as u64);
        (took > SLOW).then_some((took, self.slowest.1))
    }

    /// Adds the figures of all turns so far.
    pub(crate) fn report(&self, stats: &mut ShardStats) {
        stats.turn_count = self.turns.len();
        stats.turn_p999 = Duration::from_micros(self.turns.value_at_quantile(0.999));
        stats.turn_max = Duration::from_micros(self.turns.max());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_turn_names_its_slowest_operation() {
        let mut meter = TurnMeter::new();
        let ms = Instant::from_millis;
        meter.begin(ms(10));
        meter.lap(ms(11), "completions");
        meter.lap(ms(18), "disk");
        meter.lap(ms(19), "sends");
        assert_eq!(meter.end(ms(19)), Some((Duration::from_millis(9), "disk")));
        meter.begin(ms(20));
        assert_eq!(meter.end(ms(21)), None);
        let mut stats = ShardStats::default();
        meter.report(&mut stats);
        assert_eq!((stats.turn_count, stats.turn_max), (2, Duration::from_micros(9_007)));
    }
}
