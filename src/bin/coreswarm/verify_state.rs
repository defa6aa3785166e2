//! Where an interrupted `verify` leaves what it knows: `$XDG_STATE_HOME/coreswarm/verify` (default:
//! `~/.local/state/...`), one file per torrent and directory.

use std::env;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use coreswarm::Sha1;
use coreswarm::Torrent;

use crate::write_file::write_file;

/// Bytes that are read back: 2 million pieces of a byte and 400,000 files of 100.
const LEN_MAX: u64 = 64 * 1024 * 1024;

/// The file of one torrent in one directory.
pub(crate) struct SavedState {
    path: PathBuf,
}

impl SavedState {
    /// `None` where the environment names no place.
    pub(crate) fn of(torrent: &Torrent, directory: &Path) -> Option<SavedState> {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let base = absolute("XDG_STATE_HOME");
        let base = base.or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
        let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        let mut key = torrent.info_hashes().to_string().into_bytes();
        key.extend(directory.as_os_str().as_bytes());
        let path = base.join("coreswarm/verify").join(Sha1::of(&key).to_string());
        Some(SavedState { path })
    }

    /// What was kept; `None` if there is nothing that can be read.
    pub(crate) fn read(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(&self.path).ok()?.take(LEN_MAX).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder).with_context(|| format!("cannot make {folder:?}"))?;
        write_file(&self.path, bytes)
    }

    /// Mostly nothing is there.
    pub(crate) fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}
