//! Hashes of v2 trees: asked of peers where the torrent lacks them, and served (BEP 52).

use std::sync::Arc;

use crate::base::buffer::SharedBuf;
use crate::base::digest::Sha256;
use crate::base::ids::FileIndex;
use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::base::limits::BLOCK_LEN;
use crate::base::limits::LEAVES_PIECE_LEN_MAX;
use crate::base::limits::LEAVES_SERVED_MAX;
use crate::base::slots::SlotId;
use crate::codec::hash_request::HashRequest;
use crate::content::merkle::HashRange;
use crate::engine::disk::DiskOp;
use crate::engine::layers::Learnt;
use crate::engine::layers::answer;
use crate::engine::swarm::state::Swarm;
use crate::engine::turn::Purpose;
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
    pub(crate) fn serve_hashes(&mut self, now: Instant, turn: &mut Turn, id: SlotId) {
        for _ in 0..ANSWER_MAX {
            let Some(peer) = self.peers.get_mut(id) else { return };
            let Some(request) = peer.next_hash_request() else { return };
            let hashes = answer(&request, &self.torrent);
            if hashes.is_some() || !self.read_leaves(now, turn, id, request) {
                self.answer_hashes(id, request, hashes.as_deref());
            }
        }
    }

    fn answer_hashes(&mut self, id: SlotId, request: HashRequest, hashes: Option<&[Sha256]>) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.answer_hashes(request, hashes);
        }
    }

    /// Reads a piece that we have, to hash the leaves that a peer asks for. False: the request must
    /// be rejected. BEP 52 wants that only where we would not serve the blocks either; long pieces
    /// and peers that ask again and again are left out all the same, because the work is ours.
    fn read_leaves(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        id: SlotId,
        request: HashRequest,
    ) -> bool {
        let Some((file, piece, length)) = self.leaves_of(&request) else { return false };
        let Some(peer) = self.peers.get_mut(id) else { return false };
        let is_fair = length <= LEAVES_PIECE_LEN_MAX && peer.leaves_served < LEAVES_SERVED_MAX;
        if !is_fair || !self.is_active() || turn.checks.left() < u64::from(length) {
            return false;
        }
        if !turn.take_leaves(now) || !turn.checks.take(u64::from(length)) {
            return false;
        }
        if let Some(peer) = self.peers.get_mut(id) {
            peer.leaves_served += 1;
        }
        let offset = self.layout.offset(piece);
        let purpose = Purpose::Leaves { peer: id, file, request, length };
        self.disk(turn, purpose, DiskOp::Read { offset, length });
        true
    }

    /// The file and the piece, one that we have, that a request for leaves is about, and the bytes
    /// of the piece without padding.
    fn leaves_of(&self, request: &HashRequest) -> Option<(FileIndex, PieceIndex, u32)> {
        let file = self.torrent.file_with_root(&request.root)?;
        let pieces = self.torrent.pieces_of(file);
        let first = self.layout.piece(pieces.start).ok()?;
        let width = self.torrent.piece_tree_width(first);
        if !request.is_sound() || request.base != 0 || request.length > width {
            return None;
        }
        let raw = pieces.start.checked_add(request.index.checked_div(width)?)?;
        let piece = self.layout.piece(raw).ok().filter(|_| pieces.contains(&raw))?;
        let entry = self.torrent.file_list().get(file)?;
        let before = self.layout.offset(piece).checked_sub(entry.offset())?;
        let left = entry.length().checked_sub(before)?;
        let length = u32::try_from(left.min(self.layout.piece_len_max().into())).ok()?;
        (self.have.get(raw) && length > 0).then_some((file, piece, length))
    }

    /// A piece came from the disk for whose leaves a peer asked.
    pub(crate) fn handle_leaves_read(
        &mut self,
        turn: &mut Turn,
        id: SlotId,
        (file, request): (FileIndex, HashRequest),
        data: &SharedBuf,
    ) {
        let blocks: Vec<&[u8]> = data.bytes().chunks(BLOCK_LEN as usize).collect();
        let mut leaves = vec![request.root; blocks.len()];
        turn.hasher.lanes().sha256_leaves(&blocks, &mut leaves);
        let hashes = self.torrent.prove_leaves(file, HashRange::of(&request), &leaves);
        self.answer_hashes(id, request, hashes.as_deref());
        self.mark(id);
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
            Ok(Learnt::Roots) => {
                if let Some(torrent) = self.layers.hand_over(&self.torrent, turn.hasher.lanes()) {
                    self.torrent = Arc::new(torrent);
                    // Whoever keeps it as a file needs the layers, too.
                    self.known.publish(Some(Arc::clone(&self.torrent)));
                }
                self.handle_roots();
            }
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
