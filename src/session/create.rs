//! Making a torrent of what lies at a path: the files are found, read and hashed, and described.

use std::ffi::OsString;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::path::PathBuf;

use crate::base::digest::Sha1;
use crate::base::digest::Sha256;
use crate::content::files::FileList;
use crate::content::make::MakeError;
use crate::content::make::TorrentMaker;
use crate::io::scan::Found;
use crate::io::scan::Manner;
use crate::io::scan::control::Control;
use crate::io::scan::look::Look;
use crate::io::scan::look::Seen;
use crate::io::scan::plan::Plan;
use crate::io::scan::progress::ScanProgress;
use crate::io::scan::scan;
use crate::io::walk::Excludes;
use crate::io::walk::LeftOut;
use crate::io::walk::Located;
use crate::io::walk::Walk;
use crate::io::walk::WalkError;

/// Makes a .torrent file of a file or a directory.
///
/// A directory is taken with everything below it, hidden files too, in the order of the bytes of
/// the path elements, so that the same content always makes the same torrent. Symbolic links are
/// left out and told, whether they lead out of the directory or not; only the path itself may be
/// one. Devices, sockets and pipes are left out as well, and directories without files: torrents
/// know none.
///
/// ```no_run
/// use std::ops::ControlFlow;
///
/// use coreswarm::Creator;
/// use coreswarm::TorrentVersion;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let creator = Creator::new("photos", ["*.tmp"])?;
/// let maker = creator.maker().version(TorrentVersion::Hybrid).tier(["udp://tracker.example:80"]);
/// let bytes = creator.run(&maker, |_| ControlFlow::Continue(()))?;
/// std::fs::write("photos.torrent", bytes)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Creator {
    root: OwnedFd,
    name: OsString,
    is_single: bool,
    /// Below the root, with what they were when they were found.
    looks: Vec<Look>,
    left_out: Vec<(PathBuf, LeftOut)>,
    left_out_count: usize,
    manner: Manner,
}

