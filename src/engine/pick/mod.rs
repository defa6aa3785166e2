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
mod shadow;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
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
use crate::engine::pick::ask::Received;
use crate::engine::pick::ask::Release;
use crate::engine::pick::ask::Share;
use crate::engine::pick::blocks::Partial;
use crate::engine::pick::goals::Goals;
use crate::engine::pick::partials::Partials;
use crate::engine::pick::rarity::Rarity;

/// Pieces put in order per pick while the order is unsettled: some 50 us.
const SETTLE_PER_PICK: u32 = 2048;
/// Blocks looked at per call of end game; the next call goes on behind them.
const END_GAME_EXAMINE_MAX: u32 = 4096;

/// Blocks handed out, in the order in which they should be asked for.
pub(crate) type Picks = Vec<(PieceIndex, BlockIndex)>;

/// How far the torrent is. Later stages allow more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    /// There are wanted pieces to start, or nothing is wanted.
    Start,
    /// All are started, some blocks are free: also those that a peer holds for itself may be taken.
    Finish,
    /// Every missing block is under way: others may be asked for it too.
    EndGame,
}

/// Which block is asked of which peer, for one torrent.
#[derive(Debug)]
pub(crate) struct Picker {
    layout: Layout,
    goals: Goals,
    rarity: Rarity,
    partials: Partials,
    /// Peers that have everything: they make no piece rarer than another.
    seed_count: u32,
    is_sequential: bool,
    has_new_work: bool,
    stage: Stage,
    end_game_at: usize,
}

impl Picker {
    /// Nothing had, everything wanted at the normal priority.
    pub(crate) fn new(layout: Layout) -> Picker {
        let goals = Goals::new(layout.piece_count());
        let rarity = Rarity::new(&goals);
        Picker {
            layout,
            goals,
            rarity,
            partials: Partials::default(),
            seed_count: 0,
            is_sequential: false,
            has_new_work: false,
            stage: Stage::Start,
            end_game_at: 0,
        }
    }

    /// Lowest piece first instead of rarest first, from the next pick on.
    pub(crate) fn set_sequential(&mut self, is_sequential: bool) {
        self.is_sequential = is_sequential;
    }

    /// Sets the priority of ranges of pieces; parts beyond the last piece are ignored.
    pub(crate) fn set_priorities(&mut self, runs: &[(Range<u32>, Priority)]) {
        let mut changed = 0;
        for (range, priority) in runs {
            self.goals.set_priorities(range.clone(), *priority);
            changed += u64::from(range.end.saturating_sub(range.start));
        }
        if changed <= u64::from(SETTLE_PER_PICK) {
            let pieces = runs.iter().flat_map(|(range, _)| range.clone());
            for piece in pieces.filter(|piece| *piece < self.goals.piece_count()) {
                self.rarity.place(&self.goals, piece);
            }
        } else {
            self.rarity.unsettle(&self.goals);
        }
        let started: Vec<PieceIndex> = self.partials.all().iter().map(|p| p.piece).collect();
        for piece in started {
            let is_wanted = self.goals.wants(piece.as_u32());
            self.partials.change(piece, |partial| partial.is_wanted = is_wanted);
        }
        self.has_new_work |= runs.iter().any(|(_, priority)| priority.is_wanted());
        self.watch_stage();
    }

    pub(crate) fn set_priority(&mut self, piece: PieceIndex, priority: Priority) {
        self.set_priorities(&[(piece.as_u32()..piece.as_u32() + 1, priority)]);
    }

    /// What we have, all at once, as after a resume or a check. Nothing may be started yet.
    pub(crate) fn set_have(&mut self, field: &Bitfield) {
        debug_assert!(self.partials.all().is_empty(), "pieces under way would be forgotten");
        self.goals.set_all_have(field);
        self.rarity.unsettle(&self.goals);
        self.has_new_work = true;
        self.watch_stage();
    }

    /// A peer came with these pieces: O(bits).
    pub(crate) fn peer_joined(&mut self, field: &Bitfield) {
        self.rarity.peer_joined(&self.goals, field);
    }

    /// A peer left that had these pieces by now: O(bits). What it was asked for is released
    /// separately.
    pub(crate) fn peer_left(&mut self, field: &Bitfield) {
        self.rarity.peer_left(&self.goals, field);
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
        self.rarity.peer_have(&self.goals, piece.as_u32());
    }

