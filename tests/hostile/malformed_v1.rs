//! Malformed as torrents of the first version: keys missing, of the wrong type, or at odds.

use crate::case::Malformed;
use crate::case::malformed;
use crate::forge::Forge;
use crate::forge::Value;
use crate::forge::Value::Int;
use crate::forge::dict;
use crate::forge::file;
use crate::forge::list;
use crate::forge::multi;
use crate::forge::single;
use crate::forge::text;
use crate::forge::with_files;

pub(crate) fn cases() -> Vec<Malformed> {
    [missing(), types(), file_entries(), sizes(), hashes(), paths()].concat()
}

fn missing() -> Vec<Malformed> {
    let case =
        |name: &str, forge: Forge, reason| malformed(format!("no {name}"), forge.file(), reason);
    vec![
        malformed("no info", "de", "expected the key `info`"),
        malformed("no info but trackers", "d8:announce8:http://ae", "expected the key `info`"),
        case("name", single().without("name"), "expected the key `info.name`"),
        case("piece length", single().without("piece length"), "the key `info.piece length`"),
        case("pieces", single().without("pieces"), "expected the key `info.pieces`"),
        case("length", single().without("length"), "the key `info.length or info.files`"),
        malformed("an empty info", "d4:infodee", "expected the key `info."),
        malformed("both length and files", multi().with("length", Int(40_000)).file(), "not both"),
    ]
}

