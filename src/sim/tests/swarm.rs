//! Swarms of engines: they end, and a seed is a run.

use crate::sim::run_swarm;

/// Seeds to run: `CORESWARM_SEED` alone, or `COUNT` of them (10 by default) from 1.
pub(super) fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("CORESWARM_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("COUNT").unwrap_or(10)).collect(),
    }
}

#[test]
fn eight_engines_download_and_end_whatever_the_seed() {
    for seed in seeds() {
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
