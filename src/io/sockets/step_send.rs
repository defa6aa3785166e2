//! Batches on their way: by the ring, or here and now without a copy, until all of each has left.

use std::os::fd::AsFd;

use rustix::io::Errno;

use crate::engine::to_ring::CloseReason;
use crate::engine::to_ring::ConnId;
use crate::io::ring::Ring;
use crate::io::ring::batch::Sending;
use crate::io::sockets::splice::Splicer;
use crate::io::sockets::state::SocketEvent;
use crate::io::sockets::state::Sockets;

/// Batches kept for reuse: as many as send at the same time on a busy shard.
const SPARE_MAX: usize = 256;

/// What became of a batch that was given away.
#[derive(Debug)]
pub(crate) enum Sent {
    /// It leaves with the next submission.
    Later,
    /// What could be done was done, and this happened; or it waits for room.
    Now(Option<SocketEvent>),
}

impl Sockets {
    /// Whether a batch may be sent now.
    pub(crate) fn can_send(&mut self, id: ConnId) -> bool {
        self.get(id).is_some_and(|conn| !conn.is_sending() && !conn.is_leaving())
    }

    /// An empty batch to fill.
    pub(crate) fn spare(&mut self) -> Box<Sending> {
        self.spare.pop().unwrap_or_else(Sending::empty)
    }

    /// From now on batches of mapped blocks are sent without copies.
    pub(crate) fn set_splicer(&mut self, splicer: Splicer) {
        self.splicer = Some(splicer);
    }

    /// Why nothing is spliced any more, told once.
    pub(crate) fn take_splice_failure(&mut self) -> Option<String> {
        self.splicer.as_mut().and_then(Splicer::take_failure)
    }

    /// Bytes that were sent without copies.
    pub(crate) fn spliced(&self) -> u64 {
        self.splicer.as_ref().map_or(0, Splicer::sent)
    }

    /// Sends the batch; an empty one, or one for a connection that left, only goes back to the
    /// spares.
    pub(crate) fn send(&mut self, ring: &mut Ring, id: ConnId, sending: Box<Sending>) -> Sent {
        if sending.batch.is_empty() || self.get(id).is_none() {
            self.recycle(sending);
            return Sent::Now(None);
        }
        self.send_on(ring, id, sending)
    }

    pub(super) fn handle_sent(
        &mut self,
        ring: &mut Ring,
        id: ConnId,
        mut sending: Box<Sending>,
        result: Result<usize, Errno>,
    ) -> Option<SocketEvent> {
        let Some(conn) = self.get(id) else {
            self.recycle(sending);
            return None;
        };
        conn.handle_send_ended();
        match result {
            Ok(count) => {
                let is_done = sending.advance(count);
                if is_done {
                    self.recycle(sending);
                } else if sending.first_mapped().is_some() {
                    conn.await_room(ring, sending);
                } else {
                    conn.send(ring, sending);
                }
                Some(SocketEvent::Sent { conn: id, count, is_done })
            }
            // A signal is nobody's fault: the same bytes go again.
            Err(Errno::INTR) => {
                conn.send(ring, sending);
                None
            }
            Err(Errno::AGAIN) => {
                conn.await_room(ring, sending);
                None
            }
            Err(errno) => Some(self.handle_unsent(ring, id, sending, errno)),
        }
    }

    /// A batch that waited for room, or for bytes of its to be in memory, may go on.
    pub(super) fn handle_room(
        &mut self,
        ring: &mut Ring,
        id: ConnId,
        mut sending: Box<Sending>,
        result: Result<(), Errno>,
    ) -> Option<SocketEvent> {
        let Some(conn) = self.get(id) else {
            self.recycle(sending);
            return None;
        };
        conn.handle_send_ended();
        if let Err(errno) = result {
            return Some(self.handle_unsent(ring, id, sending, errno));
        }
        if let Some(absent) = sending.next_absent() {
            conn.populate(ring, sending, absent);
            return None;
        }
        match self.send_on(ring, id, sending) {
            Sent::Later => None,
            Sent::Now(event) => event,
        }
    }

    /// The rest of a batch will never leave.
    fn handle_unsent(
        &mut self,
        ring: &mut Ring,
        conn: ConnId,
        sending: Box<Sending>,
        errno: Errno,
    ) -> SocketEvent {
        let unreadable = sending.first_mapped().filter(|_| errno == Errno::FAULT).cloned();
        self.recycle(sending);
        self.close(ring, conn);
        let reason = CloseReason::Errno(errno.raw_os_error());
        match unreadable {
            Some(mapped) => SocketEvent::Unreadable { conn, mapped },
            None => SocketEvent::Closed { conn, reason },
        }
    }

    fn recycle(&mut self, mut sending: Box<Sending>) {
        // Payload is let go of at once, whether the batch is kept or not.
        sending.clear();
        if self.spare.len() < SPARE_MAX {
            self.spare.push(sending);
        }
    }

    /// Sends what is left of the batch: here and now without copies where that can be, else by the
    /// ring.
    fn send_on(&mut self, ring: &mut Ring, id: ConnId, sending: Box<Sending>) -> Sent {
        if let Some(result) = self.splice(id, &sending) {
            return Sent::Now(self.handle_sent(ring, id, sending, result));
        }
        if let Some(conn) = self.get(id) {
            conn.send(ring, sending);
        }
        Sent::Later
    }

    /// `None` where the batch does not suit, or something is lacking.
    fn splice(&mut self, id: ConnId, sending: &Sending) -> Option<Result<usize, Errno>> {
        if !self.splicer.as_ref()?.suits(sending) {
            return None;
        }
        let fd = self.get(id)?.nonblocking()?;
        self.splicer.as_mut()?.send(fd.as_fd(), sending)
    }
}
