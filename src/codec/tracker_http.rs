//! HTTP trackers: URLs with a query, bencoded answers (BEP 3, 7, 23, 24, 31, 48).

use std::fmt::Write as _;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::digest::Sha1;
use crate::base::limits::BENCODE_DEPTH_MESSAGE_MAX;
use crate::base::limits::TRACKER_BODY_INFLATED_MAX;
use crate::codec::announce::AnnounceEvent;
use crate::codec::announce::AnnounceReply;
use crate::codec::announce::AnnounceRequest;
use crate::codec::announce::Answer;
use crate::codec::announce::Refusal;
use crate::codec::announce::Retry;
use crate::codec::announce::ScrapeCounts;
use crate::codec::announce::compact_v4;
use crate::codec::announce::compact_v6;
use crate::codec::announce::keep_peers;
use crate::codec::announce::read_ip;
use crate::codec::announce::read_text;
use crate::codec::bencode::BencodeError;
use crate::codec::bencode::Document;
use crate::codec::bencode::Limits;
use crate::codec::bencode::Value;
use crate::codec::escape::write_escaped;

/// 4 MiB of peers as dictionaries are about this many tokens; 16 bytes of memory each.
const LIMITS: Limits = Limits { depth: BENCODE_DEPTH_MESSAGE_MAX, tokens: 500_000 };
/// Bytes of a tracker id; longer ones would make URLs that no server takes.
const TRACKER_ID_LEN_MAX: usize = 512;
/// Swarms read from one scrape.
const SCRAPE_MAX: usize = 1_000;

/// An answer that is no tracker's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum TrackerFault {
    #[error("expected a tracker's answer of at most {max} bytes, got {got}")]
    TooLong { got: usize, max: usize },
    #[error("not a tracker's answer: {0}")]
    Bencode(#[from] BencodeError),
    #[error("expected a dictionary as tracker's answer")]
    NotADictionary,
    #[error("expected `{key}` in the tracker's answer to be {expected}")]
    Wrong { key: &'static str, expected: &'static str },
}

/// The URL to get for an announce; a query that the tracker's URL already has is kept.
pub(crate) fn announce_url(tracker: &str, request: &AnnounceRequest) -> String {
    let mut url = String::with_capacity(tracker.len() + 300);
    open_query(&mut url, tracker);
    push_bytes(&mut url, "info_hash", request.info_hash.as_bytes());
    push_bytes(&mut url, "&peer_id", &request.peer_id);
    let AnnounceRequest { port, uploaded, downloaded, left, key, .. } = request;
    // Writing to a String cannot fail.
    let _ = write!(url, "&port={port}&uploaded={uploaded}&downloaded={downloaded}&left={left}");
    let _ = write!(url, "&compact=1&no_peer_id=1&key={key:08X}");
    if let Some(numwant) = request.numwant {
        let _ = write!(url, "&numwant={numwant}");
    }
    match request.event {
        AnnounceEvent::None => {}
        AnnounceEvent::Started => url.push_str("&event=started"),
        AnnounceEvent::Completed => url.push_str("&event=completed"),
        AnnounceEvent::Stopped => url.push_str("&event=stopped"),
        AnnounceEvent::Paused => url.push_str("&event=paused"),
    }
    if let Some(ip) = request.ip {
        push_bytes(&mut url, "&ip", ip.to_string().as_bytes());
    }
    if let Some(id) = &request.tracker_id {
        push_bytes(&mut url, "&trackerid", id);
    }
    url
}

/// The scrape URL of an HTTP tracker, where its announce URL follows the convention: the last path
/// element starts with `announce` (BEP 48).
pub(crate) fn scrape_url(tracker: &str) -> Option<String> {
    let (scheme, rest) = tracker.split_once("://")?;
    if !matches!(scheme, "http" | "https") {
        return None;
    }
    let (path, query) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    let (directory, last) = path.rsplit_once('/')?;
    let tail = last.strip_prefix("announce")?;
    Some(format!("{scheme}://{directory}/scrape{tail}{query}"))
}

/// The URL to get for a scrape of `hashes`; `scrape` is from [`scrape_url`].
pub(crate) fn scrape_query(scrape: &str, hashes: &[Sha1]) -> String {
    let mut url = String::with_capacity(scrape.len() + 75 * hashes.len());
    open_query(&mut url, scrape);
    for (index, hash) in hashes.iter().enumerate() {
        push_bytes(&mut url, if index == 0 { "info_hash" } else { "&info_hash" }, hash.as_bytes());
    }
    url
}

/// The URL without a fragment, ready for the first parameter.
fn open_query(url: &mut String, base: &str) {
    url.push_str(base.split('#').next().unwrap_or_default());
    match url.find('?') {
        None => url.push('?'),
        Some(_) if url.ends_with(['?', '&']) => {}
        Some(_) => url.push('&'),
    }
}

/// Everything but unreserved characters as `%XX`.
fn push_bytes(url: &mut String, name: &str, value: &[u8]) {
    url.push_str(name);
    url.push('=');
    // Writing to a String cannot fail.
    let _ = write_escaped(url, value);
}

