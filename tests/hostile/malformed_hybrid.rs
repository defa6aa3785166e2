//! Malformed as hybrids: the two descriptions of the files disagree (BEP 52, upgrade path).

use crate::case::Malformed;
use crate::case::malformed;
use crate::forge::Forge;
use crate::forge::Value;
use crate::forge::Value::Int;
use crate::forge::file;
use crate::forge::list;
use crate::forge::text;
use crate::forge_v2::hybrid;
use crate::forge_v2::pad;
use crate::forge_v2::single_hybrid;

pub(crate) fn cases() -> Vec<Malformed> {
    [lists(), pads(), single(), hashes()].concat()
}

/// A hybrid whose v1 list is this one, with as many hashes as it needs.
fn with_files(name: &str, files: Vec<Value>, pieces: usize, reason: &'static str) -> Malformed {
    let forge = hybrid().with("files", list(files)).with("pieces", text(vec![7; 20 * pieces]));
    malformed(format!("a hybrid with {name}"), forge.file(), reason)
}

fn a() -> Value {
    file(10_000, &["a"])
}

fn c() -> Value {
    file(40_000, &["b", "c"])
}

fn lists() -> Vec<Malformed> {
    vec![
        with_files(
            "a file that v1 lacks",
            vec![a()],
            1,
            "expected the file b/c as in `file tree`, got the end",
        ),
        with_files(
            "a file that v2 lacks",
            vec![a(), pad(6_384), c(), file(0, &["d"])],
            4,
            "expected the end of the list as in `file tree`, got the file d",
        ),
        with_files(
            "a file of v2 alone in front",
            vec![c()],
            3,
            "expected the file a as in `file tree`, got b/c",
        ),
        with_files(
            "a shorter file in v1",
            vec![a(), pad(6_384), file(39_999, &["b", "c"])],
            4,
            "expected 40000 bytes in b/c as in `file tree`, got 39999",
        ),
        with_files(
            "a longer file in v1",
            vec![a(), pad(6_384), file(40_001, &["b", "c"])],
            4,
            "expected 40000 bytes in b/c as in `file tree`, got 40001",
        ),
        with_files(
            "another name in v1",
            vec![a(), pad(6_384), file(40_000, &["b", "d"])],
            4,
            "got b/d",
        ),
        with_files(
            "another directory in v1",
            vec![a(), pad(6_384), file(40_000, &["c"])],
            4,
            "got c;",
        ),
        with_files(
            "another case in v1",
            vec![a(), pad(6_384), file(40_000, &["B", "c"])],
            4,
            "got B/c",
        ),
        with_files(
            "its files in another order",
            vec![c(), pad(9_152), a()],
            4,
            "expected the file a as in `file tree`, got b/c",
        ),
        with_files(
            "a file twice in v1",
            vec![a(), pad(6_384), a(), pad(6_384), c()],
            5,
            "expected the file b/c as in `file tree`, got a",
        ),
        with_files("an empty list in v1", vec![], 0, "at least one file"),
    ]
}

fn pads() -> Vec<Malformed> {
    vec![
        with_files("no padding", vec![a(), c()], 4, "where a piece does, got 10000"),
        with_files(
            "padding a byte short",
            vec![a(), pad(6_383), c()],
            4,
            "where a piece does, got 16383",
        ),
        with_files(
            "padding a byte long",
            vec![a(), pad(6_385), c()],
            4,
            "where a piece does, got 16385",
        ),
        with_files(
            "padding a piece long",
            vec![a(), pad(6_384 + 16_384), c()],
            5,
            "where a piece does, got 32768",
        ),
        with_files(
            "padding in front",
            vec![pad(16_384), a(), pad(6_384), c()],
            5,
            "expected a to start at byte 0",
        ),
        with_files(
            "only padding",
            vec![pad(56_384)],
            4,
            "expected the file a as in `file tree`, got the end",
        ),
        with_files(
            "a file where padding should be",
            vec![a(), file(6_384, &[".pad", "6384"]), c()],
            4,
            "got .pad/6384",
        ),
    ]
}

fn single() -> Vec<Malformed> {
    let case = |name: &str, forge: Forge, reason| malformed(name, forge.file(), reason);
    vec![
        case(
            "a single hybrid of another length",
            single_hybrid().with("length", Int(40_001)),
            "expected 40000 bytes in dir as in `file tree`, got 40001",
        ),
        case(
            "a single hybrid of another name",
            single_hybrid().with("name", text("a")),
            "expected the file dir as in `file tree`, got a",
        ),
        case(
            "a hybrid of two files and one length",
            hybrid().without("files").with("length", Int(56_384)),
            "expected the file a as in `file tree`, got dir",
        ),
        case("a hybrid of length and files", hybrid().with("length", Int(56_384)), "not both"),
    ]
}

fn hashes() -> Vec<Malformed> {
    let case = |name: &str, forge: Forge, reason| malformed(name, forge.file(), reason);
    vec![
        case(
            "a hybrid a v1 hash short",
            hybrid().with("pieces", text([7; 60])),
            "expected 4 piece hashes for the sizes given, got 3",
        ),
        case(
            "a hybrid a v1 hash long",
            hybrid().with("pieces", text([7; 100])),
            "expected 4 piece hashes for the sizes given, got 5",
        ),
        case("a hybrid without v1 hashes", hybrid().without("pieces"), "the key `info.pieces`"),
        case(
            "a hybrid of pieces of no power of two",
            hybrid().with("piece length", Int(20_000)),
            "a power of two, as v2 asks for",
        ),
        case(
            "a hybrid of a ragged list of hashes",
            hybrid().with("pieces", text([7; 81])),
            "20 bytes per piece",
        ),
    ]
}
