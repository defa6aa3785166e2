//! Bytes to values and back, pure: a fuzz target each.

pub(crate) mod bencode;
pub(crate) mod handshake;
pub(crate) mod message;
pub(crate) mod metainfo;
