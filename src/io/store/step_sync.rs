//! Syncs: one file after the other.

use std::mem;

use rustix::io::Errno;

use crate::base::storage_error::StorageOperation;
use crate::engine::disk::DiskReply;
use crate::engine::disk::JobId;
use crate::io::ring::Ring;
use crate::io::ring::asker::Asker;
use crate::io::store::errors::refused;
use crate::io::store::file_key::Access;
use crate::io::store::state::Store;

impl Store {
    pub(super) fn go_on_syncing(&mut self, ring: &mut Ring, id: JobId) {
        let Some((torrent, left, _)) = self.jobs.sync(id) else { return };
        let Some(spot) = left.last().copied() else { return self.reply(id, DiskReply::Done) };
        if let Some(fd) = self.open_file(id, (torrent, spot), Access::Write) {
            ring.sync(Asker::Disk(id), fd);
        }
    }

    pub(super) fn handle_synced(&mut self, ring: &mut Ring, id: JobId, result: Result<(), Errno>) {
        let Some((torrent, left, done)) = self.jobs.sync(id) else { return };
        let Some(spot) = left.pop() else { return };
        done.push(spot);
        match result {
            Ok(()) => {
                self.go_on_syncing(ring, id);
            }
            Err(errno) => {
                let unproven = [mem::take(left), mem::take(done)].concat();
                if let Some(shelf) = self.shelves.get_mut(&torrent) {
                    shelf.dirty.extend(unproven);
                }
                let path = self.path(torrent, spot);
                self.fail(id, refused(StorageOperation::Sync, &path, errno));
            }
        }
    }
}
