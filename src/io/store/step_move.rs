//! Reads and writes: from step to step through the files that the bytes lie in.

use std::io::IoSliceMut;
use std::mem;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::io::ReadWriteFlags;

use crate::base::buffer::SharedBuf;
use crate::base::storage_error::StorageError;
use crate::base::storage_error::StorageOperation;
use crate::engine::add::WriteMode;
use crate::engine::disk::DiskReply;
use crate::engine::disk::JobId;
use crate::io::ring::Ring;
use crate::io::ring::asker::Asker;
use crate::io::store::errors::refused;
use crate::io::store::errors::wrong;
use crate::io::store::file_key::Access;
use crate::io::store::progress::Load;
use crate::io::store::progress::Transfer;
use crate::io::store::state::FRESH_EFFORT;
use crate::io::store::state::STEP;
use crate::io::store::state::Store;

impl Store {
    /// Takes a transfer as far as it gets without waiting.
    pub(super) fn go_on_moving(&mut self, ring: &mut Ring, id: JobId) {
        match self.jobs.transfer(id).map(|(_, transfer)| transfer.is_read()) {
            Some(true) => self.go_on_reading(ring, id),
            Some(false) => self.go_on_writing(ring, id),
            None => {}
        }
    }

    pub(super) fn go_on_reading(&mut self, ring: &mut Ring, id: JobId) {
        if self.lend_instead(id) {
            return;
        }
        loop {
            let Some((torrent, transfer)) = self.jobs.transfer(id) else { return };
            let Some(step) = transfer.progress.step() else { return self.end_read(id) };
            let shelf = self.shelves.get(&torrent);
            let Some((spot, offset)) = shelf.and_then(|s| s.locate(step.file, step.offset)) else {
                // Padding is zeros, and the buffer may have been used before.
                let Some(Some(buf)) = self.jobs.buffer(id) else { return };
                buf.bytes_mut()[step.at..step.at + step.len].fill(0);
                self.jobs.advance(id, step.len);
                continue;
            };
            let is_extent = transfer.was_missed && !transfer.is_served;
            let Some(fd) = self.open_file(id, (torrent, spot), Access::Read) else { return };
            let Some(slot) = self.jobs.buffer(id) else { return };
            let Some(buf) = slot.as_mut() else { return };
            let effort = if buf.is_fresh() { FRESH_EFFORT } else { 1 };
            let target = &mut buf.bytes_mut()[step.at..step.at + step.len.min(STEP / effort)];
            // Of an extent something is missing: it is not looked for.
            if !is_extent && let Ok(count @ 1..) = read_cached(&fd, target, offset) {
                self.jobs.advance(id, count);
                self.unseen += effort * count;
                if self.must_pause(id) {
                    return self.ready.push_front(id);
                }
                continue;
            }
            // Not cached, or at the end, or an error: the ring's answer counts.
            if self.await_extent(ring, id) {
                return;
            }
            let Some(Some(buf)) = self.jobs.buffer(id).map(Option::take) else { return };
            ring.read(Asker::Disk(id), fd, buf, (step.at, step.len), offset);
            return;
        }
    }

    /// Whether the ring must look at its clock before the job goes on, which has not come to its
    /// end.
    fn must_pause(&mut self, id: JobId) -> bool {
        let has_more = |transfer: &mut Transfer| transfer.progress.step().is_some();
        self.unseen >= STEP && self.jobs.transfer(id).is_some_and(|(_, it)| has_more(it))
    }

    fn end_read(&mut self, id: JobId) {
        let Some((_, transfer)) = self.jobs.transfer(id) else { return };
        let done = transfer.progress.done();
        let Load::Read(buf) = &mut transfer.payload else { return };
        match buf.take() {
            Some(buf) if buf.len() == done => {
                let bytes = buf.freeze();
                let is_served = transfer.is_served;
                let reply = match is_served {
                    true => DiskReply::Served(bytes.into()),
                    false => DiskReply::Read(bytes),
                };
                self.end_transfer(id, reply);
            }
            _ => self.fail_short(id),
        }
    }

