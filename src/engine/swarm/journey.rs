//! A peer's way to another shard.

use crate::base::ids::ShardId;
use crate::base::instant::Instant;

/// Where to, and until when it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Journey {
    pub(crate) to: ShardId,
    pub(crate) until: Instant,
}
