//! Bytes to values and back, pure: a fuzz target each.

pub(crate) mod announce;
pub(crate) mod base32;
pub(crate) mod bencode;
pub(crate) mod escape;
pub(crate) mod extension;
pub(crate) mod handshake;
pub(crate) mod hash_request;
pub(crate) mod link;
pub(crate) mod magnet;
pub(crate) mod message;
pub(crate) mod message_decoder;
pub(crate) mod meta_error;
pub(crate) mod meta_file;
pub(crate) mod meta_tree;
pub(crate) mod metainfo;
pub(crate) mod tracker_http;
pub(crate) mod tracker_udp;
#[cfg(any(test, feature = "fuzzing", feature = "sim"))]
pub(crate) mod tracker_udp_server;
pub(crate) mod ut_metadata;
