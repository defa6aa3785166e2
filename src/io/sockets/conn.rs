//! One TCP connection as the ring sees it: a descriptor and what is in flight on it.

use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use socket2::Domain;
use socket2::Protocol;
use socket2::SockRef;
use socket2::Socket;
use socket2::Type;

use crate::base::limits::CONNECT_TIMEOUT;
use crate::engine::to_ring::ConnId;
use crate::io::ring::Ring;
use crate::io::ring::asker::Asker;
use crate::io::ring::batch::Sending;
use crate::io::ring::op::OpId;

/// How bytes are received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Receiving {
    /// The connect has not ended.
    NotYet,
    /// One at a time, so that between two the socket can change shards.
    Once,
    /// As they come.
    Bulk,
}

/// The descriptor and the operations on it. Each operation holds the descriptor open by itself.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    fd: Rc<OwnedFd>,
    receiving: Receiving,
    receive: Option<OpId>,
    send: Option<OpId>,
    connect: Option<OpId>,
    /// It may change shards: nothing new begins on it.
    is_leaving: bool,
    /// The descriptor does not block those who use it beside the ring. The ring waits for it
    /// either way.
    is_nonblocking: bool,
}

impl Conn {
    /// Of a socket that is connected already; its handshake is to come.
    pub(super) fn connected(id: ConnId, fd: OwnedFd) -> Conn {
        // Batches are gathered before they are sent; waiting for more would only delay them.
        let _ = SockRef::from(&fd).set_tcp_nodelay(true);
        Conn::with(id, fd, Receiving::Once)
    }

    /// Of a new socket on its way to `address`, from `source` if that matters.
    pub(super) fn connecting(
        id: ConnId,
        ring: &mut Ring,
        source: Option<IpAddr>,
        address: SocketAddr,
    ) -> io::Result<Conn> {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        let mut conn = Conn::with(id, socket.into(), Receiving::NotYet);
        let (asker, fd) = (Asker::Conn(id), Rc::clone(&conn.fd));
        conn.connect = Some(ring.connect(asker, fd, address.into(), CONNECT_TIMEOUT));
        Ok(conn)
    }

    fn with(id: ConnId, fd: OwnedFd, receiving: Receiving) -> Conn {
        let fd = Rc::new(fd);
        Conn {
            id,
            fd,
            receiving,
            receive: None,
            send: None,
            connect: None,
            is_leaving: false,
            is_nonblocking: false,
        }
    }

    pub(super) fn handle_connected(&mut self) {
        self.connect = None;
        self.receiving = Receiving::Once;
    }

    /// From here on the socket stays on this shard, until it is detached.
    pub(super) fn set_bulk(&mut self) {
        self.receiving = Receiving::Bulk;
        self.is_leaving = false;
    }

    /// Receives no more. What has arrived already still comes.
    pub(super) fn detach(&mut self, ring: &mut Ring) {
        self.is_leaving = true;
        if let Some(receive) = self.receive {
            ring.cancel(receive);
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// Nothing is in flight on it.
    pub(super) fn is_quiet(&self) -> bool {
        self.receive.or(self.send).or(self.connect).is_none()
    }

    pub(super) fn handle_receive_ended(&mut self) {
        self.receive = None;
    }

    /// Starts the next receive unless one is in flight or the socket is not connected.
    pub(super) fn arm(&mut self, ring: &mut Ring) {
        if self.receive.is_some() || self.is_leaving {
            return;
        }
        let (asker, fd) = (Asker::Conn(self.id), Rc::clone(&self.fd));
        self.receive = match self.receiving {
            Receiving::NotYet => None,
            Receiving::Once => Some(ring.receive_once(asker, fd)),
            Receiving::Bulk => Some(ring.receive(asker, fd)),
        };
    }

    pub(super) fn is_bulk(&self) -> bool {
        self.receiving == Receiving::Bulk
    }

    pub(super) fn is_sending(&self) -> bool {
        self.send.is_some()
    }

    /// Sends what is left of the batch. Nothing else may be in flight.
    pub(super) fn send(&mut self, ring: &mut Ring, sending: Box<Sending>) {
        debug_assert!(self.send.is_none(), "at most one batch is in flight per connection");
        self.send = Some(ring.send(Asker::Conn(self.id), Rc::clone(&self.fd), sending));
    }

    /// The descriptor, to be written beside the ring without waiting; `None` if it would wait.
    pub(super) fn nonblocking(&mut self) -> Option<Rc<OwnedFd>> {
        if !self.is_nonblocking {
            SockRef::from(&*self.fd).set_nonblocking(true).ok()?;
            self.is_nonblocking = true;
        }
        Some(Rc::clone(&self.fd))
    }

    /// Waits until more of the batch can be sent.
    pub(super) fn await_room(&mut self, ring: &mut Ring, mut sending: Box<Sending>) {
        sending.handle_full();
        self.send = Some(ring.await_room(Asker::Conn(self.id), Rc::clone(&self.fd), sending));
    }

    /// Waits until these bytes of the batch are in memory.
    pub(super) fn populate(
        &mut self,
        ring: &mut Ring,
        sending: Box<Sending>,
        absent: (usize, usize),
    ) {
        self.send = Some(ring.populate(Asker::Conn(self.id), sending, absent));
    }

    pub(super) fn handle_send_ended(&mut self) {
        self.send = None;
    }

    /// Cancels what is in flight; the descriptor closes with the last operation.
    pub(super) fn close(self, ring: &mut Ring) {
        for op in [self.receive, self.send, self.connect].into_iter().flatten() {
            ring.cancel(op);
        }
    }

    /// The descriptor, if nothing is in flight on it; otherwise the connection closes.
    pub(super) fn into_fd(self, ring: &mut Ring) -> Option<OwnedFd> {
        if !self.is_quiet() {
            self.close(ring);
            return None;
        }
        Rc::into_inner(self.fd)
    }
}

/// The other end's address.
pub(super) fn remote_of(fd: &OwnedFd) -> Option<SocketAddr> {
    let remote = rustix::net::getpeername(fd).ok().flatten()?;
    SocketAddr::try_from(remote).ok()
}
