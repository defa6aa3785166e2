//! SHA-1 over eight inputs at once, each in an element of AVX2 vectors: for CPUs that have neither
//! SHA instructions nor AVX-512.

use std::arch::x86_64::__m256i;
use std::arch::x86_64::_mm256_add_epi32;
use std::arch::x86_64::_mm256_and_si256;
use std::arch::x86_64::_mm256_loadu_si256;
use std::arch::x86_64::_mm256_or_si256;
use std::arch::x86_64::_mm256_permute2x128_si256;
use std::arch::x86_64::_mm256_set_epi32;
use std::arch::x86_64::_mm256_set1_epi32;
use std::arch::x86_64::_mm256_setzero_si256;
use std::arch::x86_64::_mm256_shuffle_epi8;
use std::arch::x86_64::_mm256_slli_epi32;
use std::arch::x86_64::_mm256_srli_epi32;
use std::arch::x86_64::_mm256_storeu_si256;
use std::arch::x86_64::_mm256_unpackhi_epi32;
use std::arch::x86_64::_mm256_unpackhi_epi64;
use std::arch::x86_64::_mm256_unpacklo_epi32;
use std::arch::x86_64::_mm256_unpacklo_epi64;
use std::arch::x86_64::_mm256_xor_si256;

use crate::base::digest::State;
use crate::base::digest_lanes::eighty_rounds::eighty_rounds;

/// Inputs taken at once.
pub(crate) const LANES: usize = 8;

/// Adds as many blocks of every input to its state as the shortest has. Lanes without work take
/// any input.
#[target_feature(enable = "avx2")]
pub(crate) fn compress(states: &mut [State; LANES], inputs: &[&[[u8; 64]]; LANES]) {
    let count = inputs.iter().map(|input| input.len()).min().unwrap_or(0);
    let mut sums = unpack(states);
    for at in 0..count {
        let mut schedule = load(inputs, at);
        let mut state = sums;
        eighty_rounds!(state, schedule);
        for (sum, word) in sums.iter_mut().zip(state) {
            *sum = add(*sum, word);
        }
    }
    pack(sums, states);
}

/// The block `at` of every input: vector i holds the i-th word of all.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn load(inputs: &[&[[u8; 64]]; LANES], at: usize) -> [__m256i; 16] {
    let mut words = [_mm256_setzero_si256(); 16];
    for (half, words) in words.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        for (row, input) in words.iter_mut().zip(inputs) {
            *row = load_half(&input[at], half);
        }
        *words = transpose(*words);
    }
    words
}

/// Eight words of a block: the first for `half` 0, the last for 1.
#[inline]
#[target_feature(enable = "avx2")]
fn load_half(block: &[u8; 64], half: usize) -> __m256i {
    let [d, c, b, a] = [0x0001_0203, 0x0405_0607, 0x0809_0a0b, 0x0c0d_0e0f];
    let big_endian = _mm256_set_epi32(a, b, c, d, a, b, c, d);
    let bytes = &block.as_chunks::<32>().0[half];
    // SAFETY: reads 32 bytes, and `bytes` is a reference to exactly 32; the load asks for no
    // alignment.
    let raw = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
    _mm256_shuffle_epi8(raw, big_endian)
}

/// Turns eight rows into columns: inside each half of four rows, then across the halves.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(mut rows: [__m256i; 8]) -> [__m256i; 8] {
    for four in rows.as_chunks_mut::<4>().0 {
        let low = _mm256_unpacklo_epi32(four[0], four[1]);
        let high = _mm256_unpackhi_epi32(four[0], four[1]);
        let low_next = _mm256_unpacklo_epi32(four[2], four[3]);
        let high_next = _mm256_unpackhi_epi32(four[2], four[3]);
        *four = [
            _mm256_unpacklo_epi64(low, low_next),
            _mm256_unpackhi_epi64(low, low_next),
            _mm256_unpacklo_epi64(high, high_next),
            _mm256_unpackhi_epi64(high, high_next),
        ];
    }
    let mut words = rows;
    for j in 0..4 {
        words[j] = _mm256_permute2x128_si256::<0x20>(rows[j], rows[4 + j]);
        words[4 + j] = _mm256_permute2x128_si256::<0x31>(rows[j], rows[4 + j]);
    }
    words
}

#[target_feature(enable = "avx2")]
pub(crate) fn unpack(states: &[State; LANES]) -> [__m256i; 5] {
    let mut sums = [_mm256_setzero_si256(); 5];
    for (word, sum) in sums.iter_mut().enumerate() {
        let column: [u32; LANES] = states.map(|state| state[word]);
        // SAFETY: reads 32 bytes, and `column` has eight words of four; no alignment is asked.
        *sum = unsafe { _mm256_loadu_si256(column.as_ptr().cast()) };
    }
    sums
}

#[target_feature(enable = "avx2")]
pub(crate) fn pack(sums: [__m256i; 5], states: &mut [State; LANES]) {
    for (word, sum) in sums.into_iter().enumerate() {
        let mut column = [0u32; LANES];
        // SAFETY: writes 32 bytes, and `column` has eight words of four; no alignment is asked.
        unsafe { _mm256_storeu_si256(column.as_mut_ptr().cast(), sum) };
        for (state, value) in states.iter_mut().zip(column) {
            state[word] = value;
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn splat(word: i32) -> __m256i {
    _mm256_set1_epi32(word)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn add(a: __m256i, b: __m256i) -> __m256i {
    _mm256_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn xor(a: __m256i, b: __m256i) -> __m256i {
    _mm256_xor_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor3(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
    xor(b, xor(c, d))
}

#[inline]
#[target_feature(enable = "avx2")]
fn choose(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
    xor(d, _mm256_and_si256(b, xor(c, d)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn majority(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
    _mm256_or_si256(_mm256_and_si256(b, c), _mm256_and_si256(d, _mm256_or_si256(b, c)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const BITS: i32, const REST: i32>(a: __m256i) -> __m256i {
    _mm256_or_si256(_mm256_slli_epi32::<BITS>(a), _mm256_srli_epi32::<REST>(a))
}
