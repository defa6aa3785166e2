//! The leaves of pieces that failed, fetched from peers: they say which block is wrong (BEP 52).

use std::collections::BTreeMap;

use crate::base::digest::Sha256;
use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::base::limits::HASH_REQUEST_LEN_MAX;
use crate::base::limits::LEAVES_MAX;
use crate::base::limits::LEAVES_TIMEOUT;
use crate::codec::hash_request::HashRequest;
use crate::content::merkle;
use crate::content::merkle::HashRange;

/// Where a piece stands in its file's tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PieceTree {
    /// The file's root, which names it to peers.
    pub(crate) file_root: Sha256,
    /// The root over the piece's leaves.
    pub(crate) root: Sha256,
    /// Leaves of the file before it.
    pub(crate) first_leaf: u32,
    /// Leaves, padding included: a power of two.
    pub(crate) width: u32,
}

/// The leaves of failed pieces, as far as they came; at most `LEAVES_MAX` pieces.
#[derive(Debug, Default)]
pub(crate) struct Leaves {
    pieces: BTreeMap<PieceIndex, Failed>,
}

#[derive(Debug)]
struct Failed {
    tree: PieceTree,
    leaves: Vec<Sha256>,
    /// By parts of `HASH_REQUEST_LEN_MAX`: whether they are there.
    is_known: Vec<bool>,
    until: Instant,
}

impl Leaves {
    /// Fetch the leaves of a piece; nothing happens when enough pieces wait for theirs.
    pub(crate) fn want(&mut self, now: Instant, piece: PieceIndex, tree: PieceTree) -> bool {
        let is_new = self.pieces.len() < LEAVES_MAX && !self.pieces.contains_key(&piece);
        if is_new && tree.width.is_power_of_two() {
            let width = tree.width as usize;
            let part_count = tree.width.div_ceil(HASH_REQUEST_LEN_MAX) as usize;
            // The root of one leaf is that leaf: nobody need be asked.
            let is_known = vec![width == 1; part_count];
            let (leaves, until) = (vec![tree.root; width], now + LEAVES_TIMEOUT);
            self.pieces.insert(piece, Failed { tree, leaves, is_known, until });
        }
        is_new
    }

    /// All leaves of the piece, padding included, if they are there.
    pub(crate) fn get(&self, piece: PieceIndex) -> Option<&[Sha256]> {
        let failed = self.pieces.get(&piece)?;
        failed.is_known.iter().all(|is_known| *is_known).then_some(&failed.leaves)
    }

    pub(crate) fn forget(&mut self, piece: PieceIndex) {
        self.pieces.remove(&piece);
    }

    /// Parts that nobody has sent yet.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = (PieceIndex, u32)> + '_ {
        self.pieces.iter().flat_map(|(piece, failed)| {
            let parts = (0..).zip(&failed.is_known).filter(|(_, is_known)| !**is_known);
            parts.map(|(part, _)| (*piece, part))
        })
    }

    /// What a peer is asked for a part: the leaves, proved up to the piece's root.
    pub(crate) fn request(&self, piece: PieceIndex, part: u32) -> Option<HashRequest> {
        let tree = self.pieces.get(&piece)?.tree;
        let length = tree.width.min(HASH_REQUEST_LEN_MAX);
        let index = tree.first_leaf.checked_add(part.checked_mul(length)?)?;
        let proof_layers = HashRange::proof_layers_to(0, tree.width.ilog2());
        Some(HashRequest { root: tree.file_root, base: 0, index, length, proof_layers })
    }

    /// Keeps the answer to [`Leaves::request`]; false if it is not proved.
    #[must_use]
    pub(crate) fn learn(&mut self, piece: PieceIndex, part: u32, hashes: &[Sha256]) -> bool {
        let Some(request) = self.request(piece, part) else { return true };
        let Some(failed) = self.pieces.get_mut(&piece) else { return true };
        let (range, length) = (HashRange::of(&request), request.length);
        if !merkle::verify(hashes, failed.tree.root, failed.tree.width.ilog2(), range) {
            return false;
        }
        let start = part as usize * length as usize;
        let place = failed.leaves.get_mut(start..start + length as usize);
        if let (Some(place), Some(leaves)) = (place, hashes.get(..length as usize)) {
            place.copy_from_slice(leaves);
            failed.is_known[part as usize] = true;
        }
        true
    }

    /// Gives up what did not come in time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.pieces.retain(|_, failed| failed.until > now);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.pieces.values().map(|failed| failed.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::layout::Layout;

    /// A piece of `width` leaves, the second of its file, and its leaves.
    fn piece(width: u32) -> (PieceTree, Vec<Sha256>) {
        let leaves: Vec<_> = (0..width).map(|number| Sha256::of(&number.to_be_bytes())).collect();
        let root = merkle::root(&leaves, width);
        (PieceTree { file_root: Sha256([9; 32]), root, first_leaf: width, width }, leaves)
    }

    fn index(raw: u32) -> PieceIndex {
        Layout::new(100 << 14, 1 << 14).unwrap().piece(raw).unwrap()
    }

    #[test]
    fn leaves_come_in_parts_that_are_proved_up_to_the_pieces_root() {
        for width in [2, 4, 512, 2048] {
            let (tree, leaves) = piece(width);
            let mut all = Leaves::default();
            assert!(all.want(Instant::ZERO, index(1), tree));
            let parts: Vec<_> = all.wanted().collect();
            assert_eq!(parts.len(), width.div_ceil(512) as usize);
            for (piece, part) in parts {
                assert_eq!(all.get(piece), None);
                let request = all.request(piece, part).unwrap();
                assert!(request.is_sound() && request.index >= width, "{request:?}");
                let range = HashRange {
                    base: 0,
                    index: request.index - width,
                    length: request.length,
                    proof_layers: request.proof_layers,
                };
                let mut hashes = merkle::prove(&leaves, width.ilog2(), range).unwrap();
                assert!(all.learn(piece, part, &hashes));
                hashes[1] = Sha256([0; 32]);
                assert!(!all.learn(piece, part, &hashes));
            }
            assert_eq!(all.get(index(1)), Some(&leaves[..]));
            assert_eq!(all.wanted().count(), 0);
            all.forget(index(1));
            assert_eq!(all.get(index(1)), None);
        }
    }

    #[test]
    fn a_piece_of_one_block_is_its_own_leaf_and_few_pieces_wait_and_not_for_ever() {
        let mut all = Leaves::default();
        let (tree, leaves) = piece(1);
        assert!(all.want(Instant::ZERO, index(0), tree));
        assert_eq!((all.get(index(0)), all.wanted().count()), (Some(&leaves[..]), 0));
        assert!(!all.want(Instant::ZERO, index(0), tree), "it is wanted already");
        let taken = (1..20).filter(|raw| all.want(Instant::ZERO, index(*raw), tree)).count();
        assert_eq!(taken, LEAVES_MAX - 1);
        assert_eq!(all.poll_timeout(), Some(Instant::ZERO + LEAVES_TIMEOUT));
        all.handle_timeout(Instant::ZERO + LEAVES_TIMEOUT);
        assert_eq!((all.get(index(0)), all.poll_timeout()), (None, None));
    }
}
