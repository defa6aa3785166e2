//! SHA-1 by the CPU's SHA instructions, over up to four inputs in turn: each instruction waits for
//! the one before it, so those of other inputs fill the gaps almost for free.

use std::arch::x86_64::__m128i;
use std::arch::x86_64::_mm_add_epi32;
use std::arch::x86_64::_mm_extract_epi32;
use std::arch::x86_64::_mm_loadu_si128;
use std::arch::x86_64::_mm_set_epi32;
use std::arch::x86_64::_mm_set_epi64x;
use std::arch::x86_64::_mm_setzero_si128;
use std::arch::x86_64::_mm_sha1msg1_epu32;
use std::arch::x86_64::_mm_sha1msg2_epu32;
use std::arch::x86_64::_mm_sha1nexte_epu32;
use std::arch::x86_64::_mm_sha1rnds4_epu32;
use std::arch::x86_64::_mm_shuffle_epi8;
use std::arch::x86_64::_mm_xor_si128;

use crate::base::digest::State;
use crate::base::digest_lanes::cpu::Sha;
use crate::base::digest_lanes::cpu::ask_for;

/// Blocks that are asked for before they are needed, 1 KiB: a lone input from memory that is in no
/// cache takes half as long again without.
const AHEAD: usize = 16;

/// What one input is at.
#[derive(Clone, Copy)]
struct Lane {
    /// The words a (highest) to d.
    abcd: __m128i,
    /// `abcd` before the last four rounds; e follows from it. Before the first: e itself.
    before: __m128i,
    /// The last sixteen words of the schedule.
    schedule: [__m128i; 4],
}

/// Four rounds, `$group` of twenty, of each lane.
macro_rules! four_rounds {
    ($lanes:ident; $($group:literal)+) => {
        $(for lane in &mut $lanes {
            let words = match $group {
                0..4 => lane.schedule[$group % 4],
                _ => lane.next_words($group),
            };
            let e = match $group {
                0 => _mm_add_epi32(lane.before, words),
                _ => _mm_sha1nexte_epu32(lane.before, words),
            };
            lane.before = lane.abcd;
            lane.abcd = _mm_sha1rnds4_epu32::<{ $group / 5 }>(lane.abcd, e);
        })+
    };
}

impl Lane {
    /// The next four words of the schedule, for `group` of twenty.
    #[inline]
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn next_words(&mut self, group: usize) -> __m128i {
        let old = |ago: usize| self.schedule[(group + 4 - ago) % 4];
        let mixed = _mm_xor_si128(_mm_sha1msg1_epu32(old(4), old(3)), old(2));
        let words = _mm_sha1msg2_epu32(mixed, old(1));
        self.schedule[group % 4] = words;
        words
    }
}

/// Adds as many blocks of every input to its state as the shortest has.
pub(crate) fn compress<const N: usize>(
    _proof: Sha,
    states: [&mut State; N],
    inputs: [&[[u8; 64]]; N],
) {
    // SAFETY: needs the SHA instructions, SSSE3 and SSE4.1, which `_proof` proves.
    unsafe { enabled(states, inputs) }
}

#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn enabled<const N: usize>(states: [&mut State; N], inputs: [&[[u8; 64]]; N]) {
    let count = inputs.iter().map(|input| input.len()).min().unwrap_or(0);
    let zero = _mm_setzero_si128();
    let mut sums = [(zero, zero); N];
    for (sum, state) in sums.iter_mut().zip(&states) {
        *sum = unpack(state);
    }
    for at in 0..count {
        let mut lanes = [Lane { abcd: zero, before: zero, schedule: [zero; 4] }; N];
        for ((lane, sum), input) in lanes.iter_mut().zip(&sums).zip(&inputs) {
            *lane = Lane { abcd: sum.0, before: sum.1, schedule: load(&input[at]) };
            ask_for(input.as_ptr().wrapping_add(at + AHEAD));
        }
        four_rounds!(lanes; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19);
        for (lane, sum) in lanes.iter().zip(&mut sums) {
            let e = _mm_sha1nexte_epu32(lane.before, sum.1);
            *sum = (_mm_add_epi32(lane.abcd, sum.0), e);
        }
    }
    for (sum, state) in sums.iter().zip(states) {
        pack(*sum, state);
    }
}

/// The sixteen words of a block, each four with the first one highest.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn load(block: &[u8; 64]) -> [__m128i; 4] {
    let reversed = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
    let mut words = [reversed; 4];
    for (four, bytes) in words.iter_mut().zip(block.as_chunks::<16>().0) {
        // SAFETY: reads 16 bytes, and `bytes` is a reference to exactly 16; the load asks for no
        // alignment.
        let raw = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
        *four = _mm_shuffle_epi8(raw, reversed);
    }
    words
}

/// The words a to d with a highest, and e in the highest place of its own.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn unpack(state: &State) -> (__m128i, __m128i) {
    let [a, b, c, d, e, ..] = state.map(u32::cast_signed);
    (_mm_set_epi32(a, b, c, d), _mm_set_epi32(e, 0, 0, 0))
}

#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn pack((abcd, e): (__m128i, __m128i), state: &mut State) {
    let [a, b] = [_mm_extract_epi32::<3>(abcd), _mm_extract_epi32::<2>(abcd)];
    let [c, d] = [_mm_extract_epi32::<1>(abcd), _mm_extract_epi32::<0>(abcd)];
    let five = [a, b, c, d, _mm_extract_epi32::<3>(e)].map(i32::cast_unsigned);
    state[..5].copy_from_slice(&five);
}
