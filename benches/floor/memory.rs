//! Mapped memory: anonymous buffers on page borders, and files in place.

use std::fs::File;
use std::io::Error;
use std::io::Result;
use std::os::fd::AsRawFd;
use std::ptr;

/// A mapping of its own; it goes with the value.
pub(crate) struct Memory {
    start: *mut u8,
    length: usize,
}

impl Memory {
    /// Zeros, all of them there already.
    pub(crate) fn anonymous(length: usize) -> Result<Memory> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        Self::map(length, libc::PROT_READ | libc::PROT_WRITE, flags, -1)
    }

    /// A whole file, read once so that every page of it is there.
    pub(crate) fn of_file(file: &File) -> Result<Memory> {
        let length = usize::try_from(file.metadata()?.len()).map_err(Error::other)?;
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        Self::map(length, libc::PROT_READ, flags, file.as_raw_fd())
    }

    fn map(length: usize, protection: i32, flags: i32, fd: i32) -> Result<Memory> {
        // SAFETY: a new mapping at a place that the kernel chooses touches no memory of ours.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, protection, flags, fd, 0) };
        match start {
            libc::MAP_FAILED => Err(Error::last_os_error()),
            start => Ok(Memory { start: start.cast(), length }),
        }
    }

    /// For the kernel: where it reads or writes.
    pub(crate) fn pointer(&self, at: usize) -> *mut u8 {
        assert!(at <= self.length, "{at} is beyond {}", self.length);
        self.start.wrapping_add(at)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is `length` initialised bytes for as long as `self` lives. Nobody
        // writes an anonymous one while it is borrowed; files are not written while a floor runs.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }

    /// Only of anonymous memory.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the borrow is the only one; the kernel has given it back.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.length) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nobody borrows any more.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}
