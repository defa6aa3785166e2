//! A walk over all slots of peers, some at a time: what is done for thousands must not be one
//! turn's work.

use std::ops::Range;

/// Where the walk is. It goes round: who is asked to begin again and again passes everybody all the
/// same.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sweep {
    at: u32,
    left: u32,
}

impl Sweep {
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

    fn walked(sweep: &mut Sweep, bound: u32, max: u32) -> Vec<Range<u32>> {
        let mut all = Vec::new();
        while !sweep.is_over() {
            all.push(sweep.next(bound, max));
        }
        all
    }

    #[test]
    fn every_slot_is_passed_once_and_few_at_once_from_the_first_on() {
        let mut sweep = Sweep::default();
        assert!(sweep.is_over() && sweep.next(7, 3).is_empty());
        sweep.begin(0);
        assert!(walked(&mut sweep, 0, 3).is_empty());
        for _ in 0..2 {
            sweep.begin(7);
            assert_eq!(walked(&mut sweep, 7, 3), [0..3, 3..6, 6..7]);
        }
    }

    #[test]
    fn a_walk_that_always_begins_again_passes_everybody() {
        let mut sweep = Sweep::default();
        let mut seen = Vec::new();
        for _ in 0..5 {
            sweep.begin(10);
            seen.extend(sweep.next(10, 2));
        }
        assert_eq!(seen, (0..10).collect::<Vec<u32>>());
        assert_eq!(walked(&mut sweep, 10, 5), [0..5, 5..8], "what was left of it");
    }
}
