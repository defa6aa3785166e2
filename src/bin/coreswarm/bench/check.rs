//! `bench check`: how fast a session hashes what is on disk.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use anyhow::Result;
use coreswarm::Torrent;
use coreswarm::read_torrent_file;

use crate::bench::args_own::CheckArgs;
use crate::bench::own;
use crate::bench::own::Checks;
use crate::bench::own::seconds_since;
use crate::bench::report::Report;
use crate::clock::now;
use crate::failure::EXIT_DAMAGE;
use crate::failure::Failure;
use crate::start;

/// One check.
#[derive(Clone, Copy)]
struct Run {
    /// From adding the torrent to the word that it was checked.
    seconds: f64,
    cpu_seconds: f64,
    have: u64,
}

/// `bench check`.
pub(crate) fn check(args: &CheckArgs) -> Result<()> {
    let path = args.torrent.display();
    let bytes = read_torrent_file(&args.torrent).with_context(|| format!("cannot read {path}"))?;
    let torrent = Arc::new(Torrent::parse(&bytes).with_context(|| path.to_string())?);
    own::warm(&torrent, &args.directory)?;
    let cores = own::cores()?.len();
    let wanted = match args.shards {
        Some(count) => vec![("shards", count)],
        None => vec![("one_shard", 1), ("all_shards", cores)],
    };
    let mut report = Report::new("check");
    report.count("bytes", torrent.total_length());
    report.count("pieces", torrent.piece_count().into());
    let mut have = u64::from(torrent.piece_count());
    for (key, shards) in wanted {
        let run = fastest(args, shards, &torrent)?;
        have = have.min(run.have);
        let gigabytes = torrent.total_length() as f64 / 1e9;
        report.count(&format!("{key}_count"), shards as u64);
        report.number(&format!("{key}_seconds"), Some(run.seconds));
        report.number(&format!("{key}_cpu_s"), Some(run.cpu_seconds));
        report.number(&format!("{key}_GB_per_s"), Some(gigabytes / run.seconds));
        report.number(&format!("{key}_GB_per_cpu_s"), Some(gigabytes / run.cpu_seconds));
    }
    report.count("pieces_good", have);
    report.count("runs", args.runs.into());
    report.print()?;
    if have < u64::from(torrent.piece_count()) {
        let message = format!(
            "expected complete data in {}, {have} of {} pieces are good",
            args.directory.display(),
            torrent.piece_count()
        );
        return Err(Failure::new(EXIT_DAMAGE, message).into());
    }
    Ok(())
}

fn fastest(args: &CheckArgs, shards: usize, torrent: &Arc<Torrent>) -> Result<Run> {
    let mut best = run(shards, torrent, &args.directory)?;
    for _ in 1..args.runs {
        let run = run(shards, torrent, &args.directory)?;
        if run.seconds < best.seconds {
            best = run;
        }
    }
    Ok(best)
}

/// In a session of its own: nothing of it is known from before.
fn run(shards: usize, torrent: &Arc<Torrent>, directory: &Path) -> Result<Run> {
    let session = own::session(Some(shards), Ipv4Addr::LOCALHOST)?;
    let mut checks = Checks::of(&session);
    let (began, before) = (now(), own::cpu());
    session.add(own::add(torrent, directory))?;
    checks.wait(1)?;
    let cpu = own::cpu().saturating_sub(before);
    let run =
        Run { seconds: seconds_since(began), cpu_seconds: cpu.as_secs_f64(), have: checks.have };
    start::shutdown(session)?;
    Ok(run)
}
