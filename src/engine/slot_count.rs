//! How many peers a seed serves at once: as many as its bandwidth gives a fair rate to.
//!
//! A slot costs next to nothing where there is bandwidth, and a peer without one waits for minutes.
//! Where bandwidth is short, few peers that are served well pass more on to others than many that
//! are served badly: then slots are taken away, down to a floor, until each is worth having.

/// Bytes per second that a slot shall be worth: two blocks. With less, a peer that asks for a
/// second's worth of a fast line would wait for minutes.
const RATE_MIN: u64 = 32 * 1024;

/// The slots of one torrent while it is seeding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotCount {
    count: u32,
}

impl SlotCount {
    /// Everybody is served until it is known what that is worth.
    pub(crate) fn new() -> SlotCount {
        SlotCount { count: u32::MAX }
    }

    /// Between `floor` and `max`, whichever of them is larger.
    pub(crate) fn get(self, floor: u32, max: u32) -> u32 {
        self.count.clamp(floor.min(max), max)
    }

    /// Once per round: so many peers wait for what they asked for, and all together got `rate`
    /// bytes per second lately.
    pub(crate) fn weigh(&mut self, waiting: u32, rate: u64, floor: u32, max: u32) {
        let count = self.get(floor, max);
        let worth = u32::try_from(rate / RATE_MIN).unwrap_or(u32::MAX);
        self.count = if waiting > worth {
            worth.clamp(floor.min(max), count)
        } else if worth / 2 >= count {
            // Slowly, so that a short burst does not fill the line with peers.
            count.saturating_add(count / 2).max(1)
        } else {
            count
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: u32 = 64;
    const MAX: u32 = 500;

    fn weighed(slots: &mut SlotCount, waiting: u32, rate: u64) -> u32 {
        slots.weigh(waiting, rate, FLOOR, MAX);
        slots.get(FLOOR, MAX)
    }

    #[test]
    fn everybody_is_served_while_the_line_is_fast() {
        let mut slots = SlotCount::new();
        assert_eq!(slots.get(FLOOR, MAX), MAX, "before anything is known");
        assert_eq!(weighed(&mut slots, 0, 0), MAX, "nobody waits");
        assert_eq!(weighed(&mut slots, 400, 2_000_000_000), MAX);
        assert_eq!(slots.get(FLOOR, 10), 10, "a small maximum holds");
    }

    #[test]
    fn on_a_slow_line_slots_go_until_each_is_worth_having_and_come_back_with_the_line() {
        let mut slots = SlotCount::new();
        assert_eq!(weighed(&mut slots, 400, 200 * RATE_MIN), 200);
        assert_eq!(weighed(&mut slots, 200, 200 * RATE_MIN), 200, "and stay");
        assert_eq!(weighed(&mut slots, 200, 1_000), FLOOR, "never below the floor");
        assert_eq!(weighed(&mut slots, 64, 1_000), FLOOR);
        let mut grown = Vec::new();
        (0..7).for_each(|_| grown.push(weighed(&mut slots, 60, 1_000 * RATE_MIN)));
        assert_eq!(grown, [96, 144, 216, 324, 486, 500, 500]);
    }
}
