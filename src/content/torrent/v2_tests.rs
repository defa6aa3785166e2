//! Torrents of v2 and hybrids: as libtorrent makes them, and as nobody should.

use super::tests::Forge;
use super::*;
use crate::base::ids::BlockIndex;
use crate::base::limits::BLOCK_LEN;
use crate::content::merkle;

/// Made by libtorrent 2.1.1 with pieces of 32 KiB from `bytes`: a directory and a file, each of v2
/// only and as a hybrid.
const V2: &[u8] = include_bytes!("v2.torrent");
const HYBRID: &[u8] = include_bytes!("hybrid.torrent");
const ONE_V2: &[u8] = include_bytes!("one_v2.torrent");
const ONE_HYBRID: &[u8] = include_bytes!("one_hybrid.torrent");

/// What the files were filled with.
fn bytes(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251 + seed) as u8).collect()
}

/// The bytes of the directory by path.
fn bytes_of(path: &str) -> Vec<u8> {
    match path {
        "dir/a.bin" => bytes(40_000, 1),
        "dir/b" => bytes(32_768, 6),
        "dir/sub/empty" => Vec::new(),
        "dir/sub/five" => bytes(5, 3),
        "dir/z" => bytes(20_000, 4),
        "one.bin" => bytes(100_000, 5),
        pad => vec![0; pad.rsplit('/').next().unwrap().parse().unwrap()],
    }
}

fn leaves(bytes: &[u8]) -> Vec<Sha256> {
    bytes.chunks(BLOCK_LEN as usize).map(Sha256::of).collect()
}

fn list(torrent: &Torrent) -> Vec<String> {
    let files = torrent.files().iter();
    files.map(|f| format!("{} {} at {}", f.path().display(), f.length(), f.offset())).collect()
}

/// Every piece's hashes against its bytes.
fn check_pieces(torrent: &Torrent) {
    let files = torrent.files().iter();
    let all: Vec<u8> = files.flat_map(|f| bytes_of(f.path().to_str().unwrap())).collect();
    for piece in torrent.layout().pieces() {
        let start = torrent.layout().offset(piece) as usize;
        let wire = &all[start..start + torrent.layout().piece_len(piece) as usize];
        if let Some(hash) = torrent.piece_hash_v1(piece) {
            assert_eq!(hash, Sha1::of(wire), "{piece}");
        }
        let span = torrent.file_list().spans(start as u64, u64::MAX).next().unwrap();
        let own = wire.len().min(span.length as usize);
        let width = torrent.piece_tree_width(piece);
        assert!(width.is_power_of_two() && width <= torrent.piece_length() / BLOCK_LEN);
        let root = merkle::root(&leaves(&wire[..own]), width);
        assert_eq!(torrent.piece_root(piece), Some(root), "{piece}");
    }
}

#[test]
fn v2_torrents_and_hybrids_of_libtorrent_have_its_hashes() {
    let names = |bytes| Torrent::parse(bytes).unwrap().info_hashes().to_string();
    let v2 = "cf076a8eb5aab051c71e3a5228a1e0561a1dd3356abe93b152251fdee66e9010";
    assert_eq!(names(V2), v2);
    assert_eq!(
        names(HYBRID),
        "6a8ba6fbb3f7c6d71a79ccb96684e86f8642ead2/\
         348183056e4b4e9e9842900bf692ebb1315845fe9f9410c620e57316f84668c7"
    );
    assert_eq!(names(ONE_V2), "733b40b7e530dd0139b5b6cc3656eefb3df2ac961d1aef437ed1c2f68ef45511");
    assert_eq!(
        names(ONE_HYBRID),
        "71aec2e3809cc138ac792691c672e35cdbfaeb23/\
         70f1fe89d1105774dcf5493a1cd13a72f86ea4bafda22da04aeab92969c8a723"
    );
    assert_eq!(Torrent::parse(V2).unwrap().info_hash().to_string(), v2[..40]);
    for bytes in [V2, HYBRID, ONE_V2, ONE_HYBRID] {
        check_pieces(&Torrent::parse(bytes).unwrap());
    }
}

