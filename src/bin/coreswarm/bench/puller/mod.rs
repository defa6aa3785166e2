//! Many leeching peers on one thread: they ask for random pieces, block after block, and count.

use std::collections::BTreeSet;
use std::collections::VecDeque;
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
use crate::bench::args::SeedArgs;
use crate::bench::latencies::Latencies;
use crate::bench::metainfo::Metainfo;
use crate::bench::meter::Meter;
use crate::bench::poller;
use crate::bench::poller::Poller;
use crate::bench::puller::peer::Peer;
use crate::bench::report::Report;
use crate::clock::now;

mod peer;

/// One read takes at most this: it stays in the L2 cache, and the socket's buffer is rarely fuller.
const READ: usize = 512 * 1024;
/// Nothing received for so long ends the run.
const STALL: Duration = Duration::from_secs(30);
/// How often pauses, goals and stalls are looked at.
const LOOK: Duration = Duration::from_millis(10);

/// When a run is over.
#[derive(Clone, Copy)]
enum Goal {
    /// So long after the first request.
    Time(Duration),
    /// So many bytes of payload are asked for and received.
    Bytes(u64),
}

/// What a run does.
struct Plan {
    address: SocketAddr,
    /// The torrent of each connection.
    torrents: Vec<Arc<Metainfo>>,
    /// Requests in flight per connection.
    depth: usize,
    /// Pause of a connection between its requests; without one it keeps `depth` in flight.
    interval: Option<Duration>,
    goal: Goal,
    /// Compare the hash of every 64th piece.
    verify: bool,
    /// The engine's process.
    pid: Option<u32>,
}

/// What all connections count together.
struct Tally {
    /// Asked for and not lost by a choke or a closed connection.
    asked: u64,
    received: u64,
    /// Most that may be asked for.
    budget: u64,
    first_request: Option<Instant>,
    last_block: Instant,
    /// Request to last byte of the block.
    latencies: Latencies,
    chokes: u64,
    intact: u64,
    corrupt: u64,
}

/// `bench seed`: every connection keeps its requests in flight.
pub(crate) fn seed(args: &SeedArgs) -> Result<()> {
    let torrent = Arc::new(Metainfo::read(&args.torrent)?);
    run(&Plan {
        address: args.address,
        torrents: vec![torrent; args.connections.into()],
        depth: args.depth.into(),
        interval: None,
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
        address: args.address,
        torrents: torrents.iter().cycle().take(args.connections.into()).cloned().collect(),
        depth: 1,
        interval: Some(args.interval),
        goal: Goal::Time(args.seconds),
        verify: false,
        pid: args.engine.pid,
    })
}

/// Connects, pulls until the goal, reports.
fn run(plan: &Plan) -> Result<()> {
    poller::room_for(plan.torrents.len())?;
    let mut poller = Poller::new()?;
    let mut peers = Vec::new();
    for (number, torrent) in plan.torrents.iter().enumerate() {
        let stream = poller::connect(plan.address, number)?;
        poller.add(&stream, number)?;
        peers.push(Peer::new(stream, number, Arc::clone(torrent)));
    }
    let mut tally = Tally {
        asked: 0,
        received: 0,
        budget: if let Goal::Bytes(bytes) = plan.goal { bytes } else { u64::MAX },
        first_request: None,
        last_block: now(),
        latencies: Latencies::new()?,
        chokes: 0,
        intact: 0,
        corrupt: 0,
    };
    let mut meter = Meter::start(plan.pid, now())?;
    turn_until_done(plan, &mut poller, &mut peers, &mut tally)?;
    meter.finish(now());
    report(plan, &peers, &tally, &meter)
}

fn turn_until_done(
    plan: &Plan,
    poller: &mut Poller,
    peers: &mut [Peer],
    tally: &mut Tally,
) -> Result<()> {
    let mut buffer = vec![0; READ];
    let mut ready = VecDeque::new();
    let mut looked = now();
    loop {
        let wait = if ready.is_empty() { LOOK } else { Duration::ZERO };
        for event in poller.wait(wait)? {
            let peer = &mut peers[event.token];
            peer.is_writable |= event.writable;
            if !peer.is_queued {
                peer.is_queued = true;
                ready.push_back(event.token);
            }
        }
        for _ in 0..ready.len() {
            let Some(token) = ready.pop_front() else { break };
            let peer = &mut peers[token];
            peer.is_queued = peer.turn(plan, tally, &mut buffer);
            if peer.is_queued {
                ready.push_back(token);
            }
        }
        let now = now();
        if now.duration_since(looked) < LOOK {
            continue;
        }
        looked = now;
        if plan.interval.is_some() {
            peers.iter_mut().for_each(|peer| peer.ask(plan, tally, now));
        }
        if is_over(plan, peers, tally, now) {
            return Ok(());
        }
    }
}

fn is_over(plan: &Plan, peers: &[Peer], tally: &Tally, now: Instant) -> bool {
    let is_reached = match plan.goal {
        Goal::Bytes(bytes) => tally.received >= bytes,
        Goal::Time(limit) => {
            tally.first_request.is_some_and(|first| now.duration_since(first) >= limit)
        }
    };
    if is_reached {
        return true;
    }
    let is_stalled = now.duration_since(tally.last_block) > STALL;
    if is_stalled {
        eprintln!("nothing received for {} s: ended", STALL.as_secs());
    }
    is_stalled || peers.iter().all(|peer| peer.is_closed)
}

fn report(plan: &Plan, peers: &[Peer], tally: &Tally, meter: &Meter) -> Result<()> {
    let Some(first) = tally.first_request else {
        let closed = peers.iter().filter(|peer| peer.is_closed).count();
        bail!("nobody was unchoked; {closed} of {} connections were closed", peers.len());
    };
    let mut report = Report::new(if plan.interval.is_some() { "many" } else { "seed" });
    let end = match plan.goal {
        Goal::Time(_) => now(),
        Goal::Bytes(_) => tally.last_block,
    };
    report.rate(tally.received, end.duration_since(first), meter);
    report.latencies(&tally.latencies);
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
    report.count("chokes", tally.chokes);
    if plan.verify {
        report.count("pieces_intact", tally.intact);
        report.count("pieces_corrupt", tally.corrupt);
    }
    report.print()?;
    if tally.corrupt > 0 {
        bail!("{} pieces did not have their hash", tally.corrupt);
    }
    Ok(())
}
