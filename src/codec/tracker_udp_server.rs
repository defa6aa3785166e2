//! The tracker's side of UDP tracking (BEP 15, 41), for simulated trackers, fuzzing and tests.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

use crate::base::digest::Sha1;
use crate::codec::announce::AnnounceEvent;
use crate::codec::announce::AnnounceRequest;
use crate::codec::announce::ScrapeCounts;
use crate::codec::tracker_udp::ANNOUNCE;
use crate::codec::tracker_udp::ANNOUNCE_LEN;
use crate::codec::tracker_udp::CONNECT;
use crate::codec::tracker_udp::ERROR;
use crate::codec::tracker_udp::Family;
use crate::codec::tracker_udp::OPTION_URL;
use crate::codec::tracker_udp::PROTOCOL_ID;
use crate::codec::tracker_udp::SCRAPE;
use crate::codec::tracker_udp::SCRAPE_HASH_MAX;
use crate::codec::tracker_udp::URL_LEN_MAX;
use crate::codec::tracker_udp::UdpFault;
use crate::codec::tracker_udp::UdpReply;
use crate::codec::tracker_udp::UdpRequest;
use crate::codec::tracker_udp::Wire;
use crate::codec::tracker_udp::put_words;

/// An option that means nothing (BEP 41).
const OPTION_NOP: u8 = 1;

/// A datagram that is no client's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum RequestFault {
    #[error(transparent)]
    Datagram(#[from] UdpFault),
    #[error("expected a request of the UDP tracker protocol, got another protocol id")]
    NotAConnect,
    #[error("expected an announce event of 0 to 3, got {got}")]
    UnknownEvent { got: u32 },
}

impl UdpRequest {
    /// Transaction and request.
    pub(crate) fn decode(datagram: &[u8]) -> Result<(u32, UdpRequest), RequestFault> {
        let mut wire = Wire::new(datagram, 16)?;
        let (connection, action, transaction) = (wire.u64(), wire.u32(), wire.u32());
        let request = match action {
            CONNECT if connection == PROTOCOL_ID => UdpRequest::Connect,
            CONNECT => return Err(RequestFault::NotAConnect),
            ANNOUNCE => {
                let mut wire = Wire::new(datagram, ANNOUNCE_LEN)?;
                wire.skip(16);
                let request = read_announce(&mut wire)?;
                UdpRequest::Announce { connection, request, url: read_url(wire.rest) }
            }
            SCRAPE => {
                let hashes = wire.rest.chunks_exact(20).take(SCRAPE_HASH_MAX);
                let hashes = hashes.filter_map(|hash| Some(Sha1(hash.try_into().ok()?)));
                UdpRequest::Scrape { connection, hashes: hashes.collect() }
            }
            got => return Err(UdpFault::UnknownAction { got }.into()),
        };
        Ok((transaction, request))
    }
}

impl UdpReply {
    /// The datagram. Peers of the other family are left out.
    pub(crate) fn encode(&self, transaction: u32, family: Family) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            UdpReply::Connect { connection } => {
                put_words(&mut out, &[CONNECT, transaction]);
                out.extend_from_slice(&connection.to_be_bytes());
            }
            UdpReply::Announce(reply) => {
                let interval = reply.interval.unwrap_or_default().as_secs();
                let interval = u32::try_from(interval).unwrap_or(u32::MAX);
                let (seeders, leechers) = (reply.seeders, reply.leechers);
                put_words(&mut out, &[ANNOUNCE, transaction, interval]);
                put_words(&mut out, &[leechers.unwrap_or(0), seeders.unwrap_or(0)]);
                reply.peers.iter().for_each(|peer| put_peer(&mut out, *peer, family));
            }
            UdpReply::Scrape(counts) => {
                put_words(&mut out, &[SCRAPE, transaction]);
                for ScrapeCounts { seeders, leechers, downloaded } in counts {
                    put_words(&mut out, &[*seeders, *downloaded, *leechers]);
                }
            }
            UdpReply::Error(text) => {
                put_words(&mut out, &[ERROR, transaction]);
                out.extend_from_slice(text.as_bytes());
            }
        }
        out
    }
}

