//! Odd but valid: what real tools have written, and what must not be refused for its looks.

use coreswarm::Torrent;

use crate::case::Odd;
use crate::case::odd;
use crate::forge::Value::Int;
use crate::forge::dict;
use crate::forge::file;
use crate::forge::file_at;
use crate::forge::list;
use crate::forge::multi;
use crate::forge::raw;
use crate::forge::single;
use crate::forge::text;
use crate::forge::with_files;

pub(crate) fn cases() -> Vec<Odd> {
    let mut cases = Vec::new();
    cases.extend(encodings());
    cases.extend(beside());
    cases.extend(trackers());
    cases.extend(names());
    cases.extend(file_lists());
    cases.extend(attributes());
    cases.extend(sizes());
    cases
}

fn paths(torrent: &Torrent) -> String {
    let paths = torrent.files().iter().map(|file| file.path().display().to_string());
    paths.collect::<Vec<_>>().join(" | ")
}

fn pieces(torrent: &Torrent) -> String {
    format!("{} pieces, {} bytes", torrent.piece_count(), torrent.total_length())
}

fn tiers(torrent: &Torrent) -> String {
    torrent.trackers().iter().map(|tier| tier.join(",")).collect::<Vec<_>>().join(" ")
}

fn name_and_privacy(torrent: &Torrent) -> String {
    format!("{} {}", torrent.name(), if torrent.is_private() { "private" } else { "public" })
}

fn encodings() -> Vec<Odd> {
    let after = |tail: &str| [single().file(), tail.as_bytes().to_vec()].concat();
    let hash = |torrent: &Torrent| torrent.info_hash().to_string();
    let over = |info: Vec<u8>| coreswarm::Sha1::of(&info).to_string();
    let unknown = single().with("x", list([dict([("y", Int(-5))])]));
    vec![
        odd("a line end behind the end", after("\n"), pieces, "3 pieces, 40000 bytes"),
        odd("white space behind the end", after(" \r\n\t\n"), pieces, "3 pieces, 40000 bytes"),
        odd(
            "info with unsorted keys",
            single().reversed().file(),
            hash,
            over(single().reversed().info()),
        ),
        odd("info with unknown keys", unknown.file(), hash, over(unknown.info())),
        odd(
            "unsorted keys beside info",
            single().beside("zz", Int(1)).beside("aa", Int(1)).file(),
            pieces,
            "3 pieces, 40000 bytes",
        ),
        odd(
            "a key twice beside info",
            raw([&b"d1:xi1e1:xi2e4:info"[..], &single().info(), b"e"].concat()).encode(),
            pieces,
            "3 pieces, 40000 bytes",
        ),
        odd(
            "a key of no letters",
            single().beside("", Int(1)).file(),
            pieces,
            "3 pieces, 40000 bytes",
        ),
        odd(
            "lists 99 deep beside info",
            single().beside("x", raw(["l".repeat(99), "e".repeat(99)].concat())).file(),
            pieces,
            "3 pieces, 40000 bytes",
        ),
        odd(
            "the least integer beside info",
            single().beside("x", Int(i64::MIN)).file(),
            pieces,
            "3 pieces, 40000 bytes",
        ),
        odd(
            "the same key in two dictionaries of info",
            single().with("x", raw("ld1:ai1eed1:ai1eee")).file(),
            pieces,
            "3 pieces, 40000 bytes",
        ),
    ]
}

fn beside() -> Vec<Odd> {
    let comment = |torrent: &Torrent| format!("{:?}", torrent.comment());
    let date = |torrent: &Torrent| format!("{:?}", torrent.creation_date());
    let made = |torrent: &Torrent| format!("{:?}", torrent.created_by());
    let seeds = |torrent: &Torrent| torrent.url_list().join(" ");
    let private = |value| single().with("private", value).file();
    vec![
        odd(
            "a comment that is no UTF-8",
            single().beside("comment", text([b'a', 0xff])).file(),
            comment,
            "Some(\"a\u{fffd}\")",
        ),
        odd(
            "a comment in UTF-8 beside another",
            single().beside("comment", text([0xe4])).beside("comment.utf-8", text("ä")).file(),
            comment,
            "Some(\"ä\")",
        ),
        odd(
            "a comment that is a number",
            single().beside("comment", Int(1)).file(),
            comment,
            "None",
        ),
        odd("a maker that is a list", single().beside("created by", list([])).file(), made, "None"),
        odd(
            "a date before 1970",
            single().beside("creation date", Int(-1)).file(),
            date,
            "Some(-1)",
        ),
        odd(
            "a date in letters",
            single().beside("creation date", text("today")).file(),
            date,
            "None",
        ),
        odd("private as 0", private(Int(0)), name_and_privacy, "a public"),
        odd("private as 1", private(Int(1)), name_and_privacy, "a private"),
        odd(
            "private beside info",
            single().beside("private", Int(1)).file(),
            name_and_privacy,
            "a public",
        ),
        odd(
            "one web seed without a list",
            single().beside("url-list", text("http://a/")).file(),
            seeds,
            "http://a/",
        ),
        odd("an empty web seed", single().beside("url-list", text("")).file(), seeds, ""),
        odd(
            "web seeds that are no URLs",
            single()
                .beside("url-list", list([Int(1), text("http://b/ c"), text("http://b/")]))
                .file(),
            seeds,
            "http://b/",
        ),
    ]
}

