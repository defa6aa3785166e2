//! The hasher: pieces that are in memory whole or in parts wait here for the shard's core and are
//! hashed in slices, so that no turn is long.

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::base::buffer::SharedBuf;
use crate::base::digest::Sha1Stream;
use crate::base::digest::Sha256;
use crate::base::digest_lanes::LANE_MAX;
use crate::base::digest_lanes::Lanes;
use crate::base::ids::BlockIndex;
use crate::base::ids::PieceIndex;
use crate::base::limits::BLOCK_LEN;
use crate::base::limits::OUTWORK_JOB_MAX;
use crate::base::slots::SlotId;
use crate::engine::digesting::Stride;
use crate::engine::digesting::Sums;
use crate::engine::digesting::leaf_company;
use crate::engine::digesting::leaf_cost;

/// Jobs looked at for company: more are only there when many torrents with small pieces are
/// checked, and then the first ones are company enough.
const LOOK_MAX: usize = 64;

/// What is left to be hashed, after a slice of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HashingLeft {
    Nothing,
    /// What other shards gave away: it has whatever time is left, and none in any case.
    OfOthers,
    Own,
}

/// One run of bytes to be added to a piece's digests, by this shard or by another one.
#[derive(Clone, Debug)]
pub(crate) struct HashJob {
    /// The swarm that asked.
    pub(crate) swarm: SlotId,
    pub(crate) piece: PieceIndex,
    /// What was hashed of this piece before.
    pub(crate) sums: Sums,
    /// Bytes of the piece before `data`: whole blocks.
    pub(crate) position: u32,
    pub(crate) data: SharedBuf,
    /// Bytes of `data` that went through the v1 stream.
    pub(crate) streamed: usize,
    pub(crate) origin: Origin,
}

/// Where the bytes of a job come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// Read from the disk: they hold so many bytes of the check budget until they are hashed.
    Disk { held: u32 },
    /// Received: they are a piece that gathers in memory.
    Peers,
}

impl HashJob {
    /// Bytes for the v1 stream.
    fn left(&self) -> usize {
        if self.sums.wants_stream() { self.data.len() - self.streamed } else { 0 }
    }

    /// Whether both are the same piece of work, as far as either may be.
    pub(crate) fn is_same(&self, other: &HashJob) -> bool {
        (self.swarm, self.piece) == (other.swarm, other.piece) && self.data.is_same(&other.data)
    }
}

/// What makes jobs worth the way to another shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worth {
    /// Bytes in all.
    pub(crate) len_min: usize,
    /// Bytes from which on no job is added.
    pub(crate) len_max: usize,
    /// Jobs that go together best: fewer are worth it only where they are large.
    pub(crate) company: usize,
}

impl Worth {
    /// How many of the first jobs go, of these lengths; 0 if it is not worth it.
    pub(crate) fn count(&self, lens: impl Iterator<Item = usize>) -> usize {
        let (mut count, mut sum) = (0, 0);
        for len in lens.take(OUTWORK_JOB_MAX) {
            if sum >= self.len_max {
                break;
            }
            count += 1;
            sum += len;
        }
        let is_company = count >= self.company || sum >= self.len_max;
        if is_company && sum >= self.len_min { count } else { 0 }
    }
}

/// A job and how much of it is hashed already.
#[derive(Debug)]
struct Waiting {
    job: HashJob,
    /// Blocks of the data that have a leaf: so many at the start of it, and perhaps others.
    leaf_count: u32,
}

impl Waiting {
    fn left(&self) -> usize {
        self.job.left()
    }

    /// The bytes that the leaf of a block of the data covers.
    fn leaf_bytes(&self, at: u32) -> Option<(BlockIndex, &[u8])> {
        let block = BlockIndex(self.job.position / BLOCK_LEN + at);
        let start = at as usize * BLOCK_LEN as usize;
        let bytes = self.job.data.bytes().get(start..)?;
        let len = self.job.sums.leaf_len(block).min(bytes.len());
        (len > 0).then(|| (block, &bytes[..len]))
    }

    /// The blocks without a leaf, and the bytes that those cover.
    fn leafless(&self) -> impl Iterator<Item = (BlockIndex, &[u8])> {
        let all = (self.leaf_count..).map_while(|at| self.leaf_bytes(at));
        all.filter(|(block, _)| self.job.sums.leaf(*block).is_none())
    }

    /// A block has its leaf.
    fn set_leaf(&mut self, block: BlockIndex, leaf: Sha256) {
        self.job.sums.set_leaf(block, leaf);
        let first = self.leafless().next().map(|(block, _)| block.0);
        let start = self.job.position / BLOCK_LEN;
        self.leaf_count = first.map_or(self.leaf_count, |first| first - start);
    }

    fn is_done(&self) -> bool {
        self.left() == 0 && self.leafless().next().is_none()
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
        self.queue.push_back(Waiting { job, leaf_count: 0 });
    }

