//! Checked metainfo: what is kept, what is refused and why, and what must load although it is odd.

use std::path::Component;

use proptest::prelude::any;
use proptest::prop_assert_eq;
use proptest::proptest;

use super::*;
use crate::codec::meta_error::MetainfoError;

const TORRENT: &[u8] =
    b"d8:announce10:http://t/a13:announce-listll10:http://t/a9:udp://u:1el10:http://v/aee\
    4:infod5:filesld6:lengthi16384e4:pathl1:aeed4:attr1:p6:lengthi10e4:pathl4:.pad2:10ee\
    d6:lengthi5e4:pathl1:b1:ceee4:name3:dir12:piece lengthi16384e6:pieces40:\
    0123456789012345678901234567890123456789ee";

#[test]
fn files_pieces_and_trackers_are_read() {
    let torrent = Torrent::parse(TORRENT).unwrap();
    assert_eq!(torrent.name(), "dir");
    assert_eq!((torrent.total_length(), torrent.piece_count()), (16_399, 2));
    let files: Vec<_> = torrent
        .files()
        .iter()
        .map(|f| (f.path().to_str().unwrap(), f.offset(), f.length(), f.is_on_disk()))
        .collect();
    let expected = [
        ("dir/a", 0, 16_384, true),
        ("dir/.pad/10", 16_384, 10, false),
        ("dir/b/c", 16_394, 5, true),
    ];
    assert_eq!(files, expected);
    assert_eq!(torrent.trackers(), [vec!["http://t/a", "udp://u:1"], vec!["http://v/a"]]);
    let hashes: Vec<_> =
        torrent.layout().pieces().map(|p| torrent.piece_hash_v1(p).unwrap()).collect();
    assert_eq!(hashes, [Sha1(*b"01234567890123456789"); 2]);
    assert_eq!(torrent.pieces_of(FileIndex(0)), 0..1);
    assert_eq!(torrent.pieces_of(FileIndex(2)), 1..2);
    assert!(!torrent.is_private());
}

#[test]
fn the_info_hash_is_over_the_bytes_as_they_are() {
    // Unsorted keys: a re-encoding would sort them and give another hash.
    let info = b"d4:name1:a6:lengthi3e12:piece lengthi16384e6:pieces20:01234567890123456789e";
    let bytes = [b"d4:info", &info[..], b"e"].concat();
    let torrent = Torrent::parse(&bytes).unwrap();
    assert_eq!(torrent.info_hash(), Sha1::of(info));
    assert_eq!(torrent.info_bytes(), info);
    let piece = torrent.layout().piece(0).unwrap();
    assert_eq!(torrent.piece_hash_v1(piece).unwrap(), Sha1(*b"01234567890123456789"));
}

/// A dictionary under construction: pairs in the order given, sorted or not, once or twice.
#[derive(Clone)]
pub(super) struct Forge(pub(super) Vec<(String, Vec<u8>)>);

impl Forge {
    pub(super) fn empty() -> Forge {
        Forge(Vec::new())
    }

    /// A sound single-file `info`.
    pub(super) fn single() -> Forge {
        Forge(Vec::new())
            .with("length", "i3e")
            .with("name", "1:a")
            .with("piece length", "i16384e")
            .with("pieces", "20:01234567890123456789")
    }

    /// A v2 `info` around this tree.
    pub(super) fn tree(tree: &str) -> Forge {
        let rest = Forge::empty().with("meta version", "i2e").with("name", "3:dir");
        rest.with("file tree", tree).with("piece length", "i16384e")
    }

    /// A sound multi-file `info` around these entries.
    pub(super) fn multi(files: &str) -> Forge {
        let single = Forge::single().without("length").with("name", "3:dir");
        single.with("files", format!("l{files}e"))
    }

