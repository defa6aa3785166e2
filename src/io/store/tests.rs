//! The store on real files: every job one reply, whatever the disk does.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;

use super::*;
use crate::base::buffer::PageBuf;
use crate::base::buffer::Pool as Buffers;
use crate::base::digest::Sha1;
use crate::base::ids::FileIndex;
use crate::base::ids::TorrentId;
use crate::base::instant::Instant;
use crate::content::make::TorrentMaker;
use crate::content::torrent::Torrent;
use crate::engine::add::Allocation;
use crate::engine::add::WriteMode;
use crate::engine::disk::FileSeen;
use crate::io::blocking::Pool;
use crate::io::clock::Clock;
use crate::io::cpus::Provision;
use crate::io::doorbell::Doorbell;
use crate::io::ring::asker::Asker;
use crate::io::store::open_files::OpenFiles;

pub(super) const ID: TorrentId = TorrentId(5);
pub(super) const LENGTHS: [u64; 4] = [3_000_000, 0, 70_000, 11];

pub(super) struct World {
    pub(super) ring: Ring,
    pub(super) store: Store,
    pub(super) dir: tempfile::TempDir,
    next_job: u64,
}

impl World {
    fn new() -> World {
        let pool = Pool::start("test", 2, 64).unwrap();
        let bell = Arc::new(Doorbell::new().unwrap());
        let store = Store::new(pool, Buffers::new(1 << 24), bell, (2, 4));
        let dir = tempfile::tempdir().unwrap();
        World {
            ring: Ring::new(Provision { count: 8, len: 4096 }).unwrap(),
            store,
            dir,
            next_job: 0,
        }
    }

    /// With an open and created torrent of `LENGTHS`.
    pub(super) fn created() -> World {
        World::created_for(WriteMode::Cached)
    }

    pub(super) fn created_for(write_mode: WriteMode) -> World {
        let mut world = World::new();
        let reply = world.open_for(write_mode);
        assert!(matches!(reply, DiskReply::Opened(seen) if seen == [FileSeen::Missing; 4]));
        assert!(matches!(world.run(create(0..4)), DiskReply::Done));
        world
    }

    fn open(&mut self) -> DiskReply {
        self.open_for(WriteMode::Cached)
    }

    fn open_for(&mut self, write_mode: WriteMode) -> DiskReply {
        let (directory, allocation) = (self.dir.path().into(), Allocation::Full);
        self.run(DiskOp::Open { torrent: torrent(), directory, allocation, write_mode })
    }

    pub(super) fn submit(&mut self, op: DiskOp) -> JobId {
        self.next_job += 1;
        let id = JobId(self.next_job);
        self.store.submit(&mut self.ring, DiskJob { id, torrent: ID, op });
        id
    }

    pub(super) fn run(&mut self, op: DiskOp) -> DiskReply {
        let id = self.submit(op);
        let (replied, reply) = self.next();
        assert_eq!(replied, id);
        reply
    }

