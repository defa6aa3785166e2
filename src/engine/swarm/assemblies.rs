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
use crate::base::digest::Sha256;
use crate::base::digest_lanes::LANE_MAX;
use crate::base::digest_lanes::Lanes;
use crate::base::ids::BlockIndex;
use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::base::limits::BLOCK_LEN;
use crate::content::layout::Layout;
use crate::engine::digesting::Expected;
use crate::engine::digesting::Stride;
use crate::engine::digesting::Sums;
use crate::engine::digesting::leaf_company;
use crate::engine::digesting::leaf_cost;
use crate::engine::swarm::arriving::Arrival;
use crate::engine::swarm::arriving::Assembly;

/// Bytes that a piece still being filled brings to be hashed with others: two blocks, so that its
/// share of the work is worth picking it up.
const COMPANY_LEN: usize = 2 * BLOCK_LEN as usize;
/// Pieces from which on hashing ahead of completion pays: with fewer, more may come until one is
/// full.
const COMPANY_MIN: usize = 6;

/// How long a full piece waits for company. Nobody misses a have message that comes this much
/// later, and at 1 GB/s two more pieces of 1 MiB arrive in this time, beside those being filled.
const PATIENCE: Duration = Duration::from_millis(2);

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

    fn forget_waits(&mut self, piece: PieceIndex) {
        let since = self.open.get(&piece).and_then(Assembly::full_since);
        for key in since.into_iter().chain([Instant::FAR]) {
            self.full.remove(&(key, piece));
            self.streams.remove(&(key, piece));
        }
    }

    /// Hashes what has arrived, for as long as `budget` bytes of a lone piece take with SHA-1:
    /// full pieces first, and pieces being filled where they make company.
    pub(crate) fn hash(&mut self, now: Instant, lanes: Lanes, budget: usize) -> HashReport {
        let mut report = HashReport::default();
        let waits_until = self.full.first().map(|(since, _)| *since + PATIENCE);
        let is_due = waits_until.is_some_and(|until| now >= until);
        let is_stream_due = self.streams.len() >= COMPANY_MIN || is_due;
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
mod tests {
    use super::*;
    use crate::base::digest::Sha1;
    use crate::content::merkle;
    use crate::engine::blame::BlockDigest;
    use crate::engine::digesting::Verdict;

    fn sender(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 1))
    }

    /// By SHA-1, by a tree over the first bytes, or by both.
    fn expected(bytes: &[u8], has_v1: bool, tree_len: Option<usize>) -> Expected {
        let tree = tree_len.map(|len| {
            let leaves: Vec<Sha256> =
                bytes[..len].chunks(BLOCK_LEN as usize).map(Sha256::of).collect();
            let width = leaves.len().next_power_of_two() as u32;
            (merkle::root(&leaves, width), width, len as u32)
        });
        Expected::of(has_v1.then(|| Sha1::of(bytes)), tree)
    }

    /// Block `block` of a piece: all of its bytes say so, as do those of the piece.
    fn bytes_of(layout: &Layout, piece: PieceIndex) -> Vec<u8> {
        let len = layout.piece_len(piece) as usize;
        (0..len).map(|at| (at / 16_384 + 1) as u8 ^ (piece.as_u32() as u8) << 4).collect()
    }

    /// A block comes from a sender, in two parts.
    fn send(all: &mut Assemblies, layout: &Layout, piece: PieceIndex, block: u32, from: u8) {
        let (begin, length) = layout.block_range(piece, BlockIndex(block));
        let bytes = bytes_of(layout, piece);
        let bytes = &bytes[begin as usize..(begin + length) as usize];
        let assembly = all.get_mut(piece).unwrap();
        assembly.fill(BlockIndex(block), 0, &bytes[..1000]);
        assembly.fill(BlockIndex(block), 1000, &bytes[1000..]);
        all.block_done(piece, BlockIndex(block), sender(from));
    }

    fn open(all: &mut Assemblies, layout: &Layout, piece: PieceIndex, (v1, v2): (bool, bool)) {
        let bytes = bytes_of(layout, piece);
        let expected = expected(&bytes, v1, v2.then_some(bytes.len()));
        all.open_whole(layout, piece, expected, &Pool::new(0));
    }

    fn verdict(all: &mut Assemblies, piece: PieceIndex) -> Verdict {
        all.get_mut(piece).unwrap().sums().verdict()
    }

    const KINDS: [(bool, bool); 3] = [(true, false), (false, true), (true, true)];

    #[test]
    fn a_piece_gathers_from_several_senders_and_remembers_who_sent_what() {
        let layout = Layout::new(100_000, 65_536).unwrap();
        let piece = layout.piece(1).unwrap();
        for kind in KINDS {
            let mut all = Assemblies::default();
            open(&mut all, &layout, piece, kind);
            for block in [2, 0, 1] {
                send(&mut all, &layout, piece, block, block as u8 % 2);
            }
            all.freeze(Instant::ZERO, piece);
            let waits = all.hash(Instant::from_millis(1), Lanes::PORTABLE, 1 << 20);
            assert_eq!((waits.spent, waits.waits_until), (0, Some(Instant::from_millis(2))));
            let report = all.hash(Instant::from_millis(2), Lanes::PORTABLE, 1 << 20);
            assert_eq!(report.done, [piece], "the odd end goes along");
            assert_eq!(verdict(&mut all, piece), Verdict::Good);
            let assembly = all.get_mut(piece).unwrap();
            assert_eq!(assembly.full().unwrap().bytes(), bytes_of(&layout, piece));
            let senders: Vec<SocketAddr> = assembly.evidence().iter().map(|e| e.sender).collect();
            assert_eq!(senders, [sender(0), sender(1), sender(0)]);
            let last = &bytes_of(&layout, piece)[32_768..];
            let digest = match kind {
                (_, false) => BlockDigest::Whole(Sha1::of(last)),
                (_, true) => BlockDigest::Leaf(Sha256::of(last)),
            };
            assert_eq!(assembly.evidence()[2].digest, digest);
        }
    }

    #[test]
    fn pieces_being_filled_are_hashed_ahead_when_there_are_enough_of_them() {
        let layout = Layout::new(20 * 65_536, 65_536).unwrap();
        for (piece_count, blocks, kind, is_worth_it) in [
            (5, 4, (true, false), false),
            (6, 2, (true, false), true),
            (16, 1, (true, false), false),
            (3, 4, (false, true), false),
            (4, 4, (false, true), true),
            (16, 1, (true, true), true),
        ] {
            let mut all = Assemblies::default();
            for piece in layout.pieces().take(piece_count) {
                open(&mut all, &layout, piece, kind);
                (0..blocks).rev().for_each(|block| send(&mut all, &layout, piece, block, 1));
            }
            let spent = all.hash(Instant::ZERO, Lanes::detect(), 1 << 20).spent;
            assert_eq!(spent > 0, is_worth_it, "{piece_count} pieces of {blocks} blocks");
            for piece in layout.pieces().take(piece_count) {
                (blocks..4).for_each(|block| send(&mut all, &layout, piece, block, 1));
                all.freeze(Instant::ZERO, piece);
            }
            let late = Instant::from_millis(5);
            while all.hash(late, Lanes::detect(), 1 << 18).spent > 0 {}
            for piece in layout.pieces().take(piece_count) {
                assert_eq!(verdict(&mut all, piece), Verdict::Good);
            }
        }
    }

    #[test]
    fn a_step_is_as_long_as_its_budget_whatever_is_open() {
        let layout = Layout::new(64 * 65_536, 65_536).unwrap();
        for (kind, budget) in KINDS.into_iter().flat_map(|kind| [(kind, 65_536), (kind, 200_000)]) {
            let mut all = Assemblies::default();
            for piece in layout.pieces() {
                open(&mut all, &layout, piece, kind);
                (0..4).for_each(|block| send(&mut all, &layout, piece, block, 1));
                all.freeze(Instant::ZERO, piece);
            }
            let (mut done, mut steps) = (Vec::new(), 0);
            while done.len() < layout.piece_count() as usize {
                let report = all.hash(Instant::from_millis(9), Lanes::PORTABLE, budget);
                assert!(report.spent > 0 && report.spent <= budget + 32_768, "{}", report.spent);
                done.extend(report.done);
                steps += 1;
            }
            // SHA-1 is one byte of budget for each byte, SHA-256 two.
            let cost = usize::from(kind.0) + 2 * usize::from(kind.1);
            let fair = 64 * 65_536 * cost / budget;
            assert!(steps <= fair * 2 + 64, "{steps} steps for the work of {fair}");
            assert!(done.is_sorted(), "in the order in which they were full");
        }
    }

    #[test]
    fn a_wrong_block_is_taken_back_and_the_piece_is_right_with_another() {
        let layout = Layout::new(65_536, 65_536).unwrap();
        let piece = layout.piece(0).unwrap();
        for (kind, is_full) in [(KINDS[1], false), (KINDS[1], true), (KINDS[2], true)] {
            let mut all = Assemblies::default();
            open(&mut all, &layout, piece, kind);
            let block = BlockIndex(1);
            all.get_mut(piece).unwrap().fill(block, 0, &[99; 16_384]);
            all.block_done(piece, block, sender(9));
            let others: &[u32] = if is_full { &[0, 2, 3] } else { &[0] };
            others.iter().for_each(|block| send(&mut all, &layout, piece, *block, 1));
            if is_full {
                all.freeze(Instant::ZERO, piece);
                while all.hash(Instant::from_millis(9), Lanes::detect(), 1 << 18).spent > 0 {}
                assert_eq!(verdict(&mut all, piece), Verdict::Bad);
            }
            assert_eq!(all.refuse_block(piece, block, &Pool::new(0)), Some(sender(9)));
            assert_eq!(all.refuse_block(piece, block, &Pool::new(0)), None, "it is gone");
            assert_eq!(all.hash(Instant::from_millis(9), Lanes::detect(), 1 << 18).done, []);
            let missing: &[u32] = if is_full { &[1] } else { &[1, 2, 3] };
            missing.iter().for_each(|block| send(&mut all, &layout, piece, *block, 1));
            all.freeze(Instant::from_millis(10), piece);
            let mut done = Vec::new();
            while let report = all.hash(Instant::from_millis(20), Lanes::detect(), 1 << 18)
                && report.spent > 0
            {
                done.extend(report.done);
            }
            assert_eq!((done, verdict(&mut all, piece)), (vec![piece], Verdict::Good));
        }
    }

    #[test]
    fn pads_are_zeros_whatever_a_peer_says() {
        let layout = Layout::new(65_536, 65_536).unwrap();
        let piece = layout.piece(0).unwrap();
        let mut bytes = vec![7; 65_536];
        bytes[20_000..].fill(0);
        let pool = Pool::new(1 << 20);
        let mut used = pool.take(65_536);
        used.bytes_mut().fill(3);
        drop(used);
        let mut all = Assemblies::default();
        all.open_whole(&layout, piece, expected(&bytes, true, Some(20_000)), &pool);
        for block in 0..4 {
            all.get_mut(piece).unwrap().fill(BlockIndex(block), 0, &[7; 10]);
            all.get_mut(piece).unwrap().fill(BlockIndex(block), 10, &[7; 16_374]);
            all.block_done(piece, BlockIndex(block), sender(1));
        }
        all.freeze(Instant::ZERO, piece);
        while all.hash(Instant::from_millis(9), Lanes::detect(), 1 << 18).spent > 0 {}
        assert_eq!(verdict(&mut all, piece), Verdict::Good);
        let evidence = all.get_mut(piece).unwrap().evidence();
        assert_eq!(evidence.len(), 2, "nobody is blamed for blocks of pad");
    }

    #[test]
    fn hashes_that_stand_for_different_bytes_are_told_from_bad_bytes() {
        let layout = Layout::new(40_000, 65_536).unwrap();
        let piece = layout.piece(0).unwrap();
        let (right, other) = (bytes_of(&layout, piece), vec![5; 40_000]);
        let torn = |passed_v1| Verdict::Torn { passed_v1 };
        for (v1, v2, is) in [
            (&right, &right, Verdict::Good),
            (&other, &other, Verdict::Bad),
            (&right, &other, torn(true)),
            (&other, &right, torn(false)),
        ] {
            let tree = expected(v2, false, Some(v2.len()));
            let both = tree.with_v1(Sha1::of(v1));
            let mut all = Assemblies::default();
            all.open_whole(&layout, piece, both, &Pool::new(0));
            (0..3).for_each(|block| send(&mut all, &layout, piece, block, 1));
            all.freeze(Instant::ZERO, piece);
            while all.hash(Instant::from_millis(9), Lanes::detect(), 1 << 18).spent > 0 {}
            assert_eq!(verdict(&mut all, piece), is);
        }
    }

    #[test]
    fn a_piece_that_is_written_through_keeps_only_digests() {
        let layout = Layout::new(1 << 20, 1 << 20).unwrap();
        let piece = layout.piece(0).unwrap();
        for (expected, digest) in [
            (expected(&[0; 1 << 20], true, None), BlockDigest::Whole(Sha1::of(&[9; 16_384]))),
            (
                expected(&[0; 1 << 20], false, Some(1 << 20)),
                BlockDigest::Leaf(Sha256::of(&[9; 16_384])),
            ),
        ] {
            let mut all = Assemblies::default();
            all.open_through(&layout, piece, expected);
            let assembly = all.get_mut(piece).unwrap();
            assembly.begin_through(BlockIndex(5), BLOCK_LEN, &Pool::new(0));
            assert_eq!(assembly.held(), u64::from(BLOCK_LEN));
            assembly.fill(BlockIndex(5), 0, &[9; 16_384]);
            let arrival = all.block_done(piece, BlockIndex(5), sender(1));
            assert!(matches!(arrival, Arrival::Write(data) if data.bytes() == [9; 16_384]));
            let assembly = all.get_mut(piece).unwrap();
            assert_eq!((assembly.held(), assembly.unhashed()), (0, 0));
            assert_eq!(assembly.digest(5), Some(digest));
            let refuse =
                |all: &mut Assemblies| all.refuse_block(piece, BlockIndex(5), &Pool::new(0));
            assert_eq!(refuse(&mut all), None, "another write would race with this one");
            let assembly = all.get_mut(piece).unwrap();
            assert!(assembly.block_written(BlockIndex(5)), "no other write is under way");
            assert_eq!(refuse(&mut all), Some(sender(1)));
        }
    }
}
