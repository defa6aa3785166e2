//! Checked metainfo: what is kept, and that the info hash is over the raw bytes.

use super::*;

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
    let hashes: Vec<_> = torrent.layout().pieces().map(|p| torrent.piece_hash(p)).collect();
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
    assert_eq!(torrent.piece_hash(piece), Sha1(*b"01234567890123456789"));
}
