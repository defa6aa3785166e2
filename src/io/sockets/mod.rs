//! Peer sockets on the ring: completions in, events for the engine out.

mod conn;
mod headers;
pub(crate) mod listeners;
pub(crate) mod splice;
pub(crate) mod udp;

use std::net::IpAddr;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use socket2::SockRef;

use crate::base::instant::Instant;
use crate::base::payload::Mapped;
use crate::engine::to_ring::CloseReason;
use crate::engine::to_ring::ConnId;
use crate::io::ring::Ring;
use crate::io::ring::asker::Asker;
use crate::io::ring::batch::Sending;
use crate::io::ring::buffers::Filled;
use crate::io::ring::op::OpId;
use crate::io::ring::outcome::Completion;
use crate::io::ring::outcome::Outcome;
use crate::io::sockets::conn::Conn;
use crate::io::sockets::splice::Splicer;

/// Batches kept for reuse: as many as send at the same time on a busy shard.
const SPARE_MAX: usize = 256;
/// Pause after a failed accept (out of descriptors or memory): trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What happened on a socket.
#[derive(Debug)]
pub(crate) enum SocketEvent {
    /// Somebody connected to us. Adopt the descriptor, or drop it to close it.
    Accepted {
        fd: OwnedFd,
        remote: SocketAddr,
    },
    Connected {
        conn: ConnId,
    },
    /// Give the buffer back to the ring once its bytes are used.
    Bytes {
        conn: ConnId,
        filled: Filled,
    },
    /// So many bytes left. With `is_done` the batch is through and the next one may be sent.
    Sent {
        conn: ConnId,
        count: usize,
        is_done: bool,
    },
    /// What was being sent cannot be read from its file. The socket is gone and forgotten here.
    Unreadable {
        conn: ConnId,
        mapped: Mapped,
    },
    /// The socket is gone and forgotten here.
    Closed {
        conn: ConnId,
        reason: CloseReason,
    },
}

/// What became of a batch that was given away.
#[derive(Debug)]
pub(crate) enum Sent {
    /// It leaves with the next submission.
    Later,
    /// What could be done was done, and this happened; or it waits for room.
    Now(Option<SocketEvent>),
}

/// All TCP sockets of a shard.
#[derive(Default)]
pub(crate) struct Sockets {
    /// By the slot of their id.
    conns: Vec<Option<Conn>>,
    /// Connections whose slot the engine gave to a newer one before it said what becomes of them.
    displaced: Vec<Conn>,
    count: usize,
    listeners: Vec<Listener>,
    /// Addresses that connections of ours come from: those that were chosen to listen at.
    sources: Vec<IpAddr>,
    /// Connections whose single receive ended: they may be taken away before they are armed again.
    disarmed: Vec<ConnId>,
    /// Connections that may change shards once nothing is in flight on them.
    leaving: Vec<ConnId>,
    #[expect(clippy::vec_box, reason = "the kernel holds addresses inside: boxes stay boxes")]
    spare: Vec<Box<Sending>>,
    /// Sends without copies, where that was asked for.
    splicer: Option<Splicer>,
}

struct Listener {
    fd: Rc<OwnedFd>,
    accept: OpId,
    /// When to accept again after a failure.
    retry_at: Option<Instant>,
}

impl Sockets {
    /// Accepts from now on.
    pub(crate) fn listen(&mut self, ring: &mut Ring, fd: OwnedFd) {
        let local = SockRef::from(&fd).local_addr().ok().and_then(|local| local.as_socket());
        self.sources.extend(local.map(|local| local.ip()).filter(|ip| !ip.is_unspecified()));
        let fd = Rc::new(fd);
        let accept = ring.accept(Asker::Listener(self.listeners.len()), Rc::clone(&fd));
        self.listeners.push(Listener { fd, accept, retry_at: None });
    }

    /// Accepts no more: the listeners close with their cancelled operations.
    pub(crate) fn stop_listening(&mut self, ring: &mut Ring) {
        for listener in self.listeners.drain(..) {
            ring.cancel(listener.accept);
        }
    }

    /// Takes a connected socket (accepted here or on another shard) under the engine's id.
    pub(crate) fn adopt(&mut self, ring: &mut Ring, id: ConnId, fd: OwnedFd) {
        let mut conn = Conn::connected(id, fd);
        conn.arm(ring);
        self.put(conn);
    }

