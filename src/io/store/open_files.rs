//! Open files: a bounded number of descriptors per shard, the least recently used one closed first.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::base::ids::FileIndex;
use crate::base::ids::TorrentId;

/// One of the files that hold a torrent's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Spot {
    File(FileIndex),
    /// What lies aside.
    Parts,
}

/// Whose file.
pub(super) type FileKey = (TorrentId, Spot);

/// Descriptors by file. Operations in flight hold theirs open by themselves, whatever leaves here.
pub(super) struct OpenFiles {
    files: BTreeMap<FileKey, OpenFile>,
    /// Keys by last use.
    order: BTreeMap<u64, FileKey>,
    use_count: u64,
    max: usize,
}

struct OpenFile {
    fd: Rc<OwnedFd>,
    is_writable: bool,
    last_use: u64,
}

impl OpenFiles {
    /// Holds at most `max` files, at least one.
    pub(super) fn new(max: usize) -> OpenFiles {
        let (files, order) = (BTreeMap::new(), BTreeMap::new());
        OpenFiles { files, order, use_count: 0, max: max.max(1) }
    }

    /// The descriptor, if it is open and, where asked, writable.
    pub(super) fn get(&mut self, key: FileKey, for_writing: bool) -> Option<Rc<OwnedFd>> {
        let file = self.files.get_mut(&key)?;
        if for_writing && !file.is_writable {
            return None;
        }
        self.use_count += 1;
        self.order.remove(&file.last_use);
        self.order.insert(self.use_count, key);
        file.last_use = self.use_count;
        Some(Rc::clone(&file.fd))
    }

    /// Keeps a descriptor, closing the least recently used one if there are too many.
    pub(super) fn insert(&mut self, key: FileKey, fd: OwnedFd, is_writable: bool) {
        self.remove(key);
        if self.files.len() >= self.max
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.files.remove(&oldest);
        }
        self.use_count += 1;
        self.order.insert(self.use_count, key);
        let last_use = self.use_count;
        self.files.insert(key, OpenFile { fd: Rc::new(fd), is_writable, last_use });
    }

    /// Closes one file.
    pub(super) fn remove(&mut self, key: FileKey) {
        if let Some(file) = self.files.remove(&key) {
            self.order.remove(&file.last_use);
        }
    }

    /// Closes all files of a torrent.
    pub(super) fn remove_torrent(&mut self, torrent: TorrentId) {
        let range = (torrent, Spot::File(FileIndex(0)))..=(torrent, Spot::Parts);
        let keys: Vec<FileKey> = self.files.range(range).map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| self.remove(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(torrent: u64, file: u32) -> FileKey {
        (TorrentId(torrent), Spot::File(FileIndex(file)))
    }

    fn fd() -> OwnedFd {
        tempfile::tempfile().unwrap().into()
    }

    #[test]
    fn the_least_recently_used_file_is_closed_first() {
        let mut files = OpenFiles::new(2);
        files.insert(key(1, 0), fd(), true);
        files.insert(key(1, 1), fd(), true);
        assert!(files.get(key(1, 0), false).is_some());
        files.insert(key(2, 0), fd(), true);
        assert!(files.get(key(1, 1), false).is_none(), "used longest ago");
        assert!(files.get(key(1, 0), false).is_some() && files.get(key(2, 0), false).is_some());
        files.remove_torrent(TorrentId(1));
        assert!(files.get(key(1, 0), false).is_none());
        assert_eq!((files.files.len(), files.order.len()), (1, 1));
    }

    #[test]
    fn a_file_opened_for_reading_does_not_serve_writes() {
        let mut files = OpenFiles::new(2);
        files.insert(key(1, 0), fd(), false);
        assert!(files.get(key(1, 0), true).is_none() && files.get(key(1, 0), false).is_some());
        files.insert(key(1, 0), fd(), true);
        assert!(files.get(key(1, 0), true).is_some());
    }
}
