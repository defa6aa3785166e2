//! A swarm: one torrent on its shard with everybody who has it or wants it.
//!
//! `state` holds it, each `step_*` is one thing it does, and this file says in which order.

pub(crate) mod annex;
pub(crate) mod arriving;
pub(crate) mod assemblies;
pub(crate) mod beat;
pub(crate) mod choosing;
pub(crate) mod file_progress;
pub(crate) mod journey;
pub(crate) mod late_check;
pub(crate) mod lending;
pub(crate) mod readings;
pub(crate) mod roster;
pub(crate) mod seeking;
pub(crate) mod selection;
pub(crate) mod sleeper;
pub(crate) mod state;
pub(crate) mod step_annex;
pub(crate) mod step_announce;
pub(crate) mod step_check;
pub(crate) mod step_choose;
pub(crate) mod step_command;
pub(crate) mod step_download;
pub(crate) mod step_end;
pub(crate) mod step_handshake;
pub(crate) mod step_hashes;
pub(crate) mod step_lend;
pub(crate) mod step_metadata;
pub(crate) mod step_peers;
pub(crate) mod step_report;
pub(crate) mod step_seek;
pub(crate) mod step_select;
pub(crate) mod step_sleep;
pub(crate) mod step_timers;
pub(crate) mod step_travel;
pub(crate) mod step_upload;
pub(crate) mod step_verify;

use crate::base::instant::Instant;
use crate::base::slots::SlotId;
use crate::engine::alert::AlertKind;
use crate::engine::disk::DiskReply;
use crate::engine::disk::JobId;
use crate::engine::peer::fault::PeerFault;
use crate::engine::peer::words::PeerEvent;
use crate::engine::pick::ask::Release;
use crate::engine::swarm::state::Phase;
use crate::engine::swarm::state::Swarm;
use crate::engine::to_ring::ConnId;
use crate::engine::to_ring::Output;
use crate::engine::to_ring::SendBatch;
use crate::engine::turn::Purpose;
use crate::engine::turn::Turn;

impl Swarm {
    /// Bytes of a peer. A fault sends it away and nobody else.
    pub(crate) fn handle_bytes(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        id: SlotId,
        mut input: &[u8],
    ) {
        self.mark(id);
        while let Some(peer) = self.peers.get_mut(id) {
            match peer.next_event(now, &mut input) {
                Ok(Some(event)) => self.handle_event(now, turn, id, event),
                Ok(None) => return,
                Err(fault) => return self.drop_peer(now, turn, id, &fault.to_string()),
            }
        }
    }

    fn handle_event(&mut self, now: Instant, turn: &mut Turn, id: SlotId, event: PeerEvent<'_>) {
        match event {
            PeerEvent::BlockStart { piece, block, was_asked } => {
                self.block_start(turn, id, (piece, block), was_asked);
            }
            PeerEvent::BlockBytes(bytes) => self.block_bytes(now, turn, id, bytes),
            PeerEvent::BlockEnd => self.block_end(now, turn, id),
            PeerEvent::Choked(owed) => self.picker.release_all(id.slot, &owed),
            PeerEvent::Rejected(piece, block) => {
                self.picker.release(id.slot, piece, block, Release::Late);
            }
            PeerEvent::Has(piece) => self.handle_has(now, turn, id, piece),
            PeerEvent::HasSet => self.handle_has_set(now, turn, id),
            PeerEvent::HasMore(before) => {
                self.uncount(&before);
                self.handle_has_set(now, turn, id);
            }
            PeerEvent::InterestChanged => self.wants_choice = true,
            PeerEvent::Introduced => {
                self.handle_claim(now, id);
                self.drop_if_useless(now, turn, id);
            }
            PeerEvent::EarlyTold => self.bound_early(now, turn, id),
            PeerEvent::Requested => self.handle_requested(now, turn, id),
            PeerEvent::MetadataWanted(part) => self.handle_metadata_wanted(id, part),
            PeerEvent::Metadata { part, total_size, bytes } => {
                self.handle_metadata(now, turn, id, (part, total_size, bytes));
            }
            PeerEvent::MetadataRejected(part) => self.handle_metadata_rejected(now, id, part),
            PeerEvent::Hashes { request, hashes } => {
                self.handle_hashes(now, turn, id, (request, &hashes));
            }
            PeerEvent::HashesRejected(request) => self.handle_hashes_rejected(now, id, &request),
            // What became possible is done when the turn is flushed.
            PeerEvent::Unchoked | PeerEvent::AllowedFast | PeerEvent::HashesWanted => {}
            PeerEvent::Nothing => {}
        }
    }

