//! What a shard's engine is made of.

use std::sync::Arc;

use crate::base::buffer::Pool;
use crate::base::digest_lanes::Lanes;
use crate::base::ids::ShardId;
use crate::engine::directory::Directory;
use crate::engine::settings::Settings;

/// What an engine is made of.
#[derive(Debug)]
pub(crate) struct EngineConfig {
    pub(crate) shard: ShardId,
    /// Shards of the session, this one included.
    pub(crate) shard_count: usize,
    /// Budgets and connection counts are this shard's share already.
    pub(crate) settings: Settings,
    pub(crate) directory: Arc<Directory>,
    pub(crate) pool: Pool,
    /// What the shard's CPU hashes with.
    pub(crate) lanes: Lanes,
    /// Bytes of hash jobs that are worth the way to another shard: `OUTWORK_LEN_MIN`, but where
    /// torrents are made up.
    pub(crate) outwork_len_min: usize,
    /// For chance and peer ids.
    pub(crate) seed: u64,
}
