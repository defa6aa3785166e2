//! The disks of one host: torrents' files in memory, with delay, errors and a memory over restarts.
//!
//! Checks on the way that the engine keeps its promises: files are opened and created before they
//! are used, no two writes of the same bytes are under way, no file is finished before its bytes
//! are right.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::base::buffer::PageBuf;
use crate::base::buffer::SharedBuf;
use crate::base::digest::Sha1;
use crate::base::ids::FileIndex;
use crate::base::ids::ShardId;
use crate::base::ids::TorrentId;
use crate::base::instant::Instant;
use crate::base::rng::Rng;
use crate::base::storage_error::StorageError;
use crate::base::storage_error::StorageOperation;
use crate::content::torrent::Torrent;
use crate::engine::add::Allocation;
use crate::engine::disk::DiskJob;
use crate::engine::disk::DiskOp;
use crate::engine::disk::DiskReply;
use crate::engine::disk::FileSeen;
use crate::engine::disk::JobId;
use crate::sim::clock::Clock;
use crate::sim::contents::Contents;

/// What goes wrong. Chances are out of a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DiskFaults {
    pub(crate) read: u64,
    pub(crate) write: u64,
    /// `Create` fails, as on a full disk.
    pub(crate) create: u64,
    /// The error number that failures carry.
    pub(crate) errno: i32,
    /// Only this torrent suffers; all of them without.
    pub(crate) only: Option<Sha1>,
}

/// A job's answer, for the shard that gave the job.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) shard: ShardId,
    pub(crate) job: JobId,
    pub(crate) reply: DiskReply,
}

#[derive(Debug)]
struct Pending {
    shard: ShardId,
    job: DiskJob,
    info_hash: Sha1,
}

#[derive(Debug)]
struct Opened {
    info_hash: Sha1,
    allocation: Allocation,
    is_created: bool,
    /// When its slowest job ends: `Close` comes after it.
    busy_until: Instant,
    /// When its last `Create` ends.
    created_at: Instant,
}

/// One host's disks.
#[derive(Debug)]
pub(crate) struct Disk {
    rng: Rng,
    delay_max: Duration,
    faults: DiskFaults,
    contents: BTreeMap<Sha1, Contents>,
    /// Each shard opens for itself.
    opened: BTreeMap<(ShardId, TorrentId), Opened>,
    /// Torrents whose files whoever opens them from here on does not find.
    hidden: BTreeSet<Sha1>,
    pending: Clock<Pending>,
    writing: Vec<(TorrentId, JobId, Range<u64>)>,
    seen_ids: BTreeSet<(ShardId, JobId)>,
    completions: VecDeque<Completion>,
}

impl Disk {
    /// Jobs take up to `delay_max`, evenly spread.
    pub(crate) fn new(rng: Rng, delay_max: Duration) -> Disk {
        Disk {
            rng,
            delay_max,
            faults: DiskFaults::default(),
            contents: BTreeMap::new(),
            opened: BTreeMap::new(),
            hidden: BTreeSet::new(),
            pending: Clock::default(),
            writing: Vec::new(),
            seen_ids: BTreeSet::new(),
            completions: VecDeque::new(),
        }
    }

    pub(crate) fn set_faults(&mut self, faults: DiskFaults) {
        self.faults = faults;
    }

    /// Somebody moves the torrent's files away: who has them open still reads them.
    pub(crate) fn hide(&mut self, info_hash: Sha1) {
        self.hidden.insert(info_hash);
    }

    /// Lays complete files there, as a user would who has the data.
    pub(crate) fn put(&mut self, torrent: &Arc<Torrent>, bytes: &[u8]) {
        self.contents.insert(torrent.info_hash(), Contents::complete(torrent, bytes));
    }

    /// Judges the torrent's files by all of its hashes, whatever the engine knows of them.
    pub(crate) fn expect(&mut self, torrent: &Arc<Torrent>) {
        let contents = self.contents.entry(torrent.info_hash());
        contents.or_insert_with(|| Contents::empty(torrent));
    }

