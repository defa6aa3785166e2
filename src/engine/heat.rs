//! Heat: when a shard needs help with a torrent, whose help, and when it needs it no more.
//!
//! A shard's load is the time in which it ran or waited for its core, in thousandths of the last
//! second, as each shard measures it.

use crate::base::ids::ShardId;

/// A shard above this needs help: what is left is not enough for a burst.
const HOT: u16 = 750;
/// A shard below this can help without being hot itself soon.
const IDLE: u16 = 500;
/// Shards that serve a torrent together have one too many when one fewer would be loaded this much
/// on average: far enough below `HOT` that the one that is left does not call for help again.
const COLD: u32 = 500;
/// Seconds in a row after which that counts: the pause between two pieces of a slow swarm is none.
const COLD_SECONDS: u32 = 10;

/// Whether a shard with this load needs help.
pub(crate) fn is_hot(load: u16) -> bool {
    load >= HOT
}

/// Whether a shard with this load may help.
pub(crate) fn is_idle(load: u16) -> bool {
    load <= IDLE
}

/// The idlest shard that may help; `is_taken` names those that cannot.
pub(crate) fn helper(loads: &[u16], is_taken: impl Fn(ShardId) -> bool) -> Option<ShardId> {
    // A session has at most one shard per core: far below 65,536.
    let shards = loads.iter().enumerate().map(|(at, load)| (*load, ShardId(at as u16)));
    let idle = shards.filter(|(load, shard)| is_idle(*load) && !is_taken(*shard));
    idle.min().map(|(_, shard)| shard)
}

/// Seconds in a row in which a torrent was served by more shards than it needs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cooling {
    seconds: u32,
}

impl Cooling {
    /// A second went by in which the shards that serve the torrent, its owner included, had these
    /// loads. True if one of them should go.
    pub(crate) fn handle_second(&mut self, loads: impl Iterator<Item = u16>) -> bool {
        let (count, sum) =
            loads.fold((0, 0), |(count, sum), load| (count + 1, sum + u32::from(load)));
        let is_cold = count > 1 && sum < COLD * (count - 1);
        self.seconds = if is_cold { self.seconds + 1 } else { 0 };
        let is_over = self.seconds >= COLD_SECONDS;
        if is_over {
            self.seconds = 0;
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idlest_shard_helps_and_a_busy_one_does_not() {
        let pick = |loads: &[u16]| helper(loads, |shard| shard == ShardId(0)).map(|s| s.0);
        assert_eq!(pick(&[900, 40, 30, 500]), Some(2));
        assert_eq!(pick(&[900, 501, 500]), Some(2));
        assert_eq!(pick(&[0, 501, 999]), None, "the only idle one is taken");
        assert_eq!(pick(&[900]), None);
        assert!(is_hot(750) && !is_hot(749));
    }

    #[test]
    fn only_ten_cold_seconds_in_a_row_release_a_shard() {
        let mut cooling = Cooling::default();
        let mut second = |loads: [u16; 2]| cooling.handle_second(loads.into_iter());
        assert!((0..9).all(|_| !second([200, 200])));
        assert!(!second([300, 200]), "a warm second starts the count anew");
        assert!((0..9).all(|_| !second([0, 499])));
        assert!(second([0, 0]));
        assert!(!second([0, 0]), "one at a time");
        assert!((0..20).all(|_| !Cooling::default().handle_second([0].into_iter())));
    }
}
