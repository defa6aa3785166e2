//! Pieces being received: the memory they gather in, and who sent which block.
//!
//! A piece that is a fair share of the budget gathers whole in one buffer, and is hashed while it
//! does: what has arrived without a gap waits for company, because several pieces together are
//! hashed much faster than one after the other, and is still in the cache. A larger piece is
//! written through block by block and hashed from the disk afterwards; of its blocks only the
//! digests stay.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use smallvec::SmallVec;

use crate::base::buffer::PageBuf;
use crate::base::buffer::Pool;
use crate::base::buffer::SharedBuf;
use crate::base::digest::Sha1;
use crate::base::digest::Sha1Stream;
use crate::base::digest_lanes::Lanes;
use crate::base::ids::BlockIndex;
use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::base::limits::BLOCK_LEN;
use crate::content::layout::Layout;
use crate::engine::blame::Evidence;

/// The started pieces of one torrent.
#[derive(Debug, Default)]
pub(crate) struct Assemblies {
    open: BTreeMap<PieceIndex, Assembly>,
}

#[derive(Debug)]
pub(crate) struct Assembly {
    data: Data,
    addresses: SmallVec<[SocketAddr; 2]>,
    /// Per block: position in `addresses` of who sent it; blocks that have not come say `NOBODY`.
    senders: Vec<u16>,
    /// Digest of the bytes before `hashed`.
    stream: Sha1Stream,
    hashed: usize,
    /// Bytes before the first gap.
    arrived: usize,
}

#[derive(Debug)]
enum Data {
    /// All of it, still being filled.
    Filling(PageBuf),
    /// All of it, being hashed or written, and since when.
    Full(SharedBuf, Instant),
    /// Blocks that are arriving; the others are on disk, and this is what they were.
    Through { arriving: BTreeMap<BlockIndex, PageBuf>, digests: Vec<Sha1>, writes: u32 },
}

const NOBODY: u16 = u16::MAX;
/// Bytes that a piece still being filled brings to be hashed with others: two blocks, so that its
/// share of the work is worth picking it up.
const COMPANY_LEN: usize = 2 * BLOCK_LEN as usize;
/// Pieces from which on hashing ahead of completion pays: with fewer, more may come until one is
/// full.
const COMPANY_MIN: usize = 6;

/// How long a full piece waits for company. Nobody misses a have message that comes this much
/// later, and at 1 GB/s four more pieces arrive in this time.
const PATIENCE: Duration = Duration::from_millis(4);

/// What a call of [`Assemblies::hash`] did.
#[derive(Debug, Default)]
pub(crate) struct HashReport {
    /// Bytes of a lone piece that would have taken as long; 0 when nothing is worth hashing now.
    pub(crate) spent: usize,
    /// Full pieces that are hashed to their end.
    pub(crate) done: Vec<PieceIndex>,
    /// Until when a full piece waits for company.
    pub(crate) waits_until: Option<Instant>,
}

impl Assemblies {
    /// Opens a piece that gathers in memory.
    pub(crate) fn open_whole(&mut self, layout: &Layout, piece: PieceIndex, pool: &Pool) {
        let buf = pool.take(layout.piece_len(piece) as usize);
        self.open(layout, piece, Data::Filling(buf));
    }

    /// Opens a piece that is written through.
    pub(crate) fn open_through(&mut self, layout: &Layout, piece: PieceIndex) {
        let digests = vec![Sha1([0; 20]); layout.block_count(piece) as usize];
        self.open(layout, piece, Data::Through { arriving: BTreeMap::new(), digests, writes: 0 });
    }

    fn open(&mut self, layout: &Layout, piece: PieceIndex, data: Data) {
        let senders = vec![NOBODY; layout.block_count(piece) as usize];
        let (addresses, stream) = (SmallVec::new(), Sha1Stream::default());
        self.open
            .insert(piece, Assembly { data, addresses, senders, stream, hashed: 0, arrived: 0 });
    }

