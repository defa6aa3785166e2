//! The binary's clock.

use std::time::Instant;

/// Now, on the steady clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the binary owns its clock; the library takes time as an argument"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
