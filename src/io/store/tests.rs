//! The store on real files: every job one reply, whatever the disk does.

use std::fs;
use std::time::Duration;

use super::*;
use crate::base::buffer::PageBuf;
use crate::base::digest::Sha1;
use crate::base::instant::Instant;
use crate::content::make::TorrentMaker;
use crate::content::torrent::Torrent;
use crate::engine::add::Allocation;
use crate::engine::disk::FileSeen;
use crate::io::clock::Clock;

const ID: TorrentId = TorrentId(5);
const LENGTHS: [u64; 4] = [3_000_000, 0, 70_000, 11];

struct World {
    ring: Ring,
    store: Store,
    dir: tempfile::TempDir,
    next_job: u64,
}

impl World {
    fn new() -> World {
        let pool = Pool::start("test", 2, 64).unwrap();
        let bell = Arc::new(Doorbell::new().unwrap());
        let store = Store::new(pool, Buffers::new(1 << 24), bell, 2);
        let dir = tempfile::tempdir().unwrap();
        World { ring: Ring::new(8).unwrap(), store, dir, next_job: 0 }
    }

    /// With an open and created torrent of `LENGTHS`.
    fn created() -> World {
        let mut world = World::new();
        let reply = world.open();
        assert!(matches!(reply, DiskReply::Opened(seen) if seen == [FileSeen::Missing; 4]));
        assert!(matches!(world.run(DiskOp::Create), DiskReply::Done));
        world
    }

    fn open(&mut self) -> DiskReply {
        let directory = self.dir.path().to_owned();
        let op = DiskOp::Open { torrent: torrent(), directory, allocation: Allocation::Full };
        self.run(op)
    }

    fn submit(&mut self, op: DiskOp) -> JobId {
        self.next_job += 1;
        let id = JobId(self.next_job);
        self.store.submit(&mut self.ring, DiskJob { id, torrent: ID, op });
        id
    }

    fn run(&mut self, op: DiskOp) -> DiskReply {
        let id = self.submit(op);
        let (replied, reply) = self.next();
        assert_eq!(replied, id);
        reply
    }

