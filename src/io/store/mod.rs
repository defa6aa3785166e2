//! The file store of a shard: disk jobs in, replies out; payload through the ring, metadata through
//! the pool, cached bytes in place.

mod errors;
mod extents;
mod file_key;
mod lanes;
pub(crate) mod mapped;
mod open_files;
mod parts;
pub(crate) mod place;
mod pool_work;
mod progress;
mod queue;
mod shelf;
pub(crate) mod state;
mod step_move;
mod step_rest;
mod step_serve;
mod step_sync;

use std::sync::Arc;

use crate::base::storage_error::StorageError;
use crate::base::storage_error::StorageOperation;
use crate::engine::disk::DiskJob;
use crate::engine::disk::DiskOp;
use crate::engine::disk::DiskReply;
use crate::engine::disk::JobId;
use crate::io::ring::Ring;
use crate::io::ring::outcome::Outcome;
use crate::io::store::file_key::Access;
use crate::io::store::file_key::FileKey;
use crate::io::store::file_key::Spot;
use crate::io::store::place::Aside;
use crate::io::store::place::Opened;
use crate::io::store::place::Place;
use crate::io::store::pool_work::Finding;
use crate::io::store::pool_work::Goal;
use crate::io::store::progress::Load;
use crate::io::store::progress::Transfer;
use crate::io::store::queue::Work;
use crate::io::store::shelf::Shelf;
use crate::io::store::state::ERRAND_MAX;
use crate::io::store::state::STEP;
use crate::io::store::state::STEP_MIN;
use crate::io::store::state::SUBMISSION_MAX;
use crate::io::store::state::Store;

impl Store {
    /// Takes a job. What is cached is answered within the call.
    pub(crate) fn submit(&mut self, ring: &mut Ring, job: DiskJob) {
        let DiskJob { id, torrent, op } = job;
        match op {
            DiskOp::Open { torrent: description, directory, allocation, write_mode } => {
                let place = Place { torrent: description, directory, allocation, write_mode };
                let place = Arc::new(place);
                self.shelves.insert(torrent, Shelf::new(place));
                self.start(id, torrent, |_, _| Work::Errand(Goal::Look { job: id }));
            }
            DiskOp::Create { files } => self.start(id, torrent, |shelf, _| {
                Work::Errand(Goal::Create { job: id, names: shelf.names(), files })
            }),
            DiskOp::Finish { file } => {
                self.start(id, torrent, |_, _| Work::Errand(Goal::Finish { job: id, file }))
            }
            DiskOp::Sync => {
                self.start(id, torrent, |_, _| Work::Sync { left: Vec::new(), done: Vec::new() })
            }
            DiskOp::Read { offset, length } => self.start(id, torrent, |shelf, buffers| {
                let length = length as usize;
                let payload = Load::Read(Some(buffers.take(length)));
                Work::Transfer(Transfer::new(&shelf.place.torrent, offset, length, payload))
            }),
            DiskOp::Serve { offset, length } => self.serve(id, torrent, offset, length),
            DiskOp::Write { offset, data, is_wanted } => self.start(id, torrent, |shelf, _| {
                let length = data.len();
                let payload = Load::Write(data);
                let transfer = Transfer::new(&shelf.place.torrent, offset, length, payload);
                Work::Transfer(Transfer { is_wanted, ..transfer })
            }),
            DiskOp::Close => match self.shelves.get_mut(&torrent) {
                Some(shelf) => {
                    shelf.closing = Some(id);
                    self.close_if_idle(torrent);
                }
                None => self.replies.push_back((id, DiskReply::Done)),
            },
        }
        self.begin_waiting(ring);
    }

    /// A ring operation of a job ended. What waited goes on with [`Store::begin_waiting`].
    pub(crate) fn handle_completion(&mut self, ring: &mut Ring, id: JobId, outcome: Outcome) {
        match outcome {
            Outcome::Read(back, result) => {
                if let Some(buf) = self.jobs.buffer(id) {
                    *buf = Some(back);
                }
                self.handle_moved(ring, id, StorageOperation::Read, result);
            }
            Outcome::Written(result) => {
                self.handle_moved(ring, id, StorageOperation::Write, result);
            }
            Outcome::Synced(result) => self.handle_synced(ring, id, result),
            _ => {}
        }
        self.send_errands();
    }

    /// Whether the pool has answered.
    pub(crate) fn has_findings(&self) -> bool {
        !self.findings.is_empty()
    }

    /// Whether errands wait that the pool refused although fewer than this shard may have are under
    /// way: nobody tells when it has room again.
    pub(crate) fn waits_for_pool(&self) -> bool {
        self.errand_count < ERRAND_MAX && !self.errands.is_empty()
    }