/// The body of an answer to an announce, after inflating. Bytes after the dictionary are passed
/// over.
pub(crate) fn decode_announce(body: &[u8]) -> Result<Answer<AnnounceReply>, TrackerFault> {
    let document = parse(body)?;
    let root = document.root();
    if let Some(refusal) = read_refusal(root)? {
        return Ok(Answer::Refused(refusal));
    }
    let tracker_id = root.get(b"tracker id").and_then(|v| v.as_bytes());
    Ok(Answer::Reply(AnnounceReply {
        interval: read_seconds(root, b"interval"),
        min_interval: read_seconds(root, b"min interval"),
        seeders: read_count(root, b"complete"),
        leechers: read_count(root, b"incomplete"),
        downloaded: read_count(root, b"downloaded"),
        tracker_id: tracker_id.filter(|id| id.len() <= TRACKER_ID_LEN_MAX).map(<[u8]>::to_vec),
        warning: root.get(b"warning message").and_then(|v| v.as_bytes()).map(read_text),
        external_ip: root.get(b"external ip").and_then(|v| read_ip(v.as_bytes()?)),
        peers: read_peers(root)?,
    }))
}

/// The body of an answer to a scrape, after inflating: at most 1,000 swarms, in the tracker's
/// order.
pub(crate) fn decode_scrape(
    body: &[u8],
) -> Result<Answer<Vec<(Sha1, ScrapeCounts)>>, TrackerFault> {
    let document = parse(body)?;
    let root = document.root();
    if let Some(refusal) = read_refusal(root)? {
        return Ok(Answer::Refused(refusal));
    }
    let expected = TrackerFault::Wrong { key: "files", expected: "a dictionary by info hash" };
    let files = root.get(b"files").and_then(|files| files.as_dict()).ok_or(expected)?;
    let swarms = files.filter_map(|(hash, counts)| {
        let count = |key| read_count(counts, key).unwrap_or_default();
        let counts = ScrapeCounts {
            seeders: count(b"complete"),
            leechers: count(b"incomplete"),
            downloaded: count(b"downloaded"),
        };
        Some((Sha1(hash.try_into().ok()?), counts))
    });
    Ok(Answer::Reply(swarms.take(SCRAPE_MAX).collect()))
}

fn parse(body: &[u8]) -> Result<Document<'_>, TrackerFault> {
    if body.len() > TRACKER_BODY_INFLATED_MAX {
        return Err(TrackerFault::TooLong { got: body.len(), max: TRACKER_BODY_INFLATED_MAX });
    }
    let (document, _) = Document::parse_prefix(body, LIMITS)?;
    if !document.root().is_dict() {
        return Err(TrackerFault::NotADictionary);
    }
    Ok(document)
}

fn read_refusal(root: Value<'_>) -> Result<Option<Refusal>, TrackerFault> {
    let Some(reason) = root.get(b"failure reason") else { return Ok(None) };
    let expected = TrackerFault::Wrong { key: "failure reason", expected: "a byte string" };
    let reason = read_text(reason.as_bytes().ok_or(expected)?);
    // BEP 31: minutes, or the word "never".
    let retry = root.get(b"retry in").and_then(|value| match value.as_bytes() {
        Some(b"never") => Some(Retry::Never),
        Some(text) => Some(minutes(std::str::from_utf8(text).ok()?.parse().ok()?)),
        None => Some(minutes(value.as_u64()?)),
    });
    Ok(Some(Refusal { reason, retry }))
}

fn minutes(count: u64) -> Retry {
    Retry::After(Duration::from_secs(count.min(u32::MAX.into()) * 60))
}

/// Lenient: a missing or odd interval leaves the announcer its default.
fn read_seconds(root: Value<'_>, key: &[u8]) -> Option<Duration> {
    let seconds = root.get(key)?.as_u64()?;
    Some(Duration::from_secs(seconds.min(u32::MAX.into())))
}

fn read_count(root: Value<'_>, key: &[u8]) -> Option<u32> {
    let count = root.get(key)?.as_u64()?;
    Some(u32::try_from(count).unwrap_or(u32::MAX))
}

/// `peers` compact (BEP 23) or as dictionaries (BEP 3), `peers6` compact (BEP 7).
fn read_peers(root: Value<'_>) -> Result<Vec<SocketAddr>, TrackerFault> {
    let mut peers = Vec::new();
    if let Some(value) = root.get(b"peers") {
        let expected = "a list, or 6 bytes per peer";
        let wrong = TrackerFault::Wrong { key: "peers", expected };
        match (value.as_bytes(), value.as_list()) {
            (Some(bytes), _) if bytes.len() % 6 == 0 => keep_peers(&mut peers, compact_v4(bytes)),
            (None, Some(list)) => keep_peers(&mut peers, list.filter_map(read_peer)),
            _ => return Err(wrong),
        }
    }
    if let Some(value) = root.get(b"peers6") {
        let wrong = TrackerFault::Wrong { key: "peers6", expected: "18 bytes per peer" };
        match value.as_bytes() {
            Some(bytes) if bytes.len() % 18 == 0 => keep_peers(&mut peers, compact_v6(bytes)),
            _ => return Err(wrong),
        }
    }
    Ok(peers)
}

/// A peer as dictionary; names instead of addresses are passed over, we look nothing up for a
/// tracker.
fn read_peer(peer: Value<'_>) -> Option<SocketAddr> {
    let ip: IpAddr = peer.get(b"ip")?.as_str()?.parse().ok()?;
    let port = peer.get(b"port")?.as_u64()?;
    Some(SocketAddr::new(ip.to_canonical(), u16::try_from(port).ok()?))
}

#[cfg(test)]
mod tests;
