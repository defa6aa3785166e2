//! A minimal seeder: one thread, one ring, up to 32 blocks per gathered send, no policy at all.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::mem;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use clap::ValueEnum;
use smallvec::SmallVec;

use crate::memory::Memory;
use crate::ring::Done;
use crate::ring::Kind;
use crate::ring::Ring;
use crate::splicer::Splicer;
use crate::torrent::Torrent;
use crate::wire;
use crate::wire::BLOCK;
use crate::wire::Parser;
use crate::wire::Request;
use crate::wire::Token;

/// Most blocks in one send: 512 KiB.
pub(crate) const BLOCKS_MAX: usize = 32;

/// Where the bytes that are sent come from.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    /// A buffer, filled by one `pread` for what lies together in the file.
    Buffer,
    /// The file, mapped.
    Mapping,
    /// The same pages by reference: vmsplice into a pipe, splice from it into the socket.
    Splice,
    /// One buffer that is never filled: what sending costs by itself. What arrives is wrong.
    Nothing,
}

/// What a run does.
pub(crate) struct Plan {
    pub(crate) source: Source,
    /// Up to [`BLOCKS_MAX`].
    pub(crate) blocks: usize,
}

/// One send: memory that must not move until it is done.
struct Batch {
    headers: [[u8; 13]; BLOCKS_MAX],
    parts: [libc::iovec; 2 * BLOCKS_MAX],
    message: libc::msghdr,
    buffer: Memory,
    length: usize,
    /// Bytes of it that were spliced.
    gone: usize,
}

impl Batch {
    fn new() -> Result<Box<Batch>> {
        let part = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Ok(Box::new(Batch {
            headers: [[0; 13]; BLOCKS_MAX],
            parts: [part; 2 * BLOCKS_MAX],
            // SAFETY: all zeros are a message without address, parts and control bytes.
            message: unsafe { mem::zeroed() },
            buffer: Memory::anonymous(BLOCKS_MAX * BLOCK as usize)?,
            length: 0,
            gone: 0,
        }))
    }

    /// `number` blocks to send from `place`, each behind its header.
    fn part(&mut self, number: usize, request: Request, place: *mut u8) {
        self.headers[number] = request.header();
        let header = self.headers[number].as_mut_ptr().cast();
        self.parts[2 * number] = libc::iovec { iov_base: header, iov_len: 13 };
        let length = request.length as usize;
        self.parts[2 * number + 1] = libc::iovec { iov_base: place.cast(), iov_len: length };
        self.message.msg_iov = self.parts.as_mut_ptr();
        self.message.msg_iovlen = 2 * (number + 1);
        self.length += 13 + length;
    }
}

struct Peer {
    socket: TcpStream,
    parser: Parser,
    wanted: VecDeque<Request>,
    sending: Option<Box<Batch>>,
    is_queued: bool,
    is_closed: bool,
}

/// Everything a seeder has.
struct Seeder<'a> {
    plan: &'a Plan,
    torrent: &'a Torrent,
    file: &'a File,
    mapping: Option<Memory>,
    splicer: Option<Splicer>,
    ring: Ring,
    listener: TcpListener,
    /// By number; a connection that has gone keeps its own.
    peers: Vec<Peer>,
    /// Those with something to send and nothing in flight.
    ready: VecDeque<usize>,
    /// Used ones first: their memory is in the cache.
    #[expect(clippy::vec_box, reason = "the kernel is told where a batch is: it must not move")]
    spare: Vec<Box<Batch>>,
    sent: u64,
}

/// Serves `file` until everybody who came has left. Returns the bytes sent, headers included.
pub(crate) fn run(
    plan: &Plan,
    torrent: &Torrent,
    file: &File,
    listener: TcpListener,
) -> Result<u64> {
    let is_spliced = plan.source == Source::Splice;
    let is_mapped = is_spliced || plan.source == Source::Mapping;
    let mut seeder = Seeder {
        plan,
        torrent,
        file,
        mapping: is_mapped.then(|| Memory::of_file(file)).transpose()?,
        splicer: is_spliced.then(Splicer::new).transpose()?,
        ring: Ring::new().context("io_uring")?,
        listener,
        peers: Vec::new(),
        ready: VecDeque::new(),
        spare: Vec::new(),
        sent: 0,
    };
    seeder.ring.accept(seeder.listener.as_raw_fd())?;
    while seeder.peers.is_empty() || seeder.peers.iter().any(|peer| !peer.is_closed) {
        seeder.turn()?;
    }
    Ok(seeder.sent)
}

