//! .torrent files from the caller's disk, read whole and bounded.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use crate::base::limits::TORRENT_FILE_LEN_MAX;
use crate::content::refusal::TorrentError;
use crate::content::torrent::Torrent;

/// Bytes of what x86-64 calls a huge page.
const HUGE_PAGE_LEN: usize = 2 * 1024 * 1024;

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
/// A file of more than 64 MiB is refused before it is read.
///
/// # Errors
/// [`ReadError`]; of the torrent, only that it is too long.
pub fn read_torrent_file(path: impl AsRef<Path>) -> Result<Vec<u8>, ReadError> {
    read_torrent_file_with(path, TORRENT_FILE_LEN_MAX)
}

/// The same with a limit of `max` bytes; see [`Torrent::parse_with`].
///
/// # Errors
/// Those of [`read_torrent_file`].
pub fn read_torrent_file_with(path: impl AsRef<Path>, max: u64) -> Result<Vec<u8>, ReadError> {
    let path = path.as_ref();
    let io_error = |source| ReadError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io_error)?;
    let got = file.metadata().map_err(io_error)?.len();
    if got > max {
        let source = TorrentError::FileTooLong { got, max };
        return Err(ReadError::Torrent { path: path.to_owned(), source });
    }
    read_up_to(file, got, max).map_err(io_error)
}

/// The bytes of a .torrent file from anywhere, like [`read_torrent_file`]. Blocks.
///
/// Of more than 64 MiB, one byte more than that is read: enough to be refused by its length.
///
/// # Errors
/// Those of the reader.
pub fn read_torrent(from: impl Read) -> io::Result<Vec<u8>> {
    read_torrent_with(from, TORRENT_FILE_LEN_MAX)
}

/// The same with a limit of `max` bytes; see [`Torrent::parse_with`].
///
/// # Errors
/// Those of the reader.
pub fn read_torrent_with(from: impl Read, max: u64) -> io::Result<Vec<u8>> {
    read_up_to(from, 0, max)
}

/// Room for `expected` bytes is made at once, so that the buffer does not double on its way.
fn read_up_to(from: impl Read, expected: u64, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(expected.min(max)).unwrap_or_default());
    ask_for_huge_pages(&mut bytes);
    from.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Asks the kernel to fill a large buffer by 2 MiB at a time: else each 4 KiB is a fault, which
/// costs more than reading it. Whether it does is its own affair.
fn ask_for_huge_pages(bytes: &mut Vec<u8>) {
    let room = bytes.spare_capacity_mut().as_mut_ptr_range();
    let start = room.start.map_addr(|address| address.next_multiple_of(HUGE_PAGE_LEN));
    let length = room.end.addr().saturating_sub(start.addr()) / HUGE_PAGE_LEN * HUGE_PAGE_LEN;
    if length > 0 {
        // SAFETY: start and length lie inside the buffer's own room, at multiples of the page size;
        // the advice changes how its memory is made, not what is in it.
        unsafe { libc::madvise(start.cast(), length, libc::MADV_HUGEPAGE) };
    }
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
    fn a_file_that_is_too_long_is_refused_before_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sparse.torrent");
        // As long as a disk, without a byte: reading it would take all memory there is.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let too_long = |got, max| {
            matches!(
                read_torrent_file_with(&path, max),
                Err(ReadError::Torrent { source: TorrentError::FileTooLong { got: g, max: m }, .. })
                    if (g, m) == (got, max)
            )
        };
        assert!(too_long(1 << 40, TORRENT_FILE_LEN_MAX) && too_long(1 << 40, 1 << 39));
        assert!(matches!(read(&path), Err(ReadError::Torrent { .. })));
        std::fs::write(&path, "12345").unwrap();
        assert!(too_long(5, 4));
        assert_eq!(read_torrent_file_with(&path, 5).unwrap(), b"12345");
    }

    #[test]
    fn endless_input_is_read_until_it_is_too_long() {
        let bytes = read_torrent_with(io::repeat(b'd'), 1000).unwrap();
        assert_eq!(bytes.len(), 1001);
        let refused = Torrent::parse_with(&bytes, 1000);
        assert!(matches!(refused, Err(TorrentError::FileTooLong { .. })));
    }
}
