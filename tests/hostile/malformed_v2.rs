//! Malformed as torrents of the second version: trees, roots and layers at odds (BEP 52).

use crate::case::Malformed;
use crate::case::malformed;
use crate::forge::Forge;
use crate::forge::Value;
use crate::forge::Value::Int;
use crate::forge::dict;
use crate::forge::list;
use crate::forge::raw;
use crate::forge::text;
use crate::forge_v2::BLOCK;
use crate::forge_v2::layers;
use crate::forge_v2::leaf;
use crate::forge_v2::long_root;
use crate::forge_v2::node;
use crate::forge_v2::root;
use crate::forge_v2::v2;
use crate::forge_v2::with_tree;

pub(crate) fn cases() -> Vec<Malformed> {
    let trees = [trees(), forks(), leaves(), roots()].concat();
    [versions(), trees, piece_lengths(), piece_layers(), layer_hashes()].concat()
}

fn versions() -> Vec<Malformed> {
    let version = |value: Value| v2().with("meta version", value).file();
    vec![
        malformed("meta version 3", version(Int(3)), "expected meta version 2 or none, got 3"),
        malformed("meta version 0", version(Int(0)), "expected meta version 2 or none, got 0"),
        malformed("meta version -2", version(Int(-2)), "expected meta version 2 or none, got -2"),
        malformed(
            "a meta version in letters",
            version(text("2")),
            "`info.meta version` to be the integer 2",
        ),
        malformed(
            "a meta version in a list",
            version(list([Int(2)])),
            "`info.meta version` to be the integer 2",
        ),
        malformed(
            "a file tree without a meta version",
            v2().without("meta version").file(),
            "the key `info.meta version`",
        ),
        malformed(
            "a file tree of version 1",
            version(Int(1)),
            "expected meta version 2 or none, got 1",
        ),
    ]
}

fn trees() -> Vec<Malformed> {
    let tree = |value: Value| v2().with("file tree", value).file();
    let good = || node(10_000, BLOCK);
    vec![
        malformed("no file tree", v2().without("file tree").file(), "the key `info.file tree`"),
        malformed(
            "a file tree that is a list",
            tree(list([])),
            "`info.file tree` to be a dictionary, got",
        ),
        malformed(
            "a file tree that is a number",
            tree(Int(1)),
            "`info.file tree` to be a dictionary, got",
        ),
        malformed("an empty file tree", tree(dict([])), "at least one file"),
        malformed(
            "a tree that is a file",
            tree(good()),
            "in which an entry without a name stands alone",
        ),
        malformed("an empty directory", tree(dict([("a", dict([]))])), "at least one file"),
        malformed(
            "an entry of the tree that is a number",
            tree(dict([("a", Int(1))])),
            "a dictionary for every name",
        ),
        malformed(
            "an entry of the tree that is a string",
            tree(dict([("a", text("x"))])),
            "a dictionary for every name",
        ),
        malformed(
            "an entry of the tree that is a list",
            tree(dict([("a", list([]))])),
            "a dictionary for every name",
        ),
    ]
}

