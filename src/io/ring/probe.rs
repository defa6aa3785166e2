//! The probe: does this kernel give us the ring that we need? By trial, not by version.

use std::io;

use io_uring::IoUring;
use io_uring::opcode;
use io_uring::register::Probe;

use crate::base::buffer::PAGE;
use crate::io::cpus::Provision;
use crate::io::preflight;
use crate::io::preflight::StartError;
use crate::io::ring::buffers::GROUP;
use crate::io::ring::buffers::ProvidedBuffers;
use crate::io::ring::create::create;

/// Operations that shards use. Multishot accept and receive have no bit of their own: they came
/// with single-issuer rings and zero-copy send (6.0), which does.
const NEEDED: [(u8, &str); 10] = [
    (opcode::AcceptMulti::CODE, "accept"),
    (opcode::Connect::CODE, "connect"),
    (opcode::RecvMulti::CODE, "receive"),
    (opcode::SendMsg::CODE, "send"),
    (opcode::RecvMsg::CODE, "datagrams"),
    (opcode::Read::CODE, "read"),
    (opcode::Write::CODE, "write"),
    (opcode::Fsync::CODE, "fsync"),
    (opcode::LinkTimeout::CODE, "linked time-outs"),
    (opcode::SendZc::CODE, "multishot receive"),
];
/// The longest-lived memory that glommio registers per ring, and its rings per shard.
const GLOMMIO_BUFFER: usize = 64 * 1024;
const GLOMMIO_RINGS: usize = 3;

/// Sets up a hot ring and as many rings as glommio will, and lets go of all of them.
pub(crate) fn probe(shard_count: usize) -> Result<(), StartError> {
    let hot = create().map_err(refused)?;
    let mut probe = Probe::new();
    hot.submitter().register_probe(&mut probe).map_err(refused)?;
    for (code, missing) in NEEDED {
        if !probe.is_supported(code) {
            return Err(StartError::KernelTooOld { missing });
        }
    }
    if !hot.params().is_feature_ext_arg() {
        return Err(StartError::KernelTooOld { missing: "waits with a time-out" });
    }
    let buffers = ProvidedBuffers::register(&hot.submitter(), Provision { count: 8, len: PAGE })
        .map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => StartError::KernelTooOld { missing: "provided buffer rings" },
            _ => refused(error),
        })?;
    hot.submitter().unregister_buf_ring(GROUP).map_err(refused)?;
    drop(buffers);
    try_locked_memory(shard_count)
}

/// Registered buffers count against the limit of locked memory, over all processes of the user.
fn try_locked_memory(shard_count: usize) -> Result<(), StartError> {
    let buffer = vec![0u8; GLOMMIO_BUFFER];
    let iovec = libc::iovec { iov_base: buffer.as_ptr().cast_mut().cast(), iov_len: buffer.len() };
    let mut rings = Vec::new();
    for _ in 0..shard_count * GLOMMIO_RINGS {
        let ring = IoUring::new(128).map_err(refused)?;
        // SAFETY: `buffer` is declared before `rings` and thus outlives them, no operation is
        // submitted to them, and the registration ends with each ring.
        unsafe { ring.submitter().register_buffers(&[iovec]) }.map_err(refused)?;
        rings.push(ring);
    }
    Ok(())
}

fn refused(source: io::Error) -> StartError {
    match source.raw_os_error() {
        Some(libc::ENOMEM) => preflight::memlock_refused(),
        Some(libc::EMFILE | libc::ENFILE) => StartError::System { what: "descriptors", source },
        Some(libc::EINVAL) => StartError::KernelTooOld { missing: "the rings that we ask for" },
        _ => StartError::IoUringDenied { source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_passes() {
        probe(1).unwrap();
    }

    #[test]
    fn refusals_are_one_line_with_a_remedy() {
        let cases = [
            (libc::EPERM, "seccomp"),
            (libc::ENOSYS, "seccomp"),
            (libc::ENOMEM, "ulimit -l"),
            (libc::EMFILE, "raise the limit"),
        ];
        for (errno, remedy) in cases {
            let message = refused(io::Error::from_raw_os_error(errno)).to_string();
            assert!(message.contains(remedy) && !message.contains('\n'), "{message}");
        }
    }
}
