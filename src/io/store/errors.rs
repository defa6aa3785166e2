//! Storage errors in words: operation, file, what the system said, and what to do about it (A19).

use std::path::Path;

use rustix::io::Errno;

use crate::base::storage_error::StorageError;
use crate::base::storage_error::StorageOperation;

/// The system's refusal of `operation` on `file`.
pub(super) fn refused(operation: StorageOperation, file: &Path, errno: Errno) -> StorageError {
    let message = match remedy(errno) {
        Some(remedy) => format!("{errno}; {remedy}"),
        None => errno.to_string(),
    };
    let errno = Some(errno.raw_os_error());
    StorageError { operation, file: name(file), piece: None, errno, message }
}

/// Something that the system did not refuse, but that must not go on.
pub(super) fn wrong(operation: StorageOperation, file: &Path, message: String) -> StorageError {
    StorageError { operation, file: name(file), piece: None, errno: None, message }
}

fn name(file: &Path) -> String {
    file.to_string_lossy().into_owned()
}

fn remedy(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::NOSPC | Errno::DQUOT => "free some space and resume the torrent",
        Errno::ROFS => "the file system is read-only: remount it or choose another directory",
        Errno::ACCESS | Errno::PERM => "give this user the right to it and resume the torrent",
        Errno::IO => "check the device and resume the torrent",
        Errno::NOENT => {
            "it is not there and cannot be made: choose another directory, or recheck the torrent \
             if its file was deleted"
        }
        Errno::NOTDIR => "a file stands where a directory should: choose another directory",
        Errno::LOOP | Errno::XDEV => "a symbolic link stands in the way: replace it by a directory",
        Errno::EXIST => "a foreign file has this name and is left alone: move it away and resume",
        Errno::MFILE | Errno::NFILE => "raise the limit of open files (`ulimit -n`)",
        Errno::STALE => "the network file system lost the file: resume when it is back",
        _ => return None,
    })
}
