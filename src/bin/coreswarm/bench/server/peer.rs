//! One seeding connection.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::ops::Range;

use crate::bench::poller::unless_blocked;
use crate::bench::server::Plan;
use crate::bench::server::Tally;
use crate::bench::server::manner::Manner;
use crate::bench::wire;
use crate::bench::wire::Fault;
use crate::bench::wire::Incoming;
use crate::bench::wire::Parser;
use crate::clock::now;

/// Blocks in one gathered write: 512 KiB of payload.
const GATHER: usize = 32;
/// Requests that are taken from one connection before it is told off.
const QUEUE_MAX: usize = 4096;

/// An answer that is being sent.
struct Answer {
    /// The 13 bytes before the block, and its first one for those who change it.
    head: [u8; 14],
    is_corrupt: bool,
    range: Range<usize>,
}

impl Answer {
    fn head(&self) -> &[u8] {
        &self.head[..13 + usize::from(self.is_corrupt)]
    }

    /// What follows the head.
    fn body<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        &data[self.range.start + usize::from(self.is_corrupt)..self.range.end]
    }

    /// Bytes in all.
    fn length(&self) -> usize {
        13 + self.range.len()
    }
}

/// A seeding connection.
pub(crate) struct Peer {
    stream: TcpStream,
    parser: Parser,
    pub(crate) manner: Manner,
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
    pub(crate) fn new(stream: TcpStream, number: usize, plan: &Plan) -> Self {
        Self {
            stream,
            parser: Parser::default(),
            manner: plan.manners.of(number),
            answers: VecDeque::new(),
            sent_of_first: 0,
            hello: wire::handshake(&plan.torrent.info_hash, number).to_vec(),
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
                    self.take(plan, tally, &buffer[..count]);
                }
            }
        }
        self.write(&plan.data, tally);
        let has_output = !self.hello.is_empty() || !self.answers.is_empty();
        !self.is_closed && (self.is_readable || (self.is_writable && has_output))
    }

    fn take(&mut self, plan: &Plan, tally: &mut Tally, bytes: &[u8]) {
        let mut parser = std::mem::take(&mut self.parser);
        let mut fault = None;
        let result = parser.feed(bytes, |incoming| match incoming {
            Incoming::Request { piece, begin, length } => {
                let asked = self.asked(plan, tally, (piece, begin, length));
                fault = fault.or(asked.err());
            }
            Incoming::Message(wire::NOT_INTERESTED) => self.is_wanted = false,
            Incoming::Message(wire::INTERESTED) => self.is_wanted = true,
            Incoming::Handshake(info_hash) if info_hash != plan.torrent.info_hash => {
                fault = Some("a handshake of another torrent");
            }
            Incoming::Handshake(_) => {
                self.hello.extend(wire::bitfield(plan.torrent.piece_count()));
                self.hello.extend(wire::simple(wire::UNCHOKE));
            }
            Incoming::Message(_) | Incoming::Block { .. } => {}
        });
        self.parser = parser;
        if let Some(fault) = fault.or(result.err()) {
            tally.fault.get_or_insert(fault);
            self.is_closed = true;
        }
    }

    /// A request came in: it is answered as is this peer's manner.
    fn asked(
        &mut self,
        plan: &Plan,
        tally: &mut Tally,
        (piece, begin, length): (u32, u32, u32),
    ) -> Result<(), Fault> {
        let range = plan.torrent.range(piece, begin, length).filter(|range| !range.is_empty());
        let range = range.ok_or("a request for what is not in the torrent")?;
        tally.first_request.get_or_insert_with(now);
        if self.manner == Manner::Stalls {
            tally.stalled += 1;
            return Ok(());
        }
        if self.answers.len() >= QUEUE_MAX {
            return Err("more than 4,096 requests in flight");
        }
        let is_corrupt = self.manner == Manner::Corrupts;
        if !is_corrupt {
            tally.serve(range.start);
        }
        let mut head = [!plan.data[range.start]; 14];
        head[..13].copy_from_slice(&wire::piece_header(piece, begin, length));
        self.answers.push_back(Answer { head, is_corrupt, range });
        Ok(())
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
        for (answer, slices) in answers.zip(slices.chunks_exact_mut(2)) {
            slices[0] = IoSlice::new(answer.head());
            slices[1] = IoSlice::new(answer.body(data));
            count += 2;
        }
        let mut slices = &mut slices[..count];
        IoSlice::advance_slices(&mut slices, self.sent_of_first);
        (&self.stream).write_vectored(slices)
    }

    fn advance(&mut self, count: usize, tally: &mut Tally) {
        let mut sent = self.sent_of_first + count;
        while let Some(first) = self.answers.front() {
            if sent < first.length() {
                break;
            }
            sent -= first.length();
            let length = first.range.len() as u64;
            self.sent += length;
            match self.manner {
                Manner::Corrupts => tally.sent_corrupt += length,
                _ => tally.sent += length,
            }
            self.answers.pop_front();
        }
        self.sent_of_first = sent;
        tally.last_write = now();
    }
}
