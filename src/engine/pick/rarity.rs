//! Which pieces to start: availability, the order kept by it, and walks that are bounded per call.
//!
//! One changed piece moves at once. A change of very many (a bitfield of a million bits, priorities
//! of everything) only marks the order as unsettled; slices of later calls put it right. Until then
//! the order is a hint: what it names is checked, and what it misses is found by a walk over words.

use crate::base::bitfield::Bitfield;
use crate::base::rng::Rng;
use crate::engine::pick::ask::Has;
use crate::engine::pick::bits;
use crate::engine::pick::goals::Goals;
use crate::engine::pick::order::Order;
use crate::engine::pick::order::Rank;

/// Bits of a bitfield that move at once; more are left to slices, 10 us for 1,024 pieces.
const MOVES_MAX: u32 = 1024;
/// Pieces looked at in the order per call; then the walk over words decides.
const EXAMINE_MAX: u32 = 1024;
/// Peers that have less than one piece in so many go straight to the walk over words.
const SPARSE: u32 = 64;
/// Pieces that a walk over words compares.
const SAMPLE: usize = 64;

/// The bits of each byte, first piece first: eight counts change at once.
static BITS: [[u16; 8]; 256] = spread();

/// How rare pieces are among the peers that do not have everything.
#[derive(Debug)]
pub(crate) struct Rarity {
    availability: Vec<u16>,
    order: Order,
    /// The next word to put in order, and how many are left.
    sweep_at: usize,
    sweep_left: usize,
}

impl Rarity {
    pub(crate) fn new(goals: &Goals) -> Rarity {
        Rarity {
            availability: vec![0; goals.piece_count() as usize],
            order: Order::new(goals.piece_count()),
            sweep_at: 0,
            sweep_left: goals.word_count(),
        }
    }

    pub(crate) fn peer_joined(&mut self, goals: &Goals, field: &Bitfield) {
        self.recount(goals, field, u16::saturating_add);
    }

    pub(crate) fn peer_left(&mut self, goals: &Goals, field: &Bitfield) {
        self.recount(goals, field, u16::saturating_sub);
    }

    pub(crate) fn peer_have(&mut self, goals: &Goals, piece: u32) {
        let count = &mut self.availability[piece as usize];
        *count = count.saturating_add(1);
        self.place(goals, piece);
    }

    pub(crate) fn availability(&self, piece: u32) -> u16 {
        self.availability[piece as usize]
    }

    pub(crate) fn rank(&self, goals: &Goals, piece: u32) -> Rank {
        Rank { priority: goals.priority(piece), availability: self.availability(piece) }
    }

    /// Tells the order where `piece` stands now.
    pub(crate) fn place(&mut self, goals: &Goals, piece: u32) {
        let rank = goals.is_open(piece).then(|| self.rank(goals, piece));
        self.order.put(piece, rank);
    }

    /// Everything may have moved.
    pub(crate) fn unsettle(&mut self, goals: &Goals) {
        self.sweep_left = goals.word_count();
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.sweep_left == 0
    }

    /// Puts up to `piece_max` pieces (rounded up to 64) in order.
    pub(crate) fn settle(&mut self, goals: &Goals, piece_max: u32) {
        let words = self.sweep_left.min(piece_max.div_ceil(64) as usize);
        for _ in 0..words {
            let first = self.sweep_at as u32 * 64;
            for piece in first..(first + 64).min(goals.piece_count()) {
                self.place(goals, piece);
            }
            self.sweep_at = (self.sweep_at + 1) % goals.word_count();
        }
        self.sweep_left -= words;
    }

    /// Up to `count` open pieces that `has`, rarest first, random among equals. Never empty when
    /// there is one. Exact while settled and found within `EXAMINE_MAX`; otherwise the best of a
    /// random sample.
    pub(crate) fn rarest(
        &self,
        goals: &Goals,
        has: Has<'_>,
        count: usize,
        rng: &mut Rng,
        out: &mut Vec<u32>,
    ) {
        let sparse_max = goals.piece_count() / SPARSE;
        let is_sparse = matches!(has, Has::Some(field) if field.count_ones() < sparse_max);
        if !is_sparse && self.walk_order(goals, has, count, rng, out) && self.is_settled() {
            return;
        }
        if out.len() < count {
            self.walk_words(goals, has, count, rng, out);
        }
    }

    /// True if nothing of the order was left out.
    fn walk_order(
        &self,
        goals: &Goals,
        has: Has<'_>,
        count: usize,
        rng: &mut Rng,
        out: &mut Vec<u32>,
    ) -> bool {
        let mut examined = 0;
        let mut is_all = true;
        for (availability, bucket) in self.order.buckets() {
            // A peer whose pieces are counted has none of these; if it does, the words know.
            if availability == 0 && matches!(has, Has::Some(_)) {
                is_all = false;
                continue;
            }
            let start = rng.below(bucket.len() as u64) as usize;
            for piece in bucket[start..].iter().chain(&bucket[..start]) {
                if out.len() >= count || examined >= EXAMINE_MAX {
                    return false;
                }
                examined += 1;
                if has.has(*piece) && goals.is_open(*piece) {
                    out.push(*piece);
                }
            }
        }
        is_all
    }

