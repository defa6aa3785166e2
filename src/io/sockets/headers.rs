//! Memory for headers that sockets refer to: every byte is written once and never again.
//!
//! The kernel refers to pages until the last receiver has taken its bytes, which on loopback is
//! long after they were acknowledged. So nothing here is used twice: what is full is unmapped, and
//! its pages live on with whoever still refers to them.

use std::io;
use std::ptr;

use rustix::io::Errno;

/// Bytes mapped at once. The headers of some 600 full batches, so that mapping costs nothing beside
/// them; in memory is what was written.
const LEN: usize = 256 * 1024;

/// One mapping, filled from its beginning.
#[derive(Debug)]
pub(super) struct Headers {
    start: *mut u8,
    used: usize,
}

impl Headers {
    /// What one batch may put here: the others go another way.
    pub(super) const MAX: usize = LEN / 8;

    /// # Errors
    /// No address space, or too many mappings.
    pub(super) fn new() -> Result<Headers, Errno> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
        let start = unsafe { libc::mmap(ptr::null_mut(), LEN, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            let raw = io::Error::last_os_error().raw_os_error();
            return Err(raw.map_or(Errno::NOMEM, Errno::from_raw_os_error));
        }
        Ok(Headers { start: start.cast(), used: 0 })
    }

    /// Makes room for `MAX` bytes, if need be in a new mapping. Addresses from before are void
    /// then; what the kernel was given of them stays.
    pub(super) fn make_room(&mut self) -> Result<(), Errno> {
        if self.used + Headers::MAX > LEN {
            *self = Headers::new()?;
        }
        Ok(())
    }

    /// Keeps these bytes; their address is for the kernel, before the next `make_room`. `None` when
    /// they do not fit.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Option<*mut u8> {
        let end = self.used.checked_add(bytes.len()).filter(|end| *end <= LEN)?;
        // SAFETY: `used` to `end` lies inside the mapping, which is writable and ours alone. No
        // reference into it exists: only addresses leave, for the kernel to read bytes that lie
        // before `used`. Nothing overlaps, for nobody else has a slice of fresh memory.
        let place = unsafe {
            let place = self.start.add(self.used);
            ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
            place
        };
        self.used = end;
        Some(place)
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        // SAFETY: unmaps what `new` mapped, once. Nobody here has a reference into it, and the
        // kernel counts its own references to the pages.
        unsafe { libc::munmap(self.start.cast(), LEN) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_is_written_twice_and_a_full_mapping_makes_room_for_a_new_one() {
        let mut headers = Headers::new().unwrap();
        let mut last = headers.start.addr();
        for _ in 0..7 {
            headers.make_room().unwrap();
            let place = headers.keep(&[7; Headers::MAX]).unwrap().addr();
            assert!(place == last, "one after the other");
            last = place + Headers::MAX;
        }
        assert!(headers.keep(&[7; Headers::MAX + 1]).is_none());
        headers.make_room().unwrap();
        headers.keep(&[7; Headers::MAX]).unwrap();
        assert_eq!(headers.used, LEN);
        headers.make_room().unwrap();
        assert_eq!(headers.used, 0, "it is another mapping");
    }
}
