//! Provided buffers: the memory that the kernel picks from when a receive finds bytes.
//!
//! 32 buffers of 16 KiB stay inside half of a 1 MiB L2; a pool of 4 MiB was measured to cost twice
//! the CPU per byte. A buffer is parsed and given back within the turn that received it.

use std::io;
use std::mem::size_of;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

use crate::base::buffer::PageBuf;

/// Most buffers in a ring; their number is a power of two, as the kernel asks.
pub(super) const BUFFER_COUNT_MAX: u16 = 32;
/// Bytes per buffer: one block.
pub(super) const BUFFER_LEN: usize = 16 * 1024;
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
        assert!(
            id < BUFFER_COUNT_MAX && len <= BUFFER_LEN,
            "the kernel names only buffers we gave it"
        );
        Filled { id, len }
    }
}

/// The buffer ring shared with the kernel, and the memory it points to.
pub(super) struct ProvidedBuffers {
    entries: *mut BufRingEntry,
    memory: *mut u8,
    count: u16,
    tail: u16,
    // Owners of the two pointers above; never touched again by reference while the ring lives.
    _entries: PageBuf,
    _memory: PageBuf,
}

impl ProvidedBuffers {
    /// Registers all buffers. The caller keeps the result until the ring has closed or let go of
    /// it.
    pub(super) fn register(submitter: &Submitter<'_>, count: u16) -> io::Result<ProvidedBuffers> {
        let is_fit = count.is_power_of_two() && count <= BUFFER_COUNT_MAX;
        assert!(is_fit, "expected a power of two up to {BUFFER_COUNT_MAX}, got {count}");
        let mut header = PageBuf::zeroed(size_of::<BufRingEntry>() * usize::from(count));
        let mut memory = PageBuf::zeroed(BUFFER_LEN * usize::from(count));
        let mut buffers = ProvidedBuffers {
            entries: header.bytes_mut().as_mut_ptr().cast(),
            memory: memory.bytes_mut().as_mut_ptr(),
            count,
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

    /// What the kernel wrote.
    pub(super) fn bytes(&self, filled: &Filled) -> &[u8] {
        assert!(filled.id < self.count, "the kernel names only buffers we gave it");
        // SAFETY: `Filled` is made only from a completion and consumed by `give_back`, so the
        // kernel does not write this buffer while the borrow lasts; `from_kernel` checked id and
        // length, so the range lies inside `memory`, which was zeroed, hence initialised, at the
        // start.
        unsafe {
            let start = self.memory.add(usize::from(filled.id) * BUFFER_LEN);
            std::slice::from_raw_parts(start, filled.len)
        }
    }

    /// The kernel may fill it again.
    pub(super) fn give_back(&mut self, filled: Filled) {
        self.offer(filled.id);
    }

    fn offer(&mut self, id: u16) {
        let slot = usize::from(self.tail & (self.count - 1));
        // SAFETY: `slot` and `id` are below `count`, so both pointers stay inside their
        // allocations. The kernel does not read this entry until the tail passes it: at most
        // `count` buffers exist and this one is ours, so the entry is not an unread one. The
        // tail overlays a reserved field of entry 0, is 2-aligned, and is written only here; the
        // store with release order publishes the entry before the new tail.
        unsafe {
            let entry = self.entries.add(slot);
            (*entry).set_addr(self.memory.add(usize::from(id) * BUFFER_LEN) as u64);
            (*entry).set_len(BUFFER_LEN as u32);
            (*entry).set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(self.entries).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }
}
