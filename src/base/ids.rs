//! Ids: strong types for everything that has a number.

use std::fmt;

/// Names a torrent inside one session; never used twice. It is also the key of the torrent's store
/// (A12).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TorrentId(pub(crate) u64);

impl TorrentId {
    /// The plain number, for logs and JSON.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TorrentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Names a shard: 0 to shard count - 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardId(pub(crate) u16);

impl ShardId {
    /// Position in the session's list of shards.
    pub fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A piece of one torrent, known to be below its piece count. Only `Layout` makes one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct PieceIndex(u32);

impl PieceIndex {
    /// For `content::layout` alone (`tests/tidy.rs` checks that): everyone else asks a `Layout`.
    pub(crate) const fn from_layout(raw: u32) -> PieceIndex {
        PieceIndex(raw)
    }

    /// The number as on the wire.
    pub(crate) const fn as_u32(self) -> u32 {
        self.0
    }

    /// The number as an index into slices of piece count length.
    pub(crate) const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for PieceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A block inside a piece: 0 is the first 16 KiB.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct BlockIndex(pub(crate) u32);

impl BlockIndex {
    /// The number as an index into slices of block count length.
    pub(crate) const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

/// A file of one torrent, in the order of the metainfo (pad files included).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct FileIndex(pub(crate) u32);

impl FileIndex {
    /// The number as an index into slices of file count length.
    pub(crate) const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

/// How much a file or piece is wanted: 0 is not at all, 1 to 7 rising, 4 normal and the default
/// (B4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Priority(u8);

impl Priority {
    /// Not wanted.
    pub const SKIP: Priority = Priority(0);
    /// The default.
    pub const NORMAL: Priority = Priority(4);
    /// Before everything else.
    pub const HIGHEST: Priority = Priority(7);

    /// 0 to 7; `None` above.
    pub const fn new(raw: u8) -> Option<Priority> {
        if raw <= 7 { Some(Priority(raw)) } else { None }
    }

    /// 0 to 7.
    pub const fn as_u8(self) -> u8 {
        self.0
    }

    /// Whether it is above 0.
    pub const fn is_wanted(self) -> bool {
        self.0 > 0
    }
}

impl Default for Priority {
    fn default() -> Priority {
        Priority::NORMAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_eight_is_an_error() {
        assert_eq!(Priority::new(7), Some(Priority::HIGHEST));
        assert_eq!(Priority::new(8), None);
        assert!(!Priority::SKIP.is_wanted());
    }
}
