//! `show`, `magnet` and `edit` as scripts see them, and where `get` takes torrents from.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::thread;

use coreswarm::Sha1;
use coreswarm::Torrent;
use coreswarm::TorrentMaker;
use serde_json::Value;

fn run(words: &[&str], stdin: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coreswarm"));
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it can be started");
    let mut input = child.stdin.take().expect("it is piped");
    // A command that does not read it may have ended already.
    let _ = input.write_all(stdin);
    drop(input);
    child.wait_with_output().expect("it ends")
}

fn succeeds(words: &[&str], stdin: &[u8]) -> String {
    let output = run(words, stdin);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("what it prints is UTF-8")
}

/// What it says about an error, in its one line.
fn fails(words: &[&str], stdin: &[u8]) -> String {
    let output = run(words, stdin);
    assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let told = String::from_utf8(output.stderr).expect("what it prints is UTF-8");
    assert_eq!(told.lines().count(), 1, "{told}");
    told
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// A torrent of 5 bytes in a file called `five`.
fn bytes() -> Vec<u8> {
    let maker = TorrentMaker::single("five", 5).tier(["http://127.0.0.1:1/announce"]);
    let maker = maker.web_seed("http://w/").comment("old");
    maker.finish(&[Sha1::of(b"12345")]).expect("it can be made")
}

fn write_torrent(dir: &Path) -> (PathBuf, Torrent) {
    let path = dir.join("five.torrent");
    fs::write(&path, bytes()).expect("it can be written");
    (path, Torrent::parse(&bytes()).expect("what we make can be read"))
}

fn read(path: &str) -> Torrent {
    Torrent::parse(&fs::read(path).expect("it is there")).expect("it is a torrent")
}

#[test]
fn show_reads_files_stdin_and_links() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, torrent) = write_torrent(dir.path());
    let of_file = succeeds(&["show", "--json", path.to_str().expect("UTF-8")], b"");
    assert_eq!(of_file, succeeds(&["show", "--json", "-"], &bytes()));
    let shown = json(&of_file);
    let hash = torrent.info_hash().to_string();
    assert_eq!((&shown["kind"], &shown["version"]), (&"torrent".into(), &"v1".into()));
    assert_eq!(shown["info_hash_v1"], hash);
    assert_eq!((&shown["info_hash_v2"], &shown["source"]), (&Value::Null, &Value::Null));
    assert_eq!(shown["files"][0]["root"], Value::Null);
    let link = succeeds(&["magnet", path.to_str().expect("UTF-8")], b"");
    assert_eq!(shown["magnet"], link.trim_end());
    let of_link = json(&succeeds(&["show", "--json", link.trim_end()], b""));
    assert_eq!(of_link, json(&succeeds(&["show", "--json", "-"], link.as_bytes())));
    assert_eq!((&of_link["kind"], &of_link["info_hash"]), (&"magnet".into(), &hash.into()));
    assert_eq!((&of_link["name"], &of_link["total_bytes"]), (&"five".into(), &5.into()));
    assert_eq!(of_link["trackers"][0], "http://127.0.0.1:1/announce");
    assert_eq!(of_link["web_seeds"][0], "http://w/");
    assert!(fails(&["show", "magnet:?dn=x"], b"").contains("found neither"));
    assert!(fails(&["show", "-"], b"junk").contains("stdin: not a .torrent file"));
}

#[test]
fn edit_keeps_the_info_hash_the_permissions_and_what_it_does_not_know() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, before) = write_torrent(dir.path());
    let odd = [&bytes()[..bytes().len() - 1], b"3:zzzd1:bi1e1:ai2eee"].concat();
    fs::write(&path, &odd).expect("it can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let path = path.to_str().expect("UTF-8");
    let told = succeeds(
        &["edit", path, "--add-tracker", "udp://t:1", "--no-web-seeds", "--comment", "\x1b[2J"],
        b"",
    );
    assert!(told.contains(&format!("{} (as before)", before.info_hash())), "{told}");
    let after = read(path);
    assert_eq!(after.info_bytes(), before.info_bytes());
    assert_eq!(after.trackers(), [["http://127.0.0.1:1/announce"], ["udp://t:1"]]);
    assert_eq!((after.url_list().len(), after.comment()), (0, Some("\x1b[2J")));
    let bytes = fs::read(path).expect("it is there");
    assert!(bytes.ends_with(b"3:zzzd1:bi1e1:ai2eee"), "{}", bytes.escape_ascii());
    let mode = fs::metadata(path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1, "nothing is left over");
    let words = ["edit", path, "--remove-tracker", "udp://t:1", "--web-seed", "http://w/"];
    succeeds(&[&words[..], &["--comment", "old"]].concat(), b"");
    assert_eq!(fs::read(path).expect("it is there"), odd);
}

