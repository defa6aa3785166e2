//! The least that a ring needs: accept and receive again and again, send, write, one `enter`.

use std::io::Result;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;

use io_uring::EnterFlags;
use io_uring::IoUring;
use io_uring::cqueue;
use io_uring::opcode;
use io_uring::squeue;
use io_uring::types::BufRingEntry;
use io_uring::types::Fd;

use crate::memory::Memory;

/// What the kernel receives into: they stay in half of a small L2.
const BUFFERS: u16 = 32;
const BUFFER: usize = 16 * 1024;
/// The one group of buffers.
const GROUP: u16 = 0;

/// What a completion answers, with the number of the connection or piece.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Accept,
    Receive,
    Send,
    Write,
    Room,
}

/// An operation went on.
pub(crate) struct Done {
    pub(crate) kind: Kind,
    pub(crate) number: usize,
    /// Bytes, a descriptor, or an error below zero.
    pub(crate) result: i32,
    flags: u32,
}

impl Done {
    /// Nothing more comes: what goes on by itself must be asked for again.
    pub(crate) fn is_last(&self) -> bool {
        !cqueue::more(self.flags)
    }

    /// The buffer that was received into.
    pub(crate) fn buffer(&self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }
}

/// One ring with its provided buffers.
pub(crate) struct Ring {
    uring: IoUring,
    entries: Memory,
    buffers: Memory,
    tail: u16,
}

impl Ring {
    pub(crate) fn new() -> Result<Ring> {
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_cqsize(2048)
            .build(512)?;
        let mut ring = Ring {
            uring,
            entries: Memory::anonymous(4096)?,
            buffers: Memory::anonymous(usize::from(BUFFERS) * BUFFER)?,
            tail: 0,
        };
        let entries = ring.entries.pointer(0) as u64;
        // SAFETY: a page of its own holds the 32 entries, and lives as long as the ring.
        unsafe {
            ring.uring.submitter().register_buf_ring_with_flags(entries, BUFFERS, GROUP, 0)?;
        }
        (0..BUFFERS).for_each(|id| ring.give_back(id));
        Ok(ring)
    }

    /// What was received.
    pub(crate) fn received(&self, id: u16, length: usize) -> &[u8] {
        &self.buffers.bytes()[usize::from(id) * BUFFER..][..length]
    }

    /// The kernel may fill it again.
    pub(crate) fn give_back(&mut self, id: u16) {
        let entries: *mut BufRingEntry = self.entries.pointer(0).cast();
        // SAFETY: there are as many entries as buffers, so the one at the tail has been read; the
        // tail is published after it. Only this function writes them.
        unsafe {
            let entry = entries.add(usize::from(self.tail % BUFFERS));
            (*entry).set_addr(self.buffers.pointer(usize::from(id) * BUFFER) as u64);
            (*entry).set_len(BUFFER as u32);
            (*entry).set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(entries).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }

    pub(crate) fn accept(&mut self, fd: i32) -> Result<()> {
        let accept = opcode::AcceptMulti::new(Fd(fd)).flags(libc::SOCK_CLOEXEC).build();
        // SAFETY: the kernel writes no memory of ours.
        unsafe { self.push(accept, Kind::Accept, 0) }
    }

    pub(crate) fn receive(&mut self, fd: i32, number: usize) -> Result<()> {
        let receive = opcode::RecvMulti::new(Fd(fd), GROUP).build();
        // SAFETY: received bytes go to the provided buffers, which live as long as the ring.
        unsafe { self.push(receive, Kind::Receive, number) }
    }

    /// Sends all of a message, however long the other side takes.
    ///
    /// # Safety
    /// The message and all that it points to stay as they are until the completion.
    pub(crate) unsafe fn send(
        &mut self,
        fd: i32,
        message: *const libc::msghdr,
        number: usize,
    ) -> Result<()> {
        let flags = (libc::MSG_NOSIGNAL | libc::MSG_WAITALL) as u32;
        let send = opcode::SendMsg::new(Fd(fd), message).flags(flags).build();
        // SAFETY: the caller's.
        unsafe { self.push(send, Kind::Send, number) }
    }

    /// Until the socket can be written.
    pub(crate) fn await_room(&mut self, fd: i32, number: usize) -> Result<()> {
        let poll = opcode::PollAdd::new(Fd(fd), libc::POLLOUT as u32).build();
        // SAFETY: the kernel neither reads nor writes memory of ours.
        unsafe { self.push(poll, Kind::Room, number) }
    }

    /// # Safety
    /// The bytes stay as they are until the completion.
    pub(crate) unsafe fn write(
        &mut self,
        fd: i32,
        bytes: &[u8],
        offset: u64,
        number: usize,
    ) -> Result<()> {
        let length = bytes.len() as u32;
        let write = opcode::Write::new(Fd(fd), bytes.as_ptr(), length).offset(offset).build();
        // SAFETY: the caller's.
        unsafe { self.push(write, Kind::Write, number) }
    }

    /// # Safety
    /// What the entry points to lives until its completion.
    unsafe fn push(&mut self, entry: squeue::Entry, kind: Kind, number: usize) -> Result<()> {
        let entry = entry.user_data((kind as u64) << 32 | number as u64);
        // SAFETY: the caller's.
        while unsafe { self.uring.submission().push(&entry) }.is_err() {
            self.enter(false)?;
        }
        Ok(())
    }

    /// Submits everything and lets the kernel post what is done; waits for something if asked to.
    pub(crate) fn enter(&mut self, must_wait: bool) -> Result<()> {
        let count = self.uring.submission().len() as u32;
        let flags = EnterFlags::GETEVENTS.bits();
        // SAFETY: no argument is handed over.
        let entered = unsafe {
            self.uring.submitter().enter::<libc::sigset_t>(count, must_wait.into(), flags, None)
        };
        match entered {
            Err(error) if error.raw_os_error() != Some(libc::EINTR) => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) fn next(&mut self) -> Option<Done> {
        let entry = self.uring.completion().next()?;
        let kinds = [Kind::Accept, Kind::Receive, Kind::Send, Kind::Write, Kind::Room];
        let (kind, number) = ((entry.user_data() >> 32) as usize, entry.user_data() as u32);
        Some(Done {
            kind: kinds[kind],
            number: number as usize,
            result: entry.result(),
            flags: entry.flags(),
        })
    }
}