#[test]
fn files_of_v2_start_pieces_and_stand_where_the_hybrids_do() {
    let (v2, hybrid) = (Torrent::parse(V2).unwrap(), Torrent::parse(HYBRID).unwrap());
    let expected = [
        "dir/a.bin 40000 at 0",
        "dir/.pad/25536 25536 at 40000",
        "dir/b 32768 at 65536",
        "dir/sub/empty 0 at 98304",
        "dir/sub/five 5 at 98304",
        "dir/.pad/32763 32763 at 98309",
        "dir/z 20000 at 131072",
        "dir/.pad/12768 12768 at 151072",
    ];
    assert_eq!(list(&v2), expected);
    assert_eq!(v2.files(), hybrid.files());
    let lens = |torrent: &Torrent| -> Vec<u32> {
        torrent.layout().pieces().map(|piece| torrent.layout().piece_len(piece)).collect()
    };
    assert_eq!(lens(&v2), [32_768, 7_232, 32_768, 5, 20_000]);
    assert_eq!(lens(&hybrid), [32_768; 5]);
    assert_eq!((v2.total_length(), hybrid.total_length()), (92_773, 163_840));
    let roots = |torrent: &Torrent| -> Vec<Option<Sha256>> {
        (0..8).map(|index| torrent.root_of_file(index)).collect()
    };
    assert_eq!(roots(&v2), roots(&hybrid));
    let z = "be3c750ddd73920a366787cf7eec35dcfbe6158aed35dbd69e3ad3a259c97a9b";
    assert_eq!(v2.root_of_file(6), Sha256::from_hex(z));
    assert_eq!([v2.root_of_file(1), v2.root_of_file(3), v2.root_of_file(8)], [None; 3]);
    let widths: Vec<_> = v2.layout().pieces().map(|piece| v2.piece_tree_width(piece)).collect();
    assert_eq!(widths, [2, 2, 2, 1, 2]);
}

#[test]
fn a_file_called_like_its_torrent_stands_by_itself() {
    let (v2, hybrid) = (Torrent::parse(ONE_V2).unwrap(), Torrent::parse(ONE_HYBRID).unwrap());
    assert_eq!(list(&v2), ["one.bin 100000 at 0", ".pad/31072 31072 at 100000"]);
    assert_eq!(list(&hybrid), ["one.bin 100000 at 0"]);
    let last = v2.layout().piece(3).unwrap();
    assert_eq!(v2.layout().block_range(last, BlockIndex(0)), (0, 1_696));
    assert!(v2.layout().request(3, 0, 16_384).is_ok(), "libtorrent before 2.0.13 asks for it");
    assert!(hybrid.layout().request(3, 0, 16_384).is_err());
    assert_eq!((v2.total_length(), hybrid.total_length()), (100_000, 100_000));
}

#[test]
fn a_v2_torrent_from_peers_misses_its_layers_until_they_are_shown() {
    let whole = Torrent::parse(V2).unwrap();
    let bare = Torrent::from_info(whole.info_bytes(), &[], &[]).unwrap();
    assert_eq!(bare.info_hashes(), whole.info_hashes());
    assert!(whole.has_piece_layers() && !bare.has_piece_layers());
    assert_eq!(bare.missing_layers().collect::<Vec<_>>(), [FileIndex(0)]);
    let root = |torrent: &Torrent, raw| torrent.piece_root(torrent.layout().piece(raw).unwrap());
    assert_eq!((root(&bare, 1), root(&bare, 2)), (None, root(&whole, 2)));
    let layer = whole.layer(FileIndex(0)).unwrap();
    let short = bare.with_layers([(FileIndex(0), &layer[..1])].into_iter(), Lanes::PORTABLE);
    assert!(!short.has_piece_layers());
    let other = [(FileIndex(0), &layer[1..]), (FileIndex(2), layer), (FileIndex(99), layer)];
    assert!(!bare.with_layers(other.into_iter(), Lanes::PORTABLE).has_piece_layers());
    let full = bare.with_layers([(FileIndex(0), layer)].into_iter(), Lanes::PORTABLE);
    assert!(full.has_piece_layers());
    assert_eq!(root(&full, 1), root(&whole, 1));
    let z = whole.root_of_file(6).unwrap();
    assert_eq!(full.file_with_root(&z), Some(FileIndex(6)));
    assert_eq!(full.file_with_root(&Sha256([0; 32])), None);
}

