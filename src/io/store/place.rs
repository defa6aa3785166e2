//! A torrent's place on disk: directories, names and sizes. Everything here blocks; it runs on the
//! pool, never on a shard.
//!
//! Paths were made safe when the torrent was parsed. Beyond that every file is opened beneath the
//! torrent's directory and never through a symbolic link, whatever stands there by now.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::Advice;
use rustix::fs::AtFlags;
use rustix::fs::FallocateFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RenameFlags;
use rustix::fs::Stat;
use rustix::io::Errno;

use crate::base::ids::FileIndex;
use crate::base::storage_error::StorageError;
use crate::base::storage_error::StorageOperation;
use crate::content::files::FileEntry;
use crate::content::torrent::Torrent;
use crate::engine::add::Allocation;
use crate::engine::add::WriteMode;
use crate::engine::disk::FileSeen;
use crate::io::beneath;
use crate::io::beneath::beneath;
use crate::io::store::errors::refused;
use crate::io::store::errors::wrong;
use crate::io::store::file_key::Access;
use crate::io::store::file_key::Spot;
use crate::io::store::parts;

/// Space left alone when files are reserved, so that logs and other programs go on.
const SPACE_MARGIN: u64 = 16 * 1024 * 1024;

/// Where a torrent lies.
pub(crate) struct Place {
    pub(crate) torrent: Arc<Torrent>,
    pub(crate) directory: Arc<Path>,
    pub(crate) allocation: Allocation,
    pub(crate) write_mode: WriteMode,
}

/// Under which name a file is on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Name {
    /// It is not there.
    None,
    /// With the suffix `.part`: incomplete (F2).
    Part,
    /// As the torrent calls it.
    Final,
}

/// What is left in the part store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Aside {
    /// There is none any more.
    Nothing,
    Something,
}

/// An open file, whether it may be written, and whether the system tells us what of it is in
/// memory: only to those who own a file or may write it.
pub(super) struct Opened {
    pub(super) fd: OwnedFd,
    pub(super) is_writable: bool,
    pub(super) is_told: bool,
}

impl Name {
    pub(super) fn of(seen: FileSeen) -> Name {
        match seen {
            FileSeen::Missing | FileSeen::Aside => Name::None,
            FileSeen::Part { .. } => Name::Part,
            FileSeen::Final { .. } => Name::Final,
        }
    }

    /// What `Create` gives to a file that was missing.
    pub(super) fn created(entry: &FileEntry) -> Name {
        if entry.length() == 0 { Name::Final } else { Name::Part }
    }
}

/// The path of a file under one of its names.
pub(super) fn path_of(entry: &FileEntry, name: Name) -> PathBuf {
    let mut path = entry.path().as_os_str().to_owned();
    if name == Name::Part {
        path.push(".part");
    }
    path.into()
}

impl Place {
    /// What is there, file by file. Creates nothing.
    pub(super) fn look(&self) -> Result<Vec<FileSeen>, StorageError> {
        let files = self.torrent.files();
        let root = match self.root() {
            Ok(root) => root,
            Err(Errno::NOENT) => return Ok(vec![FileSeen::Missing; files.len()]),
            Err(errno) => return Err(refused(StorageOperation::Open, &self.directory, errno)),
        };
        let parts = self.open_parts(&root, OFlags::RDONLY)?;
        let look = |entry: &FileEntry| match (self.look_at(&root, entry)?, &parts) {
            (FileSeen::Missing, Some(parts)) if self.is_aside(parts, entry)? => Ok(FileSeen::Aside),
            (seen, _) => Ok(seen),
        };
        files.iter().map(look).collect()
    }

