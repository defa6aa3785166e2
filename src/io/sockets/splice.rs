//! Sending without a copy: pages of mapped files go through a pipe into the socket by reference.
//!
//! One `vmsplice` puts references to the pages of headers and blocks into the shard's pipe, one
//! `splice` moves them into the socket. From then on the kernel holds the pages: the batch, and the
//! windows it keeps mapped, may go. Both calls return at once. The pipe is empty before and after.

use std::ffi::c_void;
use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::ptr;
use std::ptr::with_exposed_provenance_mut;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::pipe::SpliceFlags;
use rustix::pipe::fcntl_getpipe_size;
use rustix::pipe::fcntl_setpipe_size;
use rustix::pipe::pipe_with;

use crate::base::limits::BLOCK_LEN;
use crate::engine::to_ring::Part;
use crate::io::ring::batch::Sending;
use crate::io::sockets::headers::Headers;

/// Sizes of the pipe, tried in this order. A page takes a place of 4 KiB whatever of it is sent: a
/// block of 16 KiB with its header five, or six where it does not begin with a page. The first
/// holds every batch, the last a third of one.
const PIPE_LENS: [usize; 3] = [1 << 20, 512 * 1024, 256 * 1024];
/// Blocks of a batch below which it is copied: three system calls cost as much then.
const BLOCK_MIN: usize = 4;
/// Bytes that are tried in any case when the socket says that it can be written.
const ROOM_MIN: usize = BLOCK_LEN as usize + 13;

/// What a shard needs to send without copies: three descriptors, some headers, and a thread on
/// which SIGPIPE is blocked.
pub(crate) struct Splicer {
    /// None after one could neither be emptied nor replaced: then nothing suits any more.
    pipe: Option<Pipe>,
    /// Why, until somebody was told.
    failure: Option<String>,
    /// Takes what a socket had no room for.
    null: OwnedFd,
    headers: Headers,
    /// Of one call; kept for its memory.
    iovecs: Vec<libc::iovec>,
    sent: u64,
    discarded: u64,
}