fn forks() -> Vec<Malformed> {
    let tree = |value: Value| v2().with("file tree", value).file();
    let good = || node(10_000, BLOCK);
    let mut deep = good();
    for _ in 0..65 {
        deep = dict([("d", deep)]);
    }
    vec![
        malformed(
            "a leaf that is a number",
            tree(dict([("a", dict([("", Int(1))]))])),
            "a dictionary for every file",
        ),
        malformed(
            "a leaf that is a list",
            tree(dict([("a", dict([("", list([]))]))])),
            "a dictionary for every file",
        ),
        malformed(
            "a file that is a directory too",
            tree(dict([(
                "a",
                dict([
                    ("", dict([("length", Int(1)), ("pieces root", text(BLOCK))])),
                    ("b", good()),
                ]),
            )])),
            "in which an entry without a name stands alone",
        ),
        malformed(
            "a directory that is a file too, unsorted",
            tree(dict([(
                "a",
                dict([
                    ("b", good()),
                    ("", dict([("length", Int(1)), ("pieces root", text(BLOCK))])),
                ]),
            )])),
            "in which an entry without a name stands alone",
        ),
        malformed(
            "a file twice in a directory",
            v2().with(
                "file tree",
                raw([
                    b"d1:a".to_vec(),
                    good().encode(),
                    b"1:a".to_vec(),
                    good().encode(),
                    b"e".to_vec(),
                ]
                .concat()),
            )
            .file(),
            "expected every key of `info` once",
        ),
        malformed("a tree 65 deep", tree(dict([("d", deep)])), "at most 64 path elements, got 66"),
        malformed(
            "a tree a million deep",
            v2().with(
                "file tree",
                raw([b"d1:d".repeat(1_000_000), b"e".repeat(1_000_000)].concat()),
            )
            .file(),
            "expected less nesting",
        ),
    ]
}

fn leaves() -> Vec<Malformed> {
    let with = |pairs: Vec<(&str, Value)>| with_tree([("a", leaf(pairs))]).file();
    let sized = |value: Value| with(vec![("length", value), ("pieces root", text(BLOCK))]);
    vec![
        malformed("an empty leaf", with(vec![]), "the key `info.file tree.length`"),
        malformed(
            "a leaf without length",
            with(vec![("pieces root", text(BLOCK))]),
            "the key `info.file tree.length`",
        ),
        malformed(
            "a leaf of negative length",
            sized(Int(-1)),
            "`info.file tree.length` to be an integer of 0 or more",
        ),
        malformed(
            "a leaf of a length in letters",
            sized(text("10000")),
            "`info.file tree.length` to be an integer of 0 or more",
        ),
        malformed(
            "a leaf of a list of lengths",
            sized(list([Int(1)])),
            "`info.file tree.length` to be an integer of 0 or more",
        ),
        malformed(
            "bytes without a root",
            with(vec![("length", Int(10_000))]),
            "the key `info.file tree.pieces root`",
        ),
    ]
}

fn roots() -> Vec<Malformed> {
    let rooted = |value: Value| {
        let pairs = vec![("length", Int(10_000)), ("pieces root", value)];
        with_tree([("a", leaf(pairs))]).file()
    };
    let two = |a, b| with_tree([("a", node(a, BLOCK)), ("b", node(b, BLOCK))]);
    vec![
        malformed(
            "a root of no bytes",
            rooted(text("")),
            "`info.file tree.pieces root` to be a byte string of 32 bytes",
        ),
        malformed(
            "a root of 20 bytes",
            rooted(text([5; 20])),
            "`info.file tree.pieces root` to be a byte string of 32 bytes",
        ),
        malformed(
            "a root of 31 bytes",
            rooted(text([5; 31])),
            "`info.file tree.pieces root` to be a byte string of 32 bytes",
        ),
        malformed(
            "a root of 33 bytes",
            rooted(text([5; 33])),
            "`info.file tree.pieces root` to be a byte string of 32 bytes",
        ),
        malformed(
            "a root that is a number",
            rooted(Int(5)),
            "`info.file tree.pieces root` to be a byte string of 32 bytes",
        ),
        malformed(
            "a root that is a list",
            rooted(list([text(BLOCK)])),
            "`info.file tree.pieces root` to be a byte string of 32 bytes",
        ),
        malformed(
            "lengths beyond 64 bits",
            with_tree([
                ("a", node(i64::MAX, BLOCK)),
                ("b", node(i64::MAX, BLOCK)),
                ("c", node(i64::MAX, BLOCK)),
            ])
            .file(),
            "less than 2^64",
        ),
        malformed(
            "more pieces than there may be",
            two(16_384 << 21, 1).file(),
            "at most 2097152 pieces, got 2097153",
        ),
        malformed("the largest length", two(i64::MAX, 1).file(), "at most 2097152 pieces"),
    ]
}

