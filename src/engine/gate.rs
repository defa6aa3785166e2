//! The gate: who may take a connection slot.
//!
//! Inbound connections that have not finished the handshake are counted per network (/24 of IPv4,
//! /64 of IPv6), so that one neighbour cannot fill the house; loopback and private networks, where
//! test labs and NAT put many peers behind one prefix, are exempt. A tenth of all slots is kept for
//! outgoing connections: a shard that strangers filled must still reach the peers that it wants.

use std::net::IpAddr;
use std::net::SocketAddr;

use hashbrown::HashMap;

use crate::base::limits::HALF_OPEN_PER_NET_MAX;

/// Counts connections and says who may come in.
#[derive(Debug)]
pub(crate) struct Gate {
    connections_max: u32,
    half_open_max: u32,
    connections: u32,
    connecting: u32,
    strangers: HashMap<u64, u32>,
}

impl Gate {
    pub(crate) fn new(connections_max: u32, half_open_max: u32) -> Gate {
        Gate {
            connections_max,
            half_open_max,
            connections: 0,
            connecting: 0,
            strangers: HashMap::new(),
        }
    }

    /// Whether an inbound connection may come in; counts it as a stranger if so.
    pub(crate) fn admit(&mut self, remote: SocketAddr) -> bool {
        let reserved = self.connections_max / 10;
        if self.connections >= self.connections_max - reserved {
            return false;
        }
        if let Some(net) = network(remote.ip()) {
            let count = self.strangers.entry(net).or_insert(0);
            if *count >= HALF_OPEN_PER_NET_MAX {
                return false;
            }
            *count += 1;
        }
        self.connections += 1;
        true
    }

    /// Whether a peer of another shard may come in; counts its connection if so.
    pub(crate) fn adopt(&mut self) -> bool {
        let may = self.connections < self.connections_max;
        self.connections += u32::from(may);
        may
    }

    /// The stranger finished its handshake, or left before it did.
    pub(crate) fn stranger_known(&mut self, remote: SocketAddr) {
        let Some(net) = network(remote.ip()) else { return };
        if let Some(count) = self.strangers.get_mut(&net) {
            *count -= 1;
            if *count == 0 {
                self.strangers.remove(&net);
            }
        }
    }

    /// Whether one more outgoing connection may be tried; counts it if so.
    pub(crate) fn dial(&mut self) -> bool {
        let may = self.connections < self.connections_max && self.connecting < self.half_open_max;
        if may {
            self.connections += 1;
            self.connecting += 1;
        }
        may
    }

    /// An outgoing connection was established or failed.
    pub(crate) fn dialled(&mut self) {
        self.connecting = self.connecting.saturating_sub(1);
    }

    /// A connection that was let in, or dialled, is gone.
    pub(crate) fn left(&mut self) {
        self.connections = self.connections.saturating_sub(1);
    }

    /// Connections that it could still take, those kept for outgoing ones left out.
    pub(crate) fn room(&self) -> u32 {
        let inbound_max = self.connections_max - self.connections_max / 10;
        inbound_max.saturating_sub(self.connections)
    }

    pub(crate) fn connection_count(&self) -> u32 {
        self.connections
    }
}

/// The network that a stranger is counted under; `None` where prefixes say nothing.
fn network(ip: IpAddr) -> Option<u64> {
    match ip.to_canonical() {
        IpAddr::V4(v4) if v4.is_loopback() || v4.is_private() || v4.is_link_local() => None,
        IpAddr::V4(v4) => Some(u64::from(u32::from(v4) >> 8)),
        IpAddr::V6(v6) if v6.is_loopback() || v6.is_unique_local() => None,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => None,
        IpAddr::V6(v6) => Some((u128::from(v6) >> 64) as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_network_cannot_fill_the_house_with_strangers() {
        let mut gate = Gate::new(100, 10);
        let admitted = (0..20).filter(|n| gate.admit(at(&format!("203.0.113.{n}:1")))).count();
        assert_eq!(admitted, 8);
        assert!(gate.admit(at("203.0.114.1:1")), "its neighbours are not punished");
        gate.stranger_known(at("203.0.113.0:1"));
        assert!(gate.admit(at("203.0.113.99:1")), "a finished handshake makes room");
    }

    #[test]
    fn loopback_and_private_ranges_are_exempt() {
        let mut gate = Gate::new(100, 10);
        let admitted = (0..20).filter(|n| gate.admit(at(&format!("127.0.0.{n}:1")))).count();
        assert_eq!(admitted, 20);
    }

    #[test]
    fn a_tenth_of_the_slots_is_kept_for_outgoing_connections() {
        let mut gate = Gate::new(10, 10);
        let admitted = (0..20).filter(|_| gate.admit(at("127.0.0.1:1"))).count();
        assert_eq!(admitted, 9);
        assert!(gate.dial() && !gate.dial());
        gate.left();
        assert!(gate.dial());
    }

    #[test]
    fn half_open_connections_are_bounded() {
        let mut gate = Gate::new(100, 2);
        assert!(gate.dial() && gate.dial() && !gate.dial());
        gate.dialled();
        assert!(gate.dial());
    }
}
