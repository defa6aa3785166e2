//! The command line as scripts see it: exit codes, one-line errors, JSON.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use coreswarm::Sha1;
use coreswarm::Torrent;
use coreswarm::TorrentMaker;

fn coreswarm(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_coreswarm")).args(words).output().expect("it can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("what it prints is UTF-8")
}

/// A torrent of 5 bytes in a file called `five`.
fn write_torrent(dir: &Path) -> (PathBuf, Torrent) {
    let maker = TorrentMaker::single("five", 5)
        .tier(["http://127.0.0.1:1/announce"])
        .private(true)
        .comment("clear\x1b[2J");
    let made = maker.finish(&[Sha1::of(b"12345")]).expect("it can be made");
    let path = dir.join("five.torrent");
    fs::write(&path, &made).expect("it can be written");
    (path, Torrent::parse(&made).expect("what we make can be read"))
}

#[test]
fn show_prints_one_json_object() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, torrent) = write_torrent(dir.path());
    let output = coreswarm(&["show", path.to_str().expect("UTF-8"), "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(shown["name"], "five");
    assert_eq!(shown["info_hash"], torrent.info_hash().to_string());
    assert_eq!((&shown["piece_count"], &shown["total_bytes"]), (&1.into(), &5.into()));
    assert_eq!(shown["private"], true);
    assert_eq!(shown["trackers"][0][0], "http://127.0.0.1:1/announce");
    assert_eq!(shown["files"][0]["path"], "five");
    assert_eq!(shown["files"][0]["pad"], false);
    assert_eq!(shown["comment"], "clear\x1b[2J", "JSON has an escape of its own");
}

#[test]
fn show_lets_no_control_character_reach_the_terminal() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, _) = write_torrent(dir.path());
    let output = coreswarm(&["show", path.to_str().expect("UTF-8")]);
    let shown = text(&output.stdout);
    assert!(shown.contains("comment:    clear\\u{1b}[2J"), "{shown}");
    assert!(!shown.contains('\x1b'), "{shown}");
}

#[test]
fn a_bad_file_is_one_line_and_exit_code_1() {
    let dir = tempfile::tempdir().expect("a directory");
    let bad = dir.path().join("bad.torrent");
    fs::write(&bad, "d4:infoi1ee").expect("it can be written");
    let missing = dir.path().join("missing.torrent");
    for command in ["show", "get"] {
        for path in [&bad, &missing] {
            let path = path.to_str().expect("UTF-8");
            let output = coreswarm(&[command, path]);
            let told = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
            assert!(told.starts_with("coreswarm: ") && told.contains("expected"), "{told}");
            assert!(output.stdout.is_empty());
        }
    }
}

#[test]
fn a_command_line_that_is_not_understood_is_exit_code_2() {
    for words in [
        &["get"][..],
        &["fetch", "x"],
        &["get", "x.torrent", "--peer", "nonsense"],
        &["get", "x.torrent", "--assembly-budget", "much"],
        &["get", "x.torrent", "--seed-time", "-1s"],
        &["get", "x.torrent", "--select", "0,6-4"],
        &["seed", "dir"],
    ] {
        let output = coreswarm(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(!output.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn get_of_files_that_are_not_there_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, _) = write_torrent(dir.path());
    let path = path.to_str().expect("UTF-8");
    for (list, told) in [("six", "expected a file of the torrent"), ("0,1", "below 1, got 1")] {
        let output = coreswarm(&[
            "get",
            path,
            "--select",
            list,
            "--listen",
            "127.0.0.1:0",
            "-o",
            "/nowhere",
        ]);
        let text = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(told), "{text}");
    }
}

#[test]
fn help_names_the_exit_codes() {
    let output = coreswarm(&["get", "--help"]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    assert!(told.contains("Exit codes:") && told.contains("130"), "{told}");
}

#[test]
fn seed_starts_nothing_when_data_is_missing_or_short() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, _) = write_torrent(dir.path());
    let data = dir.path().join("data");
    fs::create_dir(&data).expect("it can be made");
    let words = ["seed", data.to_str().expect("UTF-8"), path.to_str().expect("UTF-8")];
    let output = coreswarm(&words);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("got nothing"), "{output:?}");
    fs::write(data.join("five"), "123").expect("it can be written");
    let told = text(&coreswarm(&words).stderr);
    assert!(told.contains("expected 5 bytes") && told.contains("got 3 bytes"), "{told}");
    assert_eq!(fs::read(data.join("five")).expect("still there"), b"123");
}

#[test]
fn seed_of_a_directory_without_torrents_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("UTF-8");
    let output = coreswarm(&["seed", path, path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("expected .torrent files"), "{output:?}");
}

#[test]
fn too_many_shards_are_refused_with_exit_code_3_and_a_remedy() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, _) = write_torrent(dir.path());
    let output =
        coreswarm(&["get", path.to_str().expect("UTF-8"), "--shards", "60000", "-o", "/nowhere"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}
