//! Many leeching peers: `bench seed` and `bench many` measure an engine that seeds.

mod peer;
mod run;
mod sample;
mod schedule;
mod walk;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;

use crate::bench::args::ManyArgs;
use crate::bench::args::Pattern;
use crate::bench::args::SeedArgs;
use crate::bench::latencies::Latencies;
use crate::bench::metainfo::BLOCK;
use crate::bench::metainfo::Metainfo;
use crate::bench::meter::Meter;
use crate::bench::puller::peer::Peer;
use crate::bench::puller::run::Run;
use crate::bench::puller::schedule::Schedule;
use crate::bench::report::Report;
use crate::bench::wire::Fault;
use crate::clock;
use crate::failure::EXIT_DAMAGE;
use crate::failure::Failure;

/// When a run is over.
#[derive(Clone, Copy)]
enum Goal {
    /// So long after the first request.
    Time(Duration),
    /// So many bytes of payload are asked for and received.
    Bytes(u64),
}

/// What decides when a connection asks.
#[derive(Clone, Copy)]
enum Pace {
    /// It has fewer requests in flight than the depth: a closed loop.
    Full,
    /// So long after the time before.
    Interval(Duration),
    /// So many requests per second are due in total: an open loop.
    Rate(u32),
}

/// What a run does.
struct Plan {
    mode: &'static str,
    address: SocketAddr,
    /// The torrent of each connection.
    torrents: Vec<Arc<Metainfo>>,
    /// Requests in flight per connection, at most.
    depth: usize,
    pace: Pace,
    pattern: Pattern,
    goal: Goal,
    /// Compare the hash of every 64th piece.
    verify: bool,
    /// The engine's process.
    pid: Option<u32>,
}

/// What all connections count together.
struct Tally {
    /// Bytes asked for and not lost by a choke or a closed connection.
    asked: u64,
    /// Bytes of payload.
    received: u64,
    /// Most bytes that may be asked for.
    budget: u64,
    /// Of an open loop.
    schedule: Option<Schedule>,
    first_unchoke: Option<Instant>,
    first_request: Option<Instant>,
    last_block: Instant,
    /// Requests.
    answered: u64,
    /// From when a request was sent, or was due, to the last byte of its block.
    latencies: Latencies,
    chokes: u64,
    intact: u64,
    corrupt: u64,
    /// The first thing that was not the protocol.
    fault: Option<Fault>,
}

/// `bench seed`.
pub(crate) fn seed(args: &SeedArgs) -> Result<()> {
    ensure!(
        !args.verify || args.pattern != Pattern::RandomBlocks,
        "expected whole pieces with --verify; choose another --pattern"
    );
    let torrent = Arc::new(Metainfo::read(&args.torrent)?);
    run(&Plan {
        mode: "seed",
        address: args.address,
        torrents: vec![torrent; args.connections.into()],
        depth: args.depth.into(),
        pace: args.rate.map_or(Pace::Full, Pace::Rate),
        pattern: args.pattern,
        goal: args.bytes.map_or(Goal::Time(args.seconds), Goal::Bytes),
        verify: args.verify,
        pid: args.engine.pid,
    })
}

/// `bench many`: connections spread over torrents, each asks for a block now and then.
pub(crate) fn many(args: &ManyArgs) -> Result<()> {
    let folder = args.torrents.display();
    let mut files = Vec::new();
    for entry in fs::read_dir(&args.torrents).with_context(|| folder.to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "torrent") {
            files.push(path);
        }
    }
    files.sort();
    ensure!(!files.is_empty(), "expected .torrent files in {folder}, got none");
    let read = |file: &PathBuf| Metainfo::read(file).map(Arc::new);
    let torrents: Vec<_> = files.iter().map(read).collect::<Result<_>>()?;
    run(&Plan {
        mode: "many",
        address: args.address,
        torrents: torrents.iter().cycle().take(args.connections.into()).cloned().collect(),
        depth: 1,
        pace: Pace::Interval(args.interval),
        pattern: Pattern::RandomPieces,
        goal: Goal::Time(args.seconds),
        verify: false,
        pid: args.engine.pid,
    })
}

/// What peers got that pulled for a while.
pub(crate) struct Pulled {
    pub(crate) bytes: u64,
    /// Peers that got any.
    pub(crate) served: usize,
}

/// Random pieces for `time`, and no report: for a bench of something else.
pub(crate) fn pull(
    address: SocketAddr,
    torrents: Vec<Arc<Metainfo>>,
    depth: usize,
    time: Duration,
) -> Result<Pulled> {
    let plan = Plan {
        mode: "load",
        address,
        torrents,
        depth,
        pace: Pace::Full,
        pattern: Pattern::RandomPieces,
        goal: Goal::Time(time),
        verify: true,
        pid: None,
    };
    let mut run = Run::connect(&plan)?;
    run.pull(&mut Meter::start(None, clock::now())?)?;
    run.tally.judge(&run.peers)?;
    let served = run.peers.iter().filter(|peer| peer.received > 0).count();
    Ok(Pulled { bytes: run.tally.received, served })
}

