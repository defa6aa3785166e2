//! When to announce next: functions over what the tracker said, how often it failed, and chance.

use std::time::Duration;

use crate::base::limits::ANNOUNCE_INTERVAL_MAX;
use crate::base::limits::ANNOUNCE_INTERVAL_MIN;
use crate::base::limits::ANNOUNCE_RETRY_MAX;
use crate::base::limits::ANNOUNCE_RETRY_MIN;
use crate::base::rng::Rng;

/// Assumed when the tracker names no interval: what most trackers ask for.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(1800);
/// Assumed when the tracker names no `min interval`: early announces are rarer than what is
/// allowed.
const EARLY_DEFAULT: Duration = Duration::from_secs(120);
/// Delays after the first failures of a torrent that no tracker ever answered: a network that comes
/// up late, or a tracker that starts together with us, should not cost the user a minute.
const QUICK: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(15)];

/// When the next regular and the next early announce are due, counted from an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pace {
    /// Time to the next regular announce, jitter included.
    pub(crate) regular: Duration,
    /// Time before which we never ask again.
    pub(crate) early: Duration,
}

/// From what the tracker said, clamped to 60 s to 24 h. Jitter only delays, by up to a tenth, so
/// that torrents that were started together drift apart and no minimum is broken.
pub(crate) fn pace(
    interval: Option<Duration>,
    min_interval: Option<Duration>,
    rng: &mut Rng,
) -> Pace {
    let interval = clamp(interval.unwrap_or(INTERVAL_DEFAULT));
    let early = clamp(min_interval.unwrap_or(EARLY_DEFAULT.min(interval)));
    Pace { regular: with_jitter(interval.max(early), rng).min(ANNOUNCE_INTERVAL_MAX), early }
}

/// Time until a tracker that failed `fails` times in a row (at least 1) is asked again: 60 s,
/// doubled each time up to an hour, plus jitter. `is_quick`: nothing of this torrent's trackers
/// ever answered, and the failure was not the tracker's own word.
pub(crate) fn retry(fails: u32, is_quick: bool, rng: &mut Rng) -> Duration {
    let index = fails.saturating_sub(1) as usize;
    let delay = match QUICK.get(index) {
        Some(quick) if is_quick => *quick,
        _ => {
            let doublings = if is_quick { index.saturating_sub(QUICK.len()) } else { index };
            ANNOUNCE_RETRY_MIN.saturating_mul(1 << doublings.min(16)).min(ANNOUNCE_RETRY_MAX)
        }
    };
    with_jitter(delay, rng)
}

fn clamp(interval: Duration) -> Duration {
    interval.clamp(ANNOUNCE_INTERVAL_MIN, ANNOUNCE_INTERVAL_MAX)
}

fn with_jitter(delay: Duration, rng: &mut Rng) -> Duration {
    let tenth = u64::try_from(delay.as_millis() / 10).unwrap_or(0);
    delay + Duration::from_millis(rng.below(tenth + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(secs: u64) -> Option<Duration> {
        Some(Duration::from_secs(secs))
    }

    #[test]
    fn intervals_are_clamped_and_jitter_only_delays() {
        let rows = [
            // interval, min interval, regular at least, early exactly
            (s(1800), s(900), 1800, 900),
            (s(1800), None, 1800, 120),
            (s(90), None, 90, 90),
            (s(0), s(0), 60, 60),
            (s(1), None, 60, 60),
            (s(600), s(1200), 1200, 1200),
            (None, None, 1800, 120),
            (s(u64::MAX), s(u64::MAX), 86_400, 86_400),
        ];
        for (interval, min_interval, regular, early) in rows {
            for seed in 0..50 {
                let got = pace(interval, min_interval, &mut Rng::new(seed));
                assert_eq!(got.early, Duration::from_secs(early));
                let regular = Duration::from_secs(regular);
                assert!(got.regular >= regular, "{got:?}");
                assert!(got.regular <= regular + regular / 10, "{got:?}");
                assert!(got.regular <= ANNOUNCE_INTERVAL_MAX);
            }
        }
    }

    #[test]
    fn failures_back_off_from_a_minute_to_an_hour() {
        let slow = [60, 120, 240, 480, 960, 1920, 3600, 3600];
        let quick = [5, 15, 60, 120, 240, 480, 960, 1920, 3600, 3600];
        for (is_quick, rows) in [(false, &slow[..]), (true, &quick[..])] {
            for (fails, secs) in (1..).zip(rows) {
                let got = retry(fails, is_quick, &mut Rng::new(u64::from(fails)));
                let delay = Duration::from_secs(*secs);
                assert!(got >= delay && got <= delay + delay / 10, "{fails} fails: {got:?}");
            }
        }
        assert!(retry(u32::MAX, false, &mut Rng::new(1)) <= ANNOUNCE_RETRY_MAX.mul_f64(1.1));
    }
}
