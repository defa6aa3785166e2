//! The file store of a shard: disk jobs in, replies out; payload through the ring, metadata through
//! the pool, cached bytes in place.

mod errors;
mod lanes;
mod open_files;
mod place;
mod pool_work;
mod shelf;
mod transfer;
mod work;

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::mem;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::io::ReadWriteFlags;

use crate::base::buffer::Pool as Buffers;
use crate::base::buffer::SharedBuf;
use crate::base::ids::FileIndex;
use crate::base::ids::TorrentId;
use crate::base::storage_error::StorageError;
use crate::base::storage_error::StorageOperation;
use crate::engine::disk::DiskJob;
use crate::engine::disk::DiskOp;
use crate::engine::disk::DiskReply;
use crate::engine::disk::JobId;
use crate::io::blocking::Pool;
use crate::io::doorbell::Doorbell;
use crate::io::ring::Ring;
use crate::io::ring::asker::Asker;
use crate::io::ring::outcome::Outcome;
use crate::io::store::errors::refused;
use crate::io::store::errors::wrong;
use crate::io::store::lanes::Lanes;
use crate::io::store::open_files::FileKey;
use crate::io::store::open_files::OpenFiles;
use crate::io::store::place::Opened;
use crate::io::store::place::Place;
use crate::io::store::pool_work::Errand;
use crate::io::store::pool_work::Finding;
use crate::io::store::pool_work::Findings;
use crate::io::store::pool_work::Goal;
use crate::io::store::shelf::Shelf;
use crate::io::store::transfer::Payload;
use crate::io::store::transfer::Transfer;
use crate::io::store::work::Job;
use crate::io::store::work::Jobs;
use crate::io::store::work::Work;

/// Jobs of one shard on the blocking pool at once.
pub(crate) const ERRAND_MAX: usize = 16;

/// The store. Every job gets exactly one reply.
pub(crate) struct Store {
    pool: Arc<Pool>,
    buffers: Buffers,
    findings: Arc<Findings>,
    errand_count: usize,
    shelves: BTreeMap<TorrentId, Shelf>,
    files: OpenFiles,
    jobs: Jobs,
    lanes: Lanes,
    /// Errands that wait for a place on the pool.
    errands: VecDeque<Errand>,
    /// Files being opened, and who waits for them.
    opening: BTreeMap<(FileKey, bool), Vec<JobId>>,
    replies: VecDeque<(JobId, DiskReply)>,
}

impl Store {
    /// `open_max` bounds the descriptors kept; `bell` wakes the shard when the pool has an answer.
    pub(crate) fn new(
        pool: Arc<Pool>,
        buffers: Buffers,
        bell: Arc<Doorbell>,
        open_max: usize,
    ) -> Store {
        Store {
            pool,
            buffers,
            findings: Findings::new(ERRAND_MAX, bell),
            errand_count: 0,
            shelves: BTreeMap::new(),
            files: OpenFiles::new(open_max),
            jobs: Jobs::default(),
            lanes: Lanes::default(),
            errands: VecDeque::new(),
            opening: BTreeMap::new(),
            replies: VecDeque::new(),
        }
    }

