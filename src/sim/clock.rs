//! Virtual time: what shall happen, ordered by instant and then by the order of planning.

use std::collections::BTreeMap;

use crate::base::instant::Instant;

/// A queue of future events. Events of one instant come out in the order in which they went in, so
/// that a run depends on its seed alone.
#[derive(Debug)]
pub(crate) struct Clock<E> {
    events: BTreeMap<(Instant, u64), E>,
    next_sequence: u64,
}

impl<E> Default for Clock<E> {
    fn default() -> Clock<E> {
        Clock { events: BTreeMap::new(), next_sequence: 0 }
    }
}

impl<E> Clock<E> {
    /// Plans `event`; its key takes it back.
    pub(crate) fn plan(&mut self, at: Instant, event: E) -> (Instant, u64) {
        let key = (at, self.next_sequence);
        self.next_sequence += 1;
        self.events.insert(key, event);
        key
    }

    /// Forgets what is planned and returns it, in order.
    pub(crate) fn clear(&mut self) -> Vec<E> {
        std::mem::take(&mut self.events).into_values().collect()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next event that is due.
    pub(crate) fn poll_due(&mut self, now: Instant) -> Option<E> {
        let entry = self.events.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// All events, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &E> {
        self.events.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_instant_keep_the_order_of_planning() {
        let mut clock = Clock::default();
        clock.plan(Instant::from_millis(2), "late");
        clock.plan(Instant::from_millis(1), "a");
        clock.plan(Instant::from_millis(1), "b");
        assert_eq!(clock.poll_due(Instant::ZERO), None, "nothing is due before its time");
        let now = Instant::from_millis(1);
        assert_eq!((clock.poll_due(now), clock.poll_due(now)), (Some("a"), Some("b")));
        assert_eq!(clock.poll_due(now), None);
        assert_eq!((clock.poll_timeout(), clock.len()), (Some(Instant::from_millis(2)), 1));
        assert_eq!(clock.clear(), ["late"]);
    }
}
