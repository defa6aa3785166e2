//! Seeding peers on one thread: they hold the payload in memory and answer with gathered writes.

mod manner;
mod peer;

use std::collections::VecDeque;
use std::fs;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;

use crate::bench::args::LeechArgs;
use crate::bench::metainfo::BLOCK;
use crate::bench::metainfo::Metainfo;
use crate::bench::meter::Meter;
use crate::bench::poller;
use crate::bench::poller::Poller;
use crate::bench::report::Report;
use crate::bench::server::manner::Manner;
use crate::bench::server::manner::Manners;
use crate::bench::server::peer::Peer;
use crate::bench::wire::Fault;
use crate::clock::now;
use crate::json;

/// One read: requests are small.
const READ: usize = 64 * 1024;
/// After everything was served once, an engine may take so long to hash, write and go away.
const GRACE: Duration = Duration::from_secs(5);
/// With peers that stall or corrupt, longer than engines wait for a block before they ask another.
const GRACE_LONG: Duration = Duration::from_secs(90);
/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(10);
/// The listener's number.
const LISTENER: usize = usize::MAX;

/// What all connections count together.
struct Tally {
    /// By block of the whole payload: an honest peer was asked for it.
    served: Vec<bool>,
    missing: u64,
    /// Blocks that honest peers were asked for again.
    repeated: u64,
    /// Bytes of payload by honest peers.
    sent: u64,
    /// Bytes of payload by those that corrupt.
    sent_corrupt: u64,
    /// Requests that got no answer on purpose.
    stalled: u64,
    /// The first thing that was not the protocol.
    fault: Option<Fault>,
    first_request: Option<Instant>,
    /// The last write that carried payload.
    last_write: Instant,
}

impl Tally {
    /// Counts a block that was queued for sending.
    fn serve(&mut self, at: usize) {
        let block = at / BLOCK as usize;
        match self.served.get_mut(block) {
            Some(served) if !*served => {
                *served = true;
                self.missing -= 1;
            }
            _ => self.repeated += 1,
        }
    }
}

/// What a run does.
struct Plan {
    address: SocketAddr,
    /// The engine calls us.
    listens: bool,
    connections: usize,
    manners: Manners,
    torrent: Metainfo,
    /// The torrent's payload.
    data: Vec<u8>,
    /// The run ends then at the latest.
    limit: Duration,
    /// The engine's process.
    pid: Option<u32>,
}

/// `bench leech`: seeding peers that call the engine, or wait to be called.
pub(crate) fn leech(args: &LeechArgs) -> Result<()> {
    let torrent = Metainfo::read(&args.torrent)?;
    let path = args.data.display();
    let data = fs::read(&args.data).with_context(|| format!("cannot read {path}"))?;
    let (want, got) = (torrent.size, data.len() as u64);
    ensure!(want == got, "expected {want} bytes in {path} as the torrent says, got {got}");
    run(&Plan {
        address: args.address,
        listens: args.listen,
        connections: args.connections.unwrap_or(if args.listen { 1 } else { 10 }).into(),
        manners: Manners { corrupt: args.corrupt, stall: args.stall },
        torrent,
        data,
        limit: args.seconds,
        pid: args.engine.pid,
    })
}

/// Honest peers that call `address`, and no report: for a bench of something else. Gives the bytes
/// of payload that they sent.
pub(crate) fn feed(
    address: SocketAddr,
    connections: usize,
    torrent: Metainfo,
    data: Vec<u8>,
    limit: Duration,
) -> Result<u64> {
    let manners = Manners { corrupt: 0.0, stall: 0.0 };
    let plan =
        Plan { address, listens: false, connections, manners, torrent, data, limit, pid: None };
    Ok(serve(&plan)?.1.sent)
}

fn run(plan: &Plan) -> Result<()> {
    let (peers, tally, mut meter) = serve(plan)?;
    report(plan, &peers, &tally, meter.as_mut())
}

/// Serves until the engine goes away, has had everything, or the limit is over.
fn serve(plan: &Plan) -> Result<(Vec<Peer>, Tally, Option<Meter>)> {
    poller::room_for(plan.connections)?;
    let mut poller = Poller::new()?;
    let listener = open(plan, &poller)?;
    let mut peers: Vec<Peer> = Vec::new();
    if !plan.listens {
        for number in 0..plan.connections {
            let stream = poller::connect(plan.address, number)?;
            poller.add(&stream, number)?;
            peers.push(Peer::new(stream, number, plan));
        }
    }
    let blocks = plan.torrent.size.div_ceil(u64::from(BLOCK));
    let mut tally = Tally {
        served: vec![false; blocks as usize],
        missing: blocks,
        repeated: 0,
        sent: 0,
        sent_corrupt: 0,
        stalled: 0,
        fault: None,
        first_request: None,
        last_write: now(),
    };
    let meter = turn_until_done(plan, &mut poller, listener.as_ref(), &mut peers, &mut tally)?;
    Ok((peers, tally, meter))
}

