//! coreswarm as a peer: `get` and `seed` with `--json`.

use anyhow::Result;
use anyhow::ensure;

use crate::engine::Role;
use crate::program::Deadline;
use crate::program::Program;
use crate::tools;

/// Starts `coreswarm get` or `coreswarm seed`.
pub(crate) fn start(role: &Role, shards: Option<usize>) -> Result<Program> {
    Program::start(&role.name(), role.work.join("log"), tools::coreswarm(), |command| {
        if role.is_seed {
            command.arg("seed").arg(&role.data).arg(&role.torrent);
        } else {
            command.arg("get").arg("-o").arg(&role.data);
            match &role.magnet {
                Some(magnet) => command.arg(magnet),
                None => command.arg(&role.torrent),
            };
        }
        command.args(["--json", "-v"]).args(["--listen", &role.listen.to_string()]);
        if role.stays && !role.is_seed {
            command.args(["--seed-ratio", "1000"]);
        }
        for address in &role.dial {
            command.args(["--peer", &address.to_string()]);
        }
        if let Some(shards) = shards {
            command.args(["--shards", &shards.to_string()]);
        }
        if let Some(certificate) = &role.tracker_ca {
            command.arg("--tracker-ca").arg(certificate);
        }
    })
}

/// It listens; a seed has checked its data.
pub(crate) fn wait_ready(role: &Role, program: &mut Program, deadline: Deadline) -> Result<()> {
    let event = if role.is_seed { "seeding" } else { "listening" };
    program.wait_line(deadline, event, |line| is_event(line, event))
}

/// Without an order to stay it exits 0 when done; with one it says so.
pub(crate) fn wait_finished(role: &Role, program: &mut Program, deadline: Deadline) -> Result<()> {
    if role.stays {
        return program.wait_line(deadline, "finished", |line| is_event(line, "finished"));
    }
    let status = program.wait_exit(deadline)?;
    ensure!(status.success(), "coreswarm get: expected exit status 0, got {status}");
    ensure!(
        program.log()?.lines().any(|line| is_event(line, "finished")),
        "coreswarm get ended with status 0 without an event `finished`"
    );
    Ok(())
}

/// SIGTERM must end it within its limit, with status 0.
pub(crate) fn stop(program: &mut Program) -> Result<()> {
    let status = program.terminate()?;
    ensure!(status.success(), "coreswarm after SIGTERM: expected exit status 0, got {status}");
    Ok(())
}

fn is_event(line: &str, event: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(line)
        .is_ok_and(|value| value.get("event").and_then(|name| name.as_str()) == Some(event))
}
