//! What a torrent is: immutable, checked once.

pub(crate) mod torrent;
