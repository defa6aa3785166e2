//! One piece that is being received: its bytes, who sent which block, and how far it is hashed.
//!
//! Bytes of pad behind the end of a file are never taken from a peer: they are zeros by definition
//! (BEP 47), the v2 tree does not cover them, and nobody could be blamed for them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;

use smallvec::SmallVec;

use crate::base::buffer::PageBuf;
use crate::base::buffer::Pool;
use crate::base::buffer::SharedBuf;
use crate::base::digest::Sha1;
use crate::base::digest::Sha256;
use crate::base::ids::BlockIndex;
use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::base::limits::BLOCK_LEN;
use crate::base::slots::SlotId;
use crate::engine::blame::BlockDigest;
use crate::engine::blame::Evidence;
use crate::engine::digesting::Sums;
use crate::engine::hasher::HashJob;
use crate::engine::hasher::Origin;

/// Bytes of a whole block as an address counts them.
const BLOCK: usize = BLOCK_LEN as usize;

/// One piece that is being received.
#[derive(Debug)]
pub(crate) struct Assembly {
    data: Data,
    addresses: SmallVec<[SocketAddr; 2]>,
    /// Per block: position in `addresses` of who sent it; blocks that have not come say `NOBODY`.
    senders: Vec<u16>,
    sums: Sums,
    /// Bytes that went through the v1 stream.
    hashed: usize,
    /// Bytes before the first gap.
    arrived: usize,
    /// It is being hashed outside of the list of assemblies: as a job, by this shard or another.
    is_away: bool,
}

#[derive(Debug)]
enum Data {
    /// All of it, still being filled.
    Filling(PageBuf),
    /// All of it, being hashed or written, and since when.
    Full(SharedBuf, Instant),
    /// Blocks that are arriving; the others are on disk.
    Through(Through),
}

#[derive(Debug, Default)]
struct Through {
    arriving: BTreeMap<BlockIndex, PageBuf>,
    /// What the blocks were, where they have no leaves.
    digests: Vec<Option<Sha1>>,
    /// Blocks whose write is under way.
    writes: BTreeSet<BlockIndex>,
}

const NOBODY: u16 = u16::MAX;

/// What became of a block when its last byte had come.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// It waits with the others of its piece.
    Kept,
    /// It is to be written by itself.
    Write(SharedBuf),
}

impl Assembly {
    /// A piece of `len` bytes that gathers in memory.
    pub(crate) fn whole(len: u32, sums: Sums, pool: &Pool) -> Assembly {
        let mut buf = pool.take(len as usize);
        let data_len = sums.tree_len().unwrap_or(len as usize);
        // The buffer may have been used before.
        buf.bytes_mut().get_mut(data_len..).unwrap_or_default().fill(0);
        Assembly::new(len, sums, Data::Filling(buf))
    }

    /// A piece of `len` bytes that is written through, block by block.
    pub(crate) fn through(len: u32, sums: Sums) -> Assembly {
        let count = if sums.leaf_count_max() > 0 { 0 } else { len.div_ceil(BLOCK_LEN) };
        let digests = vec![None; count as usize];
        Assembly::new(len, sums, Data::Through(Through { digests, ..Through::default() }))
    }

    fn new(len: u32, sums: Sums, data: Data) -> Assembly {
        let senders = vec![NOBODY; len.div_ceil(BLOCK_LEN) as usize];
        Assembly {
            data,
            addresses: SmallVec::new(),
            senders,
            sums,
            hashed: 0,
            arrived: 0,
            is_away: false,
        }
    }

    pub(crate) fn sums(&self) -> &Sums {
        &self.sums
    }

    pub(crate) fn sums_mut(&mut self) -> &mut Sums {
        &mut self.sums
    }

    /// Since when all of it is here, if it gathers in memory.
    pub(crate) fn full_since(&self) -> Option<Instant> {
        match &self.data {
            Data::Full(_, since) => Some(*since),
            Data::Filling(_) | Data::Through(_) => None,
        }
    }

    /// Whether this piece is written through.
    pub(crate) fn is_through(&self) -> bool {
        matches!(self.data, Data::Through(_))
    }

    /// Bytes that wait for the v1 stream: those without a gap before them.
    pub(crate) fn unhashed(&self) -> usize {
        let is_ours = self.sums.wants_stream() && !self.is_through() && !self.is_away;
        if is_ours { self.arrived - self.hashed } else { 0 }
    }

    /// Whether a full piece went through all of its hashes.
    pub(crate) fn is_hashed(&self) -> bool {
        let is_full = self.full_since().is_some() && !self.is_away;
        is_full && self.unhashed() == 0 && self.sums.has_all_leaves()
    }

