//! Settings: the engine's knobs, with default, unit and range. tuning.md says what each one trades.

use std::net::IpAddr;

/// How payload leaves.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum SendMode {
    /// Copied into the socket.
    #[default]
    Copy,
    /// Pages of the page cache are given to the socket by reference, where a batch of blocks is in
    /// memory and mapped: saves a copy of each byte, on network cards that gather (most).
    /// The same bytes as with `Copy`, unless somebody rewrites a file that is being seeded: then
    /// what is queued in sockets changes with it. Where the system gives a shard no pipe for it,
    /// that shard copies, and says so
    /// ([`AlertKind::SendingFellBack`](crate::AlertKind::SendingFellBack)).
    Splice,
}

/// What one session allows itself. Shards get equal shares of what is per session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Connections of the session, handshakes included. Default 4,000; at least 1 per shard.
    pub connections_max: u32,
    /// Connections per torrent. Default 500.
    pub connections_per_torrent_max: u32,
    /// Outgoing connections per shard that are not established yet. Default 64.
    pub half_open_max: u32,
    /// Peers unchoked at once per torrent while it is downloading, optimistic ones included.
    /// Default 64.
    pub upload_slots_max: u32,
    /// Peers unchoked at once per torrent while it is seeding. Where bandwidth is too short for so
    /// many (32 KiB/s for each), there are fewer, down to `upload_slots_max`; who has none waits
    /// for its turn (60 to 180 s). Default 500.
    pub seed_slots_max: u32,
    /// Bytes of pieces being received, hashed or written, per session. Default 256 MiB. A hard
    /// bound.
    pub assembly_budget: u64,
    /// Bytes being read for peers and not sent yet, per session. Default 256 MiB. A hard bound.
    pub read_budget: u64,
    /// First eight bytes of our peer id. Default `-CS0100-`.
    pub peer_id_prefix: [u8; 8],
    /// What the extension handshake (`v`) and HTTP trackers are told. Default
    /// `coreswarm/<version>`.
    pub user_agent: String,
    /// The address that trackers are told, when the one they see is wrong. Default none.
    pub announce_ip: Option<IpAddr>,
    /// The port that trackers and peers are told. Set by the session to the bound port when 0.
    /// Default 0.
    pub announce_port: u16,
    /// Peers asked of a tracker per announce. Default 200.
    pub numwant: u32,
    /// Whether tracker names may lead to loopback, private and link-local addresses. Addresses
    /// written in an announce URL always may. Default false.
    pub allow_private_trackers: bool,
    /// How payload leaves. Default [`SendMode::Copy`].
    pub send_mode: SendMode,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            connections_max: 4_000,
            connections_per_torrent_max: 500,
            half_open_max: 64,
            upload_slots_max: 64,
            seed_slots_max: 500,
            assembly_budget: 256 * 1024 * 1024,
            read_budget: 256 * 1024 * 1024,
            peer_id_prefix: *b"-CS0100-",
            user_agent: concat!("coreswarm/", env!("CARGO_PKG_VERSION")).to_owned(),
            announce_ip: None,
            announce_port: 0,
            numwant: 200,
            allow_private_trackers: false,
            send_mode: SendMode::Copy,
        }
    }
}
