//! One leeching connection.

use std::collections::VecDeque;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::bench::metainfo::BLOCK;
use crate::bench::metainfo::Metainfo;
use crate::bench::poller::unless_blocked;
use crate::bench::puller::Plan;
use crate::bench::puller::Tally;
use crate::bench::wire;
use crate::bench::wire::Incoming;
use crate::bench::wire::Parser;
use crate::clock;

/// One piece in so many is kept and hashed under `--verify`.
const SAMPLE: u64 = 64;

/// One request in flight.
struct Asked {
    piece: u32,
    begin: u32,
    length: u32,
    at: Instant,
}

/// A piece that is kept to be hashed.
struct Sample {
    piece: u32,
    bytes: Vec<u8>,
    filled: usize,
}

/// A leeching connection.
pub(crate) struct Peer {
    stream: TcpStream,
    parser: Parser,
    pub(crate) torrent: Arc<Metainfo>,
    /// For random pieces: every connection walks its own way.
    random: u64,
    /// The next block to ask for; at the end of its piece, a new piece is drawn.
    next: Option<(u32, u32)>,
    asked: VecDeque<Asked>,
    /// To be sent.
    out: Vec<u8>,
    sample: Option<Sample>,
    pieces_begun: u64,
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
    pub(crate) fn new(stream: TcpStream, number: usize, torrent: Arc<Metainfo>) -> Self {
        let out = wire::handshake(&torrent.info_hash, number).to_vec();
        Self {
            stream,
            parser: Parser::default(),
            torrent,
            random: (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            next: None,
            asked: VecDeque::new(),
            out,
            sample: None,
            pieces_begun: 0,
            may_ask: false,
            due: clock::now(),
            is_writable: false,
            is_queued: false,
            is_closed: false,
            was_unchoked: false,
            received: 0,
        }
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
        if self.asked.len() <= plan.depth / 2 || !self.out.is_empty() {
            self.ask(plan, tally, now);
        }
        count == buffer.len()
    }

    fn take(&mut self, plan: &Plan, tally: &mut Tally, bytes: &[u8], now: Instant) {
        let mut parser = std::mem::take(&mut self.parser);
        parser.feed(bytes, |incoming| match incoming {
            Incoming::Message(wire::CHOKE) => self.choked(tally),
            Incoming::Message(wire::UNCHOKE) => {
                self.may_ask = true;
                self.was_unchoked = true;
                // Connections with pauses do not all ask at the same moment.
                let spread = plan.interval.unwrap_or_default();
                self.due = now + spread.mul_f64(self.draw() as f64 / u64::MAX as f64);
            }
            Incoming::Block { piece, begin, offset, bytes, is_end } => {
                self.received += bytes.len() as u64;
                tally.received += bytes.len() as u64;
                self.keep(tally, piece, begin + offset, bytes);
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
    }

    fn arrived(&mut self, tally: &mut Tally, piece: u32, begin: u32, now: Instant) {
        tally.last_block = now;
        let is = |asked: &Asked| asked.piece == piece && asked.begin == begin;
        if let Some(asked) = self.asked.iter().position(is).and_then(|at| self.asked.remove(at)) {
            tally.latencies.record(now.duration_since(asked.at));
        }
    }

    fn keep(&mut self, tally: &mut Tally, piece: u32, at: u32, bytes: &[u8]) {
        let Some(sample) = self.sample.as_mut().filter(|sample| sample.piece == piece) else {
            return;
        };
        if let Some(place) = sample.bytes.get_mut(at as usize..at as usize + bytes.len()) {
            place.copy_from_slice(bytes);
            sample.filled += bytes.len();
        }
        if sample.filled == sample.bytes.len() {
            let is_intact = self.torrent.is_intact(piece, &sample.bytes);
            tally.intact += u64::from(is_intact);
            tally.corrupt += u64::from(!is_intact);
            self.sample = None;
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
        tally.asked -= self.asked.drain(..).map(|asked| u64::from(asked.length)).sum::<u64>();
        self.next = None;
        self.sample = None;
    }

    /// Fills the pipeline up to the plan's depth, or up to what the pause allows, and writes.
    pub(crate) fn ask(&mut self, plan: &Plan, tally: &mut Tally, now: Instant) {
        while self.may_ask
            && self.asked.len() < plan.depth
            && tally.asked < tally.budget
            && (plan.interval.is_none() || now >= self.due)
        {
            let (piece, begin) = self.next_block(plan);
            let length = BLOCK.min(self.torrent.piece_size(piece) - begin);
            self.next = Some((piece, begin + length));
            self.out.extend(wire::request(piece, begin, length));
            self.asked.push_back(Asked { piece, begin, length, at: now });
            tally.asked += u64::from(length);
            tally.first_request.get_or_insert(now);
            self.due += plan.interval.unwrap_or(Duration::ZERO);
        }
        self.write(tally);
    }

    fn next_block(&mut self, plan: &Plan) -> (u32, u32) {
        match self.next {
            Some((piece, begin)) if begin < self.torrent.piece_size(piece) => (piece, begin),
            _ => {
                let piece = (self.draw() % u64::from(self.torrent.piece_count())) as u32;
                self.pieces_begun += 1;
                let is_sampled = plan.verify && self.pieces_begun % SAMPLE == 1;
                if is_sampled && self.sample.is_none() {
                    let bytes = vec![0; self.torrent.piece_size(piece) as usize];
                    self.sample = Some(Sample { piece, bytes, filled: 0 });
                }
                (piece, 0)
            }
        }
    }

    /// Xorshift: pieces only have to differ between connections.
    fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn write(&mut self, tally: &mut Tally) {
        while self.is_writable && !self.out.is_empty() {
            match unless_blocked(self.stream.write(&self.out)) {
                Ok(Some(count)) => drop(self.out.drain(..count)),
                Ok(None) => self.is_writable = false,
                Err(_) => return self.close(tally),
            }
        }
    }
}
