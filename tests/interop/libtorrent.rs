//! libtorrent as a peer, and as the maker of every .torrent, through `lt_peer.py`.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use serde_json::Value;

use crate::engine::Engine;
use crate::engine::Role;
use crate::payload::Payload;
use crate::program::Deadline;
use crate::program::Program;
use crate::tools;

/// Makes a .torrent without trackers at `out` of the payload below `root`; gives its info hash.
pub(crate) fn make(payload: Payload, root: &Path, out: &Path) -> Result<String> {
    let output = Command::new(tools::python_lt20())
        .arg(tools::script("lt_peer.py"))
        .arg("make")
        .arg(root)
        .arg(payload.name())
        .arg(out)
        .arg(payload.shape.piece_length().to_string())
        .output()?;
    ensure!(
        output.status.success(),
        "lt_peer.py make: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    let info_hash = answer.get("info_hash").and_then(Value::as_str);
    Ok(info_hash.context("lt_peer.py make prints the info hash")?.to_owned())
}

/// Starts one peer.
pub(crate) fn start(role: &Role) -> Result<Program> {
    let python =
        if role.engine == Engine::Lt20 { tools::python_lt20() } else { tools::python_lt21() };
    Program::start(&role.name(), role.work.join("log"), python, |command| {
        command.arg(tools::script("lt_peer.py")).arg("peer");
        command.arg("--torrent").arg(&role.torrent).arg("--dir").arg(&role.data);
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
