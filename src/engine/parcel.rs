//! A parcel: everything about an established peer that changes shards, in plain values.
//!
//! Only a peer that wants something of us travels, and only while nothing of it is in flight: what
//! was read for it and not sent is forgotten and read again there.

use std::net::SocketAddr;

use crate::base::bitfield::Bitfield;
use crate::base::ids::PieceIndex;
use crate::base::ids::TorrentId;
use crate::base::instant::Instant;
use crate::base::rate::Rate;
use crate::codec::message_decoder::Decoder;

/// See the module. Instants are those of the session's one clock.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) torrent: TorrentId,
    pub(crate) address: SocketAddr,
    pub(crate) is_inbound: bool,
    pub(crate) peer_id: [u8; 20],
    pub(crate) client: Option<String>,
    /// What it has; `None`: everything.
    pub(crate) pieces: Option<Bitfield>,
    /// With the beginning of a message in it, perhaps.
    pub(crate) decoder: Decoder,
    /// What we have said and not sent.
    pub(crate) outbox: Vec<u8>,
    /// What it asked for and did not get: piece, begin, length.
    pub(crate) requests: Vec<(PieceIndex, u32, u32)>,
    pub(crate) received: Rate,
    pub(crate) sent: Rate,
    pub(crate) sent_at_unchoke: u64,
    pub(crate) connected_since: Instant,
    pub(crate) unchoked_since: Option<Instant>,
    pub(crate) choked_since: Option<Instant>,
    pub(crate) is_upload_only: bool,
    pub(crate) is_v2: bool,
    pub(crate) has_fast: bool,
    pub(crate) has_extensions: bool,
    pub(crate) chokes_us: bool,
    pub(crate) is_interested: bool,
    pub(crate) wants_us: bool,
    pub(crate) has_told_pieces: bool,
    pub(crate) reject_count: u32,
    pub(crate) extension_handshakes: u32,
    pub(crate) introductions: u32,
    pub(crate) leaves_served: u32,
    /// Its dealings in metadata: its id for them, the size that it claims, parts that it got.
    pub(crate) metadata: (u8, Option<u32>, u32),
}
