//! The ways to add blocks to states: by themselves, in turn, or side by side.

use std::array;
use std::fmt;

use crate::base::digest::Algorithm;
use crate::base::digest::State;
use crate::base::digest_lanes::cpu::Avx2;
use crate::base::digest_lanes::cpu::Avx512;
use crate::base::digest_lanes::cpu::Sha;
#[cfg(target_arch = "x86_64")]
use crate::base::digest_lanes::sha_ni_sha1;
#[cfg(target_arch = "x86_64")]
use crate::base::digest_lanes::sha_ni_sha256;
#[cfg(target_arch = "x86_64")]
use crate::base::digest_lanes::vectors_avx2;
#[cfg(target_arch = "x86_64")]
use crate::base::digest_lanes::vectors_avx512;
#[cfg(target_arch = "x86_64")]
use crate::base::digest_lanes::vectors_avx512_half;

/// Inputs that SHA instructions take in turn at most.
pub(crate) const INTERLEAVED_MAX: u8 = 4;

/// One input: whole blocks to be added to a state.
pub(crate) struct Lane<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) blocks: &'a [[u8; 64]],
}

/// One way, with the proof that this CPU has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// The crates `sha1` and `sha2`.
    Portable,
    /// SHA instructions for that many inputs, [`INTERLEAVED_MAX`] at most, in turn.
    Interleaved(Sha, u8),
    Avx2(Avx2),
    /// Eight inputs, without the whole width.
    Avx512Half(Avx512),
    Avx512(Avx512),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES[self.index()])
    }
}

/// By [`Way::index`].
pub(crate) const NAMES: [&str; 8] = [
    "portable x1",
    "SHA-NI x1",
    "SHA-NI x2",
    "SHA-NI x3",
    "SHA-NI x4",
    "AVX2 x8",
    "AVX-512 x8",
    "AVX-512 x16",
];

impl Way {
    /// Every way that this CPU has, slowest first.
    pub(crate) fn all() -> Vec<Way> {
        let interleaved = Sha::ask().into_iter();
        let interleaved = interleaved
            .flat_map(|sha| (1..=INTERLEAVED_MAX).map(move |n| Way::Interleaved(sha, n)));
        let avx512 = Avx512::ask().into_iter();
        let mut all = vec![Way::Portable];
        all.extend(interleaved);
        all.extend(Avx2::ask().map(Way::Avx2));
        all.extend(avx512.flat_map(|proof| [Way::Avx512Half(proof), Way::Avx512(proof)]));
        all
    }

    /// Its place among all that there are.
    pub(crate) fn index(self) -> usize {
        match self {
            Way::Portable => 0,
            Way::Interleaved(_, count) => count.clamp(1, INTERLEAVED_MAX).into(),
            Way::Avx2(_) => 5,
            Way::Avx512Half(_) => 6,
            Way::Avx512(_) => 7,
        }
    }

    /// Inputs that it takes at once.
    pub(crate) fn lanes(self) -> usize {
        match self {
            Way::Portable => 1,
            Way::Interleaved(_, count) => count.clamp(1, INTERLEAVED_MAX).into(),
            Way::Avx2(_) | Way::Avx512Half(_) => 8,
            Way::Avx512(_) => 16,
        }
    }

