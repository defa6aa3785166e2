//! What the threads of a scan share: who takes which pieces, how far they are, whether to stop.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Counters, all relaxed: none of them carries other data along.
#[derive(Debug, Default)]
pub(crate) struct Control {
    done: AtomicU64,
    stop: AtomicBool,
    next: AtomicU32,
    asked: AtomicU64,
}

impl Control {
    /// Bytes that are through: hashed, or known to be missing.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Has all threads end within some hundred kilobytes each.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The next `len` pieces that nobody has taken, by the first one: which pieces go together is
    /// always the same, who gets them is not.
    pub(super) fn claim(&self, len: u32, piece_count: u32) -> Option<u32> {
        let take = |next: u32| (next < piece_count).then(|| next.saturating_add(len));
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()
    }

    /// A range of the torrent that nobody has asked the disk for yet, of at most `step` bytes, up
    /// to `end`; what lies before `start` is passed over.
    pub(super) fn ask_ahead(&self, start: u64, end: u64, step: u64) -> Option<(u64, u64)> {
        let order = Ordering::Relaxed;
        let upto = |from: u64| from.max(start).saturating_add(step).min(end);
        let take = |from: u64| (from < end && upto(from) > from).then(|| upto(from));
        let from = self.asked.fetch_update(order, order, take).ok()?;
        Some((from.max(start), upto(from)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_tile_the_pieces() {
        let control = Control::default();
        let claims: Vec<_> = std::iter::from_fn(|| control.claim(16, 40)).collect();
        assert_eq!(claims, [0, 16, 32]);
    }

    #[test]
    fn the_disk_is_asked_once_and_in_order() {
        let control = Control::default();
        assert_eq!(control.ask_ahead(10, 100, 40), Some((10, 50)));
        assert_eq!(control.ask_ahead(0, 100, 40), Some((50, 90)));
        assert_eq!(control.ask_ahead(0, 100, 40), Some((90, 100)));
        assert_eq!(control.ask_ahead(0, 100, 40), None);
        assert_eq!(control.ask_ahead(300, 310, 40), Some((300, 310)));
    }
}
