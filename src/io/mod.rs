//! The outer ring: sockets, files, pinning and the clock. The only place for `await` and system
//! calls.

pub(crate) mod alert_queue;
pub(crate) mod blocking;
pub(crate) mod clock;
pub(crate) mod cpus;
pub(crate) mod doorbell;
pub(crate) mod link;
pub(crate) mod preflight;
pub(crate) mod ring;
pub(crate) mod sockets;
pub(crate) mod store;
pub(crate) mod torrent_file;
pub(crate) mod trackers;