    /// Takes a job. What is cached is answered within the call.
    pub(crate) fn submit(&mut self, ring: &mut Ring, job: DiskJob) {
        let DiskJob { id, torrent, op } = job;
        match op {
            DiskOp::Open { torrent: description, directory, allocation } => {
                let place = Arc::new(Place { torrent: description, directory, allocation });
                self.shelves.insert(torrent, Shelf::new(place));
                self.start(ring, id, torrent, |_, _| Work::Errand(Goal::Look { job: id }));
            }
            DiskOp::Create => self.start(ring, id, torrent, |shelf, _| {
                Work::Errand(Goal::Create { job: id, names: shelf.names() })
            }),
            DiskOp::Finish { file } => {
                self.start(ring, id, torrent, |_, _| Work::Errand(Goal::Finish { job: id, file }))
            }
            DiskOp::Sync => self.start(ring, id, torrent, |shelf, _| Work::Sync {
                left: mem::take(&mut shelf.dirty).into_iter().collect(),
                done: Vec::new(),
            }),
            DiskOp::Read { offset, length } => self.start(ring, id, torrent, |shelf, buffers| {
                let length = length as usize;
                let payload = Payload::Read(Some(buffers.take(length)));
                Work::Transfer(Transfer::new(&shelf.place.torrent, offset, length, payload))
            }),
            DiskOp::Write { offset, data } => self.start(ring, id, torrent, |shelf, _| {
                let length = data.len();
                let payload = Payload::Write(data);
                Work::Transfer(Transfer::new(&shelf.place.torrent, offset, length, payload))
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

    fn start(
        &mut self,
        ring: &mut Ring,
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
        match &work {
            Work::Errand(goal) => {
                let (place, goal) = (Arc::clone(&shelf.place), goal.clone());
                self.errands.push_back(Errand { place, goal });
            }
            Work::Transfer(transfer) => self.lanes.wait(id, transfer.is_read()),
            Work::Sync { .. } => {}
        }
        self.jobs.insert(id, Job { torrent, work });
        self.go_on_syncing(ring, id);
    }

    /// A ring operation of a job ended.
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
        self.begin_waiting(ring);
    }

    /// Whether the pool has answered.
    pub(crate) fn has_findings(&self) -> bool {
        !self.findings.is_empty()
    }

    /// Takes in what the pool answered. Call it every turn.
    pub(crate) fn handle_findings(&mut self, ring: &mut Ring) {
        while let Some(finding) = self.findings.pop() {
            self.errand_count -= 1;
            match finding {
                Finding::Looked { job, result } => {
                    let note = |shelf: &mut Shelf, seen: &Vec<_>| shelf.handle_looked(seen);
                    self.settle(job, result, note, DiskReply::Opened);
                }
                Finding::Created { job, result } => {
                    let note = |shelf: &mut Shelf, (): &()| shelf.handle_created();
                    self.settle(job, result, note, |()| DiskReply::Done);
                }
                Finding::Finished { job, file, result } => {
                    let note = |shelf: &mut Shelf, (): &()| shelf.handle_finished(file);
                    self.settle(job, result, note, |()| DiskReply::Done);
                }
                Finding::Opened { key, for_writing, result } => {
                    self.handle_opened(ring, key, for_writing, result);
                }
            }
        }
        self.begin_waiting(ring);
    }

    /// The next reply for the engine.
    pub(crate) fn poll_reply(&mut self) -> Option<(JobId, DiskReply)> {
        self.replies.pop_front()
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

    fn handle_opened(
        &mut self,
        ring: &mut Ring,
        key: FileKey,
        for_writing: bool,
        result: Result<Opened, StorageError>,
    ) {
        let waiting = self.opening.remove(&(key, for_writing)).unwrap_or_default();
        let error = match result {
            Ok(Opened { fd, is_writable }) => {
                // The torrent may have been closed meanwhile: then nobody wants its files.
                if self.shelves.contains_key(&key.0) {
                    self.files.insert(key, fd, is_writable);
                }
                None
            }
            Err(error) => Some(error),
        };
        for id in waiting {
            match &error {
                None => self.go_on(ring, id),
                Some(error) => self.fail(id, error.clone()),
            }
        }
    }

    /// Starts what waited for a place on the ring or the pool.
    fn begin_waiting(&mut self, ring: &mut Ring) {
        while let Some(id) = self.lanes.enter() {
            self.go_on(ring, id);
        }
        self.send_errands();
    }

    /// Takes a job as far as it gets without waiting.
    fn go_on(&mut self, ring: &mut Ring, id: JobId) {
        match self.jobs.work(id) {
            Some(Work::Transfer(transfer)) if transfer.is_read() => self.go_on_reading(ring, id),
            Some(Work::Transfer(_)) => self.go_on_writing(ring, id),
            Some(Work::Sync { .. }) => self.go_on_syncing(ring, id),
            Some(Work::Errand(_)) | None => {}
        }
    }

    fn go_on_reading(&mut self, ring: &mut Ring, id: JobId) {
        loop {
            let Some((torrent, transfer)) = self.jobs.transfer(id) else { return };
            let Some(step) = transfer.progress.step() else { return self.end_read(id) };
            if !self.is_on_disk(torrent, step.file) {
                // Padding is zeros, and the buffer may have been used before.
                let Some(Some(buf)) = self.jobs.buffer(id) else { return };
                buf.bytes_mut()[step.at..step.at + step.len].fill(0);
                self.jobs.advance(id, step.len);
                continue;
            }
            let Some(fd) = self.open_file(id, (torrent, step.file), false) else { return };
            let Some(slot) = self.jobs.buffer(id) else { return };
            let Some(mut buf) = slot.take() else { return };
            let target = &mut buf.bytes_mut()[step.at..step.at + step.len];
            match read_cached(&fd, target, step.offset) {
                Ok(count) if count > 0 => {
                    *slot = Some(buf);
                    self.jobs.advance(id, count);
                }
                // Not cached, or at the end, or an error: the ring's answer counts.
                _ => {
                    ring.read(Asker::Disk(id), fd, buf, (step.at, step.len), step.offset);
                    return;
                }
            }
        }
    }

    fn end_read(&mut self, id: JobId) {
        let Some((_, transfer)) = self.jobs.transfer(id) else { return };
        let done = transfer.progress.done();
        let Payload::Read(buf) = &mut transfer.payload else { return };
        match buf.take() {
            Some(buf) if buf.len() == done => {
                self.end_transfer(id, DiskReply::Read(buf.freeze()));
            }
            _ => self.fail_short(id),
        }
    }

    fn go_on_writing(&mut self, ring: &mut Ring, id: JobId) {
        loop {
            let Some((torrent, transfer)) = self.jobs.transfer(id) else { return };
            let Payload::Write(data) = &transfer.payload else { return };
            let data: SharedBuf = data.clone();
            let Some(step) = transfer.progress.step() else {
                return self.end_transfer(id, DiskReply::Done);
            };
            if !self.is_on_disk(torrent, step.file) {
                self.jobs.advance(id, step.len);
                continue;
            }
            let Some(fd) = self.open_file(id, (torrent, step.file), true) else { return };
            if let Some(shelf) = self.shelves.get_mut(&torrent) {
                shelf.dirty.insert(step.file);
            }
            let Some(part) = step.write_part(&data) else { return };
            ring.write(Asker::Disk(id), fd, part, step.offset);
            return;
        }
    }

    fn go_on_syncing(&mut self, ring: &mut Ring, id: JobId) {
        let Some((torrent, left, _)) = self.jobs.sync(id) else { return };
        let Some(file) = left.last().copied() else { return self.reply(id, DiskReply::Done) };
        if let Some(fd) = self.open_file(id, (torrent, file), true) {
            ring.sync(Asker::Disk(id), fd);
        }
    }

    /// The kernel moved `result` bytes of the present step.
    fn handle_moved(
        &mut self,
        ring: &mut Ring,
        id: JobId,
        operation: StorageOperation,
        result: Result<usize, Errno>,
    ) {
        match result {
            Ok(count) if count > 0 => {
                self.jobs.advance(id, count);
                self.go_on(ring, id);
            }
            Err(Errno::INTR | Errno::AGAIN) => self.go_on(ring, id),
            Ok(_) if operation == StorageOperation::Read => self.fail_short(id),
            refusal => {
                let errno = refusal.err().unwrap_or(Errno::IO);
                let (piece, path) = self.whereabouts(id);
                self.fail(id, StorageError { piece, ..refused(operation, &path, errno) });
            }
        }
    }

    fn handle_synced(&mut self, ring: &mut Ring, id: JobId, result: Result<(), Errno>) {
        let Some((torrent, left, done)) = self.jobs.sync(id) else { return };
        let Some(file) = left.pop() else { return };
        done.push(file);
        match result {
            Ok(()) => {
                self.go_on(ring, id);
            }
            Err(errno) => {
                let unproven = [mem::take(left), mem::take(done)].concat();
                if let Some(shelf) = self.shelves.get_mut(&torrent) {
                    shelf.dirty.extend(unproven);
                }
                let path = self.path(torrent, file);
                self.fail(id, refused(StorageOperation::Sync, &path, errno));
            }
        }
    }

    /// The descriptor, or `None` with the job waiting for it.
    fn open_file(&mut self, id: JobId, key: FileKey, for_writing: bool) -> Option<Rc<OwnedFd>> {
        if let Some(fd) = self.files.get(key, for_writing) {
            return Some(fd);
        }
        let shelf = self.shelves.get(&key.0)?;
        let waiting = self.opening.entry((key, for_writing)).or_default();
        if waiting.is_empty() {
            let place = Arc::clone(&shelf.place);
            let goal = Goal::Open { key, for_writing, name: shelf.name(key.1) };
            self.errands.push_back(Errand { place, goal });
        }
        waiting.push(id);
        None
    }

    fn fail(&mut self, id: JobId, error: StorageError) {
        match self.jobs.work(id) {
            Some(Work::Transfer(_)) => self.end_transfer(id, DiskReply::Failed(error)),
            _ => self.reply(id, DiskReply::Failed(error)),
        }
    }

    /// Replies, and leaves its place to the next transfer of its kind.
    fn end_transfer(&mut self, id: JobId, reply: DiskReply) {
        if let Some((_, transfer)) = self.jobs.transfer(id) {
            self.lanes.leave(transfer.is_read());
        }
        self.reply(id, reply);
    }

    fn reply(&mut self, id: JobId, reply: DiskReply) {
        let Some(job) = self.jobs.remove(id) else { return };
        self.replies.push_back((id, reply));
        if let Some(shelf) = self.shelves.get_mut(&job.torrent) {
            shelf.job_count = shelf.job_count.saturating_sub(1);
        }
        self.close_if_idle(job.torrent);
    }

    fn close_if_idle(&mut self, torrent: TorrentId) {
        let Some(shelf) = self.shelves.get(&torrent) else { return };
        if let (0, Some(id)) = (shelf.job_count, shelf.closing) {
            self.files.remove_torrent(torrent);
            self.shelves.remove(&torrent);
            self.replies.push_back((id, DiskReply::Done));
        }
    }

    /// Gives the pool what it has room for.
    fn send_errands(&mut self) {
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

    fn is_on_disk(&self, torrent: TorrentId, file: FileIndex) -> bool {
        self.shelves.get(&torrent).is_some_and(|shelf| shelf.is_on_disk(file))
    }

    fn fail_short(&mut self, id: JobId) {
        let (piece, path) = self.whereabouts(id);
        let message = "the file ends before the bytes asked for: recheck the torrent".to_owned();
        let error = wrong(StorageOperation::Read, &path, message);
        self.fail(id, StorageError { piece, ..error });
    }

    fn path(&self, torrent: TorrentId, file: FileIndex) -> PathBuf {
        self.shelves.get(&torrent).map(|shelf| shelf.path(file)).unwrap_or_default()
    }

    /// The piece and the file that a transfer was at.
    fn whereabouts(&mut self, id: JobId) -> (Option<u32>, PathBuf) {
        let Some((torrent, transfer)) = self.jobs.transfer(id) else { return Default::default() };
        let offset = transfer.offset + transfer.progress.done() as u64;
        let file = transfer.progress.step().map_or(FileIndex(0), |step| step.file);
        let Some(shelf) = self.shelves.get(&torrent) else { return Default::default() };
        let piece = shelf.place.torrent.layout().piece_at(offset);
        (piece.map(|piece| piece.as_u32()), shelf.path(file))
    }
}

/// Bytes of the page cache, at most as many as fit; an error where waiting would be needed.
fn read_cached(fd: &OwnedFd, target: &mut [u8], offset: u64) -> Result<usize, Errno> {
    rustix::io::preadv2(fd, &mut [IoSliceMut::new(target)], offset, ReadWriteFlags::NOWAIT)
}

#[cfg(test)]
mod tests;
