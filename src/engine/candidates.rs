//! Candidates: peers of a torrent that are merely known, when each may be tried, and who is banned.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::instant::Instant;
use crate::base::limits::CANDIDATE_MAX;

/// Pause before a peer that left is dialled again.
pub(crate) const REDIAL: Duration = Duration::from_secs(30);
/// How long a lie keeps a peer away: first the endpoint, then, for the second lie, the whole
/// address.
const BAN: Duration = Duration::from_secs(3600);
/// First pause after a failed connection; doubles with each failure in a row.
const RETRY_MIN: Duration = Duration::from_secs(15);
/// Failures in a row after which a candidate is forgotten.
const FAIL_MAX: u32 = 6;

/// The known peers of one torrent, at most `CANDIDATE_MAX`.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    known: BTreeMap<SocketAddr, Candidate>,
    /// Those that are not connected, by when they may be tried.
    due: BTreeSet<(Instant, SocketAddr)>,
    banned: BTreeMap<SocketAddr, Instant>,
    banned_addresses: BTreeMap<IpAddr, Instant>,
}

#[derive(Debug)]
struct Candidate {
    fails: u32,
    version: Version,
    /// It hung up on a handshake by the other name since it answered one last.
    has_turned: bool,
    state: Standing,
}

/// The protocol by whose info hash a peer of a hybrid is greeted. Who speaks both answers to v1
/// with v2 if it likes (BEP 52), so v1 reaches everybody who is not known to speak v2 alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Version {
    #[default]
    V1,
    V2,
}

