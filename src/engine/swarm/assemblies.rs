//! The pieces of one torrent that are being received, and which of their bytes are hashed next.
//!
//! A piece that is a fair share of the budget gathers whole in one buffer, and is hashed while it
//! does: what has arrived waits for company, because several inputs together are hashed much faster
//! than one after the other, and is still in the cache. For v1 the company are other pieces, since
//! the bytes of a piece go through its digest in order; for v2 any blocks are company. A larger
//! piece is written through block by block and hashed from the disk afterwards; of its blocks only
//! the digests stay.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use smallvec::SmallVec;

use crate::base::buffer::Pool;
use crate::base::digest::Sha1Stream;
use crate::base::digest::Sha256;
use crate::base::digest_lanes::LANE_MAX;
use crate::base::digest_lanes::Lanes;
use crate::base::ids::BlockIndex;
use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::base::limits::BLOCK_LEN;
use crate::base::slots::SlotId;
use crate::content::layout::Layout;
use crate::engine::digesting::Expected;
use crate::engine::digesting::Stride;
use crate::engine::digesting::Sums;
use crate::engine::digesting::leaf_company;
use crate::engine::digesting::leaf_cost;
use crate::engine::hasher::HashJob;
use crate::engine::hasher::Origin;
use crate::engine::hasher::Worth;
use crate::engine::swarm::arriving::Arrival;
use crate::engine::swarm::arriving::Assembly;

/// Bytes that a piece still being filled brings to be hashed with others: two blocks, so that its
/// share of the work is worth picking it up.
const COMPANY_LEN: usize = 2 * BLOCK_LEN as usize;

/// How long a full piece waits that is alone, since another one may be about to come, or that holds
/// memory which others need. Not at all would be too short: one by one, pieces are hashed at a
/// third of the speed, and memory gets shorter still.
const PATIENCE_BRIEF: Duration = Duration::from_millis(2);
/// How long a full piece waits for the best company while others are being received. Nobody misses
/// a have message that comes this much later, and at 400 MB/s six more pieces of 1 MiB arrive in
/// this time, which with ten being filled make the sixteen that go together best.
const PATIENCE: Duration = Duration::from_millis(16);

/// The started pieces of one torrent. What waits to be hashed is kept in order, so that a step
/// costs what it hashes, however many pieces are open.
#[derive(Debug, Default)]
pub(crate) struct Assemblies {
    open: BTreeMap<PieceIndex, Assembly>,
    /// Full pieces that are not hashed to their end, by when they were full.
    full: BTreeSet<(Instant, PieceIndex)>,
    /// Pieces whose v1 stream has bytes that are worth hashing: full ones by when they were, then
    /// (`Instant::FAR`) those being filled.
    streams: BTreeSet<(Instant, PieceIndex)>,
    /// Blocks that are here and have no leaf, in the order in which they came. Some may have left
    /// since.
    leafless: VecDeque<(PieceIndex, BlockIndex)>,
}

/// What a call of [`Assemblies::hash`] did.
#[derive(Debug, Default)]
pub(crate) struct HashReport {
    /// Bytes of a lone piece that would have taken as long with SHA-1; 0 when nothing is worth
    /// hashing now.
    pub(crate) spent: usize,
    /// Full pieces that are hashed to their end.
    pub(crate) done: Vec<PieceIndex>,
    /// Blocks that have a leaf now.
    pub(crate) leaves: SmallVec<[(PieceIndex, BlockIndex); LANE_MAX]>,
    /// Until when a full piece waits for company.
    pub(crate) waits_until: Option<Instant>,
}

impl Assemblies {
    /// Opens a piece that gathers in memory.
    pub(crate) fn open_whole(
        &mut self,
        layout: &Layout,
        piece: PieceIndex,
        expected: Expected,
        pool: &Pool,
    ) {
        let assembly = Assembly::whole(layout.piece_len(piece), Sums::new(expected), pool);
        self.open.insert(piece, assembly);
    }

    /// Opens a piece that is written through.
    pub(crate) fn open_through(&mut self, layout: &Layout, piece: PieceIndex, expected: Expected) {
        let assembly = Assembly::through(layout.piece_len(piece), Sums::new(expected));
        self.open.insert(piece, assembly);
    }

    pub(crate) fn get_mut(&mut self, piece: PieceIndex) -> Option<&mut Assembly> {
        self.open.get_mut(&piece)
    }

