//! Malformed below the level of torrents: data that is not bencode, or costs too much.

use crate::case::Malformed;
use crate::case::malformed;
use crate::forge::Value::Int;
use crate::forge::raw;
use crate::forge::single;
use crate::forge::text;

pub(crate) fn cases() -> Vec<Malformed> {
    let parts =
        [not_bencode(), cut_short(), integers(), lengths(), dictionaries(), costly(), trailing()];
    parts.concat()
}

fn not_bencode() -> Vec<Malformed> {
    let value = "expected a value, got another byte";
    let root = "expected `(root)` to be a dictionary";
    vec![
        malformed("no bytes", "", "the data is cut short"),
        malformed("a line end alone", "\n", "the data is cut short"),
        malformed("a space in front", [b" ".to_vec(), single().file()].concat(), value),
        malformed("an end without a start", "e", value),
        malformed("a web page", "<!DOCTYPE html><html>404</html>", value),
        malformed("JSON", "{\"info\":{}}", value),
        malformed("a gzip header", [0x1f, 0x8b, 8, 0], value),
        malformed("a UTF-8 byte order mark", [&[0xef, 0xbb, 0xbf][..], b"de"].concat(), value),
        malformed("zeros", [0; 64], value),
        malformed("a magnet link", "magnet:?xt=urn:btih:aa", value),
        malformed("an integer as root", "i1e", root),
        malformed("a list as root", "le", root),
        malformed("a string as root", "4:spam", root),
    ]
}

/// Every way to end too early: in a key, between key and value, in a value, before the end.
fn cut_short() -> Vec<Malformed> {
    let whole = single().file();
    let cuts = (1..whole.len()).step_by(whole.len() / 12);
    let case = |at: usize| malformed(format!("cut at byte {at}"), &whole[..at], "cut short");
    cuts.chain([whole.len() - 1]).map(case).collect()
}

fn integers() -> Vec<Malformed> {
    let form = "expected an integer in canonical form";
    let range = "expected an integer of at most 64 bits";
    let long = format!("i{}e", "9".repeat(100));
    let cases = [
        ("i-0e", form),
        ("i00e", form),
        ("i040000e", form),
        ("i-040000e", form),
        ("ie", form),
        ("i-e", form),
        ("i+40000e", form),
        ("i 40000e", form),
        ("i40000 e", form),
        ("i40000.0e", form),
        ("i4e4e", "expected a string length in canonical form"),
        ("i0x10e", form),
        ("i--1e", form),
        ("i9223372036854775808e", range),
        ("i-9223372036854775809e", range),
        ("i18446744073709551616e", range),
        (&long, range),
    ];
    let case = |(value, reason): (&str, _)| {
        malformed(
            format!("the integer {value:.24}"),
            single().with("length", raw(value)).file(),
            reason,
        )
    };
    cases.into_iter().map(case).collect()
}

fn lengths() -> Vec<Malformed> {
    let form = "expected a string length in canonical form";
    let cases = [
        ("01:a", form),
        ("00:", form),
        ("1;a", form),
        ("1 :a", form),
        ("-1:a", "expected a value, got another byte"),
        (":a", "expected a value, got another byte"),
        ("99999999999:a", "cut short"),
        ("18446744073709551617:a", form),
        ("4294967296:a", "cut short"),
        ("4294967295:a", "cut short"),
        ("2147483648:a", "cut short"),
        ("9999:a", "cut short"),
    ];
    let case = |(value, reason): (&str, _)| {
        malformed(format!("the string {value}"), single().with("name", raw(value)).file(), reason)
    };
    cases.into_iter().map(case).collect()
}

fn dictionaries() -> Vec<Malformed> {
    let key = "expected a byte string as dictionary key";
    let one_key = |key: &str| single().beside("x", raw(key)).file();
    let twice = |key: &'static str| {
        malformed(
            format!("`{key}` twice in info"),
            single().again(key, Int(1)).file(),
            "expected every key of `info` once",
        )
    };
    let mut cases = vec![
        malformed("an integer as key", one_key("di1ei2ee"), key),
        malformed("a list as key", one_key("dlei2ee"), key),
        malformed("a dictionary as key", one_key("ddei2ee"), key),
        malformed("a key without a value", one_key("d1:ae"), "expected a value after a dictionary"),
        malformed(
            "a key twice deep in info",
            single().with("x", raw("ld1:ai1e1:ai2eee")).file(),
            "expected every key of `info` once, got `a` twice",
        ),
        malformed(
            "an empty key twice in info",
            single().with("x", raw("d0:i1e0:i2ee")).file(),
            "expected every key of `info` once",
        ),
        malformed(
            "a key twice, apart and unsorted",
            single().with("x", raw("d1:bi1e1:ai1e1:bi1ee")).file(),
            "expected every key of `info` once, got `b` twice",
        ),
    ];
    cases.extend(["length", "name", "piece length", "pieces"].map(twice));
    cases
}

fn costly() -> Vec<Malformed> {
    let nest = |open: &str, depth: usize, close: &str| {
        raw([open.repeat(depth), close.repeat(depth)].concat())
    };
    let deep = |value| single().beside("x", value).file();
    let less = "expected less nesting";
    vec![
        malformed("lists 100 deep in the root", deep(nest("l", 100, "e")), less),
        malformed("lists a million deep", deep(nest("l", 1_000_000, "e")), less),
        malformed("dictionaries 100 deep", deep(nest("d1:x", 100, "de")), less),
        malformed("lists a million deep that never end", "l".repeat(1_000_000), less),
        malformed("dictionaries that never end", "d1:x".repeat(300_000), less),
        malformed(
            "three million empty strings",
            deep(raw(format!("l{}e", "0:".repeat(3_000_000)))),
            "expected fewer values",
        ),
        malformed(
            "three million empty lists in info",
            single().with("x", raw(format!("l{}e", "le".repeat(3_000_000)))).file(),
            "expected fewer values",
        ),
        malformed(
            "more than 64 MiB",
            single().with("x", text(vec![0; 64 << 20])).file(),
            "expected a .torrent file of at most 67108864 bytes",
        ),
    ]
}

fn trailing() -> Vec<Malformed> {
    let more = "expected the end, got more data";
    let after = |tail: &[u8]| [single().file(), tail.to_vec()].concat();
    vec![
        malformed("a letter behind the end", after(b"x"), more),
        malformed("an end behind the end", after(b"e"), more),
        malformed("a zero behind the end", after(&[0]), more),
        malformed("a second torrent behind the first", after(&single().file()), more),
    ]
}
