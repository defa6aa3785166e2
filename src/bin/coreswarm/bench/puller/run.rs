//! The loop of leeching peers: one thread, until the goal is reached.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;

use crate::bench::meter::Meter;
use crate::bench::poller;
use crate::bench::poller::Poller;
use crate::bench::puller::Goal;
use crate::bench::puller::Pace;
use crate::bench::puller::Plan;
use crate::bench::puller::Tally;
use crate::bench::puller::peer::Peer;
use crate::clock;

/// One read takes at most this: it stays in the L2 cache, and the socket's buffer is rarely fuller.
const READ: usize = 512 * 1024;
/// Nothing received for so long ends the run.
const STALL: Duration = Duration::from_secs(30);
/// How often pauses, goals and stalls are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// Open loop: the first request is due when all peers were unchoked, or so long after the first.
const GATHER: Duration = Duration::from_secs(2);
/// Open loop: requests may be answered until so long after the last one was due.
const DRAIN: Duration = Duration::from_secs(5);

/// The peers of one run.
pub(crate) struct Run<'a> {
    plan: &'a Plan,
    poller: Poller,
    pub(crate) peers: Vec<Peer>,
    pub(crate) tally: Tally,
    /// Peers to which something happened.
    ready: VecDeque<usize>,
    /// Whose turn it is to get a request that is due.
    next_peer: usize,
    /// No peer could take a request that was due.
    is_full: bool,
}

impl<'a> Run<'a> {
    /// Connects everybody.
    pub(crate) fn connect(plan: &'a Plan) -> Result<Run<'a>> {
        poller::room_for(plan.torrents.len())?;
        let poller = Poller::new()?;
        let mut peers = Vec::new();
        for number in 0..plan.torrents.len() {
            let stream = poller::connect(plan.address, number)?;
            poller.add(&stream, number)?;
            peers.extend(Peer::new(stream, number, plan));
        }
        let tally = Tally::new(plan, clock::now())?;
        Ok(Run { plan, poller, peers, tally, ready: VecDeque::new(), next_peer: 0, is_full: false })
    }

    /// Pulls until the goal is reached or nothing comes any more.
    pub(crate) fn pull(&mut self, meter: &mut Meter) -> Result<()> {
        let mut buffer = vec![0; READ];
        let mut looked = clock::now();
        loop {
            self.gather_ready()?;
            for _ in 0..self.ready.len() {
                let Some(token) = self.ready.pop_front() else { break };
                let peer = &mut self.peers[token];
                peer.is_queued = peer.turn(self.plan, &mut self.tally, &mut buffer);
                if peer.is_queued {
                    self.ready.push_back(token);
                }
            }
            let now = clock::now();
            self.hand_out(now);
            if now.duration_since(looked) < LOOK {
                continue;
            }
            looked = now;
            meter.sample(now);
            self.ask_after_pauses(now);
            if self.is_over(now) {
                return Ok(());
            }
        }
    }

    fn gather_ready(&mut self) -> Result<()> {
        let schedule = self.tally.schedule.as_ref();
        let due = schedule.and_then(|schedule| schedule.wait(clock::now()));
        let wait = match due {
            _ if !self.ready.is_empty() => Duration::ZERO,
            // While all pipelines are full, only an event makes room.
            Some(due) if !self.is_full => due.min(LOOK),
            _ => LOOK,
        };
        for event in self.poller.wait(wait)? {
            let peer = &mut self.peers[event.token];
            peer.is_writable |= event.writable;
            if !peer.is_queued {
                peer.is_queued = true;
                self.ready.push_back(event.token);
            }
        }
        Ok(())
    }

    /// Open loop: gives requests that are due to peers in turn. When all pipelines are full the
    /// requests stay due, and their latency grows.
    fn hand_out(&mut self, now: Instant) {
        self.begin_schedule(now);
        self.is_full = false;
        let mut touched = Vec::new();
        while self.tally.schedule.as_ref().is_some_and(|schedule| schedule.is_due(now)) {
            let count = self.peers.len();
            let turns = (0..count).map(|ahead| (self.next_peer + ahead) % count);
            let mut with_room = turns.filter(|peer| self.peers[*peer].has_room(self.plan));
            let Some(token) = with_room.next() else {
                self.is_full = true;
                break;
            };
            self.next_peer = (token + 1) % count;
            let due = self.tally.schedule.as_mut().and_then(|schedule| schedule.next(now));
            let Some(due) = due else { break };
            self.peers[token].ask_one(self.plan, &mut self.tally, due);
            touched.push(token);
        }
        for token in touched {
            self.peers[token].write(&mut self.tally);
        }
    }

    fn begin_schedule(&mut self, now: Instant) {
        let Some(schedule) = self.tally.schedule.as_mut().filter(|it| !it.has_begun()) else {
            return;
        };
        let Some(first) = self.tally.first_unchoke else { return };
        let is_ready = |peer: &Peer| peer.is_closed || peer.was_unchoked;
        if now.duration_since(first) >= GATHER || self.peers.iter().all(is_ready) {
            schedule.begin(now);
            self.tally.first_request = Some(now);
        }
    }

    fn ask_after_pauses(&mut self, now: Instant) {
        if let Pace::Interval(_) = self.plan.pace {
            for peer in &mut self.peers {
                peer.ask(self.plan, &mut self.tally, now);
                peer.write(&mut self.tally);
            }
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        let tally = &self.tally;
        let is_reached = match (&tally.schedule, self.plan.goal) {
            (Some(schedule), _) => {
                let is_answered = schedule.is_over() && tally.answered >= schedule.given();
                is_answered || schedule.end().is_some_and(|end| now > end + DRAIN)
            }
            (None, Goal::Bytes(bytes)) => tally.received >= bytes,
            (None, Goal::Time(limit)) => {
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
        is_stalled || self.peers.iter().all(|peer| peer.is_closed)
    }

    /// Open loop: requests without an answer took at least until now. Gives their number.
    pub(crate) fn count_unanswered(&mut self, now: Instant) -> u64 {
        let Some(schedule) = &mut self.tally.schedule else { return 0 };
        let in_flight = self.peers.iter().flat_map(Peer::in_flight);
        let unsent = std::iter::from_fn(|| schedule.next(now));
        let mut count = 0;
        for due in in_flight.chain(unsent) {
            self.tally.latencies.record(now.duration_since(due));
            count += 1;
        }
        count
    }
}
