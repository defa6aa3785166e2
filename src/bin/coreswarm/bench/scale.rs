//! `bench scale`: what torrents cost that only have to be there.

use std::net::Ipv4Addr;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use anyhow::ensure;
use coreswarm::AddTorrent;
use coreswarm::Session;
use coreswarm::TorrentState;

use crate::bench::args_own::ScaleArgs;
use crate::bench::own;
use crate::bench::own::Checks;
use crate::bench::own::Payload;
use crate::bench::own::seconds_since;
use crate::bench::report::Report;
use crate::bench::turn_lengths;
use crate::clock::now;
use crate::start;

/// What follows the last check may take so long.
const SETTLE: Duration = Duration::from_secs(2);
/// Lists made; the slowest counts too.
const LISTS: usize = 20;

/// `bench scale`.
pub(crate) fn scale(args: &ScaleArgs) -> Result<()> {
    let grid = (args.torrents, args.size, args.piece_length);
    let payload = Payload::make(&args.place, grid, 0)?;
    let session = own::session(args.shards, Ipv4Addr::LOCALHOST)?;
    let mut report = Report::new("scale");
    report.count("torrents", args.torrents.into());
    report.count("bytes_per_torrent", args.size);
    report.count("pieces_per_torrent", args.size.div_ceil(args.piece_length));
    report.count("shards", session.stats().len() as u64);
    let before = own::snapshot()?;
    let turns = session.stats();
    fill(&mut report, &session, &payload, args.torrents)?;
    own::hold(SETTLE);
    let filled = own::snapshot()?;
    let count = f64::from(args.torrents);
    let grown = filled.private_bytes as f64 - before.private_bytes as f64;
    report.count("private_bytes_before", before.private_bytes);
    report.count("private_bytes_after", filled.private_bytes);
    report.number("private_bytes_per_torrent", Some(grown / count));
    report.maybe("descriptors_before", before.descriptors);
    report.maybe("descriptors_after", filled.descriptors);
    idle(&mut report, args.seconds)?;
    let rested = own::snapshot()?.private_bytes as f64 - before.private_bytes as f64;
    report.number("private_bytes_per_idle_torrent", Some(rested / count));
    let seeding = list(&mut report, &session);
    turn_lengths::tell(&mut report, &turns, &session.stats());
    end(&mut report, session)?;
    report.print()?;
    let wanted = u64::from(args.torrents);
    ensure!(seeding == wanted, "expected {wanted} torrents to seed, {seeding} do");
    Ok(())
}

/// Adds all torrents, from files, and waits for their checks.
fn fill(report: &mut Report, session: &Session, payload: &Payload, count: u32) -> Result<()> {
    let mut checks = Checks::of(session);
    let (began, before) = (now(), own::cpu());
    for number in 0..count {
        let add = AddTorrent::from_file(payload.torrent_path(number))?;
        session.add(add.directory(payload.data()))?;
        // Their queue is bounded.
        checks.look()?;
    }
    let added = seconds_since(began);
    checks.wait(count)?;
    let cpu = own::cpu().saturating_sub(before).as_secs_f64();
    report.number("add_seconds", Some(added));
    report.number("add_and_check_seconds", Some(seconds_since(began)));
    report.number("add_and_check_cpu_s", Some(cpu));
    report.number("add_and_check_cpu_us_per_torrent", Some(cpu * 1e6 / f64::from(count)));
    let (have, all) = (checks.have, checks.all);
    report.count("pieces_good", have);
    ensure!(have == all, "expected all {all} pieces to be good, {have} are");
    Ok(())
}

fn idle(report: &mut Report, time: Duration) -> Result<()> {
    let (began, before) = (now(), own::cpu());
    let switches = own::snapshot()?.switches;
    own::hold(time);
    let took = seconds_since(began);
    let cpu = own::cpu().saturating_sub(before).as_secs_f64();
    let switches = own::snapshot()?.switches.saturating_sub(switches);
    report.number("idle_seconds", Some(took));
    report.number("idle_cpu_percent", Some(100.0 * cpu / took));
    report.number("idle_switches_per_s", Some(switches as f64 / took));
    Ok(())
}

/// Lists all torrents with their figures. Gives how many seed.
fn list(report: &mut Report, session: &Session) -> u64 {
    let mut times = Vec::new();
    let mut seeding = 0;
    for _ in 0..LISTS {
        let began = now();
        let torrents = session.torrents();
        let seeds = torrents.iter().filter(|it| it.stats().state == TorrentState::Seeding);
        seeding = seeds.count() as u64;
        times.push(1000.0 * seconds_since(began));
    }
    times.sort_by(f64::total_cmp);
    report.number("list_ms", times.get(LISTS / 2).copied());
    report.number("list_max_ms", times.last().copied());
    report.count("torrents_seeding", seeding);
    seeding
}

fn end(report: &mut Report, session: Session) -> Result<()> {
    let (began, before): (Instant, Duration) = (now(), own::cpu());
    start::shutdown(session)?;
    let cpu = own::cpu().saturating_sub(before);
    report.number("shutdown_seconds", Some(seconds_since(began)));
    report.number("shutdown_cpu_s", Some(cpu.as_secs_f64()));
    Ok(())
}