    /// Connects within `CONNECT_TIMEOUT`; an error here means that there is no socket at all.
    pub(crate) fn connect(
        &mut self,
        ring: &mut Ring,
        id: ConnId,
        address: SocketAddr,
    ) -> Result<(), CloseReason> {
        // A peer that we dial should see the address at which it, or its tracker, knows us.
        let fits = |source: &&IpAddr| {
            source.is_ipv4() == address.is_ipv4()
                && source.is_loopback() == address.ip().is_loopback()
        };
        let source = self.sources.iter().find(fits).copied();
        let conn = Conn::connecting(id, ring, source, address).map_err(|error| {
            error.raw_os_error().map_or(CloseReason::ConnectFailed, CloseReason::Errno)
        })?;
        self.put(conn);
        Ok(())
    }

    /// The handshake is over: receive in bulk.
    pub(crate) fn set_established(&mut self, ring: &mut Ring, id: ConnId) {
        if let Some(conn) = self.get(id) {
            conn.set_bulk();
            conn.arm(ring);
        }
    }

    /// Takes the socket of a peer that comes from another shard.
    pub(crate) fn adopt_peer(&mut self, ring: &mut Ring, id: ConnId, fd: OwnedFd) {
        let mut conn = Conn::connected(id, fd);
        conn.set_bulk();
        conn.arm(ring);
        self.put(conn);
    }

    /// Receives no more and begins no send; [`Sockets::poll_detached`] tells when all is quiet.
    pub(crate) fn detach(&mut self, ring: &mut Ring, id: ConnId) {
        if let Some(conn) = self.get(id) {
            conn.detach(ring);
            self.leaving.push(id);
        }
    }

    /// A detached connection on which nothing is in flight any more. Told once.
    pub(crate) fn poll_detached(&mut self) -> Option<ConnId> {
        while let Some(at) = (0..self.leaving.len()).find(|at| self.is_settled(*at)) {
            let id = self.leaving.swap_remove(at);
            if self.get(id).is_some_and(|conn| conn.is_leaving()) {
                return Some(id);
            }
        }
        None
    }

    /// Whether there is nothing to wait for: it is quiet, stays, or has closed.
    fn is_settled(&mut self, at: usize) -> bool {
        let Some(id) = self.leaving.get(at).copied() else { return false };
        self.get(id).is_none_or(|conn| !conn.is_leaving() || conn.is_quiet())
    }

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

    /// Sends what is left of the batch: here and now without copies where that suits it, else by
    /// the ring.
    fn send_on(&mut self, ring: &mut Ring, id: ConnId, sending: Box<Sending>) -> Sent {
        let suits = self.splicer.as_ref().is_some_and(|splicer| splicer.suits(&sending));
        let Some(conn) = self.get(id) else { return Sent::Now(None) };
        let Some(fd) = suits.then(|| conn.nonblocking()).flatten() else {
            conn.send(ring, sending);
            return Sent::Later;
        };
        let Some(splicer) = &mut self.splicer else { return Sent::Now(None) };
        let result = splicer.send(fd.as_fd(), &sending);
        Sent::Now(self.handle_sent(ring, id, sending, result))
    }

    /// Closes and forgets; nothing more is told.
    pub(crate) fn close(&mut self, ring: &mut Ring, id: ConnId) {
        if let Some(conn) = self.remove(id) {
            conn.close(ring);
        }
    }

    /// Gives the descriptor away, for another shard; `None` if it cannot go (then it is closed).
    pub(crate) fn take(&mut self, ring: &mut Ring, id: ConnId) -> Option<OwnedFd> {
        self.remove(id)?.into_fd(ring)
    }

    /// Connections with a socket.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// What a completion of a listener or connection means.
    pub(crate) fn handle_completion(
        &mut self,
        ring: &mut Ring,
        now: Instant,
        completion: Completion,
    ) -> Option<SocketEvent> {
        let Completion { asker, outcome, is_last, .. } = completion;
        match (asker, outcome) {
            (Asker::Listener(at), Outcome::Accepted(result)) => {
                self.handle_accepted(ring, now, at, result, is_last)
            }
            (Asker::Conn(id), Outcome::Connected(result)) => {
                self.handle_connected(ring, id, result)
            }
            (Asker::Conn(id), Outcome::Received(result)) => {
                self.handle_received(ring, id, result, is_last)
            }
            (Asker::Conn(id), Outcome::Sent(sending, result)) => {
                self.handle_sent(ring, id, sending, result)
            }
            (Asker::Conn(id), Outcome::Room(sending, result)) => {
                self.handle_room(ring, id, sending, result)
            }
            (Asker::Conn(id), Outcome::Populated(sending)) => {
                self.handle_room(ring, id, sending, Ok(()))
            }
            _ => None,
        }
    }

