//! A torrent of a running session, from outside.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::never;

use crate::base::digest::Sha1;
use crate::base::ids::Priority;
use crate::base::ids::ShardId;
use crate::base::ids::TorrentId;
use crate::base::info_hashes::InfoHashes;
use crate::base::status::FileStatus;
use crate::base::status::TorrentState;
use crate::base::status::TorrentStats;
use crate::base::status::TorrentStatus;
use crate::content::torrent::Torrent;
use crate::content::wanted::FileChoice;
use crate::engine::command::Command;
use crate::engine::to_ring::Reply;
use crate::io::clock::Clock;
use crate::io::link::ShardLink;
use crate::session::ask;
use crate::session::ask::ASK_TIMEOUT;
use crate::session::ask::AskError;
use crate::session::ask::SelectError;
use crate::session::entry::Entry;
use crate::session::registry::Registry;

/// How often waiting looks at the published figures, which are at most 200 ms old themselves.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Names a torrent of a session and asks its shard about it. Clones are cheap and may go to any
/// thread; dropping one does nothing to the torrent. A handle that outlives its torrent or session
/// answers [`AskError::Gone`], at once.
#[derive(Clone, Debug)]
pub struct TorrentHandle {
    entry: Arc<Entry>,
    registry: Arc<Registry>,
    link: ShardLink,
}

impl TorrentHandle {
    pub(crate) fn new(
        entry: Arc<Entry>,
        registry: Arc<Registry>,
        link: ShardLink,
    ) -> TorrentHandle {
        TorrentHandle { entry, registry, link }
    }

    /// The number that names it in this session, also in alerts.
    pub fn id(&self) -> TorrentId {
        self.entry.id
    }

    /// The torrent's names, one for each version of the protocol that it speaks.
    pub fn info_hashes(&self) -> InfoHashes {
        self.entry.torrent.info_hashes()
    }

    /// The 20 bytes that name it first: its v1 info hash, or the v2 one truncated.
    pub fn info_hash(&self) -> Sha1 {
        self.entry.torrent.info_hash()
    }

    /// The shard that owns it.
    pub fn shard(&self) -> ShardId {
        self.entry.shard
    }

    /// What it is: files, pieces, trackers. `None` while that of a magnet is not known: see
    /// [`TorrentHandle::wait_metadata`]. Asks nobody and never waits.
    pub fn torrent(&self) -> Option<Arc<Torrent>> {
        Option::clone(&self.entry.known.read())
    }

    /// Its name, made safe; before the metadata of a magnet is known the one in the link, or else
    /// its info hash.
    pub fn name(&self) -> String {
        let known = self.torrent();
        known.as_ref().unwrap_or(&self.entry.torrent).name().to_owned()
    }

    /// Waits until it is known what the torrent is, at most `timeout`; `None` if that was not
    /// enough, or the torrent stopped with an error. At once unless it was added as a magnet. Looks
    /// at what is published and asks nobody.
    pub fn wait_metadata(&self, timeout: Duration) -> Result<Option<Arc<Torrent>>, AskError> {
        let clock = Clock::start();
        let deadline = clock.now() + timeout;
        loop {
            if let Some(torrent) = self.torrent() {
                return Ok(Some(torrent));
            }
            self.check_gone()?;
            let now = clock.now();
            if now >= deadline || self.stats().state == TorrentState::Error {
                return Ok(None);
            }
            let _ = never::<()>().recv_timeout(LOOK_INTERVAL.min(deadline.since(now)));
        }
    }

    /// Its figures as published at most 200 ms ago; the last ones once it is gone. Asks nobody and
    /// never waits (D15).
    pub fn stats(&self) -> Arc<TorrentStats> {
        self.entry.stats.read()
    }

    /// Everything about it, fresh: peers, trackers, the error that stopped it. Blocks until the
    /// shard answers, for at most 5 seconds.
    pub fn status(&self) -> Result<TorrentStatus, AskError> {
        match self.ask(Command::Status(self.id()))? {
            Reply::Status(status) => Ok(*status),
            _ => Err(AskError::Gone),
        }
    }

    /// Stops it: peers are closed, trackers told, data kept. Blocks until the shard has taken the
    /// order, for at most 5 seconds; so do the orders below.
    pub fn pause(&self) -> Result<(), AskError> {
        self.ask(Command::Pause(self.id())).map(drop)
    }

