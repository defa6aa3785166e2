//! Proofs of what this CPU has: whoever holds one may use the instructions it stands for.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__cpuid;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::_MM_HINT_T0;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::_mm_prefetch;

// Every field is private to this file, so that a value comes from `ask` alone.

/// Proof of the SHA instructions, and of SSSE3 and SSE4.1 for the work around them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sha(());

/// Proof of AVX2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Avx2(());

/// Proof of AVX-512 with its byte instructions (BW) and its short vectors (VL), and of AVX2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Avx512(());

impl Sha {
    pub(crate) fn ask() -> Option<Sha> {
        #[cfg(target_arch = "x86_64")]
        let has = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1");
        #[cfg(not(target_arch = "x86_64"))]
        let has = false;
        has.then_some(Sha(()))
    }
}

impl Avx2 {
    pub(crate) fn ask() -> Option<Avx2> {
        #[cfg(target_arch = "x86_64")]
        let has = is_x86_feature_detected!("avx2");
        #[cfg(not(target_arch = "x86_64"))]
        let has = false;
        has.then_some(Avx2(()))
    }
}

impl Avx512 {
    pub(crate) fn ask() -> Option<Avx512> {
        #[cfg(target_arch = "x86_64")]
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        #[cfg(not(target_arch = "x86_64"))]
        let has = false;
        has.then_some(Avx512(()))
    }

    /// What the proof holds besides.
    #[inline(always)]
    pub(crate) fn avx2(self) -> Avx2 {
        Avx2(())
    }
}

/// Whether AMD made the CPU: its SHA units do more at once than others'.
#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "newer compilers take the question for safe")]
pub(crate) fn is_amd() -> bool {
    // SAFETY: every CPU of this architecture has the instruction and its leaf 0.
    let vendor = unsafe { __cpuid(0) };
    let name = [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes);
    name.as_flattened() == b"AuthenticAMD"
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn is_amd() -> bool {
    false
}

/// Has memory brought into the cache, if there is any at `block`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[allow(unused_unsafe, reason = "newer compilers take the prefetch for safe")]
pub(crate) fn ask_for(block: *const [u8; 64]) {
    // SAFETY: every CPU of this architecture has the instruction; it changes nothing that the
    // program sees and never faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(block.cast()) }
}
