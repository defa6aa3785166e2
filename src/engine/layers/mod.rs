//! Piece layers of a v2 torrent that came without them: fetched from peers, proved, kept, served
//! (BEP 52).
//!
//! A magnet link brings the roots of files, not those of their pieces. Until a piece's root is here
//! the piece cannot be verified by v2. Every answer is proved up to the file's root before it is
//! used, so a peer that lies is known at once.

mod flights;
mod leaves;
mod tree;

use std::collections::BTreeSet;

use crate::base::bitfield::Bitfield;
use crate::base::digest::Sha256;
use crate::base::digest_lanes::Lanes;
use crate::base::ids::FileIndex;
use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::base::limits::BLOCK_LEN;
use crate::base::slots::SlotId;
use crate::codec::hash_request::HashRequest;
use crate::codec::hash_request::hashes;
use crate::content::merkle::HashRange;
use crate::content::torrent::Torrent;
use crate::engine::layers::flights::Aim;
use crate::engine::layers::flights::Flights;
use crate::engine::layers::leaves::Leaves;
use crate::engine::layers::leaves::PieceTree;
use crate::engine::layers::tree::Tree;

/// Parts of layers looked at when a peer is asked: what a peer with few pieces can answer need not
/// be among them, but the next look begins elsewhere.
const LOOK_MAX: usize = 16;

/// See the module.
#[derive(Debug)]
pub(crate) struct Layers {
    /// Files whose layer was missing when the torrent came, in the order of their pieces.
    trees: Vec<Tree>,
    files: Vec<FileIndex>,
    /// Parts of layers that are not known, by tree and part.
    wanted: BTreeSet<(usize, usize)>,
    /// Where the next look at `wanted` begins.
    cursor: (usize, usize),
    /// Pieces that v2 can verify; `None` when that is all of them, or there is no v2.
    verifiable: Option<Bitfield>,
    leaves: Leaves,
    flights: Flights,
}

/// What an answer brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Learnt {
    /// It is not waited for: too late, or never asked for.
    Nothing,
    /// More pieces can be verified.
    Roots,
    /// All leaves of a failed piece are there: see [`Layers::leaves`].
    Leaves(PieceIndex),
    /// Some of them.
    SomeLeaves,
}

/// The hashes that a peer sent do not belong to the tree that it was asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("sent hashes that do not belong to the file (BEP 52)")]
pub(crate) struct HashLie;

impl Layers {
    /// Fetches what the torrent lacks: nothing in a torrent of v1 only, or with all its layers.
    pub(crate) fn new(torrent: &Torrent) -> Layers {
        let base = base(torrent);
        let mut layers = Layers {
            trees: Vec::new(),
            files: Vec::new(),
            wanted: BTreeSet::new(),
            cursor: (0, 0),
            verifiable: None,
            leaves: Leaves::default(),
            flights: Flights::default(),
        };
        let mut verifiable = Bitfield::zeros(torrent.piece_count());
        let mut behind = 0;
        for file in torrent.missing_layers() {
            let Some(root) = torrent.file_root(file) else { continue };
            let tree = Tree::new(root, torrent.pieces_of(file), base);
            let at = layers.trees.len();
            (behind..tree.pieces().start).for_each(|piece| _ = verifiable.set(piece));
            behind = tree.pieces().end;
            layers.wanted.extend((0..tree.part_count()).map(|part| (at, part)));
            layers.trees.push(tree);
            layers.files.push(file);
        }
        (behind..torrent.piece_count()).for_each(|piece| _ = verifiable.set(piece));
        layers.verifiable = Some(verifiable).filter(|_| !layers.trees.is_empty());
        layers
    }

    /// What the leaves of the piece must have for a root; `None` while nobody knows, and in a
    /// torrent of v1 only.
    pub(crate) fn root(&self, piece: PieceIndex, torrent: &Torrent) -> Option<Sha256> {
        torrent.piece_root(piece).or_else(|| self.tree_of(piece)?.root_of(piece.as_u32()))
    }

