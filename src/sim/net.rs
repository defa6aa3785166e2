//! The network: TCP-like connections and datagrams between hosts, with delay, bandwidth and loss.
//!
//! Bytes of one direction arrive in order, cut at random places. A send is under way until its last
//! byte has left the host's line and the receiver's window has room; one send per end at a time, as
//! on the ring.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::instant::Instant;
use crate::base::limits::CONNECT_TIMEOUT;
use crate::base::rng::Rng;
use crate::engine::to_ring::CloseReason;
use crate::sim::clock::Clock;

/// Bytes that a receiver who does not read lets the sender get rid of.
const WINDOW: usize = 256 * 1024;
/// Largest piece in which bytes arrive: a receive buffer of the ring.
const CHUNK_MAX: u64 = 16 * 1024;
const ECONNRESET: i32 = 104;

/// One end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct EndId {
    link: u32,
    side: u8,
}

impl EndId {
    /// The other end of the same connection.
    pub(crate) fn other(self) -> EndId {
        EndId { link: self.link, side: 1 - self.side }
    }
}

/// A host's line to the network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// Bytes per second out and in.
    pub(crate) up: u64,
    pub(crate) down: u64,
    /// One way, to the middle of the network.
    pub(crate) latency: Duration,
}

/// How bad the network is. Chances are out of a thousand.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Weather {
    /// A new connection is refused.
    pub(crate) refusal: u64,
    /// A connection is reset some time within its first half minute.
    pub(crate) reset: u64,
    /// A datagram is lost.
    pub(crate) datagram_loss: u64,
}

/// What a host is told.
#[derive(Debug)]
pub(crate) enum NetEvent {
    /// Somebody connected to a listener.
    Incoming {
        to: SocketAddr,
        from: SocketAddr,
        end: EndId,
    },
    Connected {
        end: EndId,
    },
    Bytes {
        end: EndId,
        bytes: Vec<u8>,
    },
    /// The send under way is over.
    Sent {
        end: EndId,
        byte_count: usize,
    },
    /// The connection is gone, or never came to be.
    Closed {
        end: EndId,
        reason: CloseReason,
    },
    Datagram {
        to: SocketAddr,
        from: SocketAddr,
        bytes: Vec<u8>,
    },
}

#[derive(Debug)]
enum Planned {
    Syn { end: EndId, to: SocketAddr },
    Connected { end: EndId },
    ConnectFailed { end: EndId },
    Chunk { to: EndId, bytes: Vec<u8> },
    Left { end: EndId, byte_count: usize },
    EndOfStream { to: EndId },
    Reset { to: EndId },
    Datagram { to: SocketAddr, from: SocketAddr, bytes: Vec<u8> },
}

#[derive(Debug)]
struct End {
    address: SocketAddr,
    is_open: bool,
    is_reading: bool,
    /// Arrived and not read.
    unread: VecDeque<Vec<u8>>,
    unread_len: usize,
    /// The send under way: its bytes, and whether all of them left the line.
    sending: Option<(usize, bool)>,
    /// When the last byte for this end arrives.
    last_arrival: Instant,
}

impl End {
    fn new(address: SocketAddr, now: Instant) -> End {
        End {
            address,
            is_open: true,
            is_reading: true,
            unread: VecDeque::new(),
            unread_len: 0,
            sending: None,
            last_arrival: now,
        }
    }
}

#[derive(Debug)]
struct HostLine {
    line: Line,
    up_free: Instant,
    down_free: Instant,
}

/// All hosts' lines and all connections.
#[derive(Debug)]
pub(crate) struct Net {
    rng: Rng,
    weather: Weather,
    hosts: BTreeMap<IpAddr, HostLine>,
    listeners: BTreeSet<SocketAddr>,
    black_holes: BTreeSet<IpAddr>,
    links: Vec<[End; 2]>,
    next_port: u16,
    clock: Clock<Planned>,
    events: VecDeque<NetEvent>,
}

