//! What a swarm has instead of a torrent while it knows but a magnet link.

use crate::base::info_hashes::InfoHashes;
use crate::base::instant::Instant;
use crate::engine::add::MagnetHints;
use crate::engine::metadata::MetadataFetch;

/// The metadata as far as it is here, and what the link said beside its names.
#[derive(Debug)]
pub(crate) struct Seeking {
    pub(crate) fetch: MetadataFetch,
    pub(crate) hints: MagnetHints,
}

impl Seeking {
    pub(crate) fn new(names: InfoHashes, hints: MagnetHints, now: Instant) -> Seeking {
        Seeking { fetch: MetadataFetch::new(names, now), hints }
    }
}
