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
    /// Budgets and connection counts are this shard's share already.
    pub(crate) settings: Settings,
    pub(crate) directory: Arc<Directory>,
    pub(crate) pool: Pool,
    /// What the shard's CPU hashes with.
    pub(crate) lanes: Lanes,
    /// For chance and peer ids.
    pub(crate) seed: u64,
}
