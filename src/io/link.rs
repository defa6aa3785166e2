//! The way into a shard for foreign threads: a bounded inbox, and the bell that wakes its ring.

use std::sync::Arc;

use crossbeam::channel::Receiver;
use crossbeam::channel::Sender;
use crossbeam::channel::TrySendError;
use crossbeam::channel::bounded;

use crate::engine::command::Command;
use crate::engine::to_ring::Reply;
use crate::io::doorbell::Doorbell;

/// A command and who waits for its reply. Dropped without a reply, it tells the asker `Gone`.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) command: Command,
    pub(crate) reply: Sender<Reply>,
}

/// The askers' end. Clones share the inbox.
#[derive(Clone, Debug)]
pub(crate) struct ShardLink {
    inbox: Sender<Request>,
    doorbell: Arc<Doorbell>,
}

/// The shard's end.
#[derive(Debug)]
pub(crate) struct Inbox {
    requests: Receiver<Request>,
}

/// Why a shard took nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LinkError {
    /// The inbox is full.
    Full,
    /// The shard has ended.
    Closed,
}

/// Both ends of an inbox that holds `depth` commands; `doorbell` is the shard's.
pub(crate) fn link(depth: usize, doorbell: Arc<Doorbell>) -> (ShardLink, Inbox) {
    let (inbox, requests) = bounded(depth);
    (ShardLink { inbox, doorbell }, Inbox { requests })
}

impl ShardLink {
    /// Puts a command into the inbox and wakes the shard. Never blocks.
    pub(crate) fn send(&self, command: Command, reply: Sender<Reply>) -> Result<(), LinkError> {
        match self.inbox.try_send(Request { command, reply }) {
            Ok(()) => {
                self.doorbell.ring();
                Ok(())
            }
            Err(TrySendError::Full(_)) => Err(LinkError::Full),
            Err(TrySendError::Disconnected(_)) => Err(LinkError::Closed),
        }
    }
}

impl Inbox {
    /// The next command, oldest first.
    pub(crate) fn take(&self) -> Option<Request> {
        self.requests.try_recv().ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }
}

impl Drop for Inbox {
    /// Askers keep the channel alive, and with it what lies in it: those who wait must not.
    fn drop(&mut self) {
        while self.take().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::RecvTimeoutError;

    use super::*;
    use crate::base::ids::TorrentId;

    #[test]
    fn a_full_inbox_takes_nothing_and_a_dropped_one_tells_those_who_wait() {
        let (link, inbox) = link(1, Arc::new(Doorbell::new().unwrap()));
        let (reply, answer) = bounded(1);
        assert_eq!(link.send(Command::Pause(TorrentId(1)), reply.clone()), Ok(()));
        assert_eq!(link.send(Command::Pause(TorrentId(2)), reply), Err(LinkError::Full));
        drop(inbox);
        let second = std::time::Duration::from_secs(1);
        assert!(matches!(answer.recv_timeout(second), Err(RecvTimeoutError::Disconnected)));
        let (reply, _answer) = bounded(1);
        assert_eq!(link.send(Command::Shutdown, reply), Err(LinkError::Closed));
    }

    #[test]
    fn commands_come_out_in_order() {
        let (link, inbox) = link(4, Arc::new(Doorbell::new().unwrap()));
        for id in 1..=3 {
            link.send(Command::Resume(TorrentId(id)), bounded(1).0).unwrap();
        }
        let ids: Vec<u64> = std::iter::from_fn(|| inbox.take())
            .map(|request| match request.command {
                Command::Resume(id) => id.as_u64(),
                _ => 0,
            })
            .collect();
        assert_eq!(ids, [1, 2, 3]);
    }
}
