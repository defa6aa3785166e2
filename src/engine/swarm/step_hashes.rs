//! Hashes of v2 trees: asked of peers where the torrent lacks them, and served (BEP 52).

use crate::base::digest::Sha256;
use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::base::slots::SlotId;
use crate::codec::hash_request::HashRequest;
use crate::engine::layers::Learnt;
use crate::engine::swarm::state::Swarm;
use crate::engine::turn::Turn;

/// Answers to one peer per flush: a proof takes some 100 us.
const ANSWER_MAX: usize = 4;

impl Swarm {
    /// What the leaves of the piece must have for a root, as far as that is known.
    pub(crate) fn root_of(&self, piece: PieceIndex) -> Option<Sha256> {
        self.layers.root(piece, &self.torrent)
    }

    /// Fetch the leaves of a piece that failed from peers.
    pub(crate) fn want_leaves(&mut self, now: Instant, piece: PieceIndex) {
        if self.layers.want_leaves(now, piece, &self.torrent) {
            self.mark_all();
        }
    }

    /// Asks a peer that speaks v2 for hashes that we lack.
    pub(crate) fn ask_hashes(&mut self, now: Instant, id: SlotId) {
        let Some(peer) = self.peers.get_mut(id).filter(|peer| peer.is_v2) else { return };
        let (layers, torrent) = (&mut self.layers, &self.torrent);
        loop {
            let pieces = &peer.pieces;
            let request = layers.poll_request(now, id, |piece| pieces.has(piece), torrent);
            let Some(request) = request else { return };
            peer.ask_hashes(request);
        }
    }

    /// Answers what a peer asked of our trees, as far as it reads.
    pub(crate) fn serve_hashes(&mut self, id: SlotId) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        for _ in 0..ANSWER_MAX {
            let Some(request) = peer.next_hash_request() else { return };
            let hashes = self.layers.answer(&request, &self.torrent);
            peer.answer_hashes(request, hashes.as_deref());
        }
    }

    /// Hashes came: they let more pieces be verified, or their sender lied.
    pub(crate) fn handle_hashes(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        id: SlotId,
        (request, bytes): (HashRequest, &[u8]),
    ) {
        let Some(address) = self.peers.get(id).map(|peer| peer.address) else { return };
        match self.layers.handle_hashes(id, &request, bytes) {
            Ok(Learnt::Nothing | Learnt::SomeLeaves) => {}
            Ok(Learnt::Roots) => self.handle_roots(),
            Ok(Learnt::Leaves(piece)) => self.leaves_known(now, turn, piece),
            Err(lie) => self.ban(now, turn, address, &lie.to_string()),
        }
    }

    /// A peer does not give us these hashes: others are asked.
    pub(crate) fn handle_hashes_rejected(
        &mut self,
        now: Instant,
        id: SlotId,
        request: &HashRequest,
    ) {
        self.layers.handle_reject(now, id, request);
        self.mark_all();
    }
}
