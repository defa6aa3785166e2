//! Peers joining and leaving a swarm, and what they say they have.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::ids::BlockIndex;
use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::base::limits::REQUEST_QUEUE_MAX;
use crate::base::slots::SlotId;
use crate::codec::extension::ExtensionHandshake;
use crate::codec::extension::ExtensionIds;
use crate::codec::ut_metadata::OUR_UT_METADATA;
use crate::engine::alert::AlertKind;
use crate::engine::candidates::REDIAL;
use crate::engine::peer::pieces::Pieces;
use crate::engine::swarm::state::Swarm;
use crate::engine::to_ring::CloseReason;
use crate::engine::turn::Turn;

/// Pause before a seed is dialled again by a seed: neither has anything for the other.
const REDIAL_SEED: Duration = Duration::from_secs(3600);

impl Swarm {
    pub(crate) fn introduction(&self, turn: &Turn, their_ip: IpAddr) -> ExtensionHandshake {
        let port = turn.settings.announce_port;
        let ids = ExtensionIds { ut_metadata: Some(OUR_UT_METADATA), ..ExtensionIds::default() };
        ExtensionHandshake {
            ids,
            metadata_size: self.metadata_size(),
            client: Some(turn.settings.user_agent.clone()),
            reqq: Some(REQUEST_QUEUE_MAX as u32),
            yourip: Some(their_ip.to_canonical()),
            upload_only: self.is_done().then_some(true),
            port: (port != 0).then_some(port),
        }
    }

    /// Sends a peer away.
    pub(crate) fn drop_peer(&mut self, now: Instant, turn: &mut Turn, id: SlotId, reason: &str) {
        let Some(conn) = self.peers.get(id).map(|peer| peer.conn) else { return };
        turn.close_conn(conn);
        self.peer_left(now, turn, id, reason);
    }

    /// The ring closed the peer's connection. It may have been the disk's fault.
    pub(crate) fn peer_closed(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        id: SlotId,
        reason: CloseReason,
    ) {
        self.peer_left(now, turn, id, &reason.to_string());
        if let CloseReason::Unreadable(error) = reason {
            self.storage_failed(now, turn, error);
        }
    }

    /// The peer's connection is gone: what it owed goes to others, what it was owed is dropped.
    pub(crate) fn peer_left(&mut self, now: Instant, turn: &mut Turn, id: SlotId, reason: &str) {
        let Some(mut peer) = self.unseat(id) else { return };
        self.journeys.remove(&id);
        let mut owed = peer.pipeline.take_all();
        if let Some(receiving) = peer.receiving.filter(|receiving| receiving.is_taken) {
            owed.push((receiving.piece, receiving.block));
            self.abandon_through(turn, receiving.piece, receiving.block);
        }
        self.picker.release_all(id.slot, &owed);
        if peer.is_early() {
            self.early_held = self.early_held.saturating_sub(peer.early_recount().0);
        } else {
            self.uncount(&peer.pieces);
        }
        if let Some(seeking) = &mut self.seeking {
            seeking.fetch.handle_left(now, id.slot);
        }
        turn.free_reads(peer.uploads.held());
        if peer.awaits_read {
            turn.readers.retain(|waiting| *waiting != (self.slot, id));
            // Whoever is behind it may need less.
            turn.has_freed_reads = true;
        }
        if self.layers.handle_left(id) {
            self.mark_all();
        }
        self.wants_choice |= peer.unchoked_since.is_some();
        let is_pair_of_seeds = peer.is_seed() && self.is_done();
        let pause = if is_pair_of_seeds { REDIAL_SEED } else { REDIAL };
        self.candidates.left(now, peer.address, pause);
        if self.takes_peers() && !self.is_done() && self.peers.len() == 0 {
            // Without peers there is no tick that would ask.
            self.announcer.want_more_peers(now);
        }
        let reason = reason.to_owned();
        self.alert(turn, AlertKind::PeerDisconnected { address: peer.address, reason });
        self.changed();
    }

