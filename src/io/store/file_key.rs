//! Which file of which torrent.

use crate::base::ids::FileIndex;
use crate::base::ids::TorrentId;

/// One of the files that hold a torrent's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Spot {
    File(FileIndex),
    /// What lies aside.
    Parts,
}

/// What a descriptor is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Access {
    Read,
    Write,
    /// Past the page cache, where the file system can.
    DirectWrite,
}

/// Whose file.
pub(super) type FileKey = (TorrentId, Spot);
