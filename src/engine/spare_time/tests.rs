//! Batches of others are hashed in order, or returned.

use std::time::Duration;

use super::*;
use crate::base::buffer::PageBuf;
use crate::base::digest::Sha1;
use crate::base::slots::SlotId;
use crate::content::layout::Layout;
use crate::engine::digesting::Expected;
use crate::engine::digesting::Sums;
use crate::engine::digesting::Verdict;
use crate::engine::hasher::Origin;
use crate::engine::outwork::Outwork;

pub(in crate::engine) const FROM: ShardId = ShardId(3);

pub(in crate::engine) fn job(fill: u8, len: usize) -> HashJob {
    let mut data = PageBuf::zeroed(len);
    data.bytes_mut().fill(fill);
    let expected = Expected::of(Some(Sha1::of(data.bytes())), None);
    HashJob {
        swarm: SlotId { slot: 0, generation: 0 },
        piece: Layout::new(1 << 20, 1 << 14).unwrap().piece(fill.into()).unwrap(),
        sums: Sums::new(expected),
        position: 0,
        data: data.freeze(),
        streamed: 0,
        origin: Origin::Peers,
    }
}

/// Numbers of batches, as the shard that gives them makes them.
pub(in crate::engine) fn ids() -> impl FnMut() -> BatchId {
    let mut outwork = Outwork::new(FROM, 1);
    move || outwork.give(Instant::ZERO, FROM, Vec::new())
}

#[test]
fn batches_are_hashed_in_the_order_in_which_they_came() {
    let (mut id, mut spare) = (ids(), SpareTime::new(Lanes::detect()));
    let now = Instant::ZERO;
    let given = [id(), id()];
    for (at, id) in given.into_iter().enumerate() {
        let jobs = (0..20).map(|n| job(at as u8 * 20 + n, 1_000)).collect();
        spare.take(now, (FROM, id), jobs).unwrap();
    }
    assert!(!spare.is_idle() && spare.poll_back(now).is_none());
    let mut back = Vec::new();
    while !spare.is_idle() {
        spare.work(4_096);
        back.extend(std::iter::from_fn(|| spare.poll_back(now)));
    }
    assert_eq!(back.iter().map(|(_, id, _)| *id).collect::<Vec<_>>(), given);
    for (to, _, jobs) in back {
        let jobs = jobs.unwrap();
        assert_eq!((to, jobs.len()), (FROM, 20));
        assert!(jobs.iter().all(|job| job.sums.verdict() == Verdict::Good));
    }
    assert_eq!(spare.hashed(), 40_000);
}

#[test]
fn a_batch_that_waited_for_too_long_goes_back_undone_and_the_next_is_hashed() {
    let (mut id, mut spare) = (ids(), SpareTime::new(Lanes::PORTABLE));
    let (first, second) = (id(), id());
    let later = Instant::ZERO + SPARE_TIME_MAX;
    spare.take(Instant::ZERO, (FROM, first), vec![job(1, 1_000)]).unwrap();
    spare.take(later, (FROM, second), vec![job(2, 1_000)]).unwrap();
    spare.work(64);
    let just_before = Instant::ZERO + (SPARE_TIME_MAX - Duration::from_millis(1));
    assert!(spare.poll_back(just_before).is_none());
    assert!(matches!(spare.poll_back(later), Some((FROM, id, Err(Busy))) if id == first));
    assert_eq!((spare.hashed(), spare.poll_back(later).is_none()), (0, true));
    spare.work(1_000);
    let Some((_, id, Ok(jobs))) = spare.poll_back(later) else { panic!("it is hashed") };
    assert_eq!((id, jobs.len(), jobs[0].sums.verdict()), (second, 1, Verdict::Good));
}

#[test]
fn more_batches_than_fit_are_refused_and_all_go_back_at_the_end() {
    let (mut id, mut spare) = (ids(), SpareTime::new(Lanes::PORTABLE));
    for _ in 0..SPARE_TIME_BATCH_MAX {
        spare.take(Instant::ZERO, (FROM, id()), vec![job(1, 64)]).unwrap();
    }
    assert_eq!(spare.take(Instant::ZERO, (FROM, id()), vec![job(1, 64)]), Err(Busy));
    let back = std::iter::from_fn(|| spare.pop_undone()).count();
    assert_eq!((back, spare.is_idle()), (SPARE_TIME_BATCH_MAX, true));
}