impl Seeder<'_> {
    /// Takes what is done, then serves one: its bytes are sent while they are in the cache.
    fn turn(&mut self) -> Result<()> {
        self.ring.enter(self.ready.is_empty())?;
        while let Some(done) = self.ring.next() {
            match done.kind {
                Kind::Accept => self.accepted(&done)?,
                Kind::Receive => self.received(&done)?,
                Kind::Room => self.splice(done.number)?,
                Kind::Send | Kind::Write => self.sent(done.number, done.result),
            }
        }
        if let Some(number) = self.ready.pop_front() {
            self.peers[number].is_queued = false;
            self.serve(number)?;
        }
        Ok(())
    }

    fn accepted(&mut self, done: &Done) -> Result<()> {
        ensure!(done.result >= 0, "accepting failed with error {}", -done.result);
        // SAFETY: the descriptor is new and nobody else's.
        let mut socket = unsafe { TcpStream::from_raw_fd(done.result) };
        socket.set_nodelay(true)?;
        let count = self.torrent.piece_count();
        let hello = wire::handshake(&self.torrent.info_hash);
        socket.write_all(&[hello, wire::bitfield(count), wire::message(1, &[])].concat())?;
        socket.set_nonblocking(self.splicer.is_some())?;
        self.ring.receive(socket.as_raw_fd(), self.peers.len())?;
        self.peers.push(Peer {
            socket,
            parser: Parser::default(),
            wanted: VecDeque::new(),
            sending: None,
            is_queued: false,
            is_closed: false,
        });
        Ok(())
    }

    fn received(&mut self, done: &Done) -> Result<()> {
        let peer = &mut self.peers[done.number];
        if let Some(id) = done.buffer() {
            let mut input = self.ring.received(id, done.result.max(0) as usize);
            while let Some(token) = peer.parser.next(&mut input) {
                if let Token::Request(request) = token {
                    ensure!(self.torrent.place(request).is_some(), "a request for what is not");
                    peer.wanted.push_back(request);
                }
            }
            self.ring.give_back(id);
        }
        if done.result <= 0 && done.result != -libc::ENOBUFS {
            peer.is_closed = true;
            return Ok(());
        }
        if done.is_last() {
            self.ring.receive(peer.socket.as_raw_fd(), done.number)?;
        }
        self.queue(done.number);
        Ok(())
    }

    fn queue(&mut self, number: usize) {
        let peer = &mut self.peers[number];
        if !peer.is_queued && !peer.is_closed && peer.sending.is_none() && !peer.wanted.is_empty() {
            peer.is_queued = true;
            self.ready.push_back(number);
        }
    }

    fn sent(&mut self, number: usize, result: i32) {
        let peer = &mut self.peers[number];
        let Some(batch) = peer.sending.take() else { return };
        if usize::try_from(result) != Ok(batch.length) {
            peer.is_closed = true;
        }
        self.sent += result.max(0) as u64;
        self.spare.push(batch);
        self.queue(number);
    }

    /// As much of a batch as there is room for; then the rest waits for room.
    fn splice(&mut self, number: usize) -> Result<()> {
        let Some(splicer) = &mut self.splicer else { return Ok(()) };
        let peer = &mut self.peers[number];
        let (fd, Some(batch)) = (peer.socket.as_raw_fd(), &mut peer.sending) else { return Ok(()) };
        let parts = &batch.parts[..batch.message.msg_iovlen];
        match splicer.send(fd, parts, batch.gone) {
            Ok(count) => batch.gone += count,
            Err(_) => {
                self.sent(number, -1);
                return Ok(());
            }
        }
        match batch.gone == batch.length {
            true => {
                let length = batch.length as i32;
                self.sent(number, length);
                Ok(())
            }
            false => Ok(self.ring.await_room(fd, number)?),
        }
    }

    fn serve(&mut self, number: usize) -> Result<()> {
        let mut batch = match self.spare.pop() {
            Some(batch) => batch,
            None => Batch::new()?,
        };
        let wanted = &mut self.peers[number].wanted;
        let requests: SmallVec<[Request; BLOCKS_MAX]> =
            wanted.drain(..wanted.len().min(self.plan.blocks)).collect();
        self.gather(&mut batch, &requests)?;
        let peer = &mut self.peers[number];
        if self.splicer.is_some() {
            peer.sending = Some(batch);
            return self.splice(number);
        }
        let fd = peer.socket.as_raw_fd();
        // SAFETY: the batch is boxed, stays with the peer until the send is done, and is not
        // touched meanwhile; the mapping stays until the ring has gone.
        unsafe { self.ring.send(fd, &raw const peer.sending.insert(batch).message, number) }?;
        Ok(())
    }

    /// Reads what lies together in the file together, and sets every block behind its header.
    fn gather(&self, batch: &mut Batch, requests: &[Request]) -> Result<()> {
        (batch.length, batch.gone) = (0, 0);
        let mut run: Option<(u64, usize, usize)> = None;
        let mut used = 0;
        for (at, request) in requests.iter().enumerate() {
            let place = self.torrent.place(*request).context("was looked at before")?;
            let bytes = match &self.mapping {
                Some(mapping) => mapping.pointer(place as usize),
                None => batch.buffer.pointer(used),
            };
            batch.part(at, *request, bytes);
            let length = request.length as usize;
            run = match run {
                Some((from, to, so_far)) if from + so_far as u64 == place => {
                    Some((from, to, so_far + length))
                }
                other => {
                    self.read(batch, other)?;
                    Some((place, used, length))
                }
            };
            used += length;
        }
        self.read(batch, run)
    }

    /// A run of bytes: where in the file, where in the buffer, how many.
    fn read(&self, batch: &mut Batch, run: Option<(u64, usize, usize)>) -> Result<()> {
        match run {
            Some((place, at, length)) if self.plan.source == Source::Buffer => {
                let buffer = &mut batch.buffer.bytes_mut()[at..at + length];
                Ok(self.file.read_exact_at(buffer, place)?)
            }
            _ => Ok(()),
        }
    }
}