/// Connects, pulls until the goal, reports.
fn run(plan: &Plan) -> Result<()> {
    let mut run = Run::connect(plan)?;
    let mut meter = Meter::start(plan.pid, clock::now())?;
    run.pull(&mut meter)?;
    let ended = clock::now();
    meter.finish(ended);
    let unanswered = run.count_unanswered(ended);
    let Some(first) = run.tally.first_request else {
        let closed = run.peers.iter().filter(|peer| peer.is_closed).count();
        let fault = run.tally.fault.map_or(String::new(), |fault| format!("; got {fault}"));
        bail!(
            "nobody was unchoked; {closed} of {} connections were closed{fault}",
            run.peers.len()
        );
    };
    let end = match (plan.pace, plan.goal) {
        (Pace::Rate(_), _) if unanswered == 0 => run.tally.last_block,
        (Pace::Full, Goal::Bytes(_)) => run.tally.last_block,
        _ => ended,
    };
    let took = end.duration_since(first);
    let mut report = Report::new(plan.mode);
    report.rate(run.tally.received, took, &meter);
    report.latencies(&run.tally.latencies);
    run.tally.tell_requests(&mut report, took, unanswered);
    tell_peers(&mut report, &run.peers);
    run.tally.tell_rest(&mut report, plan);
    report.print()?;
    run.tally.judge(&run.peers)
}

fn tell_peers(report: &mut Report, peers: &[Peer]) {
    let bytes: Vec<u64> = peers.iter().map(|peer| peer.received).collect();
    report.spread(&bytes);
    let torrents = |is: fn(&Peer) -> bool| {
        let hashes = peers.iter().filter(|peer| is(peer)).map(|peer| peer.torrent.info_hash);
        hashes.collect::<BTreeSet<_>>().len() as u64
    };
    report.count("torrents", torrents(|_| true));
    report.count("torrents_served", torrents(|peer| peer.received > 0));
    report.count("connections_unchoked", peers.iter().filter(|p| p.was_unchoked).count() as u64);
    report.count("connections_closed", peers.iter().filter(|p| p.is_closed).count() as u64);
}

impl Tally {
    fn new(plan: &Plan, now: Instant) -> Result<Tally> {
        let schedule = match (plan.pace, plan.goal) {
            (Pace::Rate(rate), Goal::Bytes(bytes)) => {
                Some(Schedule::new(rate, bytes.div_ceil(u64::from(BLOCK))))
            }
            (Pace::Rate(rate), Goal::Time(time)) => {
                Some(Schedule::new(rate, (f64::from(rate) * time.as_secs_f64()) as u64))
            }
            _ => None,
        };
        let budget = match plan.goal {
            Goal::Bytes(bytes) if schedule.is_none() => bytes,
            _ => u64::MAX,
        };
        Ok(Tally {
            asked: 0,
            received: 0,
            budget,
            schedule,
            first_unchoke: None,
            first_request: None,
            last_block: now,
            answered: 0,
            latencies: Latencies::new()?,
            chokes: 0,
            intact: 0,
            corrupt: 0,
            fault: None,
        })
    }

    /// A piece was hashed, if it was.
    fn count_piece(&mut self, is_intact: Option<bool>) {
        match is_intact {
            Some(true) => self.intact += 1,
            Some(false) => self.corrupt += 1,
            None => {}
        }
    }

    fn tell_requests(&self, report: &mut Report, took: Duration, unanswered: u64) {
        report.count("requests_answered", self.answered);
        report.number("requests_per_s", Some(self.answered as f64 / took.as_secs_f64()));
        if let Some(schedule) = &self.schedule {
            report.count("requests_due", schedule.given());
            report.count("requests_unanswered", unanswered);
            if unanswered > 0 {
                let text = "the engine did not keep up; unanswered requests count as long as they \
                            waited";
                report.note(text.to_owned());
            }
        }
    }

    fn tell_rest(&self, report: &mut Report, plan: &Plan) {
        report.count("chokes", self.chokes);
        report.count("depth", plan.depth as u64);
        let pattern = match plan.pattern {
            Pattern::RandomPieces => "random-pieces",
            Pattern::Sequential => "sequential",
            Pattern::RandomBlocks => "random-blocks",
        };
        report.text("pattern", pattern);
        report.text("loop", if matches!(plan.pace, Pace::Rate(_)) { "open" } else { "closed" });
        if plan.verify {
            report.count("pieces_intact", self.intact);
            report.count("pieces_corrupt", self.corrupt);
        }
        if let Some(fault) = self.fault {
            report.note(format!("expected the peer protocol, got {fault}"));
        }
    }

    /// An error when nothing was served, or when something was wrong.
    fn judge(&self, peers: &[Peer]) -> Result<()> {
        if self.corrupt > 0 {
            let message = format!("{} pieces did not have their hash", self.corrupt);
            return Err(Failure::new(EXIT_DAMAGE, message).into());
        }
        ensure!(
            self.received > 0,
            "expected blocks, got none on {} connections; are the data there, and are peers of one \
             address allowed?",
            peers.len()
        );
        Ok(())
    }
}
