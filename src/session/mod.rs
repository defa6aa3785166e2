//! The synchronous face: sessions, handles, alerts.
//!
//! A [`Session`] owns the shards; the caller's threads send commands through bounded inboxes and
//! read published figures. No user code runs on a shard, nothing here is asynchronous, and two
//! sessions of one process share nothing (A7, A17).

pub(crate) mod add;
pub(crate) mod alerts;
pub(crate) mod ask;
pub(crate) mod balance;
pub(crate) mod builder;
pub(crate) mod checkpoint;
pub(crate) mod create;
pub(crate) mod entry;
pub(crate) mod findings;
pub(crate) mod registry;
pub(crate) mod report;
pub(crate) mod torrent_handle;
pub(crate) mod verify;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::digest::Sha1;
use crate::base::status::ShardStats;
use crate::engine::add::Addition;
use crate::engine::command::Command;
use crate::engine::directory::Directory;
use crate::io::Shards;
use crate::io::ShardsConfig;
use crate::io::clock::Clock;
use crate::io::preflight::StartError;
use crate::session::add::AddTorrent;
use crate::session::alerts::Alerts;
use crate::session::ask::ASK_TIMEOUT;
use crate::session::ask::AddError;
use crate::session::ask::AskError;
use crate::session::builder::SessionBuilder;
use crate::session::entry::Entry;
use crate::session::registry::Registry;
use crate::session::report::ShutdownReport;
use crate::session::torrent_handle::TorrentHandle;

/// How long a session that is merely dropped may take to end: 5 s for the trackers, and as much
/// again for the disk.
const DROP_LIMIT: Duration = Duration::from_secs(10);

/// A running engine: shards pinned to cores, a listen port, torrents.
///
/// May be shared between threads. Dropping it is [`Session::shutdown`] with a limit of 10 seconds.
#[derive(Debug)]
pub struct Session {
    shards: Shards,
    registry: Arc<Registry>,
    alerts: Alerts,
    is_over: bool,
}

impl SessionBuilder {
    /// Checks what the system grants, binds the listen addresses and starts the shards. Blocks
    /// until they run (milliseconds).
    pub fn start(self) -> Result<Session, StartError> {
        let directory = Directory::new();
        let shards = Shards::start(ShardsConfig {
            settings: self.settings,
            shard_count: self.shard_count,
            listen: self.listen,
            tracker_ca: self.tracker_ca,
            directory: Arc::clone(&directory),
        })?;
        let registry = Arc::new(Registry::new(shards.links().len(), directory, shards.seed()));
        let alerts = Alerts::new(shards.alerts().to_vec());
        Ok(Session { shards, registry, alerts, is_over: false })
    }
}

impl Session {
    /// A session to be, with defaults.
    pub fn builder() -> SessionBuilder {
        SessionBuilder::new()
    }

    /// Adds a torrent to the less loaded of two shards. Blocks until the shard has taken it, for at
    /// most 5 seconds; opening files and checking data go on and end in alerts.
    pub fn add(&self, add: AddTorrent) -> Result<TorrentHandle, AddError> {
        if add.torrent.has_metadata() {
            add.choice.check(&add.torrent)?;
        }
        let entry = self.registry.enter(Arc::clone(&add.torrent));
        let entry = entry.map_err(|id| AddError::AlreadyThere { id })?;
        match self.send_addition(&entry, add) {
            Ok(()) => {}
            Err(late @ AskError::Timeout(_)) => {
                self.take_back(&entry);
                return Err(late.into());
            }
            Err(error) => {
                self.registry.forget(&entry);
                return Err(error.into());
            }
        }
        self.handle(entry).ok_or(AddError::Ask(AskError::Gone))
    }

    fn send_addition(&self, entry: &Entry, add: AddTorrent) -> Result<(), AskError> {
        let link = self.shards.links().get(entry.shard.as_usize()).ok_or(AskError::Gone)?;
        let addition = Addition {
            id: entry.id,
            torrent: add.torrent,
            directory: self.registry.shared(&add.directory),
            allocation: add.allocation,
            write_mode: add.write_mode,
            order: add.order,
            is_paused: add.is_paused,
            choice: add.choice,
            magnet: add.magnet,
            known: Arc::clone(&entry.known),
            peers: add.peers,
            stats: Arc::clone(&entry.stats),
        };
        let answer = ask::send(link, Command::Add(Box::new(addition)))?;
        ask::wait(&answer, ASK_TIMEOUT).map(drop)
    }

    /// The shard did not answer and may still take the torrent: it must leave again, since nobody
    /// gets a handle.
    fn take_back(&self, entry: &Entry) {
        let link = self.shards.links().get(entry.shard.as_usize());
        match link.map(|link| ask::send(link, Command::Remove(entry.id))) {
            Some(Ok(answer)) => self.registry.set_leaving(entry, answer),
            _ => self.registry.forget(entry),
        }
    }

    /// The torrent with this name: its v1 info hash, or its v2 info hash truncated to 20 bytes; a
    /// hybrid answers to both (A12).
    pub fn find(&self, info_hash: &Sha1) -> Option<TorrentHandle> {
        self.registry.find(info_hash).and_then(|entry| self.handle(entry))
    }

    /// All torrents, in the order in which they were added.
    pub fn torrents(&self) -> Vec<TorrentHandle> {
        self.registry.entries().into_iter().filter_map(|entry| self.handle(entry)).collect()
    }

    /// What happens, from the start of the session on; see [`Alerts`].
    pub fn alerts(&self) -> Alerts {
        self.alerts.clone()
    }

    /// The figures of each shard as published lately. Asks nobody and never waits.
    pub fn stats(&self) -> Vec<Arc<ShardStats>> {
        self.shards.stats().iter().map(|stats| stats.read()).collect()
    }

    /// Where peers are accepted, as bound.
    pub fn listen_addresses(&self) -> &[SocketAddr] {
        self.shards.listen_addresses()
    }

    /// Stops accepting, tells trackers (within 5 s), closes peers, finishes and syncs writes, ends
    /// the threads. Blocks for about `limit` at most. Handles answer `Gone` from here on (A15).
    pub fn shutdown(mut self, limit: Duration) -> ShutdownReport {
        self.end(limit)
    }

    fn end(&mut self, limit: Duration) -> ShutdownReport {
        self.is_over = true;
        self.registry.close();
        let clock = Clock::start();
        let deadline = clock.now() + limit;
        let links = self.shards.links().iter();
        let answers: Vec<_> = links.map(|link| ask::send(link, Command::Shutdown)).collect();
        for answer in answers.iter().flatten() {
            // Whatever comes, the join below says what became of the shard.
            let _ = ask::wait(answer, deadline.since(clock.now()));
        }
        let total = self.shards.links().len();
        let late_count = self.shards.join(deadline.since(clock.now()));
        ShutdownReport { clean_count: total.saturating_sub(late_count), late_count }
    }

    fn handle(&self, entry: Arc<Entry>) -> Option<TorrentHandle> {
        let link = self.shards.links().get(entry.shard.as_usize())?.clone();
        Some(TorrentHandle::new(entry, Arc::clone(&self.registry), link))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.is_over {
            self.end(DROP_LIMIT);
        }
    }
}
