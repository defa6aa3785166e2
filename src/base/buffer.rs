//! Page buffers: page-aligned memory for payload, filled once, then shared by count.
//!
//! A block is received into a [`PageBuf`] (one owner, writable). Frozen, it is a [`SharedBuf`]:
//! read-only, cheap to clone, alive as long as a disk or network operation holds it (A14). Both are
//! safe; only `io` takes their address for the kernel. What is frozen may be read by another shard,
//! which hashes it; the pool that it goes back to is its own shard's, whoever lets go of it last.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crossbeam::queue::SegQueue;
use memmap2::MmapMut;

/// Alignment of every buffer in bytes: the page, which is also what O_DIRECT asks for at most.
pub(crate) const PAGE: usize = 4096;

/// From this length on a buffer is a mapping of its own. The kernel makes and clears its pages one
/// by one, in the step that first writes to them, and has them back when it is dropped. The heap
/// may clear all of it at once, which takes longer than a turn may, and keeps what is dropped.
const MAPPED_MIN: usize = 128 * 1024;

/// Owned, page-aligned bytes of a fixed length.
pub(crate) struct PageBuf {
    memory: Memory,
    len: usize,
    is_fresh: bool,
    home: Option<Arc<Home>>,
}

enum Memory {
    /// Over-allocated by one page: an aligned start inside a plain Vec needs no unsafe.
    Heap {
        raw: Vec<u8>,
        start: usize,
    },
    Mapped(MmapMut),
}

impl PageBuf {
    /// `len` zero bytes.
    pub(crate) fn zeroed(len: usize) -> PageBuf {
        PageBuf { memory: Memory::zeroed(len), len, is_fresh: true, home: None }
    }

    /// Whether nobody had it before: then filling it takes the kernel a page fault per 4 KiB.
    pub(crate) fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.memory {
            Memory::Heap { raw, start } => &raw[*start..*start + self.len],
            Memory::Mapped(mapping) => mapping,
        }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Heap { raw, start } => &mut raw[*start..*start + self.len],
            Memory::Mapped(mapping) => mapping,
        }
    }

    /// Ends writing: from here on the bytes are shared and read-only.
    pub(crate) fn freeze(self) -> SharedBuf {
        let range = 0..self.len;
        SharedBuf { page: Arc::new(self), range }
    }
}

impl Memory {
    /// What a buffer is left with whose memory goes home.
    const NONE: Memory = Memory::Heap { raw: Vec::new(), start: 0 };

    /// `len` zero bytes; of the heap where the kernel maps no more.
    fn zeroed(len: usize) -> Memory {
        if len >= MAPPED_MIN
            && let Ok(mapping) = MmapMut::map_anon(len)
        {
            return Memory::Mapped(mapping);
        }
        let raw = vec![0u8; len + PAGE];
        let start = raw.as_ptr().align_offset(PAGE);
        assert!(start <= PAGE, "a byte pointer can always be aligned to a page");
        Memory::Heap { raw, start }
    }
}

impl Drop for PageBuf {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            let memory = mem::replace(&mut self.memory, Memory::NONE);
            home.put(PageBuf { memory, len: self.len, is_fresh: false, home: None });
        }
    }
}

impl fmt::Debug for PageBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageBuf({} bytes)", self.len)
    }
}

/// A counted, read-only part of a frozen [`PageBuf`].
#[derive(Clone)]
pub(crate) struct SharedBuf {
    page: Arc<PageBuf>,
    range: Range<usize>,
}

impl SharedBuf {
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.page.bytes()[self.range.clone()]
    }

    /// The same memory, narrowed to `range` of this part; `None` if it reaches outside.
    pub(crate) fn slice(&self, range: Range<usize>) -> Option<SharedBuf> {
        if range.start > range.end || range.end > self.len() {
            return None;
        }
        let start = self.range.start + range.start;
        Some(SharedBuf { page: Arc::clone(&self.page), range: start..start + range.len() })
    }

    /// Whether both are the same bytes of the same memory.
    pub(crate) fn is_same(&self, other: &SharedBuf) -> bool {
        Arc::ptr_eq(&self.page, &other.page) && self.range == other.range
    }
}

impl fmt::Debug for SharedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedBuf({:?})", self.range)
    }
}