    /// The part store, if it is there.
    fn open_parts(&self, root: &OwnedFd, flags: OFlags) -> Result<Option<OwnedFd>, StorageError> {
        let path = parts::name(&self.torrent);
        let refuse = |errno| refused(StorageOperation::Open, &path, errno);
        match beneath(root, &path, flags, Mode::empty()) {
            Ok(fd) => {
                regular(&path, &rustix::fs::fstat(&fd).map_err(refuse)?)?;
                Ok(Some(fd))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(refuse(errno)),
        }
    }

    fn is_aside(&self, parts: &OwnedFd, entry: &FileEntry) -> Result<bool, StorageError> {
        let range = entry.offset()..entry.offset() + entry.length();
        let is_aside = entry.is_on_disk()
            && parts::has_data(parts, range).map_err(|errno| {
                refused(StorageOperation::Read, &parts::name(&self.torrent), errno)
            })?;
        Ok(is_aside)
    }

    fn look_at(&self, root: &OwnedFd, entry: &FileEntry) -> Result<FileSeen, StorageError> {
        if !entry.is_on_disk() {
            return Ok(FileSeen::Missing);
        }
        let length_of = |name| -> Result<Option<u64>, StorageError> {
            let path = path_of(entry, name);
            match beneath(root, &path, OFlags::PATH, Mode::empty()).and_then(rustix::fs::fstat) {
                Ok(stat) => regular(&path, &stat).map(Some),
                Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
                Err(errno) => Err(refused(StorageOperation::Open, &path, errno)),
            }
        };
        let (complete, part) = (length_of(Name::Final)?, length_of(Name::Part)?);
        Ok(match (complete, part) {
            // Both are there: one of the right size was finished, any other is not ours.
            (Some(length), Some(_)) if length == entry.length() => FileSeen::Final { length },
            (_, Some(length)) => FileSeen::Part { length },
            (Some(length), None) => FileSeen::Final { length },
            (None, None) => FileSeen::Missing,
        })
    }

    /// Makes directories and those of `files` that are missing and reserves their space, after a
    /// look whether it is there; what lies aside for them becomes theirs. `names` are those of all
    /// files.
    pub(super) fn create(
        &self,
        files: &[FileIndex],
        names: &[Name],
    ) -> Result<Aside, StorageError> {
        let name_of = |file: FileIndex| names.get(file.as_usize()).copied().unwrap_or(Name::None);
        let files = files.iter().filter_map(|file| {
            let entry = self.torrent.file_list().get(*file)?;
            entry.is_on_disk().then(|| (entry, name_of(*file)))
        });
        let files: Vec<(&FileEntry, Name)> = files.collect();
        let operation = StorageOperation::Open;
        fs::create_dir_all(&self.directory)
            .map_err(|error| refused(operation, &self.directory, errno_of(&error)))?;
        let root = self.root().map_err(|errno| refused(operation, &self.directory, errno))?;
        self.check_space(&root, &files)?;
        let parts = self.open_parts(&root, OFlags::RDWR)?;
        let mut folder = (
            PathBuf::new(),
            root.try_clone()
                .map_err(|error| refused(operation, &self.directory, errno_of(&error)))?,
        );
        for (entry, name) in &files {
            match name {
                Name::None => self.create_file(&root, &mut folder, entry, parts.as_ref())?,
                name => self.grow(&root, entry, *name)?,
            }
        }
        match parts {
            Some(parts) => self.clean_up(&root, &parts, &files, names),
            None => Ok(Aside::Nothing),
        }
    }

    /// Forgets what lay aside for files that have been made, and removes the part store when
    /// nothing is in it any more.
    fn clean_up(
        &self,
        root: &OwnedFd,
        parts: &OwnedFd,
        made: &[(&FileEntry, Name)],
        names: &[Name],
    ) -> Result<Aside, StorageError> {
        let path = parts::name(&self.torrent);
        let refuse = |errno| refused(StorageOperation::Write, &path, errno);
        for (entry, _) in made.iter().filter(|(entry, _)| entry.length() > 0) {
            let range = entry.offset()..entry.offset() + entry.length();
            parts::forget(parts, range).map_err(refuse)?;
        }
        // What was made is forgotten by now and counts for nothing here.
        for (entry, name) in self.torrent.files().iter().zip(names) {
            if *name == Name::None && self.is_aside(parts, entry)? {
                return Ok(Aside::Something);
            }
        }
        rustix::fs::unlinkat(root, &path, AtFlags::empty()).map_err(refuse)?;
        Ok(Aside::Nothing)
    }

    /// `folder` is the one of the file before: neighbours mostly share it.
    fn create_file(
        &self,
        root: &OwnedFd,
        folder: &mut (PathBuf, OwnedFd),
        entry: &FileEntry,
        parts: Option<&OwnedFd>,
    ) -> Result<(), StorageError> {
        let path = path_of(entry, Name::created(entry));
        let refuse = |errno| refused(StorageOperation::Open, &path, errno);
        let parent = path.parent().unwrap_or(Path::new(""));
        if folder.0 != parent {
            *folder = (parent.to_owned(), make_folders(root, parent).map_err(refuse)?);
        }
        let name = Path::new(path.file_name().ok_or(refuse(Errno::INVAL))?);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let fd = beneath(&folder.1, name, flags, Mode::from_raw_mode(0o666)).map_err(refuse)?;
        let bring_in = |()| match parts {
            Some(parts) => {
                let range = entry.offset()..entry.offset() + entry.length();
                let refuse = |errno| refused(StorageOperation::Write, &path, errno);
                parts::copy(parts, range, &fd).map_err(refuse)
            }
            None => Ok(()),
        };
        let made = self.reserve(&fd, &path, entry.length()).and_then(bring_in);
        if made.is_err() {
            // A file without what lies aside for it would hide that from the next try.
            let _ = rustix::fs::unlinkat(&folder.1, name, AtFlags::empty());
        }
        made
    }

    /// A file from an earlier run gets its full size; one that is too long is cut if it is ours.
    fn grow(&self, root: &OwnedFd, entry: &FileEntry, name: Name) -> Result<(), StorageError> {
        let path = path_of(entry, name);
        let refuse = |errno| refused(StorageOperation::Allocate, &path, errno);
        let fd = beneath(root, &path, OFlags::PATH, Mode::empty()).map_err(refuse)?;
        let stat = rustix::fs::fstat(&fd).map_err(refuse)?;
        let length = regular(&path, &stat)?;
        let is_reserved = self.allocation == Allocation::Sparse || allocated(&stat) >= length;
        if name == Name::Final && length >= entry.length()
            || length == entry.length() && is_reserved
        {
            return Ok(());
        }
        let fd = beneath(root, &path, OFlags::RDWR, Mode::empty()).map_err(refuse)?;
        if length > entry.length() {
            rustix::fs::ftruncate(&fd, entry.length()).map_err(refuse)?;
        }
        self.reserve(&fd, &path, entry.length())
    }

    fn reserve(&self, fd: &OwnedFd, path: &Path, length: u64) -> Result<(), StorageError> {
        if length == 0 {
            return Ok(());
        }
        let reserved = match self.allocation {
            Allocation::Full => rustix::fs::fallocate(fd, FallocateFlags::empty(), 0, length),
            Allocation::Sparse => Err(Errno::OPNOTSUPP),
        };
        let is_sparse = |errno: &Errno| [Errno::OPNOTSUPP, Errno::NOSYS].contains(errno);
        reserved
            .or_else(|errno| match is_sparse(&errno) {
                true => rustix::fs::ftruncate(fd, length),
                false => Err(errno),
            })
            .map_err(|errno| refused(StorageOperation::Allocate, path, errno))
    }

    fn check_space(
        &self,
        root: &OwnedFd,
        files: &[(&FileEntry, Name)],
    ) -> Result<(), StorageError> {
        let mut needed: u64 = 0;
        for (entry, name) in files {
            let path = path_of(entry, *name);
            let there = match name {
                Name::None => 0,
                _ => beneath(root, &path, OFlags::PATH, Mode::empty())
                    .and_then(rustix::fs::fstat)
                    .map_or(0, |stat| allocated(&stat)),
            };
            needed = needed.saturating_add(entry.length().saturating_sub(there));
        }
        let Ok(system) = rustix::fs::fstatvfs(root) else { return Ok(()) };
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        if needed == 0 || needed.saturating_add(SPACE_MARGIN) <= free {
            return Ok(());
        }
        let message = format!(
            "expected {needed} bytes of free space, got {free}: free some and resume the torrent"
        );
        let errno = Some(Errno::NOSPC.raw_os_error());
        let error = wrong(StorageOperation::Allocate, &self.directory, message);
        Err(StorageError { errno, ..error })
    }

    /// Opens a file for reading and, where that is allowed or asked for, writing. A file system
    /// that knows no way past its cache gives an ordinary descriptor.
    pub(super) fn open(
        &self,
        spot: Spot,
        name: Name,
        access: Access,
    ) -> Result<Opened, StorageError> {
        let operation = StorageOperation::Open;
        let for_writing = access != Access::Read;
        let Spot::File(file) = spot else { return self.open_aside(for_writing) };
        let Some(entry) = self.torrent.file_list().get(file) else {
            return Err(wrong(operation, &self.directory, format!("no file {}", file.as_usize())));
        };
        let path = path_of(entry, name);
        let refuse = |errno| refused(operation, &path, errno);
        if name == Name::None {
            return Err(refuse(Errno::NOENT));
        }
        let root = self.root().map_err(refuse)?;
        let open = |flags| beneath(&root, &path, flags, Mode::empty());
        let direct = (access == Access::DirectWrite).then(|| open(OFlags::RDWR | OFlags::DIRECT));
        let opened = direct.and_then(Result::ok).map_or_else(|| open(OFlags::RDWR), Ok);
        let (fd, is_writable) = match opened {
            // It was finished meanwhile: its bytes are the same under the final name.
            Err(Errno::NOENT) if name == Name::Part && !for_writing => {
                let path = path_of(entry, Name::Final);
                let fd = beneath(&root, &path, OFlags::RDONLY, Mode::empty());
                (fd.map_err(refuse)?, false)
            }
            Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) if !for_writing => {
                (open(OFlags::RDONLY).map_err(refuse)?, false)
            }
            opened => (opened.map_err(refuse)?, true),
        };
        let stat = rustix::fs::fstat(&fd).map_err(refuse)?;
        regular(&path, &stat)?;
        // Extents are our read-ahead: the system's would read up to as much again behind each.
        let _ = rustix::fs::fadvise(&fd, 0, None, Advice::Random);
        let is_told = is_writable || stat.st_uid == rustix::process::geteuid().as_raw();
        Ok(Opened { fd, is_writable, is_told })
    }

