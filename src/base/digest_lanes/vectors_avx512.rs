//! SHA-1 over sixteen inputs at once, each in an element of AVX-512 vectors.

use std::arch::x86_64::__m512i;
use std::arch::x86_64::_mm512_add_epi32;
use std::arch::x86_64::_mm512_loadu_si512;
use std::arch::x86_64::_mm512_rol_epi32;
use std::arch::x86_64::_mm512_set1_epi32;
use std::arch::x86_64::_mm512_set4_epi32;
use std::arch::x86_64::_mm512_setzero_si512;
use std::arch::x86_64::_mm512_shuffle_epi8;
use std::arch::x86_64::_mm512_shuffle_i32x4;
use std::arch::x86_64::_mm512_storeu_si512;
use std::arch::x86_64::_mm512_ternarylogic_epi32;
use std::arch::x86_64::_mm512_unpackhi_epi32;
use std::arch::x86_64::_mm512_unpackhi_epi64;
use std::arch::x86_64::_mm512_unpacklo_epi32;
use std::arch::x86_64::_mm512_unpacklo_epi64;
use std::arch::x86_64::_mm512_xor_si512;

use crate::base::digest::State;
use crate::base::digest_lanes::eighty_rounds::eighty_rounds;

/// Inputs taken at once.
pub(crate) const LANES: usize = 16;

/// Adds as many blocks of every input to its state as the shortest has. Lanes without work take
/// any input.
#[target_feature(enable = "avx512f,avx512bw")]
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
#[target_feature(enable = "avx512f,avx512bw")]
fn load(inputs: &[&[[u8; 64]]; LANES], at: usize) -> [__m512i; 16] {
    let big_endian = _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    let mut rows = [big_endian; 16];
    for (row, input) in rows.iter_mut().zip(inputs) {
        let block: &[u8; 64] = &input[at];
        // SAFETY: reads 64 bytes, and `block` is a reference to exactly 64; the load asks for no
        // alignment.
        let raw = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        *row = _mm512_shuffle_epi8(raw, big_endian);
    }
    transpose_quarters(&mut rows);
    transpose_fours(rows)
}

/// Turns rows into columns inside each quarter of four rows: vector 4 g + j then holds, in its
/// quarter q, the words 4 q + j of the rows 4 g to 4 g + 3.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transpose_quarters(rows: &mut [__m512i; 16]) {
    for four in rows.as_chunks_mut::<4>().0 {
        let low = _mm512_unpacklo_epi32(four[0], four[1]);
        let high = _mm512_unpackhi_epi32(four[0], four[1]);
        let low_next = _mm512_unpacklo_epi32(four[2], four[3]);
        let high_next = _mm512_unpackhi_epi32(four[2], four[3]);
        *four = [
            _mm512_unpacklo_epi64(low, low_next),
            _mm512_unpackhi_epi64(low, low_next),
            _mm512_unpacklo_epi64(high, high_next),
            _mm512_unpackhi_epi64(high, high_next),
        ];
    }
}

/// Brings the quarters of a word together: word 4 q + j is quarter q of the vectors j, 4 + j,
/// 8 + j and 12 + j.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transpose_fours(rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut words = rows;
    for j in 0..4 {
        // Quarters 0 and 2 of both, then 1 and 3.
        let even = _mm512_shuffle_i32x4::<0x88>(rows[j], rows[4 + j]);
        let odd = _mm512_shuffle_i32x4::<0xdd>(rows[j], rows[4 + j]);
        let even_next = _mm512_shuffle_i32x4::<0x88>(rows[8 + j], rows[12 + j]);
        let odd_next = _mm512_shuffle_i32x4::<0xdd>(rows[8 + j], rows[12 + j]);
        words[j] = _mm512_shuffle_i32x4::<0x88>(even, even_next);
        words[4 + j] = _mm512_shuffle_i32x4::<0x88>(odd, odd_next);
        words[8 + j] = _mm512_shuffle_i32x4::<0xdd>(even, even_next);
        words[12 + j] = _mm512_shuffle_i32x4::<0xdd>(odd, odd_next);
    }
    words
}

#[target_feature(enable = "avx512f,avx512bw")]
fn unpack(states: &[State; LANES]) -> [__m512i; 5] {
    let mut sums = [_mm512_setzero_si512(); 5];
    for (word, sum) in sums.iter_mut().enumerate() {
        let column: [u32; LANES] = states.map(|state| state[word]);
        // SAFETY: reads 64 bytes, and `column` has sixteen words of four; no alignment is asked.
        *sum = unsafe { _mm512_loadu_si512(column.as_ptr().cast()) };
    }
    sums
}

#[target_feature(enable = "avx512f,avx512bw")]
fn pack(sums: [__m512i; 5], states: &mut [State; LANES]) {
    for (word, sum) in sums.into_iter().enumerate() {
        let mut column = [0u32; LANES];
        // SAFETY: writes 64 bytes, and `column` has sixteen words of four; no alignment is asked.
        unsafe { _mm512_storeu_si512(column.as_mut_ptr().cast(), sum) };
        for (state, value) in states.iter_mut().zip(column) {
            state[word] = value;
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn splat(word: i32) -> __m512i {
    _mm512_set1_epi32(word)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn add(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn xor(a: __m512i, b: __m512i) -> __m512i {
    _mm512_xor_si512(a, b)
}

// The constants are truth tables: bit (b << 2 | c << 1 | d) is the result.

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn xor3(b: __m512i, c: __m512i, d: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0x96>(b, c, d)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn choose(b: __m512i, c: __m512i, d: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0xca>(b, c, d)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn majority(b: __m512i, c: __m512i, d: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0xe8>(b, c, d)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn rotate<const BITS: i32, const REST: i32>(a: __m512i) -> __m512i {
    _mm512_rol_epi32::<BITS>(a)
}