    /// Hashes what has arrived, for as long as `budget` bytes of a lone piece take at most: full
    /// pieces first, and pieces being filled where they make company.
    pub(crate) fn hash(&mut self, now: Instant, lanes: Lanes, budget: usize) -> HashReport {
        let mut inputs: Vec<(PieceIndex, &mut Assembly)> =
            self.open.iter_mut().filter(|(_, a)| a.wants_hash()).map(|(p, a)| (*p, a)).collect();
        let waits_until = inputs.iter().filter_map(|(_, assembly)| assembly.waits_until()).min();
        if inputs.len() < COMPANY_MIN && waits_until.is_none_or(|until| now < until) {
            return HashReport { waits_until, ..HashReport::default() };
        }
        inputs.sort_by_key(|(_, assembly)| !assembly.is_full());
        let count = lanes.take::<Sha1Stream>(inputs.len()).max(1);
        inputs.truncate(count);
        let gain = lanes.gain::<Sha1Stream>(count).max(1);
        let affordable = (budget * gain / (100 * count)).max(BLOCK_LEN as usize);
        let shortest = inputs.iter().map(|(_, assembly)| assembly.unhashed()).min().unwrap_or(0);
        let step = shortest.min(affordable);
        // Whole blocks of the digest, so that no stream has to hold back part of one; the odd end
        // of a piece is left for itself.
        let step = if step < 64 { step } else { step & !63 };
        let inputs_of_step = inputs.iter_mut().map(|(_, assembly)| assembly.next_input(step));
        lanes.update_many(inputs_of_step);
        let is_done = |assembly: &Assembly| assembly.is_full() && assembly.unhashed() == 0;
        let done = inputs.iter().filter(|(_, a)| is_done(a)).map(|(piece, _)| *piece).collect();
        HashReport { spent: (step * count * 100 / gain).max(64), done, waits_until: None }
    }

    pub(crate) fn get_mut(&mut self, piece: PieceIndex) -> Option<&mut Assembly> {
        self.open.get_mut(&piece)
    }

    pub(crate) fn close(&mut self, piece: PieceIndex) -> Option<Assembly> {
        self.open.remove(&piece)
    }

    pub(crate) fn close_all(&mut self) -> BTreeMap<PieceIndex, Assembly> {
        std::mem::take(&mut self.open)
    }
}

impl Assembly {
    fn is_full(&self) -> bool {
        matches!(self.data, Data::Full(..))
    }

    /// Until when a full piece waits for company.
    fn waits_until(&self) -> Option<Instant> {
        match &self.data {
            Data::Full(_, since) => Some(*since + PATIENCE),
            _ => None,
        }
    }

    /// Bytes that have arrived without a gap and are not hashed.
    fn unhashed(&self) -> usize {
        self.arrived - self.hashed
    }

    fn wants_hash(&self) -> bool {
        match self.data {
            Data::Full(..) => self.unhashed() > 0,
            Data::Filling(_) => self.unhashed() >= COMPANY_LEN,
            Data::Through { .. } => false,
        }
    }

    /// The digest so far and the next `step` bytes for it.
    fn next_input(&mut self, step: usize) -> (&mut Sha1Stream, &[u8]) {
        let start = self.hashed;
        self.hashed += step;
        let bytes = match &self.data {
            Data::Filling(buf) => buf.bytes(),
            Data::Full(full, _) => full.bytes(),
            Data::Through { .. } => &[],
        };
        (&mut self.stream, bytes.get(start..start + step).unwrap_or_default())
    }

    /// Moves `arrived` to the next gap.
    fn close_gaps(&mut self, len: usize) {
        let is_here = |at: usize| self.senders.get(at / BLOCK_LEN as usize) != Some(&NOBODY);
        while self.arrived < len && is_here(self.arrived) {
            self.arrived = len.min(self.arrived + BLOCK_LEN as usize);
        }
    }

    /// The digest of a full piece that is hashed to its end, and the piece.
    pub(crate) fn take_digest(&mut self) -> Option<(Sha1, SharedBuf)> {
        match &self.data {
            Data::Full(full, _) if self.hashed == full.len() => {
                Some((std::mem::take(&mut self.stream).finish(), full.clone()))
            }
            _ => None,
        }
    }