    /// Takes out the last jobs, for another shard, if there are more than go together here and they
    /// are worth the way.
    pub(crate) fn take_spare(&mut self, worth: Worth) -> Vec<HashJob> {
        let company = self.lanes.company::<Sha1Stream>();
        let spare = self.queue.iter().skip(company).rev();
        let count = worth.count(spare.map(|waiting| waiting.job.data.len()));
        let kept = self.queue.len() - count;
        self.queue.drain(kept..).map(|waiting| waiting.job).collect()
    }

    /// Hashes for as long as `slice` bytes of a lone job take with SHA-1; several jobs together are
    /// more bytes in that time.
    pub(crate) fn work(&mut self, slice: usize) {
        let mut left = slice;
        while left > 0 && !self.queue.is_empty() {
            // A leaf takes twice as long as the same bytes in a stream.
            let wants_leaves =
                self.queue.front().is_some_and(|one| one.leafless().next().is_some());
            let share = if wants_leaves { left.div_ceil(3) } else { left };
            let spent = self.advance_streams(share);
            left = left.saturating_sub(spent);
            let spent = self.advance_leaves(left.max(1));
            // The end of a job costs about what a block of the digest does.
            left = left.saturating_sub(spent.max(64));
            self.collect_done();
        }
    }

    /// A job whose data is hashed.
    pub(crate) fn poll_done(&mut self) -> Option<HashJob> {
        self.done.pop_front()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.done.is_empty()
    }

    /// Forgets what a swarm asked for: it is leaving. Returns those jobs: what they hold is to be
    /// given back.
    pub(crate) fn forget(&mut self, swarm: SlotId) -> Vec<HashJob> {
        let queue = std::mem::take(&mut self.queue).into_iter();
        let done = std::mem::take(&mut self.done).into_iter();
        let (gone, kept): (Vec<Waiting>, Vec<Waiting>) =
            queue.partition(|waiting| waiting.job.swarm == swarm);
        self.queue = kept.into();
        let (gone_done, kept): (Vec<HashJob>, Vec<HashJob>) =
            done.partition(|job| job.swarm == swarm);
        self.done = kept.into();
        gone.into_iter().map(|waiting| waiting.job).chain(gone_done).collect()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.done.clear();
    }

    /// Moves the v1 streams of the first jobs on. Returns what it cost.
    fn advance_streams(&mut self, budget: usize) -> usize {
        let first = self.queue.iter_mut().take(LOOK_MAX).filter(|waiting| waiting.left() > 0);
        let mut company: SmallVec<[&mut Waiting; LANE_MAX]> = first.take(LANE_MAX).collect();
        if company.is_empty() {
            return 0;
        }
        let lefts: SmallVec<[usize; LANE_MAX]> = company.iter().map(|one| one.left()).collect();
        let stride = Stride::new(self.lanes, budget, &lefts);
        company.truncate(stride.count());
        let inputs = company.iter_mut().zip(lefts).map(|(waiting, left)| {
            let HashJob { sums, data, streamed, .. } = &mut waiting.job;
            let (start, step) = (*streamed, stride.cut(left));
            *streamed += step;
            (sums.stream_mut(), &data.bytes()[start..start + step])
        });
        self.lanes.update_many::<Sha1Stream>(inputs);
        stride.spent()
    }

    /// Makes leaves of the next blocks of the first jobs. Returns what it cost.
    fn advance_leaves(&mut self, budget: usize) -> usize {
        let mut places: SmallVec<[(usize, BlockIndex); LANE_MAX]> = SmallVec::new();
        let mut inputs: SmallVec<[&[u8]; LANE_MAX]> = SmallVec::new();
        let first = self.queue.iter().take(LOOK_MAX).enumerate();
        let blocks =
            first.flat_map(|(at, waiting)| waiting.leafless().map(move |block| (at, block)));
        for (at, (block, bytes)) in blocks.take(LANE_MAX) {
            places.push((at, block));
            inputs.push(bytes);
        }
        if inputs.is_empty() {
            return 0;
        }
        let count = leaf_company(self.lanes, budget, inputs.len());
        let mut leaves = [Sha256([0; 32]); LANE_MAX];
        self.lanes.sha256_leaves(&inputs[..count], &mut leaves[..count]);
        drop(inputs);
        for ((at, block), leaf) in places.into_iter().zip(&leaves[..count]) {
            if let Some(waiting) = self.queue.get_mut(at) {
                waiting.set_leaf(block, *leaf);
            }
        }
        leaf_cost(self.lanes, count)
    }

