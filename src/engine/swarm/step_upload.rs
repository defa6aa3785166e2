//! Uploading: reads for what peers asked, and who may ask.

use crate::base::instant::Instant;
use crate::base::payload::Payload;
use crate::base::slots::SlotId;
use crate::engine::choke::Candidate;
use crate::engine::choke::Currency;
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

    /// Starts reads for what the peer asked, as far as the budget goes.
    pub(crate) fn read_for(&mut self, turn: &mut Turn, id: SlotId) {
        loop {
            let Some(peer) = self.peers.get(id) else { return };
            if !peer.uploads.wants_read() {
                return;
            }
            let Some((first, length, count)) = peer.uploads.next_read() else { return };
            if !turn.reads.take(u64::from(length)) {
                self.is_starved = true;
                return;
            }
            let offset = self.layout.offset(first.piece) + u64::from(first.begin);
            let purpose = Purpose::Upload { peer: id, length };
            let job = self.disk(turn, purpose, DiskOp::Serve { offset, length });
            if let Some(peer) = self.peers.get_mut(id) {
                peer.uploads.read_started(count, job);
            }
        }
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

    /// Decides who may ask from here on.
    pub(crate) fn choose_unchoked(&mut self, now: Instant, turn: &mut Turn) {
        let facts: Vec<Candidate<u32>> = self
            .peers
            .iter_mut()
            .map(|(id, peer)| Candidate {
                key: id.slot,
                is_interested: peer.is_interested(),
                is_snubbed: peer.pipeline.is_snubbed(),
                is_upload_only: peer.is_upload_only || peer.pieces.is_all(),
                received_rate: peer.received.per_second(now),
                sent_rate: peer.sent.per_second(now),
                unchoked_since: peer.unchoked_since,
                sent_since_unchoked: peer.sent.total() - peer.sent_at_unchoke,
                choked_since: peer.choked_since,
                connected_since: peer.connected_since,
            })
            .collect();
        let currency = if self.is_done() { Currency::Turns } else { Currency::Rate };
        let slots = self.slots(turn);
        let mut chosen = self.choker.choose(&facts, slots, currency, now, &mut turn.rng);
        chosen.sort_unstable();
        for fact in facts {
            let Some(id) = self.peers.id_at(fact.key) else { continue };
            let Some(peer) = self.peers.get_mut(id) else { continue };
            match chosen.binary_search(&fact.key) {
                Ok(_) => peer.unchoke(now),
                Err(_) => turn.free_reads(peer.choke(now)),
            }
            self.mark(id);
        }
    }
}
