//! Many sockets: their readiness (epoll, edge-triggered), their limit, their source addresses.

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use rustix::event::Timespec;
use rustix::event::epoll;
use rustix::net::AddressFamily;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use rustix::process::Resource;
use rustix::process::getrlimit;
use rustix::process::setrlimit;
use socket2::SockRef;

/// Events taken per wait.
const EVENTS: usize = 1024;

/// Descriptors beside those of connections: standard streams, epoll, listener, what is read.
const SPARE: u64 = 16;

/// Lets this process have as many descriptors as the system allows it, and says so when these are
/// too few.
pub(crate) fn room_for(connections: usize) -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    let (needed, allowed) = (connections as u64 + SPARE, limit.maximum.unwrap_or(u64::MAX));
    ensure!(
        needed <= allowed,
        "expected to open {needed} descriptors, the limit is {allowed}; raise it with \
         `ulimit -Hn {needed}` as root, or take fewer --connections"
    );
    Ok(())
}

/// Source addresses; more connections take them in turn.
const SOURCES: usize = 60_000;

/// What happened to one socket.
#[derive(Clone, Copy)]
pub(crate) struct Ready {
    /// The number it was added with.
    pub(crate) token: usize,
    pub(crate) writable: bool,
}

/// An epoll instance.
pub(crate) struct Poller {
    fd: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    pub(crate) fn new() -> Result<Self> {
        let fd = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { fd, events: Vec::with_capacity(EVENTS) })
    }

    /// Watches a socket for reading and writing, by edges.
    pub(crate) fn add(&self, socket: impl AsFd, token: usize) -> Result<()> {
        let flags = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        epoll::add(&self.fd, socket, epoll::EventData::new_u64(token as u64), flags)?;
        Ok(())
    }

    /// Watches a listener for connections, for as long as some wait.
    pub(crate) fn add_listener(&self, socket: impl AsFd, token: usize) -> Result<()> {
        let data = epoll::EventData::new_u64(token as u64);
        epoll::add(&self.fd, socket, data, epoll::EventFlags::IN)?;
        Ok(())
    }

    /// Waits until something happens or `limit` is over.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<impl Iterator<Item = Ready>> {
        let limit = Timespec::try_from(limit)?;
        self.events.clear();
        let buffer = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.fd, buffer, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.events.iter().map(|event| {
            let flags = event.flags;
            Ready {
                token: event.data.u64() as usize,
                writable: flags.contains(epoll::EventFlags::OUT),
            }
        }))
    }
}

/// Connects, then makes the socket non-blocking. To a loopback address each connection comes from a
/// source of its own below 127.1.0.0, so that an engine's limit per address does not count.
pub(crate) fn connect(to: SocketAddr, number: usize) -> Result<TcpStream> {
    let what = || format!("connecting to {to}");
    let stream = match source(to, number) {
        Some(from) => {
            let flags = SocketFlags::CLOEXEC;
            let kind = SocketType::STREAM;
            let socket = rustix::net::socket_with(AddressFamily::INET, kind, flags, None)?;
            rustix::net::bind(&socket, &from)?;
            rustix::net::connect(&socket, &to).with_context(what)?;
            TcpStream::from(socket)
        }
        _ => TcpStream::connect(to).with_context(what)?,
    };
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Begins to connect from a source of its own, as above; the socket is non-blocking from the start
/// and becomes writable, or fails when it is written to.
pub(crate) fn begin_connect(to: SocketAddr, number: usize) -> Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    if let Some(from) = source(to, number) {
        rustix::net::bind(&socket, &from)?;
    }
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
        Err(error) => return Err(error).with_context(|| format!("connecting to {to}")),
    }
    Ok(TcpStream::from(socket))
}

/// Where a connection to loopback comes from; elsewhere the system chooses.
fn source(to: SocketAddr, number: usize) -> Option<SocketAddrV4> {
    let is_loopback = matches!(to.ip(), IpAddr::V4(ip) if ip.is_loopback());
    let number = u16::try_from(number % SOURCES + 1).ok().filter(|_| is_loopback)?;
    let [high, low] = number.to_be_bytes();
    Some(SocketAddrV4::new(Ipv4Addr::new(127, 1, high, low), 0))
}

/// Closes with a reset: nothing stays behind on either side.
pub(crate) fn reset(stream: TcpStream) {
    // Without it the close is an ordinary one, which the kernel would finish as well.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
}

/// `None` when the call would have blocked.
pub(crate) fn unless_blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
