//! What a torrent is: immutable, checked once.

pub(crate) mod clean_path;
pub(crate) mod extras;
pub(crate) mod files;
pub(crate) mod layout;
pub(crate) mod make;
pub(crate) mod merkle;
pub(crate) mod nodes;
pub(crate) mod pairs;
pub(crate) mod piece_layer;
pub(crate) mod piece_roots;
pub(crate) mod refusal;
pub(crate) mod same_files;
pub(crate) mod shape;
pub(crate) mod torrent;
pub(crate) mod torrent_edit;
pub(crate) mod torrent_magnet;
pub(crate) mod torrent_write;
pub(crate) mod wanted;
