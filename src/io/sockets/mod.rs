//! Peer sockets on the ring: completions in, events for the engine out.

mod conn;
mod headers;
pub(crate) mod listeners;
pub(crate) mod splice;
pub(crate) mod state;
pub(crate) mod step_send;
pub(crate) mod udp;

use std::net::IpAddr;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use socket2::SockRef;

use crate::base::instant::Instant;
use crate::engine::to_ring::CloseReason;
use crate::engine::to_ring::ConnId;
use crate::io::ring::Ring;
use crate::io::ring::asker::Asker;
use crate::io::ring::buffers::Filled;
use crate::io::ring::outcome::Completion;
use crate::io::ring::outcome::Outcome;
use crate::io::sockets::conn::Conn;
use crate::io::sockets::state::Listener;
use crate::io::sockets::state::SocketEvent;
use crate::io::sockets::state::Sockets;

/// Pause after a failed accept (out of descriptors or memory): trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Receives without a buffer that are repeated at once, per buffer and turn.
const RETRIES_PER_BUFFER: usize = 2;

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

    /// Whether connections wait for a buffer: the next turn has some.
    pub(crate) fn is_behind(&self) -> bool {
        !self.starved.is_empty()
    }

    /// Listeners that shall try again, and connections to receive from again.
    pub(crate) fn handle_turn_end(&mut self, ring: &mut Ring, now: Instant) {
        self.retry_count = 0;
        for _ in 0..ring.buffer_count() {
            let Some(id) = self.starved.pop_front() else { break };
            if let Some(conn) = self.get(id) {
                conn.arm(ring);
            }
        }
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

    /// Whether a connection that found no buffer must wait for its turn. A few may try again at
    /// once, in order: queued as well they made a download from ten take a quarter more CPU time.
    fn must_queue(&mut self, ring: &Ring) -> bool {
        self.retry_count += 1;
        !self.starved.is_empty() || self.retry_count > RETRIES_PER_BUFFER * ring.buffer_count()
    }

    fn handle_received(
        &mut self,
        ring: &mut Ring,
        id: ConnId,
        result: Result<Option<Filled>, Errno>,
        is_last: bool,
    ) -> Option<SocketEvent> {
        let must_queue = matches!(result, Err(Errno::NOBUFS)) && self.must_queue(ring);
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
            Err(Errno::NOBUFS) if must_queue => {
                self.starved.push_back(id);
                return None;
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
}

#[cfg(test)]
mod tests;
