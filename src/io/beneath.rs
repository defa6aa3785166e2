//! Files opened beneath a directory: never outside of it, never through a symbolic link.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::CWD;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::io::Errno;

/// Opens that are tried again when something is being renamed meanwhile.
const RACE_ATTEMPTS: usize = 8;

/// The directory that everything else is opened beneath, for no more than that.
pub(crate) fn root(directory: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    rustix::fs::openat(CWD, directory, flags, Mode::empty())
}

/// Opens `path` without leaving `folder` and without following links.
pub(crate) fn beneath(
    folder: impl AsFd,
    path: &Path,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = flags | OFlags::CLOEXEC;
    for _ in 0..RACE_ATTEMPTS {
        match rustix::fs::openat2(folder.as_fd(), path, flags, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            done => return done,
        }
    }
    Err(Errno::AGAIN)
}