/// Text with bytes, as bencode.
fn string(bytes: &[u8]) -> Vec<u8> {
    [format!("{}:", bytes.len()).as_bytes(), bytes].concat()
}

/// A file tree drawn as `a 5|b/c 40000|d 0`: names in their order, lengths, and for every file
/// with bytes the root of a file of ones.
fn tree(drawn: &str) -> Vec<u8> {
    let files: Vec<(Vec<&str>, usize)> = drawn
        .split('|')
        .filter(|file| !file.is_empty())
        .map(|file| {
            let (path, length) = file.split_once(' ').unwrap();
            (path.split('/').collect(), length.parse().unwrap())
        })
        .collect();
    directory(&files)
}

fn directory(files: &[(Vec<&str>, usize)]) -> Vec<u8> {
    let mut body = b"d".to_vec();
    let same = |a: &(Vec<&str>, usize), b: &(Vec<&str>, usize)| a.0[0] == b.0[0] && a.0.len() > 1;
    for group in files.chunk_by(same) {
        body.extend(string(group[0].0[0].as_bytes()));
        match &group[0] {
            (path, length) if path.len() == 1 => body.extend(leaf(*length)),
            _ => {
                let deeper: Vec<_> = group.iter().map(|(p, l)| (p[1..].to_vec(), *l)).collect();
                body.extend(directory(&deeper));
            }
        }
    }
    [body, b"e".to_vec()].concat()
}

fn leaf(length: usize) -> Vec<u8> {
    let root = match length {
        0 => Vec::new(),
        _ => [b"11:pieces root".to_vec(), string(root(length).as_bytes())].concat(),
    };
    [format!("d0:d6:lengthi{length}e").into_bytes(), root, b"ee".to_vec()].concat()
}

/// Of a file of ones.
fn root(length: usize) -> Sha256 {
    merkle::root(&leaves(&vec![1; length]), 1)
}

/// Of a file of ones, in pieces of 16 KiB, which are leaves.
fn layer(length: usize) -> (Vec<u8>, Vec<u8>) {
    let hashes = leaves(&vec![1; length]);
    (root(length).as_bytes().to_vec(), hashes.iter().flat_map(|h| *h.as_bytes()).collect())
}

fn layers(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let pairs: Vec<_> = pairs.iter().map(|(k, v)| [string(k), string(v)].concat()).collect();
    [b"d".to_vec(), pairs.concat(), b"e".to_vec()].concat()
}

/// An `info` of v2 only with pieces of 16 KiB.
fn v2(drawn: &str) -> Forge {
    Forge::empty()
        .with("file tree", tree(drawn))
        .with("meta version", "i2e")
        .with("name", "3:dir")
        .with("piece length", "i16384e")
}

/// The same with a v1 list, drawn as `a 5|- 16379|d 0`, where `-` is a pad, `>` starts a link.
fn hybrid(drawn: &str, v1: &str) -> Forge {
    let (mut list, mut total) = (b"l".to_vec(), 0);
    for file in v1.split('|') {
        let (path, length) = file.split_once(' ').unwrap();
        let attributes = match path {
            "-" => "4:attr1:p",
            path if path.starts_with('>') => "4:attr1:l",
            _ => "",
        };
        let path: Vec<_> = path.trim_start_matches('>').split('/').collect();
        let path: String = path.iter().map(|name| format!("{}:{name}", name.len())).collect();
        list.extend(format!("d{attributes}6:lengthi{length}e4:pathl{path}ee").into_bytes());
        total += length.parse::<usize>().unwrap();
    }
    let hashes = vec![7; total.div_ceil(16_384) * 20];
    v2(drawn).with("files", [list, b"e".to_vec()].concat()).with("pieces", string(&hashes))
}

