//! The session's book of torrents: who is there, on which shard, and who is on the way out.

#![expect(
    clippy::disallowed_types,
    reason = "the book is the callers', not a shard's: no shard ever waits for this lock"
)]

use std::collections::BTreeMap;
use std::path::Path;
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

/// Writes the [`Directory`], so that it says what this book says. Names that only the metadata of a
/// magnet tells get there by its shard, and into the book before it is asked the next time.
pub(crate) struct Registry {
    book: Mutex<Book>,
    directory: Arc<Directory>,
}

struct Book {
    lines: BTreeMap<TorrentId, Line>,
    /// Every name of every torrent: a hybrid has two.
    names: BTreeMap<Sha1, TorrentId>,
    /// Magnets whose metadata was not known yet when the book was opened last.
    seekers: Vec<Arc<Entry>>,
    loads: Vec<Load>,
    next_id: u64,
    /// Where the last torrent was added.
    directory: Arc<Path>,
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
        let book = Book {
            lines: BTreeMap::new(),
            names: BTreeMap::new(),
            seekers: Vec::new(),
            loads,
            next_id: 1,
            directory: Path::new("").into(),
            rng: Rng::new(seed),
        };
        Registry { book: Mutex::new(book), directory }
    }

    /// Enters a torrent and chooses its shard; the id of the one that is there if one of its names
    /// is taken (A12).
    pub(crate) fn enter(&self, torrent: Arc<Torrent>) -> Result<Arc<Entry>, TorrentId> {
        let mut book = self.lock();
        for name in torrent.info_hashes().swarms() {
            book.sweep(&self.directory, &name);
            if let Some(id) = book.names.get(&name) {
                return Err(*id);
            }
        }
        let Book { loads, rng, .. } = &mut *book;
        let shard = choose(loads, rng);
        if let Some(load) = book.load_mut(shard) {
            load.torrent_count += 1;
            load.total_bytes = load.total_bytes.saturating_add(torrent.total_length());
        }
        let id = TorrentId(book.next_id);
        let entry = Arc::new(Entry::new(id, shard, torrent));
        book.next_id += 1;
        book.lines.insert(id, Line { entry: Arc::clone(&entry), leaving: None });
        for name in entry.torrent.info_hashes().swarms() {
            book.names.insert(name, id);
            self.directory.set(name, Some(shard));
        }
        if entry.known.read().is_none() {
            book.seekers.push(Arc::clone(&entry));
        }
        Ok(entry)
    }

    /// The directory, in one copy for torrents that are added to it one after the other.
    pub(crate) fn shared(&self, directory: &Path) -> Arc<Path> {
        let mut book = self.lock();
        if *book.directory != *directory {
            book.directory = directory.into();
        }
        Arc::clone(&book.directory)
    }

    /// The torrent has left its shard, or never got there.
    pub(crate) fn forget(&self, entry: &Entry) {
        entry.set_gone();
        self.lock().forget(&self.directory, entry.id);
    }

    /// The torrent was told to leave and has not answered yet: its names stay taken until `answer`
    /// comes.
    pub(crate) fn set_leaving(&self, entry: &Entry, answer: Receiver<Reply>) {
        entry.set_gone();
        let mut book = self.lock();
        if let Some(line) = book.lines.get_mut(&entry.id) {
            line.leaving = Some(answer);
        }
    }

    /// The torrent with this name, unless it is leaving.
    pub(crate) fn find(&self, name: &Sha1) -> Option<Arc<Entry>> {
        let book = self.lock();
        let line = book.names.get(name).and_then(|id| book.lines.get(id));
        let line = line.filter(|line| !line.entry.is_gone());
        line.map(|line| Arc::clone(&line.entry))
    }

    /// All torrents that are not leaving, by id.
    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        let book = self.lock();
        let there = book.lines.values().filter(|line| !line.entry.is_gone());
        there.map(|line| Arc::clone(&line.entry)).collect()
    }

    /// The session ends: every handle says `Gone` from here on.
    pub(crate) fn close(&self) {
        let book = self.lock();
        book.lines.values().for_each(|line| line.entry.set_gone());
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        // No code of ours panics in the middle of a change; what is there is consistent.
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.learn_names();
        book
    }
}

