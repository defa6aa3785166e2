//! Falling asleep and waking: a torrent that is whole and has no company is kept small until
//! somebody names it or a timer of its is due.
//!
//! Waking builds the swarm anew, O(files + pieces); torrents too large for a turn stay awake.

use std::sync::Arc;
use std::time::Duration;

use crate::base::bitfield::Bitfield;
use crate::base::instant::Instant;
use crate::base::slots::SlotId;
use crate::engine::swarm::sleeper::Sleeper;
use crate::engine::swarm::sleeper::Totals;
use crate::engine::swarm::state::Phase;
use crate::engine::swarm::state::Swarm;
use crate::engine::to_ring::Output;
use crate::engine::turn::Turn;

/// Files of a torrent that may sleep: looking through them takes some microseconds.
const FILE_MAX: usize = 256;
/// Pieces of a torrent that may sleep: the same.
const PIECE_MAX: u32 = 8_192;

/// Time until the next timer of a torrent that may sleep: a shorter nap is not worth it.
const NAP_MIN: Duration = Duration::from_secs(20);

impl Swarm {
    /// Whether everything about it but what a [`Sleeper`] holds can be had again.
    pub(crate) fn may_sleep(&self, now: Instant) -> bool {
        let has_company = self.peers.len() > 0 || self.dialling > 0 || !self.due.is_empty();
        self.phase == Phase::Active
            && !has_company
            && self.has_said_all()
            && self.has_time(now)
            && self.is_finished
            && self.is_complete()
            && self.is_quiet()
            && self.is_plain()
    }

    /// Neither a tracker nor a candidate is due soon.
    fn has_time(&self, now: Instant) -> bool {
        let timers = [self.announcer.poll_timeout(), self.candidates.poll_timeout()];
        timers.into_iter().flatten().all(|at| at.since(now) >= NAP_MIN)
    }

    /// Its figures are published, or are as they will stay: without peers no rate has to fall.
    fn has_said_all(&self) -> bool {
        self.publish_at.is_none() || !self.peers.was_used()
    }

    /// Nothing is under way and nothing waits to be said.
    fn is_quiet(&self) -> bool {
        let has_jobs = self.jobs > 0 || self.naming > 0 || self.needs_sync;
        let is_queued = self.is_due || self.is_hashing || self.is_starved || self.wants_choice;
        let is_reading = self.check.is_some() || self.late_check.is_some();
        let is_writing = self.making.is_some() || !self.writing.is_empty();
        !has_jobs
            && !is_queued
            && !is_reading
            && !is_writing
            && self.readings.len() == 0
            && self.layers.is_at_rest()
            && self.announcer.is_quiet()
    }

    /// It is one of the many: of this shard alone, all of it chosen, every file under its name, and
    /// not too large.
    fn is_plain(&self) -> bool {
        let is_own = self.annex.is_none() && self.lending.is_none() && self.leave.is_none();
        is_own
            && self.error.is_none()
            && !self.is_renamed
            && self.selection.is_plain()
            && self.torrent.files().len() <= FILE_MAX
            && self.layout.piece_count() <= PIECE_MAX
            && self.files.are_all_final(&self.torrent)
    }

    /// Publishes its figures if they changed: it is the last time for long.
    pub(crate) fn publish_last(&mut self, now: Instant) {
        if self.publish_at.take().is_some() {
            let last = self.figures(now);
            self.stats.publish(last);
        }
    }

    /// Goes to sleep; the ring lets go of what it keeps for the torrent.
    pub(crate) fn sleep(self, turn: &mut Turn) -> Sleeper {
        turn.outputs.push_back(Output::Rest { torrent: self.id });
        let has_totals = self.received.total() + self.sent.total() + self.wasted > 0;
        let Swarm { received, sent, wasted, announcer, candidates, .. } = self;
        Sleeper {
            id: self.id,
            torrent: self.torrent,
            directory: self.directory,
            known: self.known,
            stats: self.stats,
            announcer: (!announcer.is_bare()).then(|| Box::new(announcer)),
            candidates: (!candidates.is_empty()).then(|| Box::new(candidates)),
            totals: has_totals.then(|| Box::new(Totals { received, sent, wasted })),
            timer: self.timer,
            peer_id: self.peer_id,
            allocation: self.allocation,
            write_mode: self.write_mode,
            order: self.order,
            is_upload_only: self.is_upload_only,
            has_announced_stop: self.has_announced_stop,
        }
    }

    /// The swarm that went to sleep.
    pub(crate) fn wake(slot: SlotId, asleep: Sleeper, now: Instant, turn: &mut Turn) -> Swarm {
        turn.outputs.push_back(Output::Rise {
            torrent: asleep.id,
            description: Arc::clone(&asleep.torrent),
            directory: Arc::clone(&asleep.directory),
            allocation: asleep.allocation,
            write_mode: asleep.write_mode,
        });
        let mut swarm = Swarm::new(slot, asleep.addition(), now, turn);
        swarm.have = Bitfield::ones(swarm.layout.piece_count());
        swarm.picker.set_have(&swarm.have);
        swarm.picker.take_new_work();
        swarm.files.set_all_final(&swarm.torrent);
        swarm.files.set_have(&swarm.torrent, &swarm.have);
        swarm.files.count_wanted(&swarm.torrent, swarm.selection.priorities());
        swarm.phase = Phase::Active;
        swarm.is_finished = true;
        swarm.publish_at = None;
        swarm.published_at = Instant::ZERO;
        swarm.peer_id = asleep.peer_id;
        swarm.timer = asleep.timer;
        swarm.is_upload_only = asleep.is_upload_only;
        swarm.has_announced_stop = asleep.has_announced_stop;
        match asleep.announcer {
            Some(announcer) => swarm.announcer = *announcer,
            None => swarm.announcer.start(now),
        }
        if let Some(candidates) = asleep.candidates {
            swarm.candidates = *candidates;
        }
        if let Some(totals) = asleep.totals {
            let Totals { received, sent, wasted } = *totals;
            (swarm.received, swarm.sent, swarm.wasted) = (received, sent, wasted);
        }
        swarm
    }
}
