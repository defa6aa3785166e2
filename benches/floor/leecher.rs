//! A minimal leecher: one thread, one ring, one copy into the piece, hashed and written whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use clap::ValueEnum;

use crate::base::digest::Sha1Stream;
use crate::base::digest_lanes::LANE_MAX;
use crate::base::digest_lanes::Lanes;
use crate::memory::Memory;
use crate::ring::Done;
use crate::ring::Kind;
use crate::ring::Ring;
use crate::torrent::Torrent;
use crate::wire;
use crate::wire::BLOCK;
use crate::wire::Parser;
use crate::wire::Request;
use crate::wire::Token;

/// Bytes of each piece that are hashed before those of the next: as the engine does.
const SLICE: usize = 64 << 10;
/// Writes at the ring at most; more pieces wait.
const WRITES_MAX: usize = 16;

/// How pieces are hashed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Hashing {
    /// Sixteen pieces at a time, by the engine's lanes.
    Lanes,
    /// Not at all.
    Nothing,
}

/// How pieces get into the file.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Writing {
    /// Through the ring: buffered or past the page cache, as the file was opened.
    Ring,
    /// By `pwrite` on the spot.
    Call,
    Nothing,
}

/// What a run does.
pub(crate) struct Plan {
    pub(crate) hashing: Hashing,
    pub(crate) writing: Writing,
    /// Requests in flight per connection.
    pub(crate) depth: usize,
}

/// A piece that fills, waits for its hash, or is being written.
struct Piece {
    bytes: Memory,
    number: u32,
    /// Bytes still to come.
    missing: u32,
}

struct Peer {
    socket: TcpStream,
    parser: Parser,
    may_ask: bool,
    /// Bytes asked for that have not come.
    awaited: u64,
    /// The next block to ask for.
    next: Option<(u32, u32)>,
}

/// Everything a leecher has.
struct Leecher<'a> {
    plan: &'a Plan,
    torrent: &'a Torrent,
    file: &'a File,
    lanes: Lanes,
    ring: Ring,
    peers: Vec<Peer>,
    next_piece: u32,
    filling: BTreeMap<u32, Piece>,
    full: Vec<Piece>,
    hashed: Vec<Piece>,
    writing: BTreeMap<u32, Piece>,
    /// Used ones first.
    spare: Vec<Memory>,
    left: u32,
    wrong: u32,
}

/// Fetches the torrent into `file` from those who come, or from `callees`. Returns how many pieces
/// had the wrong hash.
pub(crate) fn run(
    plan: &Plan,
    torrent: &Torrent,
    file: &File,
    listener: Option<TcpListener>,
    callees: Vec<TcpStream>,
) -> Result<u32> {
    let mut leecher = Leecher {
        plan,
        torrent,
        file,
        lanes: Lanes::detect(),
        ring: Ring::new().context("io_uring")?,
        peers: Vec::new(),
        next_piece: 0,
        filling: BTreeMap::new(),
        full: Vec::new(),
        hashed: Vec::new(),
        writing: BTreeMap::new(),
        spare: Vec::new(),
        left: torrent.piece_count(),
        wrong: 0,
    };
    if let Some(listener) = &listener {
        leecher.ring.accept(listener.as_raw_fd())?;
    }
    callees.into_iter().try_for_each(|socket| leecher.greet(socket))?;
    while leecher.left > 0 {
        leecher.turn()?;
    }
    for peer in &mut leecher.peers {
        peer.socket.write_all(&wire::message(3, &[]))?;
    }
    Ok(leecher.wrong)
}