    fn go_on_writing(&mut self, ring: &mut Ring, id: JobId) {
        loop {
            let Some((torrent, transfer)) = self.jobs.transfer(id) else { return };
            let Load::Write(data) = &transfer.payload else { return };
            let data: SharedBuf = data.clone();
            let Some(step) = transfer.progress.step() else {
                return self.end_transfer(id, DiskReply::Done);
            };
            let shelf = self.shelves.get(&torrent);
            let Some((spot, offset)) = shelf.and_then(|s| s.locate(step.file, step.offset)) else {
                self.jobs.advance(id, step.len);
                continue;
            };
            let step = step.for_write();
            let is_wanted = transfer.is_wanted;
            let direct_len =
                shelf.map_or(0, |shelf| shelf.direct_len(spot, offset, step, is_wanted));
            transfer.is_direct = direct_len > 0;
            let (access, len) = match direct_len {
                0 => (Access::Write, step.len),
                len => (Access::DirectWrite, len),
            };
            let Some(fd) = self.open_file(id, (torrent, spot), access) else { return };
            if let Some(shelf) = self.shelves.get_mut(&torrent) {
                shelf.dirty.insert(spot);
            }
            let Some(part) = data.slice(step.at..step.at + len) else { return };
            ring.write(Asker::Disk(id), fd, part, offset);
            return;
        }
    }

    /// The kernel moved `result` bytes of the present step.
    pub(super) fn handle_moved(
        &mut self,
        ring: &mut Ring,
        id: JobId,
        operation: StorageOperation,
        result: Result<usize, Errno>,
    ) {
        match result {
            Ok(count) if count > 0 => {
                if self.jobs.transfer(id).is_some_and(|(_, transfer)| transfer.was_missed) {
                    self.upload_read += count as u64;
                }
                self.jobs.advance(id, count);
                self.go_on_moving(ring, id);
            }
            Err(Errno::INTR | Errno::AGAIN) => self.go_on_moving(ring, id),
            Err(Errno::INVAL) if self.give_up_direct(id) => self.go_on_moving(ring, id),
            Ok(_) if operation == StorageOperation::Read => self.fail_short(id),
            refusal => {
                let errno = refusal.err().unwrap_or(Errno::IO);
                let (piece, path) = self.whereabouts(id);
                self.fail(id, StorageError { piece, ..refused(operation, &path, errno) });
            }
        }
    }

    /// The file system asks for more than pages to be aligned: from here on the torrent is written
    /// through its cache. False if this transfer was.
    fn give_up_direct(&mut self, id: JobId) -> bool {
        let Some((torrent, transfer)) = self.jobs.transfer(id) else { return false };
        let was_direct = mem::take(&mut transfer.is_direct);
        if was_direct && let Some(shelf) = self.shelves.get_mut(&torrent) {
            shelf.write_mode = WriteMode::Cached;
        }
        was_direct
    }

    fn fail_short(&mut self, id: JobId) {
        let (piece, path) = self.whereabouts(id);
        let message = "the file ends before the bytes asked for: recheck the torrent".to_owned();
        let error = wrong(StorageOperation::Read, &path, message);
        self.fail(id, StorageError { piece, ..error });
    }

    /// The piece and the file that a transfer was at.
    fn whereabouts(&mut self, id: JobId) -> (Option<u32>, PathBuf) {
        let Some((torrent, transfer)) = self.jobs.transfer(id) else { return Default::default() };
        let offset = transfer.offset + transfer.progress.done() as u64;
        let step = transfer.progress.step();
        let Some(shelf) = self.shelves.get(&torrent) else { return Default::default() };
        let place = step.and_then(|step| shelf.locate(step.file, step.offset));
        let path = place.map(|(spot, _)| shelf.path(spot)).unwrap_or_default();
        let piece = shelf.place.torrent.layout().piece_at(offset);
        (piece.map(|piece| piece.as_u32()), path)
    }
}

/// Bytes of the page cache, at most as many as fit; an error where waiting would be needed.
fn read_cached(fd: &OwnedFd, target: &mut [u8], offset: u64) -> Result<usize, Errno> {
    rustix::io::preadv2(fd, &mut [IoSliceMut::new(target)], offset, ReadWriteFlags::NOWAIT)
}
