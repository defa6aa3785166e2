//! What the session asks of the ring when it starts its shards.
//!
//! The session expects `shards::Shards`: `start(ShardsConfig) -> Result<Shards, StartError>`, then
//! `links() -> &[ShardLink]`, `alerts() -> &[AlertReader]` (numbers begin with 1),
//! `stats() -> &[Arc<Published<ShardStats>>]`, `listen_addresses() -> &[SocketAddr]`,
//! `seed() -> u64` (chance of the session), and `join(&mut self, limit: Duration) -> usize`: waits
//! for the threads, which have been told `Command::Shutdown` already, and says how many did not end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::engine::directory::Directory;
use crate::engine::settings::Settings;

/// What a session's shards are started with.
#[derive(Debug)]
pub(crate) struct ShardsConfig {
    /// Budgets of the whole session; each shard gets its share.
    pub(crate) settings: Settings,
    /// `None`: one per core of the affinity mask.
    pub(crate) shard_count: Option<usize>,
    /// Where to accept peers; those with port 0 get one free port together.
    pub(crate) listen: Vec<SocketAddr>,
    /// PEM file of root certificates for HTTPS trackers, beside the usual ones.
    pub(crate) tracker_ca: Option<PathBuf>,
    pub(crate) allow_private_trackers: bool,
    /// Written by the session alone.
    pub(crate) directory: Arc<Directory>,
}
