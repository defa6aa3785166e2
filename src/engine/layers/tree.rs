//! One file's piece layer while it is fetched, in parts of 512 that are proved one by one.

use std::ops::Range;

use crate::base::digest::Sha256;
use crate::base::limits::HASH_REQUEST_LEN_MAX;
use crate::codec::hash_request::HashRequest;
use crate::content::merkle;
use crate::content::merkle::HashRange;

/// Roots of pieces per part.
pub(crate) const PART_LEN: u32 = HASH_REQUEST_LEN_MAX;

/// A file of more than one piece, whose root is known and whose piece layer is not.
#[derive(Debug)]
pub(crate) struct Tree {
    root: Sha256,
    /// Its pieces in the torrent.
    pieces: Range<u32>,
    /// The layer of the pieces above the leaves.
    base: u32,
    /// The layer of the root above the leaves.
    height: u32,
    /// The layer without padding; empty until a part of it is known.
    roots: Vec<Sha256>,
    is_known: Vec<bool>,
    known_count: usize,
}

impl Tree {
    /// `base`: log2 of the blocks in a piece.
    pub(crate) fn new(root: Sha256, pieces: Range<u32>, base: u32) -> Tree {
        let count = pieces.len() as u32;
        let height = base + merkle::height(count as usize);
        let is_known = vec![false; count.div_ceil(PART_LEN) as usize];
        Tree { root, pieces, base, height, roots: Vec::new(), is_known, known_count: 0 }
    }

    pub(crate) fn pieces(&self) -> Range<u32> {
        self.pieces.clone()
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.known_count == self.is_known.len()
    }

    pub(crate) fn part_count(&self) -> usize {
        self.is_known.len()
    }

    /// The pieces in the torrent whose roots stand in `part`.
    pub(crate) fn pieces_of(&self, part: usize) -> Range<u32> {
        let start = self.pieces.start.saturating_add(part as u32 * PART_LEN);
        start..start.saturating_add(PART_LEN).min(self.pieces.end)
    }

    /// The root of a piece, by its number in the torrent.
    pub(crate) fn root_of(&self, piece: u32) -> Option<Sha256> {
        let at = piece.checked_sub(self.pieces.start)? as usize;
        let is_known = *self.is_known.get(at / PART_LEN as usize)?;
        self.roots.get(at).copied().filter(|_| is_known)
    }

    /// The whole layer, once it is known.
    pub(crate) fn layer(&self) -> Option<&[Sha256]> {
        self.is_complete().then_some(&self.roots)
    }

    /// What a peer is asked for `part`: as many nodes as it has, proved up to the root.
    pub(crate) fn request(&self, part: usize) -> HashRequest {
        let length = self.pieces_of(part).len().next_power_of_two().max(2) as u32;
        let proof_layers = HashRange::proof_layers_to(self.base, self.height);
        let index = part as u32 * PART_LEN;
        HashRequest { root: self.root, base: self.base, index, length, proof_layers }
    }

    /// Keeps the answer to [`Tree::request`], if it is proved.
    #[must_use]
    pub(crate) fn learn(&mut self, part: usize, hashes: &[Sha256]) -> bool {
        let range = HashRange::of(&self.request(part));
        if !merkle::verify(hashes, self.root, self.height, range) {
            return false;
        }
        if self.is_complete() {
            return true;
        }
        self.roots.resize(self.pieces.len(), self.root);
        let (start, count) = (part * PART_LEN as usize, self.pieces_of(part).len());
        let place = self.roots.get_mut(start..start + count);
        if let (Some(place), Some(roots)) = (place, hashes.get(..count)) {
            place.copy_from_slice(roots);
            self.known_count += usize::from(!std::mem::replace(&mut self.is_known[part], true));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots(count: u32) -> Vec<Sha256> {
        (0..count).map(|number| Sha256::of(&number.to_be_bytes())).collect()
    }

    /// A tree of `count` pieces from piece 3 on, four blocks each, and its layer.
    fn tree(count: u32) -> (Tree, Vec<Sha256>) {
        let layer = roots(count);
        let root = merkle::root_above(&layer, 2, 1);
        (Tree::new(root, 3..3 + count, 2), layer)
    }

    fn answer(tree: &Tree, layer: &[Sha256], part: usize) -> Vec<Sha256> {
        merkle::prove(layer, tree.height, HashRange::of(&tree.request(part))).expect("it fits")
    }

    #[test]
    fn a_layer_is_asked_for_in_parts_of_512_and_known_when_all_are_there() {
        for (count, lengths) in [(2, vec![2]), (5, vec![8]), (512, vec![512]), (513, vec![512, 2])]
        {
            let (mut tree, layer) = tree(count);
            let asked: Vec<u32> =
                (0..tree.part_count()).map(|part| tree.request(part).length).collect();
            assert_eq!(asked, lengths, "{count} pieces");
            for part in (0..tree.part_count()).rev() {
                assert!(!tree.is_complete() && tree.layer().is_none());
                let request = tree.request(part);
                assert!(request.is_sound(), "{request:?}");
                let hashes = answer(&tree, &layer, part);
                assert_eq!(hashes.len(), request.hash_count() as usize);
                assert!(tree.learn(part, &hashes));
            }
            assert!(tree.is_complete());
            assert_eq!(tree.layer(), Some(&layer[..]));
            for piece in 0..count {
                assert_eq!(tree.root_of(3 + piece), Some(layer[piece as usize]));
            }
            assert_eq!((tree.root_of(2), tree.root_of(3 + count)), (None, None));
        }
    }

    #[test]
    fn one_wrong_hash_anywhere_spoils_the_answer_and_nothing_is_kept() {
        let (mut tree, layer) = tree(1300);
        let good = answer(&tree, &layer, 1);
        for at in [0, 1, 511, 512, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] = Sha256([1; 32]);
            assert!(!tree.learn(1, &bad), "hash {at}");
        }
        assert!(!tree.learn(1, &good[..good.len() - 1]) && !tree.learn(0, &good));
        assert_eq!(tree.root_of(3 + 512), None);
        assert!(tree.learn(1, &good) && tree.learn(1, &good));
        assert!(!tree.is_complete(), "twice the same part is one part");
        assert_eq!(tree.root_of(3 + 512), Some(layer[512]));
    }
}