    /// Adds the best of a sample, taken from a random place on, to what `out` holds.
    fn walk_words(
        &self,
        goals: &Goals,
        has: Has<'_>,
        count: usize,
        rng: &mut Rng,
        out: &mut Vec<u32>,
    ) {
        let start = rng.below(goals.word_count() as u64) as usize;
        let sample_max = SAMPLE.max(count);
        let mut sample = Vec::with_capacity(sample_max);
        for word in (start..goals.word_count()).chain(0..start) {
            let open = goals.open_word(word) & has_word(has, word);
            if open == 0 {
                continue;
            }
            sample.extend(bits::pieces_of(word, open).filter(|piece| !out.contains(piece)));
            if sample.len() >= sample_max {
                break;
            }
        }
        sample.sort_by_key(|piece| self.rank(goals, *piece).sort_key());
        sample.truncate(count - out.len());
        out.append(&mut sample);
    }

    /// Changes the counts of the pieces in `field` by one.
    fn recount(&mut self, goals: &Goals, field: &Bitfield, change: impl Fn(u16, u16) -> u16) {
        if field.count_ones() == 0 {
            // Many come with nothing and leave with nothing.
            return;
        }
        let (eights, rest) = self.availability.as_chunks_mut::<8>();
        let bytes = field.as_wire();
        for (eight, byte) in eights.iter_mut().zip(bytes).filter(|(_, byte)| **byte != 0) {
            let bits = &BITS[usize::from(*byte)];
            *eight = std::array::from_fn(|at| change(eight[at], bits[at]));
        }
        if let Some(last) = bytes.get(eights.len()) {
            let bits = BITS[usize::from(*last)];
            rest.iter_mut().zip(bits).for_each(|(count, bit)| *count = change(*count, bit));
        }
        self.moved(goals, field);
    }

    fn moved(&mut self, goals: &Goals, field: &Bitfield) {
        if field.count_ones() > MOVES_MAX {
            return self.unsettle(goals);
        }
        for piece in field.iter_ones().take_while(|piece| *piece < goals.piece_count()) {
            self.place(goals, piece);
        }
    }
}

const fn spread() -> [[u16; 8]; 256] {
    let mut bits = [[0; 8]; 256];
    let mut at = 0;
    while at < 256 * 8 {
        bits[at / 8][at % 8] = (at as u16 / 8) >> (7 - at % 8) & 1;
        at += 1;
    }
    bits
}

/// Up to `count` open pieces that `has`, by priority, then rising.
pub(crate) fn lowest(goals: &mut Goals, has: Has<'_>, count: usize, out: &mut Vec<u32>) {
    let first = goals.first_open_word();
    for level in (1..8).rev().filter(|level| goals.open_at_level(*level) > 0) {
        for word in first..goals.word_count() {
            let open = goals.open_level_word(word, level) & has_word(has, word);
            out.extend(bits::pieces_of(word, open));
            if out.len() >= count {
                return out.truncate(count);
            }
        }
    }
}

fn has_word(has: Has<'_>, word: usize) -> u64 {
    match has {
        Has::All => u64::MAX,
        Has::Some(field) => bits::word_of(field, word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::Priority;

    fn rarest(rarity: &Rarity, goals: &Goals, has: Has<'_>, count: usize) -> Vec<u32> {
        let mut out = Vec::new();
        rarity.rarest(goals, has, count, &mut Rng::new(1), &mut out);
        out
    }

    #[test]
    fn an_unsettled_order_hides_nothing() {
        let mut goals = Goals::new(100_000);
        let mut rarity = Rarity::new(&goals);
        assert_eq!(rarest(&rarity, &goals, Has::All, 3).len(), 3, "before anything is in order");
        rarity.settle(&goals, u32::MAX);
        goals.set_priorities(0..100_000, Priority::SKIP);
        goals.set_priorities(77_777..77_779, Priority::HIGHEST);
        rarity.unsettle(&goals);
        let mut found = rarest(&rarity, &goals, Has::All, 3);
        found.sort_unstable();
        assert_eq!(found, [77_777, 77_778]);
    }

    #[test]
    fn a_peer_with_one_wanted_piece_among_many_useless_ones_is_found_out() {
        let mut goals = Goals::new(100_000);
        let mut field = Bitfield::zeros(100_000);
        for piece in 0..50_000 {
            field.set(piece);
        }
        goals.set_all_have(&field);
        field.set(99_000);
        let mut rarity = Rarity::new(&goals);
        rarity.peer_joined(&goals, &field);
        rarity.settle(&goals, u32::MAX);
        assert_eq!(rarest(&rarity, &goals, Has::Some(&field), 5), [99_000]);
    }

    #[test]
    fn slices_settle_in_the_end_whatever_their_size() {
        let mut goals = Goals::new(1000);
        let mut rarity = Rarity::new(&goals);
        let mut calls = 0;
        while !rarity.is_settled() {
            rarity.settle(&goals, 100);
            calls += 1;
        }
        assert_eq!(calls, 8);
        goals.set_have(4, true);
        rarity.place(&goals, 4);
        assert_eq!(rarest(&rarity, &goals, Has::All, 2000).len(), 999);
    }
}
