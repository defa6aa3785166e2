//! UDP trackers: datagrams both ways (BEP 15), with the rest of the URL as an option (BEP 41).

use std::net::IpAddr;
use std::time::Duration;

use crate::base::digest::Sha1;
use crate::codec::announce::AnnounceEvent;
use crate::codec::announce::AnnounceReply;
use crate::codec::announce::AnnounceRequest;
use crate::codec::announce::ScrapeCounts;
use crate::codec::announce::compact_v4;
use crate::codec::announce::compact_v6;
use crate::codec::announce::keep_peers;
use crate::codec::announce::read_text;

/// Stands where later packets carry the connection id (BEP 15).
pub(super) const PROTOCOL_ID: u64 = 0x0417_2710_1980;
pub(super) const CONNECT: u32 = 0;
pub(super) const ANNOUNCE: u32 = 1;
pub(super) const SCRAPE: u32 = 2;
pub(super) const ERROR: u32 = 3;

/// Bytes of an announce before its options.
pub(super) const ANNOUNCE_LEN: usize = 98;
/// Option kinds of BEP 41.
const OPTION_END: u8 = 0;
pub(super) const OPTION_URL: u8 = 2;
/// Bytes of URL sent along: three options; longer URLs would need a datagram that networks drop.
pub(super) const URL_LEN_MAX: usize = 3 * 255;
/// Swarms in one scrape (BEP 15): what fits a datagram.
pub(crate) const SCRAPE_HASH_MAX: usize = 74;

/// A datagram that is no tracker's, or none that we know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum UdpFault {
    #[error("expected a tracker datagram of at least {expected} bytes, got {got}")]
    TooShort { expected: usize, got: usize },
    #[error("expected a tracker action of 0 to 3, got {got}")]
    UnknownAction { got: u32 },
}

/// What a client sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum UdpRequest {
    Connect,
    /// `url` is path and query of the tracker's URL; empty: not sent.
    Announce {
        connection: u64,
        request: AnnounceRequest,
        url: Vec<u8>,
    },
    Scrape {
        connection: u64,
        hashes: Vec<Sha1>,
    },
}

/// What a tracker sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum UdpReply {
    /// The id to use for a minute.
    Connect {
        connection: u64,
    },
    Announce(AnnounceReply),
    /// In the order of the request.
    Scrape(Vec<ScrapeCounts>),
    /// Unchecked text, at most 500 characters.
    Error(String),
}

/// Which addresses an announce answer holds: those of the socket's own family (BEP 15).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    V4,
    V6,
}

/// Path and query of a tracker's URL, which some trackers need (passkeys); empty where there is
/// none.
pub(crate) fn url_data(tracker: &str) -> &str {
    let rest = tracker.split_once("://").map_or(tracker, |(_, rest)| rest);
    let rest = rest.split('#').next().unwrap_or_default();
    rest.find(['/', '?']).map_or("", |at| &rest[at..])
}

impl UdpRequest {
    /// The datagram; `transaction` comes back in the answer.
    pub(crate) fn encode(&self, transaction: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(ANNOUNCE_LEN + 32);
        match self {
            UdpRequest::Connect => {
                put_head(&mut out, PROTOCOL_ID, CONNECT, transaction);
            }
            UdpRequest::Announce { connection, request, url } => {
                put_head(&mut out, *connection, ANNOUNCE, transaction);
                put_announce(&mut out, request);
                put_url(&mut out, url);
            }
            UdpRequest::Scrape { connection, hashes } => {
                put_head(&mut out, *connection, SCRAPE, transaction);
                for hash in hashes.iter().take(SCRAPE_HASH_MAX) {
                    out.extend_from_slice(hash.as_bytes());
                }
            }
        }
        out
    }
}

