//! The session's book of torrents: who is there, on which shard, and who is on the way out.

#![expect(
    clippy::disallowed_types,
    reason = "the book is the callers', not a shard's: no shard ever waits for this lock"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crossbeam::channel::Receiver;
use crossbeam::channel::TryRecvError;

use crate::base::digest::Sha1;
use crate::base::ids::ShardId;
use crate::base::ids::TorrentId;
use crate::base::rng::Rng;
use crate::content::torrent::Torrent;
use crate::engine::directory::Directory;
use crate::engine::to_ring::Reply;
use crate::session::balance::Load;
use crate::session::balance::choose;
use crate::session::entry::Entry;

/// Alone writes the [`Directory`], so that it always says what this book says.
pub(crate) struct Registry {
    book: Mutex<Book>,
    directory: Arc<Directory>,
}

struct Book {
    lines: BTreeMap<Sha1, Line>,
    loads: Vec<Load>,
    next_id: u64,
    rng: Rng,
}

struct Line {
    entry: Arc<Entry>,
    /// Set when the torrent was told to leave: answered when it has.
    leaving: Option<Receiver<Reply>>,
}

impl Registry {
    pub(crate) fn new(shard_count: usize, directory: Arc<Directory>, seed: u64) -> Registry {
        let loads = vec![Load::default(); shard_count];
        let book = Book { lines: BTreeMap::new(), loads, next_id: 1, rng: Rng::new(seed) };
        Registry { book: Mutex::new(book), directory }
    }

    /// Enters a torrent and chooses its shard; the id of the one that is there if its hash is
    /// taken.
    pub(crate) fn enter(&self, torrent: Arc<Torrent>) -> Result<Arc<Entry>, TorrentId> {
        let mut book = self.lock();
        let info_hash = torrent.info_hash();
        book.sweep(&self.directory, &info_hash);
        if let Some(line) = book.lines.get(&info_hash) {
            return Err(line.entry.id);
        }
        let Book { loads, rng, .. } = &mut *book;
        let shard = choose(loads, rng);
        if let Some(load) = book.load_mut(shard) {
            load.torrent_count += 1;
            load.total_bytes = load.total_bytes.saturating_add(torrent.total_length());
        }
        let entry = Arc::new(Entry::new(TorrentId(book.next_id), shard, torrent));
        book.next_id += 1;
        book.lines.insert(info_hash, Line { entry: Arc::clone(&entry), leaving: None });
        self.directory.set(info_hash, Some(shard));
        Ok(entry)
    }

    /// The torrent has left its shard, or never got there.
    pub(crate) fn forget(&self, entry: &Entry) {
        entry.set_gone();
        self.lock().forget(&self.directory, entry.id, &entry.torrent.info_hash());
    }

    /// The torrent was told to leave and has not answered yet: its hash stays taken until `answer`
    /// comes.
    pub(crate) fn set_leaving(&self, entry: &Entry, answer: Receiver<Reply>) {
        entry.set_gone();
        let mut book = self.lock();
        let line = book.lines.get_mut(&entry.torrent.info_hash());
        if let Some(line) = line.filter(|line| line.entry.id == entry.id) {
            line.leaving = Some(answer);
        }
    }

    /// The torrent with this hash, unless it is leaving.
    pub(crate) fn find(&self, info_hash: &Sha1) -> Option<Arc<Entry>> {
        let book = self.lock();
        let line = book.lines.get(info_hash).filter(|line| !line.entry.is_gone());
        line.map(|line| Arc::clone(&line.entry))
    }

    /// All torrents that are not leaving, by id.
    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        let book = self.lock();
        let there = book.lines.values().filter(|line| !line.entry.is_gone());
        let mut entries: Vec<Arc<Entry>> = there.map(|line| Arc::clone(&line.entry)).collect();
        entries.sort_by_key(|entry| entry.id);
        entries
    }

    /// The session ends: every handle says `Gone` from here on.
    pub(crate) fn close(&self) {
        let book = self.lock();
        book.lines.values().for_each(|line| line.entry.set_gone());
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        // No code of ours panics in the middle of a change; what is there is consistent.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Forgets the torrent with this hash if it has left since.
    fn sweep(&mut self, directory: &Directory, info_hash: &Sha1) {
        let Some(line) = self.lines.get(info_hash) else { return };
        let answer = line.leaving.as_ref().map(|leaving| leaving.try_recv());
        if matches!(answer, Some(Ok(_) | Err(TryRecvError::Disconnected))) {
            let id = line.entry.id;
            self.forget(directory, id, info_hash);
        }
    }

    fn forget(&mut self, directory: &Directory, id: TorrentId, info_hash: &Sha1) {
        if self.lines.get(info_hash).is_none_or(|line| line.entry.id != id) {
            return;
        }
        let Some(line) = self.lines.remove(info_hash) else { return };
        directory.set(*info_hash, None);
        if let Some(load) = self.load_mut(line.entry.shard) {
            load.torrent_count = load.torrent_count.saturating_sub(1);
            let bytes = line.entry.torrent.total_length();
            load.total_bytes = load.total_bytes.saturating_sub(bytes);
        }
    }

    fn load_mut(&mut self, shard: ShardId) -> Option<&mut Load> {
        self.loads.get_mut(shard.as_usize())
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registry")
    }
}