    pub(crate) fn contents(&self, info_hash: &Sha1) -> Option<&Contents> {
        self.contents.get(info_hash)
    }

    pub(crate) fn contents_mut(&mut self, info_hash: &Sha1) -> Option<&mut Contents> {
        self.contents.get_mut(info_hash)
    }

    /// Jobs that were not answered yet.
    pub(crate) fn pending_count(&self) -> usize {
        self.pending.len() + self.completions.len()
    }

    /// The machine dies: jobs under way are never answered; a write happened, in part, or not at
    /// all.
    pub(crate) fn crash(&mut self) {
        for pending in self.pending.clear() {
            if let DiskOp::Write { offset, data, .. } = &pending.job.op
                && let Some(contents) = self.contents.get_mut(&pending.info_hash)
            {
                let len = self.rng.below(data.len() as u64 + 1) as usize;
                contents.write(*offset, &data.bytes()[..len]);
            }
        }
        self.completions.clear();
        self.opened.clear();
        self.writing.clear();
        self.seen_ids.clear();
    }

    pub(crate) fn submit(&mut self, now: Instant, shard: ShardId, job: DiskJob) {
        assert!(self.seen_ids.insert((shard, job.id)), "{:?} was used twice", job.id);
        let delay = Duration::from_nanos(self.rng.below(self.delay_max.as_nanos() as u64));
        let mut at = now + delay;
        let key = (shard, job.torrent);
        self.note_open(key, &job);
        if matches!(job.op, DiskOp::Close) && !self.opened.contains_key(&key) {
            // A torrent that was never opened, because it was added as paused.
            let pending = Pending { shard, job, info_hash: Sha1([0; 20]) };
            self.pending.plan(at, pending);
            return;
        }
        let opened = self.opened.get_mut(&key);
        let opened = opened.unwrap_or_else(|| panic!("{job:?} for files that are not open"));
        // `Create` comes between what was given before it and what is given after it.
        if matches!(job.op, DiskOp::Close | DiskOp::Create { .. }) {
            at = at.max(opened.busy_until);
        }
        at = at.max(opened.created_at);
        if matches!(job.op, DiskOp::Create { .. }) {
            opened.created_at = at;
        }
        opened.busy_until = opened.busy_until.max(at);
        let (info_hash, is_created) = (opened.info_hash, opened.is_created);
        if let DiskOp::Write { offset, data, .. } = &job.op {
            assert!(is_created, "{job:?} before the files were created");
            self.note_write(&job, *offset..*offset + data.len() as u64);
        }
        self.pending.plan(at, Pending { shard, job, info_hash });
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.pending.poll_timeout()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(pending) = self.pending.poll_due(now) {
            let Pending { shard, job, .. } = pending;
            self.writing.retain(|(torrent, id, _)| (*torrent, *id) != (job.torrent, job.id));
            let reply = self.perform(shard, &job, &pending.info_hash);
            self.completions.push_back(Completion { shard, job: job.id, reply });
        }
    }

    pub(crate) fn poll_completion(&mut self) -> Option<Completion> {
        self.completions.pop_front()
    }

    fn note_open(&mut self, key: (ShardId, TorrentId), job: &DiskJob) {
        let DiskOp::Open { torrent, allocation, .. } = &job.op else { return };
        let info_hash = torrent.info_hash();
        self.contents.entry(info_hash).or_insert_with(|| Contents::empty(torrent));
        let is_created = self.opened.get(&key).is_some_and(|old| old.is_created);
        let is_busy = self.pending.iter().any(|other| (other.shard, other.job.torrent) == key);
        assert!(!is_busy, "torrent {} was opened while its jobs are under way", job.torrent);
        let (allocation, busy_until) = (*allocation, Instant::ZERO);
        let created_at = busy_until;
        let opened = Opened { info_hash, allocation, is_created, busy_until, created_at };
        self.opened.insert(key, opened);
    }

