//! Digests of many inputs at once: which of the ways that this CPU has suits how many inputs.

pub(crate) mod cpu;
#[cfg(target_arch = "x86_64")]
pub(crate) mod operations;
#[cfg(target_arch = "x86_64")]
pub(crate) mod rounds;
#[cfg(target_arch = "x86_64")]
pub(crate) mod sha_ni_sha1;
#[cfg(target_arch = "x86_64")]
pub(crate) mod sha_ni_sha256;
#[cfg(target_arch = "x86_64")]
pub(crate) mod vectors;
#[cfg(target_arch = "x86_64")]
pub(crate) mod vectors_avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod vectors_avx512;
#[cfg(target_arch = "x86_64")]
pub(crate) mod vectors_avx512_half;
pub(crate) mod ways;

use std::mem;

use smallvec::SmallVec;

use crate::base::digest::Algorithm;
use crate::base::digest::Digest;
use crate::base::digest::DigestStream;
use crate::base::digest::Sha256;
use crate::base::digest::Sha256Stream;
use crate::base::digest_lanes::cpu::is_amd;
use crate::base::digest_lanes::ways::Lane;
use crate::base::digest_lanes::ways::NAMES;
use crate::base::digest_lanes::ways::Way;

/// Inputs advanced together at most.
pub(crate) const LANE_MAX: usize = 16;

/// How to hash on this CPU: asked for once, then handed to whoever hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lanes {
    sha1: Plan,
    sha256: Plan,
    /// Bit [`Way::index`] for SHA-1, eight higher for SHA-256: what the CPU has and gets wrong.
    left_out: u16,
}

/// By how many inputs wait: what to do first.
type Plan = [Step; LANE_MAX + 1];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Step {
    way: Way,
    /// Inputs that go together.
    count: u8,
    /// What they get done in the time in which one by itself gets 100 done.
    gain: u16,
}

impl Lanes {
    /// One input after the other, on any CPU.
    pub(crate) const PORTABLE: Lanes = Lanes { sha1: ONE_BY_ONE, sha256: ONE_BY_ONE, left_out: 0 };

    /// The best that the CPU has, tried on known inputs first: what gets one wrong is left out, and
    /// [`Lanes::left_out`] says so. Takes some microseconds.
    pub(crate) fn detect() -> Lanes {
        Lanes::choose(&Way::all(), Way::is_right)
    }

    /// The best of `ways`, slowest first, that are right.
    fn choose(ways: &[Way], is_right: impl Fn(Way, Algorithm) -> bool) -> Lanes {
        let mut lanes = Lanes::PORTABLE;
        for algorithm in [Algorithm::Sha1, Algorithm::Sha256] {
            let (right, wrong): (Vec<Way>, Vec<Way>) =
                ways.iter().partition(|way| is_right(**way, algorithm));
            wrong.iter().for_each(|way| lanes.left_out |= bit(algorithm, way.index()));
            *lanes.plan_mut(algorithm) = plan(&right, |way, count| rate(algorithm, way, count));
        }
        lanes
    }

    /// That way and no other.
    #[allow(dead_code, reason = "for tests and the bench, which compare ways")]
    pub(crate) fn only(way: Way) -> Lanes {
        let all_that_fit = plan(&[way], |_, count| count);
        Lanes { sha1: all_that_fit, sha256: all_that_fit, left_out: 0 }
    }

    /// What this CPU has but computes wrong digests with, for an operator to read: it is not used.
    pub(crate) fn left_out(self) -> Vec<String> {
        let both = [(Algorithm::Sha1, "SHA-1"), (Algorithm::Sha256, "SHA-256")];
        let all =
            both.into_iter().flat_map(|both| NAMES.iter().enumerate().map(move |n| (both, n)));
        let out = all.filter(|((algorithm, _), (at, _))| self.left_out & bit(*algorithm, *at) != 0);
        out.map(|((_, algorithm), (_, name))| format!("{algorithm} by {name}")).collect()
    }