    /// Puts up to `piece_max` pieces in order after a large change. Each pick does some of it
    /// anyway; an owner with time left in its turn calls this while `is_settled` is false.
    pub(crate) fn settle(&mut self, piece_max: u32) {
        self.rarity.settle(&self.goals, piece_max);
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.rarity.is_settled()
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
        self.rarity.settle(&self.goals, SETTLE_PER_PICK);
        let goal = out.len() + ask.want;
        self.pick_started(ask, goal, false, out);
        self.pick_new(ask, goal, may_start, rng, out);
        self.pick_started(ask, goal, true, out);
        self.watch_stage();
        if self.stage == Stage::EndGame {
            self.pick_under_way(ask, goal, out);
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
        let accept = self.partials.change(piece, |partial| partial.start(peer, block));
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
        let received = self.partials.change(piece, |partial| partial.receive(peer, block));
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
        let is_news = self.partials.change(piece, |partial| {
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
        let held = self.partials.all().iter().filter(|partial| partial.holder == Some(peer));
        for piece in held.map(|partial| partial.piece).collect::<Vec<_>>() {
            self.partials.change(piece, |partial| partial.holder = None);
            self.has_new_work = true;
        }
    }

    /// The piece is verified (and durable as far as its owner cares): we have it.
    pub(crate) fn piece_passed(&mut self, piece: PieceIndex) {
        self.goals.set_have(piece.as_u32(), true);
        self.forget(piece);
    }

    /// The hash was wrong: all blocks are wanted again, from the start.
    pub(crate) fn piece_failed(&mut self, piece: PieceIndex) {
        self.abandon(piece);
    }

    /// Drops a started piece, for example to make room: it is open again. What peers still owe of
    /// it is discarded when it comes.
    pub(crate) fn abandon(&mut self, piece: PieceIndex) {
        self.forget(piece);
        self.has_new_work |= self.goals.wants(piece.as_u32());
    }

    /// A piece we had is gone or wrong on the disk.
    pub(crate) fn piece_lost(&mut self, piece: PieceIndex) {
        self.goals.set_have(piece.as_u32(), false);
        self.forget(piece);
        self.has_new_work |= self.goals.wants(piece.as_u32());
    }

    /// The started piece that is cheapest to abandon: nobody is asked for any of it, and the least
    /// is here.
    pub(crate) fn cold_piece(&self) -> Option<PieceIndex> {
        let idle = self.partials.all().iter().filter(|partial| partial.is_idle());
        idle.min_by_key(|p| (p.received(), p.piece)).map(|p| p.piece)
    }

    pub(crate) fn has(&self, piece: PieceIndex) -> bool {
        self.goals.has(piece.as_u32())
    }

    /// Wanted and not had: whether a peer that gets it becomes more interesting.
    pub(crate) fn wants(&self, piece: PieceIndex) -> bool {
        self.goals.wants(piece.as_u32())
    }

    pub(crate) fn priority(&self, piece: PieceIndex) -> Priority {
        self.goals.priority(piece.as_u32())
    }

    /// Peers that have the piece, seeds included.
    pub(crate) fn availability(&self, piece: PieceIndex) -> u32 {
        u32::from(self.rarity.availability(piece.as_u32())) + self.seed_count
    }

    /// How many pieces a peer has that we want: O(words). Owners count on from here with `wants`.
    pub(crate) fn wanted_count(&self, has: Has<'_>) -> u32 {
        match has {
            Has::All => self.goals.wanted_left(),
            Has::Some(field) => (0..self.goals.word_count())
                .map(|w| (self.goals.wanted_word(w) & bits::word_of(field, w)).count_ones())
                .sum(),
        }
    }

    /// Whether a peer has anything we want: O(words), less when it has.
    pub(crate) fn is_interesting(&self, has: Has<'_>) -> bool {
        match has {
            Has::All => self.goals.wanted_left() > 0,
            Has::Some(field) => (0..self.goals.word_count())
                .any(|w| self.goals.wanted_word(w) & bits::word_of(field, w) != 0),
        }
    }

    pub(crate) fn have_count(&self) -> u32 {
        self.goals.have_count()
    }

    /// Pieces that are wanted and not had.
    pub(crate) fn wanted_left(&self) -> u32 {
        self.goals.wanted_left()
    }

    pub(crate) fn partial_count(&self) -> u32 {
        self.partials.all().len() as u32
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.goals.wanted_left() == 0
    }

    /// No wanted piece is left to start, and no block is left that nobody was asked for.
    pub(crate) fn is_end_game(&self) -> bool {
        self.stage == Stage::EndGame
    }

    /// Whether something became possible to ask for since the last call: every peer with room in
    /// its window should get a pick.
    pub(crate) fn take_new_work(&mut self) -> bool {
        std::mem::take(&mut self.has_new_work)
    }

    /// Free blocks of started pieces. With `even_leftovers` also blocks that this peer itself was
    /// late with and, when nothing is left to start, pieces that others hold for themselves.
    fn pick_started(&mut self, ask: &Ask<'_>, goal: usize, even_leftovers: bool, out: &mut Picks) {
        if out.len() >= goal || self.partials.open().is_empty() {
            return;
        }
        let may_intrude = even_leftovers && self.goals.open_count() == 0;
        let is_fit = |partial: &&Partial| {
            let is_ours = match (ask.share, partial.holder) {
                (_, Some(holder)) => holder == ask.peer,
                (Share::Shared, None) => true,
                (Share::Whole, None) => false,
            };
            ask.allows(partial.piece)
                && (is_ours || may_intrude)
                && (even_leftovers || partial.has_free_for(ask.peer))
        };
        let fit = self.partials.open().iter().filter(is_fit);
        let mut fit: Vec<_> = fit.map(|p| (self.started_rank(p, ask.peer), p.piece)).collect();
        let need = goal - out.len();
        if fit.len() > need {
            fit.select_nth_unstable(need);
            fit.truncate(need);
        }
        fit.sort_unstable();
        for (_, piece) in fit {
            if out.len() >= goal {
                return;
            }
            self.partials.change(piece, |partial| {
                if partial.holder.is_some_and(|holder| holder != ask.peer) {
                    partial.holder = None;
                }
                partial.hand_out(ask.peer, goal - out.len(), even_leftovers, out);
            });
        }
    }

    /// Priority, then (sequential) the lowest, else released blocks, the most complete and the
    /// rarest.
    fn started_rank(&self, partial: &Partial, peer: PeerKey) -> impl Ord + use<> {
        let piece = partial.piece.as_u32();
        let priority = Reverse(self.goals.priority(piece));
        if self.is_sequential {
            return (priority, piece, false, 0, 0);
        }
        let is_fresh = !partial.has_released_for(peer);
        (priority, 0, is_fresh, partial.missing(), self.rarity.availability(piece))
    }

    fn pick_new(
        &mut self,
        ask: &Ask<'_>,
        goal: usize,
        may_start: &mut dyn FnMut(PieceIndex) -> bool,
        rng: &mut Rng,
        out: &mut Picks,
    ) {
        let mut chosen = Vec::new();
        while out.len() < goal && self.goals.open_count() > 0 {
            self.choose_new(ask, goal - out.len(), rng, &mut chosen);
            if chosen.is_empty() {
                return;
            }
            for raw in chosen.drain(..) {
                let Ok(piece) = self.layout.piece(raw) else { continue };
                if out.len() >= goal || !may_start(piece) {
                    return;
                }
                self.start(piece, ask, goal, out);
            }
        }
    }

    /// Open pieces for about `want` blocks, the best first.
    fn choose_new(&mut self, ask: &Ask<'_>, want: usize, rng: &mut Rng, chosen: &mut Vec<u32>) {
        if let Some(only) = ask.only {
            let open = only.iter().map(|piece| piece.as_u32());
            chosen.extend(open.filter(|p| self.goals.is_open(*p) && ask.has.has(*p)));
            chosen.sort_by_key(|p| (self.rarity.rank(&self.goals, *p).sort_key(), *p));
            chosen.dedup();
            return;
        }
        let count = want.div_ceil(self.layout.block_count_max().max(1) as usize);
        if self.is_sequential {
            rarity::lowest(&mut self.goals, ask.has, count, chosen);
        } else {
            self.rarity.rarest(&self.goals, ask.has, count, rng, chosen);
        }
    }

    fn start(&mut self, piece: PieceIndex, ask: &Ask<'_>, goal: usize, out: &mut Picks) {
        self.goals.set_started(piece.as_u32(), true);
        self.rarity.place(&self.goals, piece.as_u32());
        let holder = (ask.share == Share::Whole).then_some(ask.peer);
        let mut partial = Partial::new(piece, self.layout.block_count(piece), holder);
        partial.hand_out(ask.peer, goal - out.len(), true, out);
        self.partials.insert(partial);
    }

    /// End game: blocks that others were asked for, the fewest askers first.
    fn pick_under_way(&mut self, ask: &Ask<'_>, goal: usize, out: &mut Picks) {
        let all = self.partials.all();
        let start = self.end_game_at.min(all.len());
        let mut examined = 0;
        let mut found = Vec::new();
        for (at, partial) in (start..).zip(&all[start..]).chain((0..).zip(&all[..start])) {
            if examined >= END_GAME_EXAMINE_MAX {
                self.end_game_at = at;
                break;
            }
            if partial.asked() == 0 || !partial.is_wanted || !ask.allows(partial.piece) {
                continue;
            }
            examined += partial.block_count();
            let blocks = (0..partial.block_count()).map(BlockIndex);
            let may = blocks.filter(|block| partial.may_ask_again(ask.peer, *block));
            found.extend(may.map(|b| (partial.askers(b).len(), partial.piece, b)));
        }
        found.sort_unstable();
        for (_, piece, block) in found.into_iter().take(goal.saturating_sub(out.len())) {
            if self.partials.change(piece, |partial| partial.ask_again(ask.peer, block))
                == Some(true)
            {
                out.push((piece, block));
            }
        }
    }

    /// The piece is no longer started: it is open if it is wanted and not had.
    fn forget(&mut self, piece: PieceIndex) {
        self.partials.remove(piece);
        self.goals.set_started(piece.as_u32(), false);
        self.rarity.place(&self.goals, piece.as_u32());
        self.watch_stage();
    }

    /// A later stage is new work for all: it allows what the earlier one did not.
    fn watch_stage(&mut self) {
        let stage = if self.goals.open_count() > 0 || self.goals.wanted_left() == 0 {
            Stage::Start
        } else if self.partials.open().is_empty() {
            Stage::EndGame
        } else {
            Stage::Finish
        };
        self.has_new_work |= stage > self.stage;
        self.stage = stage;
    }
}