    /// All bytes of a block are here, sent by `sender`.
    pub(crate) fn block_done(
        &mut self,
        piece: PieceIndex,
        block: BlockIndex,
        sender: SocketAddr,
    ) -> Arrival {
        let Some(assembly) = self.open.get_mut(&piece) else { return Arrival::Kept };
        let arrival = assembly.block_done(block, sender);
        if assembly.leaf_bytes(block).is_some() {
            self.leafless.push_back((piece, block));
        }
        if assembly.unhashed() >= COMPANY_LEN {
            self.streams.insert((Instant::FAR, piece));
        }
        arrival
    }

    /// Every block of a piece is here.
    pub(crate) fn freeze(&mut self, now: Instant, piece: PieceIndex) {
        let Some(assembly) = self.open.get_mut(&piece) else { return };
        assembly.freeze(now);
        if assembly.full_since().is_none() {
            return;
        }
        self.full.insert((now, piece));
        self.streams.remove(&(Instant::FAR, piece));
        if assembly.unhashed() > 0 {
            self.streams.insert((now, piece));
        }
    }

    /// The bytes of a block were wrong: it is as if it had not come. Returns who sent it.
    pub(crate) fn refuse_block(
        &mut self,
        piece: PieceIndex,
        block: BlockIndex,
        pool: &Pool,
    ) -> Option<SocketAddr> {
        self.forget_waits(piece);
        let assembly = self.open.get_mut(&piece)?;
        let sender = assembly.refuse_block(block, pool);
        if assembly.unhashed() >= COMPANY_LEN {
            self.streams.insert((Instant::FAR, piece));
        }
        sender
    }

    pub(crate) fn close(&mut self, piece: PieceIndex) -> Option<Assembly> {
        self.forget_waits(piece);
        self.open.remove(&piece)
    }

    pub(crate) fn close_all(&mut self) -> BTreeMap<PieceIndex, Assembly> {
        std::mem::take(self).open
    }

    /// Full pieces that wait to be hashed, the oldest first, for somebody else to hash, if they are
    /// worth the way.
    pub(crate) fn give_away(&mut self, swarm: SlotId, worth: Worth) -> Vec<HashJob> {
        let left = |piece: &PieceIndex| self.open.get(piece).map_or(0, Assembly::work_left);
        let count = worth.count(self.full.iter().map(|(_, piece)| left(piece)));
        let pieces: Vec<PieceIndex> = self.full.iter().take(count).map(|(_, p)| *p).collect();
        let jobs = pieces.into_iter().filter_map(|piece| {
            self.forget_waits(piece);
            self.open.get_mut(&piece)?.send_away(swarm, piece)
        });
        jobs.collect()
    }

    /// A piece that was given away is hashed. False if it is not here as it was.
    pub(crate) fn take_back(&mut self, job: HashJob) -> bool {
        self.open.get_mut(&job.piece).is_some_and(|assembly| assembly.come_back(job))
    }

    /// Whether the bytes of a job are on a budget because of it: those of a piece that was given up
    /// meanwhile, or changed, are not.
    pub(crate) fn is_held(&self, job: &HashJob) -> bool {
        let is_away = || self.open.get(&job.piece).is_some_and(|one| one.is_away_as(&job.data));
        job.origin != Origin::Peers || is_away()
    }

    fn forget_waits(&mut self, piece: PieceIndex) {
        let since = self.open.get(&piece).and_then(Assembly::full_since);
        for key in since.into_iter().chain([Instant::FAR]) {
            self.full.remove(&(key, piece));
            self.streams.remove(&(key, piece));
        }
    }

    /// Hashes what has arrived, for as long as `budget` bytes of a lone piece take with SHA-1:
    /// full pieces first, and pieces being filled where they make company. `is_pressed`: memory is
    /// short, and full pieces should not hold it for long.
    pub(crate) fn hash(
        &mut self,
        now: Instant,
        lanes: Lanes,
        budget: usize,
        is_pressed: bool,
    ) -> HashReport {
        let mut report = HashReport::default();
        let is_brief = is_pressed || self.open.len() <= 1;
        let patience = if is_brief { PATIENCE_BRIEF } else { PATIENCE };
        let waits_until = self.full.first().map(|(since, _)| *since + patience);
        let is_due = waits_until.is_some_and(|until| now >= until);
        let is_stream_due = self.streams.len() >= lanes.company::<Sha1Stream>() || is_due;
        let is_leaf_due = self.leafless.len() >= LANE_MAX || is_due;
        if is_stream_due && !self.streams.is_empty() {
            // A leaf takes twice as long as the same bytes in a stream.
            let share = if is_leaf_due && !self.leafless.is_empty() { budget / 3 } else { budget };
            self.hash_streams(lanes, share, &mut report);
        }
        if is_leaf_due && report.spent < budget {
            let count_min = if is_due { 1 } else { LANE_MAX };
            self.hash_leaves(lanes, budget - report.spent, count_min, &mut report);
        }
        if report.spent == 0 {
            report.waits_until = waits_until;
        }
        report
    }

