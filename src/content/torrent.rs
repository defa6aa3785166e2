//! A torrent's immutable description.

/// Checked metainfo.
#[derive(Debug)]
pub struct Torrent;