    fn next(&mut self) -> (JobId, DiskReply) {
        let clock = Clock::start();
        loop {
            self.store.handle_findings(&mut self.ring);
            while let Some(completion) = self.ring.next_completion() {
                let Asker::Disk(id) = completion.asker else { panic!("{completion:?}") };
                self.store.handle_completion(&mut self.ring, id, completion.outcome);
            }
            if let Some(reply) = self.store.poll_reply() {
                return reply;
            }
            assert!(clock.now() < Instant::from_millis(20_000), "no reply");
            self.ring.enter(Duration::from_millis(1)).unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("t").join(name)
    }
}

fn torrent() -> Arc<Torrent> {
    let maker = TorrentMaker::directory("t").with_piece_length(1 << 20);
    let maker = ["a", "b", "c", "d"]
        .into_iter()
        .zip(LENGTHS)
        .fold(maker, |maker, (name, len)| maker.file([name], len));
    Arc::new(Torrent::parse(&maker.finish(&[Sha1::of(b""); 3]).unwrap()).unwrap())
}

fn pattern(offset: u64, len: usize) -> Vec<u8> {
    (offset..offset + len as u64).map(|at| (at / 7 % 251) as u8).collect()
}

fn write(offset: u64, len: usize) -> DiskOp {
    let mut buf = PageBuf::zeroed(len);
    buf.bytes_mut().copy_from_slice(&pattern(offset, len));
    DiskOp::Write { offset, data: buf.freeze() }
}

fn failure(reply: DiskReply) -> StorageError {
    match reply {
        DiskReply::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_written_across_files_is_read_back_cached_or_not() {
    let mut world = World::created();
    let total = LENGTHS.iter().sum::<u64>() as usize;
    let half = 1_234_567;
    world.submit(write(half as u64, total - half));
    world.submit(write(0, half));
    for _ in 0..2 {
        assert!(matches!(world.next().1, DiskReply::Done));
    }
    assert_eq!(fs::read(world.path("d.part")).unwrap(), pattern(3_070_000, 11));
    for is_cached in [true, false] {
        if !is_cached {
            assert!(matches!(world.run(DiskOp::Sync), DiskReply::Done));
            for name in ["a.part", "c.part"] {
                let file = fs::File::open(world.path(name)).unwrap();
                rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
            }
        }
        for (offset, length) in [(0, 16_384), (2_990_000, 80_011), (3_070_010, 1)] {
            let reply = world.run(DiskOp::Read { offset, length });
            let DiskReply::Read(buf) = reply else { panic!("{reply:?}") };
            assert!(buf.bytes() == pattern(offset, length as usize), "{offset} {is_cached}");
        }
    }
    assert!(matches!(world.run(DiskOp::Close), DiskReply::Done));
    assert_eq!((world.store.job_count(), world.ring.in_flight_count()), (0, 0));
}

#[test]
fn a_hundred_jobs_at_once_each_get_one_reply() {
    let mut world = World::created();
    let mut ids: Vec<JobId> = (0..50).map(|at| world.submit(write(at * 61_000, 61_000))).collect();
    for _ in 0..50 {
        let (id, reply) = world.next();
        assert!(matches!(reply, DiskReply::Done));
        ids.retain(|other| *other != id);
    }
    assert!(ids.is_empty());
    for name in ["a.part", "c.part", "d.part"] {
        let file = fs::File::open(world.path(name)).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
    let read = |at: u64| DiskOp::Read { offset: at * 50_000, length: 50_000 };
    let ids: BTreeMap<JobId, u64> = (0..60).map(|at| (world.submit(read(at)), at)).collect();
    for _ in 0..60 {
        let (id, reply) = world.next();
        let DiskReply::Read(buf) = reply else { panic!("{reply:?}") };
        assert!(buf.bytes() == pattern(ids[&id] * 50_000, 50_000));
    }
}

#[test]
fn a_truncated_file_is_an_error_that_names_file_and_piece() {
    let mut world = World::created();
    assert!(matches!(world.run(write(0, 3_000_000)), DiskReply::Done));
    fs::File::options().write(true).open(world.path("a.part")).unwrap().set_len(2_500_000).unwrap();
    let error = failure(world.run(DiskOp::Read { offset: 2_400_000, length: 200_000 }));
    assert_eq!((error.operation, error.piece), (StorageOperation::Read, Some(2)));
    assert!(error.file == "t/a.part" && error.message.contains("recheck"), "{error}");
    let reply = world.run(DiskOp::Read { offset: 0, length: 16_384 });
    assert!(matches!(reply, DiskReply::Read(_)), "the store goes on");
}

#[test]
fn a_missing_file_fails_and_the_next_job_goes_on() {
    let mut world = World::created();
    fs::remove_file(world.path("c.part")).unwrap();
    let error = failure(world.run(DiskOp::Read { offset: 3_000_000, length: 10 }));
    assert!(error.errno == Some(libc::ENOENT) && error.file == "t/c.part", "{error}");
    assert!(matches!(world.run(write(0, 10)), DiskReply::Done));
}

#[test]
fn finished_files_are_served_under_their_final_name() {
    let mut world = World::created();
    assert!(matches!(world.run(write(0, 3_070_011)), DiskReply::Done));
    assert!(matches!(world.run(DiskOp::Sync), DiskReply::Done));
    for file in [0, 2, 3] {
        let reply = world.run(DiskOp::Finish { file: FileIndex(file) });
        assert!(matches!(reply, DiskReply::Done), "{reply:?}");
    }
    assert!(world.path("a").exists() && !world.path("a.part").exists());
    let DiskReply::Read(buf) = world.run(DiskOp::Read { offset: 0, length: 3_070_011 }) else {
        panic!()
    };
    assert!(buf.bytes() == pattern(0, 3_070_011));
    assert!(matches!(world.run(DiskOp::Close), DiskReply::Done));
    let seen = LENGTHS.map(|length| FileSeen::Final { length });
    let reply = world.open();
    assert!(matches!(&reply, DiskReply::Opened(found) if *found == seen), "{reply:?}");
}

#[test]
fn closing_waits_for_jobs_under_way_and_later_jobs_fail() {
    let mut world = World::created();
    let writes: Vec<JobId> = (0..10).map(|at| world.submit(write(at * 1000, 1000))).collect();
    let close = world.submit(DiskOp::Close);
    let order: Vec<JobId> = (0..11).map(|_| world.next().0).collect();
    assert_eq!(order.last(), Some(&close));
    assert!(writes.iter().all(|id| order.contains(id)));
    let error = failure(world.run(DiskOp::Read { offset: 0, length: 1 }));
    assert!(error.message.contains("one that left"));
}

#[test]
fn padding_reads_as_zeros_and_is_never_written() {
    let raw = pad_torrent();
    let mut world = World::new();
    let directory = world.dir.path().to_owned();
    let torrent = Arc::new(Torrent::parse(&raw).unwrap());
    world.run(DiskOp::Open { torrent, directory, allocation: Allocation::Sparse });
    assert!(matches!(world.run(DiskOp::Create), DiskReply::Done));
    assert!(matches!(world.run(write(0, 20_000)), DiskReply::Done));
    assert!(matches!(world.run(DiskOp::Read { offset: 1000, length: 1 }), DiskReply::Read(_)));
    let reply = world.run(DiskOp::Read { offset: 0, length: 20_000 });
    let DiskReply::Read(buf) = reply else { panic!("{reply:?}") };
    let (bytes, written) = (buf.bytes(), pattern(0, 20_000));
    assert!(bytes[..100] == written[..100] && bytes[16_384..] == written[16_384..]);
    assert!(bytes[100..16_384].iter().all(|byte| *byte == 0));
    let names: Vec<_> =
        fs::read_dir(world.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

/// Two files with padding between them (BEP 47), encoded by hand: the maker makes none.
fn pad_torrent() -> Vec<u8> {
    let pieces = "x".repeat(40);
    let pad = "d4:attr1:p6:lengthi16284e4:pathl4:.pad5:16284ee";
    format!(
        "d4:infod5:filesld6:lengthi100e4:pathl1:aee{pad}d6:lengthi3616e4:pathl1:beee4:name1:t\
         12:piece lengthi16384e6:pieces40:{pieces}ee"
    )
    .into_bytes()
}
