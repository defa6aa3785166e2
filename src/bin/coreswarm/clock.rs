//! The binary's clock and its one way to wait.

use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Now, on the steady clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the binary owns its clock; the library takes time as an argument"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits about this long, perhaps less.
pub(crate) fn pause(time: Duration) {
    thread::park_timeout(time);
}
