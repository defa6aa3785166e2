//! Budgets: counted allowances with an owner.

/// An allowance of `max` units, of which `used` are taken. Never above `max`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    used: u64,
    max: u64,
}

impl Budget {
    pub(crate) fn new(max: u64) -> Budget {
        Budget { used: 0, max }
    }

    /// Takes `amount` or nothing.
    #[must_use]
    pub(crate) fn take(&mut self, amount: u64) -> bool {
        let fits = amount <= self.max.saturating_sub(self.used);
        if fits {
            self.used += amount;
        }
        fits
    }

    /// Gives back what was taken.
    pub(crate) fn give_back(&mut self, amount: u64) {
        debug_assert!(amount <= self.used, "more given back than was taken");
        self.used = self.used.saturating_sub(amount);
    }

    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    pub(crate) fn left(&self) -> u64 {
        self.max.saturating_sub(self.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_budget_says_no_and_takes_nothing() {
        let mut budget = Budget::new(10);
        assert!(budget.take(7) && !budget.take(4) && budget.take(3));
        budget.give_back(5);
        assert_eq!((budget.used(), budget.left(), budget.max()), (5, 5, 10));
    }
}
