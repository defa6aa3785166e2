//! An annex: what a shard remembers of a torrent that it helps another shard to serve.

use crate::base::ids::ShardId;
use crate::base::instant::Instant;
use crate::base::limits::ANNEX_TIMEOUT;
use crate::base::storage_error::StorageError;
use crate::engine::note::Grant;

/// The part of a swarm that only an annex has.
#[derive(Debug)]
pub(crate) struct Annex {
    /// Whose torrent it is.
    pub(crate) owner: ShardId,
    pub(crate) term: u32,
    pub(crate) grant: Grant,
    /// When the owner was heard last.
    heard: Instant,
    /// Grants since peers were listed last.
    pub(crate) unlisted: u32,
    /// Why it ends, from when it does.
    pub(crate) reason: Option<String>,
    /// It gives its peers back, until then at most.
    pub(crate) closes_at: Option<Instant>,
    /// Its files could not be read.
    pub(crate) storage: Option<StorageError>,
}

impl Annex {
    pub(crate) fn new(owner: ShardId, term: u32, grant: Grant, now: Instant) -> Annex {
        Annex {
            owner,
            term,
            grant,
            heard: now,
            unlisted: 0,
            reason: None,
            closes_at: None,
            storage: None,
        }
    }

    /// Whether a note is about this annex, and not about one before it.
    pub(crate) fn is_meant(&self, from: ShardId, term: u32) -> bool {
        (from, term) == (self.owner, self.term)
    }

    /// The owner goes on with it.
    pub(crate) fn handle_grant(&mut self, now: Instant, grant: Grant) {
        self.heard = now;
        self.grant = grant;
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.reason.is_some()
    }

    /// When it gives its owner up, or those peers that did not go back.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.is_ending() {
            true => self.closes_at,
            false => Some(self.heard + ANNEX_TIMEOUT),
        }
    }
}