    /// Copies bytes of a block to their place. Bytes outside are dropped: the decoder has bounded
    /// the block, so there are none.
    pub(crate) fn fill(&mut self, block: BlockIndex, position: u32, bytes: &[u8]) {
        let (buf, start) = match &mut self.data {
            Data::Filling(buf) => (buf, (block.0 * BLOCK_LEN + position) as usize),
            Data::Through { arriving, .. } => match arriving.get_mut(&block) {
                Some(buf) => (buf, position as usize),
                None => return,
            },
            Data::Full(..) => return,
        };
        if let Some(place) = buf.bytes_mut().get_mut(start..start + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// Whether this piece is written through.
    pub(crate) fn is_through(&self) -> bool {
        matches!(self.data, Data::Through { .. })
    }

    /// Makes a buffer for one block of a piece that is written through.
    pub(crate) fn begin_through(&mut self, block: BlockIndex, length: u32, pool: &Pool) {
        if let Data::Through { arriving, .. } = &mut self.data {
            arriving.insert(block, pool.take(length as usize));
        }
    }

    /// The block will not come from whom it was coming: true if it had a buffer of its own.
    pub(crate) fn abandon_through(&mut self, block: BlockIndex) -> bool {
        match &mut self.data {
            Data::Through { arriving, .. } => arriving.remove(&block).is_some(),
            _ => false,
        }
    }

    /// All bytes of a block are here, sent by `sender`. For a piece that is written through: the
    /// block.
    pub(crate) fn block_done(
        &mut self,
        block: BlockIndex,
        sender: SocketAddr,
    ) -> Option<SharedBuf> {
        let known = self.addresses.iter().position(|a| *a == sender);
        let at = known.unwrap_or_else(|| {
            self.addresses.push(sender);
            self.addresses.len() - 1
        });
        if let Some(entry) = self.senders.get_mut(block.as_usize()) {
            *entry = u16::try_from(at).unwrap_or(NOBODY - 1);
        }
        if let Data::Filling(buf) = &self.data {
            let len = buf.len();
            self.close_gaps(len);
        }
        let Data::Through { arriving, digests, writes } = &mut self.data else { return None };
        let data = arriving.remove(&block)?.freeze();
        if let Some(digest) = digests.get_mut(block.as_usize()) {
            *digest = Sha1::of(data.bytes());
        }
        *writes += 1;
        Some(data)
    }

    /// A block of a piece that is written through is on disk; true if no other is under way.
    pub(crate) fn block_written(&mut self) -> bool {
        let Data::Through { writes, .. } = &mut self.data else { return false };
        *writes = writes.saturating_sub(1);
        *writes == 0
    }

    /// Ends filling: every block is here.
    pub(crate) fn freeze(&mut self, now: Instant) {
        let nothing = Data::Full(PageBuf::zeroed(0).freeze(), now);
        self.data = match std::mem::replace(&mut self.data, nothing) {
            Data::Filling(buf) => Data::Full(buf.freeze(), now),
            other => other,
        };
    }

    /// The digest of a block that is here or was.
    pub(crate) fn digest(&self, block: u32) -> Option<Sha1> {
        match &self.data {
            Data::Full(full, _) => {
                let start = (block * BLOCK_LEN) as usize;
                let end = full.len().min(start + BLOCK_LEN as usize);
                full.bytes().get(start..end).map(Sha1::of)
            }
            Data::Through { digests, .. } => digests.get(block as usize).copied(),
            Data::Filling(_) => None,
        }
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
            Data::Through { arriving, .. } => arriving.values().map(|b| b.len() as u64).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 1))
    }

