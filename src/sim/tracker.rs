//! Scripted trackers: HTTP answers by host name and UDP answers by address, over one register of
//! peers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::digest::Sha1;
use crate::base::status::TrackerErrorClass;
use crate::codec::announce::AnnounceEvent;
use crate::codec::announce::AnnounceReply;
use crate::codec::announce::AnnounceRequest;
use crate::codec::tracker_udp::Family;
use crate::codec::tracker_udp::UdpReply;
use crate::codec::tracker_udp::UdpRequest;
use crate::engine::to_ring::HttpAnswer;
use crate::engine::to_ring::QueryError;

/// How long an ordinary tracker takes over HTTP.
const SERVICE_TIME: Duration = Duration::from_millis(80);

/// How a tracker behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum TrackerConduct {
    Honest,
    /// Takes this long.
    Slow(Duration),
    /// The connection fails in this way.
    Unreachable(TrackerErrorClass),
    /// Answers with this status and body.
    Says(u16, Vec<u8>),
}

/// An announce as it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Announce {
    pub(crate) info_hash: Sha1,
    pub(crate) peer: SocketAddr,
    pub(crate) left: u64,
    /// Empty for the regular ones.
    pub(crate) event: String,
}

/// All trackers of the world.
#[derive(Debug, Default)]
pub(crate) struct Trackers {
    conducts: BTreeMap<String, TrackerConduct>,
    peers: BTreeMap<Sha1, BTreeMap<SocketAddr, u64>>,
    log: Vec<Announce>,
}

impl Trackers {
    /// From now on the host `name` behaves like this.
    pub(crate) fn set(&mut self, name: &str, conduct: TrackerConduct) {
        self.conducts.insert(name.to_owned(), conduct);
    }

    /// A peer that the tracker knows without having been told.
    pub(crate) fn plant(&mut self, info_hash: Sha1, peer: SocketAddr) {
        self.peers.entry(info_hash).or_default().insert(peer, 0);
    }

    /// Everything that was announced, in order.
    pub(crate) fn log(&self) -> &[Announce] {
        &self.log
    }

    /// How long the answer to a GET takes, and the answer.
    pub(crate) fn get(
        &mut self,
        from: IpAddr,
        url: &str,
    ) -> (Duration, Result<HttpAnswer, QueryError>) {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = rest.split(['/', ':', '?']).next().unwrap_or_default();
        let failed = |class| QueryError { class, message: "as planned".to_owned() };
        let mut took = SERVICE_TIME;
        match self.conducts.get(host).cloned() {
            None => return (took, Err(failed(TrackerErrorClass::Dns))),
            Some(TrackerConduct::Unreachable(class)) => return (took, Err(failed(class))),
            Some(TrackerConduct::Says(status, body)) => {
                return (took, Ok(HttpAnswer { status, body }));
            }
            Some(TrackerConduct::Slow(time)) => took = time,
            Some(TrackerConduct::Honest) => {}
        }
        let query = rest.split_once('?').map_or("", |(_, query)| query);
        let body = match read_query(query, from) {
            Some(announce) => http_body(&self.handle_announce(announce)),
            None => b"d14:failure reason9:bad querye".to_vec(),
        };
        (took, Ok(HttpAnswer { status: 200, body }))
    }

    /// The answer to a UDP packet, if it deserves one.
    pub(crate) fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
        let (transaction, request) = UdpRequest::decode(bytes).ok()?;
        let reply = match request {
            UdpRequest::Connect => UdpReply::Connect { connection: 7 },
            UdpRequest::Announce { connection: 7, request, .. } => {
                let reply = self.handle_announce(announce_of(&request, from.ip()));
                UdpReply::Announce(reply)
            }
            UdpRequest::Announce { .. } => UdpReply::Error("connect first".to_owned()),
            UdpRequest::Scrape { .. } => UdpReply::Error("no scrapes here".to_owned()),
        };
        Some(reply.encode(transaction, Family::V4))
    }

    fn handle_announce(&mut self, announce: Announce) -> AnnounceReply {
        let known = self.peers.entry(announce.info_hash).or_default();
        match announce.event.as_str() {
            "stopped" => _ = known.remove(&announce.peer),
            _ => _ = known.insert(announce.peer, announce.left),
        }
        let others = known.keys().copied().filter(|peer| *peer != announce.peer);
        let reply = AnnounceReply {
            interval: Some(Duration::from_secs(300)),
            seeders: Some(known.values().filter(|left| **left == 0).count() as u32),
            leechers: Some(known.values().filter(|left| **left > 0).count() as u32),
            peers: others.take(50).collect(),
            ..AnnounceReply::default()
        };
        self.log.push(announce);
        reply
    }
}

