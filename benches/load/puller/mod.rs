//! Many leeching peers on one thread: they ask for random pieces, block after block, and count.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use anyhow::bail;
use hdrhistogram::Histogram;

use crate::metainfo::Metainfo;
use crate::poller;
use crate::poller::Poller;
use crate::puller::peer::Peer;
use crate::report::Meter;
use crate::report::Report;

mod peer;

/// One read takes at most this: it stays in the L2 cache, and the socket's buffer is rarely fuller.
const READ: usize = 512 * 1024;
/// Nothing received for so long ends the run.
const STALL: Duration = Duration::from_secs(30);
/// How often pauses, goals and stalls are looked at.
const LOOK: Duration = Duration::from_millis(10);

/// When a run is over.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// So long after the first request.
    Time(Duration),
    /// So many bytes of payload are asked for and received.
    Bytes(u64),
}

/// What a run does.
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    /// The torrent of each connection.
    pub(crate) torrents: Vec<Arc<Metainfo>>,
    /// Requests in flight per connection.
    pub(crate) depth: usize,
    /// Pause of a connection between its requests; without one it keeps `depth` in flight.
    pub(crate) interval: Option<Duration>,
    pub(crate) goal: Goal,
    /// Compare the hash of every 64th piece.
    pub(crate) verify: bool,
    /// The engine's process.
    pub(crate) pid: Option<u32>,
}

/// What all connections count together.
pub(crate) struct Tally {
    /// Asked for and not lost by a choke or a closed connection.
    pub(crate) asked: u64,
    pub(crate) received: u64,
    /// Most that may be asked for.
    pub(crate) budget: u64,
    pub(crate) first_request: Option<Instant>,
    pub(crate) last_block: Instant,
    /// Request to last byte of the block, in microseconds.
    pub(crate) latencies: Histogram<u64>,
    pub(crate) chokes: u64,
    pub(crate) intact: u64,
    pub(crate) corrupt: u64,
}

/// Connects, pulls until the goal, reports.
pub(crate) fn run(plan: &Plan) -> Result<()> {
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
        last_block: Instant::now(),
        latencies: Histogram::new_with_bounds(1, 3_600_000_000, 3)?,
        chokes: 0,
        intact: 0,
        corrupt: 0,
    };
    let mut meter = Meter::start(plan.pid)?;
    turn_until_done(plan, &mut poller, &mut peers, &mut tally)?;
    meter.sample();
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
    let mut looked = Instant::now();
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
        let now = Instant::now();
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
        Goal::Time(_) => Instant::now(),
        Goal::Bytes(_) => tally.last_block,
    };
    report.rate(tally.received, end.duration_since(first), meter)?;
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
    report.print();
    if tally.corrupt > 0 {
        bail!("{} pieces did not have their hash", tally.corrupt);
    }
    Ok(())
}
