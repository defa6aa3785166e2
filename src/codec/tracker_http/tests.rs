//! HTTP trackers: URLs to the letter, answers of every kind, malformed ones with their verdict.

use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::proptest;

use super::*;

fn request() -> AnnounceRequest {
    AnnounceRequest {
        info_hash: Sha1(*b"\x00\x7f\x80\xffabcXYZ09-._~ +&="),
        peer_id: *b"-CS0100-abcdefghijk%",
        port: 6881,
        uploaded: 1,
        downloaded: 2,
        left: u64::MAX,
        event: AnnounceEvent::None,
        key: 0xbeef,
        numwant: None,
        tracker_id: None,
        ip: None,
    }
}

fn reply(body: &[u8]) -> AnnounceReply {
    match decode_announce(body) {
        Ok(Answer::Reply(reply)) => reply,
        other => panic!("{}: {other:?}", body.escape_ascii()),
    }
}

fn addresses(text: &[&str]) -> Vec<SocketAddr> {
    text.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_query_is_encoded_byte_by_byte() {
    let expected = "http://t/announce?info_hash=%00%7F%80%FFabcXYZ09-._~%20%2B%26%3D\
        &peer_id=-CS0100-abcdefghijk%25&port=6881&uploaded=1&downloaded=2\
        &left=18446744073709551615&compact=1&no_peer_id=1&key=0000BEEF";
    assert_eq!(announce_url("http://t/announce", &request()), expected);
}

#[test]
fn optional_parameters_follow() {
    let full = AnnounceRequest {
        event: AnnounceEvent::Started,
        numwant: Some(0),
        tracker_id: Some(b"a b".to_vec()),
        ip: Some("2001:db8::1".parse().unwrap()),
        ..request()
    };
    let url = announce_url("http://t/a", &full);
    let tail = "&key=0000BEEF&numwant=0&event=started&ip=2001%3Adb8%3A%3A1&trackerid=a%20b";
    assert!(url.ends_with(tail), "{url}");
    for (event, word) in [
        (AnnounceEvent::Stopped, "stopped"),
        (AnnounceEvent::Completed, "completed"),
        (AnnounceEvent::Paused, "paused"),
    ] {
        let url = announce_url("http://t/a", &AnnounceRequest { event, ..request() });
        assert!(url.ends_with(&format!("&event={word}")), "{url}");
    }
}

#[test]
fn a_query_that_is_there_already_stays() {
    for (base, start) in [
        ("http://t/a?passkey=x", "http://t/a?passkey=x&info_hash="),
        ("http://t/a?", "http://t/a?info_hash="),
        ("http://t/a?x=1&", "http://t/a?x=1&info_hash="),
        ("http://t/a#frag?ment", "http://t/a?info_hash="),
        ("http://t", "http://t?info_hash="),
    ] {
        let url = announce_url(base, &request());
        assert!(url.starts_with(start), "{url}");
    }
}

#[test]
fn a_scrape_url_exists_where_the_convention_is_kept() {
    let table = [
        ("http://t/announce", Some("http://t/scrape")),
        ("https://t/x/announce", Some("https://t/x/scrape")),
        ("http://t/announce.php?k=1/2", Some("http://t/scrape.php?k=1/2")),
        ("http://t/announce?x2%0644", Some("http://t/scrape?x2%0644")),
        ("http://t/a", None),
        ("http://t/x%064announce", None),
        ("http://t/announce/x", None),
        ("http://t/a?x=/announce", None),
        ("http://announce", None),
        ("udp://t:1/announce", None),
    ];
    for (announce, scrape) in table {
        assert_eq!(scrape_url(announce).as_deref(), scrape, "{announce}");
    }
    assert_eq!(
        scrape_query("http://t/scrape?k=1", &[Sha1([b'a'; 20]), Sha1([0xff; 20])]),
        format!("http://t/scrape?k=1&info_hash={}&info_hash={}", "a".repeat(20), "%FF".repeat(20))
    );
}

#[test]
fn a_full_answer_is_read() {
    let body = b"d8:completei5e10:downloadedi9e11:external ip4:\x01\x02\x03\x0410:incompletei6e\
        8:intervali1800e12:min intervali60e5:peers12:\x7f\0\0\x01\x1a\xe1\x0a\0\0\x02\0\x50\
        6:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe110:tracker id3:\xff\0a\
        15:warning message4:slowe";
    let reply = reply(body);
    assert_eq!(reply.interval, Some(Duration::from_secs(1800)));
    assert_eq!(reply.min_interval, Some(Duration::from_secs(60)));
    assert_eq!((reply.seeders, reply.leechers, reply.downloaded), (Some(5), Some(6), Some(9)));
    assert_eq!(reply.tracker_id.as_deref(), Some(&b"\xff\0a"[..]));
    assert_eq!(reply.warning.as_deref(), Some("slow"));
    assert_eq!(reply.external_ip, Some(IpAddr::from([1, 2, 3, 4])));
    assert_eq!(reply.peers, addresses(&["127.0.0.1:6881", "10.0.0.2:80", "[2001:db8::1]:6881"]));
}

#[test]
fn peers_as_dictionaries_are_read_and_odd_ones_passed_over() {
    let body = b"d8:intervali1e5:peersl\
        d2:ip9:127.0.0.17:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti1ee\
        d2:ip3:::14:porti2ee\
        d2:ip8:tracker.4:porti3ee\
        d2:ip9:127.0.0.14:porti0ee\
        d2:ip9:127.0.0.14:porti65536ee\
        d2:ip9:127.0.0.1e\
        i5e\
        d2:ip16:::ffff:127.0.0.24:porti4eeee";
    assert_eq!(reply(body).peers, addresses(&["127.0.0.1:1", "[::1]:2", "127.0.0.2:4"]));
}

#[test]
fn a_refusal_says_why_and_when_to_come_back() {
    let refused = |body: &[u8]| match decode_announce(body) {
        Ok(Answer::Refused(refusal)) => (refusal.reason, refusal.retry),
        other => panic!("{}: {other:?}", body.escape_ascii()),
    };
    let no = "no".to_owned();
    assert_eq!(refused(b"d14:failure reason2:noe"), (no.clone(), None));
    let after = |seconds| Some(Retry::After(Duration::from_secs(seconds)));
    assert_eq!(refused(b"d14:failure reason2:no8:retry ini5ee"), (no.clone(), after(300)));
    assert_eq!(refused(b"d14:failure reason2:no8:retry in1:5e"), (no.clone(), after(300)));
    assert_eq!(
        refused(b"d14:failure reason2:no8:retry in5:nevere"),
        (no.clone(), Some(Retry::Never))
    );
    assert_eq!(refused(b"d14:failure reason2:no8:retry in4:soone"), (no.clone(), None));
    assert_eq!(refused(b"d14:failure reason2:no8:retry ini-1ee"), (no, None));
    let (reason, _) = refused(&[b"d14:failure reason9999:", &[b'x'; 9999][..], b"e"].concat());
    assert_eq!(reason.len(), 500);
}

#[test]
fn odd_but_harmless_answers_are_read() {
    for body in [
        &b"de"[..],
        b"de\r\n",
        b"d5:peers0:e",
        b"d5:peerslee",
        b"d8:interval4:soone",
        b"d8:intervali-5ee",
        b"d10:tracker idi5ee",
        b"d11:external ip3:abce",
        b"d8:completei-1e5:peers0:e",
        b"d5:peersld2:ip1:xeee",
        b"d5:peers0:8:completei-2ee",
    ] {
        assert_eq!(reply(body), AnnounceReply::default(), "{}", body.escape_ascii());
    }
    let far = reply(b"d8:completei9223372036854775807e8:intervali9223372036854775807ee");
    assert_eq!(far.seeders, Some(u32::MAX));
    assert_eq!(far.interval, Some(Duration::from_secs(u32::MAX.into())));
}

#[test]
fn malformed_answers_are_faults() {
    use crate::codec::bencode::BencodeErrorKind as Kind;
    let bencode = |kind| move |fault| matches!(fault, TrackerFault::Bencode(e) if e.kind == kind);
    let bad = |body: &[u8], is_expected: &dyn Fn(TrackerFault) -> bool| {
        let fault = decode_announce(body).unwrap_err();
        let shown = body.get(..80).unwrap_or(body).escape_ascii();
        assert!(is_expected(fault), "{shown}: {fault}");
    };
    let not_dictionary = |fault| fault == TrackerFault::NotADictionary;
    let wrong = |name| {
        move |fault| {
            let TrackerFault::Wrong { key, .. } = fault else { return false };
            key == name
        }
    };
    bad(b"", &bencode(Kind::Truncated));
    bad(b"<html>502 Bad Gateway</html>", &bencode(Kind::NotAValue));
    bad(b"\x1f\x8b\x08\0", &bencode(Kind::NotAValue));
    bad(b"d", &bencode(Kind::Truncated));
    bad(b"d8:interval", &bencode(Kind::Truncated));
    bad(b"d8:intervali1800e5:peers600:\x01", &bencode(Kind::Truncated));
    bad(b"d8:intervale", &bencode(Kind::KeyWithoutValue));
    bad(b"di1ei2ee", &bencode(Kind::KeyNotAString));
    bad(b"d8:intervali01ee", &bencode(Kind::BadInteger));
    bad(b"d8:intervali-0ee", &bencode(Kind::BadInteger));
    bad(b"d8:intervali1.5ee", &bencode(Kind::BadInteger));
    bad(b"d8:intervali99999999999999999999ee", &bencode(Kind::IntegerTooLarge));
    bad(b"d08:intervali1ee", &bencode(Kind::BadLength));
    bad(&[b'l'; 5000], &bencode(Kind::TooDeep));
    bad(
        &[b"l".to_vec(), b"0:".repeat(500_000), b"e".to_vec()].concat(),
        &bencode(Kind::TooManyTokens),
    );
    bad(b"le", &not_dictionary);
    bad(b"i5e", &not_dictionary);
    bad(b"9:not found", &not_dictionary);
    bad(b"d5:peers5:abcdee", &wrong("peers"));
    bad(b"d5:peersi1ee", &wrong("peers"));
    bad(b"d5:peersd2:ip1:xee", &wrong("peers"));
    bad(b"d6:peers617:abcdefghijklmnopqe", &wrong("peers6"));
    bad(b"d6:peers6lee", &wrong("peers6"));
    bad(b"d14:failure reasoni1ee", &wrong("failure reason"));
    bad(b"d14:failure reasonlee", &wrong("failure reason"));
    let long = vec![b'd'; TRACKER_BODY_INFLATED_MAX + 1];
    bad(&long, &|fault| matches!(fault, TrackerFault::TooLong { .. }));
}

#[test]
fn peers_beyond_the_limit_are_dropped() {
    let body = [b"d5:peers60000:", &[1; 60_000][..], b"e"].concat();
    assert_eq!(reply(&body).peers.len(), 2000);
}

#[test]
fn a_scrape_answer_is_read_and_a_bad_one_is_a_fault() {
    let body = b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei1e10:downloadedi2e10:incompletei3ee\
        3:oddde20:bbbbbbbbbbbbbbbbbbbbdeee";
    let counts = ScrapeCounts { seeders: 1, leechers: 3, downloaded: 2 };
    let expected = vec![(Sha1([b'a'; 20]), counts), (Sha1([b'b'; 20]), ScrapeCounts::default())];
    assert_eq!(decode_scrape(body), Ok(Answer::Reply(expected)));
    for body in [&b"de"[..], b"d5:filesi1ee", b"d5:fileslee"] {
        assert!(matches!(decode_scrape(body), Err(TrackerFault::Wrong { key: "files", .. })));
    }
    let refused = decode_scrape(b"d14:failure reason2:noe");
    assert!(matches!(refused, Ok(Answer::Refused(_))));
}

proptest! {
    #[test]
    fn a_query_decodes_to_the_same_bytes(hash: [u8; 20], peer_id: [u8; 20]) {
        let request = AnnounceRequest { info_hash: Sha1(hash), peer_id, ..request() };
        let url = announce_url("http://t/a", &request);
        prop_assert!(url.is_ascii() && !url.contains(' '));
        let query = url.split_once('?').unwrap().1;
        let mut values = query.split('&').map(|pair| pair.split_once('=').unwrap().1);
        for expected in [hash, peer_id] {
            let mut text = values.next().unwrap().bytes();
            let mut decoded = Vec::new();
            while let Some(byte) = text.next() {
                decoded.push(match byte {
                    b'%' => {
                        let hex = [text.next().unwrap(), text.next().unwrap()];
                        u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
                    }
                    plain => plain,
                });
            }
            prop_assert_eq!(decoded, expected);
        }
    }

    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let dressed = [b"d5:peers", &noise[..], b"e"].concat();
        for body in [noise, dressed] {
            let _ = decode_scrape(&body);
            if let Ok(Answer::Reply(reply)) = decode_announce(&body) {
                prop_assert!(reply.peers.len() <= body.len() / 6);
            }
        }
    }

    #[test]
    fn compact_peers_come_out_as_they_went_in(
        peers in proptest::collection::vec((1..=255u8, any::<[u8; 3]>(), 1..=u16::MAX), 0..50),
    ) {
        let wire: Vec<u8> = peers
            .iter()
            .flat_map(|(a, rest, port)| [&[*a][..], rest, &port.to_be_bytes()].concat())
            .collect();
        let body = [format!("d5:peers{}:", wire.len()).as_bytes(), &wire, b"e"].concat();
        let expected: Vec<SocketAddr> = peers
            .iter()
            .map(|(a, [b, c, d], port)| SocketAddr::from(([*a, *b, *c, *d], *port)))
            .collect();
        prop_assert_eq!(reply(&body).peers, expected);
    }
}
