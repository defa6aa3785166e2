//! One seeding connection.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::ops::Range;

use crate::bench::metainfo::Metainfo;
use crate::bench::poller::unless_blocked;
use crate::bench::server::Plan;
use crate::bench::server::Tally;
use crate::bench::wire;
use crate::bench::wire::Incoming;
use crate::bench::wire::Parser;
use crate::clock::now;

/// Blocks in one gathered write: 512 KiB of payload.
const GATHER: usize = 32;
/// Requests that are taken from one connection before it is told off.
const QUEUE_MAX: usize = 4096;

/// An answer that is being sent.
struct Answer {
    header: [u8; 13],
    range: Range<usize>,
}

/// A seeding connection.
pub(crate) struct Peer {
    stream: TcpStream,
    parser: Parser,
    answers: VecDeque<Answer>,
    /// Bytes of the first answer, header included, that are already sent.
    sent_of_first: usize,
    /// Handshake, bitfield, unchoke.
    hello: Vec<u8>,
    pub(crate) is_writable: bool,
    pub(crate) is_readable: bool,
    /// Stands in the list of those to be served.
    pub(crate) is_queued: bool,
    pub(crate) is_closed: bool,
    /// The engine is interested; true until it says otherwise.
    pub(crate) is_wanted: bool,
    /// Bytes of payload.
    pub(crate) sent: u64,
}

impl Peer {
    /// Says hello at its first turn; what it has when the engine has said hello too.
    pub(crate) fn new(stream: TcpStream, number: usize, torrent: &Metainfo) -> Self {
        let hello = wire::handshake(&torrent.info_hash, number).to_vec();
        Self {
            stream,
            parser: Parser::default(),
            answers: VecDeque::new(),
            sent_of_first: 0,
            hello,
            is_writable: false,
            is_readable: true,
            is_queued: false,
            is_closed: false,
            is_wanted: true,
            sent: 0,
        }
    }

    /// Reads once, writes once. True when there is more to do without waiting.
    pub(crate) fn turn(&mut self, plan: &Plan, tally: &mut Tally, buffer: &mut [u8]) -> bool {
        if self.is_closed {
            return false;
        }
        if self.is_readable {
            match unless_blocked(self.stream.read(buffer)) {
                Ok(Some(0)) | Err(_) => {
                    self.is_closed = true;
                    return false;
                }
                Ok(count) => {
                    let count = count.unwrap_or(0);
                    self.is_readable = count == buffer.len();
                    self.take(&plan.torrent, tally, &buffer[..count]);
                }
            }
        }
        self.write(&plan.data, tally);
        let has_output = !self.hello.is_empty() || !self.answers.is_empty();
        !self.is_closed && (self.is_readable || (self.is_writable && has_output))
    }

    fn take(&mut self, torrent: &Metainfo, tally: &mut Tally, bytes: &[u8]) {
        let mut parser = std::mem::take(&mut self.parser);
        parser.feed(bytes, |incoming| match incoming {
            Incoming::Request { piece, begin, length } => {
                let range = torrent.range(piece, begin, length);
                let Some(range) = range.filter(|_| self.answers.len() < QUEUE_MAX) else {
                    eprintln!("closed: a bad request or too many: {piece} {begin} {length}");
                    self.is_closed = true;
                    return;
                };
                tally.first_request.get_or_insert_with(now);
                tally.serve(range.start);
                let header = wire::piece_header(piece, begin, length);
                self.answers.push_back(Answer { header, range });
            }
            Incoming::Message(wire::NOT_INTERESTED) => self.is_wanted = false,
            Incoming::Message(wire::INTERESTED) => self.is_wanted = true,
            Incoming::Handshake(info_hash) if info_hash != torrent.info_hash => {
                self.is_closed = true;
            }
            Incoming::Handshake(_) => {
                self.hello.extend(wire::bitfield(torrent.piece_count()));
                self.hello.extend(wire::simple(wire::UNCHOKE));
            }
            Incoming::Message(_) | Incoming::Block { .. } => {}
        });
        self.parser = parser;
    }

    fn write(&mut self, data: &[u8], tally: &mut Tally) {
        if !self.is_writable || self.is_closed {
            return;
        }
        if !self.hello.is_empty() {
            match unless_blocked(self.stream.write(&self.hello)) {
                Ok(Some(count)) => drop(self.hello.drain(..count)),
                Ok(None) => self.is_writable = false,
                Err(_) => self.is_closed = true,
            }
            return;
        }
        if self.answers.is_empty() {
            return;
        }
        match unless_blocked(self.gather(data)) {
            Ok(Some(count)) => self.advance(count, tally),
            Ok(None) => self.is_writable = false,
            Err(_) => self.is_closed = true,
        }
    }

    fn gather(&self, data: &[u8]) -> std::io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); 2 * GATHER];
        let answers = self.answers.iter().take(GATHER);
        let mut count = 0;
        for answer in answers {
            slices[count] = IoSlice::new(&answer.header);
            slices[count + 1] = IoSlice::new(&data[answer.range.clone()]);
            count += 2;
        }
        let mut slices = &mut slices[..count];
        IoSlice::advance_slices(&mut slices, self.sent_of_first);
        (&self.stream).write_vectored(slices)
    }

    fn advance(&mut self, count: usize, tally: &mut Tally) {
        let mut sent = self.sent_of_first + count;
        while let Some(first) = self.answers.front() {
            let whole = first.header.len() + first.range.len();
            if sent < whole {
                break;
            }
            sent -= whole;
            self.sent += first.range.len() as u64;
            tally.sent += first.range.len() as u64;
            self.answers.pop_front();
        }
        self.sent_of_first = sent;
        tally.last_write = now();
    }
}
