//! The store's jobs by id, and how far each has come.

use std::collections::BTreeMap;

use crate::base::buffer::PageBuf;
use crate::base::ids::TorrentId;
use crate::engine::disk::JobId;
use crate::io::store::file_key::Spot;
use crate::io::store::pool_work::Goal;
use crate::io::store::progress::Load;
use crate::io::store::progress::Transfer;

/// A job without a reply.
pub(super) struct Job {
    pub(super) torrent: TorrentId,
    pub(super) work: Work,
}

/// What it takes.
pub(super) enum Work {
    /// On the pool, or waiting for it.
    Errand(Goal),
    Transfer(Transfer),
    /// What to sync, and what is synced.
    Sync {
        left: Vec<Spot>,
        done: Vec<Spot>,
    },
}

/// All jobs without a reply.
#[derive(Default)]
pub(super) struct Jobs {
    by_id: BTreeMap<JobId, Job>,
}

impl Jobs {
    pub(super) fn insert(&mut self, id: JobId, job: Job) {
        self.by_id.insert(id, job);
    }

    pub(super) fn remove(&mut self, id: JobId) -> Option<Job> {
        self.by_id.remove(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn get(&self, id: JobId) -> Option<&Job> {
        self.by_id.get(&id)
    }

    pub(super) fn work(&self, id: JobId) -> Option<&Work> {
        self.by_id.get(&id).map(|job| &job.work)
    }

    pub(super) fn work_mut(&mut self, id: JobId) -> Option<&mut Work> {
        self.by_id.get_mut(&id).map(|job| &mut job.work)
    }

    /// Whose sync it is, what is left, and what is done.
    pub(super) fn sync(
        &mut self,
        id: JobId,
    ) -> Option<(TorrentId, &mut Vec<Spot>, &mut Vec<Spot>)> {
        match self.by_id.get_mut(&id)? {
            Job { torrent, work: Work::Sync { left, done } } => Some((*torrent, left, done)),
            _ => None,
        }
    }

    pub(super) fn transfer(&mut self, id: JobId) -> Option<(TorrentId, &mut Transfer)> {
        match self.by_id.get_mut(&id)? {
            Job { torrent, work: Work::Transfer(transfer) } => Some((*torrent, transfer)),
            _ => None,
        }
    }

    /// A transfer has a place among those under way.
    pub(super) fn set_in_lane(&mut self, id: JobId) {
        if let Some((_, transfer)) = self.transfer(id) {
            transfer.is_in_lane = true;
        }
    }

    /// `count` more bytes of the transfer are through.
    pub(super) fn advance(&mut self, id: JobId, count: usize) {
        if let Some((_, transfer)) = self.transfer(id) {
            transfer.progress.advance(count);
        }
    }

    /// Where a read's bytes go; `None` while the kernel has the buffer.
    pub(super) fn buffer(&mut self, id: JobId) -> Option<&mut Option<PageBuf>> {
        match &mut self.transfer(id)?.1.payload {
            Load::Read(buf) => Some(buf),
            Load::Write(_) => None,
        }
    }
}
