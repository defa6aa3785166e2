//! Reads for peers on real files: lent where the bytes are in memory, read where not, never wrong.

use std::fs;
use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::Advice;
use rustix::io::Errno;

use super::*;
use crate::base::payload::Mapped;
use crate::base::payload::Payload;
use crate::io::store::tests::ID;
use crate::io::store::tests::LENGTHS;
use crate::io::store::tests::World;
use crate::io::store::tests::failure;
use crate::io::store::tests::pattern;
use crate::io::store::tests::write;

/// With all bytes written, and synced.
fn written() -> World {
    let mut world = World::created();
    let total = LENGTHS.iter().sum::<u64>() as usize;
    assert!(matches!(world.run(write(0, total)), DiskReply::Done));
    assert!(matches!(world.run(DiskOp::Sync), DiskReply::Done));
    world
}

fn serve(world: &mut World, offset: u64, length: u32) -> Payload {
    match world.run(DiskOp::Serve { offset, length }) {
        DiskReply::Served(payload) => payload,
        other => panic!("{other:?}"),
    }
}

/// What the kernel takes from there.
fn sent(mapped: &Mapped) -> Result<Vec<u8>, Errno> {
    let file = tempfile::tempfile().unwrap();
    let from = std::ptr::with_exposed_provenance(mapped.address());
    // SAFETY: the kernel reads mapped memory, or says that it cannot.
    let count = unsafe { libc::write(std::os::fd::AsRawFd::as_raw_fd(&file), from, mapped.len()) };
    if count < 0 {
        let raw = std::io::Error::last_os_error().raw_os_error();
        return Err(Errno::from_raw_os_error(raw.unwrap()));
    }
    let mut bytes = vec![0; count as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    Ok(bytes)
}

fn drop_cached(world: &World, name: &str) {
    let file = File::open(world.path(name)).unwrap();
    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
}

#[test]
fn what_is_in_memory_is_lent_within_the_call() {
    let mut world = written();
    for (offset, length) in [(0, 16_384), (1_000_001, 524_288), (2_999_999, 1)] {
        let id = world.submit(DiskOp::Serve { offset, length });
        let Some((replied, DiskReply::Served(Payload::Mapped(mapped)))) = world.store.poll_reply()
        else {
            panic!()
        };
        assert_eq!(replied, id);
        assert!(sent(&mapped).unwrap() == pattern(offset, length as usize), "{offset}");
    }
    assert_eq!(world.store.job_count(), 0);
}

#[test]
fn what_lies_in_small_files_or_in_two_of_them_is_copied() {
    let mut world = written();
    for is_cached in [true, false] {
        for (offset, length) in [(3_000_000, 70_000), (2_990_000, 80_011), (3_070_000, 11)] {
            if !is_cached {
                ["a.part", "c.part", "d.part"].iter().for_each(|name| drop_cached(&world, name));
            }
            let payload = serve(&mut world, offset, length);
            let Payload::Memory(bytes) = payload else { panic!("{offset}") };
            assert!(bytes.bytes() == pattern(offset, length as usize), "{offset} {is_cached}");
        }
    }
}

#[test]
fn neighbours_that_are_not_in_memory_are_read_once_for_all_who_want_them() {
    let mut world = written();
    drop(serve(&mut world, 2 << 20, 1));
    drop_cached(&world, "a.part");
    let read = |at: u32| DiskOp::Serve { offset: u64::from(at) * 32_768, length: 32_768 };
    let mut ids: Vec<JobId> = (0..64).map(|at| world.submit(read(at % 32))).collect();
    let mut apart = 0;
    while !ids.is_empty() {
        let (id, reply) = world.next();
        match reply {
            DiskReply::Served(Payload::Mapped(_)) => {}
            // The system may take a page back as soon as it was read.
            DiskReply::Served(Payload::Memory(bytes)) => apart += bytes.len() as u64,
            other => panic!("{other:?}"),
        }
        ids.retain(|other| *other != id);
    }
    let (read, extent) = (world.store.upload_read(), 1 << 20);
    assert!(apart <= extent / 4, "{apart} bytes were read again");
    assert!((extent..=extent + apart).contains(&read), "{read} for one extent");
    assert_eq!((world.store.job_count(), world.ring.in_flight_count()), (0, 0));
}

#[test]
fn a_peer_that_reads_all_of_it_block_by_block_has_its_bytes_read_once() {
    let mut world = written();
    let total = LENGTHS.iter().sum::<u64>();
    ["a.part", "c.part", "d.part"].iter().for_each(|name| drop_cached(&world, name));
    for at in (0..total).step_by(16_384) {
        let length = (total - at).min(16_384);
        match serve(&mut world, at, length as u32) {
            Payload::Mapped(mapped) => {
                assert!(sent(&mapped).unwrap() == pattern(at, length as usize), "{at}");
            }
            Payload::Memory(bytes) => assert!(bytes.bytes() == pattern(at, length as usize)),
        }
    }
    let read = world.store.upload_read();
    // What lies in two files is read by itself.
    assert!(read >= total - 16_384 && read <= total + 16_384, "{read} were read for {total}");
}

#[test]
fn whoever_waits_for_an_extent_of_a_file_that_was_cut_gets_the_error_of_its_own_bytes() {
    let mut world = written();
    drop(serve(&mut world, 0, 1));
    let file = File::options().write(true).open(world.path("a.part")).unwrap();
    file.set_len(500_000).unwrap();
    drop_cached(&world, "a.part");
    let ids =
        [0, 400_000, 700_000].map(|offset| world.submit(DiskOp::Serve { offset, length: 16_384 }));
    for _ in 0..3 {
        match world.next() {
            (id, DiskReply::Served(payload)) => {
                assert!(payload.len() == 16_384 && ids[..2].contains(&id));
            }
            (id, reply) => {
                let error = failure(reply);
                assert!(id == ids[2] && error.piece == Some(0), "{error}");
            }
        }
    }
    assert_eq!(world.store.job_count(), 0);
}

#[test]
fn closing_waits_for_an_extent_that_is_being_read() {
    let mut world = written();
    drop(serve(&mut world, 0, 1));
    drop_cached(&world, "a.part");
    let reading = world.submit(DiskOp::Serve { offset: 1 << 20, length: 16_384 });
    let closing = world.submit(DiskOp::Close);
    let (first, reply) = world.next();
    assert!(first == reading && matches!(reply, DiskReply::Served(_)), "{reply:?}");
    assert_eq!(world.next().0, closing);
    assert_eq!((world.store.job_count(), world.ring.in_flight_count()), (0, 0));
}

#[test]
fn what_is_written_while_it_is_mapped_is_what_is_lent() {
    let mut world = World::created();
    assert!(matches!(world.run(write(0, 500_000)), DiskReply::Done));
    let Payload::Mapped(early) = serve(&mut world, 400_000, 100_000) else { panic!() };
    assert!(matches!(world.run(write(500_000, 500_000)), DiskReply::Done));
    let Payload::Mapped(late) = serve(&mut world, 500_000, 100_000) else { panic!() };
    assert!(sent(&early).unwrap() == pattern(400_000, 100_000));
    assert!(sent(&late).unwrap() == pattern(500_000, 100_000));
}

#[test]
fn a_file_that_was_cut_is_an_error_before_or_while_it_is_sent() {
    let mut world = written();
    let Payload::Mapped(lent) = serve(&mut world, 2_600_000, 100_000) else { panic!() };
    let file = File::options().write(true).open(world.path("a.part")).unwrap();
    file.set_len(2_500_001).unwrap();
    assert_eq!(sent(&lent).unwrap_err(), Errno::FAULT);
    let error = world.store.unreadable(&lent);
    assert_eq!((error.operation, error.piece), (StorageOperation::Read, Some(2)));
    assert!(error.file == "t/a.part" && error.message.contains("recheck"), "{error}");
    // The rest of the last page reads as zeros, and must not be lent.
    let error = failure(world.run(DiskOp::Serve { offset: 2_499_000, length: 1_500 }));
    assert!(error.file == "t/a.part" && error.message.contains("recheck"), "{error}");
    assert!(matches!(serve(&mut world, 2_000_000, 500_000), Payload::Mapped(_)), "it goes on");
}

#[test]
fn a_file_that_was_replaced_or_deleted_is_lent_as_it_was() {
    let mut world = written();
    drop(serve(&mut world, 0, 1));
    fs::write(world.path("new"), vec![9; 3_000_000]).unwrap();
    fs::rename(world.path("new"), world.path("a.part")).unwrap();
    let Payload::Mapped(lent) = serve(&mut world, 5, 100_000) else { panic!() };
    assert!(sent(&lent).unwrap() == pattern(5, 100_000));
}

#[test]
fn windows_go_with_their_torrent_and_what_is_lent_goes_last() {
    let mut world = written();
    let Payload::Mapped(lent) = serve(&mut world, 0, 16_384) else { panic!() };
    assert!(matches!(world.run(DiskOp::Close), DiskReply::Done));
    assert!(sent(&lent).unwrap() == pattern(0, 16_384), "it is being sent");
    world.store.handle_findings();
    assert!(sent(&lent).unwrap() == pattern(0, 16_384), "still");
    assert!(world.store.unreadable(&lent).file.is_empty(), "the torrent is not known any more");
    let error = failure(world.run(DiskOp::Serve { offset: 0, length: 1 }));
    assert!(error.message.contains("open torrent"), "{error} of {ID}");
}
