//! What trackers are asked and what they answer, whatever the transport.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::digest::Sha1;
use crate::base::limits::CANDIDATE_MAX;

/// Characters kept of a reason, warning or other text from a tracker.
const TEXT_LEN_MAX: usize = 500;

/// Why we announce now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum AnnounceEvent {
    /// It is time again.
    #[default]
    None,
    Started,
    Completed,
    Stopped,
    /// A regular announce of a partial seed, which will not download more (BEP 21). UDP: a regular
    /// announce.
    Paused,
}

/// One announce (BEP 3, tracker requests).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct AnnounceRequest {
    pub(crate) info_hash: Sha1,
    pub(crate) peer_id: [u8; 20],
    /// TCP port on which we listen.
    pub(crate) port: u16,
    /// Bytes of payload, since `Started`.
    pub(crate) uploaded: u64,
    pub(crate) downloaded: u64,
    /// Bytes still missing.
    pub(crate) left: u64,
    pub(crate) event: AnnounceEvent,
    /// Proves to the tracker that we are still we when our address changed.
    pub(crate) key: u32,
    /// Peers wanted; `None` leaves it to the tracker.
    pub(crate) numwant: Option<u32>,
    /// What the tracker gave us to send along. HTTP only.
    pub(crate) tracker_id: Option<Vec<u8>>,
    /// Our address, where the user gave one. UDP: IPv4 only.
    pub(crate) ip: Option<IpAddr>,
}

/// A tracker's answer to an announce.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct AnnounceReply {
    /// Wish for the time to the next announce, as claimed: the announcer clamps it.
    pub(crate) interval: Option<Duration>,
    /// Least time to the next announce, as claimed.
    pub(crate) min_interval: Option<Duration>,
    pub(crate) seeders: Option<u32>,
    pub(crate) leechers: Option<u32>,
    /// How often the torrent was completed.
    pub(crate) downloaded: Option<u32>,
    /// To be sent with the next announce.
    pub(crate) tracker_id: Option<Vec<u8>>,
    /// Unchecked text, at most 500 characters.
    pub(crate) warning: Option<String>,
    /// Our address as the tracker sees it (BEP 24).
    pub(crate) external_ip: Option<IpAddr>,
    /// At most 2,000; none with port 0 or an unspecified address.
    pub(crate) peers: Vec<SocketAddr>,
}

/// A tracker that understood and said no.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    /// Unchecked text, at most 500 characters.
    pub(crate) reason: String,
    /// When to ask again, where the tracker says so (BEP 31).
    pub(crate) retry: Option<Retry>,
}

/// When to ask a tracker again that refused (BEP 31).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Retry {
    After(Duration),
    Never,
}

/// What a tracker said: yes or no. A malformed answer is neither but a fault of the codec.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer<T> {
    Reply(T),
    Refused(Refusal),
}

/// A swarm's counts from a scrape (BEP 48).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ScrapeCounts {
    pub(crate) seeders: u32,
    pub(crate) leechers: u32,
    /// How often the torrent was completed.
    pub(crate) downloaded: u32,
}

/// Text from a tracker, cut to a length that fits a status line.
pub(crate) fn read_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(TEXT_LEN_MAX).collect()
}

/// Peers in compact form, 6 bytes each (BEP 23); a cut-off last one is passed over.
pub(crate) fn compact_v4(bytes: &[u8]) -> impl Iterator<Item = SocketAddr> + use<'_> {
    bytes.chunks_exact(6).filter_map(|wire| {
        let &[a, b, c, d, high, low] = wire else { return None };
        let ip = Ipv4Addr::new(a, b, c, d);
        Some(SocketAddr::new(ip.into(), u16::from_be_bytes([high, low])))
    })
}

/// Peers in compact form, 18 bytes each (BEP 7); a cut-off last one is passed over.
pub(crate) fn compact_v6(bytes: &[u8]) -> impl Iterator<Item = SocketAddr> + use<'_> {
    bytes.chunks_exact(18).filter_map(|wire| {
        let (ip, port) = wire.split_at(16);
        let ip = Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).to_canonical();
        Some(SocketAddr::new(ip, u16::from_be_bytes(port.try_into().ok()?)))
    })
}

/// A bare address, 4 bytes or 16, as in `yourip` (BEP 10) and `external ip` (BEP 24).
pub(crate) fn read_ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical())
}

/// Appends what can be connected to, up to the limit.
pub(crate) fn keep_peers(peers: &mut Vec<SocketAddr>, from: impl Iterator<Item = SocketAddr>) {
    let room = CANDIDATE_MAX.saturating_sub(peers.len());
    peers.extend(from.filter(|a| a.port() != 0 && !a.ip().is_unspecified()).take(room));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_without_port_or_address_are_left_out_and_the_rest_is_bounded() {
        let mut peers = Vec::new();
        keep_peers(
            &mut peers,
            compact_v4(&[1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 1, 9, 9, 9, 9, 1, 0, 7]),
        );
        assert_eq!(peers, ["9.9.9.9:256".parse().unwrap()]);
        keep_peers(&mut peers, compact_v4(&[1; 6 * 3000]));
        assert_eq!(peers.len(), 2000);
    }

    #[test]
    fn an_ipv6_peer_is_18_bytes() {
        let mut wire = [0; 18];
        wire[15] = 1;
        wire[17] = 80;
        assert_eq!(compact_v6(&wire).collect::<Vec<_>>(), ["[::1]:80".parse().unwrap()]);
        assert_eq!(compact_v6(&wire[..17]).count(), 0);
    }
}