impl Leecher<'_> {
    fn turn(&mut self) -> Result<()> {
        self.ring.enter(true)?;
        while let Some(done) = self.ring.next() {
            match done.kind {
                Kind::Accept => {
                    ensure!(done.result >= 0, "accepting failed with error {}", -done.result);
                    // SAFETY: the descriptor is new and nobody else's.
                    self.greet(unsafe { TcpStream::from_raw_fd(done.result) })?;
                }
                Kind::Receive => self.received(&done)?,
                Kind::Write => self.written(&done)?,
                Kind::Send | Kind::Room => {}
            }
        }
        self.hash();
        self.write()
    }

    fn greet(&mut self, mut socket: TcpStream) -> Result<()> {
        socket.set_nodelay(true)?;
        socket.write_all(&wire::handshake(&self.torrent.info_hash))?;
        self.ring.receive(socket.as_raw_fd(), self.peers.len())?;
        let parser = Parser::default();
        self.peers.push(Peer { socket, parser, may_ask: false, awaited: 0, next: None });
        Ok(())
    }

    fn received(&mut self, done: &Done) -> Result<()> {
        let peer = &mut self.peers[done.number];
        if let Some(id) = done.buffer() {
            let mut input = self.ring.received(id, done.result.max(0) as usize);
            while let Some(token) = peer.parser.next(&mut input) {
                match token {
                    Token::Handshake => peer.socket.write_all(&wire::message(2, &[]))?,
                    Token::Unchoke => peer.may_ask = true,
                    Token::Request(_) => bail!("nobody can ask us"),
                    Token::Block { piece, begin, bytes } => {
                        let filling = self.filling.get_mut(&piece).context("not asked for")?;
                        let place = begin as usize..begin as usize + bytes.len();
                        let place = filling.bytes.bytes_mut().get_mut(place).context("too long")?;
                        place.copy_from_slice(bytes);
                        peer.awaited = peer.awaited.saturating_sub(bytes.len() as u64);
                        filling.missing = filling.missing.saturating_sub(bytes.len() as u32);
                        if filling.missing == 0 {
                            self.full.extend(self.filling.remove(&piece));
                        }
                    }
                }
            }
            self.ring.give_back(id);
        }
        if done.result <= 0 && done.result != -libc::ENOBUFS {
            bail!("a peer left early: {}", done.result);
        }
        if done.is_last() {
            self.ring.receive(peer.socket.as_raw_fd(), done.number)?;
        }
        self.ask(done.number)
    }

    /// Half of what may be in flight has come: asks for as much.
    fn ask(&mut self, number: usize) -> Result<()> {
        let most = self.plan.depth as u64 * u64::from(BLOCK);
        let peer = &mut self.peers[number];
        if !peer.may_ask || peer.awaited > most / 2 {
            return Ok(());
        }
        let mut out = Vec::with_capacity(17 * self.plan.depth);
        while peer.awaited < most {
            let Some((piece, begin)) = peer.next.take() else {
                if self.next_piece == self.torrent.piece_count() {
                    break;
                }
                peer.next = Some((self.next_piece, 0));
                let length = self.torrent.piece_length as usize;
                let bytes = match self.spare.pop() {
                    Some(bytes) => bytes,
                    None => Memory::anonymous(length)?,
                };
                let missing = self.torrent.piece_size(self.next_piece);
                let piece = Piece { bytes, number: self.next_piece, missing };
                self.filling.insert(self.next_piece, piece);
                self.next_piece += 1;
                continue;
            };
            let size = self.torrent.piece_size(piece);
            let length = BLOCK.min(size - begin);
            out.extend(Request { piece, begin, length }.encode());
            peer.awaited += u64::from(length);
            peer.next = (begin + length < size).then_some((piece, begin + length));
        }
        peer.socket.write_all(&out)?;
        Ok(())
    }

    /// Pieces that fill all lanes, and the last ones.
    fn hash(&mut self) {
        let is_end = self.filling.is_empty() && self.next_piece == self.torrent.piece_count();
        if self.plan.hashing == Hashing::Nothing {
            self.hashed.append(&mut self.full);
        }
        while self.full.len() >= LANE_MAX || (is_end && !self.full.is_empty()) {
            let group: Vec<Piece> = self.full.drain(..self.full.len().min(LANE_MAX)).collect();
            let size = |piece: &Piece| self.torrent.piece_size(piece.number) as usize;
            let mut streams = vec![Sha1Stream::default(); group.len()];
            for at in (0..self.torrent.piece_length as usize).step_by(SLICE) {
                let slices = group.iter().map(|piece| {
                    let (from, to) = (at.min(size(piece)), (at + SLICE).min(size(piece)));
                    &piece.bytes.bytes()[from..to]
                });
                self.lanes.update_many(streams.iter_mut().zip(slices));
            }
            let mut pieces = group.iter();
            self.lanes.finish_many(&mut streams, |digest| {
                let wanted = pieces.next().map(|piece| self.torrent.hash(piece.number));
                self.wrong += u32::from(wanted != Some(*digest.as_bytes()));
            });
            self.hashed.extend(group);
        }
    }

    fn write(&mut self) -> Result<()> {
        while self.writing.len() < WRITES_MAX
            && let Some(piece) = self.hashed.pop()
        {
            let bytes = &piece.bytes.bytes()[..self.torrent.piece_size(piece.number) as usize];
            let offset = u64::from(piece.number) * u64::from(self.torrent.piece_length);
            match self.plan.writing {
                Writing::Ring => {
                    let (fd, number) = (self.file.as_raw_fd(), piece.number as usize);
                    // SAFETY: the mapping does not move and stays with the piece until `written`.
                    unsafe { self.ring.write(fd, bytes, offset, number) }?;
                    self.writing.insert(piece.number, piece);
                    continue;
                }
                Writing::Call => self.file.write_all_at(bytes, offset)?,
                Writing::Nothing => {}
            }
            self.spare.push(piece.bytes);
            self.left -= 1;
        }
        Ok(())
    }

    fn written(&mut self, done: &Done) -> Result<()> {
        let piece = self.writing.remove(&(done.number as u32)).context("one write, one end")?;
        let size = self.torrent.piece_size(piece.number);
        ensure!(u32::try_from(done.result) == Ok(size), "wrote {} of {size}", done.result);
        self.spare.push(piece.bytes);
        self.left -= 1;
        Ok(())
    }
}