impl Book {
    /// Metadata that came since may have told second names.
    fn learn_names(&mut self) {
        let Book { seekers, names, .. } = self;
        seekers.retain(|entry| {
            let Some(torrent) = Option::clone(&entry.known.read()) else { return !entry.is_gone() };
            for name in torrent.info_hashes().swarms() {
                names.entry(name).or_insert(entry.id);
            }
            false
        });
    }

    /// Forgets the torrent with this name if it has left since.
    fn sweep(&mut self, directory: &Directory, name: &Sha1) {
        let Some(line) = self.names.get(name).and_then(|id| self.lines.get(id)) else { return };
        let answer = line.leaving.as_ref().map(|leaving| leaving.try_recv());
        if matches!(answer, Some(Ok(_) | Err(TryRecvError::Disconnected))) {
            let id = line.entry.id;
            self.forget(directory, id);
        }
    }

    fn forget(&mut self, directory: &Directory, id: TorrentId) {
        let Some(line) = self.lines.remove(&id) else { return };
        let known = Option::clone(&line.entry.known.read());
        let torrent = known.as_ref().unwrap_or(&line.entry.torrent);
        for name in torrent.info_hashes().swarms() {
            if self.names.get(&name) == Some(&id) {
                self.names.remove(&name);
                directory.set(name, None);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Sha256;
    use crate::base::info_hashes::InfoHashes;

    fn torrent(v1: Option<Sha1>, v2: Option<Sha256>) -> Arc<Torrent> {
        let names = InfoHashes::new(v1, v2).expect("there is one");
        Arc::new(Torrent::nameless(names, None, &[]))
    }

    #[test]
    fn a_hybrid_is_there_under_both_of_its_names_and_leaves_both() {
        let directory = Directory::new();
        let registry = Registry::new(2, Arc::clone(&directory), 1);
        let (v1, v2) = (Sha1::of(b"info"), Sha256::of(b"info"));
        let hybrid = registry.enter(torrent(Some(v1), Some(v2))).expect("it is the first");
        for same in [torrent(Some(v1), None), torrent(None, Some(v2))] {
            assert_eq!(registry.enter(same).map(drop), Err(hybrid.id));
        }
        for name in [v1, v2.truncated()] {
            assert_eq!(registry.find(&name).map(|entry| entry.id), Some(hybrid.id));
            assert_eq!(directory.find(&name), Some(hybrid.shard));
        }
        registry.forget(&hybrid);
        for name in [v1, v2.truncated()] {
            assert!(registry.find(&name).is_none() && directory.find(&name).is_none());
        }
        let second = registry.enter(torrent(None, Some(v2))).expect("the name is free again");
        let first = registry.enter(torrent(Some(v1), None)).expect("so is this one");
        let ids: Vec<_> = registry.entries().iter().map(|entry| entry.id).collect();
        assert_eq!(ids, [second.id, first.id]);
        registry.forget(&hybrid);
        assert!(registry.find(&v1).is_some(), "forgetting twice does not hurt its successor");
    }

    #[test]
    fn a_name_is_free_when_the_shard_says_that_the_torrent_has_left() {
        let registry = Registry::new(1, Directory::new(), 1);
        let (v1, v2) = (Sha1::of(b"info"), Sha256::of(b"info"));
        let hybrid = registry.enter(torrent(Some(v1), Some(v2))).expect("it is the first");
        let (sender, answer) = crossbeam::channel::bounded(1);
        registry.set_leaving(&hybrid, answer);
        assert!(registry.find(&v2.truncated()).is_none());
        assert_eq!(registry.enter(torrent(None, Some(v2))).map(drop), Err(hybrid.id));
        sender.send(Reply::Done).expect("the registry listens");
        assert!(registry.enter(torrent(None, Some(v2))).is_ok());
        assert!(registry.enter(torrent(Some(v1), None)).is_ok());
    }
}
