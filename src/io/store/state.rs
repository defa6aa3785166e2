//! The store's state: torrents' shelves, open files, jobs, and who waits for what.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use crate::base::buffer::Pool as Buffers;
use crate::base::ids::TorrentId;
use crate::base::storage_error::StorageError;
use crate::base::storage_error::StorageOperation;
use crate::engine::disk::DiskReply;
use crate::engine::disk::JobId;
use crate::io::blocking::Pool;
use crate::io::doorbell::Doorbell;
use crate::io::store::errors::wrong;
use crate::io::store::extents::Extents;
use crate::io::store::file_key::Access;
use crate::io::store::file_key::FileKey;
use crate::io::store::file_key::Spot;
use crate::io::store::lanes::Lanes;
use crate::io::store::open_files::OpenFiles;
use crate::io::store::pool_work::Errand;
use crate::io::store::pool_work::Findings;
use crate::io::store::pool_work::Goal;
use crate::io::store::queue::Job;
use crate::io::store::queue::Jobs;
use crate::io::store::queue::Work;
use crate::io::store::shelf::Shelf;

/// Jobs of one shard on the blocking pool at once.
pub(crate) const ERRAND_MAX: usize = 16;

/// Bytes copied from the page cache before the ring may look at its clock: some 60 us.
pub(super) const STEP: usize = 256 * 1024;
/// How many times as long a copy takes whose target is fresh memory. It was 16 in a virtual machine
/// whose host had to make the pages as well: 640 us for 256 KiB. Elsewhere it is less.
pub(super) const FRESH_EFFORT: usize = 8;
/// What it takes to find out how a job goes on, in bytes copied in the same time: some 10 us where
/// a part of a file is mapped for it.
pub(super) const STEP_MIN: usize = 32 * 1024;
/// Bytes of files in one submission: pinning the pages of so many takes some 200 us.
pub(super) const SUBMISSION_MAX: usize = 2 * 1024 * 1024;

/// The store. Every job gets exactly one reply.
pub(crate) struct Store {
    pub(super) pool: Arc<Pool>,
    pub(super) buffers: Buffers,
    pub(super) findings: Arc<Findings>,
    pub(super) errand_count: usize,
    pub(super) shelves: BTreeMap<TorrentId, Shelf>,
    pub(super) files: OpenFiles,
    /// Once more, for writes past the page cache.
    pub(super) direct_files: OpenFiles,
    pub(super) jobs: Jobs,
    pub(super) lanes: Lanes,
    pub(super) extents: Extents,
    /// Bytes read for peers because they were not in memory.
    pub(super) upload_read: u64,
    /// Jobs that may go on: syncs, those whose file or extent came, and reads of what is in memory
    /// that are not through.
    pub(super) ready: VecDeque<JobId>,
    /// Work since the ring could look at its clock, in bytes copied.
    pub(super) unseen: usize,
    /// Errands that wait for a place on the pool.
    pub(super) errands: VecDeque<Errand>,
    /// Files being opened, and who waits for them.
    pub(super) opening: BTreeMap<(FileKey, Access), Vec<JobId>>,
    pub(super) replies: VecDeque<(JobId, DiskReply)>,
}

impl Store {
    /// `open_max` bounds the descriptors kept and `window_max` what is mapped of their files;
    /// `bell` wakes the shard when the pool has an answer.
    pub(crate) fn new(
        pool: Arc<Pool>,
        buffers: Buffers,
        bell: Arc<Doorbell>,
        (open_max, window_max): (usize, usize),
    ) -> Store {
        Store {
            pool,
            buffers,
            findings: Findings::new(ERRAND_MAX, bell),
            errand_count: 0,
            shelves: BTreeMap::new(),
            files: OpenFiles::new(open_max - open_max / 4, window_max),
            direct_files: OpenFiles::new(open_max / 4, 0),
            jobs: Jobs::default(),
            lanes: Lanes::default(),
            extents: Extents::default(),
            upload_read: 0,
            ready: VecDeque::new(),
            unseen: 0,
            errands: VecDeque::new(),
            opening: BTreeMap::new(),
            replies: VecDeque::new(),
        }
    }

    pub(super) fn start(
        &mut self,
        id: JobId,
        torrent: TorrentId,
        work: impl FnOnce(&mut Shelf, &Buffers) -> Work,
    ) {
        let Some(shelf) = self.shelves.get_mut(&torrent) else {
            let message = "expected an open torrent, got one that left".to_owned();
            let error = wrong(StorageOperation::Open, Path::new(""), message);
            return self.replies.push_back((id, DiskReply::Failed(error)));
        };
        shelf.job_count += 1;
        let work = work(shelf, &self.buffers);
        self.jobs.insert(id, Job { torrent, work });
        self.admit(id, torrent);
    }