/// Empty but for the time of a call.
struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Splicer {
    /// Opens what is needed and tries it. The calling thread, which must be the only one to use it,
    /// has SIGPIPE blocked from here on: a splice into a socket that is closed raises it.
    ///
    /// # Errors
    /// What the system refused, and the remedy, in one line.
    pub(crate) fn open() -> Result<Splicer, String> {
        let refused = |what: &'static str| move |errno: Errno| format!("no {what} ({errno})");
        block_sigpipe().map_err(refused("mask of signals"))?;
        let null = rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        let mut splicer = Splicer {
            pipe: Some(Pipe::open()?),
            failure: None,
            null: null.map_err(refused("/dev/null"))?,
            headers: Headers::new().map_err(refused("memory for headers"))?,
            iovecs: Vec::new(),
            sent: 0,
            discarded: 0,
        };
        splicer.try_calls().map_err(|errno| {
            format!("expected vmsplice and splice to work, got {errno}; allow them by seccomp")
        })?;
        Ok(splicer)
    }

    /// Whether the rest of a batch is worth it: blocks of mapped files, enough of them, between
    /// headers and small messages of ordinary size.
    pub(crate) fn suits(&self, sending: &Sending) -> bool {
        let blocks = sending.left().filter(|(part, _)| matches!(part, Part::Mapped(_))).count();
        let is_plain = sending.batch.is_mapped() && small_len(sending) <= Headers::MAX;
        self.pipe.is_some() && blocks >= BLOCK_MIN && is_plain
    }

    /// Sends as much of the batch as the socket, which must not block, is likely to take now;
    /// returns how much it took. `None` when memory or pipe fail us: nothing has left, and the peer
    /// is not to blame.
    ///
    /// # Errors
    /// `AGAIN` when there is no room, `FAULT` when the file ends before the bytes, or what the
    /// socket says.
    pub(crate) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        sending: &Sending,
    ) -> Option<Result<usize, Errno>> {
        self.gather(sending, room(socket).max(ROOM_MIN))?;
        let pipe = self.pipe.as_ref()?;
        let queued = match pipe.queue(&self.iovecs) {
            Ok(queued) => queued,
            Err(Errno::FAULT) => return Some(Err(Errno::FAULT)),
            Err(_) => return None,
        };
        let taken = splice(pipe.reader.as_fd(), socket, queued);
        let count = taken.unwrap_or(0);
        if count < queued {
            self.discard(queued - count);
        }
        self.sent += count as u64;
        Some(taken)
    }

    /// Bytes that left.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// What ended it, told once: from there on nothing suits.
    pub(crate) fn take_failure(&mut self) -> Option<String> {
        self.failure.take()
    }

    /// From now on the pipe is none, and nobody knows.
    #[cfg(test)]
    pub(super) fn lose_pipe(&mut self) {
        let ends = [(); 2].map(|()| self.null.try_clone().unwrap());
        self.pipe = Some(ends).map(|[reader, writer]| Pipe { reader, writer });
    }

    /// Iovecs over at most `max` bytes of what is left. Small bytes are kept where they stay.
    fn gather(&mut self, sending: &Sending, max: usize) -> Option<()> {
        self.headers.make_room().ok()?;
        self.iovecs.clear();
        let mut room = max;
        for (part, gone) in sending.left() {
            let iov_len = (part.len() - gone).min(room);
            if iov_len == 0 {
                break;
            }
            let iov_base: *mut c_void = match part {
                Part::Bytes(bytes) => self.headers.keep(&bytes[gone..gone + iov_len])?.cast(),
                Part::Mapped(mapped) => with_exposed_provenance_mut(mapped.address() + gone),
            };
            self.iovecs.push(libc::iovec { iov_base, iov_len });
            room -= iov_len;
        }
        Some(())
    }

    /// Empties the pipe of `count` bytes. One that cannot be emptied is replaced.
    fn discard(&mut self, count: usize) {
        self.discarded += count as u64;
        let mut left = count;
        while let Some(pipe) = self.pipe.as_ref().filter(|_| left > 0) {
            match splice(pipe.reader.as_fd(), self.null.as_fd(), left) {
                Ok(gone) if gone > 0 => left = left.saturating_sub(gone),
                _ => {
                    // First the old one's pages go back to the user's allowance.
                    self.pipe = None;
                    return self.replace_pipe(Pipe::open());
                }
            }
        }
    }

    fn replace_pipe(&mut self, new: Result<Pipe, String>) {
        match new {
            Ok(pipe) => self.pipe = Some(pipe),
            Err(message) => (self.pipe, self.failure) = (None, Some(message)),
        }
    }

    /// A header goes through the pipe to nowhere.
    fn try_calls(&mut self) -> Result<(), Errno> {
        let iov_base = self.headers.keep(&[0; 13]).ok_or(Errno::NOBUFS)?.cast();
        self.iovecs.push(libc::iovec { iov_base, iov_len: 13 });
        let pipe = self.pipe.as_ref().ok_or(Errno::NOBUFS)?;
        let queued = pipe.queue(&self.iovecs)?;
        splice(pipe.reader.as_fd(), self.null.as_fd(), queued).map(drop)
    }
}

impl Pipe {
    /// As large as the system allows.
    fn open() -> Result<Pipe, String> {
        Pipe::open_with(&PIPE_LENS)
    }

    /// Of the first of these sizes that the system allows.
    fn open_with(lens: &[usize]) -> Result<Pipe, String> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
            .map_err(|errno| format!("no pipe ({errno}); raise the limit with `ulimit -n`"))?;
        let is_large = |len: &usize| fcntl_setpipe_size(&writer, *len).is_ok();
        if lens.iter().any(is_large) {
            return Ok(Pipe { reader, writer });
        }
        let got = fcntl_getpipe_size(&writer).unwrap_or(0) / 1024;
        Err(format!(
            "expected a pipe of 256 KiB, got {got} KiB; raise fs.pipe-max-size to 1048576 and \
             fs.pipe-user-pages-soft by 256 for each shard, with `sysctl`"
        ))
    }

    /// Puts these into the empty pipe, as far as it has places; returns how many bytes.
    fn queue(&self, iovecs: &[libc::iovec]) -> Result<usize, Errno> {
        let (writer, flags) = (self.writer.as_raw_fd(), libc::SPLICE_F_NONBLOCK);
        // SAFETY: the kernel reads as many iovecs as there are, checks the addresses in them, and
        // writes nothing. It refers to their pages beyond the call and counts that: whoever unmaps
        // them takes nothing from it. What must not happen is that their bytes change meanwhile:
        // headers are written once, and files that are seeded belong to their owner.
        let queued = unsafe { libc::vmsplice(writer, iovecs.as_ptr(), iovecs.len(), flags) };
        usize::try_from(queued).map_err(|_| last_errno())
    }
}