fn trackers() -> Vec<Odd> {
    let with =
        |value| single().beside("announce", text("http://a")).beside("announce-list", value).file();
    vec![
        odd("no tracker", single().file(), tiers, ""),
        odd("a tracker that is a number", single().beside("announce", Int(1)).file(), tiers, ""),
        odd("an empty list of tiers", with(list([])), tiers, "http://a"),
        odd("tiers without trackers", with(list([list([]), list([text("")])])), tiers, "http://a"),
        odd("a tracker outside a tier", with(list([text("http://b")])), tiers, "http://b"),
        odd("a list that is a string", with(text("http://b")), tiers, "http://a"),
        odd(
            "a tracker in two tiers",
            with(list([list([text("http://b")]), list([text("http://b"), text("http://c")])])),
            tiers,
            "http://b http://c",
        ),
        odd(
            "white space around a tracker",
            with(list([list([text(" http://b\n")])])),
            tiers,
            "http://b",
        ),
        odd(
            "control characters in a tracker",
            with(list([list([text("http://b\u{1b}[2J"), text("http://c")])])),
            tiers,
            "http://c",
        ),
        odd(
            "a tracker that is no UTF-8",
            with(list([list([text([0xff]), text("http://c")])])),
            tiers,
            "http://c",
        ),
    ]
}

/// Names are made safe, always the same way; nothing escapes the directory.
fn names() -> Vec<Odd> {
    let named = |name: &[u8]| single().with("name", text(name)).file();
    let long = "x".repeat(300);
    let shown = |torrent: &Torrent| torrent.name().to_owned();
    let length = |torrent: &Torrent| torrent.name().len().to_string();
    vec![
        odd("no name", named(b""), shown, "_"),
        odd("a dot as name", named(b"."), shown, "_"),
        odd("two dots as name", named(b".."), shown, "__"),
        odd("a path as name", named(b"../../etc/passwd"), shown, ".._.._etc_passwd"),
        odd("an absolute name", named(b"/etc/passwd"), shown, "_etc_passwd"),
        odd("a name with backslashes", named(b"..\\a"), shown, ".._a"),
        odd("a drive as name", named(b"C:\\a"), shown, "C__a"),
        odd("a device as name", named(b"nul.txt"), shown, "_nul.txt"),
        odd("a zero in a name", named(b"a\0b"), shown, "a_b"),
        odd("an escape in a name", named(b"\x1b[31ma"), shown, "_[31ma"),
        odd("text that turns around", named("a\u{202e}txt.exe".as_bytes()), shown, "a_txt.exe"),
        odd("a name that is no UTF-8", named(&[b'a', 0xff, b'b']), shown, "a_b"),
        odd("spaces at the end of a name", named(b"a . "), shown, "a___"),
        odd("a name of 300 letters", named(long.as_bytes()), length, "240"),
        odd("a name of an emoji", named("🦀".as_bytes()), shown, "🦀"),
        odd(
            "a name in UTF-8 beside another",
            single().with("name.utf-8", text("ä")).file(),
            shown,
            "ä",
        ),
    ]
}

