//! Listeners: one port for the session, one socket per shard and address family.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

/// Connections that the kernel keeps for us between two turns; it cuts this to its `somaxconn`.
const BACKLOG: i32 = 1024;
/// Free ports tried until one is free for every address.
const PORT_ATTEMPTS: usize = 16;

/// Listeners of all shards, bound before any shard starts, so that a taken port is an error of the
/// start.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// Per shard, in the order of `addresses`.
    pub(crate) per_shard: Vec<Vec<OwnedFd>>,
    /// As bound: no port is 0.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// A listen address that the system refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address}: {source}; {}", remedy(source))]
pub(crate) struct ListenError {
    pub(crate) address: SocketAddr,
    pub(crate) source: io::Error,
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "stop the program that has the port, or choose another one",
        io::ErrorKind::PermissionDenied => "choose a port from 1024 up, or 0 for any free one",
        io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
        _ => "choose another address",
    }
}

impl Listeners {
    /// Binds every address once per shard. Ports given as 0 all become the same free port.
    pub(crate) fn bind(
        addresses: &[SocketAddr],
        shard_count: usize,
    ) -> Result<Listeners, ListenError> {
        let mut attempts = PORT_ATTEMPTS;
        loop {
            attempts -= 1;
            match Listeners::bind_once(addresses, shard_count) {
                Err(error) if attempts > 0 && is_unlucky(addresses, &error) => {}
                bound_or_final => return bound_or_final,
            }
        }
    }

    fn bind_once(addresses: &[SocketAddr], shard_count: usize) -> Result<Listeners, ListenError> {
        let mut bound = Vec::new();
        let mut per_shard: Vec<Vec<OwnedFd>> = (0..shard_count).map(|_| Vec::new()).collect();
        let mut free_port = None;
        for wanted in addresses {
            let mut address = *wanted;
            if address.port() == 0 {
                address.set_port(free_port.unwrap_or(0));
            }
            for shard in &mut per_shard {
                let listen = |source| ListenError { address, source };
                let socket = listener(address).map_err(listen)?;
                address = socket.local_addr().map_err(listen)?.as_socket().unwrap_or(address);
                shard.push(socket.into());
            }
            if wanted.port() == 0 {
                free_port = Some(address.port());
            }
            bound.push(address);
        }
        Ok(Listeners { per_shard, addresses: bound })
    }
}

/// The port that was free for the first address was taken for the next one: another may do.
fn is_unlucky(addresses: &[SocketAddr], error: &ListenError) -> bool {
    let has_free_choice = addresses.iter().all(|address| address.port() == 0);
    has_free_choice && error.source.kind() == io::ErrorKind::AddrInUse
}

fn listener(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // IPv4 has listeners of its own.
        socket.set_only_v6(true)?;
    }
    // After a restart the old connections may linger in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shards_and_both_families_share_one_port() {
        let wanted = ["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
        let listeners = Listeners::bind(&wanted, 3).unwrap();
        let [v4, v6] = listeners.addresses[..] else { panic!() };
        assert!(v4.port() != 0 && v4.port() == v6.port());
        assert!(listeners.per_shard.iter().all(|shard| shard.len() == 2));
        assert_eq!(listeners.per_shard.len(), 3);
    }

    #[test]
    fn a_taken_port_is_an_error_with_address_and_remedy() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = Listeners::bind(&[address], 2).unwrap_err().to_string();
        assert!(
            error.contains(&address.to_string()) && error.contains("choose another"),
            "{error}"
        );
    }
}
