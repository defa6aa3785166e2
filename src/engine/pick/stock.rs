//! What there is to hand out, and how it is chosen.

use std::cmp::Reverse;

use crate::base::ids::BlockIndex;
use crate::base::ids::PieceIndex;
use crate::base::rng::Rng;
use crate::content::layout::Layout;
use crate::engine::pick::ask::Ask;
use crate::engine::pick::ask::PeerKey;
use crate::engine::pick::ask::Picks;
use crate::engine::pick::ask::Share;
use crate::engine::pick::blocks::Partial;
use crate::engine::pick::goals::Goals;
use crate::engine::pick::partials::Partials;
use crate::engine::pick::rarity;
use crate::engine::pick::rarity::Rarity;

/// Blocks looked at per call of end game; the next call goes on behind them.
const END_GAME_EXAMINE_MAX: u32 = 4096;

/// How far the torrent is. Later stages allow more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Stage {
    /// There are wanted pieces to start, or nothing is wanted.
    Start,
    /// All are started, some blocks are free: also those that a peer holds for itself may be taken.
    Finish,
    /// Every missing block is under way: others may be asked for it too.
    EndGame,
}

/// Goals, rarity and started pieces of one torrent.
#[derive(Debug)]
pub(crate) struct Stock {
    pub(crate) layout: Layout,
    pub(crate) goals: Goals,
    pub(crate) rarity: Rarity,
    pub(crate) partials: Partials,
    pub(crate) is_sequential: bool,
    end_game_at: usize,
}

impl Stock {
    pub(crate) fn new(layout: Layout) -> Stock {
        let goals = Goals::new(layout.piece_count());
        let rarity = Rarity::new(&goals);
        let partials = Partials::default();
        Stock { layout, goals, rarity, partials, is_sequential: false, end_game_at: 0 }
    }

    pub(crate) fn stage(&self) -> Stage {
        if self.goals.open_count() > 0 || self.goals.wanted_left() == 0 {
            Stage::Start
        } else if self.partials.open().is_empty() {
            Stage::EndGame
        } else {
            Stage::Finish
        }
    }

    /// The piece is no longer started: it is open if it is wanted and not had.
    pub(crate) fn forget(&mut self, piece: PieceIndex) {
        self.partials.remove(piece);
        self.goals.set_started(piece.as_u32(), false);
        self.rarity.place(&self.goals, piece.as_u32());
    }

    /// Free blocks of started pieces. With `even_leftovers` also blocks that this peer itself was
    /// late with and, when nothing is left to start, pieces that others hold for themselves.
    pub(crate) fn pick_started(
        &mut self,
        ask: &Ask<'_>,
        goal: usize,
        even_leftovers: bool,
        out: &mut Picks,
    ) {
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

    pub(crate) fn pick_new(
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

    /// End game: blocks that others were asked for, the fewest askers first.
    pub(crate) fn pick_under_way(&mut self, ask: &Ask<'_>, goal: usize, out: &mut Picks) {
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
}
