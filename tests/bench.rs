//! `coreswarm bench` against `coreswarm seed` and `get`: what it prints, and when it fails.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use serde_json::Value;

/// A program of ours that runs and tells JSON events; ends with this value.
struct Running {
    child: Child,
    events: BufReader<ChildStdout>,
}

impl Running {
    fn start(words: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coreswarm"));
        let command = command.args(words).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it can be started");
        let events = BufReader::new(child.stdout.take().expect("a pipe"));
        Running { child, events }
    }

    /// The next event of this kind.
    fn event(&mut self, kind: &str) -> Value {
        let events = self.events.by_ref().lines().map(|line| line.expect("UTF-8"));
        let mut events = events.map(|line| serde_json::from_str::<Value>(&line).expect("JSON"));
        events.find(|event| event["event"] == kind).unwrap_or_else(|| panic!("no event {kind}"))
    }

    fn address(&mut self) -> String {
        let event = self.event("listening");
        let address = event["address"].as_str().expect("an address");
        assert!(address.parse::<SocketAddr>().is_ok(), "{address}");
        address.to_owned()
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Waits for the end: the last line, and whether all was well.
    fn end(mut self) -> (Value, bool) {
        let last = self.events.by_ref().lines().map(|line| line.expect("UTF-8")).last();
        let is_good = self.child.wait().expect("it ends").success();
        (serde_json::from_str(&last.unwrap_or_default()).unwrap_or_default(), is_good)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A payload, or several, with torrents.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn make(size: &str, more: &[&str]) -> Place {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().to_str().expect("UTF-8");
        let made = bench(&[&["make", path, size, "64K"], more].concat());
        assert!(made.status.success(), "{made:?}");
        Place { dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn torrent(&self) -> String {
        self.path("torrents/load.torrent")
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data/load.bin")
    }

    /// An engine that seeds what is here.
    fn seed(&self) -> (Running, String) {
        let (data, torrents) = (self.path("data"), self.path("torrents"));
        let count = fs::read_dir(&torrents).expect("torrents").count();
        let words = ["seed", &data, &torrents, "--listen", "127.0.0.1:0", "--shards", "1"];
        let mut engine = Running::start(&[&words[..], &["--json"]].concat());
        let address = engine.address();
        (0..count).for_each(|_| drop(engine.event("seeding")));
        (engine, address)
    }

    /// An engine that downloads what is here to another directory.
    fn get(&self, more: &[&str]) -> Running {
        let (torrent, target) = (self.torrent(), self.path("target"));
        let words = ["get", &torrent, "-o", &target, "--listen", "127.0.0.1:0", "--shards", "1"];
        Running::start(&[&words[..], &["--json"], more].concat())
    }

    fn assert_downloaded(&self) {
        let got = fs::read(Path::new(&self.path("target")).join("load.bin")).expect("a file");
        assert!(got == fs::read(self.data()).expect("a file"), "the download has other bytes");
    }
}

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
    assert!(report["cores"].as_u64() > Some(0) && report["kernel"].is_string(), "{report}");
    report
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn seed_measures_rate_latency_and_what_it_costs() {
    let place = Place::make("1M", &[]);
    let (engine, address) = place.seed();
    let (torrent, pid) = (place.torrent(), engine.pid());
    for pattern in ["random-pieces", "sequential"] {
        let words = ["seed", &address, &torrent, "--connections", "3", "--bytes", "8M"];
        let more = ["--verify", "--depth", "8", "--pid", &pid, "--pattern", pattern];
        let report = report(&[&words[..], &more].concat());
        assert_eq!(report["bytes"], 8 << 20);
        assert_eq!(report["requests_answered"], 512);
        assert_eq!((&report["connections"], &report["connections_served"]), (&3.into(), &3.into()));
        assert_eq!((&report["pieces_corrupt"], &report["loop"]), (&0.into(), &"closed".into()));
        assert!(report["pieces_intact"].as_u64() >= Some(2), "{report}");
        for key in ["MB_per_s", "p50_ms", "p99_ms", "p99_9_ms", "engine_peak_private_bytes"] {
            assert!(report[key].as_f64() > Some(0.0), "{key}: {report}");
        }
        assert!(report["engine_cpu_s_per_GiB"].is_number(), "{report}");
    }
}

#[test]
fn an_open_loop_asks_by_the_clock_and_counts_every_request() {
    let place = Place::make("1M", &[]);
    let (_engine, address) = place.seed();
    let words = ["seed", &address, &place.torrent(), "--connections", "4", "--seconds", "0.5"];
    let report = report(&[&words[..], &["--rate", "400", "--pattern", "random-blocks"]].concat());
    assert_eq!((&report["requests_due"], &report["requests_answered"]), (&200.into(), &200.into()));
    assert_eq!((&report["requests_unanswered"], &report["loop"]), (&0.into(), &"open".into()));
    assert_eq!(report["connections_served"], 4);
    assert!(report["seconds"].as_f64() >= Some(0.4), "{report}");
    assert!(report["engine_cpu_s"].is_null(), "nobody said which process it is: {report}");
}

#[test]
fn wrong_data_is_found_and_told_by_the_exit_code() {
    let place = Place::make("256K", &[]);
    let (_engine, address) = place.seed();
    fs::write(place.data(), vec![0; 256 << 10]).expect("it can be written");
    let words = ["seed", &address, &place.torrent(), "--connections", "1", "--bytes", "1M"];
    let output = bench(&[&words[..], &["--verify"]].concat());
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(stderr(&output).contains("did not have their hash"), "{output:?}");
}

#[test]
fn nobody_there_and_too_few_descriptors_are_errors_with_a_remedy() {
    let place = Place::make("64K", &[]);
    // Bound and closed again: nobody listens.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let address = free.expect("an address").to_string();
    for command in ["seed", "churn"] {
        let mut words = vec![command, &address];
        let torrent = place.torrent();
        words.push(&torrent);
        words.extend(if command == "churn" { ["--cycles", "10"] } else { ["--connections", "1"] });
        let output = bench(&words);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(stderr(&output).contains(&address), "{output:?}");
    }
    let program = env!("CARGO_BIN_EXE_coreswarm");
    let line = format!(
        "ulimit -n 64; exec {program} bench idle {address} {} --connections 100",
        place.torrent()
    );
    let output = Command::new("sh").args(["-c", &line]).output().expect("a shell");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("ulimit -Hn"), "{output:?}");
}

#[test]
fn leech_feeds_a_download_although_some_peers_corrupt_and_stall() {
    let place = Place::make("4M", &[]);
    let mut engine = place.get(&[]);
    let (address, pid) = (engine.address(), engine.pid());
    let (torrent, data) = (place.torrent(), place.data());
    let words = ["leech", &address, &torrent, data.to_str().expect("UTF-8"), "--pid", &pid];
    let more = ["--connections", "4", "--corrupt", "0.25", "--stall", "0.25"];
    let report = report(&[&words[..], &more].concat());
    assert!(engine.end().1, "{report}");
    place.assert_downloaded();
    assert_eq!((&report["connections"], &report["blocks_never_asked_for"]), (&4.into(), &0.into()));
    assert_eq!((&report["peers_corrupting"], &report["peers_stalling"]), (&1.into(), &1.into()));
    assert!(report["bytes"].as_u64() >= Some(4 << 20), "{report}");
    assert!(report["engine_peak_private_bytes"].as_u64() > Some(0), "{report}");
}

#[test]
fn leech_can_wait_to_be_called() {
    let place = Place::make("1M", &[]);
    let (torrent, data) = (place.torrent(), place.data());
    let data = data.to_str().expect("UTF-8");
    let mut load = Running::start(&["bench", "leech", "127.0.0.1:0", &torrent, data, "--listen"]);
    let address = load.address();
    assert!(place.get(&["--peer", &address]).end().1);
    place.assert_downloaded();
    let (report, is_good) = load.end();
    assert!(is_good, "{report}");
    assert_eq!((&report["bytes"], &report["connections_served"]), (&(1 << 20).into(), &1.into()));
}

#[test]
fn the_generator_can_be_measured_against_itself() {
    let place = Place::make("1M", &[]);
    let (torrent, data) = (place.torrent(), place.data());
    let data = data.to_str().expect("UTF-8");
    let words = ["bench", "leech", "127.0.0.1:0", &torrent, data, "--listen", "--connections", "3"];
    let mut load = Running::start(&words);
    let address = load.address();
    let words = ["seed", &address, &torrent, "--connections", "3", "--bytes", "16M", "--verify"];
    let report = report(&words);
    assert_eq!((&report["bytes"], &report["pieces_corrupt"]), (&(16 << 20).into(), &0.into()));
    let (report, is_good) = load.end();
    assert!(is_good && report["bytes"].as_u64() >= Some(16 << 20), "{report}");
}

#[test]
fn idle_tells_what_a_peer_holds_that_does_nothing() {
    let place = Place::make("64K", &[]);
    let (engine, address) = place.seed();
    let (torrent, pid) = (place.torrent(), engine.pid());
    let words = ["idle", &address, &torrent, "--connections", "20", "--seconds", "0.2"];
    let report = report(&[&words[..], &["--pid", &pid]].concat());
    assert_eq!(
        (&report["connections_served"], &report["connections_open"]),
        (&20.into(), &20.into())
    );
    let descriptors = |key: &str| report[format!("engine_descriptors_{key}")].as_u64();
    // The engine may close files meanwhile.
    assert!(descriptors("connected") > descriptors("before").map(|before| before + 15), "{report}");
    assert!(descriptors("after") <= descriptors("before"), "{report}");
    assert!(report["engine_private_bytes_per_connection"].is_number(), "{report}");
    assert!(report["engine_idle_cpu_percent"].as_f64() < Some(50.0), "{report}");
}

#[test]
fn churn_connects_as_often_as_it_shall_and_nothing_stays_behind() {
    let place = Place::make("64K", &[]);
    let (engine, address) = place.seed();
    let (torrent, pid) = (place.torrent(), engine.pid());
    let words = ["churn", &address, &torrent, "--cycles", "300", "--concurrency", "16"];
    let report = report(&[&words[..], &["--pid", &pid]].concat());
    assert_eq!((&report["cycles"], &report["cycles_failed"]), (&300.into(), &0.into()));
    let descriptors = |key: &str| report[format!("engine_descriptors_{key}")].as_u64();
    assert!(descriptors("after").is_some(), "{report}");
    assert!(descriptors("after") <= descriptors("before"), "{report}");
    assert!(report["cycles_per_s"].as_f64() > Some(0.0), "{report}");
}

#[test]
fn many_spreads_its_peers_over_all_torrents() {
    let place = Place::make("128K", &["--count", "3"]);
    let (_engine, address) = place.seed();
    let words = ["many", &address, &place.path("torrents"), "--connections", "6"];
    let report = report(&[&words[..], &["--interval", "50ms", "--seconds", "0.5"]].concat());
    assert_eq!((&report["torrents"], &report["torrents_served"]), (&3.into(), &3.into()));
    assert_eq!((&report["connections_served"], &report["chokes"]), (&6.into(), &0.into()));
}
