//! The hot ring: one raw io_uring per shard for peer sockets and disk.
//!
//! Safe from outside: whoever submits gives buffers and descriptors away and gets them back with
//! the last completion. A completion whose operation has left the slab is ignored and counted.

pub(crate) mod asker;
pub(crate) mod batch;
pub(crate) mod buffers;
mod create;
pub(crate) mod datagram;
pub(crate) mod op;
pub(crate) mod outcome;
pub(crate) mod probe;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use io_uring::EnterFlags;
use io_uring::IoUring;
use io_uring::cqueue;
use io_uring::squeue;
use io_uring::types::SubmitArgs;
use io_uring::types::Timespec;
use rustix::io::Errno;
use socket2::SockAddr;

use crate::base::buffer::PageBuf;
use crate::base::buffer::SharedBuf;
use crate::base::instant::Instant;
use crate::base::slots::Slots;
use crate::io::clock::Clock;
use crate::io::cpus::Provision;
use crate::io::ring::asker::Asker;
use crate::io::ring::batch::Sending;
use crate::io::ring::buffers::Filled;
use crate::io::ring::buffers::ProvidedBuffers;
use crate::io::ring::create::create;
use crate::io::ring::datagram::Datagram;
use crate::io::ring::op::Op;
use crate::io::ring::op::OpId;
use crate::io::ring::outcome::Completion;
use crate::io::ring::outcome::Outcome;

/// How long the ring waits, when it closes, for operations that do not heed their cancellation.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// One io_uring with its provided buffers and everything in flight on it. Stays on its thread.
pub(crate) struct Ring {
    uring: IoUring,
    buffers: Option<ProvidedBuffers>,
    ops: Slots<InFlight>,
    /// Submissions that found the queue full, in groups that must stay together.
    backlog: VecDeque<Group>,
    /// Bytes of files that the next submission asks to be read or written.
    file_bytes: usize,
    stale_count: u64,
}

struct InFlight {
    asker: Asker,
    op: Op,
}

/// One entry, or an operation with the time-out linked to it.
type Group = (squeue::Entry, Option<squeue::Entry>);

impl Ring {
    /// Sets up the ring for the calling thread, which must be the only one to use it, with so much
    /// memory for what is received.
    pub(crate) fn new(provision: Provision) -> io::Result<Ring> {
        let uring = create()?;
        let buffers = ProvidedBuffers::register(&uring.submitter(), provision)?;
        Ok(Ring {
            uring,
            buffers: Some(buffers),
            ops: Slots::default(),
            backlog: VecDeque::new(),
            file_bytes: 0,
            stale_count: 0,
        })
    }

    /// Completes when `fd`, a blocking eventfd, is written; arm again after each.
    pub(crate) fn wake(&mut self, fd: Rc<OwnedFd>) -> OpId {
        self.start(Asker::Wake, Op::Wake { fd, count: Box::new([0; 8]) })
    }

    /// Accepts until cancelled or failed. Sockets come close-on-exec and in blocking mode: the ring
    /// waits for us without blocking anybody, and who splices makes them non-blocking first.
    pub(crate) fn accept(&mut self, asker: Asker, fd: Rc<OwnedFd>) -> OpId {
        self.start(asker, Op::Accept { fd })
    }

    /// Connects, or fails with `Errno::CANCELED` after `timeout`.
    pub(crate) fn connect(
        &mut self,
        asker: Asker,
        fd: Rc<OwnedFd>,
        address: SockAddr,
        timeout: Duration,
    ) -> OpId {
        let (id, connect) = self.insert(asker, Op::Connect { fd, address: Box::new(address) });
        let after = Box::new(Timespec::from(timeout));
        let (_, timeout) = self.insert(asker, Op::Timeout { after });
        self.push((connect.flags(squeue::Flags::IO_LINK), Some(timeout)));
        id
    }

    /// One receive into a provided buffer: nothing is in flight after its completion.
    pub(crate) fn receive_once(&mut self, asker: Asker, fd: Rc<OwnedFd>) -> OpId {
        self.start(asker, Op::Receive { fd, is_multishot: false })
    }

