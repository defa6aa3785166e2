//! The files below a directory, in the order of their paths: what a torrent is made of.
//!
//! Links are never followed and never recorded: one that leads elsewhere would put foreign bytes
//! into the torrent, and one inside would have to be made again by whoever downloads it, which
//! careful programs refuse (BEP 47). Only the path that was asked for may be a link itself.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use globset::GlobBuilder;
use globset::GlobSet;
use globset::GlobSetBuilder;
use rustix::fs::AtFlags;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::base::limits::PATH_DEPTH_MAX;
use crate::io::beneath;
use crate::io::beneath::beneath;

/// Files and folders that a walk may find: more could not be read back, see `BENCODE_TOKEN_MAX`.
const ENTRY_MAX: usize = 1 << 20;
/// Paths kept for telling what was left out; the rest is only counted.
const LEFT_OUT_MAX: usize = 10_000;

/// Patterns of what is left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Excludes {
    /// Without a slash: the name in any folder.
    names: GlobSet,
    /// With one: the whole path.
    paths: GlobSet,
}

/// Why something that was found is not part of the result.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum LeftOut {
    /// A pattern asked for that; of a folder, all that is in it.
    Excluded,
    /// A symbolic link.
    Link,
    /// A device, a socket or a pipe.
    Special,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walk {
    /// Below the directory, by the bytes of their elements.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) left_out: Vec<(PathBuf, LeftOut)>,
    pub(crate) left_out_count: usize,
}

/// A path that was asked for, links in it followed.
#[derive(Debug)]
pub(crate) struct Located {
    /// The directory, or the one that the file is in.
    pub(crate) root: OwnedFd,
    /// As the path calls it; what it leads to where the path has no name, like `..`.
    pub(crate) name: OsString,
    /// The file's name in `root`; `None` for a directory.
    pub(crate) file: Option<PathBuf>,
}

/// Why a walk could not be ended.
#[derive(Debug)]
pub(crate) enum WalkError {
    System { path: PathBuf, source: io::Error },
    TooDeep { path: PathBuf },
    TooMany,
}

impl Excludes {
    /// Shell patterns: `*` and `?` stop at slashes, `**` does not, `[..]` and `{a,b}` are known.
    /// One without a slash is for names in any folder, others are for paths below the directory.
    pub(crate) fn new<'a>(globs: impl Iterator<Item = &'a str>) -> Result<Excludes, String> {
        let (mut names, mut paths) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for glob in globs {
            let bare = glob.trim_start_matches('/').trim_end_matches('/');
            let is_path = glob.trim_end_matches('/').contains('/');
            let pattern = GlobBuilder::new(bare).literal_separator(true).build();
            let pattern = pattern.map_err(|error| error.to_string())?;
            if is_path {
                paths.add(pattern)
            } else {
                names.add(pattern)
            };
        }
        let build = |builder: GlobSetBuilder| builder.build().map_err(|error| error.to_string());
        Ok(Excludes { names: build(names)?, paths: build(paths)? })
    }

    fn has(&self, path: &Path) -> bool {
        self.paths.is_match(path) || path.file_name().is_some_and(|name| self.names.is_match(name))
    }
}

impl Located {
    /// Finds out what `path` leads to; `None` if it has no name, or is neither file nor directory.
    pub(crate) fn new(path: &Path) -> io::Result<Option<Located>> {
        let real = fs::canonicalize(path)?;
        let Some(name) = path.file_name().or(real.file_name()) else { return Ok(None) };
        let (name, found) = (name.to_owned(), fs::metadata(&real)?);
        if found.is_dir() {
            return Ok(Some(Located { root: beneath::root(&real)?, name, file: None }));
        }
        match real.parent().zip(real.file_name()) {
            Some((folder, file)) if found.is_file() => {
                let (root, file) = (beneath::root(folder)?, Some(file.into()));
                Ok(Some(Located { root, name, file }))
            }
            _ => Ok(None),
        }
    }
}

