//! The picker of one torrent: which block is asked of which peer.
//!
//! A function over facts: it knows peers by number, holds no clock and draws from the caller's
//! chance. Wanted pieces are started by priority, then rarest first (or lowest first in sequential
//! mode), random among equals. Started pieces are finished before others are started. When nothing
//! is left to hand out, blocks under way are asked of others too (end game).

pub(crate) mod ask;
mod bits;
mod blocks;
mod goals;
mod order;
mod partials;
mod rarity;
#[cfg(test)]
mod shadow_tests;
mod stock;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::base::bitfield::Bitfield;
use crate::base::ids::BlockIndex;
use crate::base::ids::PieceIndex;
use crate::base::ids::Priority;
use crate::base::rng::Rng;
use crate::content::layout::Layout;
use crate::engine::pick::ask::Accept;
use crate::engine::pick::ask::Ask;
use crate::engine::pick::ask::Has;
use crate::engine::pick::ask::PeerKey;
use crate::engine::pick::ask::Picks;
use crate::engine::pick::ask::Received;
use crate::engine::pick::ask::Release;
use crate::engine::pick::blocks::Partial;
use crate::engine::pick::stock::Stage;
use crate::engine::pick::stock::Stock;

/// Pieces put in order per pick while the order is unsettled: some 20 us (benches/picker.rs).
const SETTLE_PER_PICK: u32 = 2048;

/// Which block is asked of which peer, for one torrent.
#[derive(Debug)]
pub(crate) struct Picker {
    stock: Stock,
    /// Peers that have everything: they make no piece rarer than another.
    seed_count: u32,
    has_new_work: bool,
    stage: Stage,
}

impl Picker {
    /// Nothing had, everything wanted at the normal priority.
    pub(crate) fn new(layout: Layout) -> Picker {
        Picker {
            stock: Stock::new(layout),
            seed_count: 0,
            has_new_work: false,
            stage: Stage::Start,
        }
    }

    /// Lowest piece first instead of rarest first, from the next pick on.
    pub(crate) fn set_sequential(&mut self, is_sequential: bool) {
        self.stock.is_sequential = is_sequential;
    }

    /// What we have, all at once, as after a resume or a check. Nothing may be started yet.
    pub(crate) fn set_have(&mut self, field: &Bitfield) {
        debug_assert!(self.stock.partials.all().is_empty(), "pieces under way would be forgotten");
        self.stock.goals.set_all_have(field);
        self.stock.rarity.unsettle(&self.stock.goals);
        self.has_new_work = true;
        self.watch_stage();
    }

    /// A peer came with these pieces: O(bits).
    pub(crate) fn peer_joined(&mut self, field: &Bitfield) {
        self.stock.rarity.peer_joined(&self.stock.goals, field);
    }

    /// A peer left that had these pieces by now: O(bits). What it was asked for is released
    /// separately.
    pub(crate) fn peer_left(&mut self, field: &Bitfield) {
        self.stock.rarity.peer_left(&self.stock.goals, field);
    }

    /// A peer came that has everything: O(1).
    pub(crate) fn seed_joined(&mut self) {
        self.seed_count = self.seed_count.saturating_add(1);
    }

    pub(crate) fn seed_left(&mut self) {
        self.seed_count = self.seed_count.saturating_sub(1);
    }

    /// A peer that was not counted as a seed got a piece it did not have.
    pub(crate) fn peer_have(&mut self, piece: PieceIndex) {
        self.stock.rarity.peer_have(&self.stock.goals, piece.as_u32());
    }

    /// Sets the priority of ranges of pieces; parts beyond the last piece are ignored.
    pub(crate) fn set_priorities(&mut self, runs: &[(Range<u32>, Priority)]) {
        let mut changed = 0;
        for (range, priority) in runs {
            self.stock.goals.set_priorities(range.clone(), *priority);
            changed += u64::from(range.end.saturating_sub(range.start));
        }
        if changed <= u64::from(SETTLE_PER_PICK) {
            let pieces = runs.iter().flat_map(|(range, _)| range.clone());
            for piece in pieces.filter(|piece| *piece < self.stock.goals.piece_count()) {
                self.stock.rarity.place(&self.stock.goals, piece);
            }
        } else {
            self.stock.rarity.unsettle(&self.stock.goals);
        }
        let started: Vec<PieceIndex> = self.stock.partials.all().iter().map(|p| p.piece).collect();
        for piece in started {
            let is_wanted = self.stock.goals.wants(piece.as_u32());
            self.stock.partials.change(piece, |partial| partial.is_wanted = is_wanted);
        }
        self.has_new_work |= runs.iter().any(|(_, priority)| priority.is_wanted());
        self.watch_stage();
    }

