//! Nodes of hash trees (BEP 52), as many at once as the lanes take: SHA-256 over two digests each.

use std::fmt;

use crate::base::digest::Algorithm;
use crate::base::digest::Digest;
use crate::base::digest::Sha256;
use crate::base::digest_lanes::LANE_MAX;
use crate::base::digest_lanes::Lanes;
use crate::base::digest_lanes::ways::Lane;

/// What stands behind 64 bytes in their second block: one bit, zeros, and 512 bits of length
/// (FIPS 180-4, 5.1.1).
const PADDING: [u8; 64] = {
    let mut padding = [0; 64];
    padding[0] = 0x80;
    padding[62] = 2;
    padding
};

/// Hashes pairs of nodes. Their blocks stand side by side here, the padding written once: a stream
/// for each, and padding each anew, takes half as long again as the hashing.
pub(crate) struct NodeHasher {
    lanes: Lanes,
    blocks: [[[u8; 64]; 2]; LANE_MAX],
}

impl fmt::Debug for NodeHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeHasher({:?})", self.lanes)
    }
}

impl NodeHasher {
    /// 2 KiB: made once for many nodes.
    pub(crate) fn new(lanes: Lanes) -> NodeHasher {
        NodeHasher { lanes, blocks: [[[0; 64], PADDING]; LANE_MAX] }
    }

    /// Puts the layer above `below` behind what is in `above`; `filler` stands behind the end of a
    /// layer of odd length.
    pub(crate) fn extend(&mut self, above: &mut Vec<Sha256>, below: &[Sha256], filler: Sha256) {
        above.reserve(below.len().div_ceil(2));
        for below in below.chunks(2 * LANE_MAX) {
            let (nodes, count) = self.parents(below, filler);
            above.extend_from_slice(&nodes[..count]);
        }
    }

    /// Turns a layer into the one above it.
    pub(crate) fn climb(&mut self, layer: &mut Vec<Sha256>, filler: Sha256) {
        let total = layer.len().div_ceil(2);
        for start in (0..total).step_by(LANE_MAX) {
            // What is written lies before whatever is still to be read.
            let below = &layer[2 * start..layer.len().min(2 * (start + LANE_MAX))];
            let (nodes, count) = self.parents(below, filler);
            layer[start..start + count].copy_from_slice(&nodes[..count]);
        }
        layer.truncate(total);
    }

    /// The nodes above up to twice `LANE_MAX` others, and how many they are.
    fn parents(&mut self, below: &[Sha256], filler: Sha256) -> ([Sha256; LANE_MAX], usize) {
        let mut count = 0;
        for (pair, blocks) in below.chunks(2).zip(&mut self.blocks) {
            blocks[0][..32].copy_from_slice(pair[0].as_bytes());
            blocks[0][32..].copy_from_slice(pair.get(1).unwrap_or(&filler).as_bytes());
            count += 1;
        }
        let mut states = [Algorithm::Sha256.start(); LANE_MAX];
        let mut blocks = self.blocks.iter();
        let mut group = states.each_mut().map(|state| {
            let blocks = blocks.next().map_or(&[][..], |blocks| &blocks[..]);
            Lane { state, blocks }
        });
        self.lanes.compress(Algorithm::Sha256, &mut group[..count]);
        (states.map(|state| Sha256::of_state(&state)), count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest_lanes::ways::Way;

    #[test]
    fn a_layer_is_the_digests_of_its_pairs_by_every_way_for_every_length() {
        let below: Vec<Sha256> = (0..80u8).map(|at| Sha256::of(&[at])).collect();
        let filler = Sha256::of(b"filler");
        let node = |pair: &[Sha256]| {
            let right = pair.get(1).unwrap_or(&filler);
            Sha256::of(&[pair[0].as_bytes().as_slice(), right.as_bytes()].concat())
        };
        for lanes in Way::all().into_iter().map(Lanes::only).chain([Lanes::detect()]) {
            let mut hasher = NodeHasher::new(lanes);
            for length in 0..below.len() {
                let mut expected = vec![filler];
                expected.extend(below[..length].chunks(2).map(node));
                let mut above = vec![filler];
                hasher.extend(&mut above, &below[..length], filler);
                assert_eq!(above, expected, "{length} nodes, {hasher:?}");
                let mut layer = below[..length].to_vec();
                hasher.climb(&mut layer, filler);
                assert_eq!(layer, expected[1..], "{length} nodes in place, {hasher:?}");
            }
        }
    }
}
