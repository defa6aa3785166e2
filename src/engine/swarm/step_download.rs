//! Downloading: from a free block to a piece that is hashed, written and announced.

use crate::base::bitfield::Bitfield;
use crate::base::budget::Budget;
use crate::base::buffer::SharedBuf;
use crate::base::ids::BlockIndex;
use crate::base::ids::FileIndex;
use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::base::limits::BLOCK_LEN;
use crate::base::slots::SlotId;
use crate::engine::alert::AlertKind;
use crate::engine::digesting::Expected;
use crate::engine::disk::DiskOp;
use crate::engine::peer::words::Receiving;
use crate::engine::pick::ask::Accept;
use crate::engine::pick::ask::Ask;
use crate::engine::pick::ask::Has;
use crate::engine::pick::ask::Picks;
use crate::engine::pick::ask::Release;
use crate::engine::pick::ask::Share;
use crate::engine::swarm::arriving::Arrival;
use crate::engine::swarm::late_check::LateCheck;
use crate::engine::swarm::state::Phase;
use crate::engine::swarm::state::Swarm;
use crate::engine::turn::Purpose;
use crate::engine::turn::Turn;

/// A piece above this part of the assembly budget is written through, block by block.
const FAIR_SHARE: u64 = 4;

/// Blocks that a peer is asked for in the end game: each may come from another peer too, so a whole
/// window of them would be a window of waste.
const END_GAME_WINDOW: usize = 4;

impl Swarm {
    /// Asks the peer for blocks, as far as its window and the budget go.
    pub(crate) fn refill(&mut self, now: Instant, turn: &mut Turn, id: SlotId) {
        let Some(peer) = self.peers.get(id) else { return };
        let may_ask = !peer.chokes_us() || !peer.allowed_fast.is_empty();
        if self.phase != Phase::Active || peer.wanted_count == 0 || !may_ask {
            return;
        }
        if !peer.pipeline.wants_refill() {
            return;
        }
        // An idle peer may be asked for one block in any case: room may come before the block does.
        let room_min = usize::from(peer.pipeline.len() == 0);
        let mut room = peer.pipeline.room().min(self.room_for_through(turn).max(room_min));
        if self.picker.is_end_game() {
            room = room.min(END_GAME_WINDOW.saturating_sub(peer.pipeline.len()));
        }
        self.is_starved |= room == 0 && peer.pipeline.len() == 0;
        if room == 0 {
            return;
        }
        let is_suspect = self.blame.is_suspect(peer.address);
        let usable = self.usable(id);
        let Some(peer) = self.peers.get_mut(id) else { return };
        let has = usable.as_ref().or(peer.pieces.field());
        let ask = Ask {
            peer: id.slot,
            has: has.map_or(Has::All, Has::Some),
            want: room,
            share: if is_suspect { Share::Whole } else { Share::Shared },
            only: peer.chokes_us().then_some(&peer.allowed_fast[..]),
        };
        let (torrent, layout, layers) = (&self.torrent, &self.layout, &self.layers);
        let assemblies = &mut self.assemblies;
        let (budget, pool) = (&mut turn.assembly, &turn.pool);
        let mut is_refused = false;
        let mut may_start = |piece: PieceIndex| {
            let length = u64::from(layout.piece_len(piece));
            let expected = Expected::new(torrent, piece, layers.root(piece, torrent));
            if is_through(length, budget) {
                assemblies.open_through(layout, piece, expected);
                return true;
            }
            is_refused = !budget.take(length);
            if !is_refused {
                assemblies.open_whole(layout, piece, expected, pool);
            }
            !is_refused
        };
        let mut picks = Picks::new();
        self.picker.pick(&ask, &mut may_start, &mut turn.rng, &mut picks);
        self.is_starved |= is_refused;
        picks.into_iter().for_each(|(piece, block)| peer.request(now, piece, block));
    }

    /// The pieces that a peer may be asked for, where those are not all that it has: what cannot be
    /// verified, or may be on the disk and was not read yet, is asked of nobody.
    fn usable(&self, id: SlotId) -> Option<Bitfield> {
        let known = self.unverifiable_but();
        let open = self.late_check.as_ref().map(LateCheck::open);
        let both = known.zip(open).map(|(known, open)| known.and(open));
        let field = both.as_ref().or(known).or(open)?;
        Some(self.peers.get(id)?.pieces.common(field))
    }

    /// Blocks that may be asked for in all, when pieces are written through: each needs room of its
    /// own when it comes, and what comes without room is thrown away.
    fn room_for_through(&self, turn: &Turn) -> usize {
        if !is_through(u64::from(self.layout.piece_len_max()), &turn.assembly) {
            return usize::MAX;
        }
        let asked: usize = self.peers.iter().map(|(_, peer)| peer.pipeline.len()).sum();
        let places = turn.assembly.left() / u64::from(BLOCK_LEN);
        usize::try_from(places).unwrap_or(usize::MAX).saturating_sub(asked)
    }

