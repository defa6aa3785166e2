//! UDP trackers of one shard (BEP 15): names, connection ids and retries, shared by all its
//! torrents.
//!
//! An answer counts only when it comes from the address that was asked and carries the transaction
//! id that was drawn for it: the two together are what a stranger off the path cannot guess.

mod lookup;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::base::instant::Instant;
use crate::base::limits::UDP_ANNOUNCE_MAX;
use crate::base::rng::Rng;
use crate::base::status::TrackerErrorClass;
use crate::codec::tracker_udp::UdpRequest;
use crate::engine::announce::ask::Failure;
use crate::engine::announce::event::UdpAnswer;
use crate::engine::announce::event::UdpAsk;
use crate::engine::announce::event::UdpKey;
use crate::engine::announce::interpret;
use crate::engine::announce::udp::lookup::Found;
use crate::engine::announce::udp::lookup::Lookups;
use crate::engine::to_ring::QueryError;

/// A connection id may be used for a minute after it was received (BEP 15).
const CONNECTION_LIFE: Duration = Duration::from_secs(60);
/// Time to wait after the first, second and last packet. BEP 15 starts at 15 s and doubles eight
/// times, which is two hours of silence; users see 35 s, and the announcer's own back-off does the
/// rest.
const PATIENCE: [Duration; 3] =
    [Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(20)];

