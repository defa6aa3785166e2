//! The heap of the process.

/// Gives back whole pages that it keeps although nothing is in them. Takes milliseconds: for
/// threads that nobody waits for.
pub(crate) fn give_back() {
    // SAFETY: it takes a number, and locks and changes nothing but the allocator's own lists.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
