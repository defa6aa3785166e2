//! A part of a file in memory without a copy: half of the time per byte that a copy would add is
//! saved, and a file that shrinks meanwhile is an error.

use std::ffi::c_void;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::slice;

use rustix::io::Errno;

use crate::io::scan::guard::Guard;

/// What mapping offsets are multiples of: the page of the largest kind that Linux has on our
/// targets.
const ALIGNMENT: u64 = 64 * 1024;

/// Bytes of a file, mapped and present. Stays on its thread: a lost page is mended there.
#[derive(Debug)]
pub(super) struct Mapping {
    address: NonNull<u8>,
    /// Mapped bytes.
    len: usize,
    /// Bytes in front of those that were asked for.
    skip: usize,
    guard: Option<Guard>,
}

impl Mapping {
    /// The `len` bytes at `offset`, brought into memory; at least 1, and all inside the file.
    ///
    /// # Errors
    /// What the system says; `Errno::FAULT` when the file ends earlier or could not be read,
    /// `Errno::NOTSUP` when nothing can be guarded.
    pub(super) fn new(fd: BorrowedFd<'_>, offset: u64, len: usize) -> Result<Mapping, Errno> {
        let skip = (offset % ALIGNMENT) as usize;
        let start = i64::try_from(offset - skip as u64).map_err(|_| Errno::OVERFLOW)?;
        let len = len.checked_add(skip).ok_or(Errno::OVERFLOW)?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
        let address = unsafe {
            let (protection, flags) = (libc::PROT_READ, libc::MAP_SHARED);
            libc::mmap(std::ptr::null_mut(), len, protection, flags, fd.as_raw_fd(), start)
        };
        if address == libc::MAP_FAILED {
            return Err(last_errno());
        }
        let address = NonNull::new(address.cast()).ok_or(Errno::NOMEM)?;
        let mut mapping = Mapping { address, len, skip, guard: None };
        mapping.guard = Guard::new(address.as_ptr() as usize, len);
        if mapping.guard.is_none() {
            return Err(Errno::NOTSUP);
        }
        mapping.populate()?;
        Ok(mapping)
    }

    /// Faults all pages in at once. A system call answers with an error where an access would be a
    /// signal.
    fn populate(&self) -> Result<(), Errno> {
        loop {
            // SAFETY: the range is the mapping's own; nothing in it changes.
            let done = unsafe {
                let address: *mut c_void = self.address.as_ptr().cast();
                libc::madvise(address, self.len, libc::MADV_POPULATE_READ)
            };
            match done {
                0 => return Ok(()),
                _ => match last_errno() {
                    Errno::INTR | Errno::AGAIN => {}
                    // Before Linux 5.14 pages come one by one, at the first access.
                    Errno::INVAL => return Ok(()),
                    errno => return Err(errno),
                },
            }
        }
    }

    /// The bytes. Others may write to the file: hash them, and decide nothing by them.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: mapped for reading from `new` to `drop`, which needs this value; a page that the
        // file loses reads as zeros, by the guard. Should somebody write to the file meanwhile, the
        // bytes are either old or new; they are only ever loaded into digests and copied, where any
        // value is as good, and the digest then matches or not.
        let all = unsafe { slice::from_raw_parts(self.address.as_ptr(), self.len) };
        all.get(self.skip..).unwrap_or_default()
    }

    /// Whether all bytes read so far were the file's.
    pub(super) fn is_whole(&self) -> bool {
        !self.guard.as_ref().is_none_or(Guard::is_hit)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // First: as soon as the memory is unmapped another thread may map and guard its addresses.
        self.guard = None;
        // SAFETY: unmaps what `new` mapped, once; every slice of it borrowed this value.
        unsafe { libc::munmap(self.address.as_ptr().cast(), self.len) };
    }
}

fn last_errno() -> Errno {
    let error = std::io::Error::last_os_error();
    error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    fn file(len: usize) -> File {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        file.write_all(&bytes).unwrap();
        file
    }

    #[test]
    fn any_part_of_a_file_is_there() {
        let file = file(300_000);
        let mapping = Mapping::new(file.as_fd(), 70_001, 200_000).unwrap();
        let expected: Vec<u8> = (70_001..270_001).map(|at| (at % 251) as u8).collect();
        assert_eq!(mapping.bytes(), expected);
        assert!(mapping.is_whole());
    }

    #[test]
    fn bytes_behind_the_end_are_an_error() {
        let file = file(100_000);
        assert_eq!(Mapping::new(file.as_fd(), 0, 300_000).unwrap_err(), Errno::FAULT);
    }

    #[test]
    fn a_file_that_is_cut_meanwhile_reads_as_zeros_and_is_marked() {
        let file = file(300_000);
        let mapping = Mapping::new(file.as_fd(), 0, 300_000).unwrap();
        file.set_len(100_000).unwrap();
        assert_eq!(mapping.bytes()[99_999], (99_999 % 251) as u8);
        assert!(mapping.is_whole(), "what was read so far is there");
        assert!(mapping.bytes()[150_000..].iter().all(|byte| *byte == 0));
        assert!(!mapping.is_whole());
        drop(mapping);
        let again = Mapping::new(file.as_fd(), 0, 100_000).unwrap();
        assert!(again.is_whole(), "the mark went with its mapping");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the handler runs on each thread by itself")]
    fn many_threads_lose_pages_at_once() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let file = file(200_000);
                        let mapping = Mapping::new(file.as_fd(), 0, 200_000).unwrap();
                        file.set_len(0).unwrap();
                        assert_eq!(mapping.bytes().iter().map(|b| u64::from(*b)).sum::<u64>(), 0);
                        assert!(!mapping.is_whole());
                    }
                });
            }
        });
    }
}
