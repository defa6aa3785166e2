//! What is made, read again.

use super::*;
use crate::codec::bencode::Document;
use crate::codec::metainfo;
use crate::content::torrent::Torrent;

fn digests(count: u8) -> Vec<Sha256> {
    (0..count).map(|number| Sha256::of(&[number])).collect()
}

fn three_files(version: TorrentVersion) -> TorrentMaker {
    TorrentMaker::directory("dir")
        .file(["a"], 40_000)
        .file(["b", "empty"], 0)
        .file(["b", "x"], 16_384)
        .file(["b-c"], 5)
        .with_piece_length(16_384)
        .version(version)
}

#[test]
fn what_is_made_is_read_back() {
    let hashes = [Sha1([1; 20]), Sha1([2; 20])];
    let bytes = TorrentMaker::directory("dir")
        .file(["sub", "a"], 20_000)
        .file(["empty"], 0)
        .with_piece_length(16_384)
        .tier(["http://one/a", "udp://two:1/a"])
        .tier(["http://three/a"])
        .web_seed("http://seed/")
        .private(true)
        .comment("hello")
        .created_by("coreswarm")
        .creation_date(7)
        .finish(&hashes)
        .unwrap();
    let torrent = Torrent::parse(&bytes).unwrap();
    let paths: Vec<_> = torrent.files().iter().map(|f| f.path().to_str().unwrap()).collect();
    assert_eq!(paths, ["dir/sub/a", "dir/empty"]);
    assert_eq!(torrent.trackers(), [vec!["http://one/a", "udp://two:1/a"], vec!["http://three/a"]]);
    assert_eq!(torrent.url_list(), ["http://seed/"]);
    assert!(torrent.is_private());
    assert_eq!(torrent.comment(), Some("hello"));
    assert_eq!(torrent.created_by(), Some("coreswarm"));
    assert_eq!(torrent.creation_date(), Some(7));
    let read: Vec<_> =
        torrent.layout().pieces().map(|p| torrent.piece_hash_v1(p).unwrap()).collect();
    assert_eq!(read, hashes);
}

#[test]
fn a_single_file_torrent_is_just_that_file() {
    let maker = TorrentMaker::single("a.iso", 10).tier(["http://t/a"]);
    let bytes = maker.finish(&[Sha1([9; 20])]).unwrap();
    assert!(!bytes.windows(13).any(|w| w == b"announce-list"), "one tracker needs no list");
    let torrent = Torrent::parse(&bytes).unwrap();
    assert_eq!(torrent.files()[0].path().to_str(), Some("a.iso"));
    assert_eq!((torrent.total_length(), torrent.piece_length()), (10, 16_384));
    assert_eq!(torrent.trackers(), [["http://t/a"]]);
}

#[test]
fn what_makes_no_torrent_is_refused() {
    let hash = Sha1([0; 20]);
    let wrong_count = TorrentMaker::single("a", 10).finish(&[]);
    assert_eq!(wrong_count, Err(MakeError::HashCount { expected: 1, got: 0 }));
    let short = TorrentMaker::single("a", 10).with_piece_length(10).finish(&[hash]);
    assert_eq!(short, Err(MakeError::PieceLength { got: 10 }));
    assert_eq!(TorrentMaker::directory("a").finish(&[]), Err(MakeError::NoFiles));
    let huge = TorrentMaker::directory("a").file(["x"], u64::MAX).file(["y"], 1);
    assert_eq!(huge.finish(&[]), Err(MakeError::TotalTooLarge));
    assert!(matches!(TorrentMaker::single("a", u64::MAX).finish(&[]), Err(MakeError::Layout(_))));
}

#[test]
fn v2_has_a_sorted_tree_of_files_and_layers_outside_of_info() {
    let roots = digests(5);
    let bytes = three_files(TorrentVersion::V2).finish_with(&[], &roots).unwrap();
    let document = Document::parse(&bytes, metainfo::LIMITS).unwrap();
    let info = document.root().get(b"info").unwrap();
    assert_eq!(info.get(b"meta version").and_then(|v| v.as_int()), Some(2));
    assert!(info.get(b"pieces").is_none() && info.get(b"files").is_none());
    let leaf = |path: &[&[u8]]| {
        let tree = info.get(b"file tree").unwrap();
        let node = path.iter().fold(tree, |node, name| node.get(name).unwrap());
        let file = node.get(b"").unwrap();
        let root = file.get(b"pieces root").map(|v| v.as_bytes().unwrap().to_vec());
        (file.get(b"length").and_then(|v| v.as_u64()).unwrap(), root)
    };
    let root = merkle::root(&roots[..3], 4);
    assert_eq!(leaf(&[b"a"]), (40_000, Some(root.as_bytes().to_vec())));
    assert_eq!(leaf(&[b"b", b"empty"]), (0, None));
    assert_eq!(leaf(&[b"b", b"x"]), (16_384, Some(roots[3].as_bytes().to_vec())));
    assert_eq!(leaf(&[b"b-c"]), (5, Some(roots[4].as_bytes().to_vec())));
    let layers = document.root().get(b"piece layers").unwrap();
    let expected: Vec<u8> = roots[..3].iter().flat_map(Sha256::as_bytes).copied().collect();
    assert_eq!(layers.get(root.as_bytes()).unwrap().as_bytes(), Some(&expected[..]));
    assert!(layers.get(roots[3].as_bytes()).is_none(), "one piece needs no layer");
}

