//! Questions to a shard: sent through its bounded inbox, answered within a deadline.

use std::time::Duration;

use crossbeam::channel::Receiver;
use crossbeam::channel::RecvTimeoutError;
use crossbeam::channel::bounded;

use crate::base::ids::TorrentId;
use crate::content::wanted::ChoiceError;
use crate::engine::command::Command;
use crate::engine::to_ring::Reply;
use crate::io::link::LinkError;
use crate::io::link::ShardLink;

/// How long an answer may take. A shard answers within a turn or two (milliseconds); only a removal
/// waits for the disk. Five seconds later the caller is better off with an error.
pub(crate) const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a question has no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The torrent was removed, or the session was shut down.
    #[error("the torrent or its session is gone; add it again to a running session")]
    Gone,
    /// The shard's inbox is full: it has more questions than it can take. Nothing was sent.
    #[error("the shard's inbox is full and took nothing; ask less often, or again later")]
    Busy,
    /// The shard took the question and did not answer in time. It may still act on it.
    #[error("expected an answer within {} s, got none; is the machine overloaded?", .0.as_secs())]
    Timeout(Duration),
}

/// Why a torrent was not added: adding is a question, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// Its info hash is in the session already, or has not finished leaving it (A12).
    #[error("expected a new torrent, but torrent {id} has the same info hash; use that one")]
    AlreadyThere {
        /// The one that is there.
        id: TorrentId,
    },
    /// Files were chosen that it does not have.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// The shard did not take it.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// Why files were not chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// The torrent does not have them. Nothing changed.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// The shard did not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// Sends `command`; the answer can be waited for.
pub(crate) fn send(link: &ShardLink, command: Command) -> Result<Receiver<Reply>, AskError> {
    let (to_us, answer) = bounded(1);
    match link.send(command, to_us) {
        Ok(()) => Ok(answer),
        Err(LinkError::Full) => Err(AskError::Busy),
        Err(LinkError::Closed) => Err(AskError::Gone),
    }
}

/// Waits for the answer. A shard that ends drops its questions: that is `Gone`, at once.
pub(crate) fn wait(answer: &Receiver<Reply>, timeout: Duration) -> Result<Reply, AskError> {
    match answer.recv_timeout(timeout) {
        Ok(Reply::NoSuchTorrent) => Err(AskError::Gone),
        Ok(reply) => Ok(reply),
        Err(RecvTimeoutError::Timeout) => Err(AskError::Timeout(timeout)),
        Err(RecvTimeoutError::Disconnected) => Err(AskError::Gone),
    }
}
