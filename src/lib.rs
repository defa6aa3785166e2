//! coreswarm: a synchronous thread-per-core BitTorrent engine on io_uring.
//!
//! Floors, from the ground up; each uses only those listed before it:
//! `base codec content engine io session` (and `sim`, the ring's understudy for tests).

// Floors arrive one after the other; the last one removes this line.
#![allow(dead_code, unreachable_pub)]

pub(crate) mod base;
pub(crate) mod codec;
pub(crate) mod content;
pub(crate) mod engine;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub(crate) mod io;
pub(crate) mod session;
#[cfg(feature = "sim")]
pub mod sim;

pub use crate::base::digest::Sha1;
pub use crate::base::ids::ShardId;
pub use crate::base::ids::TorrentId;
pub use crate::base::status::PeerStatus;
pub use crate::base::status::ShardStats;
pub use crate::base::status::TorrentState;
pub use crate::base::status::TorrentStats;
pub use crate::base::status::TorrentStatus;
pub use crate::base::status::TrackerErrorClass;
pub use crate::base::status::TrackerStatus;
pub use crate::base::storage_error::StorageError;
pub use crate::base::storage_error::StorageOperation;
pub use crate::content::files::FileEntry;
pub use crate::content::make::MakeError;
pub use crate::content::make::TorrentMaker;
pub use crate::content::torrent::Torrent;
pub use crate::content::torrent::TorrentError;
pub use crate::engine::add::Allocation;
pub use crate::engine::add::PieceOrder;
pub use crate::engine::alert::Alert;
pub use crate::engine::alert::AlertKind;
pub use crate::engine::settings::Settings;
pub use crate::io::preflight::StartError;
pub use crate::io::torrent_file::ReadError;
pub use crate::session::Session;
pub use crate::session::add::AddTorrent;
pub use crate::session::alerts::Alerts;
pub use crate::session::ask::AddError;
pub use crate::session::ask::AskError;
pub use crate::session::builder::SessionBuilder;
pub use crate::session::report::ShutdownReport;
pub use crate::session::torrent_handle::TorrentHandle;
