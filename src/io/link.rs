//! The way into a shard for other threads: a bounded mailbox with a doorbell.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crossbeam::channel::Sender;
use crossbeam::queue::ArrayQueue;

use crate::base::ids::ShardId;
use crate::engine::command::Command;
use crate::engine::hasher::HashJob;
use crate::engine::note::Note;
use crate::engine::outwork::BatchId;
use crate::engine::outwork::Returned;
use crate::engine::parcel::Parcel;
use crate::engine::to_ring::HttpAnswer;
use crate::engine::to_ring::QueryError;
use crate::engine::to_ring::QueryId;
use crate::engine::to_ring::Reply;
use crate::io::doorbell::Doorbell;

/// Letters that wait at most per shard; a full box refuses, visibly.
const DEPTH: usize = 4096;

/// What others tell a shard.
#[derive(Debug)]
pub(crate) enum Letter {
    /// A command and who waits for its reply. Dropped without a reply, it tells the asker `Gone`.
    Request { command: Command, reply: Sender<Reply> },
    /// A connection that landed on another shard, with the bytes read so far.
    Adopt { fd: OwnedFd, remote: SocketAddr, bytes: Vec<u8> },
    /// A peer that changes shards, with its socket.
    Peer { fd: OwnedFd, parcel: Box<Parcel> },
    /// A word of another shard about a torrent that both serve.
    Note { from: ShardId, note: Note },
    /// Hash jobs of another shard.
    GiveOut { from: ShardId, batch: BatchId, jobs: Vec<HashJob> },
    /// Hash jobs that another shard got.
    GiveBack { batch: BatchId, back: Returned },
    /// Loads that a test made up.
    #[cfg(test)]
    Loads(Vec<u16>),
    /// The answer of a tracker over HTTP.
    Http { query: QueryId, answer: Result<HttpAnswer, QueryError> },
    /// The addresses of a name.
    Resolved { query: QueryId, answer: Result<Vec<SocketAddr>, QueryError> },
}

/// The writers' end. Clones share the box.
#[derive(Clone, Debug)]
pub(crate) struct ShardLink {
    mailbox: Arc<Mailbox>,
}

/// The shard's end; when it is dropped the box is closed and emptied.
#[derive(Debug)]
pub(crate) struct Inbox {
    mailbox: Arc<Mailbox>,
}

#[derive(Debug)]
struct Mailbox {
    letters: ArrayQueue<Letter>,
    bell: Arc<Doorbell>,
    is_closed: AtomicBool,
}

/// Why a shard took nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LinkError {
    /// The mailbox is full.
    Full,
    /// The shard has ended.
    Closed,
}

/// Both ends of a mailbox.
pub(crate) fn link() -> io::Result<(ShardLink, Inbox)> {
    link_of(DEPTH)
}

fn link_of(depth: usize) -> io::Result<(ShardLink, Inbox)> {
    let mailbox = Arc::new(Mailbox {
        letters: ArrayQueue::new(depth),
        bell: Arc::new(Doorbell::new()?),
        is_closed: AtomicBool::new(false),
    });
    Ok((ShardLink { mailbox: Arc::clone(&mailbox) }, Inbox { mailbox }))
}

impl ShardLink {
    /// Sends a command. Never blocks.
    pub(crate) fn send(&self, command: Command, reply: Sender<Reply>) -> Result<(), LinkError> {
        self.post(Letter::Request { command, reply })
    }

    /// Puts a letter into the box. Never blocks.
    pub(crate) fn post(&self, letter: Letter) -> Result<(), LinkError> {
        if self.mailbox.is_closed.load(Ordering::Acquire) {
            return Err(LinkError::Closed);
        }
        self.mailbox.letters.push(letter).map_err(|_| LinkError::Full)?;
        self.mailbox.bell.ring();
        if self.mailbox.is_closed.load(Ordering::Acquire) {
            // It closed in between, perhaps because of this very letter. Whoever empties the box
            // last drops what nobody took; dropped questions tell their askers.
            while self.mailbox.letters.pop().is_some() {}
        }
        Ok(())
    }
}

impl Inbox {
    /// The next letter, oldest first.
    pub(crate) fn take(&self) -> Option<Letter> {
        self.mailbox.letters.pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.mailbox.letters.is_empty()
    }

    /// What wakes the shard.
    pub(crate) fn bell(&self) -> &Arc<Doorbell> {
        &self.mailbox.bell
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.mailbox.is_closed.store(true, Ordering::Release);
        while self.take().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::bounded;

    use super::*;
    use crate::base::buffer::Pool;
    use crate::base::ids::TorrentId;

    #[test]
    fn a_full_box_takes_nothing_and_a_closed_one_tells_those_who_wait() {
        let (link, inbox) = link_of(1).unwrap();
        let (reply, answer) = bounded(1);
        assert_eq!(link.send(Command::Pause(TorrentId(1)), reply.clone()), Ok(()));
        assert_eq!(link.send(Command::Pause(TorrentId(2)), reply), Err(LinkError::Full));
        drop(inbox);
        assert!(answer.recv().is_err(), "nobody is left to answer");
        let (reply, _answer) = bounded(1);
        assert_eq!(link.send(Command::Shutdown, reply), Err(LinkError::Closed));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "another shard's thread")]
    fn a_buffer_that_another_shard_lets_go_of_is_back_in_the_pool_that_it_is_from() {
        let pool = Pool::new(100);
        let (lent, kept) = (pool.take(60).freeze(), pool.take(60).freeze());
        let at = lent.bytes().as_ptr().addr();
        std::thread::spawn(move || drop(lent)).join().unwrap();
        drop(kept);
        let again = pool.take(60);
        assert_eq!(again.bytes().as_ptr().addr(), at);
        assert!(!pool.has_idle(), "there was room for one");
    }

    #[test]
    fn letters_come_out_in_order() {
        let (link, inbox) = link().unwrap();
        for id in 1..=3 {
            link.send(Command::Resume(TorrentId(id)), bounded(1).0).unwrap();
        }
        let ids: Vec<u64> = std::iter::from_fn(|| inbox.take())
            .map(|letter| match letter {
                Letter::Request { command: Command::Resume(id), .. } => id.as_u64(),
                _ => 0,
            })
            .collect();
        assert_eq!(ids, [1, 2, 3]);
        assert!(inbox.is_empty());
    }
}