fn put_peer(out: &mut Vec<u8>, peer: SocketAddr, family: Family) {
    match (peer.ip(), family) {
        (IpAddr::V4(ip), Family::V4) => out.extend_from_slice(&ip.octets()),
        (IpAddr::V6(ip), Family::V6) => out.extend_from_slice(&ip.octets()),
        _ => return,
    }
    out.extend_from_slice(&peer.port().to_be_bytes());
}

fn read_announce(wire: &mut Wire<'_>) -> Result<AnnounceRequest, RequestFault> {
    let (info_hash, peer_id) = (Sha1(wire.array()), wire.array());
    let (downloaded, left, uploaded) = (wire.u64(), wire.u64(), wire.u64());
    let event = match wire.u32() {
        0 => AnnounceEvent::None,
        1 => AnnounceEvent::Completed,
        2 => AnnounceEvent::Started,
        3 => AnnounceEvent::Stopped,
        got => return Err(RequestFault::UnknownEvent { got }),
    };
    let ip = Some(Ipv4Addr::from_bits(wire.u32())).filter(|ip| !ip.is_unspecified());
    let key = wire.u32();
    let numwant = Some(wire.u32()).filter(|wanted| *wanted != u32::MAX);
    let port = u16::from_be_bytes(wire.array());
    let (ip, tracker_id) = (ip.map(IpAddr::V4), None);
    Ok(AnnounceRequest {
        info_hash,
        peer_id,
        port,
        uploaded,
        downloaded,
        left,
        event,
        key,
        numwant,
        tracker_id,
        ip,
    })
}

/// The URL options put together; an unknown, cut-off or excessive option ends the reading.
fn read_url(options: &[u8]) -> Vec<u8> {
    let mut url = Vec::new();
    let mut rest = options;
    loop {
        match rest {
            [OPTION_NOP, more @ ..] => rest = more,
            [OPTION_URL, len, more @ ..] => {
                let len = usize::from(*len);
                if len > more.len() || url.len() + len > URL_LEN_MAX {
                    return url;
                }
                let (part, more) = more.split_at(len);
                url.extend_from_slice(part);
                rest = more;
            }
            _ => return url,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announce() -> Vec<u8> {
        let request = AnnounceRequest {
            info_hash: Sha1([1; 20]),
            peer_id: [2; 20],
            port: 6881,
            uploaded: 0,
            downloaded: 0,
            left: 0,
            event: AnnounceEvent::Started,
            key: 7,
            numwant: None,
            tracker_id: None,
            ip: None,
        };
        UdpRequest::Announce { connection: 1, request, url: vec![] }.encode(5)
    }

    #[test]
    fn malformed_requests_are_faults() {
        let decode = |wire: &[u8]| UdpRequest::decode(wire).map(|(transaction, _)| transaction);
        let short = |expected, got| Err(UdpFault::TooShort { expected, got }.into());
        let mut announce = announce();
        assert_eq!(decode(&[0; 15]), short(16, 15));
        assert_eq!(decode(&[0; 16]), Err(RequestFault::NotAConnect));
        assert_eq!(decode(&announce[..97]), short(ANNOUNCE_LEN, 97));
        announce[83] = 4;
        assert_eq!(decode(&announce), Err(RequestFault::UnknownEvent { got: 4 }));
        announce[11] = 9;
        assert_eq!(decode(&announce), Err(UdpFault::UnknownAction { got: 9 }.into()));
    }

    #[test]
    fn options_are_read_until_they_make_no_sense() {
        assert_eq!(read_url(b"\x01\x01\x02\x01a\x01\x02\x02bc\x00\x02\x01d"), b"abc");
        assert_eq!(read_url(b"\x02\x05abc"), b"");
        assert_eq!(read_url(b"\x09\x01a\x02\x01b"), b"");
    }
}