    /// Goes on, also after an error.
    pub fn resume(&self) -> Result<(), AskError> {
        self.ask(Command::Resume(self.id())).map(drop)
    }

    /// Hashes everything again.
    pub fn recheck(&self) -> Result<(), AskError> {
        self.ask(Command::Recheck(self.id())).map(drop)
    }

    /// Announces now, as far as the tracker's minimum interval allows.
    pub fn reannounce(&self) -> Result<(), AskError> {
        self.ask(Command::Reannounce(self.id())).map(drop)
    }

    /// Asks the tracker for its counts of seeds and leechers (BEP 48), at most once a minute; they
    /// come with a later [`TorrentHandle::status`].
    pub fn scrape(&self) -> Result<(), AskError> {
        self.ask(Command::Scrape(self.id())).map(drop)
    }

    /// Tries these peers, beside those that trackers name.
    pub fn add_peers(&self, peers: &[SocketAddr]) -> Result<(), AskError> {
        self.ask(Command::AddPeers(self.id(), peers.to_vec())).map(drop)
    }

    /// Chooses files anew: how much each is wanted, in the torrent's order, padding included; files
    /// beyond the list are normal. A file that becomes wanted is made on disk and gets what lay
    /// aside of it; one that is not wanted any more stays as it is. Where the metadata is not there
    /// yet, the choice waits for it.
    pub fn set_file_priorities(&self, priorities: Vec<Priority>) -> Result<(), SelectError> {
        self.choose(FileChoice::Each(priorities))
    }

    /// Wants the files with these numbers, counted from 0 in the torrent's order (BEP 53), and no
    /// others; otherwise as [`TorrentHandle::set_file_priorities`].
    pub fn select(
        &self,
        files: impl IntoIterator<Item = RangeInclusive<u32>>,
    ) -> Result<(), SelectError> {
        self.choose(FileChoice::Only(files.into_iter().collect()))
    }

    fn choose(&self, choice: FileChoice) -> Result<(), SelectError> {
        match self.ask(Command::ChooseFiles(self.id(), choice))? {
            Reply::BadChoice(error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// How much each file is wanted, in the torrent's order.
    pub fn file_priorities(&self) -> Result<Vec<Priority>, AskError> {
        Ok(self.file_progress()?.iter().map(|file| file.priority).collect())
    }

    /// Each file's priority, size and bytes that are there, in the torrent's order.
    pub fn file_progress(&self) -> Result<Vec<FileStatus>, AskError> {
        match self.ask(Command::Files(self.id()))? {
            Reply::Files(files) => Ok(files),
            _ => Err(AskError::Gone),
        }
    }

    /// Takes it out of the session and leaves its files as they are. All handles answer `Gone` from
    /// here on. Blocks until its last operation has ended, for at most 5 seconds; after `Timeout`
    /// it goes on leaving, and its info hash can be added again once it has.
    pub fn remove(&self) -> Result<(), AskError> {
        self.check_gone()?;
        let answer = ask::send(&self.link, Command::Remove(self.id()))?;
        match ask::wait(&answer, ASK_TIMEOUT) {
            Err(late @ AskError::Timeout(_)) => {
                self.registry.set_leaving(&self.entry, answer);
                Err(late)
            }
            result => {
                self.registry.forget(&self.entry);
                result.map(drop)
            }
        }
    }

    /// Waits until every wanted piece is there or the torrent stopped with an error, at most
    /// `timeout`; says which state it is in then. Looks at the published figures and asks nobody.
    pub fn wait_finished(&self, timeout: Duration) -> Result<TorrentState, AskError> {
        let clock = Clock::start();
        let deadline = clock.now() + timeout;
        loop {
            let state = self.stats().state;
            if matches!(state, TorrentState::Seeding | TorrentState::Error) {
                return Ok(state);
            }
            self.check_gone()?;
            let now = clock.now();
            if now >= deadline {
                return Ok(state);
            }
            // Not `park_timeout`: that would swallow a wake-up meant for the caller.
            let _ = never::<()>().recv_timeout(LOOK_INTERVAL.min(deadline.since(now)));
        }
    }

    fn ask(&self, command: Command) -> Result<Reply, AskError> {
        self.check_gone()?;
        let answer = ask::send(&self.link, command)?;
        ask::wait(&answer, ASK_TIMEOUT)
    }

    fn check_gone(&self) -> Result<(), AskError> {
        if self.entry.is_gone() { Err(AskError::Gone) } else { Ok(()) }
    }
}
