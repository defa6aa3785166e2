//! Announces of one torrent: what the trackers of each of its swarms are told (BEP 3, BEP 52).
//!
//! A hybrid has two swarms, one for each info hash: it announces itself in both, as if it were two
//! torrents, and the peers of both are its peers.

pub(crate) mod address;
pub(crate) mod ask;
pub(crate) mod event;
mod interpret;
pub(crate) mod redact;
mod schedule;
mod tracker;
mod trackers;
pub(crate) mod udp;

use smallvec::SmallVec;

use crate::base::info_hashes::InfoHashes;
use crate::base::instant::Instant;
use crate::base::rng::Rng;
use crate::base::status::TrackerStatus;
use crate::engine::announce::ask::Facts;
use crate::engine::announce::ask::Failure;
use crate::engine::announce::event::AnnounceEvent;
use crate::engine::announce::event::UdpAnswer;
use crate::engine::announce::trackers::TOKEN_STEP;
use crate::engine::announce::trackers::Trackers;
use crate::engine::to_ring::HttpAnswer;
use crate::engine::to_ring::QueryError;

/// See the module. Idle until [`Announcer::start`].
#[derive(Debug)]
pub(crate) struct Announcer {
    /// One for each swarm, at most `TOKEN_STEP`.
    swarms: SmallVec<[Trackers; 1]>,
    /// Whether the end of a stop is owed.
    is_stopping: bool,
}

impl Announcer {
    /// `tiers`: announce URLs as in the metainfo, see [`Trackers::new`]; each is told of every
    /// swarm.
    pub(crate) fn new(info_hashes: InfoHashes, tiers: &[Vec<String>], rng: &mut Rng) -> Announcer {
        let numbered = (0..TOKEN_STEP).zip(info_hashes.swarms());
        let swarms = numbered.map(|(first, hash)| Trackers::new(hash, tiers, first, rng));
        Announcer { swarms: swarms.collect(), is_stopping: false }
    }

    /// The torrent turned out to have these names: swarms that are new are announced from the next
    /// [`Announcer::start`] on.
    pub(crate) fn join(&mut self, info_hashes: InfoHashes, tiers: &[Vec<String>], rng: &mut Rng) {
        for hash in info_hashes.swarms() {
            let first = self.swarms.len() as u32;
            let is_new = self.swarms.iter().all(|swarm| swarm.info_hash() != hash);
            if is_new && first < TOKEN_STEP {
                self.swarms.push(Trackers::new(hash, tiers, first, rng));
            }
        }
    }

    /// Announce from now on. Also takes back a `stop` that is not finished.
    pub(crate) fn start(&mut self, now: Instant) {
        self.is_stopping = false;
        self.swarms.iter_mut().for_each(|swarm| swarm.start(now));
    }

    /// Tell every tracker that knows us that we leave, within 5 s (G9); ends in
    /// [`AnnounceEvent::Stopped`].
    pub(crate) fn stop(&mut self, now: Instant) {
        self.is_stopping = true;
        self.swarms.iter_mut().for_each(|swarm| swarm.stop(now));
    }

    /// The download ended while it ran: each tracker that knows us hears of it once. Not for
    /// torrents that were complete at the start (BEP 3).
    pub(crate) fn completed(&mut self) {
        self.swarms.iter_mut().for_each(Trackers::completed);
    }

    /// Ask for peers early, though never before the tracker's minimum interval. May be called
    /// often.
    pub(crate) fn want_more_peers(&mut self, now: Instant) {
        self.swarms.iter_mut().for_each(|swarm| swarm.want_more_peers(now));
    }

    /// Ask now, forgetting back-off after failures but not the tracker's minimum interval.
    pub(crate) fn reannounce(&mut self, now: Instant) {
        self.swarms.iter_mut().for_each(|swarm| swarm.reannounce(now));
    }

    /// Ask the first tracker for its counts (BEP 48), at most once a minute.
    pub(crate) fn scrape(&mut self) {
        self.swarms.iter_mut().for_each(Trackers::scrape);
    }

    /// Neither asking nor waiting for anything.
    pub(crate) fn is_idle(&self) -> bool {
        self.swarms.iter().all(Trackers::is_idle)
    }

    /// Nothing waits to be polled.
    pub(crate) fn is_quiet(&self) -> bool {
        self.swarms.iter().all(Trackers::is_quiet) && !self.is_stopping
    }

    /// There are no trackers: nothing is worth keeping.
    pub(crate) fn is_bare(&self) -> bool {
        self.swarms.iter().all(Trackers::is_bare)
    }

    /// The trackers as their torrent sees them, swarm by swarm, in the order in which they are
    /// asked.
    pub(crate) fn status(&self, now: Instant) -> Vec<TrackerStatus> {
        self.swarms.iter().flat_map(|swarm| swarm.status(now)).collect()
    }

    /// The answer to [`AnnounceEvent::Http`]. A late one, whose token is forgotten, is ignored.
    pub(crate) fn handle_http(
        &mut self,
        now: Instant,
        token: u32,
        answer: Result<HttpAnswer, QueryError>,
        rng: &mut Rng,
    ) {
        if let Some(swarm) = self.asker(token) {
            swarm.handle_http(now, token, answer, rng);
        }
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
        if let Some(swarm) = self.asker(token) {
            swarm.handle_udp(now, token, answer, is_last, rng);
        }
    }

    /// Call when `now` has reached `poll_timeout`; `facts` are what announces are made of.
    pub(crate) fn handle_timeout(&mut self, now: Instant, facts: &Facts, rng: &mut Rng) {
        self.swarms.iter_mut().for_each(|swarm| swarm.handle_timeout(now, facts, rng));
    }

    /// When `handle_timeout` has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.swarms.iter().filter_map(Trackers::poll_timeout).min()
    }

    /// What should be done, and what happened; drained until `None` after every `handle_*` and
    /// verb.
    pub(crate) fn poll_event(&mut self) -> Option<AnnounceEvent> {
        for swarm in &mut self.swarms {
            while let Some(event) = swarm.poll_event() {
                if event != AnnounceEvent::Stopped {
                    return Some(event);
                }
            }
        }
        let has_stopped = self.is_stopping && self.is_idle();
        self.is_stopping &= !has_stopped;
        has_stopped.then_some(AnnounceEvent::Stopped)
    }

    /// The swarm whose question this was.
    fn asker(&mut self, token: u32) -> Option<&mut Trackers> {
        self.swarms.get_mut((token % TOKEN_STEP) as usize)
    }
}

#[cfg(test)]
mod hybrid_tests;
#[cfg(test)]
mod malformed_tests;
#[cfg(test)]
mod tests;
