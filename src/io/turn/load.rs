//! The load meter: for how much of each second the shard's thread ran, or could have run and waited
//! for its core.
//!
//! The scheduler counts both (`/proc/thread-self/schedstat`, Documentation/scheduler/sched-stats).
//! Time on the clock would not do: a submission that sends 512 KiB looks like a wait from outside,
//! and another program on the core makes a busy shard look idle by its CPU time alone.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::base::instant::Instant;

/// How often the load is taken.
const INTERVAL: Duration = Duration::from_secs(1);

/// Below this a shard may sleep on: no decision is made about less.
const CALM: u16 = 50;

/// Measures the thread that makes it.
pub(crate) struct LoadMeter {
    /// `None` where the kernel does not count: the load is 0 there, and nobody is called for help.
    source: Option<File>,
    /// Nanoseconds so far, and when that was.
    busy: u64,
    taken: Instant,
    last: u16,
}

impl LoadMeter {
    pub(crate) fn new(now: Instant) -> LoadMeter {
        let source = File::open("/proc/thread-self/schedstat").ok();
        let busy = source.as_ref().and_then(read).unwrap_or(0);
        LoadMeter { source, busy, taken: now, last: 0 }
    }

    /// Thousandths of the last second that was measured.
    pub(crate) fn last(&self) -> u16 {
        self.last
    }

    /// When a shard that was busy should look again, even if nothing happens: others go by what it
    /// published.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        (self.last >= CALM).then(|| self.taken + INTERVAL)
    }

    /// The load, if a second has gone by since it was taken last.
    pub(crate) fn handle_turn(&mut self, now: Instant) -> Option<u16> {
        let span = now.since(self.taken);
        if span < INTERVAL {
            return None;
        }
        let Some(busy) = self.source.as_ref().and_then(read) else {
            self.last = 0;
            return None;
        };
        self.last = permille(busy.saturating_sub(self.busy), span);
        (self.busy, self.taken) = (busy, now);
        Some(self.last)
    }
}

fn permille(busy_nanos: u64, span: Duration) -> u16 {
    let permille = u128::from(busy_nanos) * 1_000 / span.as_nanos().max(1);
    u16::try_from(permille).unwrap_or(u16::MAX).min(1_000)
}

/// Nanoseconds that the thread ran or waited for a core. No memory is needed for it.
fn read(source: &File) -> Option<u64> {
    let mut text = [0; 80];
    let len = source.read_at(&mut text, 0).ok()?;
    parse(text.get(..len)?)
}

/// The first two of the three numbers: running, and waiting to.
fn parse(text: &[u8]) -> Option<u64> {
    let mut numbers = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    let mut next = || numbers.next()?.parse::<u64>().ok();
    next()?.checked_add(next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_line_is_read_and_nonsense_is_not() {
        assert_eq!(parse(b"474714 734261 3\n"), Some(1_208_975));
        assert_eq!([parse(b""), parse(b"12"), parse(b"a b c"), parse(&[0xff])], [None; 4]);
    }

    #[test]
    fn a_thread_that_works_is_busy_and_thousandths_have_a_bound() {
        assert_eq!(permille(250_000_000, Duration::from_secs(1)), 250);
        assert_eq!(permille(9_000_000_000, Duration::from_secs(1)), 1_000);
        let mut meter = LoadMeter::new(Instant::ZERO);
        assert_eq!(meter.handle_turn(Instant::from_millis(999)), None);
        let before = meter.busy;
        assert!((0..20_000_000u64).fold(1, |a, b| std::hint::black_box(a ^ b)) > 0);
        if meter.source.is_some() {
            assert!(meter.handle_turn(Instant::from_millis(1_000)).is_some());
            assert!(meter.busy > before && meter.last() > 0, "some milliseconds of a second");
        }
    }
}
