//! Resting: a torrent that sleeps keeps neither descriptor nor shelf here, and gets its shelf back
//! when it rises.

use std::sync::Arc;

use crate::base::ids::TorrentId;
use crate::io::heap;
use crate::io::store::place::Place;
use crate::io::store::shelf::Shelf;
use crate::io::store::state::Store;

impl Store {
    /// Closes the torrent's files and forgets where it lies, until it rises. Whoever has jobs under
    /// way does not rest.
    pub(crate) fn rest(&mut self, torrent: TorrentId) {
        if self.shelves.get(&torrent).is_some_and(Shelf::is_idle) {
            self.files.remove_torrent(torrent);
            self.shelves.remove(&torrent);
            self.unmap_closed();
        }
    }

    /// The torrent may be asked for again. Its files are there under their final names, as far as
    /// anybody knows; who reads finds out.
    pub(crate) fn rise(&mut self, torrent: TorrentId, place: Place) {
        self.shelves.entry(torrent).or_insert_with(|| Shelf::finished(Arc::new(place)));
    }

    /// Whether buffers wait for somebody to use them.
    pub(crate) fn has_idle_buffers(&self) -> bool {
        self.buffers.has_idle()
    }

    /// Lets go of about so many bytes of them.
    pub(crate) fn release_buffers(&self, byte_count: usize) {
        self.buffers.release(byte_count);
    }

    /// Has the pool give back what the heap keeps. If it is full, so is the day: another time.
    pub(crate) fn trim_heap(&self) {
        let _ = self.pool.run(heap::give_back, drop);
    }
}
