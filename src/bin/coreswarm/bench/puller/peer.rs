//! One leeching connection.

use std::collections::VecDeque;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use crate::bench::metainfo::Metainfo;
use crate::bench::poller::unless_blocked;
use crate::bench::puller::Pace;
use crate::bench::puller::Plan;
use crate::bench::puller::Tally;
use crate::bench::puller::sample::Samples;
use crate::bench::puller::walk::Place;
use crate::bench::puller::walk::Walk;
use crate::bench::wire;
use crate::bench::wire::Incoming;
use crate::bench::wire::Parser;
use crate::clock;

/// One request in flight.
struct Asked {
    place: Place,
    /// When it was sent, or was due.
    at: Instant,
}

/// A leeching connection.
pub(crate) struct Peer {
    stream: TcpStream,
    parser: Parser,
    pub(crate) torrent: Arc<Metainfo>,
    walk: Walk,
    asked: VecDeque<Asked>,
    /// To be sent.
    out: Vec<u8>,
    samples: Samples,
    may_ask: bool,
    /// Not before this instant, when the plan has pauses.
    due: Instant,
    /// The last write did not block.
    pub(crate) is_writable: bool,
    /// Stands in the list of those to be served.
    pub(crate) is_queued: bool,
    pub(crate) is_closed: bool,
    pub(crate) was_unchoked: bool,
    /// Bytes of payload.
    pub(crate) received: u64,
}

impl Peer {
    /// Says hello at its first turn, and that it is interested when the engine has said hello too:
    /// aria2 drops who sends more than a handshake before.
    pub(crate) fn new(stream: TcpStream, number: usize, plan: &Plan) -> Option<Self> {
        let torrent = Arc::clone(plan.torrents.get(number)?);
        let out = wire::handshake(&torrent.info_hash, number).to_vec();
        let walk = Walk::new(plan.pattern, &torrent, number, plan.torrents.len());
        Some(Self {
            stream,
            parser: Parser::default(),
            torrent,
            walk,
            asked: VecDeque::new(),
            out,
            samples: Samples::default(),
            may_ask: false,
            due: clock::now(),
            is_writable: false,
            is_queued: false,
            is_closed: false,
            was_unchoked: false,
            received: 0,
        })
    }

    /// Reads once, asks, writes. True when there is more to read.
    pub(crate) fn turn(&mut self, plan: &Plan, tally: &mut Tally, buffer: &mut [u8]) -> bool {
        if self.is_closed {
            return false;
        }
        let count = match unless_blocked(self.stream.read(buffer)) {
            Ok(Some(0)) | Err(_) => {
                self.close(tally);
                return false;
            }
            Ok(count) => count.unwrap_or(0),
        };
        let now = clock::now();
        self.take(plan, tally, &buffer[..count], now);
        let is_half_empty = self.asked.len() <= plan.depth / 2;
        if is_half_empty && !matches!(plan.pace, Pace::Rate(_)) {
            self.ask(plan, tally, now);
        }
        self.write(tally);
        count == buffer.len()
    }

    fn take(&mut self, plan: &Plan, tally: &mut Tally, bytes: &[u8], now: Instant) {
        let mut parser = std::mem::take(&mut self.parser);
        let result = parser.feed(bytes, |incoming| match incoming {
            Incoming::Message(wire::CHOKE) => self.choked(tally),
            Incoming::Message(wire::UNCHOKE) => self.unchoked(plan, tally, now),
            Incoming::Block { piece, begin, offset, bytes, is_end } => {
                self.received += bytes.len() as u64;
                tally.received += bytes.len() as u64;
                let at = begin.saturating_add(offset);
                tally.count_piece(self.samples.take(&self.torrent, piece, at, bytes));
                if is_end {
                    self.arrived(tally, piece, begin, now);
                }
            }
            Incoming::Handshake(info_hash) if info_hash != self.torrent.info_hash => {
                self.close(tally);
            }
            Incoming::Handshake(_) => self.out.extend(wire::simple(wire::INTERESTED)),
            Incoming::Message(_) | Incoming::Request { .. } => {}
        });
        self.parser = parser;
        if let Err(fault) = result {
            tally.fault.get_or_insert(fault);
            self.close(tally);
        }
    }

    fn unchoked(&mut self, plan: &Plan, tally: &mut Tally, now: Instant) {
        self.may_ask = true;
        self.was_unchoked = true;
        tally.first_unchoke.get_or_insert(now);
        if let Pace::Interval(interval) = plan.pace {
            // Connections with pauses do not all ask at the same moment.
            let share = self.walk.draw() as f64 / u64::MAX as f64;
            self.due = now + interval.mul_f64(share);
        }
    }

    fn arrived(&mut self, tally: &mut Tally, piece: u32, begin: u32, now: Instant) {
        tally.last_block = now;
        let is = |asked: &Asked| asked.place.piece == piece && asked.place.begin == begin;
        if let Some(asked) = self.asked.iter().position(is).and_then(|at| self.asked.remove(at)) {
            tally.latencies.record(now.duration_since(asked.at));
            tally.answered += 1;
        }
    }

    /// Without fast messages a choke discards what was asked for.
    fn choked(&mut self, tally: &mut Tally) {
        self.may_ask = false;
        tally.chokes += 1;
        self.forget(tally);
    }

    fn close(&mut self, tally: &mut Tally) {
        self.is_closed = true;
        self.may_ask = false;
        self.forget(tally);
    }

    fn forget(&mut self, tally: &mut Tally) {
        for asked in self.asked.drain(..) {
            tally.asked -= u64::from(asked.place.length);
            if let Some(schedule) = &mut tally.schedule {
                schedule.give_back(asked.at);
            }
        }
        self.walk.leave(&self.torrent);
        self.samples.forget();
    }

    /// Whether one more request may be sent.
    pub(crate) fn has_room(&self, plan: &Plan) -> bool {
        self.may_ask && self.asked.len() < plan.depth
    }

    /// Fills the pipeline up to the plan's depth, or up to what the pause allows.
    pub(crate) fn ask(&mut self, plan: &Plan, tally: &mut Tally, now: Instant) {
        while self.has_room(plan) && tally.asked < tally.budget {
            if let Pace::Interval(interval) = plan.pace {
                if now < self.due {
                    break;
                }
                self.due += interval;
            }
            self.ask_one(plan, tally, now);
        }
    }

    /// One request, whose latency counts from `at`.
    pub(crate) fn ask_one(&mut self, plan: &Plan, tally: &mut Tally, at: Instant) {
        let place = self.walk.step(&self.torrent);
        if plan.verify && place.begin == 0 {
            self.samples.begin(&self.torrent, place.piece);
        }
        self.out.extend(wire::request(place.piece, place.begin, place.length));
        self.asked.push_back(Asked { place, at });
        tally.asked += u64::from(place.length);
        tally.first_request.get_or_insert(at);
    }

    /// When each request in flight was sent, or was due.
    pub(crate) fn in_flight(&self) -> impl Iterator<Item = Instant> {
        self.asked.iter().map(|asked| asked.at)
    }

    /// Sends what waits, as far as the socket takes it.
    pub(crate) fn write(&mut self, tally: &mut Tally) {
        while self.is_writable && !self.out.is_empty() {
            match unless_blocked(self.stream.write(&self.out)) {
                Ok(Some(count)) => drop(self.out.drain(..count)),
                Ok(None) => self.is_writable = false,
                Err(_) => return self.close(tally),
            }
        }
    }
}
