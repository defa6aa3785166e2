//! The judge of a whole draft: its hash in slices, and what that says of the magnet.

use crate::base::digest::Sha1Stream;
use crate::base::digest::Sha256Stream;
use crate::base::digest_lanes::Lanes;
use crate::base::info_hashes::InfoHashes;
use crate::engine::metadata::draft::Draft;

/// What the hash of a draft says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It is the metadata that the magnet names.
    Right,
    /// It is not.
    Wrong,
    /// One of the magnet's two hashes names it and the other does not: no metadata has both.
    Contradiction,
}

/// A draft that is being hashed.
#[derive(Debug)]
pub(crate) struct Judge {
    draft: Draft,
    next: u32,
    v1: Sha1Stream,
    v2: Sha256Stream,
}

impl Judge {
    pub(crate) fn new(draft: Draft) -> Judge {
        Judge { draft, next: 0, v1: Sha1Stream::default(), v2: Sha256Stream::default() }
    }

    /// Bytes that it holds.
    pub(crate) fn held(&self) -> usize {
        self.draft.held()
    }

    /// Hashes up to `left` bytes, a part more at most, for each hash that the magnet has; true when
    /// all are hashed.
    pub(crate) fn hash(&mut self, hashes: InfoHashes, lanes: Lanes, left: &mut usize) -> bool {
        while *left > 0 {
            let Some(part) = self.draft.part(self.next) else { return true };
            if hashes.v1().is_some() {
                lanes.update_many([(&mut self.v1, &part.bytes[..])]);
                *left = left.saturating_sub(part.bytes.len());
            }
            if hashes.v2().is_some() {
                lanes.update_many([(&mut self.v2, &part.bytes[..])]);
                *left = left.saturating_sub(part.bytes.len());
            }
            self.next += 1;
        }
        self.draft.part(self.next).is_none()
    }

    /// What all of it hashes to, beside what the magnet says.
    pub(crate) fn verdict(self, hashes: InfoHashes) -> (Draft, Verdict) {
        let v1 = hashes.v1().map(|hash| hash == self.v1.finish());
        let v2 = hashes.v2().map(|hash| hash == self.v2.finish());
        let all = || v1.into_iter().chain(v2);
        let verdict = match () {
            () if all().all(|is_right| is_right) => Verdict::Right,
            () if all().any(|is_right| is_right) => Verdict::Contradiction,
            () => Verdict::Wrong,
        };
        (self.draft, verdict)
    }
}