fn file_lists() -> Vec<Odd> {
    let with = |path: &[&str]| with_files([file(10_000, path), file(30_000, &["z"])]).file();
    let same =
        with_files([file(10_000, &["a"]), file(10_000, &["A"]), file(20_000, &["a"])]).file();
    let nested = with_files([file(10_000, &["a"]), file(30_000, &["a", "b"])]).file();
    vec![
        odd("files in directories", multi().file(), paths, "dir/a | dir/b/c"),
        odd("a path of two dots", with(&["..", "..", "a"]), paths, "dir/__/__/a | dir/z"),
        odd("a path with an empty element", with(&["", "a"]), paths, "dir/_/a | dir/z"),
        odd("an absolute path", with(&["/", "etc", "passwd"]), paths, "dir/_/etc/passwd | dir/z"),
        odd("a path with separators", with(&["../../a"]), paths, "dir/.._.._a | dir/z"),
        odd(
            "a path that is no UTF-8",
            with_files([file_at(10_000, &[&[0xff]]), file(30_000, &["z"])]).file(),
            paths,
            "dir/_ | dir/z",
        ),
        odd(
            "a path in UTF-8 beside another",
            with_files([dict([
                ("length", Int(40_000)),
                ("path", list([text([0xe4])])),
                ("path.utf-8", list([text("ä")])),
            ])])
            .file(),
            paths,
            "dir/ä",
        ),
        odd("files of one name", same, paths, "dir/a | dir/A.1 | dir/a.2"),
        odd("a file where another wants a directory", nested, paths, "dir/a | dir/a.1/b"),
        odd(
            "a file called like an incomplete one",
            with_files([file(10_000, &["a"]), file(30_000, &["a.part"])]).file(),
            paths,
            "dir/a | dir/a.1.part",
        ),
        odd(
            "a path of 64 elements",
            with_files([file(40_000, &["d"; 64])]).file(),
            |t| t.files()[0].path().components().count().to_string(),
            "65",
        ),
    ]
}

fn attributes() -> Vec<Odd> {
    let pad = |attr: &str| {
        let pad = dict([
            ("attr", text(attr)),
            ("length", Int(6_384)),
            ("path", list([text(".pad"), text("6384")])),
        ]);
        with_files([file(10_000, &["a"]), pad, file(23_616, &["b"])]).file()
    };
    let on_disk = |torrent: &Torrent| {
        torrent.files().iter().map(|f| if f.is_on_disk() { 'd' } else { '-' }).collect::<String>()
    };
    let link = dict([
        ("attr", text("l")),
        ("path", list([text("l")])),
        ("symlink path", list([text("a")])),
    ]);
    vec![
        odd("one file in a list", with_files([file(40_000, &["a"])]).file(), paths, "dir/a"),
        odd("padding between files", pad("p"), on_disk, "d-d"),
        odd("padding with other attributes", pad("xhp?"), on_disk, "d-d"),
        odd("attributes that are not known", pad("q"), on_disk, "ddd"),
        odd(
            "a symbolic link without length",
            with_files([file(40_000, &["a"]), link]).file(),
            on_disk,
            "d-",
        ),
        odd(
            "empty files around others",
            with_files([file(0, &["a"]), file(40_000, &["b"]), file(0, &["c"])]).file(),
            paths,
            "dir/a | dir/b | dir/c",
        ),
        odd(
            "a thousand empty files",
            with_files(
                (0..1_000).map(|at| file(0, &[&at.to_string()])).chain([file(40_000, &["z"])]),
            )
            .file(),
            |t| t.files().len().to_string(),
            "1001",
        ),
    ]
}

fn sizes() -> Vec<Odd> {
    let huge = single().with("length", Int(1 << 40)).with("piece length", Int(256 << 20));
    vec![
        odd(
            "no bytes and no pieces",
            single().with("length", Int(0)).with("pieces", text("")).file(),
            pieces,
            "0 pieces, 0 bytes",
        ),
        odd(
            "only empty files",
            with_files([file(0, &["a"])]).with("pieces", text("")).file(),
            pieces,
            "0 pieces, 0 bytes",
        ),
        odd(
            "one byte",
            single().with("length", Int(1)).with("pieces", text([7; 20])).file(),
            pieces,
            "1 pieces, 1 bytes",
        ),
        odd(
            "pieces of no power of two",
            single().with("piece length", Int(20_000)).with("pieces", text([7; 40])).file(),
            pieces,
            "2 pieces, 40000 bytes",
        ),
        odd(
            "a terabyte in the largest pieces",
            huge.with("pieces", text(vec![7; 4_096 * 20])).file(),
            pieces,
            "4096 pieces, 1099511627776 bytes",
        ),
        odd(
            "the most pieces there may be",
            single()
                .with("length", Int((1 << 21) * 16_384))
                .with("pieces", text(vec![7; (1 << 21) * 20]))
                .file(),
            pieces,
            "2097152 pieces, 34359738368 bytes",
        ),
    ]
}
