//! The hasher: pieces that were read from the disk wait here for the shard's core and are hashed in
//! slices, so that no turn is long.

use std::collections::VecDeque;

use crate::base::buffer::SharedBuf;
use crate::base::digest::Sha1Stream;
use crate::base::digest_lanes::Lanes;
use crate::base::ids::PieceIndex;
use crate::base::slots::SlotId;

/// One run of bytes to be added to a piece's digest.
#[derive(Debug)]
pub(crate) struct HashJob {
    /// The swarm that asked.
    pub(crate) swarm: SlotId,
    pub(crate) piece: PieceIndex,
    /// What was hashed of this piece before.
    pub(crate) stream: Sha1Stream,
    pub(crate) data: SharedBuf,
    /// Bytes of the check budget that `data` holds until it is hashed.
    pub(crate) held: u32,
}

/// A job and how many of its bytes are hashed already.
#[derive(Debug)]
struct Waiting {
    job: HashJob,
    position: usize,
}

impl Waiting {
    fn left(&self) -> usize {
        self.job.data.len() - self.position
    }
}

/// A queue in order of arrival; its buffers are on their owners' budgets. As many of its first jobs
/// as the CPU hashes best together advance at once; a lone job does not wait for company.
#[derive(Debug)]
pub(crate) struct Hasher {
    lanes: Lanes,
    queue: VecDeque<Waiting>,
    done: VecDeque<HashJob>,
}

impl Hasher {
    pub(crate) fn new(lanes: Lanes) -> Hasher {
        Hasher { lanes, queue: VecDeque::new(), done: VecDeque::new() }
    }

    /// What the CPU can do, for others that hash.
    pub(crate) fn lanes(&self) -> Lanes {
        self.lanes
    }

    pub(crate) fn push(&mut self, job: HashJob) {
        self.queue.push_back(Waiting { job, position: 0 });
    }

    /// Hashes for as long as `slice` bytes of a lone job take; several jobs together are more
    /// bytes in that time.
    pub(crate) fn work(&mut self, slice: usize) {
        let mut left = slice;
        while left > 0 && !self.queue.is_empty() {
            let count = self.lanes.take::<Sha1Stream>(self.queue.len());
            let gain = self.lanes.gain::<Sha1Stream>(count);
            let affordable = left * gain / (100 * count);
            // Whole blocks, so that no stream has to hold back part of one.
            let whole = (affordable & !63).max(64);
            let shortest = self.queue.iter().take(count).map(Waiting::left).min();
            let step = whole.min(shortest.unwrap_or(0));
            self.advance(count, step);
            // The end of a job costs about what a block does.
            left = left.saturating_sub((step * count * 100 / gain).max(64));
        }
    }

    /// A job whose data is hashed.
    pub(crate) fn poll_done(&mut self) -> Option<HashJob> {
        self.done.pop_front()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.done.is_empty()
    }

    /// Forgets what a swarm asked for: it is leaving. Returns what that held of the check budget.
    pub(crate) fn forget(&mut self, swarm: SlotId) -> u32 {
        let all = self.queue.iter().map(|waiting| &waiting.job).chain(&self.done);
        let held = all.filter(|job| job.swarm == swarm).map(|job| job.held).sum();
        self.queue.retain(|waiting| waiting.job.swarm != swarm);
        self.done.retain(|job| job.swarm != swarm);
        held
    }

