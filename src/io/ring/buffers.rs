//! Provided buffers: the memory that the kernel picks from when a receive finds bytes.
//!
//! All of them stay inside half of the L2: a pool of 4 MiB was measured to cost twice the CPU per
//! byte. For the same reason they are few and long where there is room: each costs a receive. A
//! buffer is parsed and given back within the turn that received it.

use std::io;
use std::mem::size_of;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

use crate::base::buffer::PageBuf;
use crate::io::cpus::Provision;

/// Most buffers in a ring, and most bytes in one.
const COUNT_MAX: u16 = 32;
const LEN_MAX: usize = 64 * 1024;
/// The one buffer group of a ring.
pub(super) const GROUP: u16 = 0;

/// Bytes that the kernel received into one of our buffers. Give it back once it is parsed.
#[derive(Debug)]
#[must_use = "a buffer that is not given back is lost to the ring"]
pub(crate) struct Filled {
    id: u16,
    len: usize,
}

impl Filled {
    /// For completions alone: the kernel named buffer `id` and says it holds `len` bytes.
    pub(super) fn from_kernel(id: u16, result: i32) -> Filled {
        let len = usize::try_from(result).unwrap_or(0);
        assert!(id < COUNT_MAX && len <= LEN_MAX, "the kernel names only buffers we gave it");
        Filled { id, len }
    }

    /// Bytes in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

/// The buffer ring shared with the kernel, and the memory it points to.
pub(super) struct ProvidedBuffers {
    entries: *mut BufRingEntry,
    memory: *mut u8,
    provision: Provision,
    tail: u16,
    // Owners of the two pointers above; never touched again by reference while the ring lives.
    _entries: PageBuf,
    _memory: PageBuf,
}

impl ProvidedBuffers {
    /// Registers all buffers. The caller keeps the result until the ring has closed or let go of
    /// it.
    pub(super) fn register(
        submitter: &Submitter<'_>,
        provision: Provision,
    ) -> io::Result<ProvidedBuffers> {
        let Provision { count, len } = provision;
        let is_fit = count.is_power_of_two() && count <= COUNT_MAX && len <= LEN_MAX;
        assert!(is_fit, "expected up to {COUNT_MAX} buffers of up to {LEN_MAX}, got {provision:?}");
        let mut header = PageBuf::zeroed(size_of::<BufRingEntry>() * usize::from(count));
        let mut memory = PageBuf::zeroed(len * usize::from(count));
        let mut buffers = ProvidedBuffers {
            entries: header.bytes_mut().as_mut_ptr().cast(),
            memory: memory.bytes_mut().as_mut_ptr(),
            provision,
            tail: 0,
            _entries: header,
            _memory: memory,
        };
        // SAFETY: the header is page-aligned, holds `count` entries, and lives on the heap
        // behind `_entries`, so moving `buffers` does not move it. It is freed only with
        // `buffers`, which `Ring` drops after unregistering the group, or leaks if operations are
        // still in flight.
        unsafe {
            submitter.register_buf_ring_with_flags(buffers.entries as u64, count, GROUP, 0)?;
        }
        for id in 0..count {
            buffers.offer(id);
        }
        Ok(buffers)
    }

    pub(super) fn count(&self) -> u16 {
        self.provision.count
    }

    /// What the kernel wrote.
    pub(super) fn bytes(&self, filled: &Filled) -> &[u8] {
        let Provision { count, len } = self.provision;
        let is_ours = filled.id < count && filled.len <= len;
        assert!(is_ours, "the kernel names only buffers we gave it");
        // SAFETY: `Filled` is made only from a completion and consumed by `give_back`, so the
        // kernel does not write this buffer while the borrow lasts; id and length were checked, so
        // the range lies inside `memory`, which was zeroed, hence initialised, at the start.
        unsafe {
            let start = self.memory.add(usize::from(filled.id) * len);
            std::slice::from_raw_parts(start, filled.len)
        }
    }

    /// The kernel may fill it again.
    pub(super) fn give_back(&mut self, filled: Filled) {
        self.offer(filled.id);
    }

    fn offer(&mut self, id: u16) {
        let Provision { count, len } = self.provision;
        let slot = usize::from(self.tail & (count - 1));
        // SAFETY: `slot` and `id` are below `count`, so both pointers stay inside their
        // allocations. The kernel does not read this entry until the tail passes it: at most
        // `count` buffers exist and this one is ours, so the entry is not an unread one. The
        // tail overlays a reserved field of entry 0, is 2-aligned, and is written only here; the
        // store with release order publishes the entry before the new tail.
        unsafe {
            let entry = self.entries.add(slot);
            (*entry).set_addr(self.memory.add(usize::from(id) * len) as u64);
            (*entry).set_len(len as u32);
            (*entry).set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(self.entries).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }
}
