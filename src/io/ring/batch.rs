//! A batch on its way: iovecs over the bytes that are left, kept until the kernel is done with
//! them.

use std::mem::zeroed;
use std::ptr;

use crate::engine::to_ring::SendBatch;

/// A batch, how much of it has left, and the kernel's view of the rest. Always boxed and reused:
/// the header points to the iovecs, the iovecs to the segments.
pub(crate) struct Sending {
    pub(crate) batch: SendBatch,
    sent: usize,
    header: libc::msghdr,
    iovecs: Vec<libc::iovec>,
}

impl Sending {
    /// With an empty batch.
    pub(crate) fn empty() -> Box<Sending> {
        // SAFETY: msghdr is a C struct of integers and pointers; all zeroes is a valid, empty one.
        let header = unsafe { zeroed() };
        Box::new(Sending { batch: SendBatch::default(), sent: 0, header, iovecs: Vec::new() })
    }

    /// Ready for the next batch; memory stays.
    pub(crate) fn clear(&mut self) {
        self.batch.clear();
        self.iovecs.clear();
        self.sent = 0;
    }

    /// `count` more bytes have left; true when none remain.
    pub(crate) fn advance(&mut self, count: usize) -> bool {
        self.sent = self.sent.saturating_add(count);
        self.sent >= self.batch.len()
    }

    /// The header over what is left. Valid while `self` is neither moved out of its box nor
    /// changed.
    pub(super) fn header(&mut self) -> *const libc::msghdr {
        self.iovecs.clear();
        let mut skip = self.sent;
        for bytes in self.batch.parts() {
            if let Some(rest) = bytes.get(skip..)
                && !rest.is_empty()
            {
                let iov_base = ptr::from_ref(rest).cast::<libc::c_void>().cast_mut();
                self.iovecs.push(libc::iovec { iov_base, iov_len: rest.len() });
            }
            skip = skip.saturating_sub(bytes.len());
        }
        self.header.msg_iov = self.iovecs.as_mut_ptr();
        self.header.msg_iovlen = self.iovecs.len();
        &self.header
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::buffer::PageBuf;

    #[test]
    fn after_a_short_send_the_header_covers_exactly_the_rest() {
        let mut sending = Sending::empty();
        for _ in 0..3 {
            sending.batch.push_block(&[0; 13], PageBuf::zeroed(100).freeze());
        }
        assert!(!sending.advance(13 + 100 + 13 + 30));
        sending.header();
        let lens: Vec<usize> = sending.iovecs.iter().map(|iovec| iovec.iov_len).collect();
        assert_eq!(lens, [70, 13, 100]);
        assert!(sending.advance(183));
    }
}