impl Walk {
    /// Everything below `root`. Blocks.
    pub(crate) fn below(root: &OwnedFd, excludes: &Excludes) -> Result<Walk, WalkError> {
        let mut walk = Walk::default();
        let mut folders = vec![PathBuf::new()];
        let mut count = 0;
        while let Some(folder) = folders.pop() {
            let system =
                |errno: Errno| WalkError::System { path: folder.clone(), source: errno.into() };
            if folder.iter().count() >= PATH_DEPTH_MAX {
                return Err(WalkError::TooDeep { path: folder });
            }
            let fd = open_folder(root, &folder).map_err(system)?;
            for entry in Dir::read_from(&fd).map_err(system)? {
                let entry = entry.map_err(system)?;
                let name = entry.file_name().to_bytes();
                if matches!(name, b"." | b"..") {
                    continue;
                }
                count += 1;
                if count > ENTRY_MAX {
                    return Err(WalkError::TooMany);
                }
                let path = folder.join(OsStr::from_bytes(name));
                let kind = match entry.file_type() {
                    FileType::Unknown => kind_of(&fd, name).map_err(system)?,
                    kind => kind,
                };
                walk.take(path, kind, excludes, &mut folders);
            }
        }
        // By elements, as v2 sorts its tree: `a/b` stands before `a-b`.
        walk.files.sort_unstable_by(|a, b| {
            a.iter().map(OsStr::as_bytes).cmp(b.iter().map(OsStr::as_bytes))
        });
        Ok(walk)
    }

    fn take(
        &mut self,
        path: PathBuf,
        kind: FileType,
        excludes: &Excludes,
        folders: &mut Vec<PathBuf>,
    ) {
        let why = match kind {
            _ if excludes.has(&path) => LeftOut::Excluded,
            FileType::RegularFile => return self.files.push(path),
            FileType::Directory => return folders.push(path),
            FileType::Symlink => LeftOut::Link,
            _ => LeftOut::Special,
        };
        self.left_out_count += 1;
        if self.left_out.len() < LEFT_OUT_MAX {
            self.left_out.push((path, why));
        }
    }
}

fn open_folder(root: &OwnedFd, folder: &Path) -> Result<OwnedFd, Errno> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    beneath(root, folder, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
}

/// For file systems whose directories do not say.
fn kind_of(folder: &OwnedFd, name: &[u8]) -> Result<FileType, Errno> {
    let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn walk(excludes: &[&str]) -> Walk {
        let dir = tempfile::tempdir().unwrap();
        for path in ["b/x", "b/y.nfo", "b/deep/z.nfo", "b-c", "a", ".hidden", "tmp/cache/1"] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        fs::create_dir(dir.path().join("empty")).unwrap();
        symlink("/etc", dir.path().join("out")).unwrap();
        symlink("a", dir.path().join("in")).unwrap();
        rustix::fs::mknodat(
            beneath::root(dir.path()).unwrap(),
            "pipe",
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let excludes = Excludes::new(excludes.iter().copied()).unwrap();
        Walk::below(&beneath::root(dir.path()).unwrap(), &excludes).unwrap()
    }

    fn names(walk: &Walk) -> Vec<&str> {
        walk.files.iter().map(|path| path.to_str().unwrap()).collect()
    }

    #[test]
    fn files_come_in_the_order_of_v2_trees_and_links_are_told() {
        let walk = walk(&[]);
        let expected = [".hidden", "a", "b/deep/z.nfo", "b/x", "b/y.nfo", "b-c", "tmp/cache/1"];
        assert_eq!(names(&walk), expected);
        let mut left_out = walk.left_out;
        left_out.sort();
        let left = |path: &str, why| (PathBuf::from(path), why);
        let (link, special) = (LeftOut::Link, LeftOut::Special);
        assert_eq!(left_out, [left("in", link), left("out", link), left("pipe", special)]);
        assert_eq!(walk.left_out_count, 3);
    }

    #[test]
    fn a_path_may_be_a_link_and_keeps_its_own_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        fs::write(dir.path().join("real/file"), "x").unwrap();
        symlink("real/file", dir.path().join("link")).unwrap();
        let locate = |path: &str| Located::new(&dir.path().join(path)).unwrap();
        let link = locate("link").unwrap();
        assert_eq!((link.name.to_str(), link.file), (Some("link"), Some("file".into())));
        let up = locate("real/../real/.").unwrap();
        assert_eq!((up.name.to_str(), up.file), (Some("real"), None));
        assert!(Located::new(Path::new("/dev/null")).unwrap().is_none());
        assert!(Located::new(Path::new("/")).unwrap().is_none(), "no name");
        assert!(Located::new(&dir.path().join("none")).is_err());
    }

    #[test]
    fn patterns_without_a_slash_are_for_names_and_others_for_paths() {
        assert_eq!(names(&walk(&["*.nfo", "tmp", ".*"])), ["a", "b/x", "b-c"]);
        assert_eq!(names(&walk(&["b/*", "/tmp/**", ".hidden/"])), ["a", "b-c"]);
        assert_eq!(
            names(&walk(&["b/*.nfo", "{a,b-c,.hidden}", "cache/"])),
            ["b/deep/z.nfo", "b/x"]
        );
        assert!(Excludes::new(["["].into_iter()).is_err());
    }
}