    /// Takes in what the pool answered. Call it every turn. Who waited for it goes on with
    /// [`Store::begin_waiting`].
    pub(crate) fn handle_findings(&mut self) {
        self.unmap_closed();
        while let Some(finding) = self.findings.pop() {
            self.errand_count -= 1;
            match finding {
                Finding::Looked { job, result } => {
                    let note = |shelf: &mut Shelf, seen: &Vec<_>| shelf.handle_looked(seen);
                    self.settle(job, result, note, DiskReply::Opened);
                }
                Finding::Created { job, files, result } => {
                    if result == Ok(Aside::Nothing) {
                        self.forget_aside(job);
                    }
                    let note = |shelf: &mut Shelf, _: &Aside| shelf.handle_created(&files);
                    self.settle(job, result, note, |_| DiskReply::Done);
                }
                Finding::Finished { job, file, result } => {
                    let note = |shelf: &mut Shelf, (): &()| shelf.handle_finished(file);
                    self.settle(job, result, note, |()| DiskReply::Done);
                }
                Finding::Opened { key, access, result } => {
                    self.handle_opened((key, access), result);
                }
            }
        }
        self.send_errands();
    }

    /// The next reply for the engine.
    pub(crate) fn poll_reply(&mut self) -> Option<(JobId, DiskReply)> {
        self.replies.pop_front()
    }

    /// Bytes read for peers because they were not in memory.
    pub(crate) fn upload_read(&self) -> u64 {
        self.upload_read
    }

    /// Writes under way, at most a lane of them.
    pub(crate) fn write_count(&self) -> usize {
        self.lanes.write_count()
    }

    /// Jobs without a reply.
    pub(crate) fn job_count(&self) -> usize {
        self.jobs.len()
    }

    /// Notes what an errand changed and replies.
    fn settle<T>(
        &mut self,
        id: JobId,
        result: Result<T, StorageError>,
        note: impl FnOnce(&mut Shelf, &T),
        reply: impl FnOnce(T) -> DiskReply,
    ) {
        let torrent = self.jobs.get(id).map(|job| job.torrent);
        let shelf = torrent.and_then(|torrent| self.shelves.get_mut(&torrent));
        if let (Ok(value), Some(shelf)) = (&result, shelf) {
            note(shelf, value);
        }
        self.reply(id, result.map_or_else(DiskReply::Failed, reply));
    }

    /// There is no part store any more: the next one is a file of its own.
    fn forget_aside(&mut self, id: JobId) {
        let Some(torrent) = self.jobs.get(id).map(|job| job.torrent) else { return };
        self.files.remove((torrent, Spot::Parts));
        if let Some(shelf) = self.shelves.get_mut(&torrent) {
            shelf.dirty.remove(&Spot::Parts);
        }
    }

    fn handle_opened(
        &mut self,
        (key, access): (FileKey, Access),
        result: Result<Opened, StorageError>,
    ) {
        let waiting = self.opening.remove(&(key, access)).unwrap_or_default();
        let error = match result {
            Ok(Opened { fd, is_writable, is_told }) => {
                // The torrent may have been closed meanwhile: then nobody wants its files.
                if self.shelves.contains_key(&key.0) {
                    let files = match access {
                        Access::DirectWrite => &mut self.direct_files,
                        Access::Read | Access::Write => &mut self.files,
                    };
                    files.insert(key, fd, is_writable, is_told);
                }
                None
            }
            Err(error) => Some(error),
        };
        for id in waiting {
            match &error {
                None => self.ready.push_back(id),
                Some(error) => self.fail(id, error.clone()),
            }
        }
    }

    /// Whether jobs could go on, now or after the next submission: nobody tells when.
    pub(crate) fn is_behind(&self) -> bool {
        !self.ready.is_empty() || self.lanes.may_enter()
    }

    /// Whether [`Store::begin_waiting`] would do something.
    pub(crate) fn may_go_on(&self, ring: &Ring) -> bool {
        self.is_behind() && ring.file_bytes() < SUBMISSION_MAX
    }

    /// Starts what waited for a place on the ring or the pool: a step of it, and no more than a
    /// submission may hold.
    pub(crate) fn begin_waiting(&mut self, ring: &mut Ring) {
        self.unseen = 0;
        while self.unseen < STEP && self.may_go_on(ring) {
            let Some(id) = self.next_job() else { break };
            self.unseen += STEP_MIN;
            self.go_on(ring, id);
        }
        self.send_errands();
    }

    fn next_job(&mut self) -> Option<JobId> {
        let ready = self.ready.pop_front();
        ready.or_else(|| {
            let id = self.lanes.enter()?;
            self.jobs.set_in_lane(id);
            Some(id)
        })
    }

    /// Takes a job as far as it gets without waiting.
    fn go_on(&mut self, ring: &mut Ring, id: JobId) {
        match self.jobs.work(id) {
            Some(Work::Transfer(_)) => self.go_on_moving(ring, id),
            Some(Work::Sync { .. }) => self.go_on_syncing(ring, id),
            Some(Work::Errand(_)) | None => {}
        }
    }
}

#[cfg(test)]
mod serve_tests;
#[cfg(test)]
mod step_tests;
#[cfg(test)]
mod tests;
