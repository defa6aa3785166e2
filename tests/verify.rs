//! Verifying what lies on disk, by the library and by the command line.

use std::fs;
use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::sync::Arc;

use coreswarm::Creator;
use coreswarm::FileState;
use coreswarm::PieceState;
use coreswarm::Sha1;
use coreswarm::Torrent;
use coreswarm::TorrentMaker;
use coreswarm::TorrentVersion;
use coreswarm::Verifier;
use coreswarm::VerifyReport;
use tempfile::TempDir;

const PIECE: usize = 32_768;

/// Three files of a few pieces each, and their torrent.
struct Site {
    dir: TempDir,
    torrent: Arc<Torrent>,
    bytes: Vec<u8>,
}

impl Site {
    fn new(version: TorrentVersion) -> Site {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().join("t");
        fs::create_dir(&root).expect("it can be made");
        for (name, len) in [("a", 5 * PIECE), ("b", 3 * PIECE + 1), ("c", 2 * PIECE)] {
            let bytes: Vec<u8> = (0..len).map(|at| (at / 3 + at % 253 + len) as u8).collect();
            fs::write(root.join(name), bytes).expect("it can be written");
        }
        fs::write(root.join("empty"), "").expect("it can be written");
        let creator = Creator::new(&root, [""; 0]).expect("it is there");
        let maker = creator.maker().version(version).with_piece_length(PIECE as u32);
        let bytes = creator.run(&maker, |_| ControlFlow::Continue(())).expect("it can be made");
        let torrent = Arc::new(Torrent::parse(&bytes).expect("it can be read"));
        Site { dir, torrent, bytes }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("t").join(name)
    }

    fn verify(&self) -> VerifyReport {
        let verifier = Verifier::new(Arc::clone(&self.torrent), self.dir.path());
        verifier.run(|_| ControlFlow::Continue(())).expect("the directory is there")
    }

    fn flip(&self, name: &str, at: u64) {
        let file = File::options().read(true).write(true).open(self.path(name)).expect("there");
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).expect("long enough");
        file.write_all_at(&[!byte[0]], at).expect("it can be written");
    }
}

fn state(report: &VerifyReport, name: &str) -> FileState {
    let path = Path::new("t").join(name);
    report.files().iter().find(|file| file.path == path).expect("listed").state.clone()
}

const VERSIONS: [TorrentVersion; 3] =
    [TorrentVersion::V1, TorrentVersion::V2, TorrentVersion::Hybrid];

#[test]
fn damage_of_every_kind_is_found_where_it_is() {
    for version in VERSIONS {
        let site = Site::new(version);
        assert!(site.verify().is_good(), "{version:?}");
        site.flip("a", 2 * PIECE as u64 + 5);
        let report = site.verify();
        assert_eq!(report.runs(PieceState::Corrupt).collect::<Vec<_>>(), [2..=2], "{version:?}");
        assert_eq!(
            (state(&report, "a"), state(&report, "b")),
            (FileState::Corrupt, FileState::Good)
        );
        site.flip("a", 2 * PIECE as u64 + 5);

        let cut = 2 * PIECE as u64 + 7;
        File::options().write(true).open(site.path("b")).expect("there").set_len(cut).expect("cut");
        let report = site.verify();
        assert_eq!(state(&report, "b"), FileState::Short { length: cut });
        assert_eq!(report.pieces()[5..8], [PieceState::Good, PieceState::Good, PieceState::Short]);
        assert!(!report.is_good());

        fs::remove_file(site.path("b")).expect("there");
        let report = site.verify();
        assert_eq!(state(&report, "b"), FileState::Missing);
        // In v1 the byte behind the last whole piece of b shares one with c.
        assert_eq!(report.runs(PieceState::Missing).collect::<Vec<_>>(), [5..=8], "{version:?}");
        assert_eq!(report.count(PieceState::Good), site.torrent.piece_count() - 4);
    }
}

#[test]
fn bytes_behind_the_end_are_told_though_all_pieces_are_good() {
    let site = Site::new(TorrentVersion::V1);
    let length = 2 * PIECE as u64 + 100;
    File::options()
        .write(true)
        .open(site.path("c"))
        .expect("there")
        .set_len(length)
        .expect("grown");
    let report = site.verify();
    assert_eq!(state(&report, "c"), FileState::Long { length });
    assert_eq!(report.count(PieceState::Good), site.torrent.piece_count());
    assert!(!report.is_good());
}

