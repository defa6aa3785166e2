//! Which shard gets a torrent: the less loaded of two candidates.

use crate::base::ids::ShardId;
use crate::base::rng::Rng;

/// What a shard owns already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Load {
    pub(crate) torrent_count: u64,
    pub(crate) total_bytes: u64,
}

/// What a torrent weighs beside its bytes: an idle torrent of 1 GiB and an empty one cost a shard
/// about the same, so the count decides among small torrents and the bytes among large ones.
const TORRENT_WEIGHT: u64 = 1 << 30;

impl Load {
    fn weight(self) -> u64 {
        self.torrent_count.saturating_mul(TORRENT_WEIGHT).saturating_add(self.total_bytes)
    }
}

/// Two different shards by chance, then the one with less to do; the lower number on a draw. With
/// two choices the fullest shard stays close to the mean without a look at all of them.
pub(crate) fn choose(loads: &[Load], rng: &mut Rng) -> ShardId {
    let count = loads.len() as u64;
    let first = rng.below(count) as usize;
    let second = (first + 1 + rng.below(count.saturating_sub(1)) as usize) % loads.len().max(1);
    let weight = |at: usize| (loads.get(at).map_or(u64::MAX, |load| load.weight()), at);
    let (_, at) = weight(first).min(weight(second));
    // A session has at most one shard per core: far below 65,536.
    ShardId(at as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_hundred_torrents_spread_evenly_over_two_shards() {
        let mut loads = [Load::default(); 2];
        let mut rng = Rng::new(1);
        for _ in 0..500 {
            let load = &mut loads[choose(&loads, &mut rng).as_usize()];
            load.torrent_count += 1;
            load.total_bytes += 1_000_000;
        }
        assert_eq!(loads.map(|load| load.torrent_count), [250, 250]);
    }

    #[test]
    fn one_shard_gets_everything_and_eight_stay_close() {
        assert_eq!(choose(&[Load::default()], &mut Rng::new(3)), ShardId(0));
        let mut loads = [Load::default(); 8];
        let mut rng = Rng::new(2);
        for _ in 0..800 {
            loads[choose(&loads, &mut rng).as_usize()].torrent_count += 1;
        }
        assert!(loads.iter().all(|load| (95..=105).contains(&load.torrent_count)), "{loads:?}");
    }

    #[test]
    fn a_terabyte_outweighs_a_hundred_small_torrents() {
        let heavy = Load { torrent_count: 1, total_bytes: 1 << 40 };
        let many = Load { torrent_count: 100, total_bytes: 0 };
        assert_eq!(choose(&[heavy, many], &mut Rng::new(4)), ShardId(1));
    }
}