/// What is wrong with it; empty if nothing.
fn verdict(bytes: &[u8]) -> String {
    Torrent::parse(bytes).map_or_else(|error| error.to_string(), |_| String::new())
}

fn check(table: &[(Vec<u8>, &str)]) {
    for (bytes, expected) in table {
        let verdict = verdict(bytes);
        let is_right =
            if expected.is_empty() { verdict.is_empty() } else { verdict.contains(expected) };
        assert!(is_right, "{:?}, expected {expected:?}: {}", verdict, bytes.escape_ascii());
    }
}

#[test]
fn what_v2_asks_for_is_checked() {
    let info = || v2("a 5|b/c 7|b/d 0|e 16384");
    let with = |key, value: &str| info().with(key, value).torrent();
    let file = |file: &str| info().with("file tree", format!("d1:a{file}e")).torrent();
    check(&[
        (info().torrent(), ""),
        (Forge(info().0.into_iter().rev().collect()).torrent(), ""),
        (with("meta version", "i3e"), "expected meta version 2 or none, got 3"),
        (with("meta version", "i1e"), "got 1"),
        (with("meta version", "1:2"), "`info.meta version`"),
        (info().without("meta version").torrent(), "`info.meta version`"),
        (info().without("file tree").torrent(), "`info.file tree`"),
        (info().without("piece length").torrent(), "`info.piece length`"),
        (info().without("name").torrent(), "`info.name`"),
        (with("piece length", "i16385e"), "power of two"),
        (with("piece length", "i49152e"), "power of two"),
        (with("piece length", "i8192e"), "16384 to"),
        // torrentfile 0.9 writes it beside the tree; only `pieces` and `files` make a hybrid.
        (with("length", "i5e"), ""),
        (with("pieces", "0:"), "`info.length or info.files`"),
        (with("file tree", "le"), "`info.file tree`"),
        (with("file tree", "de"), "at least one file"),
        (with("file tree", "d1:adee"), "at least one file"),
        (with("file tree", "d1:ai5ee"), "a dictionary for every name"),
        (with("file tree", "d0:d6:lengthi0eee"), "stands alone"),
        (with("file tree", "d0:dee"), "stands alone"),
        (file("d0:d6:lengthi0ee1:bd0:d6:lengthi0eeee"), "stands alone"),
        (file("d1:bd0:d6:lengthi0eee0:d6:lengthi0eee"), "stands alone"),
        (file("d0:i0ee"), "a dictionary for every file"),
        (file("d0:dee"), "`info.file tree.length`"),
        (file("d0:d6:lengthi-1eee"), "`info.file tree.length`"),
        (file("d0:d6:lengthi5eee"), "`info.file tree.pieces root`"),
        (file("d0:d6:lengthi5e11:pieces root3:abcee"), "32 bytes"),
        (file("d0:d4:attr1:p6:lengthi0eee"), "without pad files"),
        (file("d0:d6:lengthi0e6:lengthi0eee"), "`length` twice"),
        (file("d1:bdee1:ad0:d6:lengthi0eee"), "`a` twice"),
        (file("d1:bd0:d6:lengthi0eee1:bd0:d6:lengthi0eeee"), "`b` twice"),
    ]);
}

