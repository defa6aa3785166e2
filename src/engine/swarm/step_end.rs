//! Stopping: by command, by an error, or for good.

use crate::base::instant::Instant;
use crate::base::slots::SlotId;
use crate::base::storage_error::StorageError;
use crate::engine::alert::AlertKind;
use crate::engine::disk::DiskOp;
use crate::engine::swarm::state::Leave;
use crate::engine::swarm::state::Phase;
use crate::engine::swarm::state::Swarm;
use crate::engine::turn::Purpose;
use crate::engine::turn::Turn;

impl Swarm {
    pub(crate) fn pause(&mut self, now: Instant, turn: &mut Turn) {
        if matches!(self.phase, Phase::Paused | Phase::Leaving | Phase::Left) {
            return;
        }
        self.halt(now, turn, "the torrent was paused");
        self.phase = Phase::Paused;
        self.alert(turn, AlertKind::Paused);
        self.sync_if_quiet(turn);
    }

    /// Goes on after a pause or an error: what is on disk is looked at again, because it may have
    /// changed or never been written.
    pub(crate) fn resume(&mut self, now: Instant, turn: &mut Turn) {
        if matches!(self.phase, Phase::Paused | Phase::Broken) {
            self.error = None;
            self.alert(turn, AlertKind::Resumed);
            self.restart(now, turn);
        }
    }

    pub(crate) fn recheck(&mut self, now: Instant, turn: &mut Turn) {
        if matches!(self.phase, Phase::Active | Phase::Paused | Phase::Broken) {
            self.halt(now, turn, "the torrent is checked again");
            self.error = None;
            self.restart(now, turn);
        }
    }

    /// Looks at the files again as soon as nothing is under way any more.
    fn restart(&mut self, now: Instant, turn: &mut Turn) {
        self.is_hashing = false;
        if self.seeking.is_some() {
            return self.seek(now, turn);
        }
        self.phase = Phase::Opening;
        self.is_finished = false;
        if self.jobs == 0 {
            self.open(turn);
        }
    }

    /// The last job of an earlier life ended.
    pub(crate) fn restart_if_waiting(&mut self, turn: &mut Turn) {
        if self.phase == Phase::Opening && self.jobs == 0 {
            self.open(turn);
        }
    }

    /// Storage failed: this torrent stops with a clear error, others go on (F9).
    pub(crate) fn storage_failed(&mut self, now: Instant, turn: &mut Turn, error: StorageError) {
        if self.annex.is_some() {
            return self.annex_storage_failed(now, turn, error);
        }
        let message = error.to_string();
        self.alert(turn, AlertKind::Storage(error));
        self.fail(now, turn, message);
    }

    pub(crate) fn fail(&mut self, now: Instant, turn: &mut Turn, message: String) {
        if matches!(self.phase, Phase::Broken | Phase::Leaving | Phase::Left) {
            return;
        }
        if self.annex.is_some() {
            return self.end_annex(now, turn, &message);
        }
        self.halt(now, turn, "the torrent stopped with an error");
        self.phase = Phase::Broken;
        self.error = Some(message.clone());
        self.alert(turn, AlertKind::Error { message });
    }

    /// Leaves for good: the end is told when jobs and trackers are done.
    pub(crate) fn leave(&mut self, now: Instant, turn: &mut Turn, why: Leave) {
        if self.leave.is_none() {
            self.halt(now, turn, "the torrent is leaving");
            self.phase = Phase::Leaving;
            self.leave = Some(why);
        }
    }

    /// Ends everything that is under way; disk jobs end by themselves and find nobody waiting.
    fn halt(&mut self, now: Instant, turn: &mut Turn, reason: &str) {
        self.call_off(turn, true);
        let ids: Vec<SlotId> = self.peers.iter().map(|(id, _)| id).collect();
        ids.into_iter().for_each(|id| self.drop_peer(now, turn, id, reason));
        let own = self.slot;
        turn.close_conns(|conn| conn.swarm() == Some(own));
        self.dialling = 0;
        turn.forget_hashes(self.slot, |job| self.assemblies.is_held(job));
        for (piece, assembly) in self.assemblies.close_all() {
            // What is being written, or hashed elsewhere, is in memory until that ends.
            if !self.writing.contains(&piece) && !assembly.is_away() {
                turn.free_assembly(assembly.held());
            }
            self.picker.abandon(piece);
        }
        self.writing.clear();
        self.readings.clear();
        self.check = None;
        self.late_check = None;
        self.making = None;
        self.announcer.stop(now);
        self.changed();
    }

    /// Goes through the last steps: trackers told, helpers gone, jobs done, store closed.
    pub(crate) fn go_on_leaving(&mut self, turn: &mut Turn) {
        self.sync_if_quiet(turn);
        let is_quiet = self.jobs == 0 && self.announcer.is_idle() && !self.is_lent();
        if self.phase == Phase::Leaving && is_quiet {
            self.disk(turn, Purpose::Close, DiskOp::Close);
        }
    }

    /// What was written before a pause or the end is made durable once the last write has ended.
    pub(crate) fn sync_if_quiet(&mut self, turn: &mut Turn) {
        let is_ending = matches!(self.phase, Phase::Paused | Phase::Leaving);
        if is_ending && self.jobs == 0 && std::mem::take(&mut self.needs_sync) {
            self.disk(turn, Purpose::Sync, DiskOp::Sync);
        }
    }

    pub(crate) fn handle_store_closed(&mut self, turn: &mut Turn) {
        self.phase = Phase::Left;
        if self.annex.is_none() {
            self.alert(turn, AlertKind::Removed);
        }
    }
}
