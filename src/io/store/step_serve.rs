//! Reads for peers: what is in memory is lent from there, everything else is read.

use std::mem;
use std::ops::Range;
use std::path::Path;

use crate::base::ids::TorrentId;
use crate::base::payload::Mapped;
use crate::base::payload::Payload;
use crate::base::storage_error::StorageError;
use crate::base::storage_error::StorageOperation;
use crate::engine::disk::DiskReply;
use crate::engine::disk::JobId;
use crate::io::ring::Ring;
use crate::io::store::errors::wrong;
use crate::io::store::file_key::Spot;
use crate::io::store::mapped::Window;
use crate::io::store::progress::Load;
use crate::io::store::progress::Transfer;
use crate::io::store::queue::Job;
use crate::io::store::queue::Work;
use crate::io::store::state::Store;

impl Store {
    /// Answers at once what is in memory and can be lent from there.
    pub(super) fn serve(&mut self, id: JobId, torrent: TorrentId, offset: u64, length: u32) {
        if let Some(mapped) = self.lend(torrent, offset, length) {
            return self.replies.push_back((id, DiskReply::Served(Payload::Mapped(mapped))));
        }
        self.start(id, torrent, |shelf, buffers| {
            let load = Load::Read(Some(buffers.take(length as usize)));
            let transfer = Transfer::new(&shelf.place.torrent, offset, length as usize, load);
            Work::Transfer(Transfer { is_served: true, ..transfer })
        });
    }

    /// The bytes where they are, if they can be sent from there without waiting.
    pub(super) fn lend(&mut self, torrent: TorrentId, offset: u64, length: u32) -> Option<Mapped> {
        let shelf = self.shelves.get(&torrent).filter(|shelf| shelf.is_open())?;
        let mut spans = shelf.place.torrent.file_list().spans(offset, u64::from(length));
        let span = spans.next().filter(|span| span.length == length)?;
        let (spot, offset) = shelf.locate(span.file, span.offset)?;
        match spot {
            Spot::File(_) => self.files.lend((torrent, spot), offset, length as usize),
            Spot::Parts => None,
        }
    }

    /// Lends what was to be read for a peer and is in memory by now; the job ends with it.
    pub(super) fn lend_instead(&mut self, id: JobId) -> bool {
        let Some((torrent, transfer)) = self.jobs.transfer(id) else { return false };
        if !transfer.is_served {
            return false;
        }
        let Range { start, end } = transfer.range();
        let Some(mapped) = self.lend(torrent, start, (end - start) as u32) else { return false };
        self.end_transfer(id, DiskReply::Served(Payload::Mapped(mapped)));
        true
    }

    /// Waits, once, for the extent that holds what is to be read for a peer and is not in memory.
    /// It is read by a job of its own, which takes the place of the first who waits.
    pub(super) fn await_extent(&mut self, ring: &mut Ring, id: JobId) -> bool {
        let Some((torrent, transfer)) = self.jobs.transfer(id) else { return false };
        if !transfer.is_served || mem::replace(&mut transfer.was_missed, true) {
            return false;
        }
        let wanted = transfer.range();
        let Some(shelf) = self.shelves.get_mut(&torrent) else { return false };
        let Some(extent) = shelf.extent(&wanted) else { return false };
        let is_in_lane = mem::take(&mut transfer.is_in_lane);
        if self.extents.join(torrent, &wanted, id) {
            if is_in_lane {
                self.lanes.leave(true);
            }
            return true;
        }
        let length = (extent.end - extent.start) as usize;
        let load = Load::Read(Some(self.buffers.take(length)));
        let transfer = Transfer::new(&shelf.place.torrent, extent.start, length, load);
        let transfer = Transfer { was_missed: true, is_in_lane, ..transfer };
        shelf.job_count += 1;
        shelf.moving_count += 1;
        let flight = self.extents.begin(torrent, extent, id);
        self.jobs.insert(flight, Job { torrent, work: Work::Transfer(transfer) });
        self.go_on_reading(ring, flight);
        true
    }

    /// What is wrong with mapped bytes that the kernel could not read.
    pub(crate) fn unreadable(&self, mapped: &Mapped) -> StorageError {
        let message = "the file ended, or could not be read, while it was being sent: recheck the \
                       torrent";
        let error = |path: &Path| wrong(StorageOperation::Read, path, message.to_owned());
        let Some(window) = mapped.keeper::<Window>() else { return error(Path::new("")) };
        let ((torrent, spot), offset) = window.whereabouts(mapped);
        let piece = self.shelves.get(&torrent).and_then(|shelf| shelf.piece_at(spot, offset));
        StorageError { piece, ..error(&self.path(torrent, spot)) }
    }
}
