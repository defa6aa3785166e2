//! Magnet links: every way to write one, every way to write one wrong.

use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert_eq;
use proptest::proptest;

use super::*;

const V1: &str = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a";
const V1_BASE32: &str = "YEX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK";
const V2: &str = "caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e";

fn parse(link: &str) -> Magnet {
    Magnet::parse(link).unwrap_or_else(|error| panic!("{link}: {error}"))
}

/// A link that names a torrent, with `more` behind.
fn with(more: &str) -> Magnet {
    parse(&format!("magnet:?xt=urn:btih:{V1}&{more}"))
}

fn refusal(link: &str) -> String {
    match Magnet::parse(link) {
        Ok(magnet) => panic!("{link} was taken as {magnet}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn one_torrent_has_many_spellings() {
    let canonical = format!("magnet:?xt=urn:btih:{V1}");
    let spellings = [
        canonical.clone(),
        format!("magnet:?xt=urn:btih:{}", V1.to_uppercase()),
        format!("MAGNET:?XT=URN:BTIH:{V1}"),
        format!("magnet:?xt=urn:btih:{V1_BASE32}"),
        format!("magnet:?xt.1=urn:btih:{}", V1_BASE32.to_lowercase()),
        format!("magnet:?xt=urn%3Abtih%3a{V1}"),
        format!("  magnet:?&&xt=urn:btih:{V1}&\n"),
        format!("magnet:?dn=&amp;xt=urn:btih:{V1}&amp;xl="),
        format!("magnet:?xt=urn:tree:tiger:ABC&xt=urn:btih:{V1}&xt=urn:btih:{V1_BASE32}"),
    ];
    for link in spellings {
        assert_eq!(parse(&link).to_string(), canonical, "{link}");
    }
}

#[test]
fn a_hybrid_has_both_names_in_any_order() {
    let link = format!("magnet:?xt=urn:btmh:1220{}&xt=urn:btih:{V1}", V2.to_uppercase());
    let magnet = parse(&link);
    assert_eq!(magnet.info_hashes.v1(), Sha1::from_hex(V1));
    assert_eq!(magnet.info_hashes.v2(), Sha256::from_hex(V2));
    assert_eq!(magnet.to_string(), format!("magnet:?xt=urn:btih:{V1}&xt=urn:btmh:1220{V2}"));
    let second = parse(&format!("magnet:?xt=urn:btmh:1220{V2}"));
    assert_eq!(second, Magnet::new(InfoHashes::from_v2(Sha256::from_hex(V2).unwrap())));
    assert_eq!(second.to_string(), format!("magnet:?xt=urn:btmh:1220{V2}"));
}

#[test]
fn every_hint_is_read_and_written_in_one_order() {
    let link = "so=4-6,2&x.pe=%5B2001:DB8::1%5D:7&x.pe=peer.example.org:6881&as=http://c/f&\
        xs=http%3A%2F%2Fc%2Ft.torrent&ws=http://w/&tr.1=udp://t:1/a&tr=https://t/a?k=v%26w&xl=12&\
        dn=A+name%20%26+%C3%A9%2B&xs.foo=1&kt=words";
    let magnet = with(link);
    assert_eq!(magnet.name.as_deref(), Some("A name & é+"));
    assert_eq!(magnet.trackers, ["udp://t:1/a", "https://t/a?k=v&w"]);
    assert_eq!(magnet.web_seeds, ["http://w/"]);
    assert_eq!(magnet.sources, ["http://c/t.torrent"]);
    assert_eq!(magnet.acceptable_sources, ["http://c/f"]);
    let peers: Vec<_> = magnet.peers.iter().map(|peer| (peer.host(), peer.port())).collect();
    assert_eq!(peers, [("2001:db8::1", 7), ("peer.example.org", 6881)]);
    assert_eq!(magnet.length, Some(12));
    assert_eq!(magnet.select, Some(vec![2..=2, 4..=6]));
    let canonical = format!(
        "magnet:?xt=urn:btih:{V1}&dn=A%20name%20%26%20%C3%A9%2B&xl=12&tr=udp%3A%2F%2Ft%3A1%2Fa&\
         tr=https%3A%2F%2Ft%2Fa%3Fk%3Dv%26w&ws=http%3A%2F%2Fw%2F&xs=http%3A%2F%2Fc%2Ft.torrent&\
         as=http%3A%2F%2Fc%2Ff&x.pe=[2001:db8::1]:7&x.pe=peer.example.org:6881&so=2,4-6"
    );
    assert_eq!(magnet.to_string(), canonical);
    assert_eq!(canonical.parse(), Ok(magnet));
}

#[test]
fn hints_that_mean_nothing_are_passed_over() {
    let wrong = [
        "dn=",
        "dn=+%20",
        "tr=",
        "tr=two%20words",
        "tr=%00",
        "tr=%FF%FE",
        "xl=-1",
        "xl=99999999999999999999",
        "x.pe=host",
        "x.pe=host:0",
        "x.pe=host:65536",
        "x.pe=host:+1",
        "x.pe=:1",
        "x.pe=::1:1",
        "x.pe=[::1:1",
        "x.pe=[name]:1",
        "x.pe=ho st:1",
        "so=",
        "so=,",
        "=",
        "%",
        "as",
    ];
    for hint in wrong {
        assert_eq!(with(hint).to_string(), format!("magnet:?xt=urn:btih:{V1}"), "{hint}");
    }
    assert_eq!(with(&format!("tr=http://{}", "x".repeat(2_042))).trackers, [] as [&str; 0]);
    assert_eq!(with("tr=http://a/b+c").trackers, ["http://a/b+c"]);
    assert_eq!(with("tr=http://a&tr=%20http://a%20&tr.7=http://a").trackers, ["http://a"]);
    assert_eq!(with("dn=first&dn=second&xl=1&xl=2").name.as_deref(), Some("first"));
}

#[test]
fn a_selection_is_sorted_and_joined_or_refused() {
    let rows = [
        ("so=0", vec![0..=0]),
        ("so=5,3,4", vec![3..=5]),
        ("so=1-3,2-9,11", vec![1..=9, 11..=11]),
        ("so=7&so=1%2C2", vec![1..=2, 7..=7]),
        ("so=4294967295,0-4294967295", vec![0..=u32::MAX]),
        ("so=%204%20-%206%20,", vec![4..=6]),
    ];
    for (hint, ranges) in rows {
        assert_eq!(with(hint).select, Some(ranges), "{hint}");
    }
    for so in ["x", "3-1", "-", "1-", "-1", "1-2-3", "4294967296", "+1", "0x1", "1;2"] {
        let error = refusal(&format!("magnet:?xt=urn:btih:{V1}&so={so}"));
        let expected =
            format!("expected file numbers like `so=0,2,4-7`, got `{so}`; mend or remove `so`");
        assert_eq!(error, expected);
    }
    let many: Vec<String> = (0..10_001).map(|number| (number * 2).to_string()).collect();
    assert_eq!(with(&format!("so={}", many[1..].join(","))).select.unwrap().len(), 10_000);
    let error = refusal(&format!("magnet:?xt=urn:btih:{V1}&so={}", many.join(",")));
    assert_eq!(error, "expected at most 10000 ranges of files in `so`, got more; select fewer");
}

#[test]
fn what_names_no_torrent_is_refused_with_the_reason() {
    let other = V1.replace('c', "d");
    let rows = [
        (String::new(), "starts with `magnet:?`, got ``"),
        ("http://example.org/".into(), "starts with `magnet:?`, got `http://example.org/`"),
        ("magnet:".into(), "starts with `magnet:?`"),
        ("\u{1b}[2J\u{202e}".into(), r"got `\u{1b}[2J\u{202e}`"),
        ("magnet:?é".into(), "found neither"),
        ("magnet:?dn=x".into(), "found neither"),
        ("magnet:?xt=urn:sha1:YNCKHTQCWBTRNJIV4WNAE52SJUQCZO5C".into(), "found neither"),
        ("magnet:?xt=urn:btih:".into(), "after `urn:btih:`, got ``"),
        (format!("magnet:?xt=urn:btih:{V1}0"), "40 hex digits or 32 base32"),
        (format!("magnet:?xt=urn:btih:{}", &V1_BASE32[1..]), "40 hex digits or 32 base32"),
        (format!("magnet:?xt=urn:btih:{}1", &V1_BASE32[1..]), "40 hex digits or 32 base32"),
        (format!("magnet:?xt=urn:btmh:1114{V1}"), "`1220` (SHA-256) and 64 hex digits"),
        (format!("magnet:?xt=urn:btmh:{V2}"), "`1220` (SHA-256) and 64 hex digits"),
        (format!("magnet:?xt=urn:btmh:1220{}", &V2[1..]), "`1220` (SHA-256) and 64 hex digits"),
        (format!("magnet:?xt=urn:btih:{V1}&xt=urn:btih:{other}"), "two different `urn:btih`"),
        (
            format!("magnet:?xt=urn:btmh:1220{V2}&xt=urn:btmh:1220{}", V2.replace('c', "d")),
            "two different `urn:btmh`",
        ),
        (format!("magnet:?xt=urn:btih:{V1}&dn={}", "x".repeat(200_000)), "at most 131072 bytes"),
    ];
    for (link, reason) in rows {
        let error = refusal(&link);
        assert!(error.contains(reason), "{link:.200}: {error}");
    }
}

#[test]
fn lists_are_bounded_and_so_is_the_link_that_would_be_written() {
    let links = |count: usize, key: &str| {
        (0..count).map(|number| format!("{key}=http://h{number}:1/&")).collect::<String>()
    };
    assert_eq!(with(&links(300, "tr")).trackers.len(), 200);
    assert_eq!(with(&links(300, "ws")).web_seeds.len(), 100);
    assert_eq!(with(&links(300, "x.pe").replace("http://", "").replace('/', "")).peers.len(), 100);
    let name = with(&format!("dn={}", "é".repeat(600))).name.unwrap();
    assert_eq!(name.chars().count(), 500);
    let unescaped: String =
        (0..60).map(|number| format!("tr=http://{number}{}&", "é".repeat(1_000))).collect();
    let error = refusal(&format!("magnet:?xt=urn:btih:{V1}&{unescaped}"));
    assert!(error.starts_with("expected a magnet link of at most 131072 bytes, got 36"), "{error}");
}

fn any_url() -> impl Strategy<Value = String> {
    "[!-~\u{a1}-\u{ff}\u{1f600}-\u{1f64f}]{1,60}"
}

fn any_hashes() -> impl Strategy<Value = InfoHashes> {
    (any::<[u8; 20]>(), any::<[u8; 32]>(), 0..3).prop_map(|(v1, v2, kind)| match kind {
        0 => InfoHashes::from_v1(Sha1(v1)),
        1 => InfoHashes::from_v2(Sha256(v2)),
        _ => InfoHashes::new(Some(Sha1(v1)), Some(Sha256(v2))).unwrap(),
    })
}

fn any_peer() -> impl Strategy<Value = MagnetPeer> {
    let v6 = any::<[u8; 16]>().prop_map(|octets| Ipv6Addr::from(octets).to_string());
    let host = proptest::prop_oneof!["[a-z0-9_.-]{1,20}", v6];
    (host, 1..=u16::MAX).prop_map(|(host, port)| MagnetPeer::new(&host, port).unwrap())
}

fn any_magnet() -> impl Strategy<Value = Magnet> {
    let urls = || proptest::collection::btree_set(any_url(), 0..5);
    let lists = (urls(), urls(), urls(), urls());
    let peers = proptest::collection::hash_set(any_peer(), 0..5);
    let select = proptest::collection::vec((any::<u32>(), 0..9u32), 1..5);
    let extras = (
        proptest::option::of("[^ \t\r\n\u{b}\u{c}\u{80}-\u{9f}]{1,40}"),
        proptest::option::of(any::<u64>()),
        proptest::option::of(select),
    );
    (any_hashes(), lists, peers, extras).prop_map(|(hashes, lists, peers, extras)| Magnet {
        name: extras.0.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()),
        trackers: lists.0.into_iter().collect(),
        web_seeds: lists.1.into_iter().collect(),
        sources: lists.2.into_iter().collect(),
        acceptable_sources: lists.3.into_iter().collect(),
        peers: peers.into_iter().collect(),
        length: extras.1,
        select: extras.2.map(|pairs| {
            let range = |(first, more): (u32, u32)| first..=first.saturating_add(more);
            merged(pairs.into_iter().map(range).collect()).unwrap()
        }),
        ..Magnet::new(hashes)
    })
}

fn any_parameter() -> impl Strategy<Value = String> {
    "(tr|xt|dn|so|xl|x\\.pe|ws|tr\\.[0-9]*)=\\PC{0,12}"
}

proptest! {
    #[test]
    fn a_link_written_and_read_is_the_same(magnet in any_magnet()) {
        let link = magnet.to_string();
        prop_assert_eq!(Magnet::parse(&link), Ok(magnet));
    }

    #[test]
    fn any_text_is_refused_or_reads_the_same_once_written(
        parts in proptest::collection::vec(any_parameter(), 0..6),
        names in any_hashes(),
    ) {
        let link = format!("{}&{}", Magnet::new(names), parts.join("&"));
        if let Ok(magnet) = Magnet::parse(&link) {
            prop_assert_eq!(Magnet::parse(&magnet.to_string()), Ok(magnet));
        }
    }
}