    pub(super) fn next(&mut self) -> (JobId, DiskReply) {
        let clock = Clock::start();
        loop {
            self.store.handle_findings();
            while let Some(completion) = self.ring.next_completion() {
                let Asker::Disk(id) = completion.asker else { panic!("{completion:?}") };
                self.store.handle_completion(&mut self.ring, id, completion.outcome);
            }
            self.store.begin_waiting(&mut self.ring);
            if let Some(reply) = self.store.poll_reply() {
                return reply;
            }
            assert!(clock.now() < Instant::from_millis(20_000), "no reply");
            self.ring.enter(Duration::from_millis(1)).unwrap();
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
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

pub(super) fn create(files: Range<u32>) -> DiskOp {
    DiskOp::Create { files: files.map(FileIndex).collect() }
}

pub(super) fn pattern(offset: u64, len: usize) -> Vec<u8> {
    (offset..offset + len as u64).map(|at| (at / 7 % 251) as u8).collect()
}

pub(super) fn write(offset: u64, len: usize) -> DiskOp {
    let mut buf = PageBuf::zeroed(len);
    buf.bytes_mut().copy_from_slice(&pattern(offset, len));
    DiskOp::Write { offset, data: buf.freeze(), is_wanted: true }
}

pub(super) fn failure(reply: DiskReply) -> StorageError {
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
fn what_is_written_past_the_page_cache_is_read_back_with_its_odd_ends() {
    let mut world = World::created_for(WriteMode::Direct);
    let total = LENGTHS.iter().sum::<u64>() as usize;
    let is_open = |files: &mut OpenFiles| {
        let keys = [0, 2, 3].map(|file| (ID, Spot::File(FileIndex(file))));
        keys.map(|key| files.get(key, true).is_some())
    };
    // The second piece is aligned, the last one only until its first file ends.
    assert!(matches!(world.run(write(1 << 20, 1 << 20)), DiskReply::Done));
    assert_eq!(is_open(&mut world.store.direct_files), [true, false, false]);
    assert_eq!(is_open(&mut world.store.files), [false, false, false]);
    assert!(matches!(world.run(write(2 << 20, total - (2 << 20))), DiskReply::Done));
    assert_eq!(is_open(&mut world.store.direct_files), [true, false, false]);
    assert_eq!(is_open(&mut world.store.files), [false, true, true], "two are kept");
    assert!(matches!(world.run(write(0, 1 << 20)), DiskReply::Done));
    assert!(matches!(world.run(DiskOp::Sync), DiskReply::Done));
    let reply = world.run(DiskOp::Read { offset: 0, length: total as u32 });
    let DiskReply::Read(buf) = reply else { panic!("{reply:?}") };
    assert!(buf.bytes() == pattern(0, total));
}

#[test]
fn large_writes_that_nobody_waits_for_go_past_the_page_cache_by_themselves() {
    for (mode, len, is_wanted, is_direct) in [
        (WriteMode::Auto, 1 << 20, false, true),
        (WriteMode::Auto, 1 << 20, true, false),
        (WriteMode::Auto, 1 << 19, false, false),
        (WriteMode::Direct, 1 << 16, true, true),
        (WriteMode::Direct, 1 << 15, true, false),
        (WriteMode::Cached, 1 << 20, false, false),
    ] {
        let mut world = World::created_for(mode);
        let DiskOp::Write { offset, data, .. } = write(1 << 20, len) else { unreachable!() };
        let op = DiskOp::Write { offset, data, is_wanted };
        assert!(matches!(world.run(op), DiskReply::Done));
        let file = world.store.direct_files.get((ID, Spot::File(FileIndex(0))), true);
        assert_eq!(file.is_some(), is_direct, "{mode:?}, {len} bytes, wanted: {is_wanted}");
    }
}

#[test]
fn a_file_system_that_refuses_an_aligned_write_gets_it_through_its_cache() {
    let mut world = World::created_for(WriteMode::Direct);
    let id = world.submit(write(0, 1 << 20));
    while world.store.jobs.transfer(id).is_some_and(|(_, transfer)| !transfer.is_direct) {
        world.store.handle_findings();
        world.store.begin_waiting(&mut world.ring);
    }
    world.store.handle_completion(&mut world.ring, id, Outcome::Written(Err(Errno::INVAL)));
    // The write that was refused for the test's sake ends as well, and counts for the second.
    assert!(matches!(world.next().1, DiskReply::Done));
    assert_eq!(world.store.shelves[&ID].write_mode, WriteMode::Cached);
    assert!(matches!(world.run(write(1 << 20, 1 << 20)), DiskReply::Done));
    let key = (ID, Spot::File(FileIndex(0)));
    assert!(world.store.files.get(key, true).is_some());
    assert_eq!(fs::read(world.path("a.part")).unwrap()[..2 << 20], pattern(0, 2 << 20));
}

#[test]
fn padding_reads_as_zeros_and_is_never_written() {
    let raw = pad_torrent();
    let mut world = World::new();
    let directory = world.dir.path().to_owned();
    let torrent = Arc::new(Torrent::parse(&raw).unwrap());
    let (allocation, write_mode) = (Allocation::Sparse, WriteMode::Cached);
    world.run(DiskOp::Open { torrent, directory: directory.into(), allocation, write_mode });
    assert!(matches!(world.run(create(0..3)), DiskReply::Done));
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

/// What lies aside in a world of `torrent()`.
fn parts(world: &World) -> PathBuf {
    world.dir.path().join(format!(".{}.parts", torrent().info_hash()))
}

#[test]
fn bytes_of_files_that_were_not_made_lie_aside_and_are_read_from_there() {
    let mut world = World::new();
    world.open();
    assert!(matches!(world.run(create(2..3)), DiskReply::Done), "only the third file");
    assert!(matches!(world.run(write(2_990_000, 80_011)), DiskReply::Done));
    assert!(!world.path("a.part").exists() && !world.path("d.part").exists());
    assert_eq!(fs::read(world.path("c.part")).unwrap(), pattern(3_000_000, 70_000));
    let aside = fs::metadata(parts(&world)).unwrap();
    assert!(aside.len() == 3_070_011 && aside.blocks() * 512 < 100_000, "{aside:?}");
    for _ in 0..2 {
        let reply = world.run(DiskOp::Read { offset: 2_990_000, length: 80_011 });
        let DiskReply::Read(buf) = reply else { panic!("{reply:?}") };
        assert!(buf.bytes() == pattern(2_990_000, 80_011));
        assert!(matches!(world.run(DiskOp::Sync), DiskReply::Done));
    }
    // As after a restart.
    assert!(matches!(world.run(DiskOp::Close), DiskReply::Done));
    let reply = world.open();
    let part = FileSeen::Part { length: 70_000 };
    let seen = [FileSeen::Aside, FileSeen::Missing, part, FileSeen::Aside];
    assert!(matches!(&reply, DiskReply::Opened(found) if *found == seen), "{reply:?}");
    let reply = world.run(DiskOp::Read { offset: 3_069_999, length: 12 });
    let DiskReply::Read(buf) = reply else { panic!("{reply:?}") };
    assert!(buf.bytes() == pattern(3_069_999, 12));
}

#[test]
fn a_file_that_is_made_later_gets_what_lay_aside_and_the_store_goes_when_it_is_empty() {
    let mut world = World::new();
    world.open();
    world.run(create(2..3));
    world.run(write(2_990_000, 80_011));
    assert!(matches!(world.run(create(0..1)), DiskReply::Done));
    let bytes = fs::read(world.path("a.part")).unwrap();
    assert!(bytes.len() == 3_000_000 && bytes[2_990_000..] == pattern(2_990_000, 10_000));
    assert!(parts(&world).exists(), "the last file's bytes are in it");
    assert!(matches!(world.run(create(3..4)), DiskReply::Done));
    assert_eq!(fs::read(world.path("d.part")).unwrap(), pattern(3_070_000, 11));
    assert!(!parts(&world).exists() && !world.path("b").exists());
    let reply = world.run(DiskOp::Read { offset: 2_990_000, length: 80_011 });
    let DiskReply::Read(buf) = reply else { panic!("{reply:?}") };
    assert!(buf.bytes() == pattern(2_990_000, 80_011));
    assert!(matches!(world.run(DiskOp::Sync), DiskReply::Done));
    assert!(!parts(&world).exists(), "a sync does not make it anew");
}

#[test]
fn files_are_made_between_what_was_written_before_and_what_is_written_after() {
    for _ in 0..20 {
        let mut world = World::new();
        world.open();
        world.run(create(2..3));
        let before = (0..20).map(|at| world.submit(write(at * 100_000, 60_000)));
        let mut ids: Vec<JobId> = before.collect();
        let made = world.submit(create(0..1));
        ids.push(world.submit(DiskOp::Sync));
        ids.extend((0..20).map(|at| world.submit(write(at * 100_000 + 60_000, 40_000))));
        let order: Vec<JobId> = (0..42)
            .map(|_| {
                let (id, reply) = world.next();
                assert!(matches!(reply, DiskReply::Done), "{reply:?}");
                id
            })
            .collect();
        assert!(order[..20].iter().all(|id| ids[..20].contains(id)) && order[20] == made);
        let bytes = fs::read(world.path("a.part")).unwrap();
        assert!(bytes[..2_000_000] == pattern(0, 2_000_000));
        assert!(!parts(&world).exists());
        assert!(matches!(world.run(DiskOp::Close), DiskReply::Done));
    }
}

#[test]
fn a_file_that_could_not_be_made_leaves_what_lies_aside() {
    let mut world = World::new();
    world.open();
    world.run(create(2..3));
    world.run(write(2_990_000, 10_000));
    fs::create_dir(world.path("a.part")).unwrap();
    let error = failure(world.run(create(0..1)));
    assert_eq!(error.operation, StorageOperation::Open);
    fs::remove_dir(world.path("a.part")).unwrap();
    let reply = world.run(DiskOp::Read { offset: 2_990_000, length: 10_000 });
    let DiskReply::Read(buf) = reply else { panic!("{reply:?}") };
    assert!(buf.bytes() == pattern(2_990_000, 10_000), "as before");
    assert!(matches!(world.run(create(0..1)), DiskReply::Done));
    let mut bytes = [0; 100];
    let file = fs::File::open(world.path("a.part")).unwrap();
    file.read_exact_at(&mut bytes, 2_990_000).unwrap();
    assert!(bytes[..] == pattern(2_990_000, 100));
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

#[test]
fn who_rests_holds_no_descriptor_and_reads_again_when_it_rises() {
    let mut world = World::created();
    assert!(matches!(world.run(write(0, 3_000_000)), DiskReply::Done));
    assert!(matches!(world.run(DiskOp::Sync), DiskReply::Done));
    for file in [0, 2, 3] {
        assert!(matches!(world.run(DiskOp::Finish { file: FileIndex(file) }), DiskReply::Done));
    }
    let is_open = |world: &mut World| world.store.files.get((ID, Spot::File(FileIndex(0))), false);
    assert!(is_open(&mut world).is_some());
    world.store.rest(ID);
    assert!(is_open(&mut world).is_none() && world.store.shelves.is_empty());
    let directory = world.dir.path().into();
    let (allocation, write_mode) = (Allocation::Full, WriteMode::Cached);
    world.store.rise(ID, Place { torrent: torrent(), directory, allocation, write_mode });
    match world.run(DiskOp::Read { offset: 2_999_990, length: 10 }) {
        DiskReply::Read(data) => assert_eq!(data.bytes(), pattern(2_999_990, 10)),
        other => panic!("{other:?}"),
    }
}
