//! Trackers of one swarm: which is told what, and when (BEP 3, BEP 12).
//!
//! One tracker answers for all: the first of the first tier that works. Within a tier the order is
//! chance at first; the one that answers moves to the front (BEP 12). A tracker that fails is left
//! alone for a while and the next one is asked at once.

use std::collections::BTreeSet;
use std::collections::VecDeque;

use crate::base::digest::Sha1;
use crate::base::instant::Instant;
use crate::base::limits::ANNOUNCE_INTERVAL_MIN;
use crate::base::limits::ANNOUNCE_STOP_TIMEOUT;
use crate::base::limits::ANNOUNCE_TIMEOUT;
use crate::base::limits::TRACKER_MAX;
use crate::base::rng::Rng;
use crate::base::status::TrackerErrorClass;
use crate::base::status::TrackerStatus;
use crate::codec::announce::AnnounceEvent as AskEvent;
use crate::codec::announce::AnnounceReply;
use crate::codec::announce::ScrapeCounts;
use crate::engine::announce::ask::Facts;
use crate::engine::announce::ask::Failure;
use crate::engine::announce::event::AnnounceEvent;
use crate::engine::announce::event::UdpAnswer;
use crate::engine::announce::interpret;
use crate::engine::announce::redact::printable;
use crate::engine::announce::schedule;
use crate::engine::announce::tracker::Flight;
use crate::engine::announce::tracker::InFlight;
use crate::engine::announce::tracker::Tracker;
use crate::engine::to_ring::HttpAnswer;
use crate::engine::to_ring::QueryError;

/// Between two tokens of one swarm: a hybrid has two swarms, whose tokens differ in the last bit.
pub(crate) const TOKEN_STEP: u32 = 2;

/// What is done with the trackers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Nobody is asked.
    Idle,
    Running,
    /// Whoever knows us is told that we leave, until the deadline.
    Stopping {
        deadline: Instant,
    },
}

/// See the module. Idle until [`Trackers::start`].
#[derive(Debug)]
pub(crate) struct Trackers {
    /// The swarm that they are told of.
    info_hash: Sha1,
    /// In the order in which they are asked: by tier, inside a tier by luck and merit.
    trackers: Vec<Tracker>,
    phase: Phase,
    /// When the next announce falls due, if a tracker is ready by then.
    due: Instant,
    /// Nobody is asked for more peers before this.
    early_at: Instant,
    wants_scrape: bool,
    /// No scrape before this.
    scrape_at: Instant,
    /// Some tracker answered once: the network works.
    was_answered: bool,
    key: u32,
    /// Tokens of this swarm, see [`TOKEN_STEP`].
    next_token: u32,
    events: VecDeque<AnnounceEvent>,
}

impl Trackers {
    /// `tiers`: announce URLs as in the metainfo (BEP 12; a lone `announce` is one tier of one).
    /// URLs that are no trackers we can ask, repeated ones and those above `TRACKER_MAX` are left
    /// out. Tokens are `first_token` and every `TOKEN_STEP`th after it.
    pub(crate) fn new(
        info_hash: Sha1,
        tiers: &[Vec<String>],
        first_token: u32,
        rng: &mut Rng,
    ) -> Trackers {
        let mut seen = BTreeSet::new();
        let mut trackers = Vec::new();
        for (tier, urls) in (0..).zip(tiers) {
            let first = trackers.len();
            let known = urls.iter().filter_map(|url| Tracker::new(url, tier));
            let fresh = known.filter(|tracker| seen.insert(tracker.url.clone()));
            trackers.extend(fresh.take(TRACKER_MAX - first));
            rng.shuffle(trackers.get_mut(first..).unwrap_or_default());
        }
        trackers.shrink_to_fit();
        Trackers {
            info_hash,
            trackers,
            phase: Phase::Idle,
            due: Instant::ZERO,
            early_at: Instant::ZERO,
            wants_scrape: false,
            scrape_at: Instant::ZERO,
            was_answered: false,
            key: rng.next_u64() as u32,
            next_token: first_token,
            events: VecDeque::new(),
        }
    }

    /// Whose swarm this is.
    pub(crate) fn info_hash(&self) -> Sha1 {
        self.info_hash
    }

    /// Announce from now on. Also takes back a `stop` that is not finished.
    pub(crate) fn start(&mut self, now: Instant) {
        if self.phase != Phase::Running {
            self.phase = Phase::Running;
            self.due = now;
        }
    }

