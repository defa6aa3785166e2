//! The roots of one file's pieces, and whatever nodes above them a peer may ask for (BEP 52).

use std::sync::Arc;

use crate::base::digest::Sha256;
use crate::base::digest_lanes::LANE_MAX;
use crate::base::digest_lanes::Lanes;
use crate::content::merkle;
use crate::content::merkle::HashRange;
use crate::content::nodes::NodeHasher;

/// Layers above the pieces that are computed anew for every question: at most 2^9 hashes each time.
/// From there on up they are kept, in less than a two hundredth of what the pieces take.
const FINE_HEIGHT: u32 = 9;
/// Pieces below one node of the lowest layer that is kept.
const GROUP: usize = 1 << FINE_HEIGHT;

/// One file's piece layer; every node above it is at hand in bounded time. A clone costs counters.
#[derive(Clone)]
pub(crate) struct PieceLayer {
    nodes: Arc<[Sha256]>,
    /// Leaves of a piece, as a power of two.
    level: u32,
    /// The layers from [`FINE_HEIGHT`] above the pieces to the root, padding left out.
    coarse: Arc<[Vec<Sha256>]>,
    root: Sha256,
}

impl PieceLayer {
    /// Of the roots of pieces of `2^level` leaves. Hashes as many nodes as there are.
    pub(crate) fn new(nodes: Arc<[Sha256]>, level: u32, lanes: Lanes) -> PieceLayer {
        let mut hasher = NodeHasher::new(lanes);
        let (first, second) = (merkle::pad(level), merkle::pad(level + 1));
        let steps = merkle::height(nodes.len().min(GROUP));
        let mut layer = Vec::with_capacity(nodes.len().div_ceil(GROUP));
        let mut top = Vec::new();
        // Some groups at a time, so that what is hashed next is what was just made, and the last
        // step still fills the lanes.
        for groups in nodes.chunks(GROUP * LANE_MAX) {
            top.clear();
            match steps {
                0 => top.extend_from_slice(groups),
                _ => hasher.extend(&mut top, groups, first),
            }
            (1..steps).fold(second, |filler, _| {
                hasher.climb(&mut top, filler);
                merkle::parent(filler, filler)
            });
            layer.append(&mut top);
        }
        let mut filler = merkle::pad(level + FINE_HEIGHT);
        let mut coarse = Vec::new();
        while layer.len() > 1 {
            let mut next = Vec::new();
            hasher.extend(&mut next, &layer, filler);
            coarse.push(std::mem::replace(&mut layer, next));
            filler = merkle::parent(filler, filler);
        }
        let root = layer.first().copied().unwrap_or(filler);
        PieceLayer { nodes, level, coarse: coarse.into(), root }
    }

    /// What lies above all pieces: the file's `pieces root`, if they are right.
    pub(crate) fn root(&self) -> Sha256 {
        self.root
    }

    pub(crate) fn nodes(&self) -> &[Sha256] {
        &self.nodes
    }

    /// Layers above the leaves of the whole file.
    fn height(&self) -> u32 {
        self.level + merkle::height(self.nodes.len())
    }

    /// The answer to a hash request for this layer; `None` if it is for another layer or does not
    /// fit the tree.
    pub(crate) fn prove_pieces(&self, range: HashRange) -> Option<Vec<Sha256>> {
        if range.base != self.level || !range.fits(self.height()) {
            return None;
        }
        let (first, filler) = (range.index as usize, merkle::pad(self.level));
        let nodes = (first..first + range.length as usize).map(|at| self.nodes.get(at));
        let mut hashes: Vec<_> = nodes.map(|node| node.copied().unwrap_or(filler)).collect();
        hashes.extend(range.uncles().map(|(layer, index)| self.node(layer - self.level, index)));
        Some(hashes)
    }

    /// The answer to a hash request for leaves of one piece, out of all leaves of that piece;
    /// `None` if it is for another layer, for more than a piece, or does not fit the tree.
    pub(crate) fn prove_leaves(&self, range: HashRange, leaves: &[Sha256]) -> Option<Vec<Sha256>> {
        if range.base != 0 || range.length > 1 << self.level || !range.fits(self.height()) {
            return None;
        }
        let piece = (range.index >> self.level) << self.level;
        let first = (range.index - piece) as usize;
        let nodes = first..first + range.length as usize;
        let mut hashes: Vec<_> = nodes.map(|at| merkle::node_above(leaves, 0, 0, at)).collect();
        hashes.extend(range.uncles().map(|(layer, index)| match layer.checked_sub(self.level) {
            Some(height) => self.node(height, index),
            None => merkle::node_above(leaves, 0, layer, index - (piece as usize >> layer)),
        }));
        Some(hashes)
    }

