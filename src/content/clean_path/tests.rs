//! Path cleaning: each rule by example, then no two files in one place whatever comes in.

use std::collections::BTreeSet;
use std::path::Component;
use std::path::Path;

use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;

use super::*;

fn clean(raw: &[u8]) -> String {
    clean_element(raw)
}

fn place_all(paths: &[&str]) -> Vec<String> {
    let mut set = PathSet::default();
    paths
        .iter()
        .map(|path| {
            let elements = path.split('|').map(str::as_bytes);
            set.place(None, elements).unwrap().to_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn ordinary_names_stay() {
    for name in
        ["a", "movie: part 1.mkv", "föö bär", "日本語.txt", ".hidden", "a..b", "console", "~"]
    {
        assert_eq!(clean(name.as_bytes()), name);
    }
}

#[test]
fn directions_separators_and_invisible_characters_go() {
    let table: [(&[u8], &str); 20] = [
        (b"", "_"),
        (b".", "_"),
        (b"..", "__"),
        (b"...", "___"),
        (b"/", "_"),
        (b"/etc/passwd", "_etc_passwd"),
        (b"..\\..\\x", ".._.._x"),
        (b"a\0b", "a_b"),
        (b"a\nb\x7f", "a_b_"),
        (b"C:", "C_"),
        (b"c:\\windows", "c__windows"),
        (b"name.", "name_"),
        (b"name. .", "name___"),
        (b"name ", "name_"),
        ("a\u{202e}gpj.exe".as_bytes(), "a_gpj.exe"),
        ("\u{2066}\u{200f}\u{2028}\u{85}".as_bytes(), "____"),
        (b"\xc0\xae\xc0\xae", "____"),
        (b"\xc0\xafetc", "__etc"),
        (b"a\xffb", "a_b"),
        (b"\xed\xa0\x80", "___"),
    ];
    for (raw, expected) in table {
        assert_eq!(clean(raw), expected, "{}", raw.escape_ascii());
    }
}

#[test]
fn device_names_of_other_systems_get_a_prefix() {
    for name in ["con", "NUL", "Aux.txt", "com1", "LPT9.tar.gz", "prn .x"] {
        assert_eq!(clean(name.as_bytes()), format!("_{name}"));
    }
    for name in ["cons", "com10", "com", "null", "lpt"] {
        assert_eq!(clean(name.as_bytes()), name);
    }
}

#[test]
fn long_names_are_cut_between_characters_and_stay_apart() {
    let long = format!("{}.mkv", "ä".repeat(200));
    let other = format!("{}b.mkv", "ä".repeat(199));
    let (one, two) = (clean(long.as_bytes()), clean(other.as_bytes()));
    assert!(one.len() <= 240 && two.len() <= 240 && one != two);
    assert!(one.ends_with(".mkv") && one.starts_with("ää"), "{one}");
    assert_eq!(clean(&[b'x'; 240]).len(), 240);
    assert_eq!(clean(&[b'x'; 241]).len(), 240);
    assert_eq!(clean(&[b'.'; 10_000]).len(), 240);
}

#[test]
fn collisions_get_numbers_in_order() {
    assert_eq!(place_all(&["a.txt", "a.txt", "A.TXT"]), ["a.txt", "a.1.txt", "A.2.TXT"]);
    assert_eq!(place_all(&["x\0", "x\n", "x_"]), ["x_", "x_.1", "x_.2"]);
    assert_eq!(place_all(&["a.1", "a", "a"]), ["a.1", "a", "a.2"], "a taken number is passed over");
    assert_eq!(place_all(&["d|a", "d|a", "e|a", "D|A"]), ["d/a", "d/a.1", "e/a", "D/A.2"]);
}

#[test]
fn a_file_and_a_directory_of_one_name_are_kept_apart() {
    assert_eq!(place_all(&["a", "a|b", "a|c", "A|b"]), ["a", "a.1/b", "a.1/c", "a.1/b.1"]);
    assert_eq!(place_all(&["a|b", "a", "a|c"]), ["a/b", "a.1", "a/c"]);
}

#[test]
fn no_file_sits_where_another_is_assembled() {
    assert_eq!(place_all(&["a", "a.part"]), ["a", "a.1.part"]);
    assert_eq!(place_all(&["a.part", "a"]), ["a.part", "a.1"]);
    assert_eq!(place_all(&["a", "A.PART|x"]), ["a", "A.1.PART/x"]);
}

#[test]
fn depth_and_collisions_are_bounded() {
    let deep = |depth| PathSet::default().place(None, std::iter::repeat_n(&b"d"[..], depth));
    assert!(deep(64).is_ok());
    assert_eq!(deep(65), Err(PathError::TooDeep { got: 65, max: 64 }));
    let mut set = PathSet::default();
    let mut place = || set.place(None, std::iter::once(&b"same"[..]));
    for _ in 0..=500 {
        assert!(place().is_ok());
    }
    assert_eq!(place(), Err(PathError::TooManyCollisions { max: 500 }));
}

#[test]
fn numbers_that_are_all_taken_end_in_an_error_not_in_a_search() {
    let mut set = PathSet::default();
    for number in 1..=NUMBER_MAX {
        set.place(None, std::iter::once(format!("a.{number}").as_bytes())).unwrap();
    }
    let mut place = || set.place(None, std::iter::once(&b"a"[..]));
    assert!(place().is_ok());
    assert!(place().is_err());
}

/// A name is cleaned for every file below it, so that one name may cost more than all of the
/// torrent's bytes.
#[test]
fn names_that_would_take_hours_to_clean_are_refused_unread() {
    let long = vec![b'x'; 1 << 20];
    let mut set = PathSet::default();
    let mut place = |name: String| set.place(None, [&long[..], name.as_bytes()].into_iter());
    let taken = (0..100).take_while(|n| place(n.to_string()).is_ok()).count();
    assert_eq!(taken, PATH_TOTAL_LEN_MAX / (1 << 20) - 1);
    assert_eq!(place("more".to_owned()), Err(PathError::TooLong { max: PATH_TOTAL_LEN_MAX }));
}

#[test]
fn files_come_back_to_directories_by_any_way() {
    let all = ["a|b|1", "a|2", "a|b|3", "4", "a|b|c|5", "a|b|6", "x", "x|7", "a|8", "x|9"];
    let placed = ["a/b/1", "a/2", "a/b/3", "4", "a/b/c/5", "a/b/6", "x", "x.1/7", "a/8", "x.1/9"];
    assert_eq!(place_all(&all), placed);
}

proptest! {
    #[test]
    fn cleaned_elements_are_one_safe_path_component(
        raw in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let name = clean(&raw);
        prop_assert!(!name.is_empty() && name.len() <= 240);
        prop_assert_eq!(&clean(&raw), &name, "deterministic");
        prop_assert_eq!(&clean(name.as_bytes()), &name, "what is clean stays");
        let parts: Vec<_> = Path::new(&name).components().collect();
        prop_assert_eq!(parts, [Component::Normal(name.as_ref())]);
    }

    #[test]
    fn no_two_files_share_a_place(
        paths in proptest::collection::vec(
            proptest::collection::vec(prop_oneof!["[aA.]{0,2}", "(a|A|b)(.1|.part|/)?"], 1..4),
            1..30,
        ),
    ) {
        let mut set = PathSet::default();
        let mut files = BTreeSet::new();
        let mut directories = BTreeSet::new();
        for path in &paths {
            let place = set.place(Some("top"), path.iter().map(|e| e.as_bytes())).unwrap();
            prop_assert!(place.starts_with("top"));
            prop_assert_eq!(place.components().count(), path.len() + 1);
            let lower = place.to_str().unwrap().to_lowercase();
            prop_assert!(files.insert(lower.clone()), "{} twice", lower);
            let parents = Path::new(&lower).ancestors().skip(1);
            directories.extend(parents.map(|d| d.to_str().unwrap().to_owned()));
        }
        for file in &files {
            prop_assert!(!directories.contains(file), "{} is a file and a directory", file);
            let part = format!("{file}.part");
            prop_assert!(!files.contains(&part) && !directories.contains(&part), "{}", part);
        }
    }
}
