//! What is on disk before anything is read: names, sizes and times of a torrent's files.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use rustix::io::Errno;

use crate::content::files::FileEntry;
use crate::io::beneath::beneath;

/// One file as it was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Look {
    /// Where it lies below the root: as the torrent calls it, or with `.part` behind.
    pub(crate) path: PathBuf,
    pub(crate) seen: Seen,
}

/// What stands at a file's path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// Pads and links are not on disk; their bytes are zeros.
    Nowhere,
    Missing,
    /// A directory, a device, a link.
    NotAFile,
    /// The system's error number.
    Denied(i32),
    File(Stamp),
}

/// What changes when a file does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    /// Bytes.
    pub(crate) length: u64,
    /// Nanoseconds since 1970, of the content and of the entry.
    pub(crate) modified: i64,
    pub(crate) changed: i64,
    pub(crate) inode: u64,
    /// Whether it takes less space than it has bytes, so that there may be holes.
    pub(crate) is_sparse: bool,
}

impl Look {
    /// Nothing to be read.
    pub(crate) fn nowhere() -> Look {
        Look { path: PathBuf::new(), seen: Seen::Nowhere }
    }

    /// Finds the file of `entry` below `root`, complete or with `.part`. When both are there, the
    /// one of the right size is it, else the unfinished one.
    pub(crate) fn at(root: &OwnedFd, entry: &FileEntry) -> Look {
        if !entry.is_on_disk() {
            return Look::nowhere();
        }
        let complete = Look::of(root, entry.path().to_owned());
        if matches!(complete.seen, Seen::File(stamp) if stamp.length == entry.length()) {
            return complete;
        }
        let mut path = entry.path().as_os_str().to_owned();
        path.push(".part");
        let part = Look::of(root, path.into());
        if matches!(part.seen, Seen::File(_)) { part } else { complete }
    }

    /// What stands at `path`.
    pub(crate) fn of(root: &OwnedFd, path: PathBuf) -> Look {
        let found = beneath(root, &path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty());
        let seen = match found.and_then(rustix::fs::fstat) {
            Ok(stat) => Seen::of(&stat),
            Err(Errno::NOENT | Errno::NOTDIR) => Seen::Missing,
            Err(Errno::LOOP | Errno::XDEV) => Seen::NotAFile,
            Err(errno) => Seen::Denied(errno.raw_os_error()),
        };
        Look { path, seen }
    }

    /// Bytes that can be read; 0 where there is no file.
    pub(crate) fn length(&self) -> u64 {
        match self.seen {
            Seen::File(stamp) => stamp.length,
            _ => 0,
        }
    }
}

impl Seen {
    fn of(stat: &Stat) -> Seen {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Seen::File(Stamp::of(stat)),
            _ => Seen::NotAFile,
        }
    }
}

impl Stamp {
    fn of(stat: &Stat) -> Stamp {
        let nanos = |seconds: i64, nanos: u64| {
            seconds.saturating_mul(1_000_000_000).saturating_add_unsigned(nanos)
        };
        let length = stat.st_size as u64;
        Stamp {
            length,
            modified: nanos(stat.st_mtime, stat.st_mtime_nsec),
            changed: nanos(stat.st_ctime, stat.st_ctime_nsec),
            inode: stat.st_ino,
            is_sparse: (stat.st_blocks as u64).saturating_mul(512) < length,
        }
    }
}

/// Opens a file that was seen, for reading in order.
pub(super) fn open(root: impl AsFd, path: &Path) -> Result<(OwnedFd, Stamp), Errno> {
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK;
    let fd = beneath(root, path, flags, Mode::empty())?;
    match Seen::of(&rustix::fs::fstat(&fd)?) {
        Seen::File(stamp) => Ok((fd, stamp)),
        _ => Err(Errno::NOENT),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::content::files::FileKind;
    use crate::content::files::FileList;
    use crate::io::beneath;

    #[test]
    fn finished_files_unfinished_ones_and_everything_else() {
        let dir = tempfile::tempdir().unwrap();
        for (name, len) in [("whole", 5), ("half.part", 3), ("both", 2), ("both.part", 5)] {
            fs::write(dir.path().join(name), vec![1; len]).unwrap();
        }
        fs::create_dir(dir.path().join("folder")).unwrap();
        symlink("whole", dir.path().join("link")).unwrap();
        let root = beneath::root(dir.path()).unwrap();
        let look = |name: &str, kind| {
            let mut list = FileList::default();
            list.push(name.into(), 5, kind).unwrap();
            Look::at(&root, &list.entries()[0])
        };
        let data = |name| look(name, FileKind::Data);
        assert_eq!((data("whole").length(), data("whole").path), (5, "whole".into()));
        assert_eq!((data("half").length(), data("half").path), (3, "half.part".into()));
        assert_eq!(data("both").path, PathBuf::from("both.part"));
        assert_eq!(data("none").seen, Seen::Missing);
        assert_eq!(data("whole/inside").seen, Seen::Missing);
        assert_eq!(data("folder").seen, Seen::NotAFile);
        assert_eq!(data("link").seen, Seen::NotAFile);
        assert_eq!(look("whole", FileKind::Pad).seen, Seen::Nowhere);
    }
}
