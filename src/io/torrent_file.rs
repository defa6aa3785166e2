//! .torrent files from the caller's disk, read whole and bounded.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use crate::base::limits::TORRENT_FILE_LEN_MAX;
use crate::content::refusal::TorrentError;
use crate::content::torrent::Torrent;

/// Why a .torrent file could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The system could not read it.
    #[error("expected a readable .torrent file at {path:?}: {source}")]
    Io {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was read, and is not a torrent that can be used.
    #[error("{path:?}: {source}")]
    Torrent {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        source: TorrentError,
    },
}

/// Reads and checks the file at `path`. Blocks; for callers' threads only.
pub(crate) fn read(path: &Path) -> Result<Torrent, ReadError> {
    let torrent = Torrent::parse(&read_torrent_file(path)?);
    torrent.map_err(|source| ReadError::Torrent { path: path.to_owned(), source })
}

/// The bytes of the .torrent file at `path`, not looked at. Blocks.
///
/// Of more than 64 MiB, one byte more than that is read: enough to be refused by its length.
///
/// # Errors
/// [`ReadError::Io`].
pub fn read_torrent_file(path: impl AsRef<Path>) -> Result<Vec<u8>, ReadError> {
    let path = path.as_ref();
    let read = File::open(path).and_then(read_torrent);
    read.map_err(|source| ReadError::Io { path: path.to_owned(), source })
}

/// The bytes of a .torrent file from anywhere, like [`read_torrent_file`]. Blocks.
///
/// # Errors
/// Those of the reader.
pub fn read_torrent(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(TORRENT_FILE_LEN_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.torrent");
        let missing = read(&path).unwrap_err();
        assert!(missing.to_string().contains("x.torrent"), "{missing}");
        std::fs::write(&path, "not bencode").unwrap();
        assert!(matches!(read(&path), Err(ReadError::Torrent { .. })));
        assert!(matches!(read(dir.path()), Err(ReadError::Io { .. })), "a directory");
    }

    #[test]
    fn endless_input_is_read_until_it_is_too_long() {
        let bytes = read_torrent(io::repeat(b'd')).unwrap();
        assert_eq!(bytes.len() as u64, TORRENT_FILE_LEN_MAX + 1);
        assert!(matches!(Torrent::parse(&bytes), Err(TorrentError::FileTooLong { .. })));
    }
}