impl Net {
    pub(crate) fn new(rng: Rng, weather: Weather) -> Net {
        Net {
            rng,
            weather,
            hosts: BTreeMap::new(),
            listeners: BTreeSet::new(),
            black_holes: BTreeSet::new(),
            links: Vec::new(),
            next_port: 40_000,
            clock: Clock::default(),
            events: VecDeque::new(),
        }
    }

    pub(crate) fn add_host(&mut self, ip: IpAddr, line: Line) {
        let free = Instant::ZERO;
        self.hosts.insert(ip, HostLine { line, up_free: free, down_free: free });
    }

    pub(crate) fn listen(&mut self, address: SocketAddr) {
        self.listeners.insert(address);
    }

    pub(crate) fn stop_listening(&mut self, address: SocketAddr) {
        self.listeners.remove(&address);
    }

    /// From now on nothing answers there, not even with a refusal.
    pub(crate) fn swallow(&mut self, ip: IpAddr) {
        self.black_holes.insert(ip);
    }

    pub(crate) fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// Begins a connection; ends in `Connected` or `Closed`.
    pub(crate) fn connect(&mut self, now: Instant, from: IpAddr, to: SocketAddr) -> EndId {
        let link = self.links.len() as u32;
        let own = SocketAddr::new(from, self.next_port);
        self.next_port = self.next_port.checked_add(1).unwrap_or(40_000);
        self.links.push([End::new(own, now), End::new(to, now)]);
        // Not there until the listener hears of it.
        self.links[link as usize][1].is_open = false;
        let end = EndId { link, side: 0 };
        let delay = self.delay(from, to.ip());
        let refused = self.rng.below(1000) < self.weather.refusal;
        if self.black_holes.contains(&to.ip()) || !self.hosts.contains_key(&to.ip()) {
            self.clock.plan(now + CONNECT_TIMEOUT, Planned::ConnectFailed { end });
        } else if refused {
            self.clock.plan(now + delay * 2, Planned::ConnectFailed { end });
        } else {
            self.clock.plan(now + delay, Planned::Syn { end, to });
        }
        end
    }

    /// Sends; `Sent` tells when the next send may follow. Nothing is told if the end closes
    /// meanwhile.
    pub(crate) fn send(&mut self, now: Instant, end: EndId, bytes: &[u8]) {
        let own = self.end_mut(end);
        assert!(own.is_open, "a send on a closed connection");
        assert!(own.sending.is_none(), "two sends under way on one connection");
        own.sending = Some((bytes.len(), false));
        let (from, to) = (self.end(end).address.ip(), self.end(end.other()).address.ip());
        let start = self.hosts.get(&from).map_or(now, |host| host.up_free).max(now);
        let delay = self.delay(from, to);
        let (mut left, mut leaves) = (bytes, start);
        while !left.is_empty() {
            let (chunk, rest) = left.split_at(self.chunk_len(left.len()));
            left = rest;
            leaves = leaves + self.transmission(from, chunk.len(), true);
            let arrives = self.arrival(to, leaves + delay, chunk.len(), end.other());
            self.clock.plan(arrives, Planned::Chunk { to: end.other(), bytes: chunk.to_vec() });
        }
        if let Some(host) = self.hosts.get_mut(&from) {
            host.up_free = leaves;
        }
        self.clock.plan(leaves, Planned::Left { end, byte_count: bytes.len() });
    }

    /// Closes in good order: what was sent still arrives, then the end of the stream.
    pub(crate) fn close(&mut self, now: Instant, end: EndId) {
        if !std::mem::replace(&mut self.end_mut(end).is_open, false) {
            return;
        }
        self.end_mut(end).unread.clear();
        let delay = self.delay_of(end);
        let at = (now + delay).max(self.end(end.other()).last_arrival);
        self.clock.plan(at, Planned::EndOfStream { to: end.other() });
    }

