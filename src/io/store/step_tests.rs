//! What the store does in one go: a step, so that the ring can look at its clock in between.

use std::time::Duration;

use super::*;
use crate::io::store::state::FRESH_EFFORT;
use crate::io::store::tests::ID;
use crate::io::store::tests::World;
use crate::io::store::tests::pattern;
use crate::io::store::tests::write;

/// With all files written, in memory and closed.
fn closed() -> World {
    let mut world = World::created();
    assert!(matches!(world.run(write(0, 3_000_000)), DiskReply::Done));
    world.store.files.remove_torrent(ID);
    world
}

#[test]
fn those_who_waited_for_a_file_go_on_step_by_step() {
    let mut world = closed();
    let length = 200_000;
    let mut ids: Vec<JobId> =
        (0..12).map(|at| world.submit(DiskOp::Read { offset: at * 7, length })).collect();
    while !world.store.has_findings() {
        std::thread::yield_now();
    }
    world.store.handle_findings();
    assert!(world.store.poll_reply().is_none(), "the ring says when they go on");
    world.store.begin_waiting(&mut world.ring);
    let first: Vec<JobId> = std::iter::from_fn(|| world.store.poll_reply()).map(|r| r.0).collect();
    assert!(first.len() <= 2, "{} reads before the clock is read", first.len());
    assert!(world.store.is_behind(), "nobody would ring for the others");
    ids.drain(..first.len());
    for id in ids {
        assert!(matches!(world.next(), (replied, DiskReply::Read(_)) if replied == id));
    }
    assert!(!world.store.is_behind());
}

/// Reads a megabyte of what is in memory. Returns how often the ring could look at its clock.
fn steps_of_a_long_read(world: &mut World) -> usize {
    let id = world.submit(DiskOp::Read { offset: 5, length: 1 << 20 });
    let mut steps = 1;
    let bytes = loop {
        match world.store.poll_reply() {
            Some((replied, DiskReply::Read(bytes))) if replied == id => break bytes,
            Some(other) => panic!("{other:?}"),
            None => assert!(world.store.is_behind()),
        }
        world.store.begin_waiting(&mut world.ring);
        steps += 1;
    };
    assert!(bytes.bytes() == pattern(5, 1 << 20));
    steps
}

#[test]
fn a_long_read_lets_the_ring_look_at_its_clock_and_into_fresh_memory_more_often() {
    let mut world = closed();
    world.run(DiskOp::Read { offset: 0, length: 1 });
    let fresh = steps_of_a_long_read(&mut world);
    assert!(fresh >= (1 << 20) / STEP * FRESH_EFFORT, "{fresh} steps");
    let used = steps_of_a_long_read(&mut world);
    assert!(((1 << 20) / STEP..fresh / 2).contains(&used), "{used} steps");
}

#[test]
fn a_submission_holds_a_bounded_number_of_bytes_and_the_others_go_with_the_next_one() {
    let mut world = World::created();
    world.run(write(0, 1));
    let ids: Vec<JobId> = (0..6).map(|_| world.submit(write(0, 1_000_000))).collect();
    let held = world.ring.file_bytes();
    assert!((SUBMISSION_MAX..SUBMISSION_MAX + 1_000_000).contains(&held), "{held}");
    assert!(world.store.is_behind() && !world.store.may_go_on(&world.ring));
    world.ring.enter(Duration::ZERO).unwrap();
    assert!(world.store.may_go_on(&world.ring));
    world.store.begin_waiting(&mut world.ring);
    assert!(world.ring.file_bytes() > 0);
    let mut done: Vec<JobId> = ids.iter().map(|_| world.next().0).collect();
    done.sort_unstable();
    assert_eq!(done, ids);
}
