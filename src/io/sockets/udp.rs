//! UDP for trackers: one socket per family and shard, on a port of its own.

use std::io;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::io::Errno;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

use crate::io::ring::Ring;
use crate::io::ring::asker::Asker;
use crate::io::ring::datagram::Datagram;

/// Datagrams under way at once; more are dropped, as the network would: whoever asks, asks again.
const SENDING_MAX: usize = 256;

/// The sockets; a family that the machine lacks has none.
pub(crate) struct Udp {
    sockets: [Option<Rc<OwnedFd>>; 2],
    sending_count: usize,
}

impl Udp {
    /// Opens what the machine has and begins to receive.
    pub(crate) fn open(ring: &mut Ring) -> Udp {
        let any = [
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        ];
        let sockets = any.map(|address| socket(address).ok().map(Rc::new));
        for (at, fd) in sockets.iter().enumerate() {
            if let Some(fd) = fd {
                ring.receive_datagram(Asker::Udp(at), Rc::clone(fd), Datagram::empty());
            }
        }
        Udp { sockets, sending_count: 0 }
    }

    /// Sends, or drops what cannot be sent.
    pub(crate) fn send(&mut self, ring: &mut Ring, to: SocketAddr, bytes: Vec<u8>) {
        let at = usize::from(to.is_ipv6());
        if let Some(fd) = &self.sockets[at]
            && self.sending_count < SENDING_MAX
        {
            self.sending_count += 1;
            ring.send_datagram(Asker::Udp(at), Rc::clone(fd), Datagram::addressed(to, bytes));
        }
    }

    pub(crate) fn handle_sent(&mut self) {
        self.sending_count = self.sending_count.saturating_sub(1);
    }

    /// Receives the next one into `datagram`, whose content was used. `error` is how the last
    /// receive ended: errors of earlier sends (ICMP) come this way and end nothing.
    pub(crate) fn receive(
        &mut self,
        ring: &mut Ring,
        at: usize,
        datagram: Box<Datagram>,
        error: Option<Errno>,
    ) {
        if error == Some(Errno::CANCELED) {
            return;
        }
        if let Some(Some(fd)) = self.sockets.get(at) {
            ring.receive_datagram(Asker::Udp(at), Rc::clone(fd), datagram);
        }
    }
}

fn socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}