fn announce_of(request: &AnnounceRequest, from: IpAddr) -> Announce {
    let event = match request.event {
        AnnounceEvent::Started => "started",
        AnnounceEvent::Completed => "completed",
        AnnounceEvent::Stopped => "stopped",
        AnnounceEvent::Paused => "paused",
        AnnounceEvent::None => "",
    };
    let peer = SocketAddr::new(request.ip.unwrap_or(from), request.port);
    let event = event.to_owned();
    Announce { info_hash: request.info_hash, peer, left: request.left, event }
}

fn read_query(query: &str, from: IpAddr) -> Option<Announce> {
    let pairs: BTreeMap<&str, &str> =
        query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let info_hash = Sha1(unescape(pairs.get("info_hash")?)?.try_into().ok()?);
    let peer = SocketAddr::new(from, pairs.get("port")?.parse().ok()?);
    let left = pairs.get("left")?.parse().ok()?;
    let event = pairs.get("event").copied().unwrap_or_default().to_owned();
    Some(Announce { info_hash, peer, left, event })
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        out.push((digit()? * 16 + digit()?) as u8);
    }
    Some(out)
}

fn http_body(reply: &AnnounceReply) -> Vec<u8> {
    let mut compact = Vec::new();
    for peer in &reply.peers {
        if let IpAddr::V4(ip) = peer.ip() {
            compact.extend_from_slice(&ip.octets());
            compact.extend_from_slice(&peer.port().to_be_bytes());
        }
    }
    let (seeds, leeches) = (reply.seeders.unwrap_or(0), reply.leechers.unwrap_or(0));
    let head = format!("d8:completei{seeds}e10:incompletei{leeches}e8:intervali300e5:peers");
    let mut body = head.into_bytes();
    body.extend_from_slice(format!("{}:", compact.len()).as_bytes());
    body.extend_from_slice(&compact);
    body.push(b'e');
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::announce::Answer;
    use crate::codec::tracker_http::announce_url;
    use crate::codec::tracker_http::decode_announce;

    fn request(port: u16, event: AnnounceEvent) -> AnnounceRequest {
        AnnounceRequest {
            info_hash: Sha1::of(b"%&="),
            peer_id: *b"-CS0100-abcdefghijkl",
            port,
            uploaded: 0,
            downloaded: 0,
            left: 5,
            event,
            key: 1,
            numwant: None,
            tracker_id: None,
            ip: None,
        }
    }

    fn get(trackers: &mut Trackers, from: u8, event: AnnounceEvent) -> Vec<SocketAddr> {
        let url = announce_url("http://tracker.sim/announce", &request(6881, event));
        let (_, answer) = trackers.get(IpAddr::from([10, 0, 0, from]), &url);
        match decode_announce(&answer.unwrap().body) {
            Ok(Answer::Reply(reply)) => reply.peers,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn http_and_udp_announces_meet_in_one_register() {
        let mut trackers = Trackers::default();
        trackers.set("tracker.sim", TrackerConduct::Honest);
        assert!(get(&mut trackers, 1, AnnounceEvent::Started).is_empty());
        let first = SocketAddr::from(([10, 0, 0, 1], 6881));
        assert_eq!(get(&mut trackers, 2, AnnounceEvent::Started), [first]);
        let from = SocketAddr::from(([10, 0, 0, 3], 99));
        let announce = UdpRequest::Announce {
            connection: 7,
            request: request(1, AnnounceEvent::Started),
            url: Vec::new(),
        };
        let answer = trackers.handle_datagram(from, &announce.encode(5)).unwrap();
        let (transaction, reply) = UdpReply::decode(&answer, Family::V4).unwrap();
        assert!(matches!(reply, UdpReply::Announce(reply) if reply.peers.len() == 2));
        assert_eq!(transaction, 5);
        get(&mut trackers, 1, AnnounceEvent::Stopped);
        assert!(!get(&mut trackers, 2, AnnounceEvent::None).contains(&first));
        assert_eq!(trackers.log().len(), 5);
    }

    #[test]
    fn a_tracker_that_was_not_set_up_has_no_name() {
        let (_, answer) = Trackers::default().get(IpAddr::from([10, 0, 0, 1]), "http://nowhere/x");
        assert!(matches!(answer, Err(error) if error.class == TrackerErrorClass::Dns));
    }
}
