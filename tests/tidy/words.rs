//! Where words of the runtime may stand: system calls, threads and clocks belong to the outer ring.

use crate::source::Source;
use crate::source::has_word;

/// A group of words, the places that own them, and what to do elsewhere.
struct Rule {
    words: &'static [&'static str],
    owners: &'static [&'static str],
    remedy: &'static str,
}

const IO: &str = "src/io/";
const BIN: &str = "src/bin/";
/// The only async code outside the ring: the daemon's control thread.
const CONTROL: &str = "src/bin/coreswarm/control";
/// The multi-lane digests: `unsafe` for `std::arch`, nothing else.
const LANES: &str = "src/base/digest";

const RULES: [Rule; 9] = [
    Rule {
        words: &["glommio", "io_uring", "libc"],
        owners: &[IO],
        remedy: "the ring belongs to src/io: emit an event that it acts on",
    },
    Rule {
        words: &["rustix", "socket2", "ureq", "rustls"],
        owners: &[IO, BIN],
        remedy: "system calls and connections belong to src/io",
    },
    Rule {
        words: &["async", "await"],
        owners: &[IO, CONTROL],
        remedy: "write it as a machine with handle_* and poll_*",
    },
    Rule {
        words: &["unsafe"],
        owners: &[IO, LANES],
        remedy: "move what needs it to src/io, or do without",
    },
    Rule {
        words: &["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "UnixListener"],
        owners: &[IO, BIN],
        remedy: "sockets belong to src/io: work on bytes and addresses",
    },
    Rule {
        words: &["std::fs", "File::open", "File::create", "OpenOptions"],
        owners: &[IO, BIN],
        remedy: "files belong to src/io: take bytes, or emit a disk job",
    },
    Rule {
        words: &["std::time::Instant", "Instant::now", "SystemTime", "RandomState", "getrandom"],
        owners: &[IO, BIN],
        remedy: "time and chance are arguments: `base::instant::Instant`, `base::rng::Rng`",
    },
    Rule {
        words: &["thread::spawn", "thread::Builder", "thread::scope", "thread::sleep"],
        owners: &[IO, BIN],
        remedy: "threads are started in src/io; a session may only hold their handles",
    },
    Rule {
        words: &["println!", "print!", "eprintln!", "eprint!"],
        owners: &[BIN],
        remedy: "a library does not talk: return an error, or raise an alert",
    },
];

/// Floors that may not even name `std::thread`; a session holds the handles of what io started.
const THREADLESS: [&str; 5] = ["base", "codec", "content", "engine", "sim"];

pub(crate) fn violations(source: &Source) -> Vec<String> {
    if !source.path.starts_with("src/") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (at, line) in source.code.iter().enumerate() {
        for rule in &RULES {
            check(source, at, line, rule, &mut found);
        }
        let threadless = source.floor().is_some_and(|floor| THREADLESS.contains(&floor));
        if threadless && has_word(line, "std::thread") {
            found.push(source.complaint(at, "`std::thread` on a pure floor", "see src/io"));
        }
    }
    found
}

fn check(source: &Source, at: usize, line: &str, rule: &Rule, found: &mut Vec<String>) {
    if rule.owners.iter().any(|owner| source.path.starts_with(owner)) {
        return;
    }
    for word in rule.words.iter().filter(|word| has_word(line, word)) {
        let what = format!("`{word}` outside {}", rule.owners.join(" and "));
        found.push(source.complaint(at, &what, rule.remedy));
    }
}
