//! How a seeding peer behaves, and which of many does so.

/// What a peer does with requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manner {
    /// Answers them.
    Honest,
    /// Answers with a wrong byte in every block.
    Corrupts,
    /// Takes them and says nothing.
    Stalls,
}

/// Shares of peers, from 0 to 1, that are not honest.
#[derive(Clone, Copy)]
pub(crate) struct Manners {
    pub(crate) corrupt: f64,
    pub(crate) stall: f64,
}

impl Manners {
    /// Whether nobody is dishonest.
    pub(crate) fn are_honest(&self) -> bool {
        self.corrupt == 0.0 && self.stall == 0.0
    }

    /// The manner of peer `number`. The dishonest are spread evenly; a share above 0 has one at
    /// least, the first.
    pub(crate) fn of(&self, number: usize) -> Manner {
        let before = up_to(self.corrupt, number);
        if up_to(self.corrupt, number + 1) > before {
            return Manner::Corrupts;
        }
        // Among those that do not corrupt, of whom so many went before.
        let number = number - before;
        let rest = (1.0 - self.corrupt).max(f64::MIN_POSITIVE);
        let share = (self.stall / rest).min(1.0);
        if up_to(share, number + 1) > up_to(share, number) {
            return Manner::Stalls;
        }
        Manner::Honest
    }
}

/// How many of the first `count` belong to a share, rounded up.
fn up_to(share: f64, count: usize) -> usize {
    // Shares are written with few digits: 0.07 of 100 are 7, whatever the last bit says.
    (share * count as f64 - 1e-9).ceil().max(0.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(corrupt: f64, stall: f64, count: usize) -> String {
        let manners = Manners { corrupt, stall };
        let letter = |number| match manners.of(number) {
            Manner::Honest => '.',
            Manner::Corrupts => 'c',
            Manner::Stalls => 's',
        };
        (0..count).map(letter).collect()
    }

    #[test]
    fn shares_are_spread_and_rounded_up() {
        assert_eq!(drawn(0.0, 0.0, 5), ".....");
        assert_eq!(drawn(0.01, 0.0, 5), "c....");
        assert_eq!(drawn(0.0, 0.2, 10), "s....s....");
        assert_eq!(drawn(0.5, 0.5, 6), "cscscs");
        assert_eq!(drawn(1.0, 1.0, 3), "ccc");
        assert_eq!(drawn(0.07, 0.0, 100).matches('c').count(), 7);
        let both = drawn(0.2, 0.3, 100);
        assert_eq!((both.matches('c').count(), both.matches('s').count()), (20, 30));
    }
}
