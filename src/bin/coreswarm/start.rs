//! Starting a session from the command line's flags.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::time::Duration;

use coreswarm::SendMode;
use coreswarm::Session;
use coreswarm::SessionBuilder;
use coreswarm::Settings;
use coreswarm::interface_addresses;

use crate::args::Listen;
use crate::args::PORT;
use crate::args::SendArg;
use crate::args::SessionArgs;
use crate::failure::EXIT_ERROR;
use crate::failure::EXIT_START;
use crate::failure::Failure;

/// Trackers get 5 seconds to hear `stopped`; what is left is for the disk.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(15);

pub(crate) fn session(args: &SessionArgs) -> anyhow::Result<Session> {
    let mut builder = Session::builder().settings(settings(args)).listen(listen(args)?);
    if let Some(path) = &args.tracker_ca {
        builder = builder.tracker_ca(path);
    }
    start(builder, args.shards)
}

/// Starts it; whatever stands against that has an exit code of its own.
pub(crate) fn start(builder: SessionBuilder, shards: Option<usize>) -> anyhow::Result<Session> {
    let builder = match shards {
        Some(count) => builder.shards(count),
        None => builder,
    };
    Ok(builder.start().map_err(|error| Failure::new(EXIT_START, error.to_string()))?)
}

/// Ends a session in good order; a shard that does not keep the limit is an error.
pub(crate) fn shutdown(session: Session) -> anyhow::Result<()> {
    let report = session.shutdown(SHUTDOWN_LIMIT);
    if report.is_clean() {
        return Ok(());
    }
    let message = format!(
        "expected all shards to end within {} s, {} did not; the next start checks the files again",
        SHUTDOWN_LIMIT.as_secs(),
        report.late_count
    );
    Err(Failure::new(EXIT_ERROR, message).into())
}

fn settings(args: &SessionArgs) -> Settings {
    let mut settings = Settings::default();
    let set = |knob: &mut u32, flag: Option<u32>| *knob = flag.unwrap_or(*knob);
    set(&mut settings.connections_max, args.connections);
    set(&mut settings.connections_per_torrent_max, args.connections_per_torrent);
    set(&mut settings.half_open_max, args.half_open);
    set(&mut settings.upload_slots_max, args.upload_slots);
    set(&mut settings.seed_slots_max, args.upload_slots);
    settings.assembly_budget = args.assembly_budget.unwrap_or(settings.assembly_budget);
    settings.send_mode = match args.send {
        SendArg::Copy => SendMode::Copy,
        SendArg::Splice => SendMode::Splice,
    };
    settings.announce_ip = args.announce_ip;
    settings.allow_private_trackers = args.allow_private_trackers;
    settings
}

/// What was asked for; else the usual port of all addresses, or any when somebody has that one.
fn listen(args: &SessionArgs) -> anyhow::Result<Vec<SocketAddr>> {
    if !args.listen.is_empty() {
        let places = args.listen.iter().map(resolve);
        return Ok(places.collect::<Result<Vec<_>, _>>()?.concat());
    }
    let all = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    // Bound without SO_REUSEPORT, so that another engine of the same user is noticed.
    let is_free = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).is_ok();
    let port = if is_free { PORT } else { 0 };
    Ok(all.map(|ip| SocketAddr::new(ip, port)).to_vec())
}

/// The addresses of one `--listen`.
fn resolve(listen: &Listen) -> Result<Vec<SocketAddr>, Failure> {
    let (name, port) = match listen {
        Listen::Address(address) => return Ok(vec![*address]),
        Listen::Interface { name, port } => (name, *port),
    };
    let refused = |why: String| {
        let remedy = "see `ip address` for names and addresses";
        Failure::new(EXIT_START, format!("expected an interface `{name}`, {why}; {remedy}"))
    };
    let ips = interface_addresses(name).map_err(|error| refused(error.to_string()))?;
    match ips.is_empty() {
        true => Err(refused("found none with an address".to_owned())),
        false => Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()),
    }
}
