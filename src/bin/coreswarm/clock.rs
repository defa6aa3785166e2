//! The binary's clock.

use std::time::Instant;
use std::time::SystemTime;

/// Now, on the steady clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the binary owns its clock; the library takes time as an argument"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Now, on the wall.
#[expect(
    clippy::disallowed_methods,
    reason = "the binary owns its clock; the library takes time as an argument"
)]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}
