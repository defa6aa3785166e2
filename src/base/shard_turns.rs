//! The turns of a shard: how long they took, and which part took most of the slow ones (C9).

use std::time::Duration;

/// Lengths below this many microseconds are counted one by one; above, each power of two is
/// divided into half as many steps, which are 1.6 % apart.
const FINE: u64 = 128;
const STEPS: u64 = FINE / 2;
/// Longest turn that is told apart from longer ones, in microseconds: an hour.
const TURN_MAX: u64 = 3_600_000_000;

/// What a turn does, in this order. A slow turn is counted for the part that took longest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum TurnPart {
    /// Handing operations to the kernel. Sends whose peer is on the same machine run here.
    Submission,
    /// What the kernel reports: received bytes, ends of sends, of reads and of writes.
    Completions,
    /// Commands, answers of trackers, and connections from other shards.
    Letters,
    /// What was due by the clock.
    Timers,
    /// Who is asked for what and sent what; reads of what is in the page cache, and sends without a
    /// copy.
    Decisions,
    /// Hashing, and other long work in slices.
    Hashing,
    /// Publishing figures, and what the executor of the thread does for itself.
    Upkeep,
}

/// The lengths of all turns of one shard so far, as a histogram; what it says of a length is right
/// to 1.6 %.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ShardTurns {
    /// By [`step`]; as long as the longest turn needs.
    counts: Vec<u64>,
    count: u64,
    /// Microseconds.
    max: u64,
    /// Slow turns by [`TurnPart`].
    slow: [u64; TurnPart::ALL.len()],
}

impl TurnPart {
    /// All parts, in the order of the turn.
    pub const ALL: [TurnPart; 7] = [
        TurnPart::Submission,
        TurnPart::Completions,
        TurnPart::Letters,
        TurnPart::Timers,
        TurnPart::Decisions,
        TurnPart::Hashing,
        TurnPart::Upkeep,
    ];

    /// One lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            TurnPart::Submission => "submission",
            TurnPart::Completions => "completions",
            TurnPart::Letters => "letters",
            TurnPart::Timers => "timers",
            TurnPart::Decisions => "decisions",
            TurnPart::Hashing => "hashing",
            TurnPart::Upkeep => "upkeep",
        }
    }
}

impl ShardTurns {
    /// A turn longer than this is slow.
    pub const SLOW: Duration = Duration::from_millis(1);

    /// A turn took so long, most of it in `longest`.
    pub(crate) fn record(&mut self, took: Duration, longest: TurnPart) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(TURN_MAX);
        let at = step(micros);
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
        self.count += 1;
        self.max = self.max.max(micros);
        if took > ShardTurns::SLOW {
            self.slow[longest as usize] += 1;
        }
    }

    /// How many turns there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The length that this share of the turns (0 to 1: 0.99 is the 99th percentile) did not
    /// exceed; zero before the first turn.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        let found = self.lengths().find(|(_, count)| {
            seen += count;
            seen >= wanted
        });
        found.map_or(Duration::ZERO, |(length, _)| length.min(self.max()))
    }

    /// The longest turn.
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.max)
    }

    /// How many turns longer than [`ShardTurns::SLOW`] spent most of it in `part`.
    pub fn slow_count(&self, part: TurnPart) -> u64 {
        self.slow[part as usize]
    }

    /// Lengths and how many turns were that long, ascending: the difference of two readings tells
    /// of the time in between. A length is the longest of its step.
    pub fn lengths(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counts.map(|(at, count)| (Duration::from_micros(longest_of(at)), *count))
    }
}

/// The step of a length in microseconds.
fn step(micros: u64) -> usize {
    let octave = (micros / STEPS).max(1).ilog2();
    (u64::from(octave) * STEPS + (micros >> octave)) as usize
}

/// The longest length of a step, in microseconds.
fn longest_of(step: usize) -> u64 {
    let step = step as u64;
    let octave = (step / STEPS).saturating_sub(1);
    ((step - octave * STEPS + 1) << octave) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(count: u64) -> Duration {
        Duration::from_micros(count)
    }

    #[test]
    fn quantiles_tell_the_usual_turn_from_the_rare_one() {
        let mut turns = ShardTurns::default();
        assert_eq!((turns.quantile(0.5), turns.max()), (us(0), us(0)));
        (0..998).for_each(|_| turns.record(us(100), TurnPart::Decisions));
        turns.record(us(1_000), TurnPart::Hashing);
        turns.record(us(1_001), TurnPart::Submission);
        assert_eq!((turns.count(), turns.quantile(0.99), turns.max()), (1_000, us(100), us(1_001)));
        let slow = TurnPart::ALL.map(|part| turns.slow_count(part));
        assert_eq!(slow, [1, 0, 0, 0, 0, 0, 0], "a millisecond is not slow yet");
    }

    #[test]
    fn the_difference_of_two_readings_is_what_happened_in_between() {
        let mut turns = ShardTurns::default();
        turns.record(us(7), TurnPart::Timers);
        let before = turns.clone();
        turns.record(us(7), TurnPart::Timers);
        turns.record(us(90), TurnPart::Timers);
        assert_eq!(before.lengths().collect::<Vec<_>>(), [(us(7), 1)]);
        assert_eq!(turns.lengths().collect::<Vec<_>>(), [(us(7), 2), (us(90), 1)]);
    }

    #[test]
    fn every_length_lies_in_its_step_and_no_step_is_wider_than_a_sixtieth() {
        let mut longest = 0;
        for at in 0..step(TURN_MAX) {
            let (first, last) = (if at == 0 { 0 } else { longest + 1 }, longest_of(at));
            assert_eq!((step(first), step(last)), (at, at));
            assert!(last - first <= first / STEPS, "{first} to {last}");
            longest = last;
        }
    }

    #[test]
    fn a_turn_of_days_is_counted_as_one_of_an_hour() {
        let mut turns = ShardTurns::default();
        turns.record(Duration::MAX, TurnPart::Upkeep);
        assert_eq!((turns.count(), turns.slow_count(TurnPart::Upkeep)), (1, 1));
        assert_eq!((turns.max(), turns.quantile(0.5)), (us(TURN_MAX), us(TURN_MAX)));
    }
}
