//! Blame: who spoilt a piece. Only evidence bans; an honest peer never pays for another's lie.
//!
//! When a piece fails, the digest and sender of each of its blocks are kept. A sole sender is
//! guilty at once. Otherwise the piece is fetched again, and when it passes, or the leaves of its
//! v2 tree become known, every sender of a block that differs from the good one is guilty.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::base::digest::Sha1;
use crate::base::digest::Sha256;
use crate::base::ids::PieceIndex;

/// Failed pieces whose evidence is kept per torrent. When full, the lowest index goes: without
/// evidence nobody is banned, which is the safe side.
const CASE_MAX: usize = 64;
/// Blocks whose evidence is kept per torrent: those of two pieces of the greatest length. Who is a
/// suspect is looked up among them, and a piece may fail again and again. When full, other pieces
/// go first.
const EVIDENCE_MAX: usize = 32 * 1024;

/// The open cases of one torrent.
#[derive(Debug, Default)]
pub(crate) struct Blame {
    cases: BTreeMap<PieceIndex, Vec<Evidence>>,
}

/// Who sent a block, and what it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Evidence {
    pub(crate) block: u32,
    pub(crate) sender: SocketAddr,
    pub(crate) digest: BlockDigest,
}

/// What tells the bytes of a block from others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BlockDigest {
    /// Its SHA-1: a piece of v1 keeps none per block, so that it is made for this.
    Whole(Sha1),
    /// Its leaf in the v2 tree.
    Leaf(Sha256),
}

impl BlockDigest {
    /// Whether the two stand for different bytes. Digests of different kinds prove nothing: the
    /// roots of a hybrid may become known between two failures of a piece.
    pub(crate) fn differs(self, other: BlockDigest) -> bool {
        match (self, other) {
            (BlockDigest::Whole(one), BlockDigest::Whole(other)) => one != other,
            (BlockDigest::Leaf(one), BlockDigest::Leaf(other)) => one != other,
            (BlockDigest::Whole(_), BlockDigest::Leaf(_))
            | (BlockDigest::Leaf(_), BlockDigest::Whole(_)) => false,
        }
    }
}

impl Blame {
    /// The piece failed. Returns who is guilty beyond doubt: the sole sender of all of it.
    pub(crate) fn piece_failed(
        &mut self,
        piece: PieceIndex,
        evidence: Vec<Evidence>,
    ) -> Option<SocketAddr> {
        let first = evidence.first()?.sender;
        if evidence.iter().all(|block| block.sender == first) {
            return Some(first);
        }
        let mut case = self.cases.remove(&piece).unwrap_or_default();
        if case.len() + evidence.len() > EVIDENCE_MAX {
            case.clear();
        }
        case.extend(evidence);
        let mut left = EVIDENCE_MAX.saturating_sub(case.len());
        let mut count = self.cases.len();
        self.cases.retain(|_, case| {
            let is_kept = count < CASE_MAX && case.len() <= left;
            count -= usize::from(!is_kept);
            left -= if is_kept { case.len() } else { 0 };
            is_kept
        });
        self.cases.insert(piece, case);
        None
    }

    /// Whether the piece failed before, so that its good blocks are worth a digest each.
    pub(crate) fn is_open(&self, piece: PieceIndex) -> bool {
        self.cases.contains_key(&piece)
    }

    /// The piece passed, or its leaves became known: `good` tells the digest of a block. Returns
    /// the guilty, each once.
    pub(crate) fn piece_known(
        &mut self,
        piece: PieceIndex,
        good: impl Fn(u32) -> Option<BlockDigest>,
    ) -> Vec<SocketAddr> {
        let mut guilty: Vec<SocketAddr> = Vec::new();
        for entry in self.cases.remove(&piece).unwrap_or_default() {
            let differs = good(entry.block).is_some_and(|digest| digest.differs(entry.digest));
            if differs && !guilty.contains(&entry.sender) {
                guilty.push(entry.sender);
            }
        }
        guilty
    }

    /// Peers named in an open case: they get whole pieces from now on, so that the next failure has
    /// one sender.
    pub(crate) fn is_suspect(&self, address: SocketAddr) -> bool {
        self.cases.values().flatten().any(|entry| entry.sender == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::layout::Layout;

    fn at(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 1))
    }

    fn whole(bytes: &[u8]) -> BlockDigest {
        BlockDigest::Whole(Sha1::of(bytes))
    }

    fn sent(block: u32, n: u8, bytes: &[u8]) -> Evidence {
        Evidence { block, sender: at(n), digest: whole(bytes) }
    }

    fn piece() -> PieceIndex {
        Layout::new(1 << 20, 1 << 18).unwrap().piece(1).unwrap()
    }

    #[test]
    fn a_sole_sender_is_guilty_at_once() {
        let mut blame = Blame::default();
        let guilty = blame.piece_failed(piece(), vec![sent(0, 1, b"x"), sent(1, 1, b"y")]);
        assert_eq!(guilty, Some(at(1)));
        assert!(!blame.is_open(piece()));
    }

    #[test]
    fn among_several_only_the_sender_of_the_differing_block_is_guilty() {
        let mut blame = Blame::default();
        let evidence = vec![sent(0, 1, b"good0"), sent(1, 2, b"BAD"), sent(2, 3, b"good2")];
        assert_eq!(blame.piece_failed(piece(), evidence), None);
        assert!(blame.is_suspect(at(1)) && blame.is_suspect(at(2)) && !blame.is_suspect(at(4)));
        let good = |block: u32| Some(whole(format!("good{block}").as_bytes()));
        assert_eq!(blame.piece_known(piece(), good), [at(2)]);
        assert!(!blame.is_suspect(at(1)), "the case is closed");
    }
    #[test]
    fn a_leaf_proves_nothing_against_a_digest_of_version_1() {
        let mut blame = Blame::default();
        blame.piece_failed(piece(), vec![sent(0, 1, b"x"), sent(1, 2, b"y")]);
        let leaf = |_| Some(BlockDigest::Leaf(Sha256::of(b"good")));
        assert_eq!(blame.piece_known(piece(), leaf), []);
    }

    #[test]
    fn a_piece_that_fails_again_and_again_takes_no_more_memory_than_a_bound() {
        let layout = Layout::new(1 << 30, 1 << 22).unwrap();
        let mut blame = Blame::default();
        let spoilt = |n: u8| (0..256).map(|block| sent(block, n + block as u8 % 2, b"x")).collect();
        for round in 0..1_000u32 {
            let piece = layout.piece(round % 100).unwrap();
            assert_eq!(blame.piece_failed(piece, spoilt(round as u8 % 200)), None);
            assert!(blame.is_open(piece) && blame.cases.len() <= CASE_MAX);
            assert!(blame.is_suspect(at(round as u8 % 200)), "the newest counts");
            let kept: usize = blame.cases.values().map(Vec::len).sum();
            assert!(kept <= EVIDENCE_MAX, "{kept}");
        }
        let piece = layout.piece(0).unwrap();
        for _ in 0..1_000 {
            blame.piece_failed(piece, spoilt(1));
        }
        assert!(blame.cases.values().map(Vec::len).sum::<usize>() <= EVIDENCE_MAX);
        let good = |_| Some(whole(b"good"));
        assert_eq!(blame.piece_known(piece, good), [at(1), at(2)]);
    }
}