/// Drained after every `handle_*` and `ask`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum UdpEvent {
    /// Resolve this name; answered by `handle_resolved`.
    Resolve { lookup: u32, host: String, port: u16 },
    /// Send one packet.
    Datagram { to: SocketAddr, bytes: Vec<u8> },
    /// For the torrent's announcer: one per address of the tracker.
    Answer { key: UdpKey, answer: Result<UdpAnswer, Failure>, is_last: bool },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct UdpTrackers {
    lookups: Lookups,
    endpoints: BTreeMap<SocketAddr, Endpoint>,
    groups: BTreeMap<u64, Group>,
    /// Questions that wait for a connection id or for an answer.
    jobs: BTreeMap<u64, Job>,
    transactions: BTreeMap<u32, Transaction>,
    /// What falls due when; an entry whose subject has moved on means nothing.
    due: BTreeSet<(Instant, Due)>,
    next_id: u64,
    events: VecDeque<UdpEvent>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Due {
    Transaction(u32),
    Endpoint(SocketAddr),
    Lookup(u32),
}

/// One question, asked at each address of the tracker.
#[derive(Debug)]
struct Group {
    key: UdpKey,
    open_count: usize,
}

/// One question at one address.
#[derive(Debug)]
struct Job {
    group: u64,
    address: SocketAddr,
    ask: Rc<UdpAsk>,
}

#[derive(Debug, Default)]
struct Endpoint {
    /// The id, and until when it may be used.
    connection: Option<(u64, Instant)>,
    is_connecting: bool,
    /// Jobs that wait for the connection id.
    waiting: Vec<u64>,
}

#[derive(Debug)]
struct Transaction {
    address: SocketAddr,
    what: What,
    /// Packets sent so far.
    sent_count: usize,
    deadline: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Connect,
    Job(u64),
}

impl UdpTrackers {
    /// `allow_private`: names may lead to loopback, private and link-local addresses.
    pub(crate) fn new(allow_private: bool) -> UdpTrackers {
        UdpTrackers {
            lookups: Lookups::new(allow_private),
            endpoints: BTreeMap::new(),
            groups: BTreeMap::new(),
            jobs: BTreeMap::new(),
            transactions: BTreeMap::new(),
            due: BTreeSet::new(),
            next_id: 0,
            events: VecDeque::new(),
        }
    }

    /// Ask a tracker; answered by at least one [`UdpEvent::Answer`] with this `key`.
    pub(crate) fn ask(&mut self, now: Instant, key: UdpKey, ask: UdpAsk, rng: &mut Rng) {
        if self.jobs.len() + self.lookups.waiting_count() >= UDP_ANNOUNCE_MAX {
            let message = format!("{UDP_ANNOUNCE_MAX} UDP announces are under way already");
            self.refuse(key, Failure::new(TrackerErrorClass::Timeout, message));
            return;
        }
        let ask = Rc::new(ask);
        match self.lookups.find(now, key, &ask) {
            Found::Addresses(addresses) => self.begin(now, key, &ask, &addresses, rng),
            Found::Wait => {}
            Found::Ask { lookup, deadline } => {
                self.due.insert((deadline, Due::Lookup(lookup)));
                let (host, port) = (ask.host.clone(), ask.port);
                self.events.push_back(UdpEvent::Resolve { lookup, host, port });
            }
        }
    }

    /// The answer to [`UdpEvent::Resolve`]; a late one is ignored.
    pub(crate) fn handle_resolved(
        &mut self,
        now: Instant,
        lookup: u32,
        answer: Result<Vec<SocketAddr>, QueryError>,
        rng: &mut Rng,
    ) {
        let (waiting, answer) = self.lookups.finish(now, lookup, answer);
        for (key, ask) in waiting {
            match &answer {
                Ok(addresses) => self.begin(now, key, &ask, addresses, rng),
                Err(failure) => self.refuse(key, failure.clone()),
            }
        }
    }

    /// A packet arrived; `false`: it is no answer to anything that was asked.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &[u8],
        rng: &mut Rng,
    ) -> bool {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let Some(id) = interpret::udp_transaction(bytes) else { return false };
        match self.transactions.get(&id) {
            Some(transaction) if transaction.address == from => {}
            _ => return false,
        }
        let Some(transaction) = self.transactions.remove(&id) else { return false };
        self.due.remove(&(transaction.deadline, Due::Transaction(id)));
        match transaction.what {
            What::Connect => match interpret::udp_read_connect(bytes) {
                Ok(connection) => self.connected(now, from, connection, rng),
                Err(failure) => self.connect_failed(from, &failure),
            },
            What::Job(job) => self.answered(job, from, bytes),
        }
        true
    }

    /// Call when `now` has reached `poll_timeout`.
    pub(crate) fn handle_timeout(&mut self, now: Instant, rng: &mut Rng) {
        while let Some((at, due)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, due));
            match due {
                Due::Transaction(id) => self.retry(now, id, rng),
                Due::Endpoint(address) => self.forget_endpoint(now, address),
                Due::Lookup(lookup) => {
                    let class = TrackerErrorClass::Dns;
                    let message = "the name was not resolved in time".to_owned();
                    self.handle_resolved(now, lookup, Err(QueryError { class, message }), rng);
                }
            }
        }
    }

    /// When `handle_timeout` has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What should be done, and answers; drained until `None`.
    pub(crate) fn poll_event(&mut self) -> Option<UdpEvent> {
        self.events.pop_front()
    }

    fn begin(
        &mut self,
        now: Instant,
        key: UdpKey,
        ask: &Rc<UdpAsk>,
        addresses: &[SocketAddr],
        rng: &mut Rng,
    ) {
        let group = self.take_id();
        self.groups.insert(group, Group { key, open_count: addresses.len() });
        for address in addresses.iter().copied() {
            let job = self.take_id();
            self.jobs.insert(job, Job { group, address, ask: Rc::clone(ask) });
            self.send_or_connect(now, job, rng);
        }
    }

    fn send_or_connect(&mut self, now: Instant, job: u64, rng: &mut Rng) {
        let Some(address) = self.jobs.get(&job).map(|job| job.address) else { return };
        let endpoint = self.endpoints.entry(address).or_default();
        match endpoint.connection {
            Some((_, until)) if now < until => self.open(now, address, What::Job(job), rng),
            _ => {
                endpoint.waiting.push(job);
                if !std::mem::replace(&mut endpoint.is_connecting, true) {
                    self.open(now, address, What::Connect, rng);
                }
            }
        }
    }

    /// Draws a transaction id and sends the first packet.
    fn open(&mut self, now: Instant, address: SocketAddr, what: What, rng: &mut Rng) {
        let mut id = rng.next_u64() as u32;
        while self.transactions.contains_key(&id) {
            id = rng.next_u64() as u32;
        }
        let transaction = Transaction { address, what, sent_count: 0, deadline: now };
        self.transactions.insert(id, transaction);
        self.transmit(now, id);
    }

    fn transmit(&mut self, now: Instant, id: u32) {
        let Some(transaction) = self.transactions.get_mut(&id) else { return };
        let patience = PATIENCE.get(transaction.sent_count).copied().unwrap_or_default();
        transaction.sent_count += 1;
        transaction.deadline = now + patience;
        let (to, what) = (transaction.address, transaction.what);
        self.due.insert((transaction.deadline, Due::Transaction(id)));
        let connection = self.endpoints.get(&to).and_then(|e| e.connection).map(|(c, _)| c);
        let bytes = match what {
            What::Connect => UdpRequest::Connect.encode(id),
            What::Job(job) => match (self.jobs.get(&job), connection) {
                (Some(job), Some(connection)) => interpret::udp_ask(id, connection, &job.ask),
                _ => return,
            },
        };
        self.events.push_back(UdpEvent::Datagram { to, bytes });
    }

    /// Nothing came in time: again, or enough.
    fn retry(&mut self, now: Instant, id: u32, rng: &mut Rng) {
        let Some(transaction) = self.transactions.get(&id) else { return };
        let (address, what) = (transaction.address, transaction.what);
        if transaction.sent_count >= PATIENCE.len() {
            self.transactions.remove(&id);
            let message = format!("no answer from {address} to {} packets", PATIENCE.len());
            let failure = Failure::new(TrackerErrorClass::Timeout, message);
            match what {
                What::Connect => self.connect_failed(address, &failure),
                What::Job(job) => self.finish(job, Err(failure)),
            }
            return;
        }
        let connection = self.endpoints.get(&address).and_then(|endpoint| endpoint.connection);
        let is_stale = connection.is_none_or(|(_, until)| until <= now);
        match what {
            What::Job(job) if is_stale => {
                self.transactions.remove(&id);
                self.send_or_connect(now, job, rng);
            }
            _ => self.transmit(now, id),
        }
    }

    fn connected(&mut self, now: Instant, address: SocketAddr, connection: u64, rng: &mut Rng) {
        let Some(endpoint) = self.endpoints.get_mut(&address) else { return };
        let until = now + CONNECTION_LIFE;
        endpoint.connection = Some((connection, until));
        endpoint.is_connecting = false;
        self.due.insert((until, Due::Endpoint(address)));
        for job in std::mem::take(&mut endpoint.waiting) {
            self.open(now, address, What::Job(job), rng);
        }
    }

    fn connect_failed(&mut self, address: SocketAddr, failure: &Failure) {
        let Some(endpoint) = self.endpoints.remove(&address) else { return };
        for job in endpoint.waiting {
            self.finish(job, Err(failure.clone()));
        }
    }

    fn answered(&mut self, job: u64, from: SocketAddr, bytes: &[u8]) {
        let Some(asked) = self.jobs.get(&job) else { return };
        let answer = interpret::udp_read(bytes, from.is_ipv6(), &asked.ask.what);
        if answer.is_err() {
            // It may be the connection id that it did not like: the next question gets a new one.
            if let Some(endpoint) = self.endpoints.get_mut(&from) {
                endpoint.connection = None;
            }
        }
        self.finish(job, answer);
    }

    fn finish(&mut self, job: u64, answer: Result<UdpAnswer, Failure>) {
        let Some(job) = self.jobs.remove(&job) else { return };
        if let Err(failure) = &answer
            && failure.class == TrackerErrorClass::Timeout
        {
            self.lookups.forget(&job.ask.host, job.ask.port);
        }
        let Some(group) = self.groups.get_mut(&job.group) else { return };
        group.open_count = group.open_count.saturating_sub(1);
        let (key, is_last) = (group.key, group.open_count == 0);
        if is_last {
            self.groups.remove(&job.group);
        }
        self.events.push_back(UdpEvent::Answer { key, answer, is_last });
    }

    fn refuse(&mut self, key: UdpKey, failure: Failure) {
        self.events.push_back(UdpEvent::Answer { key, answer: Err(failure), is_last: true });
    }

    /// Its connection id is too old and nobody waits for a new one.
    fn forget_endpoint(&mut self, now: Instant, address: SocketAddr) {
        let Some(endpoint) = self.endpoints.get(&address) else { return };
        let is_live = endpoint.connection.is_some_and(|(_, until)| now < until);
        if !is_live && !endpoint.is_connecting && endpoint.waiting.is_empty() {
            self.endpoints.remove(&address);
        }
    }

    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

#[cfg(test)]
mod tests;