    /// Hashes the next `step` bytes of the first `count` jobs.
    fn advance(&mut self, count: usize, step: usize) {
        let inputs = self.queue.iter_mut().take(count).map(|waiting| {
            let start = waiting.position;
            waiting.position += step;
            let HashJob { stream, data, .. } = &mut waiting.job;
            (stream, &data.bytes()[start..start + step])
        });
        self.lanes.update_many(inputs);
        let mut at = 0;
        for _ in 0..count {
            if self.queue.get(at).is_some_and(|waiting| waiting.left() > 0) {
                at += 1;
            } else if let Some(waiting) = self.queue.remove(at) {
                self.done.push_back(waiting.job);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::buffer::PageBuf;
    use crate::base::digest::Sha1;
    use crate::content::layout::Layout;

    fn job(swarm: u32, fill: u8, len: usize) -> HashJob {
        let mut data = PageBuf::zeroed(len);
        data.bytes_mut().fill(fill);
        HashJob {
            swarm: SlotId { slot: swarm, generation: 0 },
            piece: Layout::new(1 << 20, 1 << 18).unwrap().piece(0).unwrap(),
            stream: Sha1Stream::default(),
            data: data.freeze(),
            held: 0,
        }
    }

    /// Works until nothing waits: who was done, in order, by fill byte and length; and the calls.
    fn drain(hasher: &mut Hasher, slice: usize) -> (Vec<(u8, usize)>, usize) {
        let (mut done, mut calls) = (Vec::new(), 0);
        while !hasher.is_idle() {
            hasher.work(slice);
            calls += 1;
            while let Some(job) = hasher.poll_done() {
                let bytes = job.data.bytes();
                assert_eq!(job.stream.finish(), Sha1::of(bytes));
                done.push((bytes.first().copied().unwrap_or(0), bytes.len()));
            }
        }
        (done, calls)
    }

    #[test]
    fn a_piece_is_hashed_in_slices() {
        let mut hasher = Hasher::new(Lanes::PORTABLE);
        hasher.push(job(0, 7, 1000));
        assert_eq!(drain(&mut hasher, 256), (vec![(7, 1000)], 4));
    }

    #[test]
    fn a_call_goes_on_with_the_next_piece_until_its_slice_is_spent() {
        let mut hasher = Hasher::new(Lanes::PORTABLE);
        (0..20).for_each(|fill| hasher.push(job(0, fill, 128)));
        hasher.push(job(0, 20, 0));
        let (done, calls) = drain(&mut hasher, 1280);
        assert_eq!((done.len(), calls), (21, 3), "ten pieces a call, and one of no bytes");
        assert!(done[..20].is_sorted(), "in order of arrival");
    }

    #[test]
    fn pieces_of_all_lengths_come_out_right_on_any_lanes() {
        for (_, lanes, _) in Lanes::each().into_iter().chain([("", Lanes::detect(), 0)]) {
            for count in 1..40 {
                let mut hasher = Hasher::new(lanes);
                let length = |at: usize| (at * 7919) % 5000;
                (0..count).for_each(|at| hasher.push(job(0, at as u8, length(at))));
                let (mut done, _) = drain(&mut hasher, 3000);
                done.sort_unstable();
                let all =
                    (0..count).map(|at| (if length(at) > 0 { at as u8 } else { 0 }, length(at)));
                let mut all: Vec<(u8, usize)> = all.collect();
                all.sort_unstable();
                assert_eq!(done, all);
            }
        }
    }

    #[test]
    fn a_leaving_swarm_does_not_spoil_the_next_digest() {
        for (_, lanes, _) in Lanes::each() {
            let mut hasher = Hasher::new(lanes);
            (0..16).for_each(|at| hasher.push(job(at % 2, at as u8, 6400)));
            hasher.push(job(0, 16, 64));
            hasher.work(640);
            hasher.forget(SlotId { slot: 0, generation: 0 });
            let (done, _) = drain(&mut hasher, 5000);
            let odd: Vec<u8> = done.into_iter().map(|(fill, _)| fill).collect();
            assert_eq!(odd, [1, 3, 5, 7, 9, 11, 13, 15]);
        }
    }

    #[test]
    fn a_piece_that_is_done_when_its_swarm_leaves_is_not_handed_out() {
        let mut hasher = Hasher::new(Lanes::PORTABLE);
        hasher.push(job(0, 1, 64));
        hasher.work(64);
        assert!(!hasher.is_idle());
        hasher.forget(SlotId { slot: 0, generation: 0 });
        assert!(hasher.poll_done().is_none() && hasher.is_idle());
    }
}