#[test]
fn edit_says_when_the_torrent_becomes_another() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, before) = write_torrent(dir.path());
    let out = dir.path().join("out.torrent");
    let (path, out) = (path.to_str().expect("UTF-8"), out.to_str().expect("UTF-8"));
    let told = succeeds(&["edit", path, "-o", out, "--source", "S", "--private", "yes"], b"");
    let after = read(out);
    assert!(after.is_private() && after.source() == Some("S"));
    for hash in [before.info_hash(), after.info_hash()] {
        assert!(told.contains(&hash.to_string()), "{told}");
    }
    assert!(told.contains("another torrent"), "{told}");
    assert_eq!(fs::read(path).expect("it is there"), bytes(), "FILE is left alone");
    let told = succeeds(&["edit", path, "--private", "no", "--source", ""], b"");
    assert_eq!(told, "nothing to change\n");
}

#[test]
fn an_edit_that_cannot_be_done_leaves_the_file_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, _) = write_torrent(dir.path());
    let path = path.to_str().expect("UTF-8");
    assert!(fails(&["edit", path, "--remove-tracker", "udp://no:1"], b"").contains("no such"));
    assert!(fails(&["edit", path, "--tracker", "no URL"], b"").contains("expected a URL"));
    let nowhere = ["edit", path, "--comment", "x", "-o", "/nowhere/x"];
    assert!(fails(&nowhere, b"").contains("cannot write"));
    assert_eq!(fs::read(path).expect("it is there"), bytes());
    for words in [&["edit", path][..], &["edit", path, "--private", "maybe"]] {
        assert_eq!(run(words, b"").status.code(), Some(2), "{words:?}");
    }
    let both = ["edit", path, "--no-trackers", "--tracker", "http://a/"];
    assert_eq!(run(&both, b"").status.code(), Some(2));
}

/// Serves `body` with `head` to everybody.
#[expect(clippy::disallowed_methods, reason = "the server of this test is a thread")]
fn serve(head: &'static str, body: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let length = body.len();
            let head = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    address
}

#[test]
fn get_takes_a_url_or_stdin_and_can_keep_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("five"), "12345").expect("it can be written");
    let place = dir.path().to_str().expect("UTF-8");
    let url = format!("http://{}/x?passkey=secret", serve("200 OK", bytes()));
    let kept = dir.path().join("kept.torrent");
    let kept = kept.to_str().expect("UTF-8");
    let more = ["-o", place, "--listen", "127.0.0.1:0", "--shards", "1", "--json"];
    let told = succeeds(&[&["get", &url, "--save-torrent", kept][..], &more].concat(), b"");
    let is_finished = |told: &str| told.lines().any(|line| json(line)["event"] == "finished");
    assert!(is_finished(&told), "{told}");
    assert_eq!(fs::read(kept).expect("it was kept"), bytes());
    let told = succeeds(&[&["get", "-"][..], &more].concat(), &bytes());
    assert!(is_finished(&told), "{told}");
}

#[test]
fn what_the_web_says_instead_of_a_torrent_is_an_error_without_the_passkey() {
    let page = serve("200 OK", b"<html>please log in</html>".to_vec());
    let forbidden = serve("403 Forbidden", Vec::new());
    let rows = [
        (format!("http://{page}/x?passkey=secret"), "no torrent"),
        (format!("http://me:secret@{forbidden}/x"), "got 403"),
        ("https://nonexistent.invalid/secretsecretsecretsecret".to_owned(), "did not resolve"),
    ];
    for (url, reason) in rows {
        let told = fails(&["get", &url], b"");
        assert!(told.contains(reason) && !told.contains("secret"), "{told}");
    }
}
