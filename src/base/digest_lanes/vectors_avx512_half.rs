//! SHA-1 over eight inputs at once by the AVX-512 instructions on half vectors: as AVX2, with one
//! operation where that needs two or three, and for up to eight inputs better than half-empty
//! vectors of sixteen.

use std::arch::x86_64::__m256i;
use std::arch::x86_64::_mm256_rol_epi32;
use std::arch::x86_64::_mm256_ternarylogic_epi32;

use crate::base::digest::State;
use crate::base::digest_lanes::eighty_rounds::eighty_rounds;
use crate::base::digest_lanes::vectors_avx2::LANES;
use crate::base::digest_lanes::vectors_avx2::add;
use crate::base::digest_lanes::vectors_avx2::load;
use crate::base::digest_lanes::vectors_avx2::pack;
use crate::base::digest_lanes::vectors_avx2::splat;
use crate::base::digest_lanes::vectors_avx2::unpack;
use crate::base::digest_lanes::vectors_avx2::xor;

/// Adds as many blocks of every input to its state as the shortest has. Lanes without work take
/// any input.
#[target_feature(enable = "avx2,avx512f,avx512vl")]
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

// The constants are truth tables: bit (b << 2 | c << 1 | d) is the result.

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512vl")]
fn xor3(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
    _mm256_ternarylogic_epi32::<0x96>(b, c, d)
}

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512vl")]
fn choose(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
    _mm256_ternarylogic_epi32::<0xca>(b, c, d)
}

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512vl")]
fn majority(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
    _mm256_ternarylogic_epi32::<0xe8>(b, c, d)
}

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512vl")]
fn rotate<const BITS: i32, const REST: i32>(a: __m256i) -> __m256i {
    _mm256_rol_epi32::<BITS>(a)
}