    fn hash_streams(&mut self, lanes: Lanes, budget: usize, report: &mut HashReport) {
        let mut company: SmallVec<[(PieceIndex, usize); LANE_MAX]> = SmallVec::new();
        let first = self.streams.iter().take(LANE_MAX);
        company.extend(first.map(|(_, piece)| (*piece, self.unhashed(*piece))));
        let lefts: SmallVec<[usize; LANE_MAX]> = company.iter().map(|(_, left)| *left).collect();
        let stride = Stride::new(lanes, budget, &lefts);
        company.truncate(stride.count());
        let mut streams: SmallVec<[_; LANE_MAX]> = SmallVec::new();
        for (piece, left) in &mut company {
            *left = stride.cut(*left);
            let assembly = self.open.get_mut(piece);
            streams.extend(assembly.map(|a| std::mem::take(a.sums_mut().stream_mut())));
        }
        let bytes = company.iter().filter_map(|(piece, len)| {
            let assembly = self.open.get(piece)?;
            Some(assembly.next_bytes(*len))
        });
        lanes.update_many(streams.iter_mut().zip(bytes));
        for ((piece, len), stream) in company.into_iter().zip(streams) {
            let Some(assembly) = self.open.get_mut(&piece) else { continue };
            *assembly.sums_mut().stream_mut() = stream;
            assembly.stream_moved(len);
            self.stream_advanced(piece, report);
        }
        report.spent += stride.spent();
    }

    /// Takes a piece off the list when nothing of it is worth hashing any more.
    fn stream_advanced(&mut self, piece: PieceIndex, report: &mut HashReport) {
        let Some(assembly) = self.open.get(&piece) else { return };
        let (since, left) = (assembly.full_since(), assembly.unhashed());
        if left == 0 || since.is_none() && left < COMPANY_LEN {
            self.streams.remove(&(since.unwrap_or(Instant::FAR), piece));
        }
        self.end_if_hashed(piece, report);
    }

    fn end_if_hashed(&mut self, piece: PieceIndex, report: &mut HashReport) {
        let Some(assembly) = self.open.get(&piece).filter(|a| a.is_hashed()) else { return };
        let Some(since) = assembly.full_since() else { return };
        if self.full.remove(&(since, piece)) {
            report.done.push(piece);
        }
    }

    /// While at least `count_min` blocks wait.
    fn hash_leaves(
        &mut self,
        lanes: Lanes,
        budget: usize,
        count_min: usize,
        report: &mut HashReport,
    ) {
        let mut left = budget;
        while left > 0 && self.leafless.len() >= count_min {
            let count = leaf_company(lanes, left, self.leafless.len());
            let company: SmallVec<[_; LANE_MAX]> = self.leafless.drain(..count).collect();
            let mut inputs: SmallVec<[&[u8]; LANE_MAX]> = SmallVec::new();
            let mut places: SmallVec<[(PieceIndex, BlockIndex); LANE_MAX]> = SmallVec::new();
            for (piece, block) in company {
                let assembly = self.open.get(&piece);
                if let Some(bytes) = assembly.and_then(|a| a.leaf_bytes(block))
                    && !places.contains(&(piece, block))
                {
                    inputs.push(bytes);
                    places.push((piece, block));
                }
            }
            let mut leaves = [Sha256([0; 32]); LANE_MAX];
            lanes.sha256_leaves(&inputs, &mut leaves[..inputs.len()]);
            let spent = leaf_cost(lanes, inputs.len()).max(64);
            drop(inputs);
            for ((piece, block), leaf) in places.iter().zip(leaves) {
                if let Some(assembly) = self.open.get_mut(piece) {
                    assembly.sums_mut().set_leaf(*block, leaf);
                }
                self.end_if_hashed(*piece, report);
            }
            report.leaves.extend(places);
            report.spent += spent;
            left = left.saturating_sub(spent);
        }
    }

    fn unhashed(&self, piece: PieceIndex) -> usize {
        self.open.get(&piece).map_or(0, Assembly::unhashed)
    }
}

#[cfg(test)]
mod tests;
