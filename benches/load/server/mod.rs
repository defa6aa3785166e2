//! Seeding peers on one thread: they hold the payload in memory and answer with gathered writes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use crate::metainfo::BLOCK;
use crate::metainfo::Metainfo;
use crate::poller;
use crate::poller::Poller;
use crate::report::Meter;
use crate::report::Report;
use crate::server::peer::Peer;

mod peer;

/// One read: requests are small.
const READ: usize = 64 * 1024;
/// After everything was served once, an engine may take so long to hash, write and go away.
const GRACE: Duration = Duration::from_secs(5);
/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(10);
/// The listener's number.
const LISTENER: usize = usize::MAX;

/// Who calls whom.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Accepts,
    Connects,
}

/// What all connections count together.
pub(crate) struct Tally {
    /// By block of the whole payload: sent at least once.
    served: Vec<bool>,
    missing: u64,
    pub(crate) sent: u64,
    pub(crate) first_request: Option<Instant>,
    /// The last write that carried payload.
    pub(crate) last_write: Instant,
}

impl Tally {
    /// Counts a block that was queued for sending.
    pub(crate) fn serve(&mut self, at: usize) {
        let block = at / BLOCK as usize;
        if let Some(served) = self.served.get_mut(block).filter(|served| !**served) {
            *served = true;
            self.missing -= 1;
        }
    }
}

/// What a run does.
pub(crate) struct Plan {
    pub(crate) role: Role,
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) torrent: Metainfo,
    /// The torrent's payload.
    pub(crate) data: Vec<u8>,
    /// The run ends then at the latest.
    pub(crate) limit: Duration,
    /// The engine's process.
    pub(crate) pid: Option<u32>,
}

/// Serves until the engine goes away, has had everything, or the limit is over; then reports.
pub(crate) fn run(plan: &Plan) -> Result<()> {
    let mut poller = Poller::new()?;
    let listener = open(plan.role, plan.address, &poller)?;
    let mut peers: Vec<Peer> = Vec::new();
    if plan.role == Role::Connects {
        for number in 0..plan.connections {
            let stream = poller::connect(plan.address, number)?;
            poller.add(&stream, number)?;
            peers.push(Peer::new(stream, number, &plan.torrent));
        }
    }
    let blocks = plan.torrent.size.div_ceil(u64::from(BLOCK));
    let mut tally = Tally {
        served: vec![false; blocks as usize],
        missing: blocks,
        sent: 0,
        first_request: None,
        last_write: Instant::now(),
    };
    let meter = turn_until_done(plan, &mut poller, listener.as_ref(), &mut peers, &mut tally)?;
    report(plan.role, &peers, &tally, meter.as_ref())
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
    let started = Instant::now();
    let mut looked = started;
    loop {
        let wait = if ready.is_empty() { LOOK } else { Duration::ZERO };
        if gather_ready(poller, peers, &mut ready, wait)? {
            listener.map_or(Ok(()), |listener| accept(listener, poller, peers, &plan.torrent))?;
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
            meter = Some(Meter::start(plan.pid)?);
        }
        let now = Instant::now();
        if now.duration_since(looked) < LOOK {
            continue;
        }
        looked = now;
        meter.iter_mut().for_each(Meter::sample);
        let has_all = peers.len() >= plan.connections;
        if has_all && is_over(peers, tally, now) || now.duration_since(started) > plan.limit {
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

fn open(role: Role, address: SocketAddr, poller: &Poller) -> Result<Option<TcpListener>> {
    if role == Role::Connects {
        return Ok(None);
    }
    let listener = TcpListener::bind(address).with_context(|| format!("listening on {address}"))?;
    listener.set_nonblocking(true)?;
    poller.add_listener(&listener, LISTENER)?;
    println!("listening on {}", listener.local_addr()?);
    Ok(Some(listener))
}

fn accept(
    listener: &TcpListener,
    poller: &Poller,
    peers: &mut Vec<Peer>,
    torrent: &Metainfo,
) -> Result<()> {
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        poller.add(&stream, peers.len())?;
        peers.push(Peer::new(stream, peers.len(), torrent));
    }
    Ok(())
}

fn is_over(peers: &[Peer], tally: &Tally, now: Instant) -> bool {
    if peers.iter().all(|peer| peer.is_closed) {
        return true;
    }
    let is_content = peers.iter().all(|peer| peer.is_closed || !peer.is_wanted);
    let is_quiet = now.duration_since(tally.last_write) > GRACE;
    tally.missing == 0 && (is_content || is_quiet)
}

fn report(role: Role, peers: &[Peer], tally: &Tally, meter: Option<&Meter>) -> Result<()> {
    let (Some(first), Some(meter)) = (tally.first_request, meter) else {
        let closed = peers.iter().filter(|peer| peer.is_closed).count();
        bail!("nothing was asked for; {closed} of {} connections were closed", peers.len());
    };
    let mut report = Report::new(if role == Role::Accepts { "serve" } else { "leech" });
    report.rate(tally.sent, tally.last_write.duration_since(first), meter)?;
    let bytes: Vec<u64> = peers.iter().map(|peer| peer.sent).collect();
    report.spread(&bytes);
    report.count("connections_closed", peers.iter().filter(|p| p.is_closed).count() as u64);
    report.count("blocks_never_asked_for", tally.missing);
    report.print();
    Ok(())
}