    /// Lets a job begin, unless it must wait for files being made, or for what is under way before
    /// it makes some.
    pub(super) fn admit(&mut self, id: JobId, torrent: TorrentId) {
        let Some(shelf) = self.shelves.get_mut(&torrent) else { return };
        let Some(work) = self.jobs.work_mut(id) else { return };
        match work {
            Work::Errand(Goal::Create { .. }) if shelf.moving_count > 0 || shelf.is_making => {
                shelf.held.push_back(id);
            }
            Work::Errand(goal) => {
                if let Goal::Create { names, .. } = goal {
                    *names = shelf.names();
                    shelf.is_making = true;
                }
                let (place, goal) = (Arc::clone(&shelf.place), goal.clone());
                self.errands.push_back(Errand { place, goal });
            }
            // Behind one that waits: it must not wait for ever.
            _ if shelf.is_making || !shelf.held.is_empty() => shelf.held.push_back(id),
            Work::Transfer(transfer) => {
                shelf.moving_count += 1;
                self.lanes.wait(id, transfer.is_read());
            }
            Work::Sync { left, .. } => {
                shelf.moving_count += 1;
                left.extend(std::mem::take(&mut shelf.dirty));
                self.ready.push_back(id);
            }
        }
    }

    /// What waited for files to be made, or for the last transfer before that, goes on.
    pub(super) fn admit_held(&mut self, torrent: TorrentId) {
        let Some(shelf) = self.shelves.get_mut(&torrent) else { return };
        for id in std::mem::take(&mut shelf.held) {
            self.admit(id, torrent);
        }
    }

    /// The descriptor, or `None` with the job waiting for it.
    pub(super) fn open_file(
        &mut self,
        id: JobId,
        key: FileKey,
        access: Access,
    ) -> Option<Rc<OwnedFd>> {
        let open = match access {
            Access::DirectWrite => self.direct_files.get(key, true),
            Access::Read | Access::Write => self.files.get(key, access == Access::Write),
        };
        if open.is_some() {
            return open;
        }
        let shelf = self.shelves.get(&key.0)?;
        let waiting = self.opening.entry((key, access)).or_default();
        if waiting.is_empty() {
            let place = Arc::clone(&shelf.place);
            let goal = Goal::Open { key, access, name: shelf.name_of(key.1) };
            self.errands.push_back(Errand { place, goal });
        }
        waiting.push(id);
        None
    }

    pub(super) fn fail(&mut self, id: JobId, error: StorageError) {
        match self.jobs.work(id) {
            Some(Work::Transfer(_)) => self.end_transfer(id, DiskReply::Failed(error)),
            _ => self.reply(id, DiskReply::Failed(error)),
        }
    }

    /// Replies, and leaves its place to the next transfer of its kind.
    pub(super) fn end_transfer(&mut self, id: JobId, reply: DiskReply) {
        if let Some((_, transfer)) = self.jobs.transfer(id)
            && transfer.is_in_lane
        {
            self.lanes.leave(transfer.is_read());
        }
        self.reply(id, reply);
    }

    pub(super) fn reply(&mut self, id: JobId, reply: DiskReply) {
        let Some(job) = self.jobs.remove(id) else { return };
        match self.extents.end(id) {
            // They find it in memory now, or find out what is wrong with it.
            Some(waiting) => self.ready.extend(waiting),
            None => self.replies.push_back((id, reply)),
        }
        if let Some(shelf) = self.shelves.get_mut(&job.torrent) {
            shelf.job_count = shelf.job_count.saturating_sub(1);
            match job.work {
                Work::Transfer(_) | Work::Sync { .. } => {
                    shelf.moving_count = shelf.moving_count.saturating_sub(1);
                }
                Work::Errand(Goal::Create { .. }) => shelf.is_making = false,
                Work::Errand(_) => {}
            }
            if shelf.moving_count == 0 && !shelf.is_making {
                self.admit_held(job.torrent);
            }
        }
        self.close_if_idle(job.torrent);
    }

    pub(super) fn close_if_idle(&mut self, torrent: TorrentId) {
        let Some(shelf) = self.shelves.get(&torrent) else { return };
        if let (0, Some(id)) = (shelf.job_count, shelf.closing) {
            self.files.remove_torrent(torrent);
            self.direct_files.remove_torrent(torrent);
            self.shelves.remove(&torrent);
            self.replies.push_back((id, DiskReply::Done));
        }
    }

    /// Gives the pool what it has room for.
    pub(super) fn send_errands(&mut self) {
        while self.errand_count < ERRAND_MAX
            && let Some(errand) = self.errands.pop_front()
        {
            if errand.clone().send(&self.pool, Arc::clone(&self.findings)).is_err() {
                // Other shards fill the pool: the next turn tries again.
                return self.errands.push_front(errand);
            }
            self.errand_count += 1;
        }
    }

    /// Has the pool unmap what was closed.
    pub(super) fn unmap_closed(&mut self) {
        let closed = self.files.take_closed();
        if !closed.is_empty() {
            // A pool that is full has them unmapped here and now.
            let _ = self.pool.run(move || drop(closed), drop);
        }
    }

    pub(super) fn path(&self, torrent: TorrentId, spot: Spot) -> PathBuf {
        self.shelves.get(&torrent).map(|shelf| shelf.path(spot)).unwrap_or_default()
    }
}
