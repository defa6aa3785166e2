//! `get` of magnet links from a `seed` beside it, in all three versions.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Lines;
use std::path::Path;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;

use coreswarm::Torrent;
use serde_json::Value;

fn coreswarm(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coreswarm"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What it prints on stdout when it succeeds.
fn said(words: &[&str]) -> String {
    let output = coreswarm(words).output().expect("it can be started");
    assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("what it prints is UTF-8")
}

fn event(line: &str) -> Value {
    serde_json::from_str(line).expect("JSON")
}

/// A `seed` that runs until it is dropped. What it goes on to say has somewhere to go: without a
/// reader it would end.
struct Seed(Child, Lines<BufReader<ChildStdout>>);

impl Drop for Seed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Seeds what lies in `place`; answers where peers reach it, once it is complete.
fn seed(place: &str, torrent: &str) -> (Seed, String) {
    let words = ["seed", place, torrent, "--listen", "127.0.0.1:0", "--shards", "1", "--json"];
    let mut child = coreswarm(&words).spawn().expect("it can be started");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut seed = Seed(child, lines);
    let mut address = None;
    for line in &mut seed.1 {
        let event = event(&line.expect("a line"));
        match event["event"].as_str() {
            Some("listening") => address = event["address"].as_str().map(str::to_owned),
            Some("seeding") => break,
            _ => {}
        }
    }
    (seed, address.expect("it listens before it seeds"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// 100 pieces of 16 KiB and a bit, so that v2 has a piece layer.
fn payload() -> Vec<u8> {
    (0..100 * 16_384 + 77u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn a_magnet_becomes_its_files_and_its_torrent_in_every_version() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("data")).expect("it can be made");
    fs::write(dir.path().join("data/one.bin"), payload()).expect("it can be written");
    let data = dir.path().join("data");
    for version in ["--v1", "--v2", "--hybrid"] {
        let made = dir.path().join(format!("made{version}.torrent"));
        let path = data.join("one.bin");
        let pieces = ["--piece-length", "16KiB", "-o", text(&made)];
        said(&[&["create", text(&path), version][..], &pieces].concat());
        let link = said(&["magnet", text(&made)]);
        let (_seed, address) = seed(text(&data), text(&made));
        let out = dir.path().join(format!("out{version}"));
        let saved = dir.path().join(format!("saved{version}.torrent"));
        let told = said(
            &[
                &["get", link.trim_end(), "-o", text(&out), "--save-torrent", text(&saved)][..],
                &["--peer", &address, "--listen", "127.0.0.1:0", "--shards", "1", "--json"],
            ]
            .concat(),
        );
        let events: Vec<Value> = told.lines().map(event).collect();
        let metadata = events.iter().find(|event| event["event"] == "metadata");
        let metadata = metadata.unwrap_or_else(|| panic!("{version}: {told}"));
        assert_eq!(metadata["name"], "one.bin");
        assert!(events.iter().any(|event| event["event"] == "finished"), "{version}: {told}");
        assert_eq!(fs::read(out.join("one.bin")).expect("it came"), payload(), "{version}");
        let read = |path: &Path| {
            Torrent::parse(&fs::read(path).expect("it is there")).expect("it is a torrent")
        };
        let (made, saved) = (read(&made), read(&saved));
        assert_eq!(saved.info_hashes(), made.info_hashes(), "{version}");
        assert!(saved.has_piece_layers(), "{version}");
    }
}

#[test]
fn files_of_a_magnet_are_chosen_by_number_because_their_names_are_not_known() {
    let link = "magnet:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a";
    let output = coreswarm(&["get", link, "--select", "a.txt"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).expect("what it prints is UTF-8");
    assert!(told.contains("expected file numbers"), "{told}");
}

#[test]
fn a_torrent_file_without_its_layers_gets_them_from_peers_and_says_what_it_cannot_do_without() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("data")).expect("it can be made");
    fs::write(path("data/one.bin"), payload()).expect("it can be written");
    let (one, made) = (path("data/one.bin"), path("made.torrent"));
    said(&["create", text(&one), "--v2", "--piece-length", "16KiB", "-o", text(&made)]);
    let mut bytes = fs::read(&made).expect("it is there");
    let key = b"12:piece layers";
    let at = bytes.windows(key.len()).position(|part| part == key).expect("the last key");
    bytes.truncate(at);
    bytes.push(b'e');
    let short = path("short.torrent");
    fs::write(&short, bytes).expect("it can be written");
    assert!(said(&["show", text(&short)]).contains("layers:     missing for 1 files"));
    let (data, short) = (path("data"), text(&short));
    for words in [["seed", text(&data), short], ["verify", short, text(&data)]] {
        let output = coreswarm(&words).output().expect("it can be started");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("piece layers") && told.contains("--save-torrent"), "{told}");
    }
    let (_seed, address) = seed(text(&data), text(&made));
    let saved = path("saved.torrent");
    said(
        &[
            &["get", short, "-o", text(&path("out")), "--save-torrent", text(&saved)][..],
            &["--peer", &address, "--listen", "127.0.0.1:0", "--shards", "1", "--json"],
        ]
        .concat(),
    );
    assert_eq!(fs::read(path("out/one.bin")).expect("it came"), payload());
    let saved = Torrent::parse(&fs::read(saved).expect("it is there")).expect("a torrent");
    assert!(saved.has_piece_layers());
}
