//! What a torrent is: immutable, checked once.

pub(crate) mod layout;
pub(crate) mod torrent;
