//! Rates: how many bytes per second lately, without a timer.

use std::time::Duration;

use crate::base::instant::Instant;

/// Exponentially decaying byte rate. Half of what it says comes from the last 3.5 seconds or so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    per_second: f64,
    window: u64,
    window_start: Instant,
    total: u64,
}

/// Bytes gather this long before they enter the average: shorter windows make a burst look like a
/// trend.
const WINDOW: Duration = Duration::from_millis(500);
/// Time constant of the decay in seconds; 5 s is what choking decisions (10 s apart) can follow.
const DECAY_SECONDS: f64 = 5.0;

impl Rate {
    pub(crate) fn add(&mut self, now: Instant, bytes: u64) {
        self.roll(now);
        self.window += bytes;
        self.total += bytes;
    }

    /// Bytes per second as of `now`.
    pub(crate) fn per_second(&mut self, now: Instant) -> u64 {
        self.roll(now);
        self.per_second as u64
    }

    /// All bytes ever added.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    fn roll(&mut self, now: Instant) {
        let span = now.since(self.window_start);
        if span < WINDOW {
            return;
        }
        let seconds = span.as_secs_f64();
        let keep = (-seconds / DECAY_SECONDS).exp();
        self.per_second = self.per_second * keep + (self.window as f64 / seconds) * (1.0 - keep);
        self.window = 0;
        self.window_start = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_is_measured_and_silence_decays() {
        let mut rate = Rate::default();
        for ms in (0..30_000).step_by(100) {
            rate.add(Instant::from_millis(ms), 100_000);
        }
        let steady = rate.per_second(Instant::from_millis(30_000));
        assert!((900_000..1_100_000).contains(&steady), "{steady}");
        assert!(rate.per_second(Instant::from_millis(60_000)) < 10_000);
        assert_eq!(rate.total(), 30_000_000);
    }
}
