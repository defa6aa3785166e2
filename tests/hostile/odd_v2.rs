//! Odd but valid torrents of the second version and hybrids (BEP 52).

use coreswarm::Torrent;

use crate::case::Odd;
use crate::case::odd;
use crate::forge::Value::Int;
use crate::forge::dict;
use crate::forge::file;
use crate::forge::list;
use crate::forge::text;
use crate::forge_v2::BLOCK;
use crate::forge_v2::hybrid;
use crate::forge_v2::layers;
use crate::forge_v2::leaf;
use crate::forge_v2::long_root;
use crate::forge_v2::node;
use crate::forge_v2::pad;
use crate::forge_v2::root;
use crate::forge_v2::single_hybrid;
use crate::forge_v2::v2;
use crate::forge_v2::with_tree;

/// Kind, pieces and the files that have bytes on disk.
fn shape(torrent: &Torrent) -> String {
    let hashes = torrent.info_hashes();
    let kind = match (hashes.v1(), hashes.v2()) {
        (Some(_), Some(_)) => "hybrid",
        (Some(_), None) => "v1",
        _ => "v2",
    };
    let files = torrent.files().iter().filter(|file| file.is_on_disk());
    let files: Vec<String> =
        files.map(|file| format!("{}:{}", file.path().display(), file.length())).collect();
    format!("{kind} {} {}", torrent.piece_count(), files.join(" "))
}

const V2: &str = "v2 4 dir/a:10000 dir/b/c:40000";
const HYBRID: &str = "hybrid 4 dir/a:10000 dir/b/c:40000";

pub(crate) fn cases() -> Vec<Odd> {
    let mut cases = trees();
    cases.extend(without_layers());
    cases.extend(hybrids());
    cases
}

fn trees() -> Vec<Odd> {
    let one = |length| with_tree([("dir", node(length, BLOCK))]).file();
    let empty = || leaf([("length", Int(0))]);
    let twins = with_tree([("a", node(40_000, long_root())), ("b", node(40_000, long_root()))]);
    let unsorted =
        with_tree([("b", dict([("c", node(40_000, long_root()))])), ("a", node(10_000, BLOCK))]);
    let long = || layers(&[(&long_root(), &[5; 96])]);
    let wide =
        with_tree([("dir", node(40_000, root(&[BLOCK; 3])))]).with("piece length", Int(65_536));
    vec![
        odd("files in a tree", v2().file(), shape, V2),
        odd("unsorted keys in info of v2", v2().reversed().file(), shape, V2),
        odd("one file named like the torrent", one(10_000), shape, "v2 1 dir:10000"),
        odd("a file of one whole piece", one(16_384), shape, "v2 1 dir:16384"),
        odd("a file shorter than a piece, of several blocks", wide.file(), shape, "v2 1 dir:40000"),
        odd(
            "an empty file without a root",
            with_tree([("a", empty()), ("b", node(1, BLOCK))]).file(),
            shape,
            "v2 1 dir/a:0 dir/b:1",
        ),
        odd("only an empty file", with_tree([("a", empty())]).file(), shape, "v2 0 dir/a:0"),
        odd(
            "two files of one content",
            twins.beside("piece layers", long()).file(),
            shape,
            "v2 6 dir/a:40000 dir/b:40000",
        ),
        odd(
            "an unsorted tree",
            unsorted.beside("piece layers", long()).file(),
            shape,
            "v2 4 dir/b/c:40000 dir/a:10000",
        ),
        odd(
            "names in a tree that lead out",
            with_tree([("..", dict([("/", node(1, BLOCK))]))]).file(),
            shape,
            "v2 1 dir/__/_:1",
        ),
        odd(
            "an attribute in a tree",
            with_tree([(
                "a",
                leaf([("attr", text("x")), ("length", Int(1)), ("pieces root", text(BLOCK))]),
            )])
            .file(),
            shape,
            "v2 1 dir/a:1",
        ),
        odd(
            "unknown keys in a leaf",
            with_tree([(
                "a",
                leaf([("length", Int(1)), ("pieces root", text(BLOCK)), ("x", list([]))]),
            )])
            .file(),
            shape,
            "v2 1 dir/a:1",
        ),
    ]
}

/// Peers are asked for what is missing.
fn without_layers() -> Vec<Odd> {
    let empty = || layers(&[]);
    vec![
        odd(
            "no layers for a long file",
            with_tree([("a", node(40_000, long_root()))]).file(),
            shape,
            "v2 3 dir/a:40000",
        ),
        odd("an empty set of layers", v2().beside("piece layers", empty()).file(), shape, V2),
        odd(
            "no layers where none are needed",
            with_tree([("a", node(1, BLOCK))]).file(),
            shape,
            "v2 1 dir/a:1",
        ),
        odd(
            "a hybrid with an empty set of layers",
            hybrid().beside("piece layers", empty()).file(),
            shape,
            HYBRID,
        ),
    ]
}

fn hybrids() -> Vec<Odd> {
    let files = |files| hybrid().with("files", list(files));
    let tail = files(vec![file(10_000, &["a"]), pad(6_384), file(40_000, &["b", "c"]), pad(9_152)]);
    let split = files(vec![file(10_000, &["a"]), pad(6_000), pad(384), file(40_000, &["b", "c"])]);
    vec![
        odd("two descriptions of the same files", hybrid().file(), shape, HYBRID),
        odd("a hybrid with unsorted keys", hybrid().reversed().file(), shape, HYBRID),
        odd("a hybrid of one file", single_hybrid().file(), shape, "hybrid 3 dir:40000"),
        odd("a hybrid that pads its last file", tail.file(), shape, HYBRID),
        odd("padding in two parts", split.file(), shape, HYBRID),
        odd(
            "a private hybrid",
            hybrid().with("private", Int(1)).file(),
            |t| t.is_private().to_string(),
            "true",
        ),
    ]
}
