//! The hasher: pieces wait here for the shard's core and are hashed in slices, so that no turn is
//! long.

use std::collections::VecDeque;

use crate::base::buffer::SharedBuf;
use crate::base::digest::Sha1Stream;
use crate::base::ids::PieceIndex;
use crate::base::slots::SlotId;

/// One run of bytes to be added to a piece's digest.
#[derive(Debug)]
pub(crate) struct HashJob {
    /// The swarm that asked.
    pub(crate) swarm: SlotId,
    pub(crate) piece: PieceIndex,
    pub(crate) purpose: HashPurpose,
    /// What was hashed of this piece before.
    pub(crate) stream: Sha1Stream,
    pub(crate) data: SharedBuf,
}

/// Why a piece is hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HashPurpose {
    /// It was received into memory.
    Received,
    /// It is on disk: a check, or a piece too large for memory.
    OnDisk,
}

/// A queue in order of arrival; its buffers are on their owners' budgets.
#[derive(Debug, Default)]
pub(crate) struct Hasher {
    queue: VecDeque<HashJob>,
    /// Bytes of the front job that are hashed already.
    position: usize,
}

impl Hasher {
    pub(crate) fn push(&mut self, job: HashJob) {
        self.queue.push_back(job);
    }

    /// Hashes at most `slice` bytes of the front job; hands it back once all of its data is hashed.
    pub(crate) fn work(&mut self, slice: usize) -> Option<HashJob> {
        let job = self.queue.front_mut()?;
        let end = job.data.len().min(self.position + slice);
        job.stream.update(&job.data.bytes()[self.position..end]);
        self.position = end;
        if end < job.data.len() {
            return None;
        }
        self.position = 0;
        self.queue.pop_front()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Forgets what a swarm asked for: it is leaving.
    pub(crate) fn forget(&mut self, swarm: SlotId) {
        if self.queue.front().is_some_and(|job| job.swarm == swarm) {
            self.position = 0;
        }
        self.queue.retain(|job| job.swarm != swarm);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::buffer::PageBuf;
    use crate::base::digest::Sha1;
    use crate::content::layout::Layout;

    fn job(swarm: u32, fill: u8, len: usize) -> HashJob {
        let mut data = PageBuf::zeroed(len);
        data.bytes_mut().fill(fill);
        HashJob {
            swarm: SlotId { slot: swarm, generation: 0 },
            piece: Layout::new(1 << 20, 1 << 18).unwrap().piece(0).unwrap(),
            purpose: HashPurpose::Received,
            stream: Sha1Stream::default(),
            data: data.freeze(),
        }
    }

    #[test]
    fn a_piece_is_hashed_in_slices() {
        let mut hasher = Hasher::default();
        hasher.push(job(0, 7, 1000));
        let done: Vec<HashJob> = (0..4).filter_map(|_| hasher.work(300)).collect();
        assert!(hasher.is_idle());
        assert_eq!(done.len(), 1);
        let digest = done.into_iter().next().unwrap().stream.finish();
        assert_eq!(digest, Sha1::of(&[7; 1000]));
    }

    #[test]
    fn a_leaving_swarm_does_not_spoil_the_next_digest() {
        let mut hasher = Hasher::default();
        hasher.push(job(0, 7, 1000));
        hasher.push(job(1, 9, 1000));
        assert!(hasher.work(300).is_none());
        hasher.forget(SlotId { slot: 0, generation: 0 });
        assert_eq!(hasher.work(5000).unwrap().stream.finish(), Sha1::of(&[9; 1000]));
        assert!(hasher.is_idle());
    }
}