#[test]
fn a_missing_empty_file_a_link_and_a_directory_are_told() {
    let site = Site::new(TorrentVersion::Hybrid);
    fs::remove_file(site.path("empty")).expect("there");
    fs::rename(site.path("c"), site.dir.path().join("elsewhere")).expect("it can be moved");
    std::os::unix::fs::symlink("../elsewhere", site.path("c")).expect("it can be made");
    fs::remove_file(site.path("a")).expect("there");
    fs::create_dir(site.path("a")).expect("it can be made");
    let report = site.verify();
    assert_eq!(state(&report, "empty"), FileState::Missing);
    assert_eq!(
        (state(&report, "c"), state(&report, "a")),
        (FileState::NotAFile, FileState::NotAFile)
    );
    assert_eq!(state(&report, "b"), FileState::Good);
}

#[test]
fn unfinished_files_are_looked_at_and_a_missing_directory_is_all_missing() {
    let site = Site::new(TorrentVersion::V1);
    fs::rename(site.path("b"), site.path("b.part")).expect("it can be renamed");
    let report = site.verify();
    assert!(report.is_good() && report.files().iter().any(|file| file.is_part));
    let nowhere = Verifier::new(Arc::clone(&site.torrent), site.dir.path().join("none"));
    let report = nowhere.run(|_| ControlFlow::Continue(())).expect("no error");
    assert_eq!(report.count(PieceState::Missing), site.torrent.piece_count());
    let file = Verifier::new(Arc::clone(&site.torrent), site.path("a"));
    assert!(file.run(|_| ControlFlow::Continue(())).is_err(), "not a directory");
}

/// Zeros in two files, mostly holes, large enough that nobody hashes them between two looks.
struct Zeros {
    dir: TempDir,
    torrent: Arc<Torrent>,
    made: Vec<u8>,
}

impl Zeros {
    const LEN: u64 = 32 << 20;

    fn new() -> Zeros {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("z")).expect("it can be made");
        for name in ["a", "b"] {
            let file = File::create(dir.path().join("z").join(name)).expect("it can be made");
            file.set_len(Zeros::LEN).expect("it can grow");
        }
        let maker = TorrentMaker::directory("z").file(["a"], Zeros::LEN).file(["b"], Zeros::LEN);
        let maker = maker.with_piece_length(1 << 20);
        let made = maker.finish(&[Sha1::of(&vec![0; 1 << 20]); 64]).expect("it can be made");
        let torrent = Arc::new(Torrent::parse(&made).expect("it can be read"));
        Zeros { dir, torrent, made }
    }

    fn verifier(&self) -> Verifier {
        Verifier::new(Arc::clone(&self.torrent), self.dir.path()).threads(1)
    }
}

