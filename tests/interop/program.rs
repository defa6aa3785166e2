//! One running program: its log, its signals, its end.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;

/// How often a wait looks again.
const LOOK: Duration = Duration::from_millis(25);
/// What a program may take after SIGTERM. aria2 and transmission say goodbye to their tracker
/// first.
const STOP: Duration = Duration::from_secs(15);
/// Log lines shown of a program in a failed case.
const TAIL: usize = 25;

/// The end of a case, shared by all its waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self(Instant::now() + limit)
    }

    /// Repeats `look` until it gives something; an error names `what` when the deadline comes
    /// first.
    pub(crate) fn wait<T>(
        self,
        what: &str,
        mut look: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        loop {
            if let Some(found) = look().with_context(|| format!("waiting for {what}"))? {
                return Ok(found);
            }
            ensure!(Instant::now() < self.0, "the deadline came while waiting for {what}");
            std::thread::sleep(LOOK);
        }
    }
}

/// A child process that writes into a log file and does not outlive this value.
pub(crate) struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `program`, whose arguments `fill` adds, with a log at `log`.
    pub(crate) fn start(
        name: &str,
        log: PathBuf,
        program: impl AsRef<std::ffi::OsStr>,
        fill: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        // Ends with us even when we are killed and cannot clean up.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        Self::start_command(name, log, command, program, fill)
    }

    /// The same for a program that must not run as root: it becomes `nobody`.
    pub(crate) fn start_unprivileged(
        name: &str,
        log: PathBuf,
        program: impl AsRef<std::ffi::OsStr>,
        fill: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if crate::namespace::is_root() {
            command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
        }
        Self::start_command(name, log, command, program, fill)
    }

    fn start_command(
        name: &str,
        log: PathBuf,
        mut command: Command,
        program: impl AsRef<std::ffi::OsStr>,
        fill: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let file = File::create(&log).with_context(|| format!("{log:?}"))?;
        command.arg("--").arg(program);
        fill(&mut command);
        // Proxies of the machine lead out of the namespace.
        for variable in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(variable).env_remove(variable.to_uppercase());
        }
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("{name} could not start"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Everything it has written until now.
    pub(crate) fn log(&self) -> Result<String> {
        let mut bytes = Vec::new();
        File::open(&self.log)?.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The last line of its log for which `pick` gives something; an error when it has ended
    /// without ever writing one.
    pub(crate) fn look<T>(&mut self, pick: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        let ended = self.child.try_wait()?;
        let found = self.log()?.lines().rev().find_map(pick);
        match (found, ended) {
            (None, Some(status)) => bail!("{} has ended ({status})", self.name),
            (found, _) => Ok(found),
        }
    }

    /// Waits for a line that satisfies `is`.
    pub(crate) fn wait_line(
        &mut self,
        deadline: Deadline,
        what: &str,
        is: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let what = format!("{what} of {}", self.name);
        deadline.wait(&what, || self.look(|line| is(line).then_some(())))
    }

    /// Waits until something listens at `address` (TCP), without connecting to it.
    pub(crate) fn wait_listening(
        &mut self,
        deadline: Deadline,
        address: SocketAddrV4,
    ) -> Result<()> {
        deadline.wait(&format!("{} to listen on {address}", self.name), || {
            ensure!(self.child.try_wait()?.is_none(), "{} has ended", self.name);
            Ok(is_listening(address)?.then_some(()))
        })
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait_exit(&mut self, deadline: Deadline) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        deadline.wait(&what, || Ok(self.child.try_wait()?))
    }

    /// Asks it to end by SIGTERM and waits for it.
    pub(crate) fn terminate(&mut self) -> Result<ExitStatus> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        self.wait_exit(Deadline::after(STOP))
    }

    /// The end of its log, for a report.
    pub(crate) fn tail(&self) -> String {
        let log = self.log().unwrap_or_default();
        // Of numbers that come every second only the last are news.
        let is_number = |line: &&str| line.contains("\"stats\"");
        let last = log.lines().rfind(is_number);
        let lines = log.lines().filter(|line| !is_number(line)).chain(last);
        let lines: Vec<&str> = lines.collect();
        let from = lines.len().saturating_sub(TAIL);
        let mut report = format!("--- {} ({:?})", self.name, self.log);
        for line in &lines[from..] {
            report.push_str("\n    ");
            report.push_str(line);
        }
        report
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already ended and waited for: both calls do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the kernel's table instead of connecting: a connection would be a peer.
fn is_listening(address: SocketAddrV4) -> Result<bool> {
    const LISTEN: &str = "0A";
    let exact = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
    let any = format!("00000000:{:04X}", address.port());
    let any6 = format!("{:032X}:{:04X}", 0, address.port());
    let mut table = std::fs::read_to_string("/proc/self/net/tcp")?;
    table.push_str(&std::fs::read_to_string("/proc/self/net/tcp6").unwrap_or_default());
    Ok(table.lines().any(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let local = words.next().unwrap_or_default();
        let state = words.nth(1).unwrap_or_default();
        state == LISTEN && [exact.as_str(), any.as_str(), any6.as_str()].contains(&local)
    }))
}