    /// A block that was arriving for a piece written through will not be whole.
    pub(crate) fn abandon_through(
        &mut self,
        turn: &mut Turn,
        piece: PieceIndex,
        block: BlockIndex,
    ) {
        let Some(assembly) = self.assemblies.get_mut(piece) else { return };
        if assembly.abandon_through(block) {
            turn.free_assembly(u64::from(self.layout.block_range(piece, block).1));
        }
    }

    /// Bans a liar and sends it away.
    pub(crate) fn ban(&mut self, now: Instant, turn: &mut Turn, address: SocketAddr, reason: &str) {
        // A liar's pieces may fail one after the other: it is banned once.
        if !self.candidates.is_banned(now, address) {
            self.candidates.ban(now, address);
            self.alert(turn, AlertKind::PeerBanned { address, reason: reason.to_owned() });
        }
        if let Some(id) = self.peer_at(address) {
            self.drop_peer(now, turn, id, reason);
        }
    }

    /// One peer less has these pieces.
    pub(crate) fn uncount(&mut self, pieces: &Pieces) {
        match pieces {
            Pieces::All { .. } => self.picker.seed_left(),
            Pieces::Some(field) => self.picker.peer_left(field),
        }
    }

    /// It told all it has. Seeds have nothing for each other.
    pub(crate) fn handle_has_set(&mut self, now: Instant, turn: &mut Turn, id: SlotId) {
        let Some(peer) = self.peers.get(id) else { return };
        match &peer.pieces {
            Pieces::All { .. } => self.picker.seed_joined(),
            Pieces::Some(field) => self.picker.peer_joined(field),
        }
        self.count_wanted(id);
        self.drop_if_useless(now, turn, id);
    }

    /// It has one more piece.
    pub(crate) fn handle_has(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        id: SlotId,
        piece: PieceIndex,
    ) {
        self.picker.peer_have(piece);
        let Some(peer) = self.peers.get_mut(id) else { return };
        if self.picker.wants(piece) {
            peer.wanted_count += 1;
            peer.set_interest(true);
        }
        self.mark(id);
        self.drop_if_useless(now, turn, id);
    }

    /// We want nothing more: peers that do not either go.
    pub(crate) fn drop_seeds(&mut self, now: Instant, turn: &mut Turn) {
        let ids: Vec<SlotId> = self.peers.iter().map(|(id, _)| id).collect();
        ids.into_iter().for_each(|id| self.drop_if_useless(now, turn, id));
    }

    pub(crate) fn drop_if_useless(&mut self, now: Instant, turn: &mut Turn, id: SlotId) {
        let Some(peer) = self.peers.get(id) else { return };
        let wants_nothing = peer.is_seed() || peer.is_upload_only;
        // Not before we told it that we want nothing either: our have messages are on their way.
        if self.is_finished && wants_nothing && !peer.has_output() {
            self.drop_peer(now, turn, id, "neither wants anything");
        }
    }

    /// Somebody named these peers: try them.
    pub(crate) fn add_candidates(&mut self, now: Instant, turn: &mut Turn, peers: &[SocketAddr]) {
        peers.iter().for_each(|address| self.candidates.add(now, *address));
        self.dial(now, turn);
    }

    /// Dials candidates while there is room.
    pub(crate) fn dial(&mut self, now: Instant, turn: &mut Turn) {
        let max = self.peers_max(turn);
        while self.takes_peers() && self.peers.len() as u32 + self.dialling < max {
            let Some(address) = self.candidates.next_due(now) else { return };
            if self.peer_at(address).is_some() {
                self.candidates.left(now, address, REDIAL);
            } else if turn.dial(now, self.slot, address) {
                self.dialling += 1;
            } else {
                // The gate is full: the next tick tries again.
                return self.candidates.left(now, address, Duration::from_secs(1));
            }
        }
    }
}
