//! The pace of a shard: how much one turn may do before others must get their turn.
//!
//! Work that consists of small steps stops by the clock, which is read once in so many steps. What
//! is handed to the kernel cannot be stopped: there, what the last submissions took says how much
//! the next one may hold. On loopback a send runs inside the submission, receiver included; on a
//! real network it takes less.

use std::time::Duration;

use crate::base::limits::SEND_BLOCK_MAX;
use crate::base::limits::TURN_BUDGET;
use crate::engine::hasher::HashingLeft;

/// Blocks sent per turn at most, those of files that are read or written with them included: 2 MiB,
/// read and sent while they are in the L2.
pub(crate) const BLOCK_MAX: usize = 4 * SEND_BLOCK_MAX;
/// And at least: less than one batch of a peer would only cost more turns.
const BLOCK_MIN: usize = SEND_BLOCK_MAX;
/// What a submission may take: half of the turn, the other half decides and reads.
const SUBMISSION: Duration = TURN_BUDGET.checked_div(2).expect("two is not zero");
/// What hashing gets of a turn in any case: without, a shard that is busy receiving would fill its
/// memory with pieces that nobody judges. While some is left to be hashed the others end so much
/// earlier.
const HASHING: Duration = TURN_BUDGET.checked_div(4).expect("four is not zero");
/// Work between two looks at the clock, in blocks moved: 16 take 30 to 60 us.
pub(crate) const STEP: usize = 16;

/// What one turn of a shard may do.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Nanoseconds that the submission of a block took lately.
    block_nanos: u64,
    /// Work since the last look at the clock, in blocks.
    unseen: usize,
}

impl Pace {
    pub(crate) fn new() -> Pace {
        Pace { block_nanos: 0, unseen: 0 }
    }

    /// A submission with this many blocks took so long. Half of what is remembered is the last one,
    /// so that a single slow one is forgotten within a few turns.
    pub(crate) fn submitted(&mut self, block_count: usize, took: Duration) {
        let count = block_count.max(1) as u64;
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / count;
        self.block_nanos = self.block_nanos.midpoint(nanos);
    }

    /// Blocks that one turn may hand to the kernel.
    pub(crate) fn block_max(&self) -> usize {
        let affordable = SUBMISSION.as_nanos() as u64 / self.block_nanos.max(1);
        usize::try_from(affordable).unwrap_or(BLOCK_MAX).clamp(BLOCK_MIN, BLOCK_MAX)
    }

    /// Work was done that takes as long as moving so many blocks. True when it is time to look at
    /// the clock.
    pub(crate) fn worked(&mut self, blocks: usize) -> bool {
        self.unseen += blocks;
        let is_time = self.unseen >= STEP;
        if is_time {
            self.unseen = 0;
        }
        is_time
    }
}

/// How old a turn may be when the engine's wishes are no longer obeyed in it.
pub(crate) fn obeying(hashing: HashingLeft) -> Duration {
    if hashing == HashingLeft::Own { TURN_BUDGET - HASHING } else { TURN_BUDGET }
}

/// And when no more completions are taken: what they lead to shall have time, too.
pub(crate) fn taking(hashing: HashingLeft) -> Duration {
    obeying(hashing).saturating_sub(HASHING)
}

/// Whether hashing goes on that has taken so much of a turn of this age.
pub(crate) fn hashes_on(left: HashingLeft, age: Duration, hashed: Duration) -> bool {
    match left {
        HashingLeft::Nothing => false,
        HashingLeft::OfOthers => has_time(age),
        HashingLeft::Own => has_time(age) || hashed < HASHING,
    }
}

/// Whether a turn of this age has time for what need not be done in it.
pub(crate) fn has_time(age: Duration) -> bool {
    age < TURN_BUDGET
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::hasher::HashingLeft::OfOthers;
    use crate::engine::hasher::HashingLeft::Own;

    #[test]
    fn what_sends_took_says_how_many_go_next() {
        let mut pace = Pace::new();
        assert_eq!(pace.block_max(), BLOCK_MAX, "nothing is known yet");
        let mut submit = |block_us: u64| {
            for _ in 0..30 {
                pace.submitted(100, Duration::from_micros(100 * block_us));
            }
            pace.block_max()
        };
        assert_eq!(submit(1), BLOCK_MAX);
        assert_eq!(submit(4), 50, "some 200 us");
        assert_eq!(submit(1_000), BLOCK_MIN, "a batch goes in any case");
        assert_eq!(submit(2), 100);
    }

    /// How old a turn is at the end of its hashing that began at this age, in steps of this length.
    fn age_after(left: HashingLeft, mut age: u64, step: u64) -> u64 {
        let (began, us) = (age, Duration::from_micros);
        loop {
            age += step;
            if !hashes_on(left, us(age), us(age - began)) {
                return age;
            }
        }
    }

    #[test]
    fn hashing_takes_the_rest_of_a_turn_or_its_share_and_never_a_step_more() {
        assert_eq!(age_after(Own, 0, 30), 420, "all of the turn");
        assert_eq!(age_after(Own, 0, 500), 500, "a step that used it up is the last one");
        assert_eq!(age_after(Own, 390, 40), 510, "its share");
        assert_eq!(age_after(Own, 800, 40), 920, "and of a long turn no more than that");
        assert_eq!(age_after(Own, 390, 300), 690, "a long step is the only one");
    }

    #[test]
    fn what_others_gave_away_takes_the_rest_of_a_turn_and_has_no_share() {
        assert_eq!(age_after(OfOthers, 0, 30), 420, "all of the turn");
        assert!(!has_time(Duration::from_micros(400)), "not even a step");
    }

    #[test]
    fn what_is_left_to_be_hashed_has_its_share_before_the_turn_is_over() {
        let us = Duration::from_micros;
        for left in [HashingLeft::Nothing, OfOthers] {
            assert_eq!((taking(left), obeying(left)), (us(300), us(400)), "{left:?}");
        }
        assert_eq!((taking(Own), obeying(Own)), (us(200), us(300)));
        assert_eq!(age_after(Own, 300, 50), 400);
    }

    #[test]
    fn one_slow_submission_is_forgotten_soon() {
        let mut pace = Pace::new();
        pace.submitted(1, Duration::from_millis(20));
        assert_eq!(pace.block_max(), BLOCK_MIN);
        (0..16).for_each(|_| pace.submitted(100, Duration::from_micros(100)));
        assert_eq!(pace.block_max(), BLOCK_MAX);
    }

    #[test]
    fn the_clock_is_read_once_in_so_many_steps() {
        let mut pace = Pace::new();
        let looks = (0..160).filter(|_| pace.worked(1)).count();
        assert_eq!((looks, pace.worked(100)), (10, true));
    }
}
