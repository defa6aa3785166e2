//! `bench idle`: what peers cost that only stay connected.

use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use anyhow::bail;

use crate::bench::args::IdleArgs;
use crate::bench::call::Call;
use crate::bench::call::Progress;
use crate::bench::metainfo::Metainfo;
use crate::bench::meter::Meter;
use crate::bench::poller;
use crate::bench::poller::Poller;
use crate::bench::poller::Ready;
use crate::bench::process::ProcessTree;
use crate::bench::process::Snapshot;
use crate::bench::report::Report;
use crate::bench::settle::settled;
use crate::clock::now;

/// Connections being made at once: fewer than the shortest queue of a listener.
const HALF_OPEN_MAX: usize = 100;
/// No further peer was greeted for so long: those that are there are measured.
const PATIENCE: Duration = Duration::from_secs(10);
/// What follows a greeting may take so long.
const SETTLE: Duration = Duration::from_secs(2);
/// How often a peer shows that it is there; engines drop it after two minutes or more.
const KEEP_ALIVE: Duration = Duration::from_secs(100);
/// How often the clock is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The engine at four moments; `None` when its process is not known.
struct Moments {
    before: Option<Snapshot>,
    connected: Option<Snapshot>,
    idle: Option<Snapshot>,
    after: Option<Snapshot>,
}

/// `bench idle`.
pub(crate) fn idle(args: &IdleArgs) -> Result<()> {
    poller::room_for(args.connections.into())?;
    let torrent = Metainfo::read(&args.torrent)?;
    let mut tree = args.engine.pid.map(ProcessTree::of).transpose()?;
    let mut look = || tree.as_mut().map(ProcessTree::snapshot);
    let mut poller = Poller::new()?;
    let before = look();
    let meter = Meter::start(None, now())?;
    let began = now();
    let mut calls = connect(args, &torrent, &mut poller)?;
    let connecting = now().duration_since(began);
    let greeted = count(&calls, Progress::Greeted);
    if greeted == 0 {
        bail!("expected the engine to greet peers, got no handshake from {}", args.address);
    }
    hold(&mut poller, &mut calls, SETTLE)?;
    let (connected, idle_began) = (look(), now());
    hold(&mut poller, &mut calls, args.seconds)?;
    let (idle, took) = (look(), now().duration_since(idle_began));
    let open = count(&calls, Progress::Greeted);
    drop(calls);
    let after = tree.as_mut().zip(before).map(|(tree, before)| settled(tree, &before));
    let moments = Moments { before, connected, idle, after: after.transpose()? };
    let mut report = Report::new("idle");
    report.count("connections", args.connections.into());
    report.count("connections_served", greeted);
    report.count("connections_open", open);
    report.number("connect_seconds", Some(connecting.as_secs_f64()));
    report.number("handshakes_per_s", Some(greeted as f64 / connecting.as_secs_f64()));
    tell(&mut report, &moments, open, took);
    report.costs(now().duration_since(began), &meter);
    report.print()?;
    if open == 0 {
        bail!("expected peers to stay connected, the engine closed all {greeted}");
    }
    Ok(())
}

/// Connects everybody, until all were greeted or nothing happens any more.
fn connect(args: &IdleArgs, torrent: &Metainfo, poller: &mut Poller) -> Result<Vec<Call>> {
    let wanted = usize::from(args.connections);
    let mut calls: Vec<Call> = Vec::with_capacity(wanted);
    let (mut decided, mut progressed) = (0, now());
    while decided < wanted && now().duration_since(progressed) < PATIENCE {
        while calls.len() < wanted && calls.len() - decided < HALF_OPEN_MAX {
            let token = calls.len();
            let place = (&*poller, token);
            calls.push(Call::begin(args.address, &torrent.info_hash, token, place, now())?);
        }
        let ready: Vec<Ready> = poller.wait(LOOK)?.collect();
        for event in ready {
            let call = &mut calls[event.token];
            if call.progress() == Progress::Waiting && call.handle_ready() != Progress::Waiting {
                (decided, progressed) = (decided + 1, now());
            } else {
                call.handle_ready();
            }
        }
    }
    Ok(calls)
}

/// Reads what comes and stays connected.
fn hold(poller: &mut Poller, calls: &mut [Call], limit: Duration) -> Result<()> {
    let until = now() + limit;
    let mut spoke = now();
    while let Some(left) = left(until) {
        for event in poller.wait(left.min(LOOK))? {
            calls.get_mut(event.token).map(Call::handle_ready);
        }
        if now().duration_since(spoke) >= KEEP_ALIVE {
            spoke = now();
            let open = calls.iter_mut().filter(|call| call.progress() == Progress::Greeted);
            open.for_each(Call::keep_alive);
        }
    }
    Ok(())
}

/// Time until an instant; `None` when it is over.
fn left(until: Instant) -> Option<Duration> {
    until.checked_duration_since(now()).filter(|left| !left.is_zero())
}

fn count(calls: &[Call], progress: Progress) -> u64 {
    calls.iter().filter(|call| call.progress() == progress).count() as u64
}

fn tell(report: &mut Report, moments: &Moments, open: u64, took: Duration) {
    let Moments { before, connected, idle, after } = moments;
    let memory = |at: &Option<Snapshot>| at.map(|at| at.private_bytes);
    report.maybe("engine_private_bytes_before", memory(before));
    report.maybe("engine_private_bytes_connected", memory(connected));
    report.maybe("engine_private_bytes_idle", memory(idle));
    report.maybe("engine_private_bytes_after", memory(after));
    let grown = before.zip(*idle).map(|(before, idle)| {
        (idle.private_bytes as f64 - before.private_bytes as f64) / open.max(1) as f64
    });
    report.number("engine_private_bytes_per_connection", grown);
    let over = connected.zip(*idle);
    let cpu = over.map(|(from, to)| to.cpu.saturating_sub(from.cpu).as_secs_f64());
    report.number("idle_seconds", Some(took.as_secs_f64()));
    report.number("engine_idle_cpu_percent", cpu.map(|cpu| 100.0 * cpu / took.as_secs_f64()));
    let switches = over.map(|(from, to)| to.switches.saturating_sub(from.switches) as f64);
    let per_second = switches.map(|switches| switches / took.as_secs_f64());
    report.number("engine_idle_switches_per_s", per_second);
    for (key, at) in [("before", before), ("connected", connected), ("after", after)] {
        let descriptors = at.and_then(|at| at.descriptors);
        report.maybe(&format!("engine_descriptors_{key}"), descriptors);
    }
}
