//! How long the turns of a session's shards were, told by the shards themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coreswarm::ShardStats;
use coreswarm::ShardTurns;
use coreswarm::TurnPart;

use crate::bench::report::Report;

/// Of all shards together, between two readings.
pub(crate) fn tell(report: &mut Report, before: &[Arc<ShardStats>], after: &[Arc<ShardStats>]) {
    let mut lengths: BTreeMap<Duration, u64> = BTreeMap::new();
    let mut slow = [0; TurnPart::ALL.len()];
    for (before, after) in before.iter().zip(after) {
        for (length, count) in after.turns.lengths() {
            *lengths.entry(length).or_default() += count;
        }
        for (length, count) in before.turns.lengths() {
            *lengths.entry(length).or_default() -= count;
        }
        for (slow, part) in slow.iter_mut().zip(TurnPart::ALL) {
            *slow += after.turns.slow_count(part) - before.turns.slow_count(part);
        }
    }
    lengths.retain(|_, count| *count > 0);
    let turns: u64 = lengths.values().sum();
    report.count("turns", turns);
    for (key, share) in [("p50", 0.5), ("p99", 0.99), ("p99_9", 0.999), ("max", 1.0)] {
        let millis = quantile(&lengths, share).map(|length| 1000.0 * length.as_secs_f64());
        report.number(&format!("turn_{key}_ms"), millis);
    }
    let limit = ShardTurns::SLOW.as_secs_f64() * 1000.0;
    report.number("turn_slow_above_ms", Some(limit));
    for (slow, part) in slow.iter().zip(TurnPart::ALL) {
        report.count(&format!("turns_slow_by_{}", part.name()), *slow);
    }
}

/// The length that this share of the turns did not exceed.
fn quantile(lengths: &BTreeMap<Duration, u64>, share: f64) -> Option<Duration> {
    let turns: u64 = lengths.values().sum();
    let wanted = ((turns as f64 * share).ceil() as u64).max(1);
    let mut seen = 0;
    lengths.iter().find_map(|(length, count)| {
        seen += count;
        (seen >= wanted).then_some(*length)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rarest_turn_decides_the_maximum_and_not_the_median() {
        let ms = Duration::from_millis;
        let lengths = BTreeMap::from([(ms(1), 998), (ms(2), 1), (ms(9), 1)]);
        assert_eq!(quantile(&lengths, 0.5), Some(ms(1)));
        assert_eq!(quantile(&lengths, 0.999), Some(ms(2)));
        assert_eq!(quantile(&lengths, 1.0), Some(ms(9)));
        assert_eq!(quantile(&BTreeMap::new(), 0.5), None);
    }
}