/// Each key with values of each other type.
fn types() -> Vec<Malformed> {
    let values = [
        ("an integer", Int(1)),
        ("a negative integer", Int(-1)),
        ("a string", text("spam")),
        ("a list", list([Int(1)])),
        ("a dictionary", dict([("a", Int(1))])),
    ];
    let wrong = |key: &'static str, allowed: &'static [&'static str], reason: &'static str| {
        let others = values.clone().into_iter().filter(move |(kind, _)| !allowed.contains(kind));
        let case = move |(kind, value): (&str, Value)| {
            malformed(format!("{key} is {kind}"), replaced(key, value), reason)
        };
        others.map(case).collect::<Vec<_>>()
    };
    [
        wrong("info", &["a dictionary"], "expected `info` to be a dictionary"),
        wrong("name", &["a string"], "expected `info.name` to be a byte string"),
        wrong("piece length", &["an integer"], "expected `info.piece length` to be"),
        wrong("pieces", &[], "expected `info.pieces` to be a byte string of 20 bytes per piece"),
        wrong("length", &["an integer"], "expected `info.length` to be an integer of 0 or more"),
        wrong("files", &["a list"], "expected `info.files` to be a list"),
    ]
    .concat()
}

/// A torrent whose `key` has this value.
fn replaced(key: &str, value: Value) -> Vec<u8> {
    match key {
        "info" => dict([("info", value)]).encode(),
        "files" => multi().with("files", value).file(),
        _ => single().with(key, value).file(),
    }
}

fn file_entries() -> Vec<Malformed> {
    let path = "expected `info.files.path` to be a list of byte strings, at least one";
    let entry = |name: &str, entry: Value, reason| {
        let files = with_files([file(10_000, &["a"]), entry]);
        malformed(format!("a file that is {name}"), files.file(), reason)
    };
    let at = |name: &str, value: Value| {
        entry(name, dict([("length", Int(30_000)), ("path", value)]), path)
    };
    let sized = |name: &str, value: Value| {
        let reason = "expected `info.files.length` to be an integer of 0 or more";
        entry(name, dict([("length", value), ("path", list([text("b")]))]), reason)
    };
    vec![
        entry("an integer", Int(1), "expected `info.files` to be a list of dictionaries"),
        entry("a string", text("b"), "expected `info.files` to be a list of dictionaries"),
        entry("a list", list([]), "expected `info.files` to be a list of dictionaries"),
        entry("empty", dict([]), "expected the key `info.files."),
        entry("without length", dict([("path", list([text("b")]))]), "`info.files.length`"),
        entry("without path", dict([("length", Int(30_000))]), "the key `info.files.path`"),
        sized("of negative length", Int(-1)),
        sized("of the least length", Int(i64::MIN)),
        sized("of a length in letters", text("30000")),
        sized("of a list of lengths", list([Int(30_000)])),
        at("at an integer", Int(1)),
        at("at a string", text("b")),
        at("at a dictionary", dict([("b", Int(1))])),
        at("at no path", list([])),
        at("at a path of an integer", list([Int(1)])),
        at("at a path of a list", list([list([text("b")])])),
        at("at a path that ends in an integer", list([text("b"), Int(1)])),
        malformed("no files", with_files([]).file(), "expected at least one file"),
    ]
}

fn sizes() -> Vec<Malformed> {
    let piece = |length: i64| {
        malformed(
            format!("pieces of {length} bytes"),
            single().with("piece length", Int(length)).file(),
            "expected a piece length of 16384 to 268435456 bytes",
        )
    };
    let many = "expected at most 2097152 pieces";
    let mut cases: Vec<Malformed> = [
        0,
        1,
        16_383,
        (256 << 20) + 1,
        i64::from(i32::MAX),
        1 << 31,
        1 << 32,
        (1 << 32) + 16_384,
        i64::MAX,
    ]
    .map(piece)
    .to_vec();
    let whole = || file(i64::MAX, &["x"]);
    cases.extend([
        malformed(
            "sizes beyond 64 bits",
            with_files([whole(), whole(), file(2, &["y"])]).file(),
            "less than 2^64",
        ),
        malformed(
            "many sizes beyond 64 bits",
            with_files((0..100).map(|_| whole())).file(),
            "less than 2^64",
        ),
        malformed("the largest size", single().with("length", Int(i64::MAX)).file(), many),
        malformed(
            "a piece too many",
            single().with("length", Int((1 << 21) * 16_384 + 1)).file(),
            many,
        ),
        malformed(
            "huge in huge pieces",
            single().with("length", Int(i64::MAX)).with("piece length", Int(256 << 20)).file(),
            many,
        ),
    ]);
    cases
}

fn hashes() -> Vec<Malformed> {
    let count = "piece hashes for the sizes given, got";
    let ragged = "expected `info.pieces` to be a byte string of 20 bytes per piece";
    let bytes = |len: usize, reason| {
        malformed(
            format!("hashes of {len} bytes"),
            single().with("pieces", text(vec![7; len])).file(),
            reason,
        )
    };
    vec![
        bytes(0, count),
        bytes(20, count),
        bytes(40, count),
        bytes(80, count),
        bytes(20_000, count),
        bytes(1, ragged),
        bytes(59, ragged),
        bytes(61, ragged),
        bytes(32, ragged),
        malformed(
            "a hash for no bytes",
            single().with("length", Int(0)).with("pieces", text([7; 20])).file(),
            count,
        ),
        malformed(
            "a hash for an empty file",
            with_files([file(0, &["a"])]).with("pieces", text([7; 20])).file(),
            count,
        ),
        malformed(
            "a file grown by a piece",
            with_files([file(10_000, &["a"]), file(46_384, &["b"])]).file(),
            count,
        ),
        malformed("a file lost", with_files([file(10_000, &["a"])]).file(), count),
    ]
}

fn paths() -> Vec<Malformed> {
    let deep = vec!["d"; 65];
    let same = || file(0, &["same"]);
    let files = (0..502).map(|_| same()).chain([file(40_000, &["b"])]);
    let cased = (0..502).map(|at| file(0, &[if at % 2 == 0 { "Same" } else { "sAME" }]));
    let collide = "in each other's place";
    vec![
        malformed(
            "a path of 65 elements",
            with_files([file(40_000, &deep)]).file(),
            "at most 64 path elements, got 65",
        ),
        malformed(
            "a path of 10,000 elements",
            with_files([file(40_000, &vec![".."; 10_000])]).file(),
            "at most 64 path elements",
        ),
        malformed("502 files of one name", with_files(files).file(), collide),
        malformed(
            "502 files of one name in two cases",
            with_files(cased.chain([file(40_000, &["b"])])).file(),
            collide,
        ),
    ]
}
