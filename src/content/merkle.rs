//! Hash trees of v2 files (BEP 52): roots, the padding behind the end of a file, proofs.
//!
//! A leaf is the SHA-256 of a block of 16 KiB, of the rest for the last one; a node is the SHA-256
//! of its two children. Layer 0 holds the leaves; layers are counted up to the root. What lies
//! behind the last block of a file is padding: leaves of 32 zero bytes.

use crate::base::digest::Sha256;
use crate::base::limits::HASH_TREE_HEIGHT_MAX;
use crate::codec::hash_request::HashRequest;

/// The root of `2^level` leaves that all lie behind the end of a file: the padding of layer
/// `level`.
pub(crate) fn pad(level: u32) -> Sha256 {
    (0..level).fold(Sha256([0; 32]), |node, _| parent(node, node))
}

/// The node above two others.
pub(crate) fn parent(left: Sha256, right: Sha256) -> Sha256 {
    Sha256::of(&join(&[left, right], right))
}

/// The root over leaves that are padded to `width`, a power of two. More leaves than that count as
/// if the tree were just wide enough for them.
pub(crate) fn root(leaves: &[Sha256], width: u32) -> Sha256 {
    root_above(leaves, 0, width)
}

/// The root over nodes of the layer `level` that are padded to `width` nodes, a power of two.
pub(crate) fn root_above(nodes: &[Sha256], level: u32, width: u32) -> Sha256 {
    let steps = height(nodes.len().max(width as usize));
    if steps == 0 {
        return nodes.first().copied().unwrap_or_else(|| pad(level));
    }
    let mut filler = pad(level);
    // The first step makes the copy, so that it is half as long.
    let mut layer: Vec<Sha256> =
        nodes.chunks(2).map(|pair| Sha256::of(&join(pair, filler))).collect();
    for _ in 1..steps {
        filler = parent(filler, filler);
        climb(&mut layer, filler);
    }
    layer.first().copied().unwrap_or_else(|| parent(filler, filler))
}

/// One or two nodes as the bytes that the node above them is over.
fn join(pair: &[Sha256], filler: Sha256) -> [u8; 64] {
    let node = |at| pair.get(at).copied().unwrap_or(filler);
    let mut both = [0; 64];
    both[..32].copy_from_slice(node(0).as_bytes());
    both[32..].copy_from_slice(node(1).as_bytes());
    both
}

/// Layers above one of `nodes` nodes.
pub(crate) fn height(nodes: usize) -> u32 {
    nodes.max(1).next_power_of_two().ilog2()
}

/// The node at `index`, `height` layers above nodes of the layer `level`; padding behind their end.
/// Costs `2^height` hashes at most.
pub(crate) fn node_above(nodes: &[Sha256], level: u32, height: u32, index: usize) -> Sha256 {
    let start = index << height;
    let end = (start + (1 << height)).min(nodes.len());
    match nodes.get(start..end) {
        Some(below) if !below.is_empty() => root_above(below, level, 1 << height),
        _ => pad(level + height),
    }
}

/// Turns a layer into the one above it, in place.
fn climb(layer: &mut Vec<Sha256>, filler: Sha256) {
    let count = layer.len().div_ceil(2);
    for index in 0..count {
        let pair = layer.get(2 * index..).unwrap_or_default();
        layer[index] = Sha256::of(&join(pair.get(..2).unwrap_or(pair), filler));
    }
    layer.truncate(count);
}

/// Which nodes of one file's tree a hash request asks for (BEP 52, hash request).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HashRange {
    /// The layer, counted from the leaves.
    pub(crate) base: u32,
    /// The first node in the layer; a multiple of `length`.
    pub(crate) index: u32,
    /// Nodes; a power of two. BEP 52 says at least 2, but libtorrent asks for the last piece of 513
    /// by itself.
    pub(crate) length: u32,
    /// Layers above the base for which the answer holds what proves the nodes.
    pub(crate) proof_layers: u32,
}

impl HashRange {
    /// What a request names in the tree that it is about.
    pub(crate) fn of(request: &HashRequest) -> HashRange {
        let HashRequest { base, index, length, proof_layers, .. } = *request;
        HashRange { base, index, length, proof_layers }
    }

    /// Whether the range lies in a tree of `height` layers above the leaves, is aligned, and asks
    /// for no proof beyond the root.
    pub(crate) fn fits(&self, height: u32) -> bool {
        let Some(above) = height.min(HASH_TREE_HEIGHT_MAX).checked_sub(self.base) else {
            return false;
        };
        let end = u64::from(self.index) + u64::from(self.length);
        self.length.is_power_of_two()
            && self.index.is_multiple_of(self.length)
            && end <= 1 << above
            && self.proof_layers < above
    }

    /// Nodes behind the base nodes in an answer: one for each proof layer that the base nodes alone
    /// do not give.
    pub(crate) fn uncle_count(&self) -> u32 {
        let known = self.length.max(1).ilog2();
        self.proof_layers.saturating_add(1).saturating_sub(known)
    }

    /// Layer and index of the nodes behind the base nodes in an answer.
    pub(crate) fn uncles(self) -> impl Iterator<Item = (u32, usize)> {
        let known = self.length.max(1).ilog2();
        let heights = known..known.saturating_add(self.uncle_count()).min(HASH_TREE_HEIGHT_MAX);
        heights.map(move |height| {
            let index = u64::from(self.index) >> height;
            (self.base + height, index as usize ^ 1)
        })
    }

    /// The proof layers that reach to right below the root of a tree of `height` layers.
    pub(crate) fn proof_layers_to(base: u32, height: u32) -> u32 {
        height.saturating_sub(base).saturating_sub(1)
    }
}

