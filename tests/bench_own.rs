//! The benches that run sessions of their own: what they print, and that they notice bad data.

use std::fs;
use std::process::Command;
use std::process::Output;

use serde_json::Value;

fn bench(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coreswarm"));
    command.arg("bench").args(words).output().expect("it can be started")
}

/// The report of a run that went well.
fn report(words: &[&str]) -> Value {
    let output = bench(words);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.lines().count(), 1, "{text}");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["mode"], words[0]);
    report
}

/// A number above zero.
fn assert_positive(report: &Value, keys: &[&str]) {
    for key in keys {
        assert!(report[key].as_f64() > Some(0.0), "{key}: {report}");
    }
}

fn assert_is(report: &Value, wanted: &[(&str, u64)]) {
    for (key, value) in wanted {
        assert_eq!(report[key], *value, "{key}: {report}");
    }
}

#[test]
fn check_tells_rates_of_complete_data_and_fails_on_a_bad_piece() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    assert!(bench(&["make", &path(""), "1M", "64K"]).status.success());
    let (torrent, data) = (path("torrents/load.torrent"), path("data"));
    let words = ["check", &torrent, &data, "--shards", "1", "--runs", "2"];
    let good = report(&words);
    assert_is(&good, &[("bytes", 1 << 20), ("pieces", 16), ("pieces_good", 16)]);
    assert_positive(&good, &["shards_seconds", "shards_GB_per_s", "shards_GB_per_cpu_s"]);
    let file = path("data/load.bin");
    let mut bytes = fs::read(&file).expect("a file");
    bytes[200_000] ^= 1;
    fs::write(&file, bytes).expect("it can be written");
    let bad = bench(&words);
    assert_eq!(bad.status.code(), Some(5), "{bad:?}");
    let text = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert!(text.contains("15 of 16 pieces are good"), "{text}");
}

#[test]
fn scale_counts_what_small_torrents_cost_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let place = dir.path().to_str().expect("UTF-8");
    let words = ["scale", "--torrents", "40", "--seconds", "1s", "--shards", "1"];
    let report = report(&[&words[..], &["--directory", place]].concat());
    assert_is(&report, &[("torrents", 40), ("pieces_good", 160), ("torrents_seeding", 40)]);
    assert_positive(&report, &["add_seconds", "add_and_check_cpu_s", "idle_seconds", "list_ms"]);
    assert_positive(&report, &["private_bytes_before", "private_bytes_after", "shutdown_seconds"]);
    assert!(report["idle_cpu_percent"].is_number(), "{report}");
    assert_eq!(fs::read_dir(place).expect("a directory").count(), 0);
}

#[test]
fn a_swarm_of_our_own_ends_with_the_seeder_s_bytes_everywhere() {
    let dir = tempfile::tempdir().expect("a directory");
    let place = dir.path().to_str().expect("UTF-8");
    let words = ["swarm", "--seeders", "2", "--leechers", "2", "--size", "2M", "--piece-length"];
    let report = report(&[&words[..], &["64K", "--seconds", "2m", "--directory", place]].concat());
    assert_is(&report, &[("bytes", 4 << 20), ("bytes_verified", 4 << 20), ("leechers", 2)]);
    assert_positive(&report, &["MB_per_s", "cpu_s_per_GiB", "finished_first_seconds"]);
    assert_eq!(fs::read_dir(place).expect("a directory").count(), 0);
}

#[test]
fn turn_tells_how_long_turns_and_answers_take_under_both_kinds_of_load() {
    let dir = tempfile::tempdir().expect("a directory");
    let place = dir.path().to_str().expect("UTF-8");
    for (work, least) in [("seed", 1), ("download", 4 << 20)] {
        let words = ["turn", "--work", work, "--connections", "3", "--size", "4M", "--seconds"];
        let more = ["2s", "--piece-length", "64K", "--directory", place];
        let report = report(&[&words[..], &more].concat());
        assert_eq!(report["work"], work);
        assert_positive(&report, &["bytes", "turns", "turn_p50_ms", "turn_p99_9_ms"]);
        assert_positive(&report, &["turn_max_ms", "answers", "answer_p99_ms"]);
        let (usual, longest) = (&report["turn_p99_ms"], &report["turn_max_ms"]);
        assert!(usual.as_f64() <= longest.as_f64(), "{report}");
        // Towards the end blocks are asked of several peers.
        assert!(report["bytes"].as_u64() >= Some(least), "{report}");
    }
    assert_eq!(fs::read_dir(place).expect("a directory").count(), 0);
}
