//! A shard's queue of alerts: bounded; what does not fit is counted, never silent (B1).

#![expect(
    clippy::disallowed_types,
    reason = "the lock is between readers; the shard only looks whether there is room"
)]

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crossbeam::channel::Receiver;
use crossbeam::channel::Sender;
use crossbeam::channel::unbounded;

use crate::base::ids::ShardId;
use crate::engine::alert::Alert;
use crate::engine::alert::AlertKind;

/// The shard's end.
#[derive(Debug)]
pub(crate) struct AlertSender {
    /// Grows and shrinks with what waits; the shard keeps to `depth` by itself.
    queue: Sender<Alert>,
    depth: usize,
    offered: Arc<AtomicU64>,
}

/// The readers' end. Clones share what there is: each alert goes to one of them.
#[derive(Clone, Debug)]
pub(crate) struct AlertReader {
    shard: ShardId,
    queue: Receiver<Alert>,
    /// All alerts with lower numbers were offered.
    offered: Arc<AtomicU64>,
    next: Arc<Mutex<Next>>,
}

#[derive(Debug, Default)]
struct Next {
    /// The number expected.
    sequence: u64,
    /// Taken out and not told yet.
    held: Option<Alert>,
}

/// Both ends of the queue of `shard`, for `depth` alerts whose numbers begin with `first`.
pub(crate) fn alert_queue(shard: ShardId, depth: usize, first: u64) -> (AlertSender, AlertReader) {
    let (to_reader, queue) = unbounded();
    let offered = Arc::new(AtomicU64::new(first));
    let next = Arc::new(Mutex::new(Next { sequence: first, held: None }));
    let sender = AlertSender { queue: to_reader, depth, offered: Arc::clone(&offered) };
    (sender, AlertReader { shard, queue, offered, next })
}

impl AlertSender {
    /// Puts the alert into the queue, or loses it when that is full. Never blocks.
    pub(crate) fn offer(&self, alert: Alert) {
        let next = alert.sequence + 1;
        if self.queue.len() < self.depth {
            // Without readers nobody misses it.
            let _ = self.queue.send(alert);
        }
        // After the send: a reader that sees this number and an empty queue knows of a loss.
        self.offered.store(next, Ordering::Release);
    }
}

impl AlertReader {
    /// The next alert, or the news that some were lost before it.
    pub(crate) fn take(&self) -> Option<Alert> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let offered = self.offered.load(Ordering::Acquire);
        let Some(alert) = next.held.take().or_else(|| self.queue.try_recv().ok()) else {
            return next.announce_loss(self.shard, offered);
        };
        if let Some(lost) = next.announce_loss(self.shard, alert.sequence) {
            next.held = Some(alert);
            return Some(lost);
        }
        next.sequence = alert.sequence + 1;
        Some(alert)
    }

    /// Whether nothing is there and nothing will come. Takes out what was in the way of knowing.
    pub(crate) fn has_ended(&self) -> bool {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.held.is_some() {
            return false;
        }
        match self.queue.try_recv() {
            Ok(alert) => {
                next.held = Some(alert);
                false
            }
            Err(error) => error.is_disconnected(),
        }
    }

    /// To wait for: readable when something is in the queue, or when the shard has ended.
    pub(crate) fn queue(&self) -> &Receiver<Alert> {
        &self.queue
    }
}

impl Next {
    /// If alerts below `upto` are missing, says so and expects `upto`.
    fn announce_loss(&mut self, shard: ShardId, upto: u64) -> Option<Alert> {
        let count = upto.checked_sub(self.sequence).filter(|count| *count > 0)?;
        let sequence = self.sequence;
        self.sequence = upto;
        Some(Alert { sequence, shard, torrent: None, kind: AlertKind::Lost { count } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(sequence: u64) -> Alert {
        Alert { sequence, shard: ShardId(1), torrent: None, kind: AlertKind::Finished }
    }

    fn told(reader: &AlertReader) -> Vec<(u64, Option<u64>)> {
        let lost = |alert: &Alert| match alert.kind {
            AlertKind::Lost { count } => Some(count),
            _ => None,
        };
        std::iter::from_fn(|| reader.take()).map(|a| (a.sequence, lost(&a))).collect()
    }

    #[test]
    fn what_a_slow_reader_misses_is_counted_where_it_is_missing() {
        let (sender, reader) = alert_queue(ShardId(1), 2, 0);
        (0..5).for_each(|sequence| sender.offer(alert(sequence)));
        assert_eq!(told(&reader), [(0, None), (1, None), (2, Some(3))], "also without a later one");
        sender.offer(alert(5));
        assert_eq!(told(&reader), [(5, None)]);
    }

    #[test]
    fn a_loss_is_told_before_the_alert_behind_it() {
        let (sender, reader) = alert_queue(ShardId(1), 1, 7);
        sender.offer(alert(7));
        sender.offer(alert(8));
        assert_eq!(reader.take().map(|alert| alert.sequence), Some(7));
        sender.offer(alert(9));
        assert_eq!(told(&reader), [(8, Some(1)), (9, None)]);
        assert_eq!(told(&reader), []);
    }
}
