//! The bar of what hashes whole torrents: bytes, rate, time left.

use std::ops::ControlFlow;
use std::time::Duration;
use std::time::Instant;

use coreswarm::ScanProgress;
use indicatif::HumanDuration;

use crate::clock::now;
use crate::progress::Progress;
use crate::signals::StopFlag;
use crate::units::bytes;
use crate::units::rate;

/// Before that no rate is worth telling.
const SETTLE_TIME: Duration = Duration::from_millis(500);

/// Shows how far a scan is, and ends it when a signal asks for that.
pub(crate) struct ScanBar<'a> {
    progress: Progress,
    stop: &'a StopFlag,
    start: Instant,
    /// Bytes that were through from the start.
    first: Option<u64>,
}

impl<'a> ScanBar<'a> {
    pub(crate) fn new(name: &str, total_bytes: u64, stop: &'a StopFlag) -> ScanBar<'a> {
        let progress = Progress::new(name, total_bytes);
        ScanBar { progress, stop, start: now(), first: None }
    }

    pub(crate) fn look(&mut self, scan: ScanProgress) -> ControlFlow<()> {
        let first = *self.first.get_or_insert(scan.done_bytes);
        let took = self.start.elapsed();
        self.progress.show_text(scan.done_bytes, line(scan, first, took));
        if self.stop.is_raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Takes the bar away; how long it was there.
    pub(crate) fn finish(&self) -> Duration {
        self.progress.finish();
        self.start.elapsed()
    }
}

fn line(scan: ScanProgress, first: u64, took: Duration) -> String {
    let (done, total) = (bytes(scan.done_bytes), bytes(scan.total_bytes));
    let fresh = scan.done_bytes.saturating_sub(first);
    if took < SETTLE_TIME || fresh == 0 {
        return format!("{done} of {total}");
    }
    let per_second = fresh as f64 / took.as_secs_f64();
    let left = scan.total_bytes.saturating_sub(scan.done_bytes) as f64 / per_second;
    let left = HumanDuration(Duration::from_secs_f64(left.min(1e9)));
    format!("{done} of {total}, {}, ETA {left:#}", rate(per_second as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_time_left_count_what_is_new() {
        let mut scan = ScanProgress::default();
        (scan.done_bytes, scan.total_bytes) = (3 << 30, 5 << 30);
        let text = line(scan, 1 << 30, Duration::from_secs(2));
        assert_eq!(text, "3.0 GiB of 5.0 GiB, 1.0 GiB/s, ETA 2s");
        assert_eq!(line(scan, 3 << 30, Duration::from_secs(2)), "3.0 GiB of 5.0 GiB");
    }
}
