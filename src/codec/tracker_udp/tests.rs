//! UDP trackers: datagrams to the byte, options, families, and malformed ones with their verdict.

use std::net::Ipv4Addr;
use std::net::SocketAddr;

use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert_eq;
use proptest::proptest;

use super::*;

fn request() -> AnnounceRequest {
    AnnounceRequest {
        info_hash: Sha1([1; 20]),
        peer_id: [2; 20],
        port: 0x1ae1,
        uploaded: 5,
        downloaded: 3,
        left: 4,
        event: AnnounceEvent::Started,
        key: 7,
        numwant: None,
        tracker_id: None,
        ip: None,
    }
}

#[test]
fn datagrams_are_those_of_the_specification() {
    let connect = UdpRequest::Connect.encode(0x0102_0304);
    assert_eq!(connect, [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4]);
    let announce =
        UdpRequest::Announce { connection: 9, request: request(), url: b"/a?k".to_vec() };
    let mut expected = vec![0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 8];
    expected.extend([[1; 20], [2; 20]].concat());
    expected.extend([0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5]);
    expected.extend([0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff, 0x1a, 0xe1]);
    assert_eq!(expected.len(), ANNOUNCE_LEN);
    expected.extend(b"\x02\x04/a?k\x00");
    assert_eq!(announce.encode(8), expected);
}

#[test]
fn the_rest_of_the_url_is_what_follows_the_host() {
    for (url, data) in [
        ("udp://t:80/announce?k=1", "/announce?k=1"),
        ("udp://t:80", ""),
        ("udp://t:80?k", "?k"),
        ("udp://[::1]:80/#x", "/"),
    ] {
        assert_eq!(url_data(url), data);
    }
}

#[test]
fn long_urls_come_in_options_and_endless_ones_not_at_all() {
    let with = |len: usize| {
        let url = vec![b'u'; len];
        let wire = UdpRequest::Announce { connection: 1, request: request(), url }.encode(1);
        let Ok((1, UdpRequest::Announce { url, .. })) = UdpRequest::decode(&wire) else {
            panic!("an announce")
        };
        (wire.len() - ANNOUNCE_LEN, url.len())
    };
    assert_eq!(with(0), (0, 0));
    assert_eq!(with(255), (258, 255));
    assert_eq!(with(256), (261, 256));
    assert_eq!(with(765), (772, 765));
    assert_eq!(with(766), (0, 0));
}

#[test]
fn an_answer_is_read_by_the_family_of_the_socket() {
    let mut wire = vec![0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 7, 8, 0, 0, 0, 2, 0, 0, 0, 3];
    wire.extend([10, 0, 0, 1, 0, 80, 10, 0, 0, 2, 0, 81, 9, 9]);
    let Ok((8, UdpReply::Announce(reply))) = UdpReply::decode(&wire, Family::V4) else {
        panic!("an announce")
    };
    assert_eq!(reply.interval, Some(Duration::from_secs(1800)));
    assert_eq!((reply.leechers, reply.seeders), (Some(2), Some(3)));
    let expected: [SocketAddr; 2] =
        ["10.0.0.1:80".parse().unwrap(), "10.0.0.2:81".parse().unwrap()];
    assert_eq!(reply.peers, expected, "two bytes of a third peer are passed over");
    let Ok((8, UdpReply::Announce(reply))) = UdpReply::decode(&wire, Family::V6) else {
        panic!("an announce")
    };
    assert_eq!(reply.peers, [], "14 bytes hold no IPv6 peer");
}

#[test]
fn malformed_answers_are_faults() {
    let short = |expected, got| Err(UdpFault::TooShort { expected, got });
    let decode = |wire: &[u8]| UdpReply::decode(wire, Family::V4);
    assert_eq!(decode(b""), short(8, 0));
    assert_eq!(decode(&[0; 7]), short(8, 7));
    assert_eq!(decode(&[0; 8]), short(16, 8));
    assert_eq!(decode(&[0; 15]), short(16, 15));
    assert_eq!(decode(&[0, 0, 0, 1, 0, 0, 0, 0]), short(20, 8));
    assert_eq!(decode(&[&[0, 0, 0, 1][..], &[0; 15]].concat()), short(20, 19));
    let unknown = |got| Err(UdpFault::UnknownAction { got });
    assert_eq!(decode(&[0, 0, 0, 4, 0, 0, 0, 0]), unknown(4));
    assert_eq!(decode(b"HTTP/1.1 200 OK\r\n"), unknown(u32::from_be_bytes(*b"HTTP")));
    assert_eq!(decode(&[0xff; 100]), unknown(u32::MAX));
    let error = decode(b"\0\0\0\x03\0\0\0\x07go away\0\n").map(|(_, reply)| reply);
    assert_eq!(error, Ok(UdpReply::Error("go away\0".into())));
    let endless = [&[0, 0, 0, 3, 0, 0, 0, 0][..], &[0xff; 60_000]].concat();
    let Ok((0, UdpReply::Error(text))) = decode(&endless) else { panic!("an error") };
    assert_eq!(text.chars().count(), 500);
    let scrape = [&[0, 0, 0, 2, 0, 0, 0, 0][..], &[0; 12 * 100 + 5]].concat();
    let Ok((0, UdpReply::Scrape(counts))) = decode(&scrape) else { panic!("a scrape") };
    assert_eq!(counts.len(), SCRAPE_HASH_MAX);
}