/// Small bytes that are left, where all blocks are mapped.
fn small_len(sending: &Sending) -> usize {
    let small = sending.left().map(|(part, gone)| match part {
        Part::Bytes(bytes) => bytes.len() - gone,
        Part::Mapped(_) => 0,
    });
    small.sum()
}

/// Returns at once, whatever both ends are, as long as `to` does not block.
fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, len: usize) -> Result<usize, Errno> {
    rustix::pipe::splice(from, None, to, None, len, SpliceFlags::NONBLOCK)
}

/// Bytes that the socket is likely to take: what its buffer has left, but for a sixteenth, which is
/// more than the kernel's own records take. Everything, where it does not say.
fn room(socket: BorrowedFd<'_>) -> usize {
    const WORDS: usize = 9;
    const SEND_BUFFER: usize = 3;
    const QUEUED: usize = 5;
    let mut words = [0u32; WORDS];
    let mut len = size_of_val(&words) as libc::socklen_t;
    let (level, name) = (libc::SOL_SOCKET, libc::SO_MEMINFO);
    // SAFETY: the kernel writes at most `len` bytes to `words`, which has so many, and the length
    // that it wrote to `len`.
    let asked = unsafe {
        let to = ptr::from_mut(&mut words).cast();
        libc::getsockopt(socket.as_raw_fd(), level, name, to, &raw mut len)
    };
    if asked != 0 {
        return usize::MAX;
    }
    let room = words[SEND_BUFFER].saturating_sub(words[QUEUED]);
    (room - room / 16) as usize
}

fn block_sigpipe() -> Result<(), Errno> {
    // SAFETY: a set of signals is a C struct of integers, which the first call fills; the others
    // read it and change the calling thread's mask alone.
    let failed = unsafe {
        let mut signals = mem::zeroed();
        libc::sigemptyset(&raw mut signals);
        libc::sigaddset(&raw mut signals, libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signals, ptr::null_mut())
    };
    if failed == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(failed)) }
}

