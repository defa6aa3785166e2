//! A host with a scripted peer on it: it dials, it listens, it comes back.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::instant::Instant;
use crate::base::rng::Rng;
use crate::sim::bundle::Bundle;
use crate::sim::conduct::Conduct;
use crate::sim::facts::PeerFacts;
use crate::sim::net::EndId;
use crate::sim::net::Net;
use crate::sim::peer::Peer;

/// One conduct, one address, any number of connections.
#[derive(Debug)]
pub(crate) struct Stranger {
    address: SocketAddr,
    conduct: Conduct,
    bundle: Bundle,
    rng: Rng,
    /// Whom it dials, and when next.
    target: Option<SocketAddr>,
    dial_at: Option<Instant>,
    redial: Option<Duration>,
    peers: BTreeMap<EndId, Peer>,
    past: Vec<PeerFacts>,
    has_completed: bool,
}

impl Stranger {
    pub(crate) fn new(address: SocketAddr, conduct: Conduct, bundle: Bundle, rng: Rng) -> Stranger {
        Stranger {
            address,
            conduct,
            bundle,
            rng,
            target: None,
            dial_at: None,
            redial: None,
            peers: BTreeMap::new(),
            past: Vec::new(),
            has_completed: false,
        }
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Dials `target` now, and again so long after each connection has ended.
    pub(crate) fn dial(&mut self, now: Instant, target: SocketAddr, redial: Option<Duration>) {
        self.target = Some(target);
        self.dial_at = Some(now);
        self.redial = redial;
    }

    /// Facts of all connections, ended ones first.
    pub(crate) fn facts(&self) -> impl Iterator<Item = &PeerFacts> {
        self.past.iter().chain(self.peers.values().map(Peer::facts))
    }

    /// As a leech: one connection brought everything.
    pub(crate) fn has_completed(&self) -> bool {
        self.has_completed
    }

    pub(crate) fn handle_incoming(&mut self, now: Instant, end: EndId, net: &mut Net) {
        self.insert(end);
        self.handle_connected(now, end, net);
    }

    pub(crate) fn handle_connected(&mut self, now: Instant, end: EndId, net: &mut Net) {
        let Some(peer) = self.peers.get_mut(&end) else { return };
        peer.handle_connected(now);
        if peer.is_deaf() {
            net.set_reading(end, false);
        }
        self.pump(now, end, net);
    }

    pub(crate) fn handle_bytes(&mut self, now: Instant, end: EndId, bytes: &[u8], net: &mut Net) {
        let Some(peer) = self.peers.get_mut(&end) else { return };
        peer.handle_bytes(now, bytes);
        self.has_completed |= peer.is_complete();
        self.pump(now, end, net);
    }

    pub(crate) fn handle_sent(&mut self, now: Instant, end: EndId, net: &mut Net) {
        if let Some(peer) = self.peers.get_mut(&end) {
            peer.handle_sent();
            self.pump(now, end, net);
        }
    }

    pub(crate) fn handle_closed(&mut self, now: Instant, end: EndId) {
        if let Some(mut peer) = self.peers.remove(&end) {
            peer.handle_closed();
            self.past.push(peer.facts().clone());
            self.dial_at = self.redial.map(|pause| now + pause);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let peers = self.peers.values().filter_map(Peer::poll_timeout);
        peers.chain(self.dial_at).min()
    }

    /// Dials and lets its peers act; the end of a new connection, for the owner of the map of ends.
    pub(crate) fn handle_timeout(&mut self, now: Instant, net: &mut Net) -> Option<EndId> {
        let ends: Vec<EndId> = self.peers.keys().copied().collect();
        for end in ends {
            if let Some(peer) = self.peers.get_mut(&end) {
                peer.handle_timeout(now);
                self.pump(now, end, net);
            }
        }
        if self.dial_at.is_none_or(|at| at > now) {
            return None;
        }
        self.dial_at = None;
        let end = net.connect(now, self.ip(), self.target?);
        self.insert(end);
        Some(end)
    }

    fn insert(&mut self, end: EndId) {
        let rng = Rng::new(self.rng.next_u64());
        self.peers.insert(end, Peer::new(self.conduct.clone(), self.bundle.clone(), rng));
    }

    /// Sends what a peer has to say, or closes where its script says so.
    fn pump(&mut self, now: Instant, end: EndId, net: &mut Net) {
        let Some(peer) = self.peers.get_mut(&end) else { return };
        if !net.is_open(end) {
            return;
        }
        if let Some(bytes) = peer.poll_send(now) {
            net.send(now, end, &bytes);
        }
        if peer.poll_close() {
            net.close(now, end);
            self.handle_closed(now, end);
        }
    }
}
