//! `bench swarm`: sessions of our own exchange a torrent until everybody has it.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use coreswarm::Session;
use coreswarm::Torrent;
use coreswarm::TorrentHandle;
use coreswarm::TorrentState;

use crate::bench::args_own::SwarmArgs;
use crate::bench::own;
use crate::bench::own::Checks;
use crate::bench::own::Payload;
use crate::bench::report::Report;
use crate::clock::now;
use crate::demo::compare::compare;
use crate::start;

/// How often it is looked who has finished.
const LOOK: Duration = Duration::from_millis(2);

/// A session with one shard, and its torrent.
struct Member {
    session: Session,
    handle: TorrentHandle,
    directory: PathBuf,
    address: SocketAddr,
    /// It has everything since.
    finished: Option<Instant>,
}

/// `bench swarm`.
pub(crate) fn swarm(args: &SwarmArgs) -> Result<()> {
    let grid = (1, args.size, args.piece_length);
    let payload = Payload::make(&args.place, grid, args.leechers.into())?;
    let torrent = payload.torrent(0)?;
    own::warm(&torrent, &payload.data())?;
    let cores = own::cores()?;
    let mut seeders = Vec::new();
    for number in 0..args.seeders {
        let core = cores[if args.pin { 0 } else { usize::from(number) % cores.len() }];
        seeders.push(Member::start(core, number, &torrent, &payload.data())?);
    }
    let mut leechers = Vec::new();
    for number in 0..args.leechers {
        let directory = payload.target(&format!("leecher-{number}"))?;
        let at = usize::from(number);
        let core = match (args.pin, cores.len()) {
            (true, 2..) => cores[1 + at % (cores.len() - 1)],
            _ => cores[(at + usize::from(args.seeders)) % cores.len()],
        };
        leechers.push(Member::start(core, args.seeders + number, &torrent, &directory)?);
    }
    let (began, before) = (now(), own::cpu());
    introduce(&seeders, &leechers)?;
    wait(&mut leechers, began + args.seconds)?;
    let cpu = own::cpu().saturating_sub(before).as_secs_f64();
    let mut report = Report::new("swarm");
    tell(&mut report, args, &leechers, began, cpu);
    let wasted: u64 = leechers.iter().map(|member| member.handle.stats().wasted).sum();
    report.count("bytes_wasted", wasted);
    let uploaded = leechers.iter().map(|member| member.handle.stats().uploaded).sum();
    report.count("bytes_uploaded_by_leechers", uploaded);
    let directories: Vec<PathBuf> = leechers.iter().map(|it| it.directory.clone()).collect();
    for member in seeders.into_iter().chain(leechers) {
        start::shutdown(member.session)?;
    }
    let mut compared = 0;
    for directory in &directories {
        compared += compare(&torrent, &payload.data(), directory)?;
    }
    report.count("bytes_verified", compared);
    report.print()
}

impl Member {
    /// On one core and an address of its own; what lies in `directory` is checked.
    fn start(core: usize, number: u8, torrent: &Arc<Torrent>, directory: &Path) -> Result<Member> {
        let ip = Ipv4Addr::new(127, 0, 1, number + 1);
        let session = own::on_cores(&[core], || own::session(Some(1), ip))??;
        let mut checks = Checks::of(&session);
        let handle = session.add(own::add(torrent, directory))?;
        checks.wait(1)?;
        let Some(address) = session.listen_addresses().first().copied() else {
            bail!("expected a session that listens on {ip}")
        };
        Ok(Member { session, handle, directory: directory.to_owned(), address, finished: None })
    }
}

/// Every leecher is told of all seeders, and of the leechers before it.
fn introduce(seeders: &[Member], leechers: &[Member]) -> Result<()> {
    for (at, leecher) in leechers.iter().enumerate() {
        let others = seeders.iter().chain(&leechers[..at]);
        let addresses: Vec<SocketAddr> = others.map(|member| member.address).collect();
        leecher.handle.add_peers(&addresses)?;
    }
    Ok(())
}

/// Until all leechers have everything.
fn wait(leechers: &mut [Member], until: Instant) -> Result<()> {
    loop {
        let now = now();
        for member in leechers.iter_mut().filter(|member| member.finished.is_none()) {
            match member.handle.status()?.stats.state {
                TorrentState::Seeding => member.finished = Some(now),
                TorrentState::Error => bail!("{:?}", member.handle.status()?.error),
                _ => {}
            }
        }
        let left = leechers.iter().filter(|member| member.finished.is_none()).count();
        if left == 0 {
            return Ok(());
        }
        ensure!(now < until, "expected everybody to finish in time, {left} did not");
        own::hold(LOOK);
    }
}

fn tell(report: &mut Report, args: &SwarmArgs, leechers: &[Member], began: Instant, cpu: f64) {
    let finished = leechers.iter().filter_map(|member| member.finished);
    let mut times: Vec<f64> = finished.map(|at| at.duration_since(began).as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    let bytes = args.size * u64::from(args.leechers);
    let slowest = times.last().copied();
    report.count("seeders", args.seeders.into());
    report.count("leechers", args.leechers.into());
    report.count("bytes", bytes);
    report.number("seconds", slowest);
    report.number("MB_per_s", slowest.map(|seconds| bytes as f64 / 1e6 / seconds));
    report.number("cpu_s", Some(cpu));
    report.number("cpu_s_per_GiB", Some(cpu / (bytes as f64 / f64::from(1 << 30))));
    report.number("finished_first_seconds", times.first().copied());
    report.number("finished_median_seconds", times.get(times.len() / 2).copied());
    report.number("finished_last_seconds", slowest);
}
