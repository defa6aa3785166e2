//! Making torrents of what lies on disk, by the library and by the command line.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use coreswarm::CreateError;
use coreswarm::Creator;
use coreswarm::Sha1;
use coreswarm::Torrent;
use coreswarm::TorrentVersion;
use coreswarm::Verifier;
use proptest::prelude::ProptestConfig;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::proptest;
use tempfile::TempDir;

const VERSIONS: [TorrentVersion; 3] =
    [TorrentVersion::V1, TorrentVersion::V2, TorrentVersion::Hybrid];

/// Files with bytes that differ from file to file, below a directory called `content`.
fn content(files: &[(&str, usize)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (number, (path, len)) in files.iter().enumerate() {
        let path = dir.path().join("content").join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        let bytes: Vec<u8> = (0..*len).map(|at| (at / 7 + at % 251 + number) as u8).collect();
        fs::write(path, bytes).expect("it can be written");
    }
    dir
}

fn make(path: &Path, version: TorrentVersion, piece_length: u32) -> Result<Vec<u8>, CreateError> {
    let creator = Creator::new(path, [""; 0])?;
    let maker = creator.maker().version(version).with_piece_length(piece_length);
    creator.run(&maker, |_| ControlFlow::Continue(()))
}

fn coreswarm(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_coreswarm")).args(words).output().expect("it can be started")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn what_is_made_of_many_files_is_good_in_every_version() {
    let files = [("a", 100_000), ("b/empty", 0), ("b/x", 16_384), ("b-c", 5), ("für 日本", 40_001)];
    let dir = content(&files);
    for version in VERSIONS {
        let made = make(&dir.path().join("content"), version, 32_768).expect("it can be made");
        let torrent = Torrent::parse(&made).expect("it can be read");
        let hashes = torrent.info_hashes();
        assert_eq!(
            (hashes.v1().is_some(), hashes.v2().is_some()),
            (version.has_v1(), version.has_v2())
        );
        let on_disk = torrent.files().iter().filter(|file| file.is_on_disk());
        let paths: Vec<_> = on_disk.map(|file| text(file.path()).to_owned()).collect();
        let sorted =
            ["a", "b/empty", "b/x", "b-c", "für 日本"].map(|path| format!("content/{path}"));
        assert_eq!(paths, sorted, "by the bytes of path elements");
        let report = Verifier::new(torrent, dir.path()).run(|_| ControlFlow::Continue(()));
        assert!(report.expect("it can be read").is_good(), "{version:?}");
    }
}

#[test]
fn known_content_has_the_hashes_that_others_compute() {
    // What libtorrent 2.0.15 makes of the same files and piece length.
    let dir = content(&[("only", 20_000)]);
    let single = make(&dir.path().join("content/only"), TorrentVersion::V1, 16_384);
    let torrent = Torrent::parse(&single.expect("it can be made")).expect("it can be read");
    let bytes = fs::read(dir.path().join("content/only")).expect("it is there");
    let pieces: Vec<u8> =
        bytes.chunks(16_384).flat_map(|piece| *Sha1::of(piece).as_bytes()).collect();
    let info =
        [&b"d6:lengthi20000e4:name4:only12:piece lengthi16384e6:pieces40:"[..], &pieces, b"e"];
    assert_eq!(torrent.info_bytes(), info.concat());
    assert_eq!(torrent.info_hash(), Sha1::of(&info.concat()));
}

#[test]
fn the_same_content_makes_the_same_bytes_whatever_the_threads() {
    let dir = content(&[("a", 3_000_000), ("b", 700_001), ("c/d", 1)]);
    for version in VERSIONS {
        let make = |threads, is_mapping| {
            let creator = Creator::new(dir.path().join("content"), [""; 0]).expect("it is there");
            let creator = creator.threads(threads).mapping(is_mapping);
            let maker = creator.maker().version(version).with_piece_length(65_536);
            creator.run(&maker, |_| ControlFlow::Continue(())).expect("it can be made")
        };
        let first = make(0, false);
        assert!(first == make(1, false) && first == make(2, true), "{version:?}");
    }
}

#[test]
fn links_are_left_out_and_told_and_names_are_kept_as_bytes() {
    let dir = content(&[("a", 10)]);
    let root = dir.path().join("content");
    symlink("/etc/passwd", root.join("out")).expect("it can be made");
    symlink("/etc", root.join("folder")).expect("it can be made");
    let odd = std::ffi::OsStr::from_bytes(b"caf\xe9");
    fs::write(root.join(odd), "x").expect("it can be written");
    let creator = Creator::new(&root, [""; 0]).expect("it is there");
    assert_eq!((creator.file_count(), creator.left_out_count()), (2, 2));
    let made =
        creator.run(&creator.maker(), |_| ControlFlow::Continue(())).expect("it can be made");
    assert!(made.windows(6).any(|bytes| bytes == b"4:caf\xe9"), "not turned into something else");
    assert!(!made.windows(6).any(|bytes| bytes == b"passwd"));
}

#[test]
fn what_makes_no_torrent_is_an_error_that_names_it() {
    let dir = content(&[("empty", 0)]);
    let error = |path: &str| Creator::new(dir.path().join(path), ["*.tmp"]).expect_err(path);
    assert!(matches!(error("content"), CreateError::NoBytes { .. }));
    assert!(matches!(error("none"), CreateError::Io { .. }));
    fs::rename(dir.path().join("content/empty"), dir.path().join("content/x.tmp")).expect("rename");
    assert!(matches!(error("content"), CreateError::NoFiles { .. }));
    let device = Creator::new("/dev/null", [""; 0]).expect_err("no file");
    assert!(matches!(device, CreateError::NeitherFileNorDirectory { .. }));
    let pattern = Creator::new(dir.path(), ["["]).expect_err("no pattern");
    assert!(matches!(pattern, CreateError::Pattern { .. }));
}

#[test]
fn a_file_that_changes_after_it_was_found_is_an_error() {
    let dir = content(&[("a", 100_000), ("b", 100_000)]);
    let creator = Creator::new(dir.path().join("content"), [""; 0]).expect("it is there");
    fs::write(dir.path().join("content/b"), vec![1; 100_000]).expect("it can be written");
    let made = creator.run(&creator.maker(), |_| ControlFlow::Continue(()));
    assert!(matches!(made, Err(CreateError::Changed { path }) if path == Path::new("b")));
    fs::remove_file(dir.path().join("content/a")).expect("it is there");
    let made = creator.run(&creator.maker(), |_| ControlFlow::Continue(()));
    assert!(matches!(made, Err(CreateError::Changed { .. })));
}

#[test]
fn the_callback_can_end_it() {
    let dir = content(&[("a", 1_000_000)]);
    let creator = Creator::new(dir.path().join("content"), [""; 0]).expect("it is there");
    let made = creator.run(&creator.maker(), |_| ControlFlow::Break(()));
    assert!(matches!(made, Err(CreateError::Interrupted)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_set_of_files_round_trips_in_every_version(
        lens in proptest::collection::vec(0usize..90_000, 1..12),
        power in 14u32..18,
    ) {
        let names: Vec<String> = (0..lens.len()).map(|n| format!("{}/f{n}", n % 3)).collect();
        let mut files: Vec<_> = names.iter().map(String::as_str).zip(lens).collect();
        files.push(("some", 1));
        let dir = content(&files);
        for version in VERSIONS {
            let made = make(&dir.path().join("content"), version, 1 << power).expect("made");
            let torrent = Torrent::parse(&made).expect("read");
            let data = torrent.files().iter().filter(|file| file.is_on_disk());
            prop_assert_eq!(data.map(|file| file.length()).sum::<u64>(),
                files.iter().map(|(_, len)| *len as u64).sum::<u64>());
            let report = Verifier::new(torrent, dir.path()).run(|_| ControlFlow::Continue(()));
            prop_assert!(report.expect("read").is_good(), "{:?}", version);
        }
    }
}

#[test]
fn the_command_writes_what_was_asked_for() {
    let dir = content(&[("a", 50_000), ("b.tmp", 7), ("cache/c", 9)]);
    let (path, out) = (dir.path().join("content"), dir.path().join("content/out.torrent"));
    let words = ["create", text(&path), "-o", text(&out), "--hybrid", "--piece-length", "32KiB"];
    let more = ["-a", "http://t/1", "-a", "http://t/2", "-w", "http://w/", "--private"];
    let last = ["--source", "S", "--comment", "C", "--exclude", "*.tmp", "--exclude", "cache/**"];
    let all = [&words[..], &more, &last].concat();
    let output = coreswarm(&all);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let torrent = Torrent::parse(&fs::read(&out).expect("written")).expect("read");
    assert!(torrent.info_hashes().is_hybrid() && torrent.is_private());
    assert_eq!(torrent.piece_length(), 32_768);
    assert_eq!(torrent.trackers(), [["http://t/1"], ["http://t/2"]]);
    assert_eq!((torrent.url_list(), torrent.comment()), (&["http://w/".to_owned()][..], Some("C")));
    assert!(torrent.info_bytes().windows(11).any(|bytes| bytes == b"6:source1:S"));
    let told = String::from_utf8(output.stdout).expect("UTF-8");
    for hash in torrent.info_hashes().v1().iter().map(ToString::to_string) {
        assert!(told.contains(&hash), "{told}");
    }
    let again = coreswarm(&all);
    assert_eq!(again.status.code(), Some(1), "the file is there");
    let forced = coreswarm(&[&all[..], &["--force"]].concat());
    assert_eq!(forced.status.code(), Some(0), "{forced:?}");
    let again = Torrent::parse(&fs::read(&out).expect("written")).expect("read");
    assert_eq!(again.info_hashes(), torrent.info_hashes(), "it is no part of itself");
}

#[test]
fn the_command_makes_v1_by_default_and_writes_to_stdout() {
    let dir = content(&[("a", 50_000)]);
    let path = dir.path().join("content/a");
    let output = coreswarm(&["create", text(&path), "-o", "-", "--no-date"]);
    let torrent = Torrent::parse(&output.stdout).expect("nothing else is printed");
    assert!(torrent.info_hashes().v2().is_none());
    assert_eq!((torrent.creation_date(), torrent.created_by()), (None, None));
    for words in [&["--v1", "--v2"][..], &["--piece-length", "x"], &["--piece-length", "5GiB"]] {
        let output = coreswarm(&[&["create", text(&path)][..], words].concat());
        assert_eq!(output.status.code(), Some(2), "{words:?}");
    }
    let output = coreswarm(&["create", text(&path), "-o", "-", "--piece-length", "1KiB"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}
