//! A published value: its owner replaces it, anyone reads the newest without asking or locking.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// One immutable value at a time. Reading costs no message to the owner and never waits (D15).
pub(crate) struct Published<T>(ArcSwap<T>);

impl<T> Published<T> {
    pub(crate) fn new(value: T) -> Published<T> {
        Published(ArcSwap::from_pointee(value))
    }

    /// Replaces the value; readers of the old one keep it.
    pub(crate) fn publish(&self, value: T) {
        self.0.store(Arc::new(value));
    }

    /// Replaces the value by what `change` makes of it. Several may do so at once: nothing is lost,
    /// and `change` may be called more than once.
    pub(crate) fn update(&self, change: impl Fn(&T) -> T) {
        self.0.rcu(|old| change(old));
    }

    /// The newest value.
    pub(crate) fn read(&self) -> Arc<T> {
        self.0.load_full()
    }
}

impl<T> fmt::Debug for Published<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Published")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_keeps_what_it_read() {
        let cell = Published::new(1);
        let old = cell.read();
        cell.publish(2);
        assert_eq!((*old, *cell.read()), (1, 2));
    }
}
