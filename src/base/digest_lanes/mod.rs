//! Digests of many inputs at once: the ways that this CPU has, and which suits how many inputs.

#[cfg(target_arch = "x86_64")]
pub(crate) mod eighty_rounds;
#[cfg(target_arch = "x86_64")]
pub(crate) mod sha_ni;
#[cfg(target_arch = "x86_64")]
pub(crate) mod vectors_avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod vectors_avx512;
#[cfg(target_arch = "x86_64")]
pub(crate) mod vectors_avx512_half;

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__cpuid;
use std::array;
use std::mem;

use smallvec::SmallVec;

use crate::base::digest::Algorithm;
use crate::base::digest::Digest;
use crate::base::digest::DigestStream;
use crate::base::digest::Sha256;
use crate::base::digest::Sha256Stream;
use crate::base::digest::State;

/// Inputs advanced together at most.
pub(crate) const LANE_MAX: usize = 16;
/// Inputs that SHA instructions take in turn: four of them fill the units of AMD's CPUs.
const INTERLEAVED_MAX: usize = 4;
/// The same on others: Intel's units are full with two to three.
const INTERLEAVED_MAX_ELSEWHERE: usize = 3;

/// One input: whole blocks to be added to a state.
struct Lane<'a> {
    state: &'a mut State,
    blocks: &'a [[u8; 64]],
}

/// What the CPU can do: asked for once, then handed to whoever hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lanes {
    /// Inputs that SHA instructions take in turn; above 0 only where the CPU has them.
    interleaved: usize,
    /// Only what the CPU has.
    wide: Wide,
}

/// Vectors with an input in each element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wide {
    None,
    Avx2,
    /// Eight inputs, without the whole width.
    Avx512Half,
    /// Sixteen inputs; up to eight go as in `Avx512Half`.
    Avx512,
}

impl Lanes {
    /// One input after the other, on any CPU.
    pub(crate) const PORTABLE: Lanes = Lanes { interleaved: 0, wide: Wide::None };

    /// The best that the CPU has, tried on known inputs first: what gets one wrong is left out.
    /// Takes some microseconds.
    pub(crate) fn detect() -> Lanes {
        let mut best = Lanes::PORTABLE;
        let each = Lanes::each().into_iter().filter(|(_, lanes, count)| lanes.is_right(*count));
        for (_, lanes, count) in each {
            // A way is also taken for fewer inputs, and then is the one before it: that must be
            // right too.
            match lanes.wide {
                Wide::None if count == best.interleaved + 1 => best.interleaved = count,
                Wide::Avx2 if best.interleaved == 0 => best.wide = Wide::Avx2,
                Wide::Avx512Half => best.wide = Wide::Avx512Half,
                Wide::Avx512 if best.wide == Wide::Avx512Half => best.wide = Wide::Avx512,
                _ => {}
            }
        }
        best.interleaved = best.interleaved.min(interleaved_max());
        best
    }

