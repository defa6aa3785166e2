//! A storage error that can be seen: operation, file, piece and what the system said (A19).

use std::fmt;

/// What storage was asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StorageOperation {
    /// Make or find directories and files.
    Open,
    /// Reserve space.
    Allocate,
    /// Read payload.
    Read,
    /// Write payload.
    Write,
    /// Make written data durable.
    Sync,
    /// Give a finished file its final name.
    Rename,
    /// Delete a file that the torrent owns.
    Delete,
}

/// An error of a torrent's store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StorageError {
    /// What was being done.
    pub operation: StorageOperation,
    /// Path of the file relative to the torrent's directory; empty when no single file is to blame.
    pub file: String,
    /// The piece concerned, where one is.
    pub piece: Option<u32>,
    /// The system's error number (`errno`), where it gave one.
    pub errno: Option<i32>,
    /// What happened and what to do about it, in words.
    pub message: String,
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {:?}", self.operation, self.file)?;
        if let Some(piece) = self.piece {
            write!(f, " (piece {piece})")?;
        }
        write!(f, " failed: {}", self.message)
    }
}

impl std::error::Error for StorageError {}