    /// Takes out what is hashed; only the first jobs can be.
    fn collect_done(&mut self) {
        let mut at = 0;
        while at < LOOK_MAX.min(self.queue.len()) {
            if self.queue.get(at).is_some_and(Waiting::is_done) {
                self.done.extend(self.queue.remove(at).map(|waiting| waiting.job));
            } else {
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::buffer::PageBuf;
    use crate::base::digest::Sha1;
    use crate::base::digest_lanes::ways::Way;
    use crate::content::layout::Layout;
    use crate::content::merkle;
    use crate::engine::digesting::Expected;
    use crate::engine::digesting::Verdict;

    /// What a piece of these bytes must hash to: by SHA-1, by its tree, or by both.
    fn expected(bytes: &[u8], has_v1: bool, has_tree: bool) -> Expected {
        let leaves: Vec<Sha256> = bytes.chunks(BLOCK_LEN as usize).map(Sha256::of).collect();
        let width = leaves.len().next_power_of_two() as u32;
        let tree = (merkle::root(&leaves, width), width, bytes.len() as u32);
        Expected::of(has_v1.then(|| Sha1::of(bytes)), has_tree.then_some(tree))
    }

    fn job_of(swarm: u32, fill: u8, len: usize, (has_v1, has_tree): (bool, bool)) -> HashJob {
        let mut data = PageBuf::zeroed(len);
        data.bytes_mut().fill(fill);
        HashJob {
            swarm: SlotId { slot: swarm, generation: 0 },
            piece: Layout::new(1 << 20, 1 << 18).unwrap().piece(0).unwrap(),
            sums: Sums::new(expected(data.bytes(), has_v1, has_tree)),
            position: 0,
            data: data.freeze(),
            streamed: 0,
            origin: Origin::Disk { held: 0 },
        }
    }

    fn job(swarm: u32, fill: u8, len: usize) -> HashJob {
        job_of(swarm, fill, len, (true, false))
    }

    /// Works until nothing waits: who was done, in order, by fill byte and length; and the calls.
    fn drain(hasher: &mut Hasher, slice: usize) -> (Vec<(u8, usize)>, usize) {
        let (mut done, mut calls) = (Vec::new(), 0);
        while !hasher.is_idle() {
            hasher.work(slice);
            calls += 1;
            while let Some(job) = hasher.poll_done() {
                let bytes = job.data.bytes();
                assert_eq!(job.sums.verdict(), Verdict::Good);
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
        let whole: Vec<u8> = done.into_iter().filter(|d| d.1 > 0).map(|d| d.0).collect();
        assert!(whole.is_sorted(), "in order of arrival");
    }

    #[test]
    fn pieces_of_all_lengths_and_versions_come_out_right_on_any_lanes() {
        for lanes in Way::all().into_iter().map(Lanes::only).chain([Lanes::detect()]) {
            for count in [1, 2, 3, 5, 9, 17, 39] {
                let mut hasher = Hasher::new(lanes);
                let length = |at: usize| (at * 7919) % 50_000 + 1;
                let kinds = [(true, false), (false, true), (true, true)];
                (0..count).for_each(|at| {
                    hasher.push(job_of(0, at as u8, length(at), kinds[at % 3]));
                });
                let (mut done, _) = drain(&mut hasher, 3000);
                done.sort_unstable();
                let mut all: Vec<(u8, usize)> =
                    (0..count).map(|at| (at as u8, length(at))).collect();
                all.sort_unstable();
                assert_eq!(done, all);
            }
        }
    }

    #[test]
    fn the_last_jobs_are_spared_when_there_are_more_than_go_together() {
        let mut hasher = Hasher::new(Lanes::PORTABLE);
        (0..5).for_each(|fill| hasher.push(job(0, fill, 1000)));
        let mut spared = |len_min, len_max, company| -> Vec<u8> {
            let jobs = hasher.take_spare(Worth { len_min, len_max, company });
            jobs.iter().map(|job| job.data.bytes()[0]).collect()
        };
        assert!(spared(4_001, 9_000, 1).is_empty(), "four are not worth the way");
        assert!(spared(1, 9_000, 5).is_empty(), "nor are they company");
        assert_eq!(spared(1, 2_001, 5), [2, 3, 4], "but as much as need be");
        assert_eq!(spared(1, 2_001, 1), [1], "one by one is as good here as any number");
        assert!(spared(1, 2_001, 1).is_empty());
        assert_eq!(drain(&mut hasher, 10_000).0, [(0, 1000)]);
    }

    #[test]
    fn a_job_that_others_began_is_ended_here() {
        for kind in [(true, false), (false, true), (true, true)] {
            let mut there = Hasher::new(Lanes::PORTABLE);
            (0..40).for_each(|fill| there.push(job_of(0, fill, 100_000, kind)));
            there.work(1_500_000);
            let mut here = Hasher::new(Lanes::detect());
            let worth = Worth { len_min: 1, len_max: usize::MAX, company: 1 };
            there.take_spare(worth).into_iter().for_each(|job| here.push(job));
            there.forget(SlotId { slot: 0, generation: 0 }).into_iter().for_each(|job| {
                here.push(job);
            });
            assert_eq!(drain(&mut here, 50_000).0.len(), 40, "each with the right digests");
        }
    }

    #[test]
    fn a_leaving_swarm_does_not_spoil_the_next_digest() {
        for lanes in Way::all().into_iter().map(Lanes::only) {
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
