//! Who asked: the note that an operation carries and its completions bring back.

use crate::engine::disk::JobId;
use crate::engine::to_ring::ConnId;

/// The asker of an operation. Ids inside it are generation-checked by whoever made them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asker {
    /// The inbox's eventfd.
    Wake,
    /// A listener, by its position.
    Listener(usize),
    /// A TCP connection.
    Conn(ConnId),
    /// A UDP socket, by its position.
    Udp(usize),
    /// A step of a disk job.
    Disk(JobId),
}
