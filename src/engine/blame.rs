//! Blame: who spoilt a piece. Only evidence bans; an honest peer never pays for another's lie.
//!
//! When a piece fails, the digest and sender of each of its blocks are kept. A sole sender is
//! guilty at once. Otherwise the piece is fetched again, and when it passes, every sender of a
//! block that differs from the good one is guilty.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::base::digest::Sha1;
use crate::base::ids::PieceIndex;

/// Failed pieces whose evidence is kept per torrent. When full, the lowest index goes: without
/// evidence nobody is banned, which is the safe side.
const CASE_MAX: usize = 64;

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
    pub(crate) digest: Sha1,
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
        if self.cases.len() >= CASE_MAX {
            self.cases.pop_first();
        }
        self.cases.entry(piece).or_default().extend(evidence);
        None
    }

    /// Whether the piece failed before, so that its good blocks are worth a digest each.
    pub(crate) fn is_open(&self, piece: PieceIndex) -> bool {
        self.cases.contains_key(&piece)
    }

    /// The piece passed: `good` tells the digest of a block. Returns the guilty, each once.
    pub(crate) fn piece_passed(
        &mut self,
        piece: PieceIndex,
        good: impl Fn(u32) -> Option<Sha1>,
    ) -> Vec<SocketAddr> {
        let mut guilty: Vec<SocketAddr> = Vec::new();
        for entry in self.cases.remove(&piece).unwrap_or_default() {
            let differs = good(entry.block).is_some_and(|digest| digest != entry.digest);
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

    fn sent(block: u32, n: u8, bytes: &[u8]) -> Evidence {
        Evidence { block, sender: at(n), digest: Sha1::of(bytes) }
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
        let good = |block: u32| Some(Sha1::of(format!("good{block}").as_bytes()));
        assert_eq!(blame.piece_passed(piece(), good), [at(2)]);
        assert!(!blame.is_suspect(at(1)), "the case is closed");
    }
}
