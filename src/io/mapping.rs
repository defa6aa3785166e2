//! A part of a file in the address space, for the kernel to send from. Nobody here reads it: where
//! the file has shrunk a system call says EFAULT, and an access would be a signal.

use std::ffi::c_void;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

/// Pages asked about in one call: those of a full batch and one more.
const PAGES_AT_ONCE: usize = 256;

/// Mapped bytes, until it is dropped. Any thread may do that: unmapping takes some 70 us for 4 MiB.
#[derive(Debug)]
pub(crate) struct Mapping {
    address: usize,
    len: usize,
}

impl Mapping {
    /// `len` bytes of the file from `offset` on, which is a multiple of the page. They may lie
    /// behind the end of the file: then they are there as soon as the file is that long.
    ///
    /// # Errors
    /// What the system says: no address space, too many mappings, a file that cannot be mapped.
    pub(crate) fn new(fd: BorrowedFd<'_>, offset: u64, len: usize) -> Result<Mapping, Errno> {
        let start = i64::try_from(offset).map_err(|_| Errno::OVERFLOW)?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
        let address = unsafe {
            let (protection, flags) = (libc::PROT_READ, libc::MAP_SHARED | libc::MAP_NORESERVE);
            libc::mmap(std::ptr::null_mut(), len, protection, flags, fd.as_raw_fd(), start)
        };
        if address == libc::MAP_FAILED {
            let raw = io::Error::last_os_error().raw_os_error();
            return Err(raw.map_or(Errno::NOMEM, Errno::from_raw_os_error));
        }
        Ok(Mapping { address: address.expose_provenance(), len })
    }

    pub(crate) fn address(&self) -> usize {
        self.address
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: unmaps what `new` mapped, once. Nobody has a reference into it: its bytes are
        // never borrowed, and whoever gave their address to the kernel keeps this value until the
        // kernel is done with them.
        unsafe { libc::munmap(pointer(self.address), self.len) };
    }
}

/// Whether all of these mapped bytes are in memory now, so that the kernel can copy them without
/// waiting for the disk. The kernel says yes to everything where the caller may not know: where it
/// neither owns the file nor may write it.
pub(crate) fn is_resident(address: usize, len: usize) -> bool {
    let page = rustix::param::page_size();
    let (mut at, end) = (address & !(page - 1), address.saturating_add(len));
    let mut pages = [0u8; PAGES_AT_ONCE];
    while at < end {
        let count = (end - at).div_ceil(page).min(PAGES_AT_ONCE);
        // SAFETY: writes one byte per page asked about, and `pages` has room for so many. The range
        // is only looked up: where nothing is mapped the call fails.
        let asked = unsafe { libc::mincore(pointer(at), count * page, pages.as_mut_ptr()) };
        if asked != 0 || pages.iter().take(count).any(|state| state & 1 == 0) {
            return false;
        }
        at += count * page;
    }
    true
}

fn pointer(address: usize) -> *mut c_void {
    std::ptr::with_exposed_provenance_mut(address)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsFd;

    use rustix::fs::Advice;

    use super::*;

    fn file(len: usize) -> File {
        let mut file = tempfile::tempfile_in(".").unwrap();
        file.write_all(&vec![7; len]).unwrap();
        file.sync_all().unwrap();
        file
    }

    #[test]
    fn what_is_in_memory_is_known_to_be() {
        let file = file(3 << 20);
        let mapping = Mapping::new(file.as_fd(), 1 << 20, 4 << 20).unwrap();
        let at = mapping.address();
        assert!(is_resident(at, 2 << 20) && is_resident(at + 4097, 5));
        assert!(!is_resident(at, (2 << 20) + 1), "the file ends there");
        rustix::fs::fadvise(&file, 2 << 20, None, Advice::DontNeed).unwrap();
        assert!(is_resident(at, 1 << 20));
        assert!(!is_resident(at, 2 << 20) && !is_resident(at + (3 << 19), 1));
    }

    #[test]
    fn nothing_is_resident_where_nothing_is_mapped() {
        let mapping = Mapping::new(file(1 << 20).as_fd(), 0, 1 << 20).unwrap();
        assert!(is_resident(mapping.address(), 1 << 20), "it outlives its descriptor");
        assert!(!is_resident(0, 4096));
        let folder = File::open(".").unwrap();
        assert!(Mapping::new(folder.as_fd(), 0, 4096).is_err());
    }
}
