//! A network of our own: the run starts itself again in a fresh network namespace.
//!
//! Fixed ports (opentracker's) collide with nobody, and no packet leaves the machine. Every peer
//! gets an address of its own on `lo` outside 127.0.0.0/8, because transmission drops loopback
//! addresses that a tracker supplies.

use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::ExitCode;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

/// Set for the run inside the namespace.
const INSIDE: &str = "CORESWARM_INTEROP_NAMESPACE";
/// Where the programs listen: this and the last two numbers of the address. The ports differ
/// because aria2 listens on all addresses.
const PEER_PORT_MIN: u16 = 20_000;
/// Where the trackers listen: this and the number of the case.
const TRACKER_PORT_MIN: u16 = 7_000;

/// Starts this program again inside a namespace; `None` when it already runs in one.
pub(crate) fn enter() -> Option<ExitCode> {
    if std::env::var_os(INSIDE).is_some() {
        return match ip(&["link", "set", "lo", "up"]) {
            Ok(()) => None,
            Err(error) => {
                eprintln!("error: {error:#}");
                Some(ExitCode::FAILURE)
            }
        };
    }
    let mut command = Command::new("unshare");
    if !is_root() {
        // The capabilities are kept for `ip`; the user id is, because opentracker refuses to be
        // root.
        command.args(["--map-current-user", "--keep-caps"]);
    }
    command.arg("--net").arg("--");
    command.arg(std::env::current_exe().expect("a running program has a path"));
    command.args(std::env::args_os().skip(1)).env(INSIDE, "1");
    let error = command.exec();
    eprintln!("error: unshare could not start: {error}");
    Some(ExitCode::FAILURE)
}

/// Whether we run as root, where some programs want to be told to be somebody else.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The address of one host of one case, added to `lo`. Cases and hosts below 250.
pub(crate) fn address(case: usize, host: usize) -> Result<Ipv4Addr> {
    let number = |n: usize| u8::try_from(n + 1).context("fewer than 255 cases and hosts");
    let address = Ipv4Addr::new(10, 77, number(case)?, number(host)?);
    ip(&["address", "replace", &format!("{address}/32"), "dev", "lo"])?;
    Ok(address)
}

/// Where the program with this address listens for peers.
pub(crate) fn listen(address: Ipv4Addr) -> SocketAddrV4 {
    let [_, _, case, host] = address.octets().map(u16::from);
    SocketAddrV4::new(address, PEER_PORT_MIN + 100 * case + host)
}

/// Where the program with this address finds its tracker: at its own address, so that even one that
/// does not bind its outgoing connections announces from there.
pub(crate) fn tracker(address: Ipv4Addr) -> SocketAddrV4 {
    SocketAddrV4::new(address, TRACKER_PORT_MIN + u16::from(address.octets()[2]))
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("ip (package iproute2)")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {error}", arguments.join(" "));
    Ok(())
}
