//! coreswarm: a synchronous thread-per-core BitTorrent engine on io_uring.
//!
//! A [`Session`] owns a few shards, each a thread pinned to a core of its own, and each torrent
//! lives on one of them. The caller's threads send questions and orders, read published figures and
//! pull alerts; no code of the caller ever runs on a shard.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use coreswarm::AddTorrent;
//! use coreswarm::Session;
//! use coreswarm::TorrentState;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let session = Session::builder().shards(2).start()?;
//! let add = AddTorrent::from_file("debian.torrent")?.directory("downloads");
//! let torrent = session.add(add)?;
//! let is_over = |state| matches!(state, TorrentState::Seeding | TorrentState::Error);
//! while !is_over(torrent.wait_finished(Duration::from_secs(1))?) {
//!     let stats = torrent.stats();
//!     println!("{} of {} pieces", stats.have_count, stats.piece_count);
//! }
//! let report = session.shutdown(Duration::from_secs(10));
//! assert!(report.is_clean());
//! # Ok(())
//! # }
//! ```
//!
//! # Threads
//! [`Session`], [`TorrentHandle`] and [`Alerts`] are `Send` and `Sync`; clones of handles and alert
//! streams are cheap. [`TorrentHandle::stats`] and [`Session::stats`] read a published snapshot:
//! they ask nobody and never wait. Everything else that a handle does is a question to one shard,
//! sent through its bounded inbox and answered within 5 seconds or refused: [`AskError`].
//!
//! # The end
//! [`Session::shutdown`] stops accepting peers, tells trackers, lets disk operations end, syncs
//! what was written and joins the shards. From its first moment all handles
//! answer [`AskError::Gone`]; they and alert streams may outlive the session. Dropping a session is
//! the same with a limit of 10 seconds.
//!
//! # Floors
//! From the ground up; each uses only those listed before it:
//! `base codec content engine io session` (and `sim`, the ring's understudy for tests).

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
pub use crate::base::digest::Sha256;
pub use crate::base::ids::Priority;
pub use crate::base::ids::ShardId;
pub use crate::base::ids::TorrentId;
pub use crate::base::info_hashes::InfoHashes;
pub use crate::base::shard_turns::ShardTurns;
pub use crate::base::shard_turns::TurnPart;
pub use crate::base::status::FileStatus;
pub use crate::base::status::PeerStatus;
pub use crate::base::status::ShardShare;
pub use crate::base::status::ShardStats;
pub use crate::base::status::TorrentState;
pub use crate::base::status::TorrentStats;
pub use crate::base::status::TorrentStatus;
pub use crate::base::status::TrackerErrorClass;
pub use crate::base::status::TrackerStatus;
pub use crate::base::storage_error::StorageError;
pub use crate::base::storage_error::StorageOperation;
pub use crate::codec::bencode::BencodeError;
pub use crate::codec::bencode::BencodeErrorKind;
pub use crate::codec::magnet::Magnet;
pub use crate::codec::magnet::MagnetError;
pub use crate::codec::magnet::MagnetPeer;
pub use crate::codec::meta_error::MetainfoError;
pub use crate::content::clean_path::PathError;
pub use crate::content::files::FileEntry;
pub use crate::content::layout::LayoutError;
pub use crate::content::make::MakeError;
pub use crate::content::make::TorrentMaker;
pub use crate::content::make::TorrentVersion;
pub use crate::content::piece_roots::LayerError;
pub use crate::content::refusal::HybridError;
pub use crate::content::refusal::TorrentError;
pub use crate::content::torrent::Torrent;
pub use crate::content::torrent_edit::EditError;
pub use crate::content::torrent_edit::EditedTorrent;
pub use crate::content::torrent_edit::TorrentEdit;
pub use crate::content::wanted::ChoiceError;
pub use crate::engine::add::Allocation;
pub use crate::engine::add::PieceOrder;
pub use crate::engine::add::WriteMode;
pub use crate::engine::alert::Alert;
pub use crate::engine::alert::AlertKind;
pub use crate::engine::settings::SendMode;
pub use crate::engine::settings::Settings;
pub use crate::io::interfaces::interface_addresses;
pub use crate::io::preflight::StartError;
pub use crate::io::scan::progress::ScanProgress;
pub use crate::io::torrent_file::ReadError;
pub use crate::io::torrent_file::read_torrent;
pub use crate::io::torrent_file::read_torrent_file;
pub use crate::io::torrent_file::read_torrent_file_with;
pub use crate::io::torrent_file::read_torrent_with;
pub use crate::io::trackers::torrent_url::FetchError;
pub use crate::io::trackers::torrent_url::FetchTorrent;
pub use crate::io::walk::LeftOut;
pub use crate::session::Session;
pub use crate::session::add::AddTorrent;
pub use crate::session::alerts::Alerts;
pub use crate::session::ask::AddError;
pub use crate::session::ask::AskError;
pub use crate::session::ask::SelectError;
pub use crate::session::builder::SessionBuilder;
pub use crate::session::create::CreateError;
pub use crate::session::create::Creator;
pub use crate::session::findings::FileReport;
pub use crate::session::findings::FileState;
pub use crate::session::findings::PieceState;
pub use crate::session::findings::VerifyReport;
pub use crate::session::report::ShutdownReport;
pub use crate::session::torrent_handle::TorrentHandle;
pub use crate::session::verify::Verifier;
pub use crate::session::verify::VerifyError;