/// The answer to a hash request, out of the whole layer `range.base` of a tree of `height` layers;
/// nodes behind its end are padding. The base nodes come first, then the uncles upwards. `None` if
/// the range does not fit the tree.
pub(crate) fn prove(layer: &[Sha256], height: u32, range: HashRange) -> Option<Vec<Sha256>> {
    if !range.fits(height) {
        return None;
    }
    let first = range.index as usize;
    let node = |layer: &[Sha256], index: usize, filler| layer.get(index).copied().unwrap_or(filler);
    let mut filler = pad(range.base);
    let end = first + range.length as usize;
    let mut hashes: Vec<_> = (first..end).map(|index| node(layer, index, filler)).collect();
    let mut layer = layer.to_vec();
    let mut index = first;
    let known = range.length.ilog2();
    for step in 0..known + range.uncle_count() {
        if step >= known {
            hashes.push(node(&layer, index ^ 1, filler));
        }
        climb(&mut layer, filler);
        filler = parent(filler, filler);
        index /= 2;
    }
    Some(hashes)
}

/// Whether the answer to a request, base nodes and then uncles, belongs to the tree of which `root`
/// is a node: the one right above the last uncle, in the layer `height`.
pub(crate) fn verify(hashes: &[Sha256], root: Sha256, height: u32, range: HashRange) -> bool {
    let known = range.length.max(1).ilog2();
    let top = range.base.saturating_add(known).saturating_add(range.uncle_count());
    let is_complete = top == height;
    let Some((base, uncles)) = hashes.split_at_checked(range.length as usize) else { return false };
    if !is_complete || !range.length.is_power_of_two() || uncles.len() as u32 != range.uncle_count()
    {
        return false;
    }
    let mut index = range.index >> known;
    let mut node = root_above(base, range.base, range.length);
    for uncle in uncles {
        node = if index.is_multiple_of(2) { parent(node, *uncle) } else { parent(*uncle, node) };
        index /= 2;
    }
    node == root
}

#[cfg(test)]
mod tests {
    use proptest::prop_assert;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::*;

    fn leaves(count: u32) -> Vec<Sha256> {
        (0..count).map(|number| Sha256::of(&number.to_be_bytes())).collect()
    }

    #[test]
    fn a_tree_of_three_leaves_is_padded_with_a_zero_leaf() {
        let l = leaves(3);
        let zero = Sha256([0; 32]);
        let expected = parent(parent(l[0], l[1]), parent(l[2], zero));
        assert_eq!(root(&l, 4), expected);
        assert_eq!(root(&l, 1), expected, "never narrower than its leaves");
        assert_eq!(root(&l, 8), parent(expected, pad(2)));
        assert_eq!(root(&l[..1], 1), l[0], "a file of one block is its own root");
        assert_eq!((root(&[], 1), root(&[], 4)), (zero, pad(2)));
    }

    #[test]
    fn a_layer_of_piece_roots_is_padded_with_roots_of_padding() {
        let l = leaves(12);
        let pieces: Vec<_> = l.chunks(4).map(|piece| root(piece, 4)).collect();
        assert_eq!(root_above(&pieces, 2, 4), root(&l, 16));
    }

    #[test]
    fn an_answer_holds_base_nodes_and_the_uncles_that_they_do_not_give() {
        let l = leaves(13);
        let range = |length, proof_layers| HashRange { base: 0, index: 8, length, proof_layers };
        let len = |range| prove(&l, 4, range).map(|hashes| hashes.len());
        assert_eq!(len(range(2, 0)), Some(2), "BEP 52: proofs are optional");
        assert_eq!(len(range(2, 3)), Some(2 + 3));
        assert_eq!(len(range(8, 3)), Some(8 + 1));
        assert_eq!(len(range(8, 2)), Some(8), "the base nodes give two layers");
        assert_eq!(len(range(2, 4)), None, "beyond the root");
        for (base, index, length) in [(0, 8, 0), (0, 8, 3), (0, 9, 2), (0, 16, 2), (4, 0, 1)] {
            let range = HashRange { base, index, length, proof_layers: 0 };
            assert_eq!(prove(&l, 4, range), None, "{range:?}");
        }
        assert_eq!(prove(&l, 99, HashRange { base: 98, ..range(2, 0) }), None);
        let huge = HashRange { base: u32::MAX, ..range(2, u32::MAX) };
        assert!(prove(&l, 4, huge).is_none() && !verify(&l, root(&l, 16), 4, huge));
    }

    proptest! {
        #[test]
        fn what_is_proved_verifies_and_nothing_else_does(
            count in 2..70u32, at in 0..64u32, log in 0..7u32, base in 0..3u32,
            flip in 0..1_000usize,
        ) {
            let l = leaves(count);
            let height = height(l.len());
            let layer: Vec<_> = l.chunks(1 << base).map(|c| root(c, 1 << base)).collect();
            let length = 1 << log;
            let proof_layers = HashRange::proof_layers_to(base, height);
            let range = HashRange { base, index: at / length * length, length, proof_layers };
            let whole = root(&l, 1);
            let Some(mut hashes) = prove(&layer, height, range) else {
                return Ok(());
            };
            prop_assert_eq!(hashes.len() as u32, length + range.uncle_count());
            prop_assert!(verify(&hashes, whole, height, range));
            prop_assert!(!verify(&hashes[1..], whole, height, range));
            let at = flip % hashes.len();
            hashes[at].0[flip % 32] ^= 1;
            prop_assert!(!verify(&hashes, whole, height, range));
        }
    }
}
