//! Windows: parts of open files that are mapped for sending, a bounded number per shard.
//!
//! The one that was not used for longest, about, makes room for the next. Unmapping takes time and
//! is left to the pool; a window that is being sent from lives until its last holder lets go.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Bound;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use crate::base::ids::TorrentId;
use crate::base::payload::Mapped;
use crate::engine::disk::SERVE_MAX;
use crate::io::mapping::Mapping;
use crate::io::mapping::is_resident;
use crate::io::store::file_key::FileKey;
use crate::io::store::file_key::Spot;

/// Bytes from the beginning of one window to that of the next: mapping one costs little beside
/// sending it, and unmapping it, 70 us, little beside a turn.
const STEP: u64 = 4 * 1024 * 1024;
/// Bytes mapped: whatever begins in a window ends in it.
const LEN: usize = STEP as usize + SERVE_MAX;
/// Windows of a whole process: 16 GiB, whose page tables take 32 MiB where all of it is sent, and a
/// sixteenth of the mappings that Linux allows.
pub(crate) const WINDOW_MAX: usize = 4096;

/// Windows unmapped at once: should a shard have to do it, a millisecond.
const UNMAP_MAX: usize = 16;
/// Windows passed over for one that is closed: the search costs less than the mapping.
const PASS_MAX: usize = 32;

/// A mapped part of a file: what keeps mapped payload alive.
#[derive(Debug)]
pub(super) struct Window {
    mapping: Mapping,
    key: FileKey,
    /// Bytes of the file before it.
    start: u64,
}

#[derive(Debug)]
struct Entry {
    window: Rc<Window>,
    was_used: bool,
}

/// By file and number in the file.
type Place = (FileKey, u64);

/// A shard's windows.
#[derive(Debug)]
pub(super) struct Windows {
    open: BTreeMap<Place, Entry>,
    /// Where the search for one to close stopped last.
    hand: Place,
    max: usize,
    /// Closed and not unmapped.
    closed: Vec<Rc<Window>>,
}

impl Windows {
    /// At most `max`, at least one.
    pub(super) fn new(max: usize) -> Windows {
        let hand = ((TorrentId(0), Spot::Parts), 0);
        Windows { open: BTreeMap::new(), hand, max: max.max(1), closed: Vec::new() }
    }

    /// These bytes of the file, at most `SERVE_MAX`, if all of them are in memory and can be
    /// mapped. Whoever asks knows that the system says the truth about what is in memory.
    pub(super) fn lend(
        &mut self,
        fd: BorrowedFd<'_>,
        key: FileKey,
        (offset, len): (u64, usize),
    ) -> Option<Mapped> {
        let window = self.window(fd, (key, offset / STEP))?;
        let address = window.mapping.address() + (offset - window.start) as usize;
        let keeper = Rc::clone(window);
        is_resident(address, len).then(|| Mapped::new(keeper, address, len))
    }

    /// Forgets a file's windows.
    pub(super) fn remove(&mut self, key: FileKey) {
        let places: Vec<Place> =
            self.open.range((key, 0)..=(key, u64::MAX)).map(|(place, _)| *place).collect();
        places.into_iter().for_each(|place| self.close(place));
    }

    /// Some of what is to be unmapped, by any thread.
    pub(super) fn take_closed(&mut self) -> Vec<Mapping> {
        let from = self.closed.len().saturating_sub(UNMAP_MAX);
        let closed = self.closed.drain(from..).filter_map(Rc::into_inner);
        closed.map(|window| window.mapping).collect()
    }

    fn window(&mut self, fd: BorrowedFd<'_>, place: Place) -> Option<&Rc<Window>> {
        if !self.open.contains_key(&place) {
            self.make_room();
            let (key, start) = (place.0, place.1 * STEP);
            let window =
                Rc::new(Window { mapping: Mapping::new(fd, start, LEN).ok()?, key, start });
            self.open.insert(place, Entry { window, was_used: true });
        }
        let entry = self.open.get_mut(&place)?;
        entry.was_used = true;
        Some(&entry.window)
    }

    /// Goes round, past those that were used since it came by last, a few at a time.
    fn make_room(&mut self) {
        let mut patience = PASS_MAX;
        while self.open.len() >= self.max {
            let behind = self.open.range((Bound::Excluded(self.hand), Bound::Unbounded)).next();
            let next = behind.or_else(|| self.open.first_key_value());
            let Some((place, _)) = next else { return };
            self.hand = *place;
            let entry = self.open.get_mut(&self.hand);
            if entry.is_some_and(|entry| mem::take(&mut entry.was_used)) && patience > 0 {
                patience -= 1;
            } else {
                self.close(self.hand);
            }
        }
    }

    fn close(&mut self, place: Place) {
        self.closed.extend(self.open.remove(&place).map(|entry| entry.window));
    }
}

impl Window {
    /// Whose bytes `mapped`, which this window keeps, are, and where in the file they begin.
    pub(super) fn whereabouts(&self, mapped: &Mapped) -> (FileKey, u64) {
        (self.key, self.start + (mapped.address() - self.mapping.address()) as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;
    use crate::base::ids::FileIndex;

    const KEY: FileKey = (TorrentId(1), Spot::File(FileIndex(2)));

    fn file(len: u64) -> File {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..len).map(|at| (at / 7 % 251) as u8).collect();
        file.write_all(&bytes).unwrap();
        file
    }

    #[test]
    fn bytes_across_the_end_of_a_window_are_lent_in_one_piece() {
        let file = file(2 * STEP);
        let mut windows = Windows::new(4);
        let offset = STEP - 100_000;
        let mapped = windows.lend(file.as_fd(), KEY, (offset, SERVE_MAX)).unwrap();
        let window: &Window = mapped.keeper().unwrap();
        assert_eq!((window.whereabouts(&mapped), mapped.len()), ((KEY, offset), SERVE_MAX));
        assert!(windows.lend(file.as_fd(), KEY, (2 * STEP - 5, 5)).is_some());
        assert!(windows.lend(file.as_fd(), KEY, (2 * STEP - 5, 4097)).is_none(), "it ends there");
        assert_eq!(windows.open.len(), 2);
    }

    #[test]
    fn the_window_used_longest_ago_makes_room_and_what_is_lent_stays() {
        let file = file(4 * STEP);
        let mut windows = Windows::new(2);
        let lend =
            |windows: &mut Windows, at| windows.lend(file.as_fd(), KEY, (at * STEP, 10)).unwrap();
        let lent = lend(&mut windows, 0);
        drop(lend(&mut windows, 1));
        drop(lend(&mut windows, 2));
        drop(lend(&mut windows, 2));
        assert_eq!((windows.open.len(), windows.closed.len()), (2, 1));
        assert!(!windows.open.contains_key(&(KEY, 0)));
        assert!(windows.take_closed().is_empty(), "it is still being sent from");
        assert!(is_resident(lent.address(), 10));
        let address = lent.address();
        drop(lent);
        assert!(!is_resident(address, 10), "the last holder unmaps it");
        windows.remove(KEY);
        assert_eq!((windows.open.len(), windows.take_closed().len()), (0, 2));
    }
}