#[test]
fn hybrids_have_pads_behind_files_that_end_inside_a_piece() {
    let bytes =
        three_files(TorrentVersion::Hybrid).finish_with(&[Sha1([7; 20]); 5], &digests(5)).unwrap();
    let document = Document::parse(&bytes, metainfo::LIMITS).unwrap();
    let info = document.root().get(b"info").unwrap();
    assert_eq!(info.get(b"pieces").and_then(|v| v.as_bytes()).map(<[u8]>::len), Some(100));
    let files = info.get(b"files").and_then(|v| v.as_list()).unwrap();
    let lens: Vec<_> = files
        .map(|file| {
            (file.get(b"length").and_then(|v| v.as_u64()).unwrap(), file.get(b"attr").is_some())
        })
        .collect();
    let pad = 3 * 16_384 - 40_000;
    let (data, end) = ([(0, false), (16_384, false), (5, false)], (16_379, true));
    assert_eq!(lens, [&[(40_000, false), (pad, true)][..], &data, &[end]].concat());
}

#[test]
fn equal_files_share_a_layer() {
    let twins = TorrentMaker::directory("d")
        .file(["a"], 20_000)
        .file(["b"], 20_000)
        .with_piece_length(16_384)
        .version(TorrentVersion::V2);
    let roots = [digests(2), digests(2)].concat();
    let bytes = twins.finish_with(&[], &roots).unwrap();
    let document = Document::parse(&bytes, metainfo::LIMITS).unwrap();
    let layers = document.root().get(b"piece layers").unwrap().as_dict().unwrap();
    assert_eq!(layers.count(), 1);
}

#[test]
fn names_are_bytes() {
    let maker = TorrentMaker::directory(b"d\xff".as_slice()).file([b"\xfe.bin".as_slice()], 1);
    let bytes = maker.finish(&[Sha1([0; 20])]).unwrap();
    assert!(bytes.windows(7).any(|w| w == b"5:\xfe.bin"), "written as they are");
}

#[test]
fn what_v2_cannot_hold_is_refused() {
    let maker = || TorrentMaker::directory("d").version(TorrentVersion::V2);
    for (paths, bad) in [
        ([vec!["b"], vec!["a"]], "a"),
        ([vec!["a"], vec!["a"]], "a"),
        ([vec!["a"], vec!["a", "x"]], "a/x"),
        ([vec!["a-b"], vec!["a", "b"]], "a/b"),
    ] {
        let maker = paths.into_iter().fold(maker(), |maker, path| maker.file(path, 0));
        let error = MakeError::Order { path: bad.to_owned() };
        assert_eq!(maker.finish_with(&[], &[]), Err(error), "{bad}");
    }
    let odd = maker().file(["a"], 0).with_piece_length(20_000).finish_with(&[], &[]);
    assert_eq!(odd, Err(MakeError::PieceLengthV2 { got: 20_000 }));
    let count = maker().file(["a"], 1).finish_with(&[], &[]);
    assert_eq!(count, Err(MakeError::HashCount { expected: 1, got: 0 }));
    let count = maker().file(["a"], 1).finish_with(&[Sha1([0; 20])], &digests(1));
    assert_eq!(count, Err(MakeError::HashCount { expected: 0, got: 1 }));
}

#[test]
fn names_that_no_file_can_have_are_refused() {
    for path in [&["..", "x"][..], &["a/b"], &[""], &["a\0"], &[], &["x"; 65]] {
        let made = TorrentMaker::directory("d").file(path.iter().copied(), 0).finish(&[]);
        assert!(matches!(made, Err(MakeError::Path { .. })), "{path:?}: {made:?}");
    }
    assert!(matches!(TorrentMaker::single("", 0).finish(&[]), Err(MakeError::Path { .. })));
}