    fn plan_mut(&mut self, algorithm: Algorithm) -> &mut Plan {
        match algorithm {
            Algorithm::Sha1 => &mut self.sha1,
            Algorithm::Sha256 => &mut self.sha256,
        }
    }

    fn step(&self, algorithm: Algorithm, waiting: usize) -> Step {
        let plan = match algorithm {
            Algorithm::Sha1 => &self.sha1,
            Algorithm::Sha256 => &self.sha256,
        };
        plan[waiting.min(LANE_MAX)]
    }

    /// How many of `waiting` inputs are best advanced together; 0 only for 0.
    pub(crate) fn take<S: DigestStream>(&self, waiting: usize) -> usize {
        self.step(S::Digest::ALGORITHM, waiting).count.into()
    }

    /// How much more `count` inputs together, as `take` said, get done than one by itself, in
    /// percent; the lowest that was measured, because what is promised too high makes turns long.
    pub(crate) fn gain<S: DigestStream>(&self, count: usize) -> usize {
        self.step(S::Digest::ALGORITHM, count).gain.into()
    }

    /// The fewest inputs that get as much done together as any number does.
    pub(crate) fn company<S: DigestStream>(&self) -> usize {
        let gain = |count| if self.take::<S>(count) == count { self.gain::<S>(count) } else { 0 };
        (1..=LANE_MAX).rev().max_by_key(|count| gain(*count)).unwrap_or(1)
    }