    /// Closes with a reset: what is under way is lost.
    pub(crate) fn reset(&mut self, now: Instant, end: EndId) {
        if !std::mem::replace(&mut self.end_mut(end).is_open, false) {
            return;
        }
        let at = now + self.delay_of(end);
        self.clock.plan(at, Planned::Reset { to: end.other() });
    }

    /// An end that does not read fills its window, and the sender's send stays under way.
    pub(crate) fn set_reading(&mut self, end: EndId, is_reading: bool) {
        let own = self.end_mut(end);
        own.is_reading = is_reading;
        if is_reading {
            own.unread_len = 0;
            for bytes in std::mem::take(&mut own.unread) {
                self.events.push_back(NetEvent::Bytes { end, bytes });
            }
            self.finish_send(end.other());
        }
    }

    pub(crate) fn send_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) {
        if self.rng.below(1000) >= self.weather.datagram_loss {
            let at = now + self.delay(from.ip(), to.ip());
            self.clock.plan(at, Planned::Datagram { to, from, bytes });
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.clock.poll_timeout()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(planned) = self.clock.poll_due(now) {
            self.happen(now, planned);
        }
    }

    pub(crate) fn poll_event(&mut self) -> Option<NetEvent> {
        self.events.pop_front()
    }

    /// Whether an end is still there; ids of old connections are never used again.
    pub(crate) fn is_open(&self, end: EndId) -> bool {
        self.end(end).is_open
    }

    /// Whether a send is under way.
    pub(crate) fn is_sending(&self, end: EndId) -> bool {
        self.end(end).sending.is_some()
    }

    /// The address of an end, as the other one sees it.
    pub(crate) fn address(&self, end: EndId) -> SocketAddr {
        self.end(end).address
    }

    fn happen(&mut self, now: Instant, planned: Planned) {
        match planned {
            Planned::Syn { end, to } => self.arrive(now, end, to),
            Planned::Connected { end } => {
                if self.is_open(end) {
                    self.events.push_back(NetEvent::Connected { end });
                }
            }
            Planned::ConnectFailed { end } => self.end_with(end, CloseReason::ConnectFailed),
            Planned::Chunk { to, bytes } => self.deliver(now, to, bytes),
            Planned::Left { end, byte_count } => {
                if self.is_open(end) {
                    self.end_mut(end).sending = Some((byte_count, true));
                    self.finish_send(end);
                }
            }
            Planned::EndOfStream { to } => self.end_with(to, CloseReason::EndOfStream),
            Planned::Reset { to } => self.end_with(to, CloseReason::Errno(ECONNRESET)),
            Planned::Datagram { to, from, bytes } => {
                self.events.push_back(NetEvent::Datagram { to, from, bytes });
            }
        }
    }

    fn arrive(&mut self, now: Instant, end: EndId, to: SocketAddr) {
        let delay = self.delay_of(end);
        if !self.listeners.contains(&to) {
            self.clock.plan(now + delay, Planned::ConnectFailed { end });
            return;
        }
        self.end_mut(end.other()).is_open = true;
        let from = self.end(end).address;
        self.events.push_back(NetEvent::Incoming { to, from, end: end.other() });
        self.clock.plan(now + delay, Planned::Connected { end });
        if self.rng.below(1000) < self.weather.reset {
            let at = now + Duration::from_millis(self.rng.below(30_000));
            self.clock.plan(at, Planned::Reset { to: end });
            self.clock.plan(at, Planned::Reset { to: end.other() });
        }
    }

    fn deliver(&mut self, now: Instant, to: EndId, bytes: Vec<u8>) {
        if !self.is_open(to) {
            // Bytes for a socket that is gone: the sender learns it by a reset.
            if self.is_open(to.other()) {
                let at = now + self.delay_of(to);
                self.clock.plan(at, Planned::Reset { to: to.other() });
            }
            return;
        }
        let end = self.end_mut(to);
        if end.is_reading {
            self.events.push_back(NetEvent::Bytes { end: to, bytes });
        } else {
            end.unread_len += bytes.len();
            end.unread.push_back(bytes);
        }
    }

    fn finish_send(&mut self, end: EndId) {
        let room = self.end(end.other()).unread_len <= WINDOW;
        if let Some((byte_count, true)) = self.end(end).sending
            && room
            && self.is_open(end)
        {
            self.end_mut(end).sending = None;
            self.events.push_back(NetEvent::Sent { end, byte_count });
        }
    }

    fn end_with(&mut self, end: EndId, reason: CloseReason) {
        if std::mem::replace(&mut self.end_mut(end).is_open, false) {
            self.events.push_back(NetEvent::Closed { end, reason });
        }
    }

    /// Mostly whole buffers, sometimes a few bytes: splits inside a message head must happen.
    fn chunk_len(&mut self, left: usize) -> usize {
        let max = if self.rng.below(8) == 0 { 24 } else { CHUNK_MAX };
        (1 + self.rng.below(max) as usize).min(left)
    }

    fn transmission(&self, ip: IpAddr, len: usize, is_up: bool) -> Duration {
        let rate = self.hosts.get(&ip).map_or(u64::MAX, |host| match is_up {
            true => host.line.up,
            false => host.line.down,
        });
        Duration::from_nanos((len as u64).saturating_mul(1_000_000_000) / rate.max(1))
    }

    fn arrival(&mut self, to: IpAddr, at: Instant, len: usize, end: EndId) -> Instant {
        let time = self.transmission(to, len, false);
        let free = self.hosts.get(&to).map_or(at, |host| host.down_free);
        let done = at.max(free).max(self.end(end).last_arrival) + time;
        if let Some(host) = self.hosts.get_mut(&to) {
            host.down_free = host.down_free.max(at) + time;
        }
        self.end_mut(end).last_arrival = done;
        done
    }

    fn delay_of(&self, end: EndId) -> Duration {
        self.delay(self.end(end).address.ip(), self.end(end.other()).address.ip())
    }

    fn delay(&self, from: IpAddr, to: IpAddr) -> Duration {
        let latency = |ip| self.hosts.get(&ip).map_or(Duration::ZERO, |host| host.line.latency);
        latency(from) + latency(to)
    }

    fn end(&self, end: EndId) -> &End {
        &self.links[end.link as usize][usize::from(end.side)]
    }

    fn end_mut(&mut self, end: EndId) -> &mut End {
        &mut self.links[end.link as usize][usize::from(end.side)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Line = Line { up: 1_000_000, down: 4_000_000, latency: Duration::from_millis(10) };

    fn pair(weather: Weather) -> (Net, SocketAddr, IpAddr) {
        let mut net = Net::new(Rng::new(1), weather);
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        net.add_host(a, LINE);
        net.add_host(b, LINE);
        let listener = SocketAddr::new(b, 6881);
        net.listen(listener);
        (net, listener, a)
    }

    /// Runs until nothing is planned; returns what happened and when.
    fn run(net: &mut Net) -> Vec<(Instant, NetEvent)> {
        let mut seen = Vec::new();
        while let Some(now) = net.poll_timeout() {
            net.handle_timeout(now);
            seen.extend(std::iter::from_fn(|| net.poll_event()).map(|event| (now, event)));
        }
        seen
    }

    fn bytes_of(seen: &[(Instant, NetEvent)]) -> Vec<u8> {
        let chunks = seen.iter().filter_map(|(_, event)| match event {
            NetEvent::Bytes { bytes, .. } => Some(bytes.as_slice()),
            _ => None,
        });
        chunks.collect::<Vec<_>>().concat()
    }

    #[test]
    fn bytes_arrive_whole_and_in_order_at_the_speed_of_the_line() {
        let (mut net, listener, a) = pair(Weather::default());
        let end = net.connect(Instant::ZERO, a, listener);
        let opened = run(&mut net);
        assert!(matches!(opened[0].1, NetEvent::Incoming { .. }));
        assert!(
            matches!(opened[1], (at, NetEvent::Connected { .. }) if at == Instant::from_millis(40))
        );
        let start = Instant::from_millis(100);
        let sent: Vec<u8> = (0..500_000u32).map(|n| n as u8).collect();
        net.send(start, end, &sent);
        net.close(start, end);
        let seen = run(&mut net);
        assert_eq!(bytes_of(&seen), sent);
        let (at, last) = seen.last().unwrap();
        assert!(matches!(last, NetEvent::Closed { reason: CloseReason::EndOfStream, .. }));
        let took = at.since(start);
        assert!(
            took >= Duration::from_millis(520) && took < Duration::from_millis(540),
            "{took:?}"
        );
        assert!(seen.len() > 30, "bytes come in many parts, got {}", seen.len());
    }

    #[test]
    fn a_sender_waits_for_a_receiver_who_does_not_read() {
        let (mut net, listener, a) = pair(Weather::default());
        let end = net.connect(Instant::ZERO, a, listener);
        run(&mut net);
        net.set_reading(end.other(), false);
        net.send(Instant::from_millis(100), end, &vec![7; 300_000]);
        let silent = run(&mut net);
        assert!(silent.is_empty(), "{silent:?}");
        net.set_reading(end.other(), true);
        let seen: Vec<_> = std::iter::from_fn(|| net.poll_event()).collect();
        assert!(matches!(seen.last(), Some(NetEvent::Sent { byte_count: 300_000, .. })));
    }

    #[test]
    fn connects_fail_by_refusal_at_once_and_by_silence_after_the_time_out() {
        let (mut net, listener, a) = pair(Weather::default());
        net.stop_listening(listener);
        net.connect(Instant::ZERO, a, listener);
        let refused = run(&mut net);
        assert!(
            matches!(refused[..], [(at, NetEvent::Closed { .. })] if at == Instant::from_millis(40))
        );
        net.swallow(listener.ip());
        net.connect(Instant::ZERO, a, listener);
        let silent = run(&mut net);
        let limit = Instant::ZERO + CONNECT_TIMEOUT;
        assert!(matches!(silent[..], [(at, NetEvent::Closed { .. })] if at == limit));
    }

    #[test]
    fn a_reset_reaches_both_ends_and_loses_what_was_under_way() {
        let (mut net, listener, a) = pair(Weather { reset: 1000, ..Weather::default() });
        let end = net.connect(Instant::ZERO, a, listener);
        let seen = run(&mut net);
        let resets = seen.iter().filter(|(_, event)| {
            matches!(event, NetEvent::Closed { reason: CloseReason::Errno(ECONNRESET), .. })
        });
        assert_eq!(resets.count(), 2);
        assert!(!net.is_open(end) && !net.is_open(end.other()));
    }

    #[test]
    fn bytes_for_a_closed_end_bring_a_reset() {
        let (mut net, listener, a) = pair(Weather::default());
        let end = net.connect(Instant::ZERO, a, listener);
        run(&mut net);
        let start = Instant::from_millis(100);
        net.close(start, end.other());
        net.send(start, end, b"too late");
        let seen = run(&mut net);
        assert!(seen.iter().any(|(_, event)| matches!(event, NetEvent::Closed { .. })));
        assert!(bytes_of(&seen).is_empty());
    }

    #[test]
    fn lost_datagrams_are_never_told_of() {
        let (mut net, listener, a) = pair(Weather { datagram_loss: 500, ..Weather::default() });
        for n in 0..100 {
            net.send_datagram(Instant::ZERO, SocketAddr::new(a, 1), listener, vec![n]);
        }
        let count = run(&mut net).len();
        assert!((20..80).contains(&count), "{count}");
    }
}
