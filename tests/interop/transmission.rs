//! transmission-daemon as a peer, told and asked over its RPC. It cannot be told of a peer.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddrV4;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use serde_json::Value;
use serde_json::json;

use crate::engine::Engine;
use crate::engine::Role;
use crate::program::Deadline;
use crate::program::Program;

/// `status` of a torrent that is only serving.
const SEEDING: u64 = 6;

/// Starts a daemon with a configuration of its own; the torrent is added when it answers.
pub(crate) fn start(role: &Role) -> Result<Program> {
    ensure!(role.dial.is_empty(), "transmission cannot be given the address of a peer");
    let encrypts = role.engine == Engine::TransmissionEncrypts;
    let settings = json!({
        "bind-address-ipv4": role.listen.ip().to_string(),
        "blocklist-enabled": false,
        "dht-enabled": false,
        "download-dir": role.data,
        "download-queue-enabled": false,
        "encryption": i32::from(encrypts),
        "incomplete-dir-enabled": false,
        "lpd-enabled": false,
        "peer-port": role.listen.port(),
        "pex-enabled": false,
        "port-forwarding-enabled": false,
        "rename-partial-files": true,
        "rpc-authentication-required": false,
        "rpc-bind-address": role.listen.ip().to_string(),
        "rpc-host-whitelist-enabled": false,
        "rpc-port": rpc(role).port(),
        "rpc-whitelist-enabled": false,
        "utp-enabled": false,
    });
    let home = role.work.join("config");
    std::fs::create_dir_all(&home)?;
    std::fs::write(home.join("settings.json"), settings.to_string())?;
    Program::start(&role.name(), role.work.join("log"), "transmission-daemon", |command| {
        command.args(["--foreground", "--log-info", "--config-dir"]).arg(&home);
    })
}

/// Adds the torrent; a seed is ready when its check is over.
pub(crate) fn wait_ready(role: &Role, program: &mut Program, deadline: Deadline) -> Result<()> {
    program.wait_listening(deadline, rpc(role))?;
    program.wait_listening(deadline, role.listen)?;
    let what = match &role.magnet {
        Some(magnet) => json!({ "filename": magnet }),
        None => json!({ "filename": role.torrent }),
    };
    let added = call(role, "torrent-add", &what)?;
    ensure!(added.get("torrent-added").is_some(), "transmission did not add the torrent: {added}");
    if role.is_seed {
        deadline.wait("transmission to have checked", || Ok(is_seeding(role)?.then_some(())))?;
    }
    Ok(())
}

/// It has everything and has gone over to seeding.
pub(crate) fn wait_finished(role: &Role, program: &mut Program, deadline: Deadline) -> Result<()> {
    deadline.wait("transmission to finish", || {
        program.look(|_| Some(()))?;
        Ok(is_seeding(role)?.then_some(()))
    })
}

fn is_seeding(role: &Role) -> Result<bool> {
    let fields = json!({ "fields": ["status", "leftUntilDone", "error", "errorString"] });
    let answer = call(role, "torrent-get", &fields)?;
    let torrent = answer.pointer("/torrents/0").context("transmission has our torrent")?;
    let number = |name: &str| torrent.get(name).and_then(Value::as_u64);
    // 3 is a local error; 1 and 2 are the tracker's, which it repeats by itself.
    ensure!(number("error") != Some(3), "transmission: {torrent}");
    Ok(number("status") == Some(SEEDING) && number("leftUntilDone") == Some(0))
}

/// Where its RPC listens: on its own address, beside the port for peers.
fn rpc(role: &Role) -> SocketAddrV4 {
    SocketAddrV4::new(*role.listen.ip(), 9091)
}

/// One RPC call; the first is refused and names the session that the second must give.
fn call(role: &Role, method: &str, arguments: &Value) -> Result<Value> {
    let body = json!({ "method": method, "arguments": arguments }).to_string();
    let mut session = String::new();
    for _ in 0..2 {
        let (head, answer) = post(rpc(role), &session, &body)?;
        if head.starts_with("HTTP/1.1 409") {
            let named = head.lines().find_map(|l| l.strip_prefix("X-Transmission-Session-Id: "));
            session = named.context("a 409 names the session")?.trim().to_owned();
            continue;
        }
        ensure!(head.starts_with("HTTP/1.1 200"), "transmission answers {head}");
        let answer: Value = serde_json::from_str(&answer)?;
        ensure!(answer.get("result") == Some(&json!("success")), "{method}: {answer}");
        return answer.get("arguments").cloned().context("an answer has arguments");
    }
    bail!("transmission refuses the session that it named")
}

fn post(address: SocketAddrV4, session: &str, body: &str) -> Result<(String, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let length = body.len();
    let request = format!(
        "POST /transmission/rpc HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         X-Transmission-Session-Id: {session}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer has a head")?;
    Ok((head.to_owned(), body.to_owned()))
}
