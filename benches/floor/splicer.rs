//! The least that sending without a copy needs: one vmsplice, one splice, headers written once.

use std::fs::File;
use std::io::Error;
use std::io::ErrorKind;
use std::io::Result;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::ptr;

use crate::memory::Memory;

/// Room for 32 blocks and their headers, however they lie.
const PIPE: i32 = 1 << 20;
const HEADERS: usize = 64 * 1024;
/// What is shorter is a header; blocks of the trial end shorter than others, but not so short.
const HEADER: usize = 13;

/// A pipe, and where what found no room goes.
pub(crate) struct Splicer {
    reader: OwnedFd,
    writer: OwnedFd,
    null: File,
    headers: Memory,
    used: usize,
    parts: Vec<libc::iovec>,
}

impl Splicer {
    pub(crate) fn new() -> Result<Splicer> {
        let mut ends = [0; 2];
        // SAFETY: two descriptors are written, which are nobody else's.
        let (reader, writer) = unsafe {
            checked(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) as isize)?;
            (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
        };
        // SAFETY: the size of a pipe of our own.
        checked(unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE) } as isize)?;
        let null = File::options().write(true).open("/dev/null")?;
        let headers = Memory::anonymous(HEADERS)?;
        Ok(Splicer { reader, writer, null, headers, used: 0, parts: Vec::new() })
    }

    /// As much of the parts, without their first `gone` bytes, as the socket takes now.
    pub(crate) fn send(&mut self, fd: i32, parts: &[libc::iovec], gone: usize) -> Result<usize> {
        let asked = self.gather(parts, gone, room(fd).max(16 * 1024 + HEADER))?;
        let (writer, count) = (self.writer.as_raw_fd(), self.parts.len());
        // SAFETY: the parts lead to a mapping that stays and to headers that are not written again.
        let queued =
            unsafe { libc::vmsplice(writer, self.parts.as_ptr(), count, libc::SPLICE_F_NONBLOCK) };
        assert_eq!(checked(queued)?, asked, "the pipe has room for a batch");
        let sent = match self.splice(fd, asked, libc::SPLICE_F_NONBLOCK) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            other => other?,
        };
        let mut left = asked - sent;
        while left > 0 {
            left -= self.splice(self.null.as_raw_fd(), left, 0)?;
        }
        Ok(sent)
    }

    fn gather(&mut self, parts: &[libc::iovec], gone: usize, room: usize) -> Result<usize> {
        if self.used + HEADER * parts.len() > HEADERS {
            self.headers = Memory::anonymous(HEADERS)?;
            self.used = 0;
        }
        self.parts.clear();
        let (mut skip, mut asked) = (gone, 0);
        for part in parts {
            let from = skip.min(part.iov_len);
            skip -= from;
            let length = (part.iov_len - from).min(room - asked);
            if length == 0 {
                continue;
            }
            let mut start: *mut u8 = part.iov_base.cast::<u8>().wrapping_add(from);
            if part.iov_len == HEADER {
                let kept = self.headers.pointer(self.used);
                // SAFETY: a header of the batch goes to where nothing was written yet.
                unsafe { ptr::copy_nonoverlapping(start, kept, length) };
                self.used += length;
                start = kept;
            }
            self.parts.push(libc::iovec { iov_base: start.cast(), iov_len: length });
            asked += length;
        }
        Ok(asked)
    }

    fn splice(&self, to: i32, length: usize, flags: u32) -> Result<usize> {
        let (from, none) = (self.reader.as_raw_fd(), ptr::null_mut());
        // SAFETY: no memory of ours is read or written.
        checked(unsafe { libc::splice(from, none, to, none, length, flags) })
    }
}

/// What the socket's buffer has left, or everything.
fn room(fd: i32) -> usize {
    let mut words = [0_u32; 9];
    let mut length = size_of_val(&words) as u32;
    let (words_at, length_at) = ((&raw mut words).cast(), &raw mut length);
    // SAFETY: as many bytes as there are words for are written.
    let asked =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, words_at, length_at) };
    let room = words[3].saturating_sub(words[5]) as usize;
    if asked == 0 { room - room / 16 } else { usize::MAX }
}

fn checked(result: isize) -> Result<usize> {
    usize::try_from(result).map_err(|_| Error::last_os_error())
}
