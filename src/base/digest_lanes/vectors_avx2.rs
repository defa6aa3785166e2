//! Eight inputs at once, each in an element of AVX2 vectors: for CPUs without AVX-512.

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
use std::arch::x86_64::_mm256_srlv_epi32;
use std::arch::x86_64::_mm256_storeu_si256;
use std::arch::x86_64::_mm256_unpackhi_epi32;
use std::arch::x86_64::_mm256_unpackhi_epi64;
use std::arch::x86_64::_mm256_unpacklo_epi32;
use std::arch::x86_64::_mm256_unpacklo_epi64;
use std::arch::x86_64::_mm256_xor_si256;

use crate::base::digest::Algorithm;
use crate::base::digest::State;
use crate::base::digest_lanes::cpu::Avx2;
use crate::base::digest_lanes::operations::Operations;
use crate::base::digest_lanes::rounds::EightyRounds;
use crate::base::digest_lanes::rounds::Rounds;
use crate::base::digest_lanes::rounds::SixtyFourRounds;
use crate::base::digest_lanes::vectors;

/// Inputs taken at once.
pub(crate) const LANES: usize = 8;

impl Operations<LANES> for Avx2 {
    type Vector = __m256i;

    #[inline(always)]
    fn splat(self, word: u32) -> Self::Vector {
        // SAFETY: needs AVX2, which `self` proves.
        unsafe { _mm256_set1_epi32(word.cast_signed()) }
    }

    #[inline(always)]
    fn gather(self, words: [u32; LANES]) -> Self::Vector {
        // SAFETY: needs AVX2, which `self` proves; reads 32 bytes, which is what eight words of
        // four are, and asks for no alignment.
        unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
    }

    #[inline(always)]
    fn scatter(self, vector: Self::Vector) -> [u32; LANES] {
        let mut words = [0; LANES];
        // SAFETY: needs AVX2, which `self` proves; writes 32 bytes, which is what eight words of
        // four are, and asks for no alignment.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) }
        words
    }

    #[inline(always)]
    fn load(self, blocks: [&[u8; 64]; LANES]) -> [Self::Vector; 16] {
        // SAFETY: needs AVX2, which `self` proves.
        unsafe { load(blocks) }
    }

    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: needs AVX2, which `self` proves.
        unsafe { _mm256_add_epi32(a, b) }
    }

    #[inline(always)]
    fn xor(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: needs AVX2, which `self` proves.
        unsafe { _mm256_xor_si256(a, b) }
    }

    #[inline(always)]
    fn xor3(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        self.xor(a, self.xor(b, c))
    }

    #[inline(always)]
    fn choose(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: needs AVX2, which `self` proves.
        unsafe { _mm256_xor_si256(c, _mm256_and_si256(a, _mm256_xor_si256(b, c))) }
    }

    #[inline(always)]
    fn majority(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: needs AVX2, which `self` proves.
        unsafe {
            let two = _mm256_and_si256(a, b);
            _mm256_or_si256(two, _mm256_and_si256(c, _mm256_or_si256(a, b)))
        }
    }

    #[inline(always)]
    fn rotate<const LEFT: i32, const RIGHT: i32>(self, a: Self::Vector) -> Self::Vector {
        // SAFETY: needs AVX2, which `self` proves.
        unsafe { _mm256_or_si256(_mm256_slli_epi32::<LEFT>(a), _mm256_srli_epi32::<RIGHT>(a)) }
    }

    #[inline(always)]
    fn shift<const BITS: u32>(self, a: Self::Vector) -> Self::Vector {
        // SAFETY: needs AVX2, which `self` proves.
        unsafe { _mm256_srlv_epi32(a, _mm256_set1_epi32(BITS.cast_signed())) }
    }
}

/// Adds as many blocks of every input to its state as the shortest has.
pub(crate) fn compress(
    proof: Avx2,
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
#[target_feature(enable = "avx2")]
fn enabled<R: Rounds>(proof: Avx2, states: &mut [State; LANES], inputs: &[&[[u8; 64]]; LANES]) {
    vectors::compress::<R, Avx2, LANES>(proof, states, inputs);
}

/// The block of every input: vector i holds the i-th word of all.
#[inline]
#[target_feature(enable = "avx2")]
fn load(blocks: [&[u8; 64]; LANES]) -> [__m256i; 16] {
    let mut words = [_mm256_setzero_si256(); 16];
    for (half, words) in words.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        for (row, block) in words.iter_mut().zip(blocks) {
            *row = load_half(block, half);
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
