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
fn what_is_not_in_memory_lies_in_small_files_or_in_two_of_them_is_read() {
    let mut world = written();
    drop_cached(&world, "a.part");
    for (offset, length) in [(0, 16_384), (3_000_000, 70_000), (2_990_000, 80_011)] {
        let Payload::Memory(bytes) = serve(&mut world, offset, length) else { panic!("{offset}") };
        assert!(bytes.bytes() == pattern(offset, length as usize), "{offset}");
    }
    drop(serve(&mut world, 0, 16_384));
    let again = serve(&mut world, 0, 16_384);
    assert!(matches!(again, Payload::Mapped(_)), "in memory, and its file is open");
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
    world.store.handle_findings(&mut world.ring);
    assert!(sent(&lent).unwrap() == pattern(0, 16_384), "still");
    assert!(world.store.unreadable(&lent).file.is_empty(), "the torrent is not known any more");
    let error = failure(world.run(DiskOp::Serve { offset: 0, length: 1 }));
    assert!(error.message.contains("open torrent"), "{error} of {ID}");
}