fn piece_lengths() -> Vec<Malformed> {
    let of = |length: i64, reason| {
        let forge = v2().with("piece length", Int(length));
        malformed(format!("v2 pieces of {length} bytes"), forge.file(), reason)
    };
    let range = "expected a piece length of 16384 to 268435456 bytes";
    let power = "a power of two, as v2 asks for";
    let outside =
        [0, 1, 8_192, 16_383, 512 << 20, 1 << 32, i64::MAX].map(|length| of(length, range));
    let odd = [16_385, 20_000, 49_152].map(|length| of(length, power));
    let negative = of(-1, "`info.piece length` to be a positive integer");
    outside.into_iter().chain(odd).chain([negative]).collect()
}

fn piece_layers() -> Vec<Malformed> {
    let with = |value: Value| v2().beside("piece layers", value).file();
    let long = long_root();
    vec![
        malformed("layers that are a list", with(list([])), "`piece layers` to be a dictionary"),
        malformed("layers that are a string", with(text("x")), "`piece layers` to be a dictionary"),
        malformed(
            "a layer that is a number",
            with(Value::Dict(vec![(long.to_vec(), Int(1))])),
            "a piece layer of 96 bytes",
        ),
        malformed(
            "a layer that is a list",
            with(Value::Dict(vec![(long.to_vec(), list([]))])),
            "a piece layer of 96 bytes",
        ),
    ]
}

fn layer_hashes() -> Vec<Malformed> {
    let with = |value: Value| v2().beside("piece layers", value).file();
    let long = long_root();
    let pairs = |pairs: &[(&[u8], &[u8])]| with(layers(pairs));
    vec![
        malformed("a layer of no hashes", pairs(&[(&long, &[])]), "a piece layer of 96 bytes"),
        malformed(
            "a layer a hash short",
            pairs(&[(&long, &[5; 64])]),
            "of 96 bytes for the root 7ea255",
        ),
        malformed("a layer a hash long", pairs(&[(&long, &[5; 128])]), "got 128"),
        malformed("a layer a byte short", pairs(&[(&long, &[5; 95])]), "got 95"),
        malformed("a layer a byte long", pairs(&[(&long, &[5; 97])]), "got 97"),
        malformed("a layer of other hashes", pairs(&[(&long, &[6; 96])]), "got other hashes"),
        malformed(
            "a layer in another order",
            v2_of_different_pieces(&[[3; 32], [2; 32], [1; 32]]).file(),
            "got other hashes",
        ),
        malformed(
            "the layer of another root",
            pairs(&[(&[9; 32], &[5; 96])]),
            "for files longer than a piece only",
        ),
        malformed("a key of 31 bytes", pairs(&[(&long[..31], &[5; 96])]), "got one for 31 bytes"),
        malformed(
            "a surplus layer",
            pairs(&[(&long, &[5; 96]), (&[9; 32], &[5; 96])]),
            "for files longer than a piece only",
        ),
        malformed(
            "a layer for a file of one piece",
            pairs(&[(&BLOCK, &[5; 32]), (&long, &[5; 96])]),
            "for files longer than a piece only",
        ),
        malformed(
            "a layer twice",
            with(raw([
                b"d32:".to_vec(),
                long.to_vec(),
                b"96:".to_vec(),
                vec![5; 96],
                b"32:".to_vec(),
                long.to_vec(),
                b"96:".to_vec(),
                vec![6; 96],
                b"e".to_vec(),
            ]
            .concat())),
            "for files longer than a piece only",
        ),
    ]
}

/// A long file of three different pieces, and this layer for it.
fn v2_of_different_pieces(layer: &[[u8; 32]]) -> Forge {
    let long = root(&[[1; 32], [2; 32], [3; 32]]);
    let forge = with_tree([("a", node(40_000, long))]);
    forge.beside("piece layers", layers(&[(&long, layer.concat().as_slice())]))
}
