//! Verifying: whether what was received is what the torrent says, and whose doing it is if not.
//!
//! A piece passes when every hash agrees that the torrent has for it: SHA-1 (v1), the root of its
//! tree (v2), or both (hybrids). Where the leaf of a block is known, the block is judged by itself,
//! as soon as it is hashed.

use crate::base::buffer::SharedBuf;
use crate::base::digest::Sha256;
use crate::base::ids::BlockIndex;
use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::engine::alert::AlertKind;
use crate::engine::blame::BlockDigest;
use crate::engine::digesting::Expected;
use crate::engine::digesting::Verdict;
use crate::engine::disk::DiskOp;
use crate::engine::hasher::HashJob;
use crate::engine::hasher::Worth;
use crate::engine::swarm::state::Swarm;
use crate::engine::turn::Purpose;
use crate::engine::turn::Turn;

impl Swarm {
    /// What the piece must hash to, as far as that is known.
    pub(crate) fn expected(&self, piece: PieceIndex) -> Expected {
        Expected::new(&self.torrent, piece, self.root_of(piece))
    }

    /// The leaf of a block, where it is known before the block is.
    fn known_leaf(&self, piece: PieceIndex, block: BlockIndex) -> Option<Sha256> {
        if let Some(leaves) = self.layers.leaves(piece) {
            return leaves.get(block.as_usize()).copied();
        }
        // The tree of a file of one block is its leaf.
        let is_leaf = self.torrent.piece_tree_width(piece) == 1 && block.0 == 0;
        self.root_of(piece).filter(|_| is_leaf)
    }

    /// Hashes pieces that are being received, within a slice; while more is worth it, the swarm
    /// stays in the shard's queue.
    pub(crate) fn hash_received(&mut self, now: Instant, turn: &mut Turn, slice: usize) {
        if self.seeking.is_some() {
            return self.hash_metadata(now, turn, slice);
        }
        let mut left = slice;
        while left > 0 {
            // Full pieces that wait for company keep others from being begun.
            let is_pressed = turn.assembly.left() < turn.assembly.max() / 8;
            let report = self.assemblies.hash(now, turn.hasher.lanes(), left, is_pressed);
            for (piece, block) in report.leaves {
                self.judge_block(now, turn, piece, block);
            }
            for piece in report.done {
                self.piece_hashed(now, turn, piece);
            }
            if report.spent == 0 {
                self.is_hashing = false;
                turn.hash_waits.extend(report.waits_until.map(|until| (until, self.slot)));
                return;
            }
            left = left.saturating_sub(report.spent);
        }
        turn.hashing.push_back(self.slot);
    }

    /// Full pieces that another shard shall hash, if they are worth the way.
    pub(crate) fn spare_pieces(&mut self, worth: Worth) -> Vec<HashJob> {
        self.assemblies.give_away(self.slot, worth)
    }

    /// A received piece is hashed: write it, or find out who spoilt it.
    pub(crate) fn piece_hashed(&mut self, now: Instant, turn: &mut Turn, piece: PieceIndex) {
        let Some(assembly) = self.assemblies.get_mut(piece) else { return };
        let Some(data) = assembly.full().filter(|_| assembly.is_hashed()) else { return };
        match assembly.sums().verdict() {
            Verdict::Good => {}
            Verdict::Bad => return self.piece_failed(now, turn, piece),
            Verdict::Torn { passed_v1 } => return self.piece_torn(now, turn, piece, passed_v1),
        }
        self.acquit(now, turn, piece);
        self.writing.insert(piece);
        let offset = self.layout.offset(piece);
        let purpose = Purpose::Piece { piece, length: data.len() as u32 };
        let is_wanted = self.is_anybody_missing_something();
        self.disk(turn, purpose, DiskOp::Write { offset, data, is_wanted });
    }

    /// Whether a connected peer may ask us for what we have just got.
    fn is_anybody_missing_something(&self) -> bool {
        self.peers.iter().any(|(_, peer)| !peer.is_seed() && !peer.is_upload_only)
    }

    /// A block has its leaf: where the right one is known, the block need not wait for its piece.
    fn judge_block(&mut self, now: Instant, turn: &mut Turn, piece: PieceIndex, block: BlockIndex) {
        if self.is_wrong(piece, block) {
            self.refuse_block(now, turn, piece, block);
        }
    }

    fn is_wrong(&mut self, piece: PieceIndex, block: BlockIndex) -> bool {
        let Some(right) = self.known_leaf(piece, block) else { return false };
        let assembly = self.assemblies.get_mut(piece);
        assembly.and_then(|a| a.sums().leaf(block)).is_some_and(|leaf| leaf != right)
    }

