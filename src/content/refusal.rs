//! Why bytes are not a torrent that can be used.

use crate::codec::bencode::BencodeError;
use crate::codec::meta_error::MetainfoError;
use crate::content::clean_path::PathError;
use crate::content::layout::LayoutError;
use crate::content::piece_roots::LayerError;

/// Bytes that are not a torrent we can use.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TorrentError {
    /// The file is larger than any real one.
    #[error("expected a .torrent file of at most {max} bytes, got {got}")]
    FileTooLong {
        /// Bytes of the file.
        got: u64,
        /// The most we accept.
        max: u64,
    },
    /// The data is not bencoded.
    #[error("not a .torrent file: {0}")]
    Bencode(#[from] BencodeError),
    /// A value is missing or of the wrong type.
    #[error(transparent)]
    Metainfo(#[from] MetainfoError),
    /// A piece length outside 16 KiB to 256 MiB.
    #[error("expected a piece length of {min} to {max} bytes, got {got}; make the torrent anew")]
    PieceLength {
        /// Bytes per piece, as claimed.
        got: u64,
        /// The least we accept.
        min: u32,
        /// The most we accept.
        max: u32,
    },
    /// A piece length that makes no hash trees (BEP 52).
    #[error("expected a piece length that is a power of two, as v2 asks for, got {got} bytes")]
    PieceLengthV2 {
        /// Bytes per piece, as claimed.
        got: u64,
    },
    /// Sizes that make no piece grid.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Hashes and sizes disagree.
    #[error(
        "expected {expected} piece hashes for the sizes given, got {got}; make the torrent anew"
    )]
    HashCount {
        /// Pieces that sizes and piece length amount to.
        expected: u32,
        /// Hashes in the file.
        got: usize,
    },
    /// A list of files without files.
    #[error("expected at least one file, got an empty list")]
    NoFiles,
    /// The sizes add up to more than 64 bits.
    #[error("expected file sizes that add up to less than 2^64, got more")]
    TotalTooLarge,
    /// Paths without a safe place.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A hybrid whose two halves describe different content.
    #[error("the v1 and the v2 half of this hybrid disagree: {0}; make the torrent anew")]
    Hybrid(#[from] HybridError),
    /// Piece layers that do not belong to the files.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

/// Where `files` (or `length`) and `file tree` of a hybrid torrent disagree (BEP 52, upgrade path).
/// Paths are escaped.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HybridError {
    /// At the same place of the two lists stand two files.
    #[error("expected the file {v2} as in `file tree`, got {v1}")]
    Path {
        /// The path in the v1 list.
        v1: String,
        /// The path in the v2 tree.
        v2: String,
    },
    /// The v1 list ends before the v2 tree.
    #[error("expected the file {v2} as in `file tree`, got the end of the list")]
    Missing {
        /// The first path that only the tree has.
        v2: String,
    },
    /// The v2 tree ends before the v1 list.
    #[error("expected the end of the list as in `file tree`, got the file {v1}")]
    Surplus {
        /// The first path that only the list has.
        v1: String,
    },
    /// A file with two lengths.
    #[error("expected {v2} bytes in {path} as in `file tree`, got {v1}")]
    Length {
        /// The file.
        path: String,
        /// Bytes by the v1 list.
        v1: u64,
        /// Bytes by the v2 tree.
        v2: u64,
    },
    /// A link in one half, a file in the other.
    #[error("expected {path} to be a symbolic link in both halves or in none")]
    Link {
        /// The entry.
        path: String,
    },
    /// Padding is missing, too short or too long.
    #[error("expected {path} to start at byte {expected}, where a piece does, got {got}")]
    Offset {
        /// The file.
        path: String,
        /// Where it starts in v2.
        expected: u64,
        /// Where it starts in v1.
        got: u64,
    },
    /// Padding behind the last file that is not up to the end of its piece.
    #[error("expected the torrent to end at byte {expected}, got {got}")]
    End {
        /// Where the last file ends. The end of its piece would be right, too.
        expected: u64,
        /// Where v1 ends.
        got: u64,
    },
}