    /// Tell every tracker that knows us that we leave, within 5 s (G9); ends in
    /// [`AnnounceEvent::Stopped`].
    pub(crate) fn stop(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Stopping { .. }) {
            self.phase = Phase::Stopping { deadline: now + ANNOUNCE_STOP_TIMEOUT };
            self.due = now;
            for tracker in &mut self.trackers {
                tracker.in_flight.take_if(|f| f.flight == Flight::Scrape);
            }
            self.finish_stop(now);
        }
    }

    /// The download ended while it ran: each tracker that knows us hears of it once. Not for
    /// torrents that were complete at the start (BEP 3).
    pub(crate) fn completed(&mut self) {
        for tracker in &mut self.trackers {
            let is_starting = tracker.in_flight.is_some_and(|f| {
                matches!(f.flight, Flight::Announce(AskEvent::Started | AskEvent::None))
            });
            tracker.owes_completed = tracker.knows_us || is_starting;
        }
    }

    /// Ask for peers early, though never before the tracker's minimum interval. May be called
    /// often.
    pub(crate) fn want_more_peers(&mut self, now: Instant) {
        self.due = self.due.min(self.early_at.max(now));
    }

    /// Ask now, forgetting back-off after failures but not the tracker's minimum interval.
    pub(crate) fn reannounce(&mut self, now: Instant) {
        for tracker in &mut self.trackers {
            tracker.retry_at = tracker.retry_at.min(now);
        }
        self.want_more_peers(now);
    }

    /// Ask the first tracker for its counts (BEP 48), at most once a minute.
    pub(crate) fn scrape(&mut self) {
        self.wants_scrape = true;
    }

    /// Neither asking nor waiting for anything.
    pub(crate) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Nothing waits to be polled.
    pub(crate) fn is_quiet(&self) -> bool {
        self.events.is_empty()
    }

    /// There are none.
    pub(crate) fn is_bare(&self) -> bool {
        self.trackers.is_empty()
    }

    /// The trackers as their torrent sees them, in the order in which they are asked.
    pub(crate) fn status(&self, now: Instant) -> Vec<TrackerStatus> {
        let is_running = self.phase == Phase::Running;
        let next = |tracker: &Tracker| is_running.then(|| tracker.ready_at().max(self.due));
        let status = |tracker: &Tracker| tracker.status(now, self.info_hash, next(tracker));
        self.trackers.iter().map(status).collect()
    }

    /// The answer to [`AnnounceEvent::Http`]. A late one, whose token is forgotten, is ignored.
    pub(crate) fn handle_http(
        &mut self,
        now: Instant,
        token: u32,
        answer: Result<HttpAnswer, QueryError>,
        rng: &mut Rng,
    ) {
        let Some((index, in_flight)) = self.take_flight(token) else { return };
        if let (Ok(answer), Some(tracker)) = (&answer, self.trackers.get_mut(index)) {
            tracker.set_http_status(answer.status);
        }
        let answer = answer.map_err(Failure::from);
        match in_flight.flight {
            Flight::Announce(event) => {
                let answer = answer.and_then(|answer| interpret::read_http(&answer));
                self.finish_announce(now, index, event, answer, rng);
            }
            Flight::Scrape => {
                let counts = answer.and_then(|a| interpret::read_http_scrape(&a, self.info_hash));
                self.finish_scrape(index, counts);
            }
        }
        self.finish_stop(now);
    }

    /// An answer to [`AnnounceEvent::Udp`]: one per address of the tracker, the last one so marked.
    pub(crate) fn handle_udp(
        &mut self,
        now: Instant,
        token: u32,
        answer: Result<UdpAnswer, Failure>,
        is_last: bool,
        rng: &mut Rng,
    ) {
        let Some(index) = self.position(token) else { return };
        let Some(in_flight) = self.note_answer(index, answer.is_ok(), is_last) else { return };
        match (in_flight.flight, answer) {
            (Flight::Announce(event), Ok(UdpAnswer::Announced(answer))) => {
                self.finish_announce(now, index, event, Ok(answer), rng);
            }
            (Flight::Announce(event), Err(failure)) if is_last && !in_flight.is_answered => {
                self.finish_announce(now, index, event, Err(failure), rng);
            }
            (Flight::Scrape, Ok(UdpAnswer::Scraped(counts))) => {
                self.finish_scrape(index, Ok(counts));
            }
            // The other address may still answer, or did, or the scrape brought nothing.
            (_, _) => {}
        }
        self.finish_stop(now);
    }

    /// Call when `now` has reached `poll_timeout`; `facts` are what announces are made of.
    pub(crate) fn handle_timeout(&mut self, now: Instant, facts: &Facts, rng: &mut Rng) {
        self.expire(now, rng);
        match self.phase {
            Phase::Idle => {}
            Phase::Running => self.announce_due(now, facts),
            Phase::Stopping { deadline } if now >= deadline => {}
            Phase::Stopping { .. } => self.tell_stopped(now, facts),
        }
        self.finish_stop(now);
    }

    /// When `handle_timeout` has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let flights = self.trackers.iter().filter_map(|t| t.in_flight).map(|f| f.deadline).min();
        let own = match self.phase {
            Phase::Idle => None,
            Phase::Running => self.next_ask(),
            Phase::Stopping { .. } if self.trackers.iter().any(must_hear_stop) => Some(self.due),
            Phase::Stopping { deadline } => Some(deadline),
        };
        own.into_iter().chain(flights).min().filter(|at| *at != Instant::FAR)
    }

    /// What should be done, and what happened; drained until `None` after every `handle_*` and
    /// verb.
    pub(crate) fn poll_event(&mut self) -> Option<AnnounceEvent> {
        self.events.pop_front()
    }

    /// While running: when the next question goes out.
    fn next_ask(&self) -> Option<Instant> {
        let is_free = |t: &&Tracker| t.in_flight.is_none();
        let owed = self.trackers.iter().filter(is_free).filter(|t| t.owes_completed);
        let owed = owed.map(Tracker::ready_at).min();
        if self.trackers.iter().any(|t| t.in_flight.is_some()) {
            return owed;
        }
        let regular = self.trackers.iter().map(|t| t.ready_at().max(self.due)).min();
        let scrape = self.wants_scrape.then_some(self.scrape_at);
        let scrape = scrape.filter(|_| !self.trackers.is_empty());
        owed.into_iter().chain(regular).chain(scrape).min()
    }

    /// Questions that nobody answered fail.
    fn expire(&mut self, now: Instant, rng: &mut Rng) {
        let is_late = |f: &InFlight| f.deadline <= now;
        let flights = self.trackers.iter().filter_map(|t| t.in_flight);
        let late: Vec<InFlight> = flights.filter(is_late).collect();
        for in_flight in late {
            let Some((index, in_flight)) = self.take_flight(in_flight.token) else { continue };
            let message = format!("no answer within {} s", ANNOUNCE_TIMEOUT.as_secs());
            let failure = Failure::new(TrackerErrorClass::Timeout, message);
            match in_flight.flight {
                Flight::Announce(_) if in_flight.is_answered => {}
                Flight::Announce(event) => {
                    self.finish_announce(now, index, event, Err(failure), rng);
                }
                Flight::Scrape => {}
            }
        }
    }

    fn announce_due(&mut self, now: Instant, facts: &Facts) {
        for index in 0..self.trackers.len() {
            let owes = |t: &Tracker| t.in_flight.is_none() && t.owes_completed;
            if self.trackers.get(index).is_some_and(|t| owes(t) && t.ready_at() <= now) {
                self.ask(now, index, facts);
            }
        }
        if self.trackers.iter().any(|t| t.in_flight.is_some()) {
            return;
        }
        let first = self.trackers.iter().position(|t| t.ready_at() <= now);
        match first {
            Some(index) if self.due <= now => self.ask(now, index, facts),
            _ if self.wants_scrape && self.scrape_at <= now => self.ask_scrape(now),
            _ => {}
        }
    }

    fn tell_stopped(&mut self, now: Instant, facts: &Facts) {
        for index in 0..self.trackers.len() {
            if self.trackers.get(index).is_some_and(must_hear_stop) {
                self.ask(now, index, facts);
            }
        }
    }

    /// Announces to a tracker; what it says follows from the phase and from what the tracker knows.
    fn ask(&mut self, now: Instant, index: usize, facts: &Facts) {
        let token = self.take_token();
        let is_stopping = matches!(self.phase, Phase::Stopping { .. });
        let Some(tracker) = self.trackers.get_mut(index) else { return };
        let event = if is_stopping { AskEvent::Stopped } else { tracker.next_event() };
        let tracker_id = tracker.tracker_id.clone();
        let question =
            tracker.question(token, facts.request(self.info_hash, event, self.key, tracker_id));
        let (flight, deadline) = (Flight::Announce(event), now + ANNOUNCE_TIMEOUT);
        tracker.in_flight = Some(InFlight { token, flight, deadline, is_answered: false });
        self.events.push_back(question);
    }

    /// Asks the first tracker that can be scraped.
    fn ask_scrape(&mut self, now: Instant) {
        self.wants_scrape = false;
        self.scrape_at = now + ANNOUNCE_INTERVAL_MIN;
        let token = self.take_token();
        let Some(tracker) = self.trackers.iter_mut().find(|t| !t.is_refused) else { return };
        let Some(event) = tracker.scrape_question(token, self.info_hash) else { return };
        let deadline = now + ANNOUNCE_TIMEOUT;
        let flight = Flight::Scrape;
        tracker.in_flight = Some(InFlight { token, flight, deadline, is_answered: false });
        self.events.push_back(event);
    }

    fn finish_announce(
        &mut self,
        now: Instant,
        index: usize,
        event: AskEvent,
        answer: Result<AnnounceReply, Failure>,
        rng: &mut Rng,
    ) {
        match answer {
            Ok(answer) => self.handle_success(now, index, event, answer, rng),
            Err(failure) => self.handle_failure(now, index, event, &failure, rng),
        }
    }

    fn handle_success(
        &mut self,
        now: Instant,
        index: usize,
        event: AskEvent,
        answer: AnnounceReply,
        rng: &mut Rng,
    ) {
        let Some(tracker) = self.trackers.get_mut(index) else { return };
        let pace = schedule::pace(answer.interval, answer.min_interval, rng);
        tracker.handle_success(now, event, &answer, pace);
        self.was_answered = true;
        if event == AskEvent::Stopped {
            return;
        }
        let url = tracker.shown.clone();
        self.early_at = now + pace.early;
        if self.phase == Phase::Running {
            self.due = now + pace.regular;
        }
        if let Some(message) = answer.warning.as_deref().map(printable) {
            self.events.push_back(AnnounceEvent::Warning { url: url.clone(), message });
        }
        let peer_count = u32::try_from(answer.peers.len()).unwrap_or(u32::MAX);
        self.events.push_back(AnnounceEvent::Announced { url, peer_count });
        self.events.extend(answer.external_ip.map(AnnounceEvent::ExternalIp));
        if !answer.peers.is_empty() && self.phase == Phase::Running {
            self.events.push_back(AnnounceEvent::Peers(self.info_hash, answer.peers));
        }
        self.move_to_front(index);
    }

    fn handle_failure(
        &mut self,
        now: Instant,
        index: usize,
        event: AskEvent,
        failure: &Failure,
        rng: &mut Rng,
    ) {
        let Some(tracker) = self.trackers.get_mut(index) else { return };
        if event == AskEvent::Stopped {
            // It will forget us by itself; there is no time to insist.
            tracker.knows_us = false;
            return;
        }
        tracker.handle_failure(now, failure, !self.was_answered, rng);
        let message = printable(&failure.message);
        self.events.push_back(AnnounceEvent::Error { url: tracker.shown.clone(), message });
        if self.phase == Phase::Running {
            // The next tracker that is ready, if any, is asked at once (BEP 12).
            self.due = now;
        }
    }

    fn finish_scrape(&mut self, index: usize, counts: Result<ScrapeCounts, Failure>) {
        if let (Ok(counts), Some(tracker)) = (counts, self.trackers.get_mut(index)) {
            tracker.set_counts(counts);
        }
    }

    /// BEP 12: who answers is asked first in its tier from now on.
    fn move_to_front(&mut self, index: usize) {
        let Some(tier) = self.trackers.get(index).map(|t| t.tier) else { return };
        let first = self.trackers.iter().position(|t| t.tier == tier).unwrap_or(index);
        if let Some(part) = self.trackers.get_mut(first..=index) {
            part.rotate_right(1);
        }
    }

    /// The stop has ended when nobody is left to be told and nothing is under way.
    fn finish_stop(&mut self, now: Instant) {
        let Phase::Stopping { deadline } = self.phase else { return };
        let is_waiting = |t: &Tracker| must_hear_stop(t) || t.in_flight.is_some();
        if now >= deadline || !self.trackers.iter().any(is_waiting) {
            self.forget_all();
            self.phase = Phase::Idle;
            self.events.push_back(AnnounceEvent::Stopped);
        }
    }

    fn forget_all(&mut self) {
        for tracker in &mut self.trackers {
            tracker.in_flight = None;
            tracker.knows_us = false;
            tracker.owes_completed = false;
        }
    }

    fn take_token(&mut self) -> u32 {
        self.next_token = self.next_token.wrapping_add(TOKEN_STEP);
        self.next_token
    }

    fn position(&self, token: u32) -> Option<usize> {
        self.trackers.iter().position(|t| t.in_flight.is_some_and(|f| f.token == token))
    }

    fn take_flight(&mut self, token: u32) -> Option<(usize, InFlight)> {
        let index = self.position(token)?;
        let in_flight = self.trackers.get_mut(index)?.in_flight.take()?;
        Some((index, in_flight))
    }

    /// One of the tracker's addresses was heard; the question ends with the last one.
    fn note_answer(&mut self, index: usize, is_ok: bool, is_last: bool) -> Option<InFlight> {
        let slot = &mut self.trackers.get_mut(index)?.in_flight;
        let in_flight = slot.as_mut()?;
        in_flight.is_answered |= is_ok;
        if is_last { slot.take() } else { *slot }
    }
}

fn must_hear_stop(tracker: &Tracker) -> bool {
    tracker.knows_us && tracker.in_flight.is_none()
}
