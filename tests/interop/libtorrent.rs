//! libtorrent as a peer, and as the maker of every .torrent, through `lt_peer.py`.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use anyhow::ensure;
use serde_json::Value;

use crate::case::Kind;
use crate::case::Link;
use crate::engine::Engine;
use crate::engine::Role;
use crate::payload::Payload;
use crate::program::Deadline;
use crate::program::Program;
use crate::tools;

/// The info hashes of a torrent, in hex.
#[derive(Clone, Debug)]
pub(crate) struct Hashes {
    pub(crate) v1: Option<String>,
    pub(crate) v2: Option<String>,
}

impl Hashes {
    /// Under which 20 bytes trackers know it, in hex.
    pub(crate) fn swarms(&self) -> Vec<String> {
        let truncated = self.v2.as_ref().and_then(|hash| hash.get(..40)).map(str::to_owned);
        self.v1.iter().cloned().chain(truncated).collect()
    }

    /// The magnet link of these of the hashes.
    pub(crate) fn magnet(&self, link: Link) -> Option<String> {
        let v1 = self.v1.as_ref().filter(|_| link != Link::Btmh);
        let v2 = self.v2.as_ref().filter(|_| link != Link::Btih);
        let v1 = v1.map(|hash| format!("xt=urn:btih:{hash}"));
        let v2 = v2.map(|hash| format!("xt=urn:btmh:1220{hash}"));
        let topics: Vec<String> = v1.into_iter().chain(v2).collect();
        (link != Link::File).then(|| format!("magnet:?{}", topics.join("&")))
    }
}

/// Makes a .torrent without trackers at `out` of the payload below `root`; gives its info hashes.
pub(crate) fn make(payload: Payload, kind: Kind, root: &Path, out: &Path) -> Result<Hashes> {
    let python = if kind == Kind::V1 { tools::python_lt20() } else { tools::python_lt21() };
    let output = Command::new(python)
        .arg(tools::script("lt_peer.py"))
        .arg("make")
        .arg(root)
        .arg(payload.name())
        .arg(out)
        .arg(payload.shape.piece_length().to_string())
        .arg(kind.name())
        .output()?;
    ensure!(
        output.status.success(),
        "lt_peer.py make: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    let hash = |name| answer.get(name).and_then(Value::as_str).map(str::to_owned);
    let hashes = Hashes { v1: hash("v1"), v2: hash("v2") };
    ensure!(!hashes.swarms().is_empty(), "lt_peer.py make prints the info hashes, got {answer}");
    Ok(hashes)
}

/// Starts one peer.
pub(crate) fn start(role: &Role) -> Result<Program> {
    let python =
        if role.engine == Engine::Lt20 { tools::python_lt20() } else { tools::python_lt21() };
    Program::start(&role.name(), role.work.join("log"), python, |command| {
        command.arg(tools::script("lt_peer.py")).arg("peer");
        match &role.magnet {
            Some(magnet) => command.arg("--magnet").arg(magnet),
            None => command.arg("--torrent").arg(&role.torrent),
        };
        command.arg("--dir").arg(&role.data);
        command.args(["--listen", &role.listen.to_string()]);
        if role.is_seed {
            command.arg("--seed");
        }
        if role.engine == Engine::Lt21Encrypts {
            command.arg("--encrypts");
        }
        for address in &role.dial {
            command.args(["--connect", &address.to_string()]);
        }
        if let Some(certificate) = &role.tracker_ca {
            command.env("SSL_CERT_FILE", certificate);
        }
        if let Some(limit) = role.upload_limit {
            command.args(["--upload-limit", &limit.to_string()]);
        }
    })
}

/// It listens; a seed has checked its data.
pub(crate) fn wait_ready(program: &mut Program, deadline: Deadline) -> Result<()> {
    program
        .wait_line(deadline, "ready", |line| event(line).is_some_and(|(name, _)| name == "ready"))
}

/// It has everything, written to its files.
pub(crate) fn wait_finished(program: &mut Program, deadline: Deadline) -> Result<()> {
    let is = |line: &str| event(line).is_some_and(|(name, _)| name == "finished");
    program.wait_line(deadline, "finished", is)
}

/// Bytes of payload it has sent until now.
pub(crate) fn uploaded(program: &mut Program) -> Result<Option<u64>> {
    program.look(|line| event(line)?.1.get("uploaded")?.as_u64())
}

fn event(line: &str) -> Option<(String, Value)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let name = value.get("event")?.as_str()?.to_owned();
    Some((name, value))
}