#[test]
fn piece_layers_belong_to_their_files() {
    let info = v2("a 16384|b 40000|c 40000|d 16385");
    let with = |pairs: &[_]| {
        Forge::empty().with("info", info.render()).with("piece layers", layers(pairs)).render()
    };
    let (long, short) = (layer(40_000), layer(16_385));
    let wrong = |mut layer: (Vec<u8>, Vec<u8>)| {
        layer.1[40] ^= 1;
        layer
    };
    let cut = |(root, mut hashes): (Vec<u8>, Vec<u8>), by| {
        hashes.truncate(hashes.len() - by);
        (root, hashes)
    };
    check(&[
        (with(&[long.clone(), short.clone()]), ""),
        (with(&[short.clone(), long.clone()]), ""),
        (info.torrent(), ""),
        (with(std::slice::from_ref(&long)), ""),
        (with(&[long.clone(), short.clone(), layer(50_000)]), "longer than a piece only"),
        (with(&[long.clone(), short.clone(), layer(16_384)]), "longer than a piece only"),
        (with(&[long.clone(), long.clone(), short.clone()]), "longer than a piece only"),
        (with(&[(b"x".to_vec(), Vec::new())]), "1 bytes that start x"),
        (with(&[wrong(long.clone()), short.clone()]), "other hashes"),
        (with(&[cut(long.clone(), 32), short.clone()]), "of 96 bytes"),
        (with(&[cut(long.clone(), 1), short.clone()]), "got 95"),
        (info.beside("piece layers", "le"), "`piece layers`"),
        (info.beside("piece layers", "de"), ""),
        (v2("a 5").beside("piece layers", "de"), ""),
    ]);
    let missing = |pairs: &[_]| {
        let torrent = Torrent::parse(&with(pairs)).unwrap();
        assert_eq!(torrent.has_piece_layers(), torrent.missing_layer_count() == 0);
        assert_eq!(torrent.to_torrent_file().is_some(), torrent.has_piece_layers());
        torrent.missing_layer_count()
    };
    assert_eq!((missing(&[]), missing(std::slice::from_ref(&long))), (3, 1));
    assert_eq!(missing(&[long.clone(), short.clone()]), 0);
    let torrent = Torrent::parse(&with(&[long, short])).unwrap();
    let layers = [1, 2].map(|file| torrent.layer(FileIndex(2 * file - 1)).unwrap().to_vec());
    assert_eq!(layers[0].len(), 3, "two files with the same bytes have the same layer");
    assert_eq!(layers[0], layers[1]);
}

#[test]
fn both_lists_of_a_hybrid_say_the_same() {
    let say = |tree, list: &str| hybrid(tree, list).torrent();
    let two = "a 5|b 7";
    check(&[
        (say(two, "a 5|- 16379|b 7"), ""),
        (say(two, "a 5|- 16379|b 7|- 16377"), ""),
        (say("a 5|b 0|c/d 7", "a 5|b 0|- 16379|c/d 7"), ""),
        (say("a 5|b 0|c/d 7", "a 5|- 16379|b 0|c/d 7"), ""),
        (say(two, "a 5|- 16000|- 379|b 7"), ""),
        (say(two, "a 5|b 7"), "expected b to start at byte 16384, where a piece does, got 5"),
        (say(two, "a 5|- 16378|b 7"), "got 16383"),
        (say(two, "a 5|- 32763|b 7"), "got 32768"),
        (say(two, "- 16384|a 5|- 16379|b 7"), "expected a to start at byte 0"),
        (say(two, "a 5|- 16379|b 7|- 5"), "expected the torrent to end at byte 16391, got 16396"),
        (say(two, "a 5|- 16379|b 7|- 32761"), "got 49152"),
        (say(two, "b 5|- 16379|a 7"), "expected the file a as in `file tree`, got b"),
        (say(two, "a 5|- 16379|b/b 7"), "expected the file b as in `file tree`, got b/b"),
        (say(two, "a 5|- 16379|b 8"), "expected 7 bytes in b as in `file tree`, got 8"),
        (say(two, "a 5"), "expected the file b as in `file tree`, got the end"),
        (say(two, "a 5|- 16379|b 7|c 0"), "expected the end of the list"),
        (say("a 5|b 0", "a 5|>b 0"), "symbolic link"),
    ]);
    let single = |name: &str, length: &str| {
        let info = v2("one 5").with("name", name).with("length", length);
        info.with("pieces", string(&[7; 20])).torrent()
    };
    check(&[
        (single("3:one", "i5e"), ""),
        (single("3:two", "i5e"), "expected the file one as in `file tree`, got two"),
        (single("3:one", "i6e"), "expected 5 bytes in one"),
    ]);
}