    fn note_write(&mut self, job: &DiskJob, range: Range<u64>) {
        let overlap = self.writing.iter().find(|(torrent, _, other)| {
            *torrent == job.torrent && other.start < range.end && range.start < other.end
        });
        assert!(overlap.is_none(), "{job:?} overlaps a write under way: {overlap:?}");
        self.writing.push((job.torrent, job.id, range));
    }

    fn perform(&mut self, shard: ShardId, job: &DiskJob, info_hash: &Sha1) -> DiskReply {
        if let Some((operation, chance)) = self.chance_of_failure(&job.op)
            && self.faults.only.is_none_or(|only| only == *info_hash)
            && self.rng.below(1000) < chance
        {
            return DiskReply::Failed(failure(operation, Some(self.faults.errno), "as planned"));
        }
        if matches!(job.op, DiskOp::Close) {
            self.opened.remove(&(shard, job.torrent));
            return DiskReply::Done;
        }
        let Some(opened) = self.opened.get_mut(&(shard, job.torrent)) else {
            return DiskReply::Failed(failure(StorageOperation::Open, None, "not open"));
        };
        let Some(contents) = self.contents.get_mut(info_hash) else {
            return DiskReply::Failed(failure(StorageOperation::Open, None, "no such contents"));
        };
        match &job.op {
            DiskOp::Open { .. } if self.hidden.contains(info_hash) => {
                DiskReply::Opened(vec![FileSeen::Missing; contents.seen().len()])
            }
            DiskOp::Open { .. } => DiskReply::Opened(contents.seen().to_vec()),
            DiskOp::Create { files } => {
                contents.create(files, opened.allocation);
                opened.is_created = true;
                DiskReply::Done
            }
            DiskOp::Read { offset, length } => {
                read(contents, *offset, *length).map_or_else(DiskReply::Failed, DiskReply::Read)
            }
            DiskOp::Serve { offset, length } => read(contents, *offset, *length)
                .map_or_else(DiskReply::Failed, |bytes| DiskReply::Served(bytes.into())),
            DiskOp::Write { offset, data, .. } => {
                contents.write(*offset, data.bytes());
                DiskReply::Done
            }
            DiskOp::Sync | DiskOp::Close => DiskReply::Done,
            DiskOp::Finish { file } => finish(contents, *file),
        }
    }

    fn chance_of_failure(&self, op: &DiskOp) -> Option<(StorageOperation, u64)> {
        match op {
            DiskOp::Read { .. } | DiskOp::Serve { .. } => {
                Some((StorageOperation::Read, self.faults.read))
            }
            DiskOp::Write { .. } => Some((StorageOperation::Write, self.faults.write)),
            DiskOp::Create { .. } => Some((StorageOperation::Allocate, self.faults.create)),
            _ => None,
        }
    }
}

fn read(contents: &Contents, offset: u64, length: u32) -> Result<SharedBuf, StorageError> {
    let Some(bytes) = contents.read(offset, length) else {
        return Err(failure(StorageOperation::Read, None, "the file ends early"));
    };
    let mut page = PageBuf::zeroed(bytes.len());
    page.bytes_mut().copy_from_slice(&bytes);
    Ok(page.freeze())
}

fn finish(contents: &mut Contents, file: FileIndex) -> DiskReply {
    assert!(
        contents.is_file_right(file),
        "{file:?} got its final name before its bytes were right"
    );
    contents.finish(file);
    DiskReply::Done
}