    /// A node by its height above the pieces; behind the end of the file, padding.
    fn node(&self, height: u32, index: usize) -> Sha256 {
        if let Some(kept) = height.checked_sub(FINE_HEIGHT) {
            let node = self.coarse.get(kept as usize).and_then(|layer| layer.get(index));
            return node.copied().unwrap_or_else(|| merkle::pad(self.level + height));
        }
        merkle::node_above(&self.nodes, self.level, height, index)
    }
}

impl std::fmt::Debug for PieceLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PieceLayer({} pieces under {})", self.nodes.len(), self.root)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::ProptestConfig;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::*;

    fn leaves(count: u32) -> Vec<Sha256> {
        (0..count).map(|number| Sha256::of(&number.to_be_bytes())).collect()
    }

    /// A file of so many blocks in pieces of `2^level` blocks.
    fn layer(blocks: u32, level: u32) -> (Vec<Sha256>, PieceLayer) {
        let leaves = leaves(blocks);
        let roots = leaves.chunks(1 << level).map(|piece| merkle::root(piece, 1 << level));
        let layer = PieceLayer::new(roots.collect(), level, Lanes::detect());
        (leaves, layer)
    }

    #[test]
    fn only_what_lies_in_the_tree_is_proved() {
        let (leaves, layer) = layer(5_000, 2);
        let range =
            |base, index, length, proof_layers| HashRange { base, index, length, proof_layers };
        assert_eq!(layer.height(), 13);
        assert_eq!(layer.prove_pieces(range(2, 1_024, 512, 10)).map(|h| h.len()), Some(514));
        assert_eq!(layer.prove_pieces(range(2, 2_048, 512, 10)), None, "behind the tree");
        assert_eq!(layer.prove_pieces(range(2, 0, 512, 11)), None, "beyond the root");
        assert_eq!(layer.prove_pieces(range(1, 0, 512, 0)), None, "another layer");
        assert_eq!(
            layer.prove_leaves(range(0, 8, 4, 12), &leaves[8..12]).map(|h| h.len()),
            Some(15)
        );
        assert_eq!(layer.prove_leaves(range(0, 8, 8, 12), &leaves[8..16]), None, "two pieces");
        assert_eq!(layer.prove_leaves(range(1, 8, 2, 0), &leaves[8..12]), None, "another layer");
    }

    #[test]
    fn what_is_kept_above_the_pieces_is_little() {
        let nodes: Arc<[Sha256]> = vec![Sha256([1; 32]); 100_000].into();
        let layer = PieceLayer::new(nodes, 0, Lanes::PORTABLE);
        let kept: usize = layer.coarse.iter().map(|layer| layer.len()).sum();
        assert!(kept <= 100_000 / 200, "{kept}");
        assert_eq!(layer.coarse.last().map(|layer| layer.len()), Some(2), "right below the root");
    }

    proptest! {
        // Each case hashes some ten thousand nodes.
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn proofs_are_those_of_the_whole_tree(
            blocks in 20..9_000u32, level in 0..4u32, at in 0..9_000u32, log in 0..10u32,
        ) {
            let (leaves, layer) = layer(blocks, level);
            let whole = merkle::root(&leaves, 1);
            prop_assert_eq!(layer.root(), whole);
            let height = layer.height();
            let (length, base) = (1 << log, level);
            let index = at % layer.nodes().len() as u32 / length * length;
            let proof_layers = HashRange::proof_layers_to(base, height);
            let range = HashRange { base, index, length, proof_layers };
            let proof = layer.prove_pieces(range);
            prop_assert_eq!(proof.clone(), merkle::prove(layer.nodes(), height, range));
            if let Some(hashes) = proof {
                prop_assert_eq!(merkle::verify(&hashes, whole, height, range), true);
            }
            let length = 1 << log.min(level);
            let index = at % blocks / length * length;
            let proof_layers = HashRange::proof_layers_to(0, height);
            let range = HashRange { base: 0, index, length, proof_layers };
            let piece = (index >> level) as usize;
            let own = leaves.chunks(1 << level).nth(piece).unwrap();
            let proof = layer.prove_leaves(range, own);
            prop_assert_eq!(proof, merkle::prove(&leaves, height, range));
        }
    }
}
