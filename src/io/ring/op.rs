//! Operations: each owns every byte and descriptor that the kernel works on until its last
//! completion.

use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use io_uring::opcode;
use io_uring::squeue;
use io_uring::types;
use socket2::SockAddr;

use crate::base::buffer::PageBuf;
use crate::base::buffer::SharedBuf;
use crate::base::slots::SlotId;
use crate::io::ring::batch::Sending;
use crate::io::ring::buffers::GROUP;
use crate::io::ring::datagram::Datagram;

/// Names an operation; stale once its last completion was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OpId(pub(super) SlotId);

impl OpId {
    /// Generation above, slot below.
    pub(super) fn as_user_data(self) -> u64 {
        u64::from(self.0.generation) << 32 | u64::from(self.0.slot)
    }

    pub(super) fn from_user_data(raw: u64) -> OpId {
        OpId(SlotId { slot: raw as u32, generation: (raw >> 32) as u32 })
    }
}

/// What is in flight. Heap memory behind it does not move when the operation does.
pub(super) enum Op {
    Wake {
        fd: Rc<OwnedFd>,
        count: Box<[u8; 8]>,
    },
    Accept {
        fd: Rc<OwnedFd>,
    },
    Connect {
        fd: Rc<OwnedFd>,
        address: Box<SockAddr>,
    },
    Timeout {
        after: Box<types::Timespec>,
    },
    Receive {
        fd: Rc<OwnedFd>,
        is_multishot: bool,
    },
    Send {
        fd: Rc<OwnedFd>,
        sending: Box<Sending>,
    },
    /// Until there is room for more of the batch.
    AwaitRoom {
        fd: Rc<OwnedFd>,
        sending: Box<Sending>,
    },
    /// Until these bytes, which the batch keeps mapped, are in memory.
    Populate {
        sending: Box<Sending>,
        address: usize,
        len: usize,
    },
    ReceiveDatagram {
        fd: Rc<OwnedFd>,
        datagram: Box<Datagram>,
    },
    SendDatagram {
        fd: Rc<OwnedFd>,
        datagram: Box<Datagram>,
    },
    Read {
        fd: Rc<OwnedFd>,
        buf: PageBuf,
        at: usize,
        len: usize,
        offset: u64,
    },
    Write {
        fd: Rc<OwnedFd>,
        data: SharedBuf,
        offset: u64,
    },
    Sync {
        fd: Rc<OwnedFd>,
    },
    Cancel {
        target: Option<OpId>,
    },
}

impl Op {
    /// The submission for this operation. Every pointer in it leads to heap memory that `self` owns
    /// (boxes, vectors, counted buffers) and every descriptor is held open by `self`.
    pub(super) fn entry(&mut self) -> squeue::Entry {
        match self {
            Op::Wake { fd, count } => opcode::Read::new(raw(fd), count.as_mut_ptr(), 8).build(),
            Op::Accept { fd } => {
                opcode::AcceptMulti::new(raw(fd)).flags(libc::SOCK_CLOEXEC).build()
            }
            Op::Connect { fd, address } => {
                opcode::Connect::new(raw(fd), address.as_ptr().cast(), address.len()).build()
            }
            Op::Timeout { after } => opcode::LinkTimeout::new(&**after).build(),
            Op::Receive { fd, is_multishot } => receive(raw(fd), *is_multishot),
            Op::Send { fd, sending } => send(raw(fd), sending),
            Op::AwaitRoom { fd, .. } => opcode::PollAdd::new(raw(fd), libc::POLLOUT as u32).build(),
            Op::Populate { address, len, .. } => populate(*address, *len),
            Op::ReceiveDatagram { fd, datagram } => {
                opcode::RecvMsg::new(raw(fd), datagram.receive_header()).build()
            }
            Op::SendDatagram { fd, datagram } => {
                opcode::SendMsg::new(raw(fd), datagram.send_header()).build()
            }
            Op::Read { fd, buf, at, len, offset } => read(raw(fd), buf, *at, *len, *offset),
            Op::Write { fd, data, offset } => {
                let bytes = data.bytes();
                opcode::Write::new(raw(fd), bytes.as_ptr(), kernel_len(bytes.len()))
                    .offset(*offset)
                    .build()
            }
            Op::Sync { fd } => {
                opcode::Fsync::new(raw(fd)).flags(types::FsyncFlags::DATASYNC).build()
            }
            Op::Cancel { target } => cancel(*target),
        }
    }
}

fn receive(fd: types::Fd, is_multishot: bool) -> squeue::Entry {
    if is_multishot {
        return opcode::RecvMulti::new(fd, GROUP).build();
    }
    opcode::Recv::new(fd, std::ptr::null_mut(), 0)
        .buf_group(GROUP)
        .build()
        .flags(squeue::Flags::BUFFER_SELECT)
}

/// With mapped bytes it does not wait for room inside the kernel: when it went on there, they could
/// have left memory, and the shard would wait for the disk.
fn send(fd: types::Fd, sending: &mut Sending) -> squeue::Entry {
    let waiting = if sending.first_mapped().is_some() { libc::MSG_DONTWAIT } else { 0 };
    let flags = libc::MSG_NOSIGNAL | waiting;
    opcode::SendMsg::new(fd, sending.header()).flags(flags as u32).build()
}

/// Whole pages.
fn populate(address: usize, len: usize) -> squeue::Entry {
    let page = rustix::param::page_size();
    let start = address & !(page - 1);
    let len = libc::off_t::try_from(address + len - start).unwrap_or(0);
    let pointer = std::ptr::with_exposed_provenance(start);
    opcode::Madvise::new(pointer, len, libc::MADV_POPULATE_READ).build()
}

fn read(fd: types::Fd, buf: &mut PageBuf, at: usize, len: usize, offset: u64) -> squeue::Entry {
    let target = &mut buf.bytes_mut()[at..at + len];
    opcode::Read::new(fd, target.as_mut_ptr(), kernel_len(len)).offset(offset).build()
}

fn cancel(target: Option<OpId>) -> squeue::Entry {
    let builder = match target {
        Some(id) => types::CancelBuilder::user_data(id.as_user_data()),
        None => types::CancelBuilder::any().all(),
    };
    opcode::AsyncCancel2::new(builder).build()
}

fn raw(fd: &OwnedFd) -> types::Fd {
    types::Fd(fd.as_raw_fd())
}

/// The kernel cuts transfers at 2 GiB; ours are far shorter, and short results are continued.
fn kernel_len(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(1 << 30)
}