impl UdpReply {
    /// Transaction and answer. Bytes beyond whole entries are passed over, as BEP 15 asks.
    pub(crate) fn decode(datagram: &[u8], family: Family) -> Result<(u32, UdpReply), UdpFault> {
        let mut wire = Wire::new(datagram, 8)?;
        let (action, transaction) = (wire.u32(), wire.u32());
        let reply = match action {
            CONNECT => {
                let mut wire = Wire::new(datagram, 16)?;
                wire.skip(8);
                UdpReply::Connect { connection: wire.u64() }
            }
            ANNOUNCE => {
                let mut wire = Wire::new(datagram, 20)?;
                wire.skip(8);
                UdpReply::Announce(read_reply(&mut wire, family))
            }
            SCRAPE => {
                let counts = wire.rest.chunks_exact(12).take(SCRAPE_HASH_MAX);
                UdpReply::Scrape(counts.filter_map(read_counts).collect())
            }
            ERROR => UdpReply::Error(read_text(wire.rest.trim_ascii_end())),
            got => return Err(UdpFault::UnknownAction { got }),
        };
        Ok((transaction, reply))
    }
}

pub(super) fn put_words(out: &mut Vec<u8>, words: &[u32]) {
    words.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
}

fn put_head(out: &mut Vec<u8>, connection: u64, action: u32, transaction: u32) {
    out.extend_from_slice(&connection.to_be_bytes());
    put_words(out, &[action, transaction]);
}

fn put_announce(out: &mut Vec<u8>, request: &AnnounceRequest) {
    out.extend_from_slice(request.info_hash.as_bytes());
    out.extend_from_slice(&request.peer_id);
    for number in [request.downloaded, request.left, request.uploaded] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    let event = match request.event {
        AnnounceEvent::None | AnnounceEvent::Paused => 0,
        AnnounceEvent::Completed => 1,
        AnnounceEvent::Started => 2,
        AnnounceEvent::Stopped => 3,
    };
    let ip = match request.ip {
        Some(IpAddr::V4(ip)) => ip.to_bits(),
        Some(IpAddr::V6(_)) | None => 0,
    };
    // All ones is -1: as many as the tracker likes.
    put_words(out, &[event, ip, request.key, request.numwant.unwrap_or(u32::MAX)]);
    out.extend_from_slice(&request.port.to_be_bytes());
}

/// Options of at most 255 bytes each, then their end. A longer URL is left out: half of it is
/// worthless.
fn put_url(out: &mut Vec<u8>, url: &[u8]) {
    if url.is_empty() || url.len() > URL_LEN_MAX {
        return;
    }
    for part in url.chunks(255) {
        out.extend_from_slice(&[OPTION_URL, part.len() as u8]);
        out.extend_from_slice(part);
    }
    out.push(OPTION_END);
}

fn read_reply(wire: &mut Wire<'_>, family: Family) -> AnnounceReply {
    let interval = Duration::from_secs(wire.u32().into());
    let (leechers, seeders) = (wire.u32(), wire.u32());
    let mut peers = Vec::new();
    match family {
        Family::V4 => keep_peers(&mut peers, compact_v4(wire.rest)),
        Family::V6 => keep_peers(&mut peers, compact_v6(wire.rest)),
    }
    AnnounceReply {
        interval: Some(interval),
        seeders: Some(seeders),
        leechers: Some(leechers),
        peers,
        ..AnnounceReply::default()
    }
}

fn read_counts(wire: &[u8]) -> Option<ScrapeCounts> {
    let mut wire = Wire::new(wire, 12).ok()?;
    let (seeders, downloaded, leechers) = (wire.u32(), wire.u32(), wire.u32());
    Some(ScrapeCounts { seeders, leechers, downloaded })
}

/// Numbers off the front of a datagram whose length was checked; past the end they are 0.
pub(super) struct Wire<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Wire<'a> {
    pub(super) fn new(datagram: &'a [u8], expected: usize) -> Result<Wire<'a>, UdpFault> {
        if datagram.len() < expected {
            return Err(UdpFault::TooShort { expected, got: datagram.len() });
        }
        Ok(Wire { rest: datagram })
    }

    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        let Some((front, rest)) = self.rest.split_first_chunk() else { return [0; N] };
        self.rest = rest;
        *front
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }
}

#[cfg(test)]
mod tests;
