//! The simulator from outside: a swarm ends, and a seed is a run.
#![cfg(feature = "sim")]

use coreswarm::sim::run_swarm;

#[test]
fn a_seed_tells_the_same_story_twice() {
    let (first, second) = (run_swarm(1_000), run_swarm(1_000));
    assert_eq!(first, second);
    assert!(first.took.as_secs() < 900, "{first:?}");
}
