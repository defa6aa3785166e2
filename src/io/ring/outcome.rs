//! Completions: what became of an operation, with everything it owned handed back.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::base::buffer::PageBuf;
use crate::io::ring::asker::Asker;
use crate::io::ring::batch::Sending;
use crate::io::ring::buffers::Filled;
use crate::io::ring::datagram::Datagram;

/// One completion of one operation.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) asker: Asker,
    /// False while a multishot operation goes on.
    pub(crate) is_last: bool,
    pub(crate) outcome: Outcome,
}

/// By kind of operation.
pub(crate) enum Outcome {
    Woken,
    Accepted(Result<OwnedFd, Errno>),
    /// `Errno::CANCELED` when the time-out came first.
    Connected(Result<(), Errno>),
    /// `Ok(None)` at the end of the stream; `Errno::NOBUFS` when no buffer was free: arm again, in
    /// turn.
    Received(Result<Option<Filled>, Errno>),
    /// Bytes that left, possibly fewer than the batch holds.
    Sent(Box<Sending>, Result<usize, Errno>),
    /// There is room for more of the batch.
    Room(Box<Sending>, Result<(), Errno>),
    /// The bytes that were waited for are in memory, or cannot be read.
    Populated(Box<Sending>),
    DatagramReceived(Box<Datagram>, Result<(), Errno>),
    /// Or not: nobody who sends datagrams may rely on their arrival.
    DatagramSent,
    /// Bytes read, possibly fewer than asked for; 0 at the end of the file.
    Read(PageBuf, Result<usize, Errno>),
    /// Bytes written, possibly fewer than given. The buffer is let go of.
    Written(Result<usize, Errno>),
    Synced(Result<(), Errno>),
}

impl Outcome {
    /// Bytes that came.
    pub(crate) fn received(&self) -> usize {
        match self {
            Outcome::Received(Ok(Some(filled))) => filled.len(),
            _ => 0,
        }
    }
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Woken => write!(f, "Woken"),
            Outcome::Accepted(result) => write!(f, "Accepted({result:?})"),
            Outcome::Connected(result) => write!(f, "Connected({result:?})"),
            Outcome::Received(result) => write!(f, "Received({result:?})"),
            Outcome::Sent(_, result) => write!(f, "Sent({result:?})"),
            Outcome::Room(_, result) => write!(f, "Room({result:?})"),
            Outcome::Populated(_) => write!(f, "Populated"),
            Outcome::DatagramReceived(_, result) => write!(f, "DatagramReceived({result:?})"),
            Outcome::DatagramSent => write!(f, "DatagramSent"),
            Outcome::Read(_, result) => write!(f, "Read({result:?})"),
            Outcome::Written(result) => write!(f, "Written({result:?})"),
            Outcome::Synced(result) => write!(f, "Synced({result:?})"),
        }
    }
}
