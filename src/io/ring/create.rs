//! Setting up an io_uring: the fast kind where the kernel has it, smaller where memory is short.

use std::io;

use io_uring::IoUring;

/// Submission entries tried in this order: less memory is better than no ring.
const ENTRIES: [u32; 3] = [512, 256, 128];

/// For the calling thread, which must be the only one to use it. Completions are posted only inside
/// `enter`, where that can be had: no interrupts while we work.
pub(super) fn create() -> io::Result<IoUring> {
    let mut refusal = io::Error::from_raw_os_error(libc::ENOMEM);
    for entries in ENTRIES {
        match create_with(entries) {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => refusal = error,
            done => return done,
        }
    }
    Err(refusal)
}

fn create_with(entries: u32) -> io::Result<IoUring> {
    let fast = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_cqsize(entries * 4)
        .build(entries);
    match fast {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            IoUring::builder().setup_cqsize(entries * 4).build(entries)
        }
        done => done,
    }
}
