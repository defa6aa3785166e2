//! What we have, want and have started, as words, with every count kept by the way.
//!
//! A priority is three bits, each in a plane of its own: setting it on a range costs words, not
//! pieces.

use std::ops::Range;

use crate::base::bitfield::Bitfield;
use crate::base::ids::Priority;
use crate::engine::pick::bits;

/// Goals of one torrent. "Open" is a piece that is wanted, not had and not started.
#[derive(Debug)]
pub(crate) struct Goals {
    piece_count: u32,
    have: Vec<u64>,
    started: Vec<u64>,
    planes: [Vec<u64>; 3],
    open_by_level: [u32; 8],
    have_count: u32,
    wanted_left: u32,
    /// No word below this one has an open piece: sequential walks start here.
    low: usize,
}

impl Goals {
    /// Nothing had, everything wanted at the normal priority.
    pub(crate) fn new(piece_count: u32) -> Goals {
        let zeros = vec![0; piece_count.div_ceil(64) as usize];
        let mut goals = Goals {
            piece_count,
            have: zeros.clone(),
            started: zeros.clone(),
            planes: [zeros.clone(), zeros.clone(), zeros],
            open_by_level: [0; 8],
            have_count: 0,
            wanted_left: 0,
            low: 0,
        };
        goals.set_priorities(0..piece_count, Priority::NORMAL);
        goals
    }

    pub(crate) fn set_priorities(&mut self, range: Range<u32>, priority: Priority) {
        let range = range.start..range.end.min(self.piece_count);
        for (word, mask) in bits::masks(range) {
            self.change(word, |goals| {
                for (bit, plane) in goals.planes.iter_mut().enumerate() {
                    let on = priority.as_u8() >> bit & 1 == 1;
                    plane[word] = if on { plane[word] | mask } else { plane[word] & !mask };
                }
            });
        }
    }

    pub(crate) fn set_have(&mut self, piece: u32, is_had: bool) {
        let (word, mask) = bits::place(piece);
        self.change(word, |goals| write(&mut goals.have[word], mask, is_had));
    }

    /// Replaces all of what we have.
    pub(crate) fn set_all_have(&mut self, field: &Bitfield) {
        for word in 0..self.word_count() {
            self.change(word, |goals| goals.have[word] = bits::word_of(field, word));
        }
    }

    pub(crate) fn set_started(&mut self, piece: u32, is_started: bool) {
        let (word, mask) = bits::place(piece);
        self.change(word, |goals| write(&mut goals.started[word], mask, is_started));
    }

    pub(crate) fn piece_count(&self) -> u32 {
        self.piece_count
    }

    pub(crate) fn word_count(&self) -> usize {
        self.have.len()
    }

    pub(crate) fn have_count(&self) -> u32 {
        self.have_count
    }

    /// Pieces that are wanted and not had, started ones included.
    pub(crate) fn wanted_left(&self) -> u32 {
        self.wanted_left
    }

    pub(crate) fn open_count(&self) -> u32 {
        self.open_by_level.iter().sum()
    }

    pub(crate) fn open_at_level(&self, level: u8) -> u32 {
        self.open_by_level[usize::from(level)]
    }

    pub(crate) fn wants(&self, piece: u32) -> bool {
        let (word, mask) = bits::place(piece);
        self.wanted_word(word) & mask != 0
    }

    pub(crate) fn is_open(&self, piece: u32) -> bool {
        let (word, mask) = bits::place(piece);
        self.open_word(word) & mask != 0
    }

    pub(crate) fn priority(&self, piece: u32) -> Priority {
        let (word, mask) = bits::place(piece);
        let bit = |plane: usize| u8::from(self.planes[plane][word] & mask != 0) << plane;
        Priority::new(bit(0) | bit(1) | bit(2)).unwrap_or(Priority::NORMAL)
    }

    /// Wanted and not had.
    pub(crate) fn wanted_word(&self, word: usize) -> u64 {
        self.priority_word(word) & !self.have[word]
    }

    pub(crate) fn open_word(&self, word: usize) -> u64 {
        self.wanted_word(word) & !self.started[word]
    }

    /// The open pieces of one priority, 1 to 7.
    pub(crate) fn open_level_word(&self, word: usize, level: u8) -> u64 {
        self.open_word(word) & self.level_mask(word, level)
    }

    /// The first word that may have open pieces.
    pub(crate) fn first_open_word(&mut self) -> usize {
        while self.low < self.word_count() && self.open_word(self.low) == 0 {
            self.low += 1;
        }
        self.low
    }

    fn level_mask(&self, word: usize, level: u8) -> u64 {
        let plane = |at: usize| {
            let bits = self.planes[at][word];
            if level >> at & 1 == 1 { bits } else { !bits }
        };
        plane(0) & plane(1) & plane(2)
    }

    fn priority_word(&self, word: usize) -> u64 {
        self.planes[0][word] | self.planes[1][word] | self.planes[2][word]
    }

    /// Every change goes through here: the counts of its word leave before and come back after.
    fn change(&mut self, word: usize, how: impl FnOnce(&mut Goals)) {
        self.tally(word, u32::wrapping_sub);
        how(self);
        self.tally(word, u32::wrapping_add);
        if self.open_word(word) != 0 {
            self.low = self.low.min(word);
        }
    }

    fn tally(&mut self, word: usize, count: fn(u32, u32) -> u32) {
        self.have_count = count(self.have_count, self.have[word].count_ones());
        self.wanted_left = count(self.wanted_left, self.wanted_word(word).count_ones());
        // Most words hold one priority or two: levels that are not there are not counted.
        let mut left = self.open_word(word);
        let mut level = 7;
        while left != 0 && level > 0 {
            let open = left & self.level_mask(word, level);
            if open != 0 {
                let sum = &mut self.open_by_level[usize::from(level)];
                *sum = count(*sum, open.count_ones());
                left &= !open;
            }
            level -= 1;
        }
    }
}

fn write(bits: &mut u64, mask: u64, on: bool) {
    *bits = if on { *bits | mask } else { *bits & !mask };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_follow_every_change() {
        let mut goals = Goals::new(130);
        assert_eq!((goals.wanted_left(), goals.open_count(), goals.have_count()), (130, 130, 0));
        goals.set_priorities(60..200, Priority::HIGHEST);
        assert_eq!((goals.open_at_level(4), goals.open_at_level(7)), (60, 70));
        goals.set_priorities(0..10, Priority::SKIP);
        goals.set_have(3, true);
        goals.set_have(64, true);
        goals.set_started(65, true);
        assert_eq!((goals.wanted_left(), goals.open_count(), goals.have_count()), (119, 118, 2));
        assert_eq!(goals.priority(64), Priority::HIGHEST);
        assert_eq!(goals.priority(9), Priority::SKIP);
        goals.set_have(64, false);
        assert!(goals.wants(64) && goals.wants(65) && !goals.is_open(65) && !goals.wants(9));
    }

    #[test]
    fn the_first_open_word_moves_both_ways() {
        let mut goals = Goals::new(200);
        goals.set_priorities(0..150, Priority::SKIP);
        assert_eq!(goals.first_open_word(), 2);
        goals.set_priorities(70..71, Priority::NORMAL);
        assert_eq!(goals.first_open_word(), 1);
    }
}