    /// Adds to each stream its bytes; fastest when all bring the same number of bytes, and that is
    /// a multiple of 64.
    pub(crate) fn update_many<'a, S: DigestStream + 'a>(
        self,
        inputs: impl IntoIterator<Item = (&'a mut S, &'a [u8])>,
    ) {
        let open = |(stream, bytes): (&'a mut S, &'a [u8])| {
            let (state, blocks) = stream.open(bytes);
            Lane { state, blocks }
        };
        let mut lanes: SmallVec<[Lane<'a>; LANE_MAX]> = inputs.into_iter().map(open).collect();
        self.compress(S::Digest::ALGORITHM, &mut lanes);
    }

    /// Ends every stream, calling `each` with their digests in order, and leaves new ones: padding
    /// costs a block or two, which short inputs had better not take one after the other.
    pub(crate) fn finish_many<S: DigestStream>(
        self,
        streams: &mut [S],
        mut each: impl FnMut(S::Digest),
    ) {
        for group in streams.chunks_mut(LANE_MAX) {
            self.pad(group);
            for stream in group {
                each(S::Digest::of_state(mem::take(stream).state()));
            }
        }
    }

    /// Adds the last blocks of every stream to its state.
    fn pad<S: DigestStream>(self, streams: &mut [S]) {
        let paddings: SmallVec<[_; LANE_MAX]> = streams.iter().map(S::padding).collect();
        let mut lanes: SmallVec<[Lane<'_>; LANE_MAX]> = SmallVec::new();
        for (stream, (padding, count)) in streams.iter_mut().zip(&paddings) {
            lanes.push(Lane { state: stream.state(), blocks: &padding[..*count] });
        }
        self.compress(S::Digest::ALGORITHM, &mut lanes);
    }

    /// SHA-256 of every input, into `out` by the same position: leaves of a hash tree (BEP 52).
    /// What `out` is too short for is left out; what it has too much stays.
    pub(crate) fn sha256_leaves(self, inputs: &[&[u8]], out: &mut [Sha256]) {
        for (inputs, out) in inputs.chunks(LANE_MAX).zip(out.chunks_mut(LANE_MAX)) {
            let mut streams: SmallVec<[Sha256Stream; LANE_MAX]> = SmallVec::new();
            streams.resize(inputs.len().min(out.len()), Sha256Stream::default());
            self.update_many(streams.iter_mut().zip(inputs.iter().copied()));
            let mut places = out.iter_mut();
            self.finish_many(&mut streams, |digest| {
                if let Some(place) = places.next() {
                    *place = digest;
                }
            });
        }
    }

    /// Adds all blocks of every lane to its state. Fastest when all have the same number.
    pub(crate) fn compress(&self, algorithm: Algorithm, lanes: &mut [Lane<'_>]) {
        let mut rest = lanes;
        while !rest.is_empty() {
            let step = self.step(algorithm, rest.len());
            let (group, others) = rest.split_at_mut(step.count.into());
            step.way.compress(algorithm, group);
            rest = others;
        }
    }
}

const ONE: Step = Step { way: Way::Portable, count: 1, gain: 100 };

const ONE_BY_ONE: Plan = {
    let mut plan = [ONE; LANE_MAX + 1];
    plan[0].count = 0;
    plan
};

/// The bit of `left_out`.
fn bit(algorithm: Algorithm, index: usize) -> u16 {
    let higher = if algorithm == Algorithm::Sha256 { NAMES.len() } else { 0 };
    1 << (index + higher)
}

/// MB/s of a core by each way with all its lanes, by [`Way::index`], the lower of pieces and leaves
/// (`cargo bench --bench hashing`; Intel Xeon with AVX-512 at 3.8 GHz, 2026-11-21). The first is
/// what the crates do without SHA instructions; with those the second is never slower.
const RATES_SHA1: [u16; 8] = [810, 2000, 2450, 2300, 2140, 3600, 5400, 6800];
const RATES_SHA256: [u16; 8] = [400, 1860, 2250, 2280, 2250, 1630, 2840, 3800];
/// The same as measured on Zen 5, scaled to the second: AMD's SHA units take four inputs in turn
/// twice as fast as one. SHA-256 was not measured there.
const RATES_SHA1_AMD: [u16; 8] = [810, 2000, 2200, 2200, 4000, 3600, 3900, 6400];

/// MB/s, 0 for a count that the way is not meant for.
fn rate(algorithm: Algorithm, way: Way, count: usize) -> usize {
    let rates = match algorithm {
        Algorithm::Sha1 if is_amd() => &RATES_SHA1_AMD,
        Algorithm::Sha1 => &RATES_SHA1,
        Algorithm::Sha256 => &RATES_SHA256,
    };
    match way {
        Way::Interleaved(..) if count < way.lanes() => 0,
        // Vectors take as long for one input as for all.
        _ => usize::from(rates[way.index()]) * count / way.lanes(),
    }
}

/// For every number of inputs the first step of what hashes them all soonest, by the `rate` of each
/// way at each count; 0 says that it does not suit.
fn plan(ways: &[Way], rate: impl Fn(Way, usize) -> usize) -> Plan {
    let mut plan = ONE_BY_ONE;
    let mut soonest = [usize::MAX; LANE_MAX + 1];
    soonest[0] = 0;
    for waiting in 1..=LANE_MAX {
        for (way, count) in ways.iter().flat_map(|way| (1..=way.lanes()).map(|n| (*way, n))) {
            let speed = rate(way, count);
            if count > waiting || speed == 0 {
                continue;
            }
            // In units of which the slowest way takes thousands for an input.
            let time = soonest[waiting - count].saturating_add(10_000_000 * count / speed);
            let largest = usize::from(plan[waiting].count);
            if time < soonest[waiting] || (time == soonest[waiting] && count > largest) {
                let alone = if waiting == 1 { speed } else { rate(plan[1].way, 1).max(1) };
                soonest[waiting] = time;
                plan[waiting] = step(way, count, speed * 100 / alone);
            }
        }
    }
    plan
}

fn step(way: Way, count: usize, gain: usize) -> Step {
    Step { way, count: count as u8, gain: gain.clamp(100, 10_000) as u16 }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::proptest;

    use super::*;
    use crate::base::digest::Sha1;
    use crate::base::digest::Sha1Stream;
    use crate::base::digest_lanes::cpu::Avx2;
    use crate::base::digest_lanes::cpu::Avx512;
    use crate::base::digest_lanes::cpu::Sha;

    const ONE_TO_SOME: [usize; 8] = [0, 1, 2, 3, 4, 8, 16, 40];

    fn takes(lanes: Lanes) -> [[usize; 8]; 2] {
        let sha1 = ONE_TO_SOME.map(|waiting| lanes.take::<Sha1Stream>(waiting));
        [sha1, ONE_TO_SOME.map(|waiting| lanes.take::<Sha256Stream>(waiting))]
    }

    #[test]
    fn few_inputs_interleave_many_fill_vectors_and_none_is_left_out() {
        let [sha1, sha256] = takes(Lanes::PORTABLE);
        assert_eq!((sha1, sha256), ([0, 1, 1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1, 1, 1]));
        let lanes = Lanes::detect();
        assert!(lanes.left_out().is_empty(), "{:?}", lanes.left_out());
        for plan in [lanes.sha1, lanes.sha256] {
            let last = plan[LANE_MAX];
            assert_eq!(usize::from(last.count) == LANE_MAX, Avx512::ask().is_some());
            let is_interleaved = matches!(plan[1].way, Way::Interleaved(_, 1));
            assert_eq!(is_interleaved, Sha::ask().is_some());
            for (waiting, step) in plan.iter().enumerate().skip(1) {
                assert!((1..=waiting).contains(&usize::from(step.count)), "{step:?}");
                assert!(step.gain >= 100, "{step:?}");
            }
        }
    }

    #[test]
    fn a_way_that_computes_a_wrong_digest_is_left_out_for_that_algorithm_alone_and_said() {
        let all = Way::all();
        for broken in all.iter().skip(1) {
            let is_right = |way: Way, algorithm| way != *broken || algorithm == Algorithm::Sha1;
            let lanes = Lanes::choose(&all, is_right);
            assert_eq!(lanes.left_out(), [format!("SHA-256 by {broken}")]);
            assert!(lanes.sha256.iter().all(|step| step.way != *broken));
            assert_eq!(lanes.sha1, Lanes::detect().sha1);
        }
        let none = Lanes::choose(&all, |way, _| way == Way::Portable);
        assert_eq!(none.left_out().len(), 2 * (all.len() - 1));
        assert_eq!((none.sha1, none.sha256), (ONE_BY_ONE, ONE_BY_ONE));
    }

    #[test]
    fn falling_back_goes_way_by_way() {
        let mut ways = Way::all();
        let mut last = usize::MAX;
        while let Some(broken) = ways.pop() {
            let lanes = Lanes::choose(&ways, |_, _| true);
            let most = lanes.take::<Sha1Stream>(LANE_MAX);
            assert!(most <= last, "without {broken} and what is faster, {most} go together");
            last = most;
        }
        assert_eq!(last, 1);
    }

    #[test]
    fn the_plan_is_the_one_that_takes_the_least_time() {
        let ways = [Way::Portable, Way::Portable];
        // One takes 2 for one input; the other does not exist for one input, and is not asked.
        assert_eq!(plan(&ways, |_, count| count * 5)[7], step(Way::Portable, 1, 100));
        let Some(avx2) = Avx2::ask() else { return };
        let ways = [Way::Portable, Way::Avx2(avx2)];
        let rate = |way: Way, count: usize| if way.lanes() == 1 { 100 } else { 50 * count };
        let plan = plan(&ways, rate);
        let counts = plan.map(|step| step.count);
        assert_eq!(counts, [0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8, 8, 8, 8, 8]);
        assert_eq!(plan[8].gain, 400);
        assert_eq!(plan[1], step(Way::Portable, 1, 100));
    }

    #[test]
    fn the_best_company_is_the_smallest_of_those_that_gain_most() {
        assert_eq!(Lanes::PORTABLE.company::<Sha1Stream>(), 1);
        for way in Way::all() {
            assert_eq!(Lanes::only(way).company::<Sha256Stream>(), way.lanes(), "{way}");
        }
    }

    #[test]
    fn a_way_by_itself_takes_as_many_as_fit() {
        for way in Way::all() {
            let [sha1, sha256] = takes(Lanes::only(way));
            assert_eq!((sha1[6], sha1[1], sha1), (way.lanes(), 1, sha256));
        }
    }

    /// Cuts every input at the same kind of places and compares with one go.
    fn check<S: DigestStream>(
        lanes: Lanes,
        inputs: &[&[u8]],
        cut: usize,
        of: impl Fn(&[u8]) -> S::Digest,
    ) {
        let mut streams = vec![S::default(); inputs.len()];
        let mut rest: Vec<&[u8]> = inputs.to_vec();
        while rest.iter().any(|bytes| !bytes.is_empty()) {
            let heads = streams.iter_mut().zip(&mut rest).map(|(stream, bytes)| {
                let (head, behind) = bytes.split_at(cut.min(bytes.len()));
                *bytes = behind;
                (stream, head)
            });
            lanes.update_many(heads);
        }
        let alone: Vec<S::Digest> = streams.iter().cloned().map(S::finish).collect();
        let mut together = Vec::new();
        lanes.finish_many(&mut streams, |digest| together.push(digest));
        let expected: Vec<S::Digest> = inputs.iter().map(|input| of(input)).collect();
        assert_eq!(alone, expected, "{lanes:?}, cut at {cut}");
        assert_eq!(together, expected, "{lanes:?}, cut at {cut}, padded together");
    }

    proptest! {
        #[test]
        fn every_path_agrees_with_the_portable_one_for_any_count_length_and_alignment(
            bytes in vec(any::<u8>(), 2000..4000),
            places in vec((0usize..70, 0usize..1900), 1..40),
            is_even in any::<bool>(),
            cut in 1usize..3000,
        ) {
            let length = |own: usize| if is_even { 1024 } else { own };
            let inputs: Vec<&[u8]> =
                places.iter().map(|(start, own)| &bytes[*start..start + length(*own)]).collect();
            let each = Way::all().into_iter().map(Lanes::only);
            for lanes in each.chain([Lanes::detect()]) {
                check::<Sha1Stream>(lanes, &inputs, cut, Sha1::of);
                check::<Sha256Stream>(lanes, &inputs, cut, Sha256::of);
                let mut leaves = vec![Sha256::of(b"untouched"); inputs.len()];
                lanes.sha256_leaves(&inputs, &mut leaves);
                assert!(leaves.iter().zip(&inputs).all(|(leaf, input)| *leaf == Sha256::of(input)));
            }
        }
    }

    #[test]
    fn every_way_is_right_for_every_count_and_alignment() {
        let bytes: Vec<u8> = (0..20_000).map(|at: usize| (at * 167 + at / 251) as u8).collect();
        for lanes in Way::all().into_iter().map(Lanes::only).chain([Lanes::detect()]) {
            for count in 1..=2 * LANE_MAX + 1 {
                // Each input lies by 3 bytes more off a multiple of 64 than the one before.
                for start in [0, 5, 40] {
                    let inputs: Vec<&[u8]> =
                        (0..count).map(|at| &bytes[start + 131 * at..][..192 + start]).collect();
                    check::<Sha1Stream>(lanes, &inputs, 192, Sha1::of);
                    check::<Sha256Stream>(lanes, &inputs, 192, Sha256::of);
                }
            }
        }
    }

    #[test]
    fn leaves_fill_only_the_room_there_is() {
        let inputs = [&b"a"[..], b"b", b"c"];
        let nothing = Sha256::of(b"");
        let mut short = [nothing; 2];
        Lanes::PORTABLE.sha256_leaves(&inputs, &mut short);
        assert_eq!(short, [Sha256::of(b"a"), Sha256::of(b"b")]);
        let mut long = [nothing; 4];
        Lanes::PORTABLE.sha256_leaves(&inputs, &mut long);
        assert_eq!(long[2..], [Sha256::of(b"c"), nothing]);
    }
}