#[test]
fn an_interrupted_verification_goes_on_and_looks_at_changed_files_again() {
    let zeros = Zeros::new();
    let enough = 20 << 20;
    let report = zeros.verifier().run(|progress| match progress.done_bytes {
        done if done >= enough => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    let report = report.expect("it can be read");
    assert!(report.is_interrupted() && !report.is_good());
    let known = report.count(PieceState::Good);
    assert!(known >= 16, "a claim of 16 MiB was through, got {known}");
    let kept = report.checkpoint().expect("it was interrupted").to_vec();

    let stop = |_| ControlFlow::Break(());
    let same = zeros.verifier().resume(kept.clone()).run(stop).expect("it can be read");
    assert_eq!(same.resumed_count(), known);

    // All that is known lies in the first file.
    let b = File::options().write(true).open(zeros.dir.path().join("z/b")).expect("it is there");
    b.write_all_at(b"x", 5).expect("it can be written");
    let same = zeros.verifier().resume(kept.clone()).run(stop).expect("it can be read");
    assert_eq!(same.resumed_count(), known.min(32));
    let a = File::options().write(true).open(zeros.dir.path().join("z/a")).expect("it is there");
    a.write_all_at(b"x", 5).expect("it can be written");
    let anew = zeros.verifier().resume(kept.clone()).run(stop).expect("it can be read");
    assert_eq!(anew.resumed_count(), known.saturating_sub(32));

    for bad in [&b"junk"[..], b"", b"d6:pieces3:gggee", &kept[..kept.len() - 1]] {
        let anew = zeros.verifier().resume(bad).run(stop).expect("it can be read");
        assert_eq!(anew.resumed_count(), 0);
    }
    let site = Site::new(TorrentVersion::V1);
    let other = Verifier::new(Arc::clone(&site.torrent), site.dir.path()).resume(kept);
    let other = other.run(|_| ControlFlow::Continue(())).expect("it can be read");
    assert_eq!((other.resumed_count(), other.is_good()), (0, true), "another torrent's");
}

fn coreswarm(state: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coreswarm"));
    command.args(words).env("XDG_STATE_HOME", state);
    command
}

fn run(state: &Path, words: &[&str]) -> Output {
    coreswarm(state, words).output().expect("it can be started")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn the_command_says_what_is_wrong_and_so_does_its_exit_code() {
    let site = Site::new(TorrentVersion::V1);
    let file = site.dir.path().join("t.torrent");
    fs::write(&file, &site.bytes).expect("it can be written");
    let words = ["verify", text(&file), text(site.dir.path())];
    let state = site.dir.path().join("state");
    let good = run(&state, &words);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    assert_eq!(String::from_utf8_lossy(&good.stdout).lines().count(), 2, "{good:?}");

    site.flip("a", 0);
    site.flip("a", PIECE as u64);
    fs::remove_file(site.path("empty")).expect("there");
    let bad = run(&state, &words);
    let told = String::from_utf8_lossy(&bad.stdout).into_owned();
    assert_eq!(bad.status.code(), Some(5), "{bad:?}");
    assert!(told.contains("corrupt:    2 of 11 pieces: 0-1\n"), "{told}");
    assert!(told.contains("  t/a: corrupt, 3 of 5 pieces are good\n"), "{told}");
    assert!(told.contains("  t/empty: missing\n"), "{told}");

    let json = run(&state, &[&words[..], &["--json"]].concat());
    assert_eq!(json.status.code(), Some(5));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("one object");
    assert_eq!(json["good"], false);
    assert_eq!(json["pieces"]["corrupt"]["runs"], serde_json::json!([[0, 1]]));
    assert_eq!(json["pieces"]["good"]["count"], 9);
    assert_eq!(json["files"][0]["state"], "corrupt");
    assert_eq!(json["info_hash_v1"], site.torrent.info_hash().to_string());
    assert!(!state.exists(), "nothing is kept of what is done");

    let nowhere = run(&state, &["verify", text(&file), text(&site.path("a"))]);
    assert_eq!(nowhere.status.code(), Some(4), "{nowhere:?}");
    let no_torrent = run(&state, &["verify", text(&site.path("a")), text(site.dir.path())]);
    assert_eq!(no_torrent.status.code(), Some(1), "{no_torrent:?}");
}

#[test]
fn a_signal_interrupts_the_command_and_the_next_call_ends_it() {
    let zeros = Zeros::new();
    let file = zeros.dir.path().join("z.torrent");
    fs::write(&file, &zeros.made).expect("it can be written");
    let state = zeros.dir.path().join("state");
    let words = ["verify", text(&file), text(zeros.dir.path()), "--json"];
    let child = coreswarm(&state, &words).stdout(std::process::Stdio::piped()).spawn();
    let mut child = child.expect("it can be started");
    let id = i32::try_from(child.id()).expect("a process id");
    let pid = rustix::process::Pid::from_raw(id).expect("above 0");
    // With a second thread it has come past its handlers; who ended early has one for ever.
    let tasks = || fs::read_dir(format!("/proc/{id}/task")).map_or(0, Iterator::count);
    while tasks() == 1 && child.try_wait().expect("it is ours").is_none() {
        std::thread::yield_now();
    }
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(told["interrupted"], true);
    let kept = || fs::read_dir(state.join("coreswarm/verify")).expect("there").count();
    assert_eq!(kept(), 1);

    let output = run(&state, &words);
    let ended: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!((output.status.code(), &ended["good"]), (Some(0), &true.into()), "{output:?}");
    assert_eq!(ended["resumed_count"], told["pieces"]["good"]["count"]);
    assert_eq!(kept(), 0, "nothing is left over");
}