impl Version {
    fn other(self) -> Version {
        match self {
            Version::V1 => Version::V2,
            Version::V2 => Version::V1,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    Waiting(Instant),
    InUse,
}

impl Candidates {
    /// A peer or the user told of `address`, see [`Candidates::add_by`].
    pub(crate) fn add(&mut self, now: Instant, address: SocketAddr) {
        self.add_by(now, address, Version::default());
    }

    /// Somebody told of `address` as of one who knows the torrent by this version's name. When
    /// full, new ones are turned away: the tracker will tell of them again.
    pub(crate) fn add_by(&mut self, now: Instant, address: SocketAddr, version: Version) {
        if address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast() {
            return;
        }
        if self.known.len() >= CANDIDATE_MAX || self.known.contains_key(&address) {
            return;
        }
        let state = Standing::Waiting(now);
        self.known.insert(address, Candidate { fails: 0, version, has_turned: false, state });
        self.due.insert((now, address));
    }

    /// The candidate that has waited longest, if one is due; it is in use from here on.
    pub(crate) fn next_due(&mut self, now: Instant) -> Option<SocketAddr> {
        while let Some((at, address)) = self.due.first().copied() {
            if at > now {
                return None;
            }
            self.due.pop_first();
            if self.is_banned(now, address) {
                self.known.remove(&address);
                continue;
            }
            if let Some(candidate) = self.known.get_mut(&address) {
                candidate.state = Standing::InUse;
                return Some(address);
            }
        }
        None
    }

    /// By which name the candidate is greeted.
    pub(crate) fn version(&self, address: SocketAddr) -> Version {
        self.known.get(&address).map(|candidate| candidate.version).unwrap_or_default()
    }

    /// The candidate hung up on our handshake: maybe it knows the hybrid by its other name only,
    /// which is tried at once, and not held against it the first time.
    pub(crate) fn hung_up(&mut self, now: Instant, address: SocketAddr) {
        let Some(candidate) = self.known.get_mut(&address) else { return };
        candidate.version = candidate.version.other();
        if std::mem::replace(&mut candidate.has_turned, true) {
            self.failed(now, address);
        } else {
            self.left(now, address, Duration::ZERO);
        }
    }

    /// When the next candidate may be tried.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The connection to `address` could not be made.
    pub(crate) fn failed(&mut self, now: Instant, address: SocketAddr) {
        let Some(candidate) = self.known.get_mut(&address) else { return };
        candidate.fails += 1;
        if candidate.fails >= FAIL_MAX {
            self.known.remove(&address);
            return;
        }
        let pause = RETRY_MIN * 2u32.saturating_pow(candidate.fails - 1);
        candidate.state = Standing::Waiting(now + pause);
        self.due.insert((now + pause, address));
    }

    /// The handshake with `address` succeeded: its failures are forgiven.
    pub(crate) fn succeeded(&mut self, address: SocketAddr) {
        if let Some(candidate) = self.known.get_mut(&address) {
            candidate.fails = 0;
            candidate.has_turned = false;
        }
    }

    /// The connection to `address` ended; it may be tried again after `pause`.
    pub(crate) fn left(&mut self, now: Instant, address: SocketAddr, pause: Duration) {
        let Some(candidate) = self.known.get_mut(&address) else { return };
        if candidate.state == Standing::InUse {
            candidate.state = Standing::Waiting(now + pause);
            self.due.insert((now + pause, address));
        }
    }

    /// Never again: it is ourselves.
    pub(crate) fn forget(&mut self, address: SocketAddr) {
        if let Some(Candidate { state: Standing::Waiting(at), .. }) = self.known.remove(&address) {
            self.due.remove(&(at, address));
        }
    }

    /// `address` lied. The second lie from one IP address bans all of it.
    pub(crate) fn ban(&mut self, now: Instant, address: SocketAddr) {
        self.expire_bans(now);
        let ip = address.ip();
        let has_lied = self.banned.keys().any(|other| other.ip() == ip && *other != address);
        if has_lied {
            self.banned_addresses.insert(ip, now + BAN);
        }
        self.banned.insert(address, now + BAN);
        self.forget(address);
    }

    pub(crate) fn is_banned(&self, now: Instant, address: SocketAddr) -> bool {
        let endpoint = self.banned.get(&address);
        let whole = self.banned_addresses.get(&address.ip());
        endpoint.into_iter().chain(whole).any(|until| *until > now)
    }

    /// Nobody is known and nobody is banned.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.banned.is_empty() && self.banned_addresses.is_empty()
    }

    /// Candidates that are not connected.
    pub(crate) fn waiting_count(&self) -> usize {
        self.due.len()
    }

    /// Everybody may be tried again at once: the torrent was resumed.
    pub(crate) fn retry_all(&mut self, now: Instant) {
        self.due.clear();
        for (address, candidate) in &mut self.known {
            if candidate.state != Standing::InUse {
                candidate.state = Standing::Waiting(now);
                self.due.insert((now, *address));
            }
        }
    }

    fn expire_bans(&mut self, now: Instant) {
        self.banned.retain(|_, until| *until > now);
        self.banned_addresses.retain(|_, until| *until > now);
        while self.banned.len() >= CANDIDATE_MAX {
            self.banned.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn ms(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn a_failed_candidate_waits_twice_as_long_each_time_and_is_forgotten_in_the_end() {
        let mut list = Candidates::default();
        let peer = at("10.0.0.1:1");
        list.add(ms(0), peer);
        let mut now = ms(0);
        let mut pauses = Vec::new();
        while list.next_due(now) == Some(peer) {
            list.failed(now, peer);
            let Some(next) = list.poll_timeout() else { break };
            pauses.push(next.since(now).as_secs());
            now = next;
        }
        assert_eq!(pauses, [15, 30, 60, 120, 240]);
        assert_eq!(list.waiting_count(), 0);
    }

    #[test]
    fn who_hangs_up_on_one_name_is_tried_by_the_other_at_once_and_then_later() {
        let mut list = Candidates::default();
        let peer = at("10.0.0.1:1");
        list.add(ms(0), peer);
        assert_eq!(list.version(peer), Version::V1);
        assert_eq!(list.next_due(ms(0)), Some(peer));
        list.hung_up(ms(0), peer);
        assert_eq!((list.version(peer), list.next_due(ms(0))), (Version::V2, Some(peer)));
        list.hung_up(ms(0), peer);
        assert_eq!((list.version(peer), list.next_due(ms(0))), (Version::V1, None));
        assert_eq!(list.next_due(ms(15_000)), Some(peer), "a failure like any other");
        list.succeeded(peer);
        list.left(ms(15_000), peer, Duration::ZERO);
        assert_eq!(list.next_due(ms(15_000)), Some(peer));
        list.hung_up(ms(15_000), peer);
        assert_eq!(list.poll_timeout(), Some(ms(15_000)), "it had answered since");
        list.add_by(ms(0), at("10.0.0.2:1"), Version::V2);
        assert_eq!(list.version(at("10.0.0.2:1")), Version::V2);
    }

    #[test]
    fn a_liar_is_banned_by_endpoint_then_by_address_and_bans_expire() {
        let mut list = Candidates::default();
        list.ban(ms(0), at("10.0.0.1:1"));
        assert!(list.is_banned(ms(1), at("10.0.0.1:1")));
        assert!(!list.is_banned(ms(1), at("10.0.0.1:2")), "its neighbour behind the NAT is not");
        list.ban(ms(0), at("10.0.0.1:2"));
        assert!(list.is_banned(ms(1), at("10.0.0.1:3")));
        assert!(!list.is_banned(ms(3_600_001), at("10.0.0.1:1")));
    }

    #[test]
    fn unusable_and_surplus_addresses_are_turned_away() {
        let mut list = Candidates::default();
        for text in ["10.0.0.1:0", "0.0.0.0:5", "224.0.0.1:5"] {
            list.add(ms(0), at(text));
        }
        assert_eq!(list.waiting_count(), 0);
        for n in 0..5000u32 {
            list.add(ms(0), SocketAddr::from(([10, 1, (n >> 8) as u8, n as u8], 1)));
        }
        assert_eq!(list.waiting_count(), CANDIDATE_MAX);
    }
}
