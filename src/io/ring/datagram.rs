//! One UDP datagram with its address, in memory that stays put while the kernel works on it.

use std::mem::size_of;
use std::mem::zeroed;
use std::net::SocketAddr;
use std::ptr;

use socket2::SockAddr;
use socket2::SockAddrStorage;

/// Bytes of the largest datagram we read: tracker answers and DHT packets stay below 1,500 bytes, a
/// scrape answer of 74 torrents below 1,000; what is longer is cut and dropped.
const DATAGRAM_LEN_MAX: usize = 4096;

/// A datagram being sent or received. Always boxed: `header` points into its siblings.
pub(crate) struct Datagram {
    header: libc::msghdr,
    iovec: libc::iovec,
    address: SockAddrStorage,
    address_len: libc::socklen_t,
    bytes: Vec<u8>,
    len: usize,
}

impl Datagram {
    /// Room for whatever arrives.
    pub(crate) fn empty() -> Box<Datagram> {
        Datagram::with(SockAddrStorage::zeroed(), 0, vec![0; DATAGRAM_LEN_MAX])
    }

    /// `bytes` on their way to `to`.
    pub(crate) fn addressed(to: SocketAddr, bytes: Vec<u8>) -> Box<Datagram> {
        let mut address = SockAddrStorage::zeroed();
        let raw = SockAddr::from(to);
        // SAFETY: the source is a valid address of `raw.len()` bytes, the target a
        // sockaddr_storage, which is as large as the largest address; they are different objects.
        unsafe {
            let target: *mut SockAddrStorage = &mut address;
            ptr::copy_nonoverlapping(
                raw.as_ptr().cast::<u8>(),
                target.cast::<u8>(),
                raw.len() as usize,
            );
        }
        Datagram::with(address, raw.len(), bytes)
    }

    fn with(
        address: SockAddrStorage,
        address_len: libc::socklen_t,
        bytes: Vec<u8>,
    ) -> Box<Datagram> {
        let len = bytes.len();
        let iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        // SAFETY: msghdr is a C struct of integers and pointers; all zeroes is a valid, empty one.
        let header = unsafe { zeroed() };
        Box::new(Datagram { header, iovec, address, address_len, bytes, len })
    }

    /// The header with its pointers set, for a send.
    pub(super) fn send_header(&mut self) -> *const libc::msghdr {
        self.link(self.address_len, self.len)
    }

    /// The header with its pointers set, for a receive.
    pub(super) fn receive_header(&mut self) -> *mut libc::msghdr {
        let address_len = size_of::<SockAddrStorage>() as libc::socklen_t;
        self.link(address_len, self.bytes.len())
    }

    fn link(&mut self, address_len: libc::socklen_t, len: usize) -> *mut libc::msghdr {
        self.iovec.iov_base = self.bytes.as_mut_ptr().cast();
        self.iovec.iov_len = len;
        self.header.msg_name = ptr::from_mut(&mut self.address).cast();
        self.header.msg_namelen = address_len;
        self.header.msg_iov = &mut self.iovec;
        self.header.msg_iovlen = 1;
        self.header.msg_flags = 0;
        &mut self.header
    }

    /// Notes what a receive of `len` bytes left behind.
    pub(super) fn received(&mut self, len: usize) {
        self.len = len.min(self.bytes.len());
        self.address_len = self.header.msg_namelen;
    }

    /// The bytes sent or received; `None` if they were cut short.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        let is_cut = self.header.msg_flags & libc::MSG_TRUNC != 0;
        if is_cut { None } else { self.bytes.get(..self.len) }
    }

    /// Whom it came from; `None` if that is neither IPv4 nor IPv6.
    pub(crate) fn sender(&self) -> Option<SocketAddr> {
        let len = self.address_len.min(size_of::<SockAddrStorage>() as libc::socklen_t);
        // SAFETY: the storage is initialised (zeroed, then written by the kernel) and `len` does
        // not reach beyond it. SockAddrStorage is plain bytes of a C struct, so the read is a
        // copy.
        let address = unsafe { SockAddr::new(ptr::read(&self.address), len) };
        address.as_socket()
    }
}
