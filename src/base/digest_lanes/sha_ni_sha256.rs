//! SHA-256 by the CPU's SHA instructions, over up to four inputs in turn: each instruction waits
//! for the one before it, so those of other inputs fill the gaps.

use std::arch::x86_64::__m128i;
use std::arch::x86_64::_mm_add_epi32;
use std::arch::x86_64::_mm_alignr_epi8;
use std::arch::x86_64::_mm_extract_epi32;
use std::arch::x86_64::_mm_loadu_si128;
use std::arch::x86_64::_mm_set_epi32;
use std::arch::x86_64::_mm_set_epi64x;
use std::arch::x86_64::_mm_setzero_si128;
use std::arch::x86_64::_mm_sha256msg1_epu32;
use std::arch::x86_64::_mm_sha256msg2_epu32;
use std::arch::x86_64::_mm_sha256rnds2_epu32;
use std::arch::x86_64::_mm_shuffle_epi8;
use std::arch::x86_64::_mm_shuffle_epi32;

use crate::base::digest::State;
use crate::base::digest_lanes::cpu::Sha;
use crate::base::digest_lanes::cpu::ask_for;
use crate::base::digest_lanes::rounds::SIXTY_FOUR;

/// Blocks that are asked for before they are needed, 1 KiB, as for SHA-1.
const AHEAD: usize = 16;

/// What one input is at.
#[derive(Clone, Copy)]
struct Lane {
    /// The words a (highest), b, e and f.
    abef: __m128i,
    /// The words c (highest), d, g and h.
    cdgh: __m128i,
    /// The last sixteen words of the schedule.
    schedule: [__m128i; 4],
}

/// Four rounds, `$group` of sixteen, of each lane.
macro_rules! four_rounds {
    ($lanes:ident; $($group:literal)+) => {
        $(for lane in &mut $lanes {
            let words = match $group {
                0..4 => lane.schedule[$group % 4],
                _ => lane.next_words($group),
            };
            let first = _mm_add_epi32(words, constants($group));
            // Two rounds turn a, b, e, f into c, d, g, h, and make new ones out of both.
            lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, first);
            let second = _mm_shuffle_epi32::<0b00_00_11_10>(first);
            lane.abef = _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, second);
        })+
    };
}

impl Lane {
    /// The next four words of the schedule, for `group` of sixteen.
    #[inline]
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn next_words(&mut self, group: usize) -> __m128i {
        let old = |ago: usize| self.schedule[(group + 4 - ago) % 4];
        let far = _mm_sha256msg1_epu32(old(4), old(3));
        let seven_ago = _mm_alignr_epi8::<4>(old(1), old(2));
        let words = _mm_sha256msg2_epu32(_mm_add_epi32(far, seven_ago), old(1));
        self.schedule[group % 4] = words;
        words
    }
}

/// The constants of four rounds.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn constants(group: usize) -> __m128i {
    let at = |round: usize| SIXTY_FOUR[4 * group + round].cast_signed();
    _mm_set_epi32(at(3), at(2), at(1), at(0))
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
        let mut lanes = [Lane { abef: zero, cdgh: zero, schedule: [zero; 4] }; N];
        for ((lane, sum), input) in lanes.iter_mut().zip(&sums).zip(&inputs) {
            *lane = Lane { abef: sum.0, cdgh: sum.1, schedule: load(&input[at]) };
            ask_for(input.as_ptr().wrapping_add(at + AHEAD));
        }
        four_rounds!(lanes; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        for (lane, sum) in lanes.iter().zip(&mut sums) {
            *sum = (_mm_add_epi32(lane.abef, sum.0), _mm_add_epi32(lane.cdgh, sum.1));
        }
    }
    for (sum, state) in sums.iter().zip(states) {
        *state = pack(*sum);
    }
}

/// The sixteen words of a block, each four with the first one lowest.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn load(block: &[u8; 64]) -> [__m128i; 4] {
    let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let mut words = [big_endian; 4];
    for (four, bytes) in words.iter_mut().zip(block.as_chunks::<16>().0) {
        // SAFETY: reads 16 bytes, and `bytes` is a reference to exactly 16; the load asks for no
        // alignment.
        let raw = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
        *four = _mm_shuffle_epi8(raw, big_endian);
    }
    words
}

#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn unpack(state: &State) -> (__m128i, __m128i) {
    let [a, b, c, d, e, f, g, h] = state.map(u32::cast_signed);
    (_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h))
}

#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn pack((abef, cdgh): (__m128i, __m128i)) -> State {
    let [a, b] = [_mm_extract_epi32::<3>(abef), _mm_extract_epi32::<2>(abef)];
    let [e, f] = [_mm_extract_epi32::<1>(abef), _mm_extract_epi32::<0>(abef)];
    let [c, d] = [_mm_extract_epi32::<3>(cdgh), _mm_extract_epi32::<2>(cdgh)];
    let [g, h] = [_mm_extract_epi32::<1>(cdgh), _mm_extract_epi32::<0>(cdgh)];
    [a, b, c, d, e, f, g, h].map(i32::cast_unsigned)
}
