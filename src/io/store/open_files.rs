//! Open files: a bounded number of descriptors per shard, the least recently used one closed first.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::base::ids::FileIndex;
use crate::base::ids::TorrentId;
use crate::base::payload::Mapped;
use crate::io::mapping::Mapping;
use crate::io::store::file_key::FileKey;
use crate::io::store::file_key::Spot;
use crate::io::store::mapped::Windows;

/// Bytes of a file that is mapped: of a smaller one the mapping costs as much as the copies.
const MAPPED_MIN: u64 = 1024 * 1024;

/// Descriptors by file. Operations in flight hold theirs open by themselves, whatever leaves here.
pub(super) struct OpenFiles {
    files: BTreeMap<FileKey, OpenFile>,
    /// Keys by last use.
    order: BTreeMap<u64, FileKey>,
    use_count: u64,
    max: usize,
    windows: Windows,
}

struct OpenFile {
    fd: Rc<OwnedFd>,
    is_writable: bool,
    /// Whether the system tells us which of its bytes are in memory.
    is_told: bool,
    last_use: u64,
}

impl OpenFiles {
    /// Holds at most `max` files, at least one, and `window_max` windows of them.
    pub(super) fn new(max: usize, window_max: usize) -> OpenFiles {
        let (files, order) = (BTreeMap::new(), BTreeMap::new());
        let windows = Windows::new(window_max);
        OpenFiles { files, order, use_count: 0, max: max.max(1), windows }
    }

    /// The descriptor, if it is open and, where asked, writable.
    pub(super) fn get(&mut self, key: FileKey, for_writing: bool) -> Option<Rc<OwnedFd>> {
        let file = self.touch(key)?;
        (file.is_writable || !for_writing).then(|| Rc::clone(&file.fd))
    }

    /// These bytes of an open file, at most `SERVE_MAX`, if they are in memory and we can know.
    pub(super) fn lend(&mut self, key: FileKey, offset: u64, len: usize) -> Option<Mapped> {
        let file = self.touch(key).filter(|file| file.is_told)?;
        let fd = Rc::clone(&file.fd);
        // Behind the end of a file its last page reads as zeros.
        let length = u64::try_from(rustix::fs::fstat(&fd).ok()?.st_size).ok()?;
        let is_whole = length >= MAPPED_MIN && offset.saturating_add(len as u64) <= length;
        if is_whole { self.windows.lend(fd.as_fd(), key, (offset, len)) } else { None }
    }

    /// Some of what is to be unmapped, by any thread.
    pub(super) fn take_closed(&mut self) -> Vec<Mapping> {
        self.windows.take_closed()
    }

    fn touch(&mut self, key: FileKey) -> Option<&OpenFile> {
        let file = self.files.get_mut(&key)?;
        if file.last_use != self.use_count {
            self.use_count += 1;
            self.order.remove(&file.last_use);
            self.order.insert(self.use_count, key);
            file.last_use = self.use_count;
        }
        Some(file)
    }

    /// Keeps a descriptor, closing the least recently used one if there are too many.
    pub(super) fn insert(&mut self, key: FileKey, fd: OwnedFd, is_writable: bool, is_told: bool) {
        self.remove(key);
        if self.files.len() >= self.max
            && let Some((_, oldest)) = self.order.first_key_value()
        {
            self.remove(*oldest);
        }
        self.use_count += 1;
        self.order.insert(self.use_count, key);
        let last_use = self.use_count;
        self.files.insert(key, OpenFile { fd: Rc::new(fd), is_writable, is_told, last_use });
    }

    /// Closes one file.
    pub(super) fn remove(&mut self, key: FileKey) {
        if let Some(file) = self.files.remove(&key) {
            self.order.remove(&file.last_use);
            self.windows.remove(key);
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
    use std::io::Read;

    use super::*;

    fn key(torrent: u64, file: u32) -> FileKey {
        (TorrentId(torrent), Spot::File(FileIndex(file)))
    }

    fn fd() -> OwnedFd {
        tempfile::tempfile().unwrap().into()
    }

    #[test]
    fn the_least_recently_used_file_is_closed_first() {
        let mut files = OpenFiles::new(2, 4);
        files.insert(key(1, 0), fd(), true, true);
        files.insert(key(1, 1), fd(), true, true);
        assert!(files.get(key(1, 0), false).is_some());
        files.insert(key(2, 0), fd(), true, true);
        assert!(files.get(key(1, 1), false).is_none(), "used longest ago");
        assert!(files.get(key(1, 0), false).is_some() && files.get(key(2, 0), false).is_some());
        files.remove_torrent(TorrentId(1));
        assert!(files.get(key(1, 0), false).is_none());
        assert_eq!((files.files.len(), files.order.len()), (1, 1));
    }

    #[test]
    fn a_file_opened_for_reading_does_not_serve_writes() {
        let mut files = OpenFiles::new(2, 4);
        files.insert(key(1, 0), fd(), false, true);
        assert!(files.get(key(1, 0), true).is_none() && files.get(key(1, 0), false).is_some());
        files.insert(key(1, 0), fd(), true, true);
        assert!(files.get(key(1, 0), true).is_some());
    }

    #[test]
    fn nothing_is_lent_of_a_file_of_which_the_system_tells_nothing() {
        let file = || {
            let file = tempfile::tempfile().unwrap();
            file.set_len(MAPPED_MIN).unwrap();
            std::io::copy(&mut std::io::repeat(1).take(100_000), &mut &file).unwrap();
            OwnedFd::from(file)
        };
        let mut files = OpenFiles::new(2, 4);
        files.insert(key(1, 0), file(), false, true);
        files.insert(key(1, 1), file(), false, false);
        assert!(files.lend(key(1, 0), 0, 100_000).is_some());
        assert!(files.lend(key(1, 1), 0, 100_000).is_none());
        assert!(files.lend(key(1, 2), 0, 100_000).is_none(), "it is not open");
    }
}