    /// A block's header came.
    pub(crate) fn block_start(
        &mut self,
        turn: &mut Turn,
        id: SlotId,
        (piece, block): (PieceIndex, BlockIndex),
        was_asked: bool,
    ) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let mut is_taken =
            was_asked && self.picker.block_started(id.slot, piece, block) == Accept::Take;
        if is_taken && let Some(assembly) = self.assemblies.get_mut(piece) {
            let length = self.layout.block_range(piece, block).1;
            if assembly.is_through() {
                is_taken = turn.assembly.take(u64::from(length));
                if is_taken {
                    assembly.begin_through(block, length, &turn.pool);
                } else {
                    self.is_starved = true;
                    self.picker.release(id.slot, piece, block, Release::Lost);
                }
            }
        }
        peer.receiving = Some(Receiving { piece, block, position: 0, is_taken });
    }

    /// Some of its bytes came.
    pub(crate) fn block_bytes(&mut self, now: Instant, turn: &mut Turn, id: SlotId, bytes: &[u8]) {
        turn.downloaded += bytes.len() as u64;
        self.received.add(now, bytes.len() as u64);
        let Some(peer) = self.peers.get_mut(id) else { return };
        let Some(receiving) = &mut peer.receiving else { return };
        if !receiving.is_taken {
            self.wasted += bytes.len() as u64;
        } else if let Some(assembly) = self.assemblies.get_mut(receiving.piece) {
            assembly.fill(receiving.block, receiving.position, bytes);
        }
        receiving.position += bytes.len() as u32;
    }

    /// All of its bytes came.
    pub(crate) fn block_end(&mut self, now: Instant, turn: &mut Turn, id: SlotId) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let Some(receiving) = peer.receiving.take() else { return };
        let rate = peer.received.per_second(now);
        peer.pipeline.block_done(now, rate);
        let address = peer.address;
        self.mark(id);
        self.changed();
        if !receiving.is_taken {
            return;
        }
        let Receiving { piece, block, .. } = receiving;
        if self.assemblies.get_mut(piece).is_none() {
            return;
        }
        let arrival = self.assemblies.block_done(piece, block, address);
        let received = self.picker.block_received(id.slot, piece, block);
        for other in received.cancel {
            self.cancel(other, piece, block);
        }
        match arrival {
            Arrival::Write(data) => self.write_if_right(now, turn, (piece, block), data),
            Arrival::Kept if received.piece_is_complete => self.assemblies.freeze(now, piece),
            Arrival::Kept => {}
        }
        if !std::mem::replace(&mut self.is_hashing, true) {
            turn.hashing.push_back(self.slot);
        }
    }

    /// Somebody else delivered the block.
    fn cancel(&mut self, key: u32, piece: PieceIndex, block: BlockIndex) {
        let Some(id) = self.peers.id_at(key) else { return };
        if let Some(peer) = self.peers.get_mut(id) {
            peer.cancel(piece, block);
        }
        self.mark(id);
    }

    pub(crate) fn write_block(
        &mut self,
        turn: &mut Turn,
        piece: PieceIndex,
        block: BlockIndex,
        data: SharedBuf,
    ) {
        let begin = self.layout.block_range(piece, block).0;
        let offset = self.layout.offset(piece) + u64::from(begin);
        let length = data.len() as u32;
        let purpose = Purpose::Block { piece, block, length };
        self.disk(turn, purpose, DiskOp::Write { offset, data, is_wanted: true });
    }

    /// A verified piece is on disk: only now is it ours to announce.
    pub(crate) fn piece_stored(&mut self, now: Instant, turn: &mut Turn, piece: PieceIndex) {
        self.acquit(now, turn, piece);
        self.writing.remove(&piece);
        self.needs_sync = true;
        if let Some(assembly) = self.assemblies.close(piece) {
            turn.free_assembly(assembly.held());
        }
        let was_wanted = self.picker.wants(piece);
        self.picker.piece_passed(piece);
        self.layers.forget_leaves(piece);
        self.have.set(piece.as_u32());
        self.alert(turn, AlertKind::PieceVerified { piece: piece.as_u32() });
        let ids: Vec<SlotId> = self.peers.iter().map(|(id, _)| id).collect();
        for id in ids {
            let Some(peer) = self.peers.get_mut(id) else { continue };
            peer.tell_have(piece);
            if was_wanted && peer.pieces.has(piece) {
                peer.wanted_count = peer.wanted_count.saturating_sub(1);
                peer.set_interest(peer.wanted_count > 0);
            }
            self.mark(id);
        }
        for file in self.files.piece_done(&self.torrent, self.selection.priorities(), piece) {
            if self.files.is_part(file) {
                self.name_file(turn, file);
            }
        }
        self.changed();
        self.end_if_finished(now, turn);
    }

    pub(crate) fn name_file(&mut self, turn: &mut Turn, file: FileIndex) {
        self.naming += 1;
        self.disk(turn, Purpose::Finish { file }, DiskOp::Finish { file });
    }

    /// A file has its final name.
    pub(crate) fn handle_named(&mut self, now: Instant, turn: &mut Turn, file: FileIndex) {
        self.naming = self.naming.saturating_sub(1);
        self.needs_sync = true;
        self.files.named(file);
        self.alert(turn, AlertKind::FileCompleted { file: file.0 });
        self.end_if_finished(now, turn);
    }

    /// All wanted pieces stored and all their files named: make it durable, then tell.
    pub(crate) fn end_if_finished(&mut self, now: Instant, turn: &mut Turn) {
        if self.is_finished || !self.is_done() || self.naming > 0 {
            return;
        }
        self.is_finished = true;
        if std::mem::take(&mut self.needs_sync) {
            self.disk(turn, Purpose::Sync, DiskOp::Sync);
        } else {
            self.handle_durable(now, turn);
        }
    }

    /// Everything that is wanted is there and durable. Trackers count a download as completed when
    /// all of the torrent is there (BEP 3); before that we are a partial seed to them (BEP 21).
    pub(crate) fn handle_durable(&mut self, now: Instant, turn: &mut Turn) {
        if !self.is_finished {
            // More was wanted meanwhile.
            return;
        }
        self.alert(turn, AlertKind::Finished);
        self.changed();
        if !self.is_complete() {
            self.tell_upload_only(turn);
        } else if self.received.total() > 0 {
            self.announcer.completed();
        }
        self.drop_seeds(now, turn);
    }
}

/// Whether a piece of this length is written through, block by block.
fn is_through(length: u64, budget: &Budget) -> bool {
    length > budget.max() / FAIR_SHARE
}
