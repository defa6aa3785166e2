//! The files that a thread has open, and reading from them by copying.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use rustix::fs::Advice;
use rustix::io::Errno;

use crate::base::ids::FileIndex;
use crate::io::scan::look::open;
use crate::io::scan::plan::Plan;

/// Files kept open per thread; those with the lowest numbers go first, because a scan rises.
const OPEN_MAX: usize = 64;
/// Bytes from which on the kernel is told that a file is read in order.
const ORDERED_MIN: u64 = 1024 * 1024;

/// Why bytes of a piece could not be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// The file went away.
    Missing,
    /// The file became shorter.
    Short,
    /// The system's error number.
    Unreadable(i32),
}

pub(super) struct Open {
    pub(super) fd: OwnedFd,
    pub(super) is_sparse: bool,
}

/// Open files by their number.
#[derive(Default)]
pub(super) struct Shelf {
    files: BTreeMap<FileIndex, Open>,
}

impl Shelf {
    /// Opens the file unless it is open.
    pub(super) fn get(&mut self, plan: &Plan<'_>, file: FileIndex) -> Result<&Open, Errno> {
        if !self.files.contains_key(&file) {
            let look = plan.looks.get(file.as_usize()).ok_or(Errno::NOENT)?;
            let (fd, stamp) = open(plan.root.as_ref().ok_or(Errno::NOENT)?, &look.path)?;
            if stamp.length >= ORDERED_MIN {
                // Only a hint: what refuses it is read all the same.
                let _ = rustix::fs::fadvise(&fd, 0, None, Advice::Sequential);
            }
            if self.files.len() >= OPEN_MAX {
                self.files.pop_first();
            }
            self.files.insert(file, Open { fd, is_sparse: stamp.is_sparse });
        }
        self.files.get(&file).ok_or(Errno::NOENT)
    }

    /// Fills `target` from position `offset` of the torrent. Waits for the disk.
    pub(super) fn read(
        &mut self,
        plan: &Plan<'_>,
        offset: u64,
        target: &mut [u8],
    ) -> Result<(), Trouble> {
        let mut rest = target;
        for span in plan.files.spans(offset, rest.len() as u64) {
            let Some((part, behind)) = rest.split_at_mut_checked(span.length as usize) else {
                return Err(Trouble::Short);
            };
            rest = behind;
            if plan.files.get(span.file).is_some_and(|entry| !entry.is_on_disk()) {
                part.fill(0);
                continue;
            }
            let open = self.get(plan, span.file).map_err(Trouble::of)?;
            read_at(&open.fd, span.offset, part)?;
        }
        Ok(())
    }
}

impl Trouble {
    pub(super) fn of(errno: Errno) -> Trouble {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV => Trouble::Missing,
            errno => Trouble::Unreadable(errno.raw_os_error()),
        }
    }
}

fn read_at(fd: &OwnedFd, mut offset: u64, mut target: &mut [u8]) -> Result<(), Trouble> {
    while !target.is_empty() {
        match rustix::io::pread(fd, &mut *target, offset) {
            Ok(0) => return Err(Trouble::Short),
            Ok(count) => {
                target = target.get_mut(count..).unwrap_or_default();
                offset += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Trouble::Unreadable(errno.raw_os_error())),
        }
    }
    Ok(())
}
