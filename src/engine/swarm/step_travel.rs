//! Peers that change shards: who leaves for a helper or back to the owner, and who arrives.
//!
//! A journey begins with the ring: it stops receiving and lets the last batch leave. What arrives
//! meanwhile is still handled here; then the peer goes as a parcel with its descriptor. If that
//! takes too long, because the peer does not read, it stays.

use crate::base::ids::ShardId;
use crate::base::instant::Instant;
use crate::base::limits::TRAVEL_TIMEOUT;
use crate::base::slots::SlotId;
use crate::engine::alert::AlertKind;
use crate::engine::parcel::Parcel;
use crate::engine::peer::speech::state::Peer;
use crate::engine::swarm::journey::Journey;
use crate::engine::swarm::state::Phase;
use crate::engine::swarm::state::Swarm;
use crate::engine::to_ring::ConnId;
use crate::engine::to_ring::Output;
use crate::engine::turn::Turn;

impl Swarm {
    /// Sends up to `count` peers to another shard; how many set out.
    pub(crate) fn send_off(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        to: ShardId,
        count: u32,
    ) -> u32 {
        let able = self.peers.iter().filter(|(id, peer)| {
            peer.is_interested() && !peer.pieces.is_all() && !self.journeys.contains_key(id)
        });
        let chosen = able.take(count as usize).map(|(id, peer)| (id, peer.conn));
        let chosen: Vec<_> = chosen.collect();
        for (id, conn) in &chosen {
            let until = now + TRAVEL_TIMEOUT;
            self.journeys.insert(*id, Journey { to, until });
            turn.outputs.push_back(Output::Detach { conn: *conn });
        }
        chosen.len() as u32
    }

    /// Nothing of the peer is in flight any more, and nothing is received: it goes, or stays after
    /// all.
    pub(crate) fn handle_detached(&mut self, now: Instant, turn: &mut Turn, id: SlotId) {
        let journey = self.journeys.remove(&id);
        let Some(conn) = self.peers.get(id).map(|peer| peer.conn) else { return };
        let can_travel = self.peers.get(id).is_some_and(Peer::can_travel) && self.is_active();
        let Some(journey) = journey.filter(|_| can_travel) else {
            turn.outputs.push_back(Output::Established { conn });
            return self.mark(id);
        };
        let Some(peer) = self.unseat(id) else { return };
        self.uncount(&peer.pieces);
        self.layers.handle_left(id);
        turn.free_reads(peer.uploads.held());
        turn.forget_conn(conn);
        let parcel = Box::new(peer.pack(self.id));
        turn.outputs.push_back(Output::Move { conn, to: journey.to, parcel });
        self.wants_choice = true;
        self.changed();
        self.close_if_given_back(now, turn);
    }

    /// Those whose last batch does not leave stay here.
    pub(crate) fn end_late_journeys(&mut self, now: Instant, turn: &mut Turn) {
        let late = self.journeys.iter().filter(|(_, journey)| journey.until <= now);
        for id in late.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.journeys.remove(&id);
            if let Some(peer) = self.peers.get(id) {
                turn.outputs.push_back(Output::Established { conn: peer.conn });
                self.mark(id);
            }
        }
    }

    /// A peer comes from another shard. `None`: it cannot be taken, and its connection closes.
    pub(crate) fn handle_parcel(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        parcel: Parcel,
    ) -> Option<ConnId> {
        let address = parcel.address;
        let is_welcome = self.phase == Phase::Active && self.takes_strangers();
        if !is_welcome || !turn.gate.adopt() {
            let reason = "the shard that it went to could not take it".to_owned();
            self.alert(turn, AlertKind::PeerDisconnected { address, reason });
            return None;
        }
        match &parcel.pieces {
            None => self.picker.seed_joined(),
            Some(field) => self.picker.peer_joined(field),
        }
        let (swarm, layout) = (self.slot, self.layout.clone());
        let id = self.seat(|peer| {
            let conn = turn.adopt_conn(now, (address, parcel.is_inbound), (swarm, peer));
            Peer::unpack(parcel, conn, layout, now)
        });
        self.candidates.succeeded(address);
        self.wants_choice = true;
        self.changed();
        self.mark(id);
        self.peers.get(id).map(|peer| peer.conn)
    }
}
