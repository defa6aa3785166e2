//! The outer ring: sockets, files, pinning and the clock. The only place for `await` and system
//! calls.

pub(crate) mod clock;
pub(crate) mod ring;
pub(crate) mod sockets;
