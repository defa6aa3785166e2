//! The turn meter: how long turns take, and which part took most of a slow one (C9).

use std::time::Duration;

use crate::base::instant::Instant;
use crate::base::shard_turns::ShardTurns;
use crate::base::shard_turns::TurnPart;

/// A turn above this raises an alert. Ten times the budget: what one slow system call costs.
const ALARMING: Duration = Duration::from_millis(5);

/// Measures the turns of one shard. Waiting is no part of a turn.
pub(crate) struct TurnMeter {
    turns: ShardTurns,
    began: Instant,
    mark: Instant,
    longest: (Duration, TurnPart),
}

impl TurnMeter {
    pub(crate) fn new() -> TurnMeter {
        TurnMeter {
            turns: ShardTurns::default(),
            began: Instant::ZERO,
            mark: Instant::ZERO,
            longest: (Duration::ZERO, TurnPart::Submission),
        }
    }

    /// A turn begins.
    pub(crate) fn begin(&mut self, now: Instant) {
        (self.began, self.mark) = (now, now);
        self.longest = (Duration::ZERO, TurnPart::Submission);
    }

    /// A part of the turn ended. Returns how long it took.
    pub(crate) fn lap(&mut self, now: Instant, part: TurnPart) -> Duration {
        let took = now.since(self.mark);
        self.mark = now;
        if took > self.longest.0 {
            self.longest = (took, part);
        }
        took
    }

    /// The shard waited since the last lap: the turn is that much longer ago and no longer.
    pub(crate) fn waited(&mut self, now: Instant) {
        self.began = self.began + now.since(self.mark);
        self.mark = now;
    }

    pub(crate) fn elapsed(&self, now: Instant) -> Duration {
        now.since(self.began)
    }

    /// The turn ended with its last lap; its length and longest part if that was alarming.
    pub(crate) fn end(&mut self) -> Option<(Duration, TurnPart)> {
        let took = self.mark.since(self.began);
        self.turns.record(took, self.longest.1);
        (took > ALARMING).then_some((took, self.longest.1))
    }

    /// All turns so far.
    pub(crate) fn turns(&self) -> &ShardTurns {
        &self.turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Instant {
        Instant::from_millis(count)
    }

    #[test]
    fn a_slow_turn_names_its_longest_part() {
        let mut meter = TurnMeter::new();
        meter.begin(ms(10));
        meter.lap(ms(11), TurnPart::Completions);
        meter.lap(ms(18), TurnPart::Decisions);
        assert_eq!(meter.lap(ms(19), TurnPart::Hashing), Duration::from_millis(1));
        assert_eq!(meter.end(), Some((Duration::from_millis(9), TurnPart::Decisions)));
        meter.begin(ms(20));
        meter.lap(ms(21), TurnPart::Completions);
        assert_eq!(meter.end(), None);
        assert_eq!((meter.turns().count(), meter.turns().max()), (2, Duration::from_millis(9)));
        assert_eq!(meter.turns().slow_count(TurnPart::Decisions), 1);
    }

    #[test]
    fn waiting_is_no_part_of_a_turn() {
        let mut meter = TurnMeter::new();
        meter.begin(ms(10));
        meter.lap(ms(12), TurnPart::Submission);
        meter.waited(ms(500));
        meter.lap(ms(501), TurnPart::Completions);
        assert_eq!(meter.elapsed(ms(501)), Duration::from_millis(3));
        assert_eq!(meter.end(), None);
        assert_eq!(meter.turns().max(), Duration::from_millis(3));
    }
}
