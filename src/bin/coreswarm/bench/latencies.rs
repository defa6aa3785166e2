//! How long things took, as a histogram of microseconds.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Durations from 1 us to an hour with three digits; what is outside counts as the nearest.
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> anyhow::Result<Latencies> {
        Ok(Latencies(Histogram::new_with_bounds(1, 3_600_000_000, 3)?))
    }

    pub(crate) fn record(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(micros.max(1));
    }

    /// Milliseconds that this share, 0 to 1, did not exceed; `None` when nothing was recorded.
    pub(crate) fn millis_at(&self, share: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(share) as f64 / 1000.0)
    }
}