    /// When a listener shall try again.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.listeners.iter().filter_map(|listener| listener.retry_at).min()
    }

    /// Listeners that shall try again, and connections to receive from again.
    pub(crate) fn handle_turn_end(&mut self, ring: &mut Ring, now: Instant) {
        while let Some(id) = self.disarmed.pop() {
            if let Some(conn) = self.get(id) {
                conn.arm(ring);
            }
        }
        for (at, listener) in self.listeners.iter_mut().enumerate() {
            if listener.retry_at.is_some_and(|retry_at| retry_at <= now) {
                listener.retry_at = None;
                listener.accept = ring.accept(Asker::Listener(at), Rc::clone(&listener.fd));
            }
        }
    }

    fn handle_accepted(
        &mut self,
        ring: &mut Ring,
        now: Instant,
        at: usize,
        result: Result<OwnedFd, Errno>,
        is_last: bool,
    ) -> Option<SocketEvent> {
        let listener = self.listeners.get_mut(at)?;
        match result {
            Ok(fd) => {
                if is_last {
                    listener.accept = ring.accept(Asker::Listener(at), Rc::clone(&listener.fd));
                }
                // Without a peer's address the connection is gone already.
                let remote = conn::remote_of(&fd)?;
                Some(SocketEvent::Accepted { fd, remote })
            }
            Err(_) => {
                if is_last {
                    listener.retry_at = Some(now + ACCEPT_PAUSE);
                }
                None
            }
        }
    }

    fn handle_connected(
        &mut self,
        ring: &mut Ring,
        id: ConnId,
        result: Result<(), Errno>,
    ) -> Option<SocketEvent> {
        let conn = self.get(id)?;
        conn.handle_connected();
        if result.is_err() {
            self.close(ring, id);
            return Some(SocketEvent::Closed { conn: id, reason: CloseReason::ConnectFailed });
        }
        conn.arm(ring);
        Some(SocketEvent::Connected { conn: id })
    }

    fn handle_received(
        &mut self,
        ring: &mut Ring,
        id: ConnId,
        result: Result<Option<Filled>, Errno>,
        is_last: bool,
    ) -> Option<SocketEvent> {
        let Some(conn) = self.get(id) else {
            result.ok().flatten().into_iter().for_each(|filled| ring.give_back(filled));
            return None;
        };
        if is_last {
            conn.handle_receive_ended();
        }
        let reason = match result {
            Ok(Some(filled)) => {
                if is_last && conn.is_bulk() {
                    conn.arm(ring);
                } else if is_last {
                    self.disarmed.push(id);
                }
                return Some(SocketEvent::Bytes { conn: id, filled });
            }
            // Cancelled: it was detached. If it was taken back since, it receives again.
            Err(Errno::NOBUFS | Errno::INTR | Errno::AGAIN | Errno::CANCELED) => {
                conn.arm(ring);
                return None;
            }
            Ok(None) => CloseReason::EndOfStream,
            Err(errno) => CloseReason::Errno(errno.raw_os_error()),
        };
        self.close(ring, id);
        Some(SocketEvent::Closed { conn: id, reason })
    }

    fn handle_sent(
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
    fn handle_room(
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

    fn put(&mut self, conn: Conn) {
        let slot = conn.id.0.slot as usize;
        if slot >= self.conns.len() {
            self.conns.resize_with(slot + 1, || None);
        }
        self.count += 1;
        // Forgotten, but not lost: a hand-over or a close for the old one is on its way.
        self.displaced.extend(self.conns[slot].replace(conn));
    }

    fn get(&mut self, id: ConnId) -> Option<&mut Conn> {
        let in_slot = self.conns.get_mut(id.0.slot as usize).and_then(Option::as_mut);
        in_slot
            .filter(|conn| conn.id == id)
            .or_else(|| self.displaced.iter_mut().find(|conn| conn.id == id))
    }

    fn remove(&mut self, id: ConnId) -> Option<Conn> {
        let in_slot = self.conns.get_mut(id.0.slot as usize);
        let conn = in_slot.and_then(|slot| slot.take_if(|conn| conn.id == id)).or_else(|| {
            let at = self.displaced.iter().position(|conn| conn.id == id)?;
            Some(self.displaced.swap_remove(at))
        })?;
        self.count -= 1;
        Some(conn)
    }
}

#[cfg(test)]
mod tests;
