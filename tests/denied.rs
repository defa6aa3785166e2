//! A system that refuses what a shard needs: the program says so in one line, with the remedy.
//!
//! Runs as root, because it changes user and a sysctl; `./check` says so. Each case starts the
//! program as a child process, so that nothing is taken from this one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

const DENY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/denied/deny_io_uring.py");
const EPERM: &str = "1";
const ENOSYS: &str = "38";
/// Nobody, without any capability: root is above limits of locked memory.
const NOBODY: [&str; 7] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--bounding-set=-all",
    "--inh-caps=-all",
    "--",
];

/// A place that everybody may enter, with the program and a torrent of one byte.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let open = |path: &Path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        };
        open(dir.path());
        let bench = Bench { dir };
        fs::copy(env!("CARGO_BIN_EXE_coreswarm"), bench.program()).expect("the program is built");
        open(&bench.program());
        let mut torrent = b"d4:infod6:lengthi1e4:name1:x12:piece lengthi16384e6:pieces20:".to_vec();
        torrent.extend_from_slice(&[7; 20]);
        torrent.extend_from_slice(b"ee");
        fs::write(bench.dir.path().join("x.torrent"), torrent).expect("there is space");
        bench
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("coreswarm")
    }

    /// Runs `prefix... coreswarm get x.torrent` with a deadline, and checks the refusal.
    fn refusal(&self, prefix: &[&str]) -> String {
        let program = self.program();
        let program = program.to_str().expect("temporary paths are plain");
        let line: Vec<&str> = ["timeout", "20"].iter().chain(prefix).copied().collect();
        let output = Command::new(line[0])
            .args(&line[1..])
            .args([program, "get", "x.torrent", "-o", "."])
            .current_dir(self.dir.path())
            .output()
            .expect("timeout is in coreutils");
        check(&output)
    }
}

/// One line, no panic, a failure that is neither a signal nor the deadline.
fn check(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code();
    assert!(code.is_some_and(|code| (1..100).contains(&code)), "exit {code:?}, said {said:?}");
    assert_eq!(said.trim_end().lines().count(), 1, "said {said:?}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("Uid:\t0\t")))
}

#[test]
fn io_uring_denied_by_seccomp_is_one_line_with_the_remedy() {
    let bench = Bench::new();
    for errno in [EPERM, ENOSYS] {
        let said = bench.refusal(&["python3", DENY, errno]);
        assert!(said.contains("io_uring") && said.contains("seccomp"), "{said}");
    }
}

/// One test for both: what it takes away, it takes from every process of that user.
#[test]
fn another_user_with_too_little_is_told_in_one_line_what_to_raise() {
    assert!(is_root(), "expected to run as root, to become another user; use `sudo ./check`");
    let bench = Bench::new();
    let limit = ["prlimit", "--memlock=65536:65536"];
    let said = bench.refusal(&[&limit[..], &NOBODY[..]].concat());
    assert!(said.contains("64 KiB") && said.contains("ulimit -l"), "{said}");
    let _guard = Sysctl::set("/proc/sys/kernel/io_uring_disabled", "1");
    let said = bench.refusal(&NOBODY);
    assert!(said.contains("kernel.io_uring_disabled"), "{said}");
}

/// What it says when it is not refused, but has to do with less; it is ended after a while.
#[test]
fn a_shard_that_gets_no_pipe_says_so_and_copies() {
    assert!(is_root(), "expected to run as root, to become another user; use `sudo ./check`");
    let bench = Bench::new();
    let _guard = Sysctl::set("/proc/sys/fs/pipe-max-size", "65536");
    let program = bench.program();
    let output = Command::new("timeout")
        .args(["--signal=INT", "3"])
        // Without this capability root is held to the limit of pipes, too.
        .args(["setpriv", "--bounding-set=-sys_resource", "--"])
        .args([program.to_str().expect("temporary paths are plain"), "get", "x.torrent"])
        .args(["--shards", "1", "--send", "splice", "--listen", "127.0.0.1:0"])
        .current_dir(bench.dir.path())
        .output()
        .expect("timeout is in coreutils");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("payload is copied: expected a pipe of 256 KiB"), "{said}");
    assert!(said.contains("fs.pipe-max-size") && !said.contains("panicked"), "{said}");
}

/// A kernel setting for the length of a test. Root, and with it every other test, is not affected
/// by the value that is set here.
struct Sysctl {
    path: &'static str,
    before: String,
}

impl Sysctl {
    fn set(path: &'static str, value: &str) -> Sysctl {
        let before = fs::read_to_string(path).expect("Linux 6.6 and newer have it");
        fs::write(path, value).expect("root may set it");
        Sysctl { path, before }
    }
}

impl Drop for Sysctl {
    fn drop(&mut self) {
        fs::write(self.path, &self.before).expect("root may set it back");
    }
}
