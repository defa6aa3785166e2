//! Why a torrent cannot be made.

use crate::content::layout::LayoutError;

/// Why a torrent cannot be made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// A piece length outside 16 KiB to 256 MiB.
    #[error(
        "expected a piece length of 16 KiB to 256 MiB, got {got} bytes; leave it out to choose"
    )]
    PieceLength {
        /// Bytes per piece, as asked for.
        got: u32,
    },
    /// A piece length that v2 does not allow (BEP 52).
    #[error(
        "expected a power of two as piece length of v2, got {got} bytes; leave it out to choose"
    )]
    PieceLengthV2 {
        /// Bytes per piece, as asked for.
        got: u32,
    },
    /// The sizes make no piece grid.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// File sizes that add up to more than 64 bits.
    #[error("expected file sizes that add up to less than 2^64, got more")]
    TotalTooLarge,
    /// As many hashes as pieces are needed.
    #[error("expected {expected} piece hashes, got {got}")]
    HashCount {
        /// Pieces of the torrent.
        expected: u32,
        /// Hashes given.
        got: usize,
    },
    /// A directory without files.
    #[error("expected at least one file, got none; add one with `file`")]
    NoFiles,
    /// A name or a path that no file can have, or that is too deep.
    #[error("expected a path of 1 to 64 names without `/`, got {path:?}; rename it")]
    Path {
        /// The path, its elements joined by `/`, as text.
        path: String,
    },
    /// Files that v2 cannot hold in this order.
    #[error(
        "expected files in the order of their paths, each once, as v2 keeps them, got {path:?} too \
         late; sort them by the bytes of their path elements"
    )]
    Order {
        /// The path, its elements joined by `/`, as text.
        path: String,
    },
    /// The encoder refused.
    #[error("the .torrent file could not be encoded: {0}")]
    Encode(String),
}