proptest! {
    #[test]
    fn requests_round_trip(
        transaction: u32, connection: u64, info_hash: [u8; 20], peer_id: [u8; 20], port: u16,
        bytes: (u64, u64, u64), key: u32, wanted in 0..u32::MAX, has_wish: bool, event in 0..4usize,
        ip in 1..=u32::MAX, url in proptest::collection::vec(any::<u8>(), 0..600),
        hashes in proptest::collection::vec(any::<[u8; 20]>().prop_map(Sha1), 0..=SCRAPE_HASH_MAX),
    ) {
        let events = [
            AnnounceEvent::None,
            AnnounceEvent::Started,
            AnnounceEvent::Completed,
            AnnounceEvent::Stopped,
        ];
        let (uploaded, downloaded, left) = bytes;
        let request = AnnounceRequest {
            info_hash: Sha1(info_hash), peer_id, port, uploaded, downloaded, left,
            event: events[event], key,
            numwant: has_wish.then_some(wanted), tracker_id: None,
            ip: has_wish.then_some(IpAddr::V4(Ipv4Addr::from_bits(ip))),
        };
        for request in [
            UdpRequest::Connect,
            UdpRequest::Announce { connection, request, url },
            UdpRequest::Scrape { connection, hashes },
        ] {
            let wire = request.encode(transaction);
            prop_assert_eq!(UdpRequest::decode(&wire), Ok((transaction, request)));
        }
    }

    #[test]
    fn replies_round_trip(
        transaction: u32, connection: u64, interval: u32, counts: (u32, u32, u32),
        hosts in proptest::collection::vec((1..=255u8, 1..=u16::MAX), 0..100),
        text in "[a-z]{0,400}",
    ) {
        let (seeders, leechers, downloaded) = counts;
        let reply = |peers: Vec<SocketAddr>| UdpReply::Announce(AnnounceReply {
            interval: Some(Duration::from_secs(interval.into())),
            seeders: Some(seeders), leechers: Some(leechers), peers, ..AnnounceReply::default()
        });
        let counts = vec![ScrapeCounts { seeders, leechers, downloaded }; 3];
        let v6 = |(a, port): &(u8, u16)| {
            SocketAddr::from(([0x2001, 0, 0, 0, 0, 0, 0, u16::from(*a)], *port))
        };
        let v6 = hosts.iter().map(v6).collect();
        let v4 = |(a, port): &(u8, u16)| SocketAddr::from(([10, 0, 0, *a], *port));
        let v4 = hosts.iter().map(v4).collect();
        for (reply, family) in [
            (UdpReply::Connect { connection }, Family::V4),
            (reply(v4), Family::V4),
            (reply(v6), Family::V6),
            (UdpReply::Scrape(counts), Family::V6),
            (UdpReply::Error(text), Family::V4),
        ] {
            let wire = reply.encode(transaction, family);
            prop_assert_eq!(UdpReply::decode(&wire, family), Ok((transaction, reply)));
        }
    }

    #[test]
    fn noise_never_panics(mut noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        for action in 0..5 {
            for at in [3, 11] {
                if let Some(byte) = noise.get_mut(at) {
                    *byte = action;
                }
            }
            noise.iter_mut().take(3).for_each(|byte| *byte = 0);
            noise.iter_mut().skip(8).take(3).for_each(|byte| *byte = 0);
            let request = UdpRequest::decode(&noise);
            let reply = UdpReply::decode(&noise, Family::V6);
            let least = [16, 20, 8, 8, usize::MAX][usize::from(action)];
            prop_assert_eq!(reply.is_ok(), noise.len() >= least);
            prop_assert_eq!(request.is_ok() && noise.len() < 16, false);
        }
    }
}
