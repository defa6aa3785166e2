//! Who gets batches, and what becomes of those that come back, or do not.

use super::*;
use crate::base::buffer::PageBuf;
use crate::content::layout::Layout;
use crate::engine::digesting::Expected;
use crate::engine::digesting::Sums;
use crate::engine::hasher::Origin;

fn job(swarm: u32, piece: u32) -> HashJob {
    HashJob {
        swarm: SlotId { slot: swarm, generation: 0 },
        piece: Layout::new(1 << 20, 1 << 14).unwrap().piece(piece).unwrap(),
        sums: Sums::new(Expected::of(None, None)),
        position: 0,
        data: PageBuf::zeroed(100).freeze(),
        streamed: 0,
        origin: Origin::Disk { held: 100 },
    }
}

fn ms(count: u64) -> Instant {
    Instant::from_millis(count)
}

fn pieces(jobs: &[HashJob]) -> Vec<u32> {
    jobs.iter().map(|job| job.piece.as_u32()).collect()
}

#[test]
fn the_idlest_shard_gets_the_next_batch_and_none_gets_more_than_two() {
    let mut outwork = Outwork::new(ShardId(0), 4);
    let loads = [1_000, 300, 100, 501];
    let given: Vec<u16> = std::iter::from_fn(|| {
        let to = outwork.next_hand(ms(0), &loads)?;
        outwork.give(ms(0), to, vec![job(0, 0)]);
        Some(to.0)
    })
    .collect();
    assert_eq!(given, [2, 1, 2, 1], "neither the busy one nor this one");
    assert_eq!(outwork.batch_room(ms(0), &loads), 4);
    assert_eq!(outwork.batch_room(ms(0), &[0, 600, 600, 600]), 4, "those have got some");
    assert_eq!(outwork.batch_room(ms(2_000), &[0, 600, 600, 600]), 0);
    assert_eq!(Outwork::new(ShardId(0), 1).next_hand(ms(0), &[]), None);
    assert_eq!(Outwork::new(ShardId(0), 2).next_hand(ms(0), &[]), Some(ShardId(1)), "at first");
}

#[test]
fn a_shard_that_is_busy_with_batches_gets_more_of_them() {
    let mut outwork = Outwork::new(ShardId(0), 2);
    let batch = outwork.give(ms(0), ShardId(1), vec![job(0, 3)]);
    outwork.handle_back(ms(3), batch, Ok(vec![]));
    assert_eq!(outwork.next_hand(ms(1_999), &[1_000, 1_000]), Some(ShardId(1)));
    assert_eq!(outwork.next_hand(ms(2_000), &[1_000, 1_000]), None, "it is busy by itself");
}

#[test]
fn what_comes_back_hashed_is_told_from_what_does_not() {
    let mut outwork = Outwork::new(ShardId(0), 2);
    let (first, second) = (job(0, 1), job(0, 2));
    let batch = outwork.give(ms(0), ShardId(1), vec![first.clone(), second]);
    let stranger = job(0, 2);
    let back = outwork.handle_back(ms(5), batch, Ok(vec![first.clone(), stranger]));
    assert_eq!((pieces(&back.hashed), pieces(&back.undone)), (vec![1], vec![2]));
    assert_eq!(outwork.hashed(), 100);
    let again = outwork.handle_back(ms(6), batch, Ok(vec![first]));
    assert!(again.hashed.is_empty() && again.undone.is_empty(), "once");
}

#[test]
fn a_shard_without_time_is_left_alone_for_a_second() {
    let mut outwork = Outwork::new(ShardId(0), 2);
    let batch = outwork.give(ms(0), ShardId(1), vec![job(0, 1)]);
    let back = outwork.handle_back(ms(10), batch, Err(Busy));
    assert_eq!((pieces(&back.undone), outwork.hashed()), (vec![1], 0));
    assert_eq!(outwork.next_hand(ms(1_009), &[]), None);
    assert_eq!(outwork.next_hand(ms(1_010), &[]), Some(ShardId(1)));
}

#[test]
fn a_batch_that_is_not_back_in_two_seconds_is_hashed_here() {
    let mut outwork = Outwork::new(ShardId(0), 2);
    assert_eq!(outwork.poll_timeout(), None);
    let batch = outwork.give(ms(7), ShardId(1), vec![job(0, 1)]);
    assert_eq!(outwork.poll_timeout(), Some(ms(2_007)));
    assert!(outwork.handle_timeout(ms(2_006)).is_none());
    let late = outwork.handle_timeout(ms(2_007)).unwrap();
    assert_eq!(pieces(&late.undone), [1]);
    assert!(outwork.handle_timeout(ms(9_000)).is_none() && outwork.poll_timeout().is_none());
    let back = outwork.handle_back(ms(3_000), batch, Ok(vec![job(0, 1)]));
    assert!(back.hashed.is_empty(), "it was given up");
}

#[test]
fn jobs_of_a_swarm_that_left_are_nobodys_but_hold_memory_until_they_are_back() {
    for is_back in [true, false] {
        let mut outwork = Outwork::new(ShardId(0), 2);
        let (left, free, stays) = (job(5, 1), job(5, 7), job(6, 2));
        let jobs = vec![left.clone(), free.clone(), stays.clone()];
        let batch = outwork.give(ms(0), ShardId(1), jobs);
        outwork.forget(left.swarm, |job| !job.is_same(&free));
        let end = match is_back {
            true => outwork.handle_back(ms(1), batch, Ok(vec![left, stays])),
            false => outwork.handle_timeout(ms(2_000)).unwrap(),
        };
        assert_eq!(pieces(&end.orphans), [1]);
        let kept = if is_back { &end.hashed } else { &end.undone };
        assert_eq!((pieces(kept), end.hashed.len() + end.undone.len()), (vec![2], 1));
    }
}
