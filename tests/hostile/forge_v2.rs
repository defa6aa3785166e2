//! Sound torrents of the second version and hybrids, to be spoilt (BEP 52).

use sha2::Digest as _;
use sha2::Sha256;

use crate::forge::Forge;
use crate::forge::Value;
use crate::forge::Value::Dict;
use crate::forge::Value::Int;
use crate::forge::dict;
use crate::forge::file;
use crate::forge::list;
use crate::forge::text;

type Hash = [u8; 32];

/// The hash of the block that would be there; any will do.
pub(crate) const BLOCK: Hash = [5; 32];

/// The root over these leaves and zeros up to a power of two.
pub(crate) fn root(leaves: &[Hash]) -> Hash {
    let mut level = leaves.to_vec();
    level.resize(leaves.len().next_power_of_two(), [0; 32]);
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| Sha256::digest(pair.concat()).into()).collect();
    }
    level[0]
}

/// A leaf of the file tree.
pub(crate) fn node(length: i64, root: impl AsRef<[u8]>) -> Value {
    leaf([("length", Int(length)), ("pieces root", text(root))])
}

/// A leaf of the file tree of these keys.
pub(crate) fn leaf<'k>(pairs: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    dict([("", dict(pairs))])
}

/// The root of a file of 40,000 bytes in three pieces of one block.
pub(crate) fn long_root() -> Hash {
    root(&[BLOCK; 3])
}

/// `info` of version 2 with this tree.
pub(crate) fn with_tree<'k>(tree: impl IntoIterator<Item = (&'k str, Value)>) -> Forge {
    Forge::new([
        ("file tree", dict(tree)),
        ("meta version", Int(2)),
        ("name", text("dir")),
        ("piece length", Int(16_384)),
    ])
}

/// `piece layers` with these pairs.
pub(crate) fn layers(pairs: &[(&[u8], &[u8])]) -> Value {
    Dict(pairs.iter().map(|(root, layer)| (root.to_vec(), text(layer))).collect())
}

/// A sound v2 torrent of a short file and one of three pieces.
pub(crate) fn v2() -> Forge {
    with_tree([("a", node(10_000, BLOCK)), ("b", dict([("c", node(40_000, long_root()))]))])
        .beside("piece layers", layers(&[(&long_root(), &[5; 96])]))
}

/// A sound hybrid of the same files.
pub(crate) fn hybrid() -> Forge {
    v2().with("files", list([file(10_000, &["a"]), pad(6_384), file(40_000, &["b", "c"])]))
        .with("pieces", text([7; 80]))
}

/// A sound hybrid of one file.
pub(crate) fn single_hybrid() -> Forge {
    with_tree([("dir", node(40_000, long_root()))])
        .beside("piece layers", layers(&[(&long_root(), &[5; 96])]))
        .with("length", Int(40_000))
        .with("pieces", text([7; 60]))
}

/// Padding in a v1 list of files.
pub(crate) fn pad(length: i64) -> Value {
    dict([
        ("attr", text("p")),
        ("length", Int(length)),
        ("path", list([text(".pad"), text(length.to_string())])),
    ])
}
