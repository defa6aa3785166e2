//! Eight inputs at once by the AVX-512 instructions on half vectors: as AVX2, with one operation
//! where that needs two or three, and for up to eight inputs better than half-empty vectors of
//! sixteen.

use std::arch::x86_64::__m256i;
use std::arch::x86_64::_mm256_rol_epi32;
use std::arch::x86_64::_mm256_ternarylogic_epi32;

use crate::base::digest::Algorithm;
use crate::base::digest::State;
use crate::base::digest_lanes::cpu::Avx512;
use crate::base::digest_lanes::operations::Operations;
use crate::base::digest_lanes::rounds::EightyRounds;
use crate::base::digest_lanes::rounds::Rounds;
use crate::base::digest_lanes::rounds::SixtyFourRounds;
use crate::base::digest_lanes::vectors;
use crate::base::digest_lanes::vectors_avx2::LANES;

/// The proof again, for the half vectors.
#[derive(Clone, Copy)]
struct Half(Avx512);

impl Operations<LANES> for Half {
    type Vector = __m256i;

    #[inline(always)]
    fn splat(self, word: u32) -> Self::Vector {
        self.0.avx2().splat(word)
    }

    #[inline(always)]
    fn gather(self, words: [u32; LANES]) -> Self::Vector {
        self.0.avx2().gather(words)
    }

    #[inline(always)]
    fn scatter(self, vector: Self::Vector) -> [u32; LANES] {
        self.0.avx2().scatter(vector)
    }

    #[inline(always)]
    fn load(self, blocks: [&[u8; 64]; LANES]) -> [Self::Vector; 16] {
        self.0.avx2().load(blocks)
    }

    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        self.0.avx2().add(a, b)
    }

    #[inline(always)]
    fn xor(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        self.0.avx2().xor(a, b)
    }

    // The constants are truth tables: bit (a << 2 | b << 1 | c) is the result.

    #[inline(always)]
    fn xor3(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: needs AVX-512VL, which `self.0` proves.
        unsafe { _mm256_ternarylogic_epi32::<0x96>(a, b, c) }
    }

    #[inline(always)]
    fn choose(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: needs AVX-512VL, which `self.0` proves.
        unsafe { _mm256_ternarylogic_epi32::<0xca>(a, b, c) }
    }

    #[inline(always)]
    fn majority(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: needs AVX-512VL, which `self.0` proves.
        unsafe { _mm256_ternarylogic_epi32::<0xe8>(a, b, c) }
    }

    #[inline(always)]
    fn rotate<const LEFT: i32, const RIGHT: i32>(self, a: Self::Vector) -> Self::Vector {
        // SAFETY: needs AVX-512VL, which `self.0` proves.
        unsafe { _mm256_rol_epi32::<LEFT>(a) }
    }

    #[inline(always)]
    fn shift<const BITS: u32>(self, a: Self::Vector) -> Self::Vector {
        self.0.avx2().shift::<BITS>(a)
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
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl")]
fn enabled<R: Rounds>(proof: Avx512, states: &mut [State; LANES], inputs: &[&[[u8; 64]]; LANES]) {
    vectors::compress::<R, Half, LANES>(Half(proof), states, inputs);
}