    /// Receives into provided buffers until the end of the stream, an error, or cancellation.
    pub(crate) fn receive(&mut self, asker: Asker, fd: Rc<OwnedFd>) -> OpId {
        self.start(asker, Op::Receive { fd, is_multishot: true })
    }

    /// Sends what is left of the batch; the completion may be short.
    pub(crate) fn send(&mut self, asker: Asker, fd: Rc<OwnedFd>, sending: Box<Sending>) -> OpId {
        self.start(asker, Op::Send { fd, sending })
    }

    /// Completes when there is room for more of the batch.
    pub(crate) fn await_room(
        &mut self,
        asker: Asker,
        fd: Rc<OwnedFd>,
        sending: Box<Sending>,
    ) -> OpId {
        self.start(asker, Op::AwaitRoom { fd, sending })
    }

    /// Brings mapped bytes of the batch into memory, beside the shard.
    pub(crate) fn populate(
        &mut self,
        asker: Asker,
        sending: Box<Sending>,
        (address, len): (usize, usize),
    ) -> OpId {
        self.start(asker, Op::Populate { sending, address, len })
    }

    pub(crate) fn receive_datagram(
        &mut self,
        asker: Asker,
        fd: Rc<OwnedFd>,
        datagram: Box<Datagram>,
    ) -> OpId {
        self.start(asker, Op::ReceiveDatagram { fd, datagram })
    }

    pub(crate) fn send_datagram(
        &mut self,
        asker: Asker,
        fd: Rc<OwnedFd>,
        datagram: Box<Datagram>,
    ) -> OpId {
        self.start(asker, Op::SendDatagram { fd, datagram })
    }

    /// Reads `len` bytes at `offset` of a file to position `at` of `buf`, which must reach that
    /// far.
    pub(crate) fn read(
        &mut self,
        asker: Asker,
        fd: Rc<OwnedFd>,
        buf: PageBuf,
        (at, len): (usize, usize),
        offset: u64,
    ) -> OpId {
        assert!(
            at.checked_add(len).is_some_and(|end| end <= buf.len()),
            "reads end in their buffer"
        );
        self.file_bytes += len;
        self.start(asker, Op::Read { fd, buf, at, len, offset })
    }

    /// Writes all of `data` at `offset` of a file; the completion may be short.
    pub(crate) fn write(
        &mut self,
        asker: Asker,
        fd: Rc<OwnedFd>,
        data: SharedBuf,
        offset: u64,
    ) -> OpId {
        self.file_bytes += data.len();
        self.start(asker, Op::Write { fd, data, offset })
    }

    /// Syncs a file's data to its device.
    pub(crate) fn sync(&mut self, asker: Asker, fd: Rc<OwnedFd>) -> OpId {
        self.start(asker, Op::Sync { fd })
    }

    /// Bytes of files that the next submission asks to be read or written: the kernel finds, makes
    /// or pins their pages within the call.
    pub(crate) fn file_bytes(&self) -> usize {
        self.file_bytes
    }

    /// Asks for an early end; the operation still completes, with `Errno::CANCELED` if it heeded.
    pub(crate) fn cancel(&mut self, target: OpId) {
        if self.ops.get(target.0).is_some() {
            self.start(Asker::Wake, Op::Cancel { target: Some(target) });
        }
    }

    /// Receives that can find a buffer in one submission.
    pub(crate) fn buffer_count(&self) -> usize {
        self.buffers.as_ref().map_or(0, |buffers| buffers.count().into())
    }

    /// The bytes of a receive.
    pub(crate) fn bytes(&self, filled: &Filled) -> &[u8] {
        self.buffers.as_ref().map_or(&[], |buffers| buffers.bytes(filled))
    }

    /// Ends the life of received bytes; the kernel fills the buffer again.
    pub(crate) fn give_back(&mut self, filled: Filled) {
        if let Some(buffers) = &mut self.buffers {
            buffers.give_back(filled);
        }
    }