    /// Bytes of a full piece that are to be hashed: those that go through both hashes twice.
    pub(crate) fn work_left(&self) -> usize {
        self.unhashed() + self.sums.leaves_left() * BLOCK
    }

    pub(crate) fn is_away(&self) -> bool {
        self.is_away
    }

    /// Whether it is away, and these are its bytes.
    pub(crate) fn is_away_as(&self, data: &SharedBuf) -> bool {
        self.is_away && self.full().is_some_and(|full| full.is_same(data))
    }

    /// What is left to be hashed of a full piece becomes a job of its own.
    pub(crate) fn send_away(&mut self, swarm: SlotId, piece: PieceIndex) -> Option<HashJob> {
        let data = self.full().filter(|_| !self.is_away)?;
        self.is_away = true;
        let (sums, streamed) = (self.sums.clone(), self.hashed);
        let origin = Origin::Peers;
        Some(HashJob { swarm, piece, sums, position: 0, data, streamed, origin })
    }

    /// That job is done. False if these are not its bytes any more.
    pub(crate) fn come_back(&mut self, job: HashJob) -> bool {
        let is_it = self.is_away_as(&job.data);
        if is_it {
            (self.is_away, self.sums, self.hashed) = (false, job.sums, self.arrived);
        }
        is_it
    }

    /// The next `len` bytes for the v1 stream.
    pub(crate) fn next_bytes(&self, len: usize) -> &[u8] {
        self.bytes().get(self.hashed..self.hashed + len).unwrap_or_default()
    }

    /// `len` more bytes went through the v1 stream.
    pub(crate) fn stream_moved(&mut self, len: usize) {
        self.hashed += len;
    }

    /// The bytes that the leaf of a block covers; `None` if it is not here or has no leaf.
    pub(crate) fn leaf_bytes(&self, block: BlockIndex) -> Option<&[u8]> {
        let (start, len) = (block.as_usize() * BLOCK, self.sums.leaf_len(block));
        let is_ours = len > 0 && self.has(block) && !self.is_away;
        let is_wanted = is_ours && self.sums.leaf(block).is_none();
        self.bytes().get(start..start + len).filter(|_| is_wanted)
    }

    fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::Filling(buf) => buf.bytes(),
            Data::Full(full, _) => full.bytes(),
            Data::Through(_) => &[],
        }
    }

    /// All of a piece that is full.
    pub(crate) fn full(&self) -> Option<SharedBuf> {
        match &self.data {
            Data::Full(full, _) => Some(full.clone()),
            Data::Filling(_) | Data::Through(_) => None,
        }
    }

    fn has(&self, block: BlockIndex) -> bool {
        self.senders.get(block.as_usize()).is_some_and(|at| *at != NOBODY)
    }

    /// Whether every block has come.
    pub(crate) fn has_all(&self) -> bool {
        !self.senders.contains(&NOBODY)
    }

    /// Copies bytes of a block to their place, but for pad. Bytes outside are dropped: the decoder
    /// has bounded the block, so there are none.
    pub(crate) fn fill(&mut self, block: BlockIndex, position: u32, bytes: &[u8]) {
        let block_start = block.as_usize() * BLOCK;
        let data_end = self.sums.tree_len().unwrap_or(usize::MAX);
        let room = data_end.saturating_sub(block_start + position as usize);
        let bytes = bytes.get(..room).unwrap_or(bytes);
        let (buf, start) = match &mut self.data {
            Data::Filling(buf) => (buf, block_start + position as usize),
            Data::Through(through) => match through.arriving.get_mut(&block) {
                Some(buf) => (buf, position as usize),
                None => return,
            },
            Data::Full(..) => return,
        };
        if let Some(place) = buf.bytes_mut().get_mut(start..start + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// Makes a buffer for one block of a piece that is written through.
    pub(crate) fn begin_through(&mut self, block: BlockIndex, length: u32, pool: &Pool) {
        let data_len = self.sums.tree_len().map(|_| self.sums.leaf_len(block));
        if let Data::Through(through) = &mut self.data {
            let mut buf = pool.take(length as usize);
            let data_len = data_len.unwrap_or(length as usize);
            buf.bytes_mut().get_mut(data_len..).unwrap_or_default().fill(0);
            through.arriving.insert(block, buf);
        }
    }

    /// The block will not come from whom it was coming: true if it had a buffer of its own.
    pub(crate) fn abandon_through(&mut self, block: BlockIndex) -> bool {
        match &mut self.data {
            Data::Through(through) => through.arriving.remove(&block).is_some(),
            _ => false,
        }
    }

    /// All bytes of a block are here, sent by `sender`.
    pub(crate) fn block_done(&mut self, block: BlockIndex, sender: SocketAddr) -> Arrival {
        let known = self.addresses.iter().position(|a| *a == sender);
        let at = known.unwrap_or_else(|| {
            self.addresses.push(sender);
            self.addresses.len() - 1
        });
        if let Some(entry) = self.senders.get_mut(block.as_usize()) {
            *entry = u16::try_from(at).unwrap_or(NOBODY - 1);
        }
        self.close_gaps();
        let leaf_len = self.sums.leaf_len(block);
        let Data::Through(through) = &mut self.data else { return Arrival::Kept };
        let Some(data) = through.arriving.remove(&block) else { return Arrival::Kept };
        let data = data.freeze();
        through.writes.insert(block);
        if let Some(digest) = through.digests.get_mut(block.as_usize()) {
            *digest = Some(Sha1::of(data.bytes()));
        } else if let Some(bytes) = data.bytes().get(..leaf_len).filter(|_| leaf_len > 0) {
            self.sums.set_leaf(block, Sha256::of(bytes));
        }
        Arrival::Write(data)
    }

    /// Moves `arrived` to the next gap.
    fn close_gaps(&mut self) {
        let Data::Filling(buf) = &self.data else { return };
        let len = buf.len();
        while self.arrived < len && self.has(BlockIndex((self.arrived / BLOCK) as u32)) {
            self.arrived = len.min(self.arrived + BLOCK);
        }
    }

    /// A block of a piece that is written through is on disk; true if no other is under way.
    pub(crate) fn block_written(&mut self, block: BlockIndex) -> bool {
        let Data::Through(through) = &mut self.data else { return false };
        through.writes.remove(&block);
        through.writes.is_empty()
    }

    fn is_being_written(&self, block: BlockIndex) -> bool {
        matches!(&self.data, Data::Through(through) if through.writes.contains(&block))
    }

    /// The block's bytes were wrong: as if it had not come. Returns who sent it. Nothing happens
    /// while it is being written: two writes to one place may end in any order, and the disk would
    /// keep the wrong bytes under the leaf of the right ones.
    pub(crate) fn refuse_block(&mut self, block: BlockIndex, pool: &Pool) -> Option<SocketAddr> {
        if self.is_being_written(block) {
            return None;
        }
        let entry = self.senders.get_mut(block.as_usize()).filter(|at| **at != NOBODY)?;
        let sender = self.addresses.get(usize::from(std::mem::replace(entry, NOBODY))).copied();
        self.sums.forget_leaf(block);
        self.thaw(pool);
        let start = block.as_usize() * BLOCK;
        self.arrived = self.arrived.min(start);
        if self.hashed > start {
            self.sums.reset_stream();
            self.hashed = 0;
        }
        sender
    }

    /// Takes bytes again after the piece was full.
    fn thaw(&mut self, pool: &Pool) {
        let Data::Full(full, _) = &self.data else { return };
        let mut buf = pool.take(full.len());
        buf.bytes_mut().copy_from_slice(full.bytes());
        self.data = Data::Filling(buf);
        // Whoever hashes it hashes what was.
        self.is_away = false;
    }

    /// Ends filling: every block is here.
    pub(crate) fn freeze(&mut self, now: Instant) {
        let nothing = Data::Through(Through::default());
        self.data = match std::mem::replace(&mut self.data, nothing) {
            Data::Filling(buf) => Data::Full(buf.freeze(), now),
            other => other,
        };
    }

    /// The digest of a block that is here or was; `None` for one of nothing but pad, too, in
    /// torrents of v2.
    pub(crate) fn digest(&self, block: u32) -> Option<BlockDigest> {
        let index = BlockIndex(block);
        if self.sums.tree_len().is_some() {
            return self.sums.leaf(index).map(BlockDigest::Leaf);
        }
        let whole = match &self.data {
            Data::Full(full, _) => {
                let start = index.as_usize() * BLOCK;
                full.bytes().get(start..full.len().min(start + BLOCK)).map(Sha1::of)
            }
            Data::Through(through) => through.digests.get(index.as_usize()).copied().flatten(),
            Data::Filling(_) => None,
        };
        whole.map(BlockDigest::Whole)
    }

    /// Who sent what, for a piece that failed.
    pub(crate) fn evidence(&self) -> Vec<Evidence> {
        let sent = self.senders.iter().enumerate().filter_map(|(block, at)| {
            let sender = *self.addresses.get(usize::from(*at))?;
            let block = block as u32;
            Some(Evidence { block, sender, digest: self.digest(block)? })
        });
        sent.collect()
    }

    /// Bytes that this piece holds of the assembly budget.
    pub(crate) fn held(&self) -> u64 {
        match &self.data {
            Data::Filling(buf) => buf.len() as u64,
            Data::Full(full, _) => full.len() as u64,
            Data::Through(through) => through.arriving.values().map(|b| b.len() as u64).sum(),
        }
    }
}