    /// Nothing is fetched and nothing was: the torrent came with all its layers.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.trees.is_empty() && self.poll_timeout().is_none()
    }

    /// The pieces that can be verified by v2, where that is not all of them.
    pub(crate) fn verifiable(&self) -> Option<&Bitfield> {
        self.verifiable.as_ref()
    }

    // Verbs.

    /// The torrent with all of its layers, once the last one has come: they are known by it from
    /// then on, and forgotten here. Costs a hash for each piece.
    pub(crate) fn hand_over(&mut self, torrent: &Torrent, lanes: Lanes) -> Option<Torrent> {
        if self.trees.is_empty() || !self.wanted.is_empty() {
            return None;
        }
        let (files, trees) = (std::mem::take(&mut self.files), std::mem::take(&mut self.trees));
        let layers = files.iter().zip(&trees);
        let layers = layers.filter_map(|(file, tree)| Some((*file, tree.layer()?)));
        Some(torrent.with_layers(layers, lanes))
    }

    /// A piece failed: fetch its leaves, so that the wrong blocks can be told from the right ones.
    /// Given up after `LEAVES_TIMEOUT`. False if they are wanted already, or cannot be had: the
    /// piece's root is not known, or too many wait.
    pub(crate) fn want_leaves(
        &mut self,
        now: Instant,
        piece: PieceIndex,
        torrent: &Torrent,
    ) -> bool {
        let tree = self.piece_tree(piece, torrent);
        tree.is_some_and(|tree| self.leaves.want(now, piece, tree))
    }

    /// All leaves of a piece that were wanted, padding included, once they are there. They are
    /// proved.
    pub(crate) fn leaves(&self, piece: PieceIndex) -> Option<&[Sha256]> {
        self.leaves.get(piece)
    }

    /// The leaves of this piece are no longer of use.
    pub(crate) fn forget_leaves(&mut self, piece: PieceIndex) {
        self.leaves.forget(piece);
    }

    // handle_*: what the world did.

    /// Hashes came. An error proves that the peer lies.
    pub(crate) fn handle_hashes(
        &mut self,
        peer: SlotId,
        request: &HashRequest,
        bytes: &[u8],
    ) -> Result<Learnt, HashLie> {
        let Some(aim) = self.flights.end(peer, request) else { return Ok(Learnt::Nothing) };
        if !request.is_answered_by(bytes.len()) {
            return Err(HashLie);
        }
        let hashes: Vec<Sha256> = hashes(bytes).collect();
        match aim {
            Aim::Layer { tree, part } => self.learn_roots((tree, part), &hashes),
            Aim::Leaves { piece, part } if self.leaves.learn(piece, part, &hashes) => {
                let is_whole = self.leaves.get(piece).is_some();
                Ok(if is_whole { Learnt::Leaves(piece) } else { Learnt::SomeLeaves })
            }
            Aim::Leaves { .. } => Err(HashLie),
        }
    }

    fn learn_roots(
        &mut self,
        (at, part): (usize, usize),
        hashes: &[Sha256],
    ) -> Result<Learnt, HashLie> {
        let Some(tree) = self.trees.get_mut(at) else { return Ok(Learnt::Nothing) };
        if !tree.learn(part, hashes) {
            return Err(HashLie);
        }
        self.wanted.remove(&(at, part));
        if let Some(verifiable) = &mut self.verifiable {
            tree.pieces_of(part).for_each(|piece| _ = verifiable.set(piece));
        }
        if self.wanted.is_empty() {
            self.verifiable = None;
        }
        Ok(Learnt::Roots)
    }

    /// A peer will not answer.
    pub(crate) fn handle_reject(&mut self, now: Instant, peer: SlotId, request: &HashRequest) {
        if let Some(aim) = self.flights.end(peer, request) {
            self.flights.refused(now, peer, aim);
        }
    }

    /// A peer left; true if others can be asked for what it owed.
    pub(crate) fn handle_left(&mut self, peer: SlotId) -> bool {
        self.flights.forget(peer)
    }

    /// True if peers should be asked again.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> bool {
        self.leaves.handle_timeout(now);
        self.flights.handle_timeout(now)
    }

    // poll_*: what the world should do.

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.flights.poll_timeout().into_iter().chain(self.leaves.poll_timeout()).min()
    }

    /// The next thing to ask of a peer that speaks v2 and has these pieces; it counts as asked.
    /// BEP 52 makes peers answer for pieces that they have told of, so nothing else is asked.
    pub(crate) fn poll_request(
        &mut self,
        now: Instant,
        peer: SlotId,
        has: impl Fn(PieceIndex) -> bool,
        torrent: &Torrent,
    ) -> Option<HashRequest> {
        if !self.flights.has_room(peer) {
            return None;
        }
        let (aim, request) = self
            .next_leaves(now, peer, &has)
            .or_else(|| self.next_roots(now, peer, &has, torrent))?;
        self.flights.start(now, peer, request, aim).then_some(request)
    }

    fn next_leaves(
        &self,
        now: Instant,
        peer: SlotId,
        has: &impl Fn(PieceIndex) -> bool,
    ) -> Option<(Aim, HashRequest)> {
        let wanted = self.leaves.wanted().filter(|(piece, _)| has(*piece));
        let mut aims = wanted.map(|(piece, part)| (Aim::Leaves { piece, part }, piece, part));
        let (aim, piece, part) = aims.find(|(aim, ..)| self.flights.may_ask(now, peer, *aim))?;
        Some((aim, self.leaves.request(piece, part)?))
    }

    fn next_roots(
        &mut self,
        now: Instant,
        peer: SlotId,
        has: &impl Fn(PieceIndex) -> bool,
        torrent: &Torrent,
    ) -> Option<(Aim, HashRequest)> {
        let behind = self.wanted.range(self.cursor..);
        let around = behind.chain(self.wanted.range(..self.cursor)).take(LOOK_MAX);
        let mut last = self.cursor;
        let mut found = None;
        for (at, part) in around.copied() {
            last = (at, part + 1);
            let aim = Aim::Layer { tree: at, part };
            let Some(tree) = self.trees.get(at) else { continue };
            let mut pieces =
                tree.pieces_of(part).filter_map(|raw| torrent.layout().piece(raw).ok());
            if self.flights.may_ask(now, peer, aim) && pieces.any(has) {
                found = Some((aim, tree.request(part)));
                break;
            }
        }
        self.cursor = last;
        found
    }

    fn tree_of(&self, piece: PieceIndex) -> Option<&Tree> {
        let piece = piece.as_u32();
        let behind = self.trees.partition_point(|tree| tree.pieces().start <= piece);
        self.trees.get(behind.checked_sub(1)?)
    }

    fn piece_tree(&self, piece: PieceIndex, torrent: &Torrent) -> Option<PieceTree> {
        let root = self.root(piece, torrent)?;
        let width = torrent.piece_tree_width(piece);
        let offset = torrent.layout().offset(piece);
        let span = torrent.file_list().spans(offset, 1).next()?;
        let file_root = torrent.file_root(span.file)?;
        let first_leaf = u32::try_from(span.offset / u64::from(BLOCK_LEN)).ok()?;
        Some(PieceTree { file_root, root, first_leaf, width })
    }
}

/// The answer to a peer's request out of what the torrent knows: piece layers, which are leaves
/// where a piece is one block. `None`: it must be rejected, or be leaves of a piece that has to be
/// hashed anew. Layers between are nobody's duty (BEP 52).
pub(crate) fn answer(request: &HashRequest, torrent: &Torrent) -> Option<Vec<Sha256>> {
    let file = torrent.file_with_root(&request.root).filter(|_| request.is_sound())?;
    torrent.prove_pieces(file, HashRange::of(request))
}

/// The layer of the pieces above the leaves: log2 of the blocks in a piece.
fn base(torrent: &Torrent) -> u32 {
    (torrent.piece_length() / BLOCK_LEN).max(1).ilog2()
}

#[cfg(test)]
mod tests;