fn last_errno() -> Errno {
    io::Error::last_os_error().raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::io::Write;
    use std::net::Ipv4Addr;
    use std::net::TcpListener;
    use std::net::TcpStream;
    use std::rc::Rc;

    use super::*;
    use crate::base::payload::Mapped;
    use crate::base::payload::Payload;
    use crate::io::mapping::Mapping;

    const BLOCK: usize = 16 * 1024;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours, theirs)
    }

    /// Eight blocks of a mapped file, and the bytes that a peer shall see.
    fn batch() -> (Box<Sending>, Vec<u8>) {
        let bytes: Vec<u8> = (0..8 * BLOCK).map(|at| (at / 5 % 251) as u8).collect();
        let mut file = tempfile::tempfile_in(".").unwrap();
        file.write_all(&bytes).unwrap();
        let mapping = Mapping::new(file.as_fd(), 0, bytes.len()).unwrap();
        let address = mapping.address();
        let payload = Payload::Mapped(Mapped::new(Rc::new(mapping), address, bytes.len()));
        let (mut sending, mut all) = (Sending::empty(), Vec::new());
        for (at, block) in bytes.chunks(BLOCK).enumerate() {
            let part = payload.slice(at * BLOCK..(at + 1) * BLOCK).unwrap();
            sending.batch.push_block(&[at as u8; 13], part);
            all.extend([&[at as u8; 13], block].concat());
        }
        (sending, all)
    }

    fn is_empty(splicer: &Splicer) -> bool {
        let pipe = splicer.pipe.as_ref().unwrap();
        rustix::io::read(&pipe.reader, &mut [0; 1]) == Err(Errno::AGAIN)
    }

    #[test]
    fn a_pipe_with_few_places_takes_a_batch_in_parts() {
        let mut splicer = Splicer::open().unwrap();
        splicer.pipe = Some(Pipe::open_with(&[64 * 1024]).unwrap());
        let ((ours, mut theirs), (mut sending, all)) = (pair(), batch());
        let mut counts = vec![splicer.send(ours.as_fd(), &sending).unwrap().unwrap()];
        while !sending.advance(*counts.last().unwrap()) {
            counts.push(splicer.send(ours.as_fd(), &sending).unwrap().unwrap());
        }
        // Sixteen places: a header, four pages, and so on.
        let cut = 4096;
        assert_eq!(counts[..2], [3 * (13 + BLOCK) + 13, 3 * (BLOCK + 13) + cut]);
        let mut bytes = vec![0; all.len()];
        theirs.read_exact(&mut bytes).unwrap();
        assert!(bytes == all && is_empty(&splicer));
    }

    #[test]
    fn what_a_full_socket_does_not_take_leaves_the_pipe_and_comes_again() {
        let mut splicer = Splicer::open().unwrap();
        let ((ours, mut theirs), (mut sending, all)) = (pair(), batch());
        let (mut sent, mut refused) = (0, 0);
        while refused < 3 {
            match splicer.send(ours.as_fd(), &sending).unwrap() {
                Ok(count) => {
                    sent += count;
                    if sending.advance(count) {
                        (sending, _) = batch();
                    }
                }
                Err(errno) => {
                    assert_eq!(errno, Errno::AGAIN);
                    refused += 1;
                }
            }
        }
        assert!(is_empty(&splicer) && splicer.sent() == sent as u64);
        assert!(splicer.discarded > 0 && splicer.discarded < sent as u64 / 5, "asked for too much");
        let mut bytes = vec![0; sent];
        theirs.read_exact(&mut bytes).unwrap();
        let mut expected = all.iter().cycle();
        assert!(bytes.iter().all(|byte| Some(byte) == expected.next()));
    }

    #[test]
    fn a_pipe_that_cannot_be_emptied_is_replaced() {
        let mut splicer = Splicer::open().unwrap();
        let ((ours, mut theirs), (mut sending, all)) = (pair(), batch());
        splicer.lose_pipe();
        splicer.discard(1);
        let mut is_done = false;
        while !is_done {
            let count = splicer.send(ours.as_fd(), &sending).unwrap().unwrap();
            is_done = sending.advance(count);
        }
        let mut bytes = vec![0; all.len()];
        theirs.read_exact(&mut bytes).unwrap();
        assert!(bytes == all && is_empty(&splicer));
    }

    #[test]
    fn a_pipe_that_cannot_be_replaced_is_the_end_which_is_told_once() {
        let mut splicer = Splicer::open().unwrap();
        let (sending, _) = batch();
        assert!(splicer.suits(&sending) && splicer.take_failure().is_none());
        splicer.replace_pipe(Err("no pipe".to_owned()));
        assert!(!splicer.suits(&sending));
        assert_eq!(splicer.take_failure().as_deref(), Some("no pipe"));
        assert_eq!(splicer.take_failure(), None);
    }

    #[test]
    fn a_socket_that_is_closed_raises_a_signal_that_waits_for_ever() {
        let mut splicer = Splicer::open().unwrap();
        let ((ours, theirs), (sending, _)) = (pair(), batch());
        ours.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(splicer.send(ours.as_fd(), &sending), Some(Err(Errno::PIPE)));
        // SAFETY: fills a C struct of integers and reads it.
        let is_pending = unsafe {
            let mut signals = mem::zeroed();
            libc::sigpending(&raw mut signals);
            libc::sigismember(&raw const signals, libc::SIGPIPE)
        };
        assert_eq!(is_pending, 1, "it was raised, and this thread lives");
        assert!(is_empty(&splicer));
        drop(theirs);
    }

    #[test]
    fn batches_that_gain_nothing_do_not_suit() {
        let splicer = Splicer::open().unwrap();
        let (mut sending, _) = batch();
        assert!(splicer.suits(&sending));
        sending.advance(4 * (BLOCK + 13) + 100);
        assert!(splicer.suits(&sending), "three blocks and a rest");
        sending.advance(BLOCK);
        assert!(!splicer.suits(&sending));
        sending.clear();
        sending.batch.push_small(&[0; 50]);
        assert!(!splicer.suits(&sending));
    }

    #[test]
    fn a_system_without_a_pipe_of_some_size_is_told_what_to_raise() {
        // Larger than any pipe may be.
        let message = Pipe::open_with(&[u32::MAX as usize]).err().unwrap();
        assert!(message.contains("got 64 KiB; raise fs.pipe-max-size"), "{message}");
    }
}