    #[test]
    fn a_piece_gathers_from_several_senders_and_remembers_who_sent_what() {
        let layout = Layout::new(100_000, 65_536).unwrap();
        let piece = layout.piece(1).unwrap();
        let mut all = Assemblies::default();
        all.open_whole(&layout, piece, &Pool::new(0));
        let assembly = all.get_mut(piece).unwrap();
        for block in 0..3u32 {
            let length = layout.block_range(piece, BlockIndex(block)).1 as usize;
            let bytes = vec![block as u8 + 1; length];
            assembly.fill(BlockIndex(block), 0, &bytes[..1000]);
            assembly.fill(BlockIndex(block), 1000, &bytes[1000..]);
            assert!(assembly.block_done(BlockIndex(block), sender(block as u8 % 2)).is_none());
        }
        assembly.freeze(Instant::ZERO);
        let waits = all.hash(Instant::from_millis(3), Lanes::PORTABLE, 1 << 20);
        assert_eq!((waits.spent, waits.waits_until), (0, Some(Instant::from_millis(4))));
        let report = all.hash(Instant::from_millis(4), Lanes::PORTABLE, 1 << 20);
        let rest = all.hash(Instant::from_millis(4), Lanes::PORTABLE, 1 << 20);
        assert_eq!((report.done, rest.done), (vec![], vec![piece]), "the odd end goes by itself");
        let assembly = all.get_mut(piece).unwrap();
        let (digest, whole) = assembly.take_digest().unwrap();
        assert_eq!(digest, Sha1::of(whole.bytes()));
        assert_eq!(whole.len(), 34_464);
        assert_eq!((whole.bytes()[0], whole.bytes()[16_384], whole.bytes()[34_463]), (1, 2, 3));
        let senders: Vec<SocketAddr> = assembly.evidence().iter().map(|e| e.sender).collect();
        assert_eq!(senders, [sender(0), sender(1), sender(0)]);
        assert_eq!(assembly.evidence()[2].digest, Sha1::of(&[3; 34_464 - 32_768]));
    }

    #[test]
    fn pieces_being_filled_are_hashed_ahead_when_there_are_enough_of_them() {
        let layout = Layout::new(20 * 65_536, 65_536).unwrap();
        let pool = Pool::new(0);
        for (piece_count, blocks, is_worth_it) in [(5, 4, false), (6, 2, true), (16, 1, false)] {
            let mut all = Assemblies::default();
            for piece in layout.pieces().take(piece_count) {
                all.open_whole(&layout, piece, &pool);
                let assembly = all.get_mut(piece).unwrap();
                for block in (0..blocks).rev() {
                    assembly.fill(BlockIndex(block), 0, &[piece.as_u32() as u8; 16_384]);
                    assembly.block_done(BlockIndex(block), sender(1));
                }
            }
            let spent = all.hash(Instant::ZERO, Lanes::detect(), 1 << 20).spent;
            assert_eq!(spent > 0, is_worth_it, "{piece_count} pieces of {blocks} blocks");
            for piece in layout.pieces().take(piece_count) {
                let assembly = all.get_mut(piece).unwrap();
                for block in 0..4 {
                    assembly.fill(BlockIndex(block), 0, &[piece.as_u32() as u8; 16_384]);
                    assembly.block_done(BlockIndex(block), sender(1));
                }
                assembly.freeze(Instant::ZERO);
            }
            while all.hash(Instant::FAR, Lanes::detect(), 1 << 20).spent > 0 {}
            for piece in layout.pieces().take(piece_count) {
                let (digest, whole) = all.get_mut(piece).unwrap().take_digest().unwrap();
                assert_eq!(digest, Sha1::of(whole.bytes()));
            }
        }
    }

    #[test]
    fn a_piece_that_is_written_through_keeps_only_digests() {
        let layout = Layout::new(1 << 20, 1 << 20).unwrap();
        let piece = layout.piece(0).unwrap();
        let mut all = Assemblies::default();
        all.open_through(&layout, piece);
        let assembly = all.get_mut(piece).unwrap();
        assembly.begin_through(BlockIndex(5), BLOCK_LEN, &Pool::new(0));
        assert_eq!(assembly.held(), u64::from(BLOCK_LEN));
        assembly.fill(BlockIndex(5), 0, &[9; 16_384]);
        let block = assembly.block_done(BlockIndex(5), sender(1)).unwrap();
        assert_eq!(block.bytes(), [9; 16_384]);
        assert_eq!(assembly.held(), 0);
        assert_eq!(assembly.digest(5), Some(Sha1::of(&[9; 16_384])));
        assert!(assembly.block_written(), "no other write is under way");
    }
}
