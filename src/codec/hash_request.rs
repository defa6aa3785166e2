//! Hash requests and their answers: nodes of a file's hash tree, asked of a peer (BEP 52, messages
//! 21 to 23).

use crate::base::digest::Sha256;
use crate::base::limits::HASH_REQUEST_LEN_MAX;
use crate::base::limits::HASH_TREE_HEIGHT_MAX;

/// Bytes of a request, and of what stands before the hashes in an answer: root, four numbers.
pub(crate) const HASH_REQUEST_LEN: usize = 48;
/// Bytes of a hash.
pub(crate) const HASH_LEN: usize = 32;
/// Most hashes in an answer: the nodes that were asked for, and an uncle for each layer above.
pub(crate) const HASH_COUNT_MAX: u32 = HASH_REQUEST_LEN_MAX + HASH_TREE_HEIGHT_MAX;

/// Nodes of one layer of one file's hash tree, and how far up they shall be proved. Numbers are as
/// on the wire, see [`HashRequest::is_sound`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct HashRequest {
    /// The root of the file's tree (`pieces root`), which names the file.
    pub(crate) root: Sha256,
    /// The layer of the nodes; 0 holds the leaves, which are hashes of blocks of 16 KiB.
    pub(crate) base: u32,
    /// The first node in its layer.
    pub(crate) index: u32,
    /// Nodes asked for.
    pub(crate) length: u32,
    /// Layers above the base for which the answer shall hold what proves the nodes.
    pub(crate) proof_layers: u32,
}

impl HashRequest {
    pub(crate) fn encode(&self) -> [u8; HASH_REQUEST_LEN] {
        let mut wire = [0; HASH_REQUEST_LEN];
        wire[..HASH_LEN].copy_from_slice(self.root.as_bytes());
        let numbers = [self.base, self.index, self.length, self.proof_layers];
        for (place, number) in wire[HASH_LEN..].chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        wire
    }

    pub(crate) fn decode(wire: &[u8; HASH_REQUEST_LEN]) -> HashRequest {
        let mut root = [0; HASH_LEN];
        root.copy_from_slice(&wire[..HASH_LEN]);
        let number =
            |at: usize| u32::from_be_bytes([wire[at], wire[at + 1], wire[at + 2], wire[at + 3]]);
        HashRequest {
            root: Sha256(root),
            base: number(32),
            index: number(36),
            length: number(40),
            proof_layers: number(44),
        }
    }

    /// Whether it asks for something that any tree may hold: a power of two of nodes, not more than
    /// `HASH_REQUEST_LEN_MAX`, aligned to their own number, in layers that exist (BEP 52). A length
    /// of one is let through though BEP 52 starts at two: libtorrent asks for the last piece of 513
    /// by itself.
    pub(crate) fn is_sound(&self) -> bool {
        self.length.is_power_of_two()
            && self.length <= HASH_REQUEST_LEN_MAX
            && self.index.is_multiple_of(self.length)
            && self.base <= HASH_TREE_HEIGHT_MAX
            && self.proof_layers <= HASH_TREE_HEIGHT_MAX - self.base
    }

    /// Hashes in the answer to a sound request: the nodes, and an uncle for each proof layer that
    /// the nodes alone do not give.
    pub(crate) fn hash_count(&self) -> u32 {
        let given = self.length.max(1).ilog2();
        self.length.saturating_add((self.proof_layers.saturating_add(1)).saturating_sub(given))
    }

    /// Whether an answer of `length` bytes of hashes is what a sound request gets.
    pub(crate) fn is_answered_by(&self, length: usize) -> bool {
        self.is_sound() && length == self.hash_count() as usize * HASH_LEN
    }
}

/// The hashes in the bytes of an answer; a rest that is no whole hash is left out.
pub(crate) fn hashes(wire: &[u8]) -> impl Iterator<Item = Sha256> {
    wire.as_chunks::<HASH_LEN>().0.iter().map(|hash| Sha256(*hash))
}

#[cfg(test)]
mod tests {
    use proptest::prop_assert;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::*;

    fn request(base: u32, index: u32, length: u32, proof_layers: u32) -> HashRequest {
        HashRequest { root: Sha256([7; 32]), base, index, length, proof_layers }
    }

    #[test]
    fn wire_bytes_are_those_of_the_specification() {
        let wire = request(1, 0x0200, 0x0100, 9).encode();
        assert_eq!(wire[..32], [7; 32]);
        assert_eq!(wire[32..], [0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 9]);
    }

    #[test]
    fn a_sound_request_is_aligned_bounded_and_a_power_of_two() {
        for length in [1, 2, 4, 512] {
            assert!(request(0, 512, length, 3).is_sound(), "{length}");
        }
        let wrong = [
            (0, 0, 0, 0),
            (0, 0, 3, 0),
            (0, 0, 1024, 0),
            (0, 1, 2, 0),
            (0, 256, 512, 0),
            (HASH_TREE_HEIGHT_MAX + 1, 0, 2, 0),
            (1, 0, 2, HASH_TREE_HEIGHT_MAX),
            (u32::MAX, 0, 2, u32::MAX),
            (0, 0, u32::MAX, 0),
        ];
        for (base, index, length, proof_layers) in wrong {
            let wrong = request(base, index, length, proof_layers);
            assert!(!wrong.is_sound(), "{wrong:?}");
        }
    }

    #[test]
    fn proof_layers_that_the_nodes_give_bring_no_uncles() {
        let rows = [
            // length, proof layers, hashes
            (2, 0, 2),
            (2, 1, 3),
            (2, 5, 7),
            (4, 1, 4),
            (4, 2, 5),
            (512, 8, 512),
            (512, 9, 513),
            (1, 0, 2),
        ];
        for (length, proof_layers, count) in rows {
            let request = request(0, 0, length, proof_layers);
            assert_eq!(request.hash_count(), count, "{request:?}");
            assert!(request.is_answered_by(count as usize * 32));
            assert!(!request.is_answered_by(count as usize * 32 + 1));
            assert!(!request.is_answered_by(count as usize * 32 - 32));
        }
        assert!(!request(0, 0, 3, 0).is_answered_by(3 * 32), "nobody may ask that");
    }

    #[test]
    fn hashes_come_out_in_order() {
        let wire = [[1; 32], [2; 32]].concat();
        assert_eq!(hashes(&wire).collect::<Vec<_>>(), [Sha256([1; 32]), Sha256([2; 32])]);
    }

    proptest! {
        #[test]
        fn every_request_round_trips(
            root: [u8; 32], base: u32, index: u32, length: u32, proof_layers: u32,
        ) {
            let root = Sha256(root);
            let request = HashRequest { root, base, index, length, proof_layers };
            prop_assert_eq!(HashRequest::decode(&request.encode()), request);
            prop_assert!(!request.is_sound() || request.hash_count() <= HASH_COUNT_MAX);
        }

        #[test]
        fn any_bytes_are_a_request(wire: [u8; HASH_REQUEST_LEN]) {
            prop_assert_eq!(HashRequest::decode(&wire).encode(), wire);
        }
    }
}
