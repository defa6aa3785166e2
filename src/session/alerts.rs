//! The alert stream: what happened on all shards, pulled by the caller (A17, B1).

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam::channel::Select;

use crate::engine::alert::Alert;
use crate::io::alert_queue::AlertReader;
use crate::io::clock::Clock;

/// Reads a session's alerts. In order per torrent; alerts of different shards come as they lie
/// there.
///
/// Each shard keeps a bounded number of alerts that nobody reads; beyond it alerts are lost, which
/// is counted and announced with [`AlertKind::Lost`](crate::AlertKind::Lost) in their place. Clones
/// and further streams of a session share what there is: each alert goes to one of them.
#[derive(Clone, Debug)]
pub struct Alerts {
    readers: Arc<[AlertReader]>,
    /// Where the last alert came from: the next look begins behind it, so that no shard is starved.
    turn: Arc<AtomicUsize>,
}

impl Alerts {
    pub(crate) fn new(readers: Vec<AlertReader>) -> Alerts {
        Alerts { readers: readers.into(), turn: Arc::new(AtomicUsize::new(0)) }
    }

    /// The next alert, if one is there. Does not wait.
    pub fn try_next(&self) -> Option<Alert> {
        let start = self.turn.load(Ordering::Relaxed);
        let count = self.readers.len();
        (0..count).map(|step| (start + step) % count).find_map(|at| {
            let alert = self.readers.get(at)?.take()?;
            self.turn.store(at + 1, Ordering::Relaxed);
            Some(alert)
        })
    }

    /// The next alert, waited for at most `timeout`. `None` when none came, or when the session has
    /// ended and everything was read: at once then.
    pub fn next(&self, timeout: Duration) -> Option<Alert> {
        let clock = Clock::start();
        let deadline = clock.now() + timeout;
        let mut open: Vec<&AlertReader> = self.readers.iter().collect();
        loop {
            if let Some(alert) = self.try_next() {
                return Some(alert);
            }
            let left = deadline.since(clock.now());
            let mut select = Select::new();
            for reader in &open {
                select.recv(reader.queue());
            }
            if left.is_zero() || open.is_empty() {
                return None;
            }
            let ready = select.ready_timeout(left).ok()?;
            // Ready and still without an alert: another reader was quicker, or the shard has ended.
            if let Some(alert) = self.try_next() {
                return Some(alert);
            }
            let has_ended = open.get(ready).is_some_and(|reader| reader.has_ended());
            if has_ended {
                open.swap_remove(ready);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::ShardId;
    use crate::engine::alert::AlertKind;
    use crate::io::alert_queue::alert_queue;

    fn alert(shard: u16, sequence: u64) -> Alert {
        Alert { sequence, shard: ShardId(shard), torrent: None, kind: AlertKind::Finished }
    }

    #[test]
    fn shards_take_turns_and_the_end_is_told_at_once() {
        let (to_first, first) = alert_queue(ShardId(0), 4, 0);
        let (to_second, second) = alert_queue(ShardId(1), 4, 0);
        let alerts = Alerts::new(vec![first, second]);
        assert_eq!(alerts.next(Duration::from_millis(1)), None);
        (0..2).for_each(|sequence| to_first.offer(alert(0, sequence)));
        (0..2).for_each(|sequence| to_second.offer(alert(1, sequence)));
        drop((to_first, to_second));
        let year = Duration::from_secs(31_536_000);
        let told: Vec<_> = std::iter::from_fn(|| alerts.next(year))
            .map(|alert| (alert.shard.as_usize(), alert.sequence))
            .collect();
        assert_eq!(told, [(0, 0), (1, 0), (0, 1), (1, 1)]);
    }
}
