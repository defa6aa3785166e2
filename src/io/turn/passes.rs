//! When glommio gets its passes: often while others than the pump live on the shard's thread,
//! seldom while nobody does.
//!
//! A pass costs some 40 us, most of what an idle shard does at all. Nothing of ours waits inside
//! glommio, but a control task may; it is noticed by what the executor ran.

use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use glommio::timer::Timer;

use crate::base::instant::Instant;

/// Between two passes while control tasks run: what they wait for is at most this late.
const PAUSE_MIN: Duration = Duration::from_millis(4);
/// Between two passes while the pump is alone: a first control task starts at most this late.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Debug)]
pub(crate) struct Passes {
    pause: Duration,
    next: Instant,
}

impl Passes {
    pub(crate) fn new(now: Instant) -> Passes {
        Passes { pause: PAUSE_MIN, next: now + PAUSE_MIN }
    }

    /// When the next pair is due, whatever the shard does.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Two passes in a row: with one, glommio's timers starved for up to 1.5 s (measured). True if
    /// others than the pump ran since the last pair.
    pub(crate) async fn pass() -> bool {
        let mut own_count = 0;
        for _ in 0..2 {
            let mut timer = Timer::new(Duration::from_micros(1));
            poll_fn(|context| {
                let polled = Pin::new(&mut timer).poll(context);
                // With this a run of the pump ends, and nowhere else.
                own_count += u64::from(polled.is_pending());
                polled
            })
            .await;
        }
        glommio::executor().executor_stats().tasks_executed() > own_count
    }

    /// A pair of passes ended at `now`.
    pub(crate) fn handle_pass(&mut self, now: Instant, has_company: bool) {
        self.pause = if has_company { PAUSE_MIN } else { (self.pause * 2).min(PAUSE_MAX) };
        self.next = now + self.pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_rare_while_the_pump_is_alone_and_frequent_at_once_when_it_is_not() {
        let mut passes = Passes::new(Instant::ZERO);
        let mut now = Instant::ZERO;
        let mut pass = |has_company| {
            now = passes.next();
            passes.handle_pass(now, has_company);
            passes.next().since(now).as_millis()
        };
        let alone: Vec<u128> = (0..8).map(|_| pass(false)).collect();
        assert_eq!(alone, [8, 16, 32, 64, 128, 250, 250, 250]);
        assert_eq!(pass(true), 4);
        assert_eq!(pass(false), 8);
    }
}