    /// A block is not what its leaf says: it alone is fetched again, and its sender is known.
    fn refuse_block(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        piece: PieceIndex,
        block: BlockIndex,
    ) {
        let Some(sender) = self.assemblies.refuse_block(piece, block, &turn.pool) else { return };
        self.wasted += u64::from(self.layout.block_range(piece, block).1);
        self.picker.block_failed(piece, block);
        self.alert(turn, AlertKind::BlockFailed { piece: piece.as_u32(), block: block.0 });
        self.ban(now, turn, sender, "sent a block that fails its hash");
    }

    /// A block of a piece that is written through is here.
    pub(crate) fn write_if_right(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        (piece, block): (PieceIndex, BlockIndex),
        data: SharedBuf,
    ) {
        if !self.is_wrong(piece, block) {
            return self.write_block(turn, piece, block, data);
        }
        turn.free_assembly(data.len() as u64);
        // It was counted as being written; if it was the last one of that kind, others are missing.
        if let Some(assembly) = self.assemblies.get_mut(piece) {
            assembly.block_written(block);
        }
        self.refuse_block(now, turn, piece, block);
    }

    /// A block of a piece that is written through is on disk; after the last one, judge the piece:
    /// by its leaves, and where there is a v1 hash by what is on the disk.
    pub(crate) fn handle_block_written(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        piece: PieceIndex,
        block: BlockIndex,
    ) {
        let Some(assembly) = self.assemblies.get_mut(piece) else { return };
        let is_quiet = assembly.block_written(block);
        // Its leaf may have come meanwhile.
        self.judge_block(now, turn, piece, block);
        let Some(assembly) = self.assemblies.get_mut(piece) else { return };
        if !is_quiet || !assembly.has_all() {
            return;
        }
        if assembly.sums().wants_stream() {
            self.readings.open(piece, self.expected(piece));
            return self.read_on(turn, piece);
        }
        match assembly.sums().verdict() {
            Verdict::Good => self.piece_stored(now, turn, piece),
            Verdict::Bad | Verdict::Torn { .. } => self.piece_failed(now, turn, piece),
        }
    }

    /// The piece passed: whoever sent other bytes for it before is guilty.
    pub(crate) fn acquit(&mut self, now: Instant, turn: &mut Turn, piece: PieceIndex) {
        if !self.blame.is_open(piece) {
            return;
        }
        let Some(assembly) = self.assemblies.get_mut(piece) else { return };
        for guilty in self.blame.piece_known(piece, |block| assembly.digest(block)) {
            self.ban(now, turn, guilty, "sent a block that differs from the good one");
        }
    }

    pub(crate) fn piece_failed(&mut self, now: Instant, turn: &mut Turn, piece: PieceIndex) {
        self.wasted += u64::from(self.layout.piece_len(piece));
        self.alert(turn, AlertKind::PieceFailed { piece: piece.as_u32() });
        if let Some(assembly) = self.assemblies.close(piece) {
            turn.free_assembly(assembly.held());
            if let Some(guilty) = self.blame.piece_failed(piece, assembly.evidence()) {
                self.ban(now, turn, guilty, "sent all of a piece that failed its hash");
            }
        }
        if self.blame.is_open(piece) {
            self.want_leaves(now, piece);
        }
        self.picker.piece_failed(piece);
    }

    /// The leaves of a piece that failed came: who spoilt it is known, and of what came since, the
    /// good blocks are told from the bad ones.
    pub(crate) fn leaves_known(&mut self, now: Instant, turn: &mut Turn, piece: PieceIndex) {
        let Some(leaves) = self.layers.leaves(piece) else { return };
        let leaf = |block: u32| leaves.get(block as usize).copied().map(BlockDigest::Leaf);
        for guilty in self.blame.piece_known(piece, leaf) {
            self.ban(now, turn, guilty, "sent a block that fails its hash");
        }
        for block in (0..self.layout.block_count(piece)).map(BlockIndex) {
            self.judge_block(now, turn, piece, block);
        }
        self.mark_all();
    }

    /// The bytes of a piece have one of its two hashes. No others can have both: the torrent itself
    /// is wrong, and nobody is to blame. What is on disk stays.
    pub(crate) fn piece_torn(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        piece: PieceIndex,
        passed_v1: bool,
    ) {
        let (passed, failed) = if passed_v1 { ("v1", "v2") } else { ("v2", "v1") };
        let message = format!(
            "the torrent contradicts itself: the bytes of piece {piece} have its {passed} hash and \
             not its {failed} hash; expected both to name the same bytes; what is on disk was \
             kept; get the torrent anew from who made it"
        );
        self.fail(now, turn, message);
    }
}