fn turn_until_done(
    plan: &Plan,
    poller: &mut Poller,
    listener: Option<&TcpListener>,
    peers: &mut Vec<Peer>,
    tally: &mut Tally,
) -> Result<Option<Meter>> {
    let mut meter = None;
    let mut buffer = vec![0; READ];
    let mut ready = VecDeque::new();
    let started = now();
    let mut looked = started;
    loop {
        let wait = if ready.is_empty() { LOOK } else { Duration::ZERO };
        if gather_ready(poller, peers, &mut ready, wait)? {
            listener.map_or(Ok(()), |listener| accept(listener, poller, peers, plan))?;
        }
        for _ in 0..ready.len() {
            let Some(token) = ready.pop_front() else { break };
            let peer = &mut peers[token];
            peer.is_queued = peer.turn(plan, tally, &mut buffer);
            if peer.is_queued {
                ready.push_back(token);
            }
        }
        if meter.is_none() && tally.first_request.is_some() {
            // Not before: the engine may have checked its old files until now.
            meter = Some(Meter::start(plan.pid, now())?);
        }
        let now = now();
        if now.duration_since(looked) < LOOK {
            continue;
        }
        looked = now;
        meter.iter_mut().for_each(|meter| meter.sample(now));
        let has_all = peers.len() >= plan.connections;
        if has_all && is_over(plan, peers, tally, now) || now.duration_since(started) > plan.limit {
            return Ok(meter);
        }
    }
}

/// Queues every peer that something happened to. True when a connection waits to be accepted.
fn gather_ready(
    poller: &mut Poller,
    peers: &mut [Peer],
    ready: &mut VecDeque<usize>,
    wait: Duration,
) -> Result<bool> {
    let mut must_accept = false;
    for event in poller.wait(wait)? {
        let Some(peer) = peers.get_mut(event.token) else {
            must_accept = true;
            continue;
        };
        peer.is_writable |= event.writable;
        peer.is_readable = true;
        if !peer.is_queued {
            peer.is_queued = true;
            ready.push_back(event.token);
        }
    }
    Ok(must_accept)
}

fn open(plan: &Plan, poller: &Poller) -> Result<Option<TcpListener>> {
    if !plan.listens {
        return Ok(None);
    }
    let address = plan.address;
    let listener = TcpListener::bind(address).with_context(|| format!("listening on {address}"))?;
    listener.set_nonblocking(true)?;
    poller.add_listener(&listener, LISTENER)?;
    json::print(&json::listening(&listener.local_addr()?))?;
    Ok(Some(listener))
}

fn accept(
    listener: &TcpListener,
    poller: &Poller,
    peers: &mut Vec<Peer>,
    plan: &Plan,
) -> Result<()> {
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        poller.add(&stream, peers.len())?;
        peers.push(Peer::new(stream, peers.len(), plan));
    }
    Ok(())
}

fn is_over(plan: &Plan, peers: &[Peer], tally: &Tally, now: Instant) -> bool {
    if peers.iter().all(|peer| peer.is_closed) {
        return true;
    }
    let is_content = peers.iter().all(|peer| peer.is_closed || !peer.is_wanted);
    let is_quiet = now.duration_since(tally.last_write)
        > if plan.manners.are_honest() { GRACE } else { GRACE_LONG };
    // An engine that had a part already asks for the rest alone.
    tally.missing == 0 && (is_content || is_quiet) || tally.sent > 0 && is_content && is_quiet
}

fn report(plan: &Plan, peers: &[Peer], tally: &Tally, meter: Option<&mut Meter>) -> Result<()> {
    let (Some(first), Some(meter)) = (tally.first_request, meter) else {
        let closed = peers.iter().filter(|peer| peer.is_closed).count();
        bail!("nothing was asked for; {closed} of {} connections were closed", peers.len());
    };
    meter.finish(now());
    let mut report = Report::new("leech");
    report.rate(tally.sent, tally.last_write.duration_since(first), meter);
    let bytes: Vec<u64> = peers.iter().map(|peer| peer.sent).collect();
    report.spread(&bytes);
    report.count("connections_closed", peers.iter().filter(|p| p.is_closed).count() as u64);
    for (manner, name) in [(Manner::Corrupts, "corrupting"), (Manner::Stalls, "stalling")] {
        let such = || peers.iter().filter(|peer| peer.manner == manner);
        report.count(&format!("peers_{name}"), such().count() as u64);
        let closed = such().filter(|peer| peer.is_closed).count();
        report.count(&format!("peers_{name}_closed"), closed as u64);
    }
    report.count("bytes_corrupt", tally.sent_corrupt);
    report.count("requests_stalled", tally.stalled);
    report.count("blocks_repeated", tally.repeated);
    report.count("blocks_never_asked_for", tally.missing);
    if let Some(fault) = tally.fault {
        report.note(format!("expected the peer protocol, got {fault}"));
    }
    report.print()?;
    judge(plan, peers, tally)
}

/// An error when nothing was served, or when the engine was not done in time.
fn judge(plan: &Plan, peers: &[Peer], tally: &Tally) -> Result<()> {
    ensure!(tally.sent > 0, "expected to send blocks, the engine took none");
    let is_waiting = peers.iter().any(|peer| !peer.is_closed && peer.is_wanted);
    ensure!(
        tally.missing == 0 || !is_waiting,
        "expected the engine to fetch everything within {} s, {} blocks are left",
        plan.limit.as_secs(),
        tally.missing
    );
    Ok(())
}
