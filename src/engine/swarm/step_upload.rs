//! Uploading: reads for what peers asked.

use crate::base::instant::Instant;
use crate::base::payload::Payload;
use crate::base::slots::SlotId;
use crate::engine::disk::DiskOp;
use crate::engine::disk::JobId;
use crate::engine::swarm::state::Swarm;
use crate::engine::turn::Purpose;
use crate::engine::turn::Turn;

impl Swarm {
    /// A peer asked for something: only what we have is served.
    pub(crate) fn handle_requested(&mut self, now: Instant, turn: &mut Turn, id: SlotId) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        if let Err(fault) = peer.refuse_missing(&self.have) {
            self.drop_peer(now, turn, id, &fault.to_string());
        }
    }

    /// Starts reads for what the peer asked, as far as the budget goes and unless others wait for
    /// it: then it waits behind them.
    pub(crate) fn read_for(&mut self, turn: &mut Turn, id: SlotId) {
        while turn.readers.is_empty() && self.wants_read(id) {
            if !self.read_run(turn, id) {
                break;
            }
        }
        if self.wants_read(id)
            && let Some(peer) = self.peers.get_mut(id)
            && !peer.awaits_read
        {
            peer.awaits_read = true;
            turn.readers.push_back((self.slot, id));
        }
    }

    /// It is the peer's turn to be read for: one read, then it waits behind the others again.
    /// False if there is no room for it.
    pub(crate) fn read_called(&mut self, turn: &mut Turn, id: SlotId) -> bool {
        if self.wants_read(id) && !self.read_run(turn, id) {
            return false;
        }
        if let Some(peer) = self.peers.get_mut(id) {
            peer.awaits_read = false;
            self.read_for(turn, id);
        }
        true
    }

    fn wants_read(&self, id: SlotId) -> bool {
        self.peers.get(id).is_some_and(|peer| peer.uploads.wants_read())
    }

    /// One read; false if there is no room for it.
    fn read_run(&mut self, turn: &mut Turn, id: SlotId) -> bool {
        let next = self.peers.get(id).and_then(|peer| peer.uploads.next_read());
        let Some((first, length, count)) = next else { return true };
        if !turn.reads.take(u64::from(length)) {
            return false;
        }
        let offset = self.layout.offset(first.piece) + u64::from(first.begin);
        let purpose = Purpose::Upload { peer: id, length };
        let job = self.disk(turn, purpose, DiskOp::Serve { offset, length });
        if let Some(peer) = self.peers.get_mut(id) {
            peer.uploads.read_started(count, job);
        }
        true
    }

    /// Bytes for a peer came from the disk; false if nobody waits for them any more.
    pub(crate) fn handle_upload_read(&mut self, id: SlotId, job: JobId, data: Payload) -> bool {
        let peer = self.peers.get_mut(id);
        let is_wanted = peer.is_some_and(|peer| peer.uploads.read_done(job, data));
        if is_wanted {
            self.mark(id);
        }
        is_wanted
    }

    /// A batch left: there is room to read on.
    pub(crate) fn handle_sent(&mut self, now: Instant, turn: &mut Turn, id: SlotId) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let payload = peer.handle_sent(now);
        turn.free_reads(payload);
        turn.uploaded += payload as u64;
        self.sent.add(now, payload as u64);
        self.changed();
        self.mark(id);
    }
}