    /// Hands out up to `ask.want` blocks: they count as asked of the peer until they are received
    /// or released. `may_start` says whether there is room to start one more piece, and is asked
    /// only for pieces that are then started; after its first no nothing more is started in this
    /// call.
    pub(crate) fn pick(
        &mut self,
        ask: &Ask<'_>,
        may_start: &mut dyn FnMut(PieceIndex) -> bool,
        rng: &mut Rng,
        out: &mut Picks,
    ) {
        self.stock.rarity.settle(&self.stock.goals, SETTLE_PER_PICK);
        let goal = out.len() + ask.want;
        self.stock.pick_started(ask, goal, false, out);
        self.stock.pick_new(ask, goal, may_start, rng, out);
        self.stock.pick_started(ask, goal, true, out);
        self.watch_stage();
        if self.stage == Stage::EndGame {
            self.stock.pick_under_way(ask, goal, out);
        }
    }

    /// The first bytes of a block arrive from `peer`. The owner has checked that the peer was
    /// asked, at least once: late answers are welcome.
    pub(crate) fn block_started(
        &mut self,
        peer: PeerKey,
        piece: PieceIndex,
        block: BlockIndex,
    ) -> Accept {
        let accept = self.stock.partials.change(piece, |partial| partial.start(peer, block));
        self.watch_stage();
        accept.unwrap_or(Accept::Discard)
    }

    /// All bytes of a block that was taken are here.
    pub(crate) fn block_received(
        &mut self,
        peer: PeerKey,
        piece: PieceIndex,
        block: BlockIndex,
    ) -> Received {
        let received = self.stock.partials.change(piece, |partial| partial.receive(peer, block));
        self.watch_stage();
        received.unwrap_or_default()
    }

    /// `peer` owes the block no longer: it goes to the next who asks, first of all blocks.
    pub(crate) fn release(
        &mut self,
        peer: PeerKey,
        piece: PieceIndex,
        block: BlockIndex,
        why: Release,
    ) {
        let is_end_game = self.stage == Stage::EndGame;
        let is_news = self.stock.partials.change(piece, |partial| {
            let was_held = partial.holder.take_if(|holder| *holder == peer).is_some();
            partial.release(peer, block, why) || was_held || is_end_game
        });
        self.has_new_work |= is_news == Some(true);
        self.watch_stage();
    }

    /// Releases all that a peer owes and the pieces it held for itself: it choked us or left.
    pub(crate) fn release_all(&mut self, peer: PeerKey, owed: &[(PieceIndex, BlockIndex)]) {
        // The last one released is handed out first: backwards, so that they come out rising.
        for (piece, block) in owed.iter().rev() {
            self.release(peer, *piece, *block, Release::Lost);
        }
        let held = self.stock.partials.all().iter().filter(|partial| partial.holder == Some(peer));
        for piece in held.map(|partial| partial.piece).collect::<Vec<_>>() {
            self.stock.partials.change(piece, |partial| partial.holder = None);
            self.has_new_work = true;
        }
    }

    /// The piece is verified (and durable as far as its owner cares): we have it.
    pub(crate) fn piece_passed(&mut self, piece: PieceIndex) {
        self.stock.goals.set_have(piece.as_u32(), true);
        self.stock.forget(piece);
        self.watch_stage();
    }

    /// The hash was wrong: all blocks are wanted again, from the start.
    pub(crate) fn piece_failed(&mut self, piece: PieceIndex) {
        self.abandon(piece);
    }

    /// A received block was wrong, and the others are not: it is free again, first of all blocks.
    pub(crate) fn block_failed(&mut self, piece: PieceIndex, block: BlockIndex) {
        let is_news = self.stock.partials.change(piece, |partial| partial.lose(block));
        self.has_new_work |= is_news == Some(true);
        self.watch_stage();
    }