    /// Submits everything, lets the kernel post completions, and waits up to `wait` for the first.
    /// Returns early, without error, on signals and when the completion queue must be drained
    /// first.
    pub(crate) fn enter(&mut self, wait: Duration) -> io::Result<()> {
        self.refill();
        self.file_bytes = 0;
        let is_ready = !self.uring.completion().is_empty() || !self.backlog.is_empty();
        let want = u32::from(!is_ready && !wait.is_zero());
        let submit_count = self.uring.submission().len() as u32;
        let flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG;
        let timeout = Timespec::from(wait);
        let args = SubmitArgs::new().timespec(&timeout);
        // SAFETY: `args` is the structure that EXT_ARG announces, and outlives the call together
        // with the time-out it points to. What the submissions point to is argued for at
        // `push_now`.
        let entered =
            unsafe { self.uring.submitter().enter(submit_count, want, flags.bits(), Some(&args)) };
        match entered {
            Ok(_) => Ok(()),
            Err(error) if is_passing(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The next completion that is already there.
    pub(crate) fn next_completion(&mut self) -> Option<Completion> {
        loop {
            let entry = self.uring.completion().next()?;
            let completion = self.complete(entry.user_data(), entry.result(), entry.flags());
            if completion.is_some() {
                return completion;
            }
        }
    }

    /// Operations that will still complete.
    #[cfg(test)]
    pub(crate) fn in_flight_count(&self) -> usize {
        self.ops.len()
    }

    /// Completions that named no operation. Above zero is our own mistake, but harmless.
    #[cfg(test)]
    pub(crate) fn stale_count(&self) -> u64 {
        self.stale_count
    }

    /// Asks everything in flight to end; the completions follow.
    pub(crate) fn cancel_all(&mut self) {
        if self.ops.len() > 0 {
            self.start(Asker::Wake, Op::Cancel { target: None });
        }
    }

    /// Cancels everything and waits for the last completions; false if some are still out after
    /// `limit` (a disk that hangs). What they own stays owned.
    pub(crate) fn cancel_and_wait(&mut self, limit: Duration) -> bool {
        self.cancel_all();
        let clock = Clock::start();
        while self.ops.len() > 0 {
            let left = limit.saturating_sub(clock.now().since(Instant::ZERO));
            if left.is_zero() || self.enter(left).is_err() {
                return false;
            }
            while let Some(completion) = self.next_completion() {
                if let Outcome::Received(Ok(Some(filled))) = completion.outcome {
                    self.give_back(filled);
                }
            }
        }
        true
    }

    fn start(&mut self, asker: Asker, op: Op) -> OpId {
        let (id, entry) = self.insert(asker, op);
        self.push((entry, None));
        id
    }

    /// The operation takes its place before its entry is made: the entry's pointers lead into it.
    fn insert(&mut self, asker: Asker, op: Op) -> (OpId, squeue::Entry) {
        let id = OpId(self.ops.insert(InFlight { asker, op }));
        let in_flight = self.ops.get_mut(id.0).expect("it was inserted in the line above");
        (id, in_flight.op.entry().user_data(id.as_user_data()))
    }

    fn push(&mut self, group: Group) {
        if !self.backlog.is_empty() || !self.push_now(&group) {
            self.backlog.push_back(group);
        }
    }

    fn refill(&mut self) {
        while let Some(group) = self.backlog.pop_front() {
            if !self.push_now(&group) {
                self.backlog.push_front(group);
                return;
            }
        }
    }

    /// All of the group or nothing: a time-out follows its operation in the same submission.
    fn push_now(&mut self, (entry, linked): &Group) -> bool {
        let mut queue = self.uring.submission();
        if queue.capacity() - queue.len() < 1 + usize::from(linked.is_some()) {
            return false;
        }
        // SAFETY: entries come from `Op::entry`, so all their pointers lead to heap memory owned
        // by an operation in `self.ops`, and their descriptors are held open by it. An operation
        // leaves the slab only in `complete`, at its last completion, or is leaked by `drop`. The
        // queue has room, checked above, so no entry of a group is dropped.
        unsafe {
            let first = queue.push(entry);
            let second = linked.as_ref().map(|linked| queue.push(linked));
            first.is_ok() && second.is_none_or(|pushed| pushed.is_ok())
        }
    }

    fn complete(&mut self, user_data: u64, result: i32, flags: u32) -> Option<Completion> {
        let op = OpId::from_user_data(user_data);
        let is_last = !cqueue::more(flags);
        let mut filled = cqueue::buffer_select(flags).map(|id| Filled::from_kernel(id, result));
        if result <= 0 || self.ops.get(op.0).is_none() {
            // A buffer that carries nothing, or nobody's bytes, goes straight back.
            filled.take().into_iter().for_each(|filled| self.give_back(filled));
        }
        let Some(in_flight) = self.ops.get(op.0) else {
            self.stale_count += 1;
            return None;
        };
        let asker = in_flight.asker;
        let outcome = if is_last {
            last_outcome(self.ops.remove(op.0)?.op, result, filled)?
        } else {
            passing_outcome(&in_flight.op, result, filled)?
        };
        Some(Completion { asker, is_last, outcome })
    }
}

impl Drop for Ring {
    /// Memory that the kernel may still write is never freed: it is leaked instead.
    fn drop(&mut self) {
        if self.cancel_and_wait(CLOSE_TIMEOUT) {
            // A failure leaves the group to the ring, which closes next and lets go of it.
            let _ = self.uring.submitter().unregister_buf_ring(buffers::GROUP);
            return;
        }
        mem::forget(mem::take(&mut self.ops));
        mem::forget(self.buffers.take());
    }
}

/// Time-outs, signals, a full completion queue, and a kernel short of memory for the moment.
fn is_passing(error: &io::Error) -> bool {
    let passing = [libc::ETIME, libc::EINTR, libc::EBUSY, libc::EAGAIN];
    error.raw_os_error().is_some_and(|raw| passing.contains(&raw))
}

fn count(result: i32) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| Errno::from_raw_os_error(-result))
}

/// Of an operation that has left the slab; `None` for those that nobody waits for.
fn last_outcome(op: Op, result: i32, filled: Option<Filled>) -> Option<Outcome> {
    let counted = count(result);
    Some(match op {
        Op::Timeout { .. } | Op::Cancel { .. } => return None,
        Op::Wake { .. } => Outcome::Woken,
        Op::Accept { .. } | Op::Receive { .. } => return passing_outcome(&op, result, filled),
        Op::Connect { .. } => Outcome::Connected(counted.map(drop)),
        Op::Send { sending, .. } => Outcome::Sent(sending, counted),
        Op::AwaitRoom { sending, .. } => Outcome::Room(sending, counted.map(drop)),
        Op::Populate { sending, .. } => Outcome::Populated(sending),
        Op::ReceiveDatagram { mut datagram, .. } => {
            datagram.received(counted.unwrap_or(0));
            Outcome::DatagramReceived(datagram, counted.map(drop))
        }
        Op::SendDatagram { .. } => Outcome::DatagramSent,
        Op::Read { buf, .. } => Outcome::Read(buf, counted),
        Op::Write { .. } => Outcome::Written(counted),
        Op::Sync { .. } => Outcome::Synced(counted.map(drop)),
    })
}

/// Of an operation that can complete more than once.
fn passing_outcome(op: &Op, result: i32, filled: Option<Filled>) -> Option<Outcome> {
    match op {
        Op::Accept { .. } if result < 0 => {
            Some(Outcome::Accepted(Err(Errno::from_raw_os_error(-result))))
        }
        // SAFETY: a completed accept returns a descriptor that is open and belongs to nobody else;
        // a completion is taken once.
        Op::Accept { .. } => Some(Outcome::Accepted(Ok(unsafe { OwnedFd::from_raw_fd(result) }))),
        Op::Receive { .. } => Some(Outcome::Received(count(result).map(|_| filled))),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