    /// Sets a pair, or appends it.
    pub(super) fn with(mut self, key: &str, value: impl Into<Vec<u8>>) -> Forge {
        let value = value.into();
        match self.0.iter_mut().find(|(found, _)| found == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
        self
    }

    /// Appends a pair even if the key is there.
    fn again(mut self, key: &str, value: impl Into<Vec<u8>>) -> Forge {
        self.0.push((key.to_owned(), value.into()));
        self
    }

    pub(super) fn without(mut self, key: &str) -> Forge {
        self.0.retain(|(found, _)| found != key);
        self
    }

    pub(super) fn render(&self) -> Vec<u8> {
        let pairs = self.0.iter();
        let pairs = pairs.map(|(key, value)| {
            [format!("{}:{key}", key.len()).as_bytes(), value.as_slice()].concat()
        });
        [b"d".to_vec(), pairs.collect::<Vec<_>>().concat(), b"e".to_vec()].concat()
    }

    /// The whole .torrent with this `info`.
    pub(super) fn torrent(&self) -> Vec<u8> {
        Forge(Vec::new()).with("info", self.render()).render()
    }

    /// The whole .torrent with this `info` and one more pair beside it.
    pub(super) fn beside(&self, key: &str, value: &str) -> Vec<u8> {
        Forge(Vec::new()).with("info", self.render()).with(key, value).render()
    }
}

fn file(length: &str, path: &str) -> String {
    format!("d6:length{length}4:path{path}e")
}

fn hashes(count: usize) -> Vec<u8> {
    [format!("{}:", count * 20).into_bytes(), vec![7; count * 20]].concat()
}

/// The error in two words.
fn verdict(bytes: &[u8]) -> String {
    match Torrent::parse(bytes) {
        Ok(torrent) => format!("loaded {torrent:?}"),
        Err(TorrentError::Bencode(error)) => format!("{:?}", error.kind),
        Err(TorrentError::Metainfo(MetainfoError::Missing { key })) => format!("missing {key}"),
        Err(TorrentError::Metainfo(MetainfoError::Wrong { key, .. })) => format!("wrong {key}"),
        Err(TorrentError::Metainfo(MetainfoError::Duplicate { key })) => format!("twice {key}"),
        Err(TorrentError::Metainfo(error)) => format!("{error:?}"),
        Err(TorrentError::Layout(error)) => format!("{error:?}").split(' ').next().unwrap().into(),
        Err(TorrentError::Path(error)) => format!("{error:?}").split(' ').next().unwrap().into(),
        Err(error) => format!("{error:?}").split(' ').next().unwrap().into(),
    }
}

fn check(table: Vec<(Vec<u8>, &str)>) -> usize {
    for (bytes, expected) in &table {
        let shown = bytes.get(..200).unwrap_or(bytes).escape_ascii();
        assert_eq!(verdict(bytes), *expected, "{shown}");
    }
    table.len()
}

/// Not bencode, or bencode that is no dictionary.
fn broken_frames() -> Vec<(Vec<u8>, &'static str)> {
    let sound = Forge::single().torrent();
    let cut = |len: usize| sound[..len].to_vec();
    vec![
        (b"".to_vec(), "Truncated"),
        (b" \n".to_vec(), "Truncated"),
        (b"<!DOCTYPE html>".to_vec(), "NotAValue"),
        (b"\x1f\x8b\x08".to_vec(), "NotAValue"),
        (b"\xef\xbb\xbfd4:infodee".to_vec(), "NotAValue"),
        (b"d".to_vec(), "Truncated"),
        (cut(1), "Truncated"),
        (cut(20), "Truncated"),
        (cut(sound.len() - 1), "Truncated"),
        (cut(sound.len() - 2), "Truncated"),
        ([&sound[..], b"x"].concat(), "TrailingBytes"),
        ([&sound[..], b"e"].concat(), "TrailingBytes"),
        ([&sound[..], &sound[..]].concat(), "TrailingBytes"),
        (b"i1e".to_vec(), "wrong (root)"),
        (b"le".to_vec(), "wrong (root)"),
        (b"4:info".to_vec(), "wrong (root)"),
        (b"de".to_vec(), "missing info"),
        (b"d4:infoi1ee".to_vec(), "wrong info"),
        (b"d4:infolee".to_vec(), "wrong info"),
        (b"d4:info2:dee".to_vec(), "wrong info"),
        (b"d4:infoe".to_vec(), "KeyWithoutValue"),
        (b"di4e4:infoe".to_vec(), "KeyNotAString"),
        (vec![b'l'; 100_000], "TooDeep"),
        ([vec![b'd'], b"1:ad".repeat(200)].concat(), "TooDeep"),
        ([b"l".to_vec(), b"le".repeat(3_000_000), b"e".to_vec()].concat(), "TooManyTokens"),
        (vec![b'd'; TORRENT_FILE_LEN_MAX as usize + 1], "FileTooLong"),
    ]
}

/// Integers and lengths in forms that other readers might take for something else.
fn broken_numbers() -> Vec<(Vec<u8>, &'static str)> {
    let length = |value: &str| Forge::single().with("length", value).torrent();
    let piece_length = |value: &str| Forge::single().with("piece length", value).torrent();
    vec![
        (length("i-0e"), "BadInteger"),
        (length("i03e"), "BadInteger"),
        (length("i+3e"), "BadInteger"),
        (length("i3.0e"), "BadInteger"),
        (length("i0x3e"), "BadInteger"),
        (length("ie"), "BadInteger"),
        (length("i9223372036854775808e"), "IntegerTooLarge"),
        (length("i99999999999999999999999999e"), "IntegerTooLarge"),
        (length("i-3e"), "wrong info.length"),
        (length("1:3"), "wrong info.length"),
        (length("le"), "wrong info.length"),
        (length("i9223372036854775807e"), "PieceCount"),
        (length("i0e"), "HashCount"),
        (length("i16385e"), "HashCount"),
        (piece_length("i0e"), "PieceLength"),
        (piece_length("i-16384e"), "wrong info.piece length"),
        (piece_length("i1e"), "PieceLength"),
        (piece_length("i16383e"), "PieceLength"),
        (piece_length("i268435457e"), "PieceLength"),
        (piece_length("i4294967296e"), "PieceLength"),
        (piece_length("i4294983680e"), "PieceLength"),
        (piece_length("5:16384"), "wrong info.piece length"),
        (Forge::single().without("piece length").torrent(), "missing info.piece length"),
        (Forge::single().with("name", "01:a").torrent(), "BadLength"),
        (Forge::single().with("name", "99999999999999999999:a").torrent(), "BadLength"),
        (Forge::single().with("name", "4294967295:a").torrent(), "Truncated"),
        (Forge::single().with("name", "-1:a").torrent(), "NotAValue"),
    ]
}

/// Hashes, names and keys that do not fit together.
fn broken_info() -> Vec<(Vec<u8>, &'static str)> {
    let single = Forge::single;
    let many = Forge::multi(&file("i34359738369e", "l1:ae"));
    vec![
        (single().without("pieces").torrent(), "missing info.pieces"),
        (single().with("pieces", "19:0123456789012345678").torrent(), "wrong info.pieces"),
        (single().with("pieces", "21:012345678901234567890").torrent(), "wrong info.pieces"),
        (single().with("pieces", "le").torrent(), "wrong info.pieces"),
        (single().with("pieces", "0:").torrent(), "HashCount"),
        (single().with("pieces", hashes(2)).torrent(), "HashCount"),
        (many.with("pieces", hashes(1)).torrent(), "PieceCount"),
        (single().without("name").torrent(), "missing info.name"),
        (single().with("name", "i1e").torrent(), "wrong info.name"),
        (single().with("name", "l1:ae").torrent(), "wrong info.name"),
        (single().without("length").torrent(), "missing info.length or info.files"),
        (single().with("files", "le").torrent(), "wrong info"),
        (single().again("length", "i3e").torrent(), "twice length"),
        (single().again("length", "i9e").torrent(), "twice length"),
        (single().again("pieces", "0:").torrent(), "twice pieces"),
        (single().again("\x01", "i1e").again("\x01", "i2e").torrent(), "twice \\x01"),
        (single().with("x", "ld1:yi1e1:yi1eee").torrent(), "twice y"),
        (
            single().without("pieces").without("length").with("meta version", "i2e").torrent(),
            "missing info.file tree",
        ),
    ]
}

/// File lists and paths.
fn broken_files() -> Vec<(Vec<u8>, &'static str)> {
    let files = |files: &str| Forge::multi(files).torrent();
    let deep = format!("l{}e", "1:d".repeat(65));
    let half = file("i9223372036854775807e", "l1:ae");
    let not_a_path = "wrong info.files.path";
    vec![
        (files(""), "NoFiles"),
        (Forge::multi("").with("files", "de").torrent(), "wrong info.files"),
        (Forge::multi("").with("files", "1:a").torrent(), "wrong info.files"),
        (files("i1e"), "wrong info.files"),
        (files("le"), "wrong info.files"),
        (files("de"), "missing info.files.length"),
        (files("d6:lengthi3ee"), "missing info.files.path"),
        (files("d4:pathl1:aee"), "missing info.files.length"),
        (files(&file("i-1e", "l1:ae")), "wrong info.files.length"),
        (files(&file("1:3", "l1:ae")), "wrong info.files.length"),
        (files(&file("i3e", "1:a")), not_a_path),
        (files(&file("i3e", "le")), not_a_path),
        (files(&file("i3e", "li1ee")), not_a_path),
        (files(&file("i3e", "l1:al1:bee")), not_a_path),
        (files(&file("i3e", "d1:a1:be")), not_a_path),
        (files(&file("i3e", &deep)), "TooDeep"),
        (files(&half.repeat(3)), "TotalTooLarge"),
        (files(&half.repeat(2)), "PieceCount"),
        (files(&file("i3e", "l1:ae").repeat(502)), "TooManyCollisions"),
        (files("d6:lengthi3e6:lengthi3e4:pathl1:aee"), "twice length"),
    ]
}

#[test]
fn malformed_torrents_are_refused_with_their_reason() {
    let count = check(broken_frames())
        + check(broken_numbers())
        + check(broken_info())
        + check(broken_files());
    assert!(count >= 60, "{count} malformed torrents");
}

#[test]
fn a_torrent_cut_anywhere_is_refused() {
    let sound = Forge::multi(&file("i3e", "l1:a1:be")).beside("announce", "8:http://t");
    assert!(Torrent::parse(&sound).is_ok());
    for len in 0..sound.len() {
        assert!(Torrent::parse(&sound[..len]).is_err(), "cut at {len}");
    }
}

fn load(bytes: &[u8]) -> Torrent {
    match Torrent::parse(bytes) {
        Ok(torrent) => torrent,
        Err(error) => panic!("{}: {error}", bytes.escape_ascii()),
    }
}

fn paths(bytes: &[u8]) -> Vec<String> {
    load(bytes).files().iter().map(|f| f.path().to_str().unwrap().to_owned()).collect()
}

#[test]
fn paths_that_reach_out_stay_below_the_torrents_directory() {
    let one = |path: &str| paths(&Forge::multi(&file("i3e", path)).torrent()).remove(0);
    assert_eq!(one("l2:..2:..3:etc6:passwde"), "dir/__/__/etc/passwd");
    assert_eq!(one("l1:/e"), "dir/_");
    assert_eq!(one("l11:/etc/passwde"), "dir/_etc_passwd");
    assert_eq!(one("l6:..\\..\\e"), "dir/.._.._");
    assert_eq!(one("l0:0:e"), "dir/_/_");
    assert_eq!(one("l1:.1:ae"), "dir/_/a");
    assert_eq!(one("l3:a\0be"), "dir/a_b");
    assert_eq!(one("l2:C:1:ae"), "dir/C_/a");
    let named = |name: &str| paths(&Forge::single().with("name", name).torrent()).remove(0);
    assert_eq!(named("2:.."), "__");
    assert_eq!(named("0:"), "_");
    assert_eq!(named("9:/dev/sda1"), "_dev_sda1");
    let dir = Forge::multi(&file("i3e", "l1:ae")).with("name", "5:../..").torrent();
    assert_eq!(paths(&dir), ["..___/a"]);
}

#[test]
fn odd_but_valid_torrents_load() {
    let single = Forge::single;
    let sound = single().torrent();
    for bytes in [
        [&sound[..], b"\n"].concat(),
        [&sound[..], b"\r\n \t"].concat(),
        single().beside("announce", "i1e"),
        single().beside("announce", "0:"),
        single().beside("announce-list", "i1e"),
        single().beside("announce-list", "le"),
        single().beside("announce-list", "llei1edee"),
        single().beside("url-list", "0:"),
        single().beside("url-list", "i0e"),
        single().beside("creation date", "4:noon"),
        single().beside("comment", "li1ee"),
        single().beside("nodes", "ll9:127.0.0.1i6881eee"),
        single().beside("info ", "de"),
        single().with("private", "1:1").torrent(),
        single().with("private", "i0e").torrent(),
        single().with("unknown", "d1:bi1e1:ai2ee").torrent(),
        single().with("name.utf-8", "i5e").torrent(),
        Forge::multi(&file("i3e", "l1:ae")).with("piece length", "i16385e").torrent(),
        Forge(single().0.into_iter().rev().collect()).torrent(),
    ] {
        let torrent = load(&bytes);
        assert_eq!((torrent.total_length(), torrent.piece_count()), (3, 1));
        assert!(!torrent.is_private());
        assert!(torrent.trackers().is_empty() && torrent.url_list().is_empty());
        assert_eq!(torrent.creation_date(), None);
    }
}

#[test]
fn torrents_without_a_byte_load_without_pieces() {
    let empty = Forge::single().with("length", "i0e").with("pieces", "0:").torrent();
    let torrent = load(&empty);
    assert_eq!((torrent.piece_count(), torrent.total_length()), (0, 0));
    assert_eq!(torrent.pieces_of(FileIndex(0)), 0..0);
    let files = file("i0e", "l1:ae") + &file("i0e", "l1:be");
    let torrent = load(&Forge::multi(&files).with("pieces", "0:").torrent());
    assert_eq!((torrent.piece_count(), torrent.files().len()), (0, 2));
}

#[test]
fn empty_files_pads_and_links_are_listed() {
    let files = file("i0e", "l1:ze")
        + "d4:attr1:p6:lengthi2e4:pathl4:.pad1:2ee"
        + "d4:attr1:p6:lengthi2e4:pathl4:.pad1:2ee"
        + "d4:attr1:l4:pathl1:le12:symlink pathl2:..6:passwdee"
        + "d4:attr2:lx6:lengthi99e4:pathl1:mee"
        + "d4:attr2:xh6:lengthi3e4:pathl1:xee";
    let torrent = load(&Forge::multi(&files).torrent());
    assert_eq!(torrent.total_length(), 7);
    let kinds: Vec<_> = torrent
        .files()
        .iter()
        .map(|f| (f.length(), f.is_pad(), f.is_symlink(), f.is_on_disk()))
        .collect();
    let expected = [
        (0, false, false, true),
        (2, true, false, false),
        (2, true, false, false),
        (0, false, true, false),
        (0, false, true, false),
        (3, false, false, true),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn trackers_come_from_the_list_or_from_the_one_key_and_once() {
    let trackers =
        |key: &str, value: &str| load(&Forge::single().beside(key, value)).trackers().to_vec();
    assert_eq!(trackers("announce", "8:http://t"), [["http://t"]]);
    assert_eq!(trackers("announce", "10: http://t "), [["http://t"]]);
    assert!(trackers("announce", "9:http:// t").is_empty(), "a blank inside is no URL");
    assert!(trackers("announce", "3:a\x07b").is_empty());
    assert!(
        trackers("announce", "2:\u{e4}").len() == 1,
        "text beyond ASCII is the announcer's affair"
    );
    let list = "ll1:a1:aelel1:b1:aee";
    assert_eq!(trackers("announce-list", list), [["a"], ["b"]]);
    assert_eq!(trackers("announce-list", "l1:a1:be"), [["a"], ["b"]], "URLs outside tiers");
    let many: String = (100..400).map(|n| format!("3:{n}")).collect();
    let bounded = trackers("announce-list", &format!("ll{many}ee"));
    assert_eq!(bounded.iter().flatten().count(), 200);
    let long = format!("3000:{}", "u".repeat(3000));
    assert!(trackers("announce", &long).is_empty());
}

#[test]
fn both_keys_for_names_count_the_newer_first() {
    let entry = "d6:lengthi3e4:pathl1:\u{7f}e10:path.utf-8l2:\u{e4}ee";
    let info = Forge::multi(entry).with("name.utf-8", "2:\u{f6}");
    assert_eq!(paths(&info.torrent()), ["\u{f6}/\u{e4}"]);
}

#[test]
fn text_that_is_no_text_is_made_text() {
    let bytes = [b"d7:comment2:\xff\xfe4:info".to_vec(), Forge::single().render(), b"e".to_vec()];
    assert_eq!(load(&bytes.concat()).comment(), Some("\u{fffd}\u{fffd}"));
}

#[test]
fn any_number_but_zero_makes_a_torrent_private() {
    for number in ["i1e", "i2e", "i-1e"] {
        assert!(load(&Forge::single().with("private", number).torrent()).is_private(), "{number}");
    }
}

proptest! {
    #[test]
    fn a_damaged_torrent_is_refused_or_sound(
        damage in proptest::collection::vec((any::<usize>(), any::<u8>(), 0..4u8), 1..4),
    ) {
        let files = file("i20000e", "l1:a1:be") + &file("i0e", "l1:ce") + &file("i1e", "l1:ae");
        let mut bytes = Forge::multi(&files).with("pieces", hashes(2)).beside("announce", "1:u");
        for (at, byte, how) in damage {
            let at = at % bytes.len();
            match how {
                0 => bytes[at] = byte,
                1 => bytes[at] = b"0123456789:ilde-"[usize::from(byte % 16)],
                2 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        let Ok(torrent) = Torrent::parse(&bytes) else { return Ok(()) };
        let length: u64 = torrent.files().iter().map(|f| f.length()).sum();
        prop_assert_eq!(length, torrent.total_length());
        let pieces = length.div_ceil(torrent.piece_length().into());
        prop_assert_eq!(u64::from(torrent.piece_count()), pieces);
        for file in torrent.files() {
            let names = file.path().components().filter(|c| matches!(c, Component::Normal(_)));
            prop_assert_eq!(names.count(), file.path().components().count());
        }
        prop_assert_eq!(Sha1::of(torrent.info_bytes()), torrent.info_hash());
    }
}

#[test]
fn a_raw_info_dictionary_and_a_magnets_trackers_make_the_same_torrent() {
    let whole = Torrent::parse(TORRENT).unwrap();
    let tiers = [vec!["http://t/a".to_owned()], vec!["http://t/a".to_owned(), "x y".to_owned()]];
    let torrent =
        Torrent::from_info(whole.info_bytes(), &tiers, &["http://w/".to_owned()]).unwrap();
    assert_eq!(torrent.info_hashes(), whole.info_hashes());
    assert_eq!(torrent.files(), whole.files());
    assert_eq!(torrent.trackers(), [["http://t/a"]], "cleaned like those of a file");
    assert_eq!(torrent.url_list(), ["http://w/"]);
    assert!(Torrent::from_info(TORRENT, &[], &[]).is_err(), "a whole file is no info dictionary");
    assert!(Torrent::from_info(b"d4:name1:ae", &[], &[]).is_err());
}

#[test]
fn a_magnet_without_metadata_is_a_torrent_without_pieces_and_files() {
    let names = InfoHashes::from_v1(Sha1([7; 20]));
    let tiers = [vec!["http://t/a".to_owned()]];
    let torrent = Torrent::nameless(names, Some("../a"), &tiers);
    assert_eq!((torrent.name(), torrent.info_hashes()), (".._a", names));
    assert_eq!((torrent.piece_count(), torrent.total_length()), (0, 0));
    assert!(torrent.files().is_empty() && !torrent.has_metadata());
    assert_eq!(torrent.trackers(), tiers);
    assert_eq!(Torrent::nameless(names, None, &[]).name(), "07".repeat(20));
    assert!(Torrent::parse(TORRENT).unwrap().has_metadata());
}
