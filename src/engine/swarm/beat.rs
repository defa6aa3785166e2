//! A walk over all slots of peers, some at a time: what is done for thousands must not be one
//! turn's work.

use std::ops::Range;

/// Where the walk is. It goes round: who is asked to begin again and again passes everybody all the
/// same.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beat {
    at: u32,
    left: u32,
}

impl Beat {
    /// Over all slots below `bound`, from where the last walk was left.
    pub(crate) fn begin(&mut self, bound: u32) {
        self.left = bound;
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// The next slots, at most `max`; `bound` is what it is by now, and never falls. Empty when the
    /// walk is over.
    pub(crate) fn next(&mut self, bound: u32, max: u32) -> Range<u32> {
        if self.at >= bound {
            self.at = 0;
        }
        let count = max.min(self.left).min(bound - self.at);
        let slots = self.at..self.at + count;
        self.at += count;
        self.left = if bound == 0 { 0 } else { self.left - count };
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(beat: &mut Beat, bound: u32, max: u32) -> Vec<Range<u32>> {
        let mut all = Vec::new();
        while !beat.is_over() {
            all.push(beat.next(bound, max));
        }
        all
    }

    #[test]
    fn every_slot_is_passed_once_and_few_at_once_from_the_first_on() {
        let mut beat = Beat::default();
        assert!(beat.is_over() && beat.next(7, 3).is_empty());
        beat.begin(0);
        assert!(walked(&mut beat, 0, 3).is_empty());
        for _ in 0..2 {
            beat.begin(7);
            assert_eq!(walked(&mut beat, 7, 3), [0..3, 3..6, 6..7]);
        }
    }

    #[test]
    fn a_walk_that_always_begins_again_passes_everybody() {
        let mut beat = Beat::default();
        let mut seen = Vec::new();
        for _ in 0..5 {
            beat.begin(10);
            seen.extend(beat.next(10, 2));
        }
        assert_eq!(seen, (0..10).collect::<Vec<u32>>());
        assert_eq!(walked(&mut beat, 10, 5), [0..5, 5..8], "what was left of it");
    }
}