    /// A disk job ended.
    pub(crate) fn handle_disk(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        (job, purpose): (JobId, Purpose),
        reply: DiskReply,
    ) {
        self.jobs = self.jobs.saturating_sub(1);
        if matches!(self.phase, Phase::Leaving | Phase::Broken | Phase::Paused) {
            self.handle_late_disk(turn, purpose, &reply);
        } else if self.phase == Phase::Opening && purpose != Purpose::Open {
            // A job of the life before a restart.
            self.handle_late_disk(turn, purpose, &reply);
            self.restart_if_waiting(turn);
        } else {
            match reply {
                DiskReply::Failed(error) => {
                    let is_short =
                        matches!(purpose, Purpose::Check { .. }) && error.errno.is_none();
                    match purpose {
                        Purpose::Check { piece, .. } if is_short => {
                            self.handle_check_short(now, turn, piece);
                        }
                        _ => self.storage_failed(now, turn, error),
                    }
                    turn.settle_job(purpose);
                }
                reply => self.handle_disk_done(now, turn, (job, purpose), reply),
            }
        }
    }

    fn handle_disk_done(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        (job, purpose): (JobId, Purpose),
        reply: DiskReply,
    ) {
        match (purpose, reply) {
            (Purpose::Upload { peer, length }, DiskReply::Served(data)) => {
                if !self.handle_upload_read(peer, job, data) {
                    turn.free_reads(length as usize);
                }
            }
            (Purpose::Leaves { peer, file, request, length }, DiskReply::Read(data)) => {
                turn.free_checks(length);
                self.handle_leaves_read(turn, peer, (file, request), &data);
            }
            (Purpose::Piece { piece, .. }, _) => self.piece_stored(now, turn, piece),
            (Purpose::Block { piece, block, length }, _) => {
                turn.free_assembly(u64::from(length));
                self.handle_block_written(now, turn, piece, block);
            }
            (Purpose::Check { piece, length }, DiskReply::Read(data)) => {
                self.handle_check_read(turn, (piece, length), data);
            }
            (Purpose::Open, DiskReply::Opened(seen)) => self.handle_opened(now, turn, seen),
            (Purpose::Create, _) => self.handle_made(now, turn),
            (Purpose::Finish { file }, _) => self.handle_named(now, turn, file),
            (Purpose::Sync, _) => self.handle_durable(now, turn),
            (Purpose::Close, _) => self.handle_store_closed(turn),
            (purpose, reply) => {
                let message = format!("the store answered {purpose:?} with {reply:?}");
                self.fail(now, turn, message);
            }
        }
    }

    /// A job that nobody waits for any more.
    fn handle_late_disk(&mut self, turn: &mut Turn, purpose: Purpose, reply: &DiskReply) {
        turn.settle_job(purpose);
        match (purpose, reply) {
            (Purpose::Close, _) => self.handle_store_closed(turn),
            (Purpose::Sync, DiskReply::Failed(error)) => {
                self.alert(turn, AlertKind::Storage(error.clone()));
            }
            (Purpose::Finish { file }, DiskReply::Done) => self.files.named(file),
            (Purpose::Piece { .. } | Purpose::Block { .. }, DiskReply::Done) => {
                self.needs_sync = true;
            }
            _ => {}
        }
        if matches!(purpose, Purpose::Finish { .. }) {
            self.naming = self.naming.saturating_sub(1);
        }
        self.sync_if_quiet(turn);
    }

    /// Does what became due, for one peer per call, however often it became due (C1), and a slice
    /// of what is done for all of them; true while more is left. One by one, so that what is read
    /// for a peer is sent while it is hot in the cache.
    pub(crate) fn flush(&mut self, now: Instant, turn: &mut Turn) -> bool {
        if self.seeking.is_some() {
            self.go_on_seeking(now, turn);
        }
        self.go_on_choosing(now, turn);
        self.go_on_ticking(now, turn);
        if self.picker.take_new_work() {
            self.mark_all();
        }
        if self.check.is_some() {
            self.go_on_checking(now, turn);
        }
        if self.late_check.is_some() {
            self.go_on_late_check(turn);
        }
        self.mark_some();
        if let Some(id) = self.due.pop_front()
            && let Some(peer) = self.peers.get_mut(id)
        {
            peer.is_due = false;
            self.refill(now, turn, id);
            self.read_for(turn, id);
            self.serve_metadata(id);
            self.ask_hashes(now, id);
            self.serve_hashes(now, turn, id);
            self.send(now, turn, id);
        }
        let is_over = self.due.is_empty() && self.marking.is_over();
        if is_over {
            self.go_on_leaving(turn);
        }
        !is_over || self.is_ticking || self.choosing.is_some()
    }

    fn send(&mut self, now: Instant, turn: &mut Turn, id: SlotId) {
        let Some(peer) = self.peers.get(id) else { return };
        if peer.is_backlogged() {
            return self.drop_peer(now, turn, id, &PeerFault::Backlog.to_string());
        }
        if peer.has_output() {
            let conn: ConnId = peer.conn;
            turn.outputs.push_back(Output::Send { conn });
        }
    }

    /// Moves what a peer should be sent into `batch`.
    pub(crate) fn poll_send(&mut self, now: Instant, id: SlotId, batch: &mut SendBatch) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.poll_send(now, batch);
            self.mark(id);
        }
    }
}