/// Buffers of a shard that come back when their last holder lets go: fresh memory costs a page
/// fault per 4 KiB, more than copying the payload does. Clones share one pool; it never leaves its
/// shard, but what it gave out may come back from another one.
#[derive(Clone)]
pub(crate) struct Pool {
    by_len: Rc<RefCell<BTreeMap<usize, Vec<PageBuf>>>>,
    home: Arc<Home>,
}

/// Where buffers come back to, from any thread.
struct Home {
    /// Not sorted into the pool yet.
    returned: SegQueue<PageBuf>,
    /// Bytes of all idle buffers, sorted in or not.
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl Pool {
    /// A pool that keeps at most `bytes_max` idle bytes.
    pub(crate) fn new(bytes_max: usize) -> Pool {
        let home = Home { returned: SegQueue::new(), bytes: AtomicUsize::new(0), bytes_max };
        Pool { by_len: Rc::default(), home: Arc::new(home) }
    }

    /// `len` bytes, zeroed when fresh and with old content when used before: whoever takes one
    /// fills it, and hands on only what was filled.
    pub(crate) fn take(&self, len: usize) -> PageBuf {
        self.sort_in();
        let known = self.by_len.borrow_mut().get_mut(&len).and_then(Vec::pop);
        if known.is_some() {
            self.home.bytes.fetch_sub(len, Ordering::Relaxed);
        }
        let mut buf = known.unwrap_or_else(|| PageBuf::zeroed(len));
        buf.home = Some(Arc::clone(&self.home));
        buf
    }

    /// Whether buffers wait for somebody to use them.
    pub(crate) fn has_idle(&self) -> bool {
        self.idle_bytes() > 0
    }

    /// Lets go of idle buffers: of up to `byte_count` bytes and one more.
    pub(crate) fn release(&self, byte_count: usize) {
        self.sort_in();
        let mut by_len = self.by_len.borrow_mut();
        let mut freed = 0;
        while freed < byte_count
            && let Some(mut entry) = by_len.last_entry()
        {
            match entry.get_mut().pop() {
                Some(buf) => freed += buf.len,
                None => _ = entry.remove(),
            }
        }
        self.home.bytes.fetch_sub(freed, Ordering::Relaxed);
    }

    fn idle_bytes(&self) -> usize {
        self.home.bytes.load(Ordering::Relaxed)
    }

    fn sort_in(&self) {
        while let Some(buf) = self.home.returned.pop() {
            self.by_len.borrow_mut().entry(buf.len).or_default().push(buf);
        }
    }
}

impl Home {
    fn put(&self, buf: PageBuf) {
        let before = self.bytes.fetch_add(buf.len, Ordering::Relaxed);
        if before + buf.len <= self.bytes_max {
            self.returned.push(buf);
        } else {
            self.bytes.fetch_sub(buf.len, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} bytes idle)", self.idle_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_gets_its_buffers_back_from_the_last_holder() {
        let pool = Pool::new(100);
        let first = pool.take(60).freeze();
        let at = first.bytes().as_ptr();
        let part = first.slice(0..10).unwrap();
        drop(first);
        let second = pool.take(60);
        assert_ne!(second.bytes().as_ptr(), at, "still held by a slice");
        assert!(second.is_fresh());
        drop(second);
        drop(part);
        assert_eq!(pool.idle_bytes(), 60, "100 idle bytes hold only one");
        assert!(!pool.take(60).is_fresh());
        drop(pool.take(40));
        assert_eq!(pool.idle_bytes(), 100);
        pool.release(50);
        assert_eq!(pool.idle_bytes(), 40, "the larger ones go first");
        pool.release(50);
        assert!(!pool.has_idle());
    }

    #[test]
    fn buffers_are_aligned_and_zeroed() {
        for len in [0, 1, 4095, 16384, MAPPED_MIN - 1, MAPPED_MIN, 1 << 20] {
            let buf = PageBuf::zeroed(len);
            assert_eq!(buf.bytes().len(), len);
            assert_eq!(buf.bytes().as_ptr() as usize % PAGE, 0);
            assert!(buf.bytes().iter().all(|b| *b == 0));
        }
    }

    #[test]
    fn a_slice_cannot_reach_outside() {
        let mut buf = PageBuf::zeroed(10);
        buf.bytes_mut()[4] = 7;
        let shared = buf.freeze();
        let part = shared.slice(4..6).unwrap();
        assert_eq!(part.bytes(), [7, 0]);
        assert!(part.slice(0..3).is_none());
        assert!(shared.slice(5..11).is_none());
    }
}
