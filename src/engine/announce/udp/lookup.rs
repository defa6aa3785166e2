//! Names of UDP trackers: one look-up per name however many torrents ask, remembered for a while.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::base::instant::Instant;
use crate::base::status::TrackerErrorClass;
use crate::engine::announce::address::may_reach;
use crate::engine::announce::ask::Failure;
use crate::engine::announce::event::UdpAsk;
use crate::engine::announce::event::UdpKey;
use crate::engine::to_ring::QueryError;

/// How long addresses are remembered: the resolver does not tell us the record's life, trackers
/// move rarely, and one that stops answering is looked up again at once.
const NAME_LIFE: Duration = Duration::from_secs(600);
/// How long a look-up may take: the system's resolver gives up after some 30 s.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(60);

/// Questions that wait for a name.
type Waiting = Vec<(UdpKey, Rc<UdpAsk>)>;

/// What is known about a name.
#[derive(Debug)]
enum Name {
    Asked { waiting: Waiting },
    Known { addresses: Vec<SocketAddr>, until: Instant },
}

/// What to do with a question.
#[derive(Debug)]
pub(crate) enum Found {
    /// Ask here: at most one IPv4 and one IPv6 address.
    Addresses(Vec<SocketAddr>),
    /// The name is being resolved for somebody else.
    Wait,
    /// Resolve the name; `finish` must come by the deadline.
    Ask { lookup: u32, deadline: Instant },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Lookups {
    allow_private: bool,
    names: BTreeMap<(String, u16), Name>,
    running: BTreeMap<u32, (String, u16)>,
    next_lookup: u32,
    waiting_count: usize,
}

impl Lookups {
    pub(crate) fn new(allow_private: bool) -> Lookups {
        let (names, running) = (BTreeMap::new(), BTreeMap::new());
        Lookups { allow_private, names, running, next_lookup: 0, waiting_count: 0 }
    }

    /// Questions that wait for names.
    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting_count
    }

    /// Where to ask. `Wait` and `Ask` keep the question until `finish`.
    pub(crate) fn find(&mut self, now: Instant, key: UdpKey, ask: &Rc<UdpAsk>) -> Found {
        if let Ok(ip) = ask.host.parse::<IpAddr>() {
            return Found::Addresses(vec![SocketAddr::new(ip.to_canonical(), ask.port)]);
        }
        let place = (ask.host.clone(), ask.port);
        match self.names.get_mut(&place) {
            Some(Name::Known { addresses, until }) if now < *until => {
                return Found::Addresses(addresses.clone());
            }
            Some(Name::Asked { waiting }) => {
                waiting.push((key, Rc::clone(ask)));
                self.waiting_count += 1;
                return Found::Wait;
            }
            _ => {}
        }
        self.next_lookup = self.next_lookup.wrapping_add(1);
        let lookup = self.next_lookup;
        self.waiting_count += 1;
        self.running.insert(lookup, place.clone());
        self.names.insert(place, Name::Asked { waiting: vec![(key, Rc::clone(ask))] });
        Found::Ask { lookup, deadline: now + LOOKUP_TIMEOUT }
    }

    /// The look-up ended: who waited for it, and what they get.
    pub(crate) fn finish(
        &mut self,
        now: Instant,
        lookup: u32,
        answer: Result<Vec<SocketAddr>, QueryError>,
    ) -> (Waiting, Result<Vec<SocketAddr>, Failure>) {
        let answer = answer.map_err(Failure::from);
        let Some(place) = self.running.remove(&lookup) else { return (Vec::new(), answer) };
        let answer = answer.and_then(|found| self.choose(&place.0, place.1, &found));
        let waiting = match self.names.remove(&place) {
            Some(Name::Asked { waiting }) => waiting,
            _ => Vec::new(),
        };
        self.waiting_count = self.waiting_count.saturating_sub(waiting.len());
        if let Ok(addresses) = &answer {
            self.prune(now);
            let known = Name::Known { addresses: addresses.clone(), until: now + NAME_LIFE };
            self.names.insert(place, known);
        }
        (waiting, answer)
    }

    /// Its addresses do not answer: the next question resolves it again.
    pub(crate) fn forget(&mut self, host: &str, port: u16) {
        let place = (host.to_owned(), port);
        if let Some(Name::Known { .. }) = self.names.get(&place) {
            self.names.remove(&place);
        }
    }

    /// The first address of each family that may be reached.
    fn choose(
        &self,
        host: &str,
        port: u16,
        found: &[SocketAddr],
    ) -> Result<Vec<SocketAddr>, Failure> {
        let ips = found.iter().map(|address| address.ip().to_canonical());
        let allowed: Vec<IpAddr> =
            ips.filter(|ip| may_reach(host, *ip, self.allow_private)).collect();
        let first_v4 = allowed.iter().find(|ip| ip.is_ipv4());
        let first_v6 = allowed.iter().find(|ip| ip.is_ipv6());
        let chosen = first_v4.into_iter().chain(first_v6);
        let chosen: Vec<SocketAddr> = chosen.map(|ip| SocketAddr::new(*ip, port)).collect();
        if !chosen.is_empty() {
            return Ok(chosen);
        }
        let message = match found.first() {
            None => "the name has no address".to_owned(),
            Some(first) => format!(
                "the name leads to {}, which is not on the public internet; allow private \
                 trackers if that is meant",
                first.ip()
            ),
        };
        Err(Failure::new(TrackerErrorClass::Dns, message))
    }

    /// Looked up seldom, so a walk over all names costs little.
    fn prune(&mut self, now: Instant) {
        self.names.retain(|_, name| match name {
            Name::Asked { .. } => true,
            Name::Known { until, .. } => now < *until,
        });
    }
}
