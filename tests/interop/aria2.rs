//! aria2c as a peer. It cannot be told of a peer: it learns of them from a tracker or is dialled.

use anyhow::Result;
use anyhow::ensure;

use crate::engine::Role;
use crate::program::Deadline;
use crate::program::Program;

/// Starts `aria2c` on one torrent.
pub(crate) fn start(role: &Role) -> Result<Program> {
    ensure!(role.dial.is_empty(), "aria2 cannot be given the address of a peer");
    Program::start(&role.name(), role.work.join("log"), "aria2c", |command| {
        command.args(["--no-conf", "--enable-color=false", "--summary-interval=0"]);
        command.args(["--console-log-level=info", "--download-result=hide"]);
        command.args(["--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false"]);
        command.args(["--enable-peer-exchange=false", "--disable-ipv6", "--file-allocation=none"]);
        command.arg(format!("--listen-port={}", role.listen.port()));
        command.arg(format!("--interface={}", role.listen.ip()));
        command.arg(format!("--dir={}", role.data.display()));
        if role.is_seed {
            command.arg("--check-integrity");
        }
        if role.stays {
            command.arg("--seed-ratio=0.0");
        } else {
            command.arg("--seed-time=0");
        }
        match &role.magnet {
            Some(magnet) => command.arg(magnet),
            None => command.arg(&role.torrent),
        };
    })
}

/// A stopped aria2 removes its control file when it has everything.
pub(crate) fn stop(program: &mut Program) -> Result<()> {
    program.terminate().map(drop)
}

/// It ends with status 0, or says that the download is complete and goes on.
pub(crate) fn wait_finished(role: &Role, program: &mut Program, deadline: Deadline) -> Result<()> {
    if role.stays {
        // Its progress line turns from "[#hash 5MiB/15MiB(33%) ..]" to "[#hash SEED(0.0) ..]".
        return program.wait_line(deadline, "completion", |line| line.contains(" SEED("));
    }
    let status = program.wait_exit(deadline)?;
    ensure!(status.success(), "aria2c: expected exit status 0, got {status}");
    Ok(())
}