    /// Drops a started piece, for example to make room: it is open again. What peers still owe of
    /// it is discarded when it comes.
    pub(crate) fn abandon(&mut self, piece: PieceIndex) {
        self.stock.forget(piece);
        self.watch_stage();
        self.has_new_work |= self.stock.goals.wants(piece.as_u32());
    }

    /// The started piece that is cheapest to abandon: nobody is asked for any of it, and the least
    /// is here.
    pub(crate) fn cold_piece(&self) -> Option<PieceIndex> {
        let idle = self.stock.partials.all().iter().filter(|partial| partial.is_idle());
        idle.min_by_key(|p| (p.received(), p.piece)).map(|p| p.piece)
    }

    /// Nothing that is wanted is missing.
    pub(crate) fn is_finished(&self) -> bool {
        self.stock.goals.wanted_left() == 0
    }

    /// A started piece that is not wanted any more and that nobody is asked for: it will not be
    /// finished.
    pub(crate) fn unwanted_piece(&self) -> Option<PieceIndex> {
        let idle = |partial: &&Partial| !partial.is_wanted && partial.is_idle();
        self.stock.partials.all().iter().find(idle).map(|partial| partial.piece)
    }

    /// Wanted and not had: whether a peer that gets it becomes more interesting.
    pub(crate) fn wants(&self, piece: PieceIndex) -> bool {
        self.stock.goals.wants(piece.as_u32())
    }

    /// How many pieces a peer has that we want: O(words). Owners count on from here with `wants`.
    pub(crate) fn wanted_count(&self, has: Has<'_>) -> u32 {
        match has {
            Has::All => self.stock.goals.wanted_left(),
            Has::Some(field) => (0..self.stock.goals.word_count())
                .map(|w| (self.stock.goals.wanted_word(w) & bits::word_of(field, w)).count_ones())
                .sum(),
        }
    }

    /// Whether something became possible to ask for since the last call: every peer with room in
    /// its window should get a pick.
    pub(crate) fn take_new_work(&mut self) -> bool {
        std::mem::take(&mut self.has_new_work)
    }

    /// A later stage is new work for all: it allows what the earlier one did not.
    fn watch_stage(&mut self) {
        let stage = self.stock.stage();
        self.has_new_work |= stage > self.stage;
        self.stage = stage;
    }
}

#[allow(dead_code, reason = "what tests hold against a simple picker, and the bench measures")]
impl Picker {
    pub(crate) fn set_priority(&mut self, piece: PieceIndex, priority: Priority) {
        self.set_priorities(&[(piece.as_u32()..piece.as_u32() + 1, priority)]);
    }

    /// A piece we had is gone or wrong on the disk.
    pub(crate) fn piece_lost(&mut self, piece: PieceIndex) {
        self.stock.goals.set_have(piece.as_u32(), false);
        self.stock.forget(piece);
        self.watch_stage();
        self.has_new_work |= self.stock.goals.wants(piece.as_u32());
    }

    /// Puts up to `piece_max` pieces in order after a large change. Each pick does some of it
    /// anyway; an owner with time left in its turn calls this while `is_settled` is false.
    pub(crate) fn settle(&mut self, piece_max: u32) {
        self.stock.rarity.settle(&self.stock.goals, piece_max);
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.stock.rarity.is_settled()
    }

    /// Peers that have the piece, seeds included.
    pub(crate) fn availability(&self, piece: PieceIndex) -> u32 {
        u32::from(self.stock.rarity.availability(piece.as_u32())) + self.seed_count
    }

    /// Whether a peer has anything we want: O(words), less when it has.
    pub(crate) fn is_interesting(&self, has: Has<'_>) -> bool {
        match has {
            Has::All => self.stock.goals.wanted_left() > 0,
            Has::Some(field) => (0..self.stock.goals.word_count())
                .any(|w| self.stock.goals.wanted_word(w) & bits::word_of(field, w) != 0),
        }
    }

    pub(crate) fn have_count(&self) -> u32 {
        self.stock.goals.have_count()
    }

    /// Pieces that are wanted and not had.
    pub(crate) fn wanted_left(&self) -> u32 {
        self.stock.goals.wanted_left()
    }

    pub(crate) fn partial_count(&self) -> u32 {
        self.stock.partials.all().len() as u32
    }

    /// No wanted piece is left to start, and no block is left that nobody was asked for.
    pub(crate) fn is_end_game(&self) -> bool {
        self.stage == Stage::EndGame
    }
}
