//! Sixteen inputs at once, each in an element of AVX-512 vectors.

use std::arch::x86_64::__m512i;
use std::arch::x86_64::_mm512_add_epi32;
use std::arch::x86_64::_mm512_loadu_si512;
use std::arch::x86_64::_mm512_rol_epi32;
use std::arch::x86_64::_mm512_set1_epi32;
use std::arch::x86_64::_mm512_set4_epi32;
use std::arch::x86_64::_mm512_shuffle_epi8;
use std::arch::x86_64::_mm512_shuffle_i32x4;
use std::arch::x86_64::_mm512_srli_epi32;
use std::arch::x86_64::_mm512_storeu_si512;
use std::arch::x86_64::_mm512_ternarylogic_epi32;
use std::arch::x86_64::_mm512_unpackhi_epi32;
use std::arch::x86_64::_mm512_unpackhi_epi64;
use std::arch::x86_64::_mm512_unpacklo_epi32;
use std::arch::x86_64::_mm512_unpacklo_epi64;
use std::arch::x86_64::_mm512_xor_si512;

use crate::base::digest::Algorithm;
use crate::base::digest::State;
use crate::base::digest_lanes::cpu::Avx512;
use crate::base::digest_lanes::operations::Operations;
use crate::base::digest_lanes::rounds::EightyRounds;
use crate::base::digest_lanes::rounds::Rounds;
use crate::base::digest_lanes::rounds::SixtyFourRounds;
use crate::base::digest_lanes::vectors;

/// Inputs taken at once.
pub(crate) const LANES: usize = 16;

impl Operations<LANES> for Avx512 {
    type Vector = __m512i;

    #[inline(always)]
    fn splat(self, word: u32) -> Self::Vector {
        // SAFETY: needs AVX-512F, which `self` proves.
        unsafe { _mm512_set1_epi32(word.cast_signed()) }
    }

    #[inline(always)]
    fn gather(self, words: [u32; LANES]) -> Self::Vector {
        // SAFETY: needs AVX-512F, which `self` proves; reads 64 bytes, which is what sixteen words
        // of four are, and asks for no alignment.
        unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
    }

    #[inline(always)]
    fn scatter(self, vector: Self::Vector) -> [u32; LANES] {
        let mut words = [0; LANES];
        // SAFETY: needs AVX-512F, which `self` proves; writes 64 bytes, which is what sixteen words
        // of four are, and asks for no alignment.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) }
        words
    }

    #[inline(always)]
    fn load(self, blocks: [&[u8; 64]; LANES]) -> [Self::Vector; 16] {
        // SAFETY: needs AVX-512F and AVX-512BW, which `self` proves.
        unsafe { load(blocks) }
    }

    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: needs AVX-512F, which `self` proves.
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    fn xor(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: needs AVX-512F, which `self` proves.
        unsafe { _mm512_xor_si512(a, b) }
    }

    // The constants are truth tables: bit (a << 2 | b << 1 | c) is the result.

    #[inline(always)]
    fn xor3(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: needs AVX-512F, which `self` proves.
        unsafe { _mm512_ternarylogic_epi32::<0x96>(a, b, c) }
    }

    #[inline(always)]
    fn choose(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: needs AVX-512F, which `self` proves.
        unsafe { _mm512_ternarylogic_epi32::<0xca>(a, b, c) }
    }

    #[inline(always)]
    fn majority(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: needs AVX-512F, which `self` proves.
        unsafe { _mm512_ternarylogic_epi32::<0xe8>(a, b, c) }
    }

    #[inline(always)]
    fn rotate<const LEFT: i32, const RIGHT: i32>(self, a: Self::Vector) -> Self::Vector {
        // SAFETY: needs AVX-512F, which `self` proves.
        unsafe { _mm512_rol_epi32::<LEFT>(a) }
    }

    #[inline(always)]
    fn shift<const BITS: u32>(self, a: Self::Vector) -> Self::Vector {
        // SAFETY: needs AVX-512F, which `self` proves.
        unsafe { _mm512_srli_epi32::<BITS>(a) }
    }
}

/// Adds as many blocks of every input to its state as the shortest has.
pub(crate) fn compress(
    proof: Avx512,
    algorithm: Algorithm,
    states: &mut [State; LANES],
    inputs: &[&[[u8; 64]]; LANES],
) {
    // SAFETY (both): `proof` proves the features that are enabled in what is called.
    match algorithm {
        // SAFETY: see above.
        Algorithm::Sha1 => unsafe { enabled::<EightyRounds>(proof, states, inputs) },
        // SAFETY: see above.
        Algorithm::Sha256 => unsafe { enabled::<SixtyFourRounds>(proof, states, inputs) },
    }
}

/// Where everything is inlined into.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2")]
fn enabled<R: Rounds>(proof: Avx512, states: &mut [State; LANES], inputs: &[&[[u8; 64]]; LANES]) {
    vectors::compress::<R, Avx512, LANES>(proof, states, inputs);
}

/// The block of every input: vector i holds the i-th word of all.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(blocks: [&[u8; 64]; LANES]) -> [__m512i; 16] {
    let big_endian = _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    let mut rows = [big_endian; 16];
    for (row, block) in rows.iter_mut().zip(blocks) {
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