    /// Each way that the CPU has, by itself: a name, and how many inputs it takes.
    pub(crate) fn each() -> Vec<(&'static str, Lanes, usize)> {
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut, reason = "nothing is added"))]
        let mut each = vec![("portable x1", Lanes::PORTABLE, 1)];
        #[cfg(target_arch = "x86_64")]
        {
            if has_sha() {
                let names = ["SHA-NI x1", "SHA-NI x2", "SHA-NI x3", "SHA-NI x4"];
                let lanes = |interleaved| Lanes { interleaved, wide: Wide::None };
                let ways = (1..=INTERLEAVED_MAX).zip(names);
                each.extend(ways.map(|(count, name)| (name, lanes(count), count)));
            }
            let lanes = |wide| Lanes { interleaved: 0, wide };
            if is_x86_feature_detected!("avx2") {
                each.push(("AVX2 x8", lanes(Wide::Avx2), vectors_avx2::LANES));
            }
            if has_avx512() {
                each.push(("AVX-512 x8", lanes(Wide::Avx512Half), vectors_avx2::LANES));
                each.push(("AVX-512 x16", lanes(Wide::Avx512), vectors_avx512::LANES));
            }
        }
        each
    }

    /// How many of `waiting` inputs are best advanced together; 0 only for 0.
    pub(crate) fn take<S: DigestStream>(self, waiting: usize) -> usize {
        self.take_of(S::Digest::ALGORITHM, waiting)
    }

    fn take_of(self, algorithm: Algorithm, waiting: usize) -> usize {
        if algorithm == Algorithm::Sha256 {
            return waiting.min(1);
        }
        // Vectors take as long for one input as for all: these are the numbers from which on eight
        // or sixteen elements do more per second than what comes before (`cargo bench --bench
        // hashing`).
        let never = usize::MAX;
        let (eight, sixteen) = match (self.wide, self.interleaved) {
            (Wide::None, _) => (never, never),
            (Wide::Avx2 | Wide::Avx512Half, 0) => (3, never),
            (Wide::Avx2 | Wide::Avx512Half, _) => (4, never),
            (Wide::Avx512, 0) => (3, 12),
            (Wide::Avx512, INTERLEAVED_MAX) => (never, 9),
            (Wide::Avx512, _) => (4, 12),
        };
        match waiting {
            _ if waiting >= sixteen => waiting.min(LANE_MAX),
            _ if waiting >= eight => waiting.min(8),
            _ => waiting.min(self.interleaved.max(1)),
        }
    }

    /// How much more `count` inputs together, as `take` said, get done than one by itself, in
    /// percent; the lowest that was measured, because what is promised too high makes turns long.
    pub(crate) fn gain<S: DigestStream>(self, count: usize) -> usize {
        if S::Digest::ALGORITHM == Algorithm::Sha256 {
            return 100;
        }
        match (count, self.wide) {
            (0 | 1, _) => 100,
            (2 | 3, _) if count <= self.interleaved => 110,
            (4, _) if count <= self.interleaved => 200,
            (_, Wide::None) => 100,
            (2..=8, _) => 32 * count,
            _ => 19 * count,
        }
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

    /// SHA-256 of every input, into `out` by the same position: leaves and pairs of nodes of a hash
    /// tree (BEP 52). What `out` is too short for is left out; what it has too much stays.
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
    fn compress(self, algorithm: Algorithm, lanes: &mut [Lane<'_>]) {
        let mut rest = lanes;
        while !rest.is_empty() {
            let (group, others) = rest.split_at_mut(self.take_of(algorithm, rest.len()));
            self.compress_group(algorithm, group);
            rest = others;
        }
    }

    /// The blocks that all of a group have go together, what some have beyond that one by one.
    fn compress_group(self, algorithm: Algorithm, group: &mut [Lane<'_>]) {
        let done = match algorithm {
            Algorithm::Sha1 => self.compress_together(group),
            Algorithm::Sha256 => 0,
        };
        for lane in group {
            algorithm.compress(lane.state, lane.blocks.get(done..).unwrap_or_default());
        }
    }

    /// Adds the blocks that all of a group have; returns how many of each, 0 where there is no way.
    #[cfg(target_arch = "x86_64")]
    fn compress_together(self, group: &mut [Lane<'_>]) -> usize {
        // SAFETY (all of these calls): a value with `interleaved` above 0, or with vectors, is made
        // by `each` alone, or by `detect` out of those, and `each` makes it only on a CPU that has
        // every feature that the function called enables.
        let count = group.len();
        match (&mut *group, self.wide) {
            ([a], _) if self.interleaved >= 1 => {
                // SAFETY: see above.
                unsafe { sha_ni::compress([&mut *a.state], [a.blocks]) }
            }
            ([a, b], _) if self.interleaved >= 2 => {
                let inputs = [a.blocks, b.blocks];
                // SAFETY: see above.
                unsafe { sha_ni::compress([&mut *a.state, b.state], inputs) }
            }
            ([a, b, c], _) if self.interleaved >= 3 => {
                let inputs = [a.blocks, b.blocks, c.blocks];
                // SAFETY: see above.
                unsafe { sha_ni::compress([&mut *a.state, b.state, c.state], inputs) }
            }
            ([a, b, c, d], _) if self.interleaved >= 4 => {
                let inputs = [a.blocks, b.blocks, c.blocks, d.blocks];
                let states = [&mut *a.state, b.state, c.state, d.state];
                // SAFETY: see above.
                unsafe { sha_ni::compress(states, inputs) }
            }
            (_, Wide::Avx2) if (2..=vectors_avx2::LANES).contains(&count) => {
                let (mut states, inputs) = spread(group);
                // SAFETY: see above.
                unsafe { vectors_avx2::compress(&mut states, &inputs) }
                gather(states, group);
            }
            (_, Wide::Avx512Half | Wide::Avx512) if (2..=vectors_avx2::LANES).contains(&count) => {
                let (mut states, inputs) = spread(group);
                // SAFETY: see above.
                unsafe { vectors_avx512_half::compress(&mut states, &inputs) }
                gather(states, group);
            }
            (_, Wide::Avx512) if (2..=vectors_avx512::LANES).contains(&count) => {
                let (mut states, inputs) = spread(group);
                // SAFETY: see above.
                unsafe { vectors_avx512::compress(&mut states, &inputs) }
                gather(states, group);
            }
            _ => return 0,
        }
        group.iter().map(|lane| lane.blocks.len()).min().unwrap_or(0)
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn compress_together(self, _group: &mut [Lane<'_>]) -> usize {
        0
    }

    /// Whether `count` inputs together come out as they do by themselves.
    fn is_right(self, count: usize) -> bool {
        let byte = |at: usize| (at * 167 + at / 251) as u8;
        let inputs: Vec<[[u8; 64]; 3]> = (0..count)
            .map(|input| array::from_fn(|i| array::from_fn(|j| byte(input * 192 + i * 64 + j))))
            .collect();
        let algorithm = Algorithm::Sha1;
        let mut together = vec![algorithm.start(); count];
        let states = together.iter_mut().zip(&inputs);
        let mut group: Vec<Lane<'_>> =
            states.map(|(state, blocks)| Lane { state, blocks }).collect();
        self.compress_group(algorithm, &mut group);
        together.iter().zip(&inputs).all(|(state, blocks)| {
            let mut alone = algorithm.start();
            algorithm.compress(&mut alone, blocks);
            alone == *state
        })
    }
}

/// AMD's SHA units do more at once than others'.
#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "newer compilers take the question for safe")]
fn interleaved_max() -> usize {
    // SAFETY: every CPU of this architecture has the instruction and its leaf 0.
    let vendor = unsafe { __cpuid(0) };
    let name = [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes);
    let is_amd = name.as_flattened() == b"AuthenticAMD";
    if is_amd { INTERLEAVED_MAX } else { INTERLEAVED_MAX_ELSEWHERE }
}

#[cfg(not(target_arch = "x86_64"))]
fn interleaved_max() -> usize {
    INTERLEAVED_MAX_ELSEWHERE
}

#[cfg(target_arch = "x86_64")]
fn has_sha() -> bool {
    is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
}

/// States and inputs of a group, one per vector element; elements without a lane work on the first
/// one's input for nothing.
#[cfg(target_arch = "x86_64")]
fn spread<'a, const N: usize>(group: &[Lane<'a>]) -> ([State; N], [&'a [[u8; 64]]; N]) {
    let mut states = [[0; 8]; N];
    let mut inputs = [group.first().map_or(&[][..], |lane| lane.blocks); N];
    for ((lane, state), input) in group.iter().zip(&mut states).zip(&mut inputs) {
        *state = *lane.state;
        *input = lane.blocks;
    }
    (states, inputs)
}

#[cfg(target_arch = "x86_64")]
fn gather<const N: usize>(states: [State; N], group: &mut [Lane<'_>]) {
    for (lane, state) in group.iter_mut().zip(states) {
        *lane.state = state;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::proptest;

    use super::*;
    use crate::base::digest::Sha1;
    use crate::base::digest::Sha1Stream;

    #[test]
    fn what_the_cpu_offers_passes_its_own_test_and_is_used() {
        let each = Lanes::each();
        assert!(each.iter().all(|(_, lanes, count)| lanes.is_right(*count)));
        let best = Lanes::detect();
        let has = |name: &str| each.iter().any(|(other, ..)| other.starts_with(name));
        assert_eq!(best.interleaved >= INTERLEAVED_MAX_ELSEWHERE, has("SHA-NI"));
        assert_eq!(best.wide == Wide::Avx512, has("AVX-512"));
    }

    #[test]
    fn few_inputs_interleave_many_fill_vectors_and_none_is_left_out() {
        let take = |interleaved, wide| {
            let lanes = Lanes { interleaved, wide };
            [0, 1, 2, 3, 4, 5, 8, 9, 12, 16, 40].map(|waiting| lanes.take::<Sha1Stream>(waiting))
        };
        assert_eq!(take(3, Wide::Avx512), [0, 1, 2, 3, 4, 5, 8, 8, 12, 16, 16]);
        assert_eq!(take(4, Wide::Avx512), [0, 1, 2, 3, 4, 4, 4, 9, 12, 16, 16]);
        assert_eq!(take(3, Wide::None), [0, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3]);
        assert_eq!(take(0, Wide::Avx2), [0, 1, 1, 3, 4, 5, 8, 8, 8, 8, 8]);
        assert_eq!(take(0, Wide::None), [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
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
            let each = Lanes::each().into_iter().map(|(_, lanes, _)| lanes);
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