    /// Adds all blocks of the group to their states: those that all have together, what some have
    /// beyond that one by one.
    pub(crate) fn compress(self, algorithm: Algorithm, group: &mut [Lane<'_>]) {
        let shortest = group.iter().map(|lane| lane.blocks.len()).min().unwrap_or(0);
        let done = if self.compress_together(algorithm, group) { shortest } else { 0 };
        for lane in group {
            let rest = lane.blocks.get(done..).unwrap_or_default();
            if !rest.is_empty() {
                algorithm.compress(lane.state, rest);
            }
        }
    }

    /// Adds the blocks that all of a group have; false if there is no way for so many.
    #[cfg(target_arch = "x86_64")]
    fn compress_together(self, algorithm: Algorithm, group: &mut [Lane<'_>]) -> bool {
        if group.is_empty() || group.len() > self.lanes() {
            return false;
        }
        match self {
            Way::Portable => return false,
            Way::Interleaved(proof, _) => interleave(proof, algorithm, group),
            Way::Avx2(proof) => {
                let (mut states, inputs) = spread(group);
                vectors_avx2::compress(proof, algorithm, &mut states, &inputs);
                gather(states, group);
            }
            Way::Avx512Half(proof) => {
                let (mut states, inputs) = spread(group);
                vectors_avx512_half::compress(proof, algorithm, &mut states, &inputs);
                gather(states, group);
            }
            Way::Avx512(proof) => {
                let (mut states, inputs) = spread(group);
                vectors_avx512::compress(proof, algorithm, &mut states, &inputs);
                gather(states, group);
            }
        }
        true
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn compress_together(self, _algorithm: Algorithm, _group: &mut [Lane<'_>]) -> bool {
        false
    }

    /// Whether as many inputs as it takes, of one length and of several, come out as they do by
    /// themselves by the crates.
    pub(crate) fn is_right(self, algorithm: Algorithm) -> bool {
        let byte = |at: usize| (at * 167 + at / 251) as u8;
        let inputs: Vec<[[u8; 64]; 3]> = (0..self.lanes())
            .map(|input| array::from_fn(|i| array::from_fn(|j| byte(input * 192 + i * 64 + j))))
            .collect();
        let is_right = |length: &dyn Fn(usize) -> usize| {
            let mut together = vec![algorithm.start(); inputs.len()];
            let lanes = together.iter_mut().zip(&inputs).enumerate();
            let mut group: Vec<Lane<'_>> = lanes
                .map(|(at, (state, blocks))| Lane { state, blocks: &blocks[..length(at)] })
                .collect();
            self.compress(algorithm, &mut group);
            together.iter().zip(&inputs).enumerate().all(|(at, (state, blocks))| {
                let mut alone = algorithm.start();
                algorithm.compress(&mut alone, &blocks[..length(at)]);
                alone == *state
            })
        };
        is_right(&|_| 3) && is_right(&|at| 1 + at % 3)
    }
}

/// By SHA instructions, as many as the group has.
#[cfg(target_arch = "x86_64")]
fn interleave(proof: Sha, algorithm: Algorithm, group: &mut [Lane<'_>]) {
    match group {
        [a] => in_turn(proof, algorithm, [a]),
        [a, b] => in_turn(proof, algorithm, [a, b]),
        [a, b, c] => in_turn(proof, algorithm, [a, b, c]),
        [a, b, c, d] => in_turn(proof, algorithm, [a, b, c, d]),
        _ => {}
    }
}

#[cfg(target_arch = "x86_64")]
fn in_turn<const N: usize>(proof: Sha, algorithm: Algorithm, group: [&mut Lane<'_>; N]) {
    let inputs = array::from_fn(|at| group[at].blocks);
    let states = group.map(|lane| &mut *lane.state);
    match algorithm {
        Algorithm::Sha1 => sha_ni_sha1::compress(proof, states, inputs),
        Algorithm::Sha256 => sha_ni_sha256::compress(proof, states, inputs),
    }
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
    use super::*;

    #[test]
    fn every_way_of_this_cpu_passes_its_own_test_for_both_algorithms() {
        for way in Way::all() {
            assert!(way.is_right(Algorithm::Sha1) && way.is_right(Algorithm::Sha256), "{way}");
        }
    }

    #[test]
    fn a_group_that_is_too_large_for_a_way_is_still_hashed() {
        let block = [[7; 64]];
        for way in Way::all() {
            let mut states = vec![Algorithm::Sha256.start(); way.lanes() + 1];
            let lanes = states.iter_mut().map(|state| Lane { state, blocks: &block });
            way.compress(Algorithm::Sha256, &mut lanes.collect::<Vec<_>>());
            let mut alone = Algorithm::Sha256.start();
            Algorithm::Sha256.compress(&mut alone, &block);
            assert!(states.iter().all(|state| *state == alone), "{way}");
        }
    }
}