fn failure(operation: StorageOperation, errno: Option<i32>, what: &str) -> StorageError {
    let message = format!("{what} (simulated)");
    StorageError { operation, file: "simulated".to_owned(), piece: None, errno, message }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::engine::add::WriteMode;
    use crate::sim::bundle::Bundle;

    const TORRENT: TorrentId = TorrentId(1);

    fn disk() -> (Disk, Bundle) {
        (Disk::new(Rng::new(3), Duration::from_millis(5)), Bundle::single(3, 100_000))
    }

    fn open(bundle: &Bundle) -> DiskOp {
        let torrent = Arc::clone(&bundle.torrent);
        let (allocation, write_mode) = (Allocation::Sparse, WriteMode::Cached);
        DiskOp::Open { torrent, directory: Path::new("").into(), allocation, write_mode }
    }

    fn create() -> DiskOp {
        DiskOp::Create { files: Arc::from([FileIndex(0)]) }
    }

    fn run(disk: &mut Disk, id: u64, op: DiskOp) -> DiskReply {
        disk.submit(Instant::ZERO, ShardId(0), DiskJob { id: JobId(id), torrent: TORRENT, op });
        while let Some(at) = disk.poll_timeout() {
            disk.handle_timeout(at);
        }
        disk.poll_completion().expect("every job is answered").reply
    }

    fn page(bytes: &[u8]) -> SharedBuf {
        let mut page = PageBuf::zeroed(bytes.len());
        page.bytes_mut().copy_from_slice(bytes);
        page.freeze()
    }

    fn write(offset: u64, bytes: &[u8]) -> DiskOp {
        DiskOp::Write { offset, data: page(bytes), is_wanted: true }
    }

    #[test]
    fn what_was_written_is_read_again_also_after_a_crash() {
        let (mut disk, bundle) = disk();
        let reply = run(&mut disk, 1, open(&bundle));
        assert!(matches!(reply, DiskReply::Opened(s) if s == [FileSeen::Missing]));
        run(&mut disk, 2, create());
        run(&mut disk, 3, write(0, &bundle.bytes[..16_384]));
        disk.crash();
        let reply = run(&mut disk, 1, open(&bundle));
        assert!(matches!(reply, DiskReply::Opened(s) if s == [FileSeen::Part { length: 16_384 }]));
        let reply = run(&mut disk, 2, DiskOp::Read { offset: 16_000, length: 384 });
        assert!(matches!(reply, DiskReply::Read(b) if b.bytes() == &bundle.bytes[16_000..16_384]));
        let reply = run(&mut disk, 3, DiskOp::Read { offset: 16_000, length: 385 });
        assert!(matches!(reply, DiskReply::Failed(_)), "the file ends there");
    }

    #[test]
    #[should_panic(expected = "overlaps a write under way")]
    fn two_writes_of_the_same_bytes_are_seen() {
        let (mut disk, bundle) = disk();
        run(&mut disk, 1, open(&bundle));
        run(&mut disk, 2, create());
        for id in [3, 4] {
            let op = write(id, b"xyz");
            disk.submit(Instant::ZERO, ShardId(0), DiskJob { id: JobId(id), torrent: TORRENT, op });
        }
    }

    #[test]
    #[should_panic(expected = "before its bytes were right")]
    fn a_file_finished_too_early_is_seen() {
        let (mut disk, bundle) = disk();
        run(&mut disk, 1, open(&bundle));
        run(&mut disk, 2, create());
        run(&mut disk, 3, DiskOp::Finish { file: FileIndex(0) });
    }

    #[test]
    fn planned_errors_carry_their_number_and_spare_other_torrents() {
        let (mut disk, bundle) = disk();
        run(&mut disk, 1, open(&bundle));
        run(&mut disk, 2, create());
        let only = Some(Sha1::of(b"another torrent"));
        let faults = DiskFaults { write: 1000, errno: 5, ..DiskFaults::default() };
        disk.set_faults(DiskFaults { only, ..faults });
        let write = write(0, b"abc");
        assert!(matches!(run(&mut disk, 3, write.clone()), DiskReply::Done));
        disk.set_faults(faults);
        assert!(matches!(run(&mut disk, 4, write), DiskReply::Failed(e) if e.errno == Some(5)));
    }
}