    /// Opens the part store; makes it where something is to be written.
    fn open_aside(&self, for_writing: bool) -> Result<Opened, StorageError> {
        let path = parts::name(&self.torrent);
        let refuse = |errno| refused(StorageOperation::Open, &path, errno);
        let root = self.root().map_err(refuse)?;
        let (flags, mode) = match for_writing {
            true => (OFlags::RDWR | OFlags::CREATE, Mode::from_raw_mode(0o666)),
            false => (OFlags::RDONLY, Mode::empty()),
        };
        let fd = beneath(&root, &path, flags, mode).map_err(refuse)?;
        regular(&path, &rustix::fs::fstat(&fd).map_err(refuse)?)?;
        Ok(Opened { fd, is_writable: for_writing, is_told: false })
    }

    /// Gives a complete file its final name, never over another one.
    pub(super) fn finish(&self, file: FileIndex) -> Result<(), StorageError> {
        let operation = StorageOperation::Rename;
        let Some(entry) = self.torrent.file_list().get(file) else {
            return Err(wrong(operation, &self.directory, format!("no file {}", file.as_usize())));
        };
        let refuse = |errno| refused(operation, entry.path(), errno);
        let root = self.root().map_err(refuse)?;
        let folder = match entry.path().parent().filter(|parent| *parent != Path::new("")) {
            Some(parent) => beneath(&root, parent, OFlags::PATH, Mode::empty()).map_err(refuse)?,
            None => root,
        };
        let (part, complete) = (path_of(entry, Name::Part), entry.path());
        let names = part.file_name().zip(complete.file_name());
        let (part, complete) = names.ok_or(refuse(Errno::INVAL))?;
        rename(&folder, Path::new(part), Path::new(complete)).map_err(refuse)
    }

