//! Swarms of engines: they end, and a seed is a run.

use super::seeds;
use crate::sim::run_swarm;

#[test]
fn eight_engines_download_and_end_whatever_the_seed() {
    for seed in seeds(10) {
        let report = run_swarm(seed);
        assert!(report.event_count > 1000, "{report:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let (first, second) = (run_swarm(77), run_swarm(77));
    assert_eq!(first, second);
    assert_ne!(first.digest, run_swarm(78).digest);
}
