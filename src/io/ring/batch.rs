//! A batch on its way: iovecs over the bytes that are left, kept until the kernel is done with
//! them.

use std::ffi::c_void;
use std::mem;
use std::ptr;
use std::ptr::with_exposed_provenance_mut;

use crate::base::payload::Mapped;
use crate::engine::to_ring::Part;
use crate::engine::to_ring::SendBatch;
use crate::io::mapping::is_resident;

/// A batch, how much of it has left, and the kernel's view of the rest. Always boxed and reused:
/// the header points to the iovecs, the iovecs to the segments.
pub(crate) struct Sending {
    pub(crate) batch: SendBatch,
    sent: usize,
    header: libc::msghdr,
    iovecs: Vec<libc::iovec>,
    /// Bytes of the batch that were looked at since it began to wait for room.
    looked_at: usize,
}

impl Sending {
    /// With an empty batch.
    pub(crate) fn empty() -> Box<Sending> {
        // SAFETY: msghdr is a C struct of integers and pointers; all zeroes is a valid, empty one.
        let header = unsafe { mem::zeroed() };
        let (batch, iovecs) = (SendBatch::default(), Vec::new());
        Box::new(Sending { batch, sent: 0, header, iovecs, looked_at: 0 })
    }

    /// Ready for the next batch; memory stays.
    pub(crate) fn clear(&mut self) {
        self.batch.clear();
        self.iovecs.clear();
        self.sent = 0;
        self.looked_at = 0;
    }

    /// `count` more bytes have left; true when none remain.
    pub(crate) fn advance(&mut self, count: usize) -> bool {
        self.sent = self.sent.saturating_add(count);
        self.sent >= self.batch.len()
    }

    /// The parts that are left, each with how many of its bytes have left already.
    pub(crate) fn left(&self) -> impl Iterator<Item = (Part<'_>, usize)> {
        let mut skip = self.sent;
        self.batch.parts().filter_map(move |part| {
            let gone = skip.min(part.len());
            skip -= gone;
            (gone < part.len()).then_some((part, gone))
        })
    }

    /// The first mapped bytes that are left: if the kernel could not read on, it is because of
    /// them.
    pub(crate) fn first_mapped(&self) -> Option<&Mapped> {
        self.left().find_map(|(part, _)| match part {
            Part::Mapped(mapped) => Some(mapped),
            Part::Bytes(_) => None,
        })
    }

    /// The batch begins to wait for room: what was in memory may leave it meanwhile.
    pub(crate) fn handle_full(&mut self) {
        self.looked_at = self.sent;
    }

    /// The next mapped bytes that have left memory since the batch began to wait: their address and
    /// their length. Every byte is looked at once.
    pub(crate) fn next_absent(&mut self) -> Option<(usize, usize)> {
        let mut at = 0;
        let mut absent: Option<(usize, usize)> = None;
        for part in self.batch.parts() {
            at += part.len();
            let Part::Mapped(mapped) = part else { continue };
            if at <= self.looked_at {
                continue;
            }
            match &mut absent {
                Some((address, len)) if *address + *len == mapped.address() => *len += mapped.len(),
                Some(_) => return absent,
                None if is_resident(mapped.address(), mapped.len()) => {}
                None => absent = Some((mapped.address(), mapped.len())),
            }
            self.looked_at = at;
        }
        absent
    }

    /// The header over what is left. Valid while `self` is neither moved out of its box nor
    /// changed.
    pub(super) fn header(&mut self) -> *const libc::msghdr {
        let mut iovecs = mem::take(&mut self.iovecs);
        iovecs.clear();
        iovecs.extend(self.left().map(|(part, gone)| {
            let iov_base = match part {
                Part::Bytes(bytes) => ptr::from_ref(&bytes[gone..]).cast::<c_void>().cast_mut(),
                Part::Mapped(mapped) => with_exposed_provenance_mut(mapped.address() + gone),
            };
            libc::iovec { iov_base, iov_len: part.len() - gone }
        }));
        self.iovecs = iovecs;
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
            sending.batch.push_block(&[0; 13], PageBuf::zeroed(100).freeze().into());
        }
        assert!(!sending.advance(13 + 100 + 13 + 30));
        sending.header();
        let lens: Vec<usize> = sending.iovecs.iter().map(|iovec| iovec.iov_len).collect();
        assert_eq!(lens, [70, 13, 100]);
        assert!(sending.advance(183));
    }
}
