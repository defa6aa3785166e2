//! What announces are made of, and how they fail, whichever way they are spelled.

use std::net::IpAddr;

use crate::base::digest::Sha1;
use crate::base::status::TrackerErrorClass;
use crate::codec::announce::AnnounceEvent;
use crate::codec::announce::AnnounceRequest;
use crate::codec::announce::Refusal;
use crate::codec::announce::Retry;
use crate::engine::to_ring::QueryError;

/// What the torrent's owner knows at the time of an announce.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Facts {
    pub(crate) peer_id: [u8; 20],
    /// The port that peers reach us at.
    pub(crate) port: u16,
    /// The address that trackers are told, when the one they see is wrong.
    pub(crate) ip: Option<IpAddr>,
    /// Payload bytes sent since the torrent was added.
    pub(crate) uploaded: u64,
    /// Payload bytes received since the torrent was added.
    pub(crate) downloaded: u64,
    /// Bytes that we lack, wanted or not: a tracker takes peers with 0 for seeds.
    pub(crate) left: u64,
    /// We lack something and want nothing more (BEP 21).
    pub(crate) is_partial_seed: bool,
    /// Peers asked for; 0 when there are enough.
    pub(crate) numwant: u32,
}

impl Facts {
    /// The announce to a swarm that says them; who leaves wants no peers.
    pub(crate) fn request(
        &self,
        info_hash: Sha1,
        event: AnnounceEvent,
        key: u32,
        tracker_id: Option<Vec<u8>>,
    ) -> AnnounceRequest {
        let event = match event {
            AnnounceEvent::None if self.is_partial_seed => AnnounceEvent::Paused,
            event => event,
        };
        let numwant = if event == AnnounceEvent::Stopped { 0 } else { self.numwant };
        AnnounceRequest {
            info_hash,
            peer_id: self.peer_id,
            port: self.port,
            uploaded: self.uploaded,
            downloaded: self.downloaded,
            left: self.left,
            event,
            key,
            numwant: Some(numwant),
            tracker_id,
            ip: self.ip,
        }
    }
}

/// Why an announce or a scrape failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    pub(crate) class: TrackerErrorClass,
    pub(crate) message: String,
    /// When the tracker may be asked again, where it said so (BEP 31).
    pub(crate) retry: Option<Retry>,
}

impl Failure {
    pub(crate) fn new(class: TrackerErrorClass, message: String) -> Failure {
        Failure { class, message, retry: None }
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Failure {
        Failure::new(error.class, error.message)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        let Refusal { reason, retry } = refusal;
        Failure { class: TrackerErrorClass::Tracker, message: reason, retry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_seed_says_so_in_regular_announces() {
        let facts = |is_partial_seed| Facts {
            peer_id: [1; 20],
            port: 1,
            ip: None,
            uploaded: 0,
            downloaded: 5,
            left: 7,
            is_partial_seed,
            numwant: 1,
        };
        let said = |is_partial_seed, event| {
            facts(is_partial_seed).request(Sha1::of(b""), event, 0, None).event
        };
        assert_eq!(said(true, AnnounceEvent::None), AnnounceEvent::Paused);
        assert_eq!(said(true, AnnounceEvent::Started), AnnounceEvent::Started);
        assert_eq!(said(true, AnnounceEvent::Stopped), AnnounceEvent::Stopped);
        assert_eq!(said(false, AnnounceEvent::None), AnnounceEvent::None);
    }
}
