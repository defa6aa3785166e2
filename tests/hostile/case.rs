//! What a case is: a .torrent file and what becomes of it.

use coreswarm::Torrent;

/// A file that must be refused.
#[derive(Clone)]
pub(crate) struct Malformed {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// Words of the error.
    pub(crate) reason: &'static str,
}

/// A file that must load although it is odd.
pub(crate) struct Odd {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// What is looked at.
    pub(crate) meaning: fn(&Torrent) -> String,
    pub(crate) expected: String,
}

pub(crate) fn malformed(
    name: impl Into<String>,
    bytes: impl Into<Vec<u8>>,
    reason: &'static str,
) -> Malformed {
    Malformed { name: name.into(), bytes: bytes.into(), reason }
}

pub(crate) fn odd(
    name: &'static str,
    bytes: impl Into<Vec<u8>>,
    meaning: fn(&Torrent) -> String,
    expected: impl Into<String>,
) -> Odd {
    Odd { name, bytes: bytes.into(), meaning, expected: expected.into() }
}
