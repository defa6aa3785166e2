//! What keeps bencode from being metainfo.

/// A .torrent file that is bencode but no metainfo.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetainfoError {
    /// A key that must be there is not.
    #[error("expected the key `{key}`, found none; this is not a complete .torrent file")]
    Missing {
        /// The key, with the keys above it.
        key: &'static str,
    },
    /// A value of another type or range than its key asks for.
    #[error("expected `{key}` to be {expected}, got something else")]
    Wrong {
        /// The key, with the keys above it.
        key: &'static str,
        /// What the value should have been.
        expected: &'static str,
    },
    /// A key stands twice in `info`; readers would disagree about which one counts.
    #[error("expected every key of `info` once, got `{key}` twice; make the torrent anew")]
    Duplicate {
        /// The key, escaped.
        key: String,
    },
    /// A torrent for a version of the protocol that this program does not know (BEP 52).
    #[error("expected meta version 2 or none, got {got}; the torrent needs a newer program")]
    Version {
        /// The version asked for.
        got: i64,
    },
}

/// The error for a value that is not what its key asks for.
pub(crate) fn wrong(key: &'static str, expected: &'static str) -> MetainfoError {
    MetainfoError::Wrong { key, expected }
}