/// Why no torrent was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// Something could not be opened, listed or read.
    #[error("expected to read {path:?}: {source}")]
    Io {
        /// What it was about.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path leads to neither a file nor a directory, or to one without a name.
    #[error("expected a file or a directory with a name at {path:?}, got something else")]
    NeitherFileNorDirectory {
        /// The path.
        path: PathBuf,
    },
    /// No file is there, or none is left.
    #[error("expected files below {path:?}, found none that are not left out")]
    NoFiles {
        /// The path.
        path: PathBuf,
    },
    /// All files are empty: no program takes a torrent without a byte.
    #[error("expected at least one byte in the files at {path:?}, found none")]
    NoBytes {
        /// The path.
        path: PathBuf,
    },
    /// Directories in directories beyond what a torrent may have.
    #[error("expected at most 64 directories in each other, got more at {path:?}")]
    TooDeep {
        /// The directory that is too deep.
        path: PathBuf,
    },
    /// More than a million files and directories.
    #[error("expected at most 1048576 files and directories; make several torrents")]
    TooMany,
    /// A pattern that means nothing.
    #[error("expected a pattern like `*.tmp` or `cache/**`: {message}")]
    Pattern {
        /// What is wrong with it.
        message: String,
    },
    /// A file became another one, or longer or shorter, since it was found.
    #[error("expected {path:?} to stay as it is, it was changed meanwhile; try again")]
    Changed {
        /// The file below the directory.
        path: PathBuf,
    },
    /// What was found cannot be a torrent.
    #[error(transparent)]
    Make(#[from] MakeError),
    /// The callback asked to stop.
    #[error("stopped before all files were hashed")]
    Interrupted,
}

impl Creator {
    /// Finds the files at `path`. `excludes` are shell patterns: without a slash for names in any
    /// folder, with one for whole paths below `path`; `*` stops at slashes, `**` does not; a folder
    /// that matches goes with all that is in it. Blocks.
    ///
    /// # Errors
    /// Paths that cannot be read, hold no file, or are too deep; patterns that mean nothing.
    pub fn new<S: AsRef<str>>(
        path: impl AsRef<Path>,
        excludes: impl IntoIterator<Item = S>,
    ) -> Result<Creator, CreateError> {
        let path = path.as_ref();
        let globs: Vec<S> = excludes.into_iter().collect();
        let excludes = Excludes::new(globs.iter().map(AsRef::as_ref))
            .map_err(|message| CreateError::Pattern { message })?;
        let located = Located::new(path).map_err(|source| unreadable(path, source))?;
        let located = located
            .ok_or_else(|| CreateError::NeitherFileNorDirectory { path: path.to_owned() })?;
        let Located { root, name, file } = located;
        let is_single = file.is_some();
        let walk = match file {
            Some(file) => Walk { files: vec![file], ..Walk::default() },
            None => Walk::below(&root, &excludes).map_err(|error| lost(path, error))?,
        };
        if walk.files.is_empty() {
            return Err(CreateError::NoFiles { path: path.to_owned() });
        }
        let looks: Vec<Look> = walk.files.into_iter().map(|file| Look::of(&root, file)).collect();
        look_through(path, &looks)?;
        if looks.iter().all(|look| look.length() == 0) {
            return Err(CreateError::NoBytes { path: path.to_owned() });
        }
        let (left_out, left_out_count) = (walk.left_out, walk.left_out_count);
        let manner = Manner::default();
        Ok(Creator { root, name, is_single, looks, left_out, left_out_count, manner })
    }

    /// Hashes on at most `count` threads. Default: one on each processor that the process may use.
    #[must_use]
    pub fn threads(mut self, count: usize) -> Creator {
        self.manner.thread_max = count;
        self
    }

    /// Whether large files may be mapped instead of copied, which saves about a third of the time.
    /// Default: no, because it needs a handler of SIGBUS in the process, which stays once it is
    /// there; it concerns itself with nothing but these mappings and passes everything else on.
    #[must_use]
    pub fn mapping(mut self, is_allowed: bool) -> Creator {
        self.manner.may_map = is_allowed;
        self
    }

    /// Files of the torrent.
    pub fn file_count(&self) -> usize {
        self.looks.len()
    }

    /// The files, as a torrent that keeps all names calls them: below a directory with its name.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let top = PathBuf::from(&self.name);
        self.looks.iter().map(move |look| match self.is_single {
            true => top.clone(),
            false => top.join(&look.path),
        })
    }

    /// What was found and is not part of the torrent, the first 10,000 of them.
    pub fn left_out(&self) -> &[(PathBuf, LeftOut)] {
        &self.left_out
    }

    /// How much was left out in all.
    pub fn left_out_count(&self) -> usize {
        self.left_out_count
    }

    /// A maker that knows the name and the files; give it everything else, then pass it to
    /// [`Creator::run`].
    pub fn maker(&self) -> TorrentMaker {
        let name = self.name.clone().into_vec();
        match self.looks.first() {
            Some(look) if self.is_single => TorrentMaker::single(name, look.length()),
            _ => self.looks.iter().fold(TorrentMaker::directory(name), |maker, look| {
                maker.file(look.path.iter().map(OsStrExt::as_bytes), look.length())
            }),
        }
    }

    /// Reads and hashes the files and returns the bytes of the .torrent file. `maker` comes from
    /// [`Creator::maker`]. Blocks; `look` is called on this thread about twenty times a second, and
    /// may end it.
    ///
    /// # Errors
    /// Files that cannot be read or that change meanwhile; what a maker refuses;
    /// [`CreateError::Interrupted`].
    pub fn run(
        &self,
        maker: &TorrentMaker,
        mut look: impl FnMut(ScanProgress) -> ControlFlow<()>,
    ) -> Result<Vec<u8>, CreateError> {
        let (files, layout) = maker.grid()?;
        let version = maker.versions();
        let plan = Plan {
            files: &files,
            piece_len: layout.piece_len_max(),
            wants_v1: version.has_v1(),
            wants_v2: version.has_v2(),
            root: Some(self.root.try_clone().map_err(|source| self.io(source))?),
            looks: self.looks_by_file(&files)?,
            known: None,
        };
        let control = Control::default();
        let total_bytes = files.total();
        let mut hashes = Hashes::new(layout.piece_count(), &plan);
        let each = |piece, found| {
            if !hashes.keep(piece, found) {
                control.stop();
            }
        };
        let tick = || {
            if look(ScanProgress { done_bytes: control.done(), total_bytes }).is_break() {
                control.stop();
            }
        };
        scan(&plan, self.manner, &control, each, tick).map_err(|source| self.io(source))?;
        if let Some((piece, found)) = hashes.failed {
            return Err(self.failure(&plan, piece, found));
        }
        self.look_again()?;
        if control.is_stopped() {
            return Err(CreateError::Interrupted);
        }
        Ok(maker.finish_with(&hashes.v1, &hashes.v2)?)
    }

    /// The files of `list` are those found, with pads between them.
    fn looks_by_file(&self, list: &FileList) -> Result<Vec<Look>, CreateError> {
        let mut found = self.looks.iter();
        let mut looks = Vec::with_capacity(list.entries().len());
        for entry in list.entries() {
            if !entry.is_on_disk() {
                looks.push(Look::nowhere());
                continue;
            }
            let look = found.next().filter(|look| look.length() == entry.length());
            let changed = || CreateError::Changed { path: entry.path().to_owned() };
            looks.push(look.ok_or_else(changed)?.clone());
        }
        Ok(looks)
    }

    /// Whether every file still is what was hashed.
    fn look_again(&self) -> Result<(), CreateError> {
        let is_same = |look: &&Look| Look::of(&self.root, look.path.clone()).seen == look.seen;
        match self.looks.iter().find(|look| !is_same(look)) {
            Some(look) => Err(CreateError::Changed { path: look.path.clone() }),
            None => Ok(()),
        }
    }

    fn failure(&self, plan: &Plan<'_>, piece: u32, found: Found) -> CreateError {
        let file = plan.file_at(piece);
        let path = file.map(|file| file.path().to_owned()).unwrap_or_default();
        match found {
            Found::Unreadable(errno) => {
                CreateError::Io { path, source: io::Error::from_raw_os_error(errno) }
            }
            _ => CreateError::Changed { path },
        }
    }

    fn io(&self, source: io::Error) -> CreateError {
        CreateError::Io { path: self.name.clone().into(), source }
    }
}

