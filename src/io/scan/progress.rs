//! How far a scan is, in numbers for people.

/// Handed to the callbacks of [`Verifier`](crate::Verifier) and [`Creator`](crate::Creator), about
/// twenty times a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ScanProgress {
    /// Bytes that are hashed, or known not to be there. May repeat itself, never falls.
    pub done_bytes: u64,
    /// Bytes of the torrent, the padding of hybrids included.
    pub total_bytes: u64,
}