    fn root(&self) -> Result<OwnedFd, Errno> {
        beneath::root(&self.directory)
    }
}

fn rename(folder: &OwnedFd, from: &Path, to: &Path) -> Result<(), Errno> {
    match rustix::fs::renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
        // Some file systems lack the flag: a hard link is as careful, and then the old name goes.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rustix::fs::linkat(folder, from, folder, to, AtFlags::empty())?;
            rustix::fs::unlinkat(folder, from, AtFlags::empty())
        }
        done => done,
    }
}

/// Makes every directory of `path` and opens the last.
fn make_folders(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let directory = OFlags::PATH | OFlags::DIRECTORY;
    let mut folder = beneath(root, Path::new("."), directory, Mode::empty())?;
    for element in path.iter().map(Path::new) {
        match rustix::fs::mkdirat(&folder, element, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        folder = beneath(&folder, element, directory, Mode::empty())?;
    }
    Ok(folder)
}

/// The length of a regular file; devices, pipes and directories are nobody's payload.
fn regular(path: &Path, stat: &Stat) -> Result<u64, StorageError> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        let message = "expected a file, got something else: move it away and resume".to_owned();
        return Err(wrong(StorageOperation::Open, path, message));
    }
    Ok(stat.st_size as u64)
}

/// Bytes that the file takes on its device.
fn allocated(stat: &Stat) -> u64 {
    stat.st_blocks as u64 * 512
}

fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}

#[cfg(test)]
mod tests;