/// The hashes so far, by piece.
struct Hashes {
    v1: Vec<Sha1>,
    v2: Vec<Sha256>,
    failed: Option<(u32, Found)>,
}

impl Hashes {
    fn new(piece_count: u32, plan: &Plan<'_>) -> Hashes {
        let count = |is_wanted: bool| if is_wanted { piece_count as usize } else { 0 };
        let v1 = vec![Sha1([0; 20]); count(plan.wants_v1)];
        let v2 = vec![Sha256([0; 32]); count(plan.wants_v2)];
        Hashes { v1, v2, failed: None }
    }

    /// False when there is none to keep.
    fn keep(&mut self, piece: u32, found: Found) -> bool {
        let Found::Hashed { v1, v2 } = found else {
            // The first piece, not the first to be found.
            if self.failed.is_none_or(|(first, _)| piece < first) {
                self.failed = Some((piece, found));
            }
            return false;
        };
        if let Some((place, hash)) = self.v1.get_mut(piece as usize).zip(v1) {
            *place = hash;
        }
        if let Some((place, root)) = self.v2.get_mut(piece as usize).zip(v2) {
            *place = root;
        }
        true
    }
}

fn unreadable(path: &Path, source: io::Error) -> CreateError {
    CreateError::Io { path: path.to_owned(), source }
}

fn lost(path: &Path, error: WalkError) -> CreateError {
    match error {
        WalkError::System { path: inside, source } => unreadable(&path.join(inside), source),
        WalkError::TooDeep { path: inside } => CreateError::TooDeep { path: path.join(inside) },
        WalkError::TooMany => CreateError::TooMany,
    }
}

/// Every file was found a moment ago: it must be one, and open to us.
fn look_through(path: &Path, looks: &[Look]) -> Result<(), CreateError> {
    for look in looks {
        match look.seen {
            Seen::File(_) => {}
            Seen::Denied(errno) => {
                let source = io::Error::from_raw_os_error(errno);
                return Err(unreadable(&path.join(&look.path), source));
            }
            _ => return Err(CreateError::Changed { path: look.path.clone() }),
        }
    }
    Ok(())
}
