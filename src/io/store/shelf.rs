//! One torrent as the store knows it: its place, the names its files have by now, its open jobs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::ids::FileIndex;
use crate::content::files::FileEntry;
use crate::engine::disk::FileSeen;
use crate::engine::disk::JobId;
use crate::io::store::place::Name;
use crate::io::store::place::Place;
use crate::io::store::place::path_of;

/// A torrent's place and state.
pub(super) struct Shelf {
    pub(super) place: Arc<Place>,
    names: Vec<Name>,
    /// Files written since the last sync.
    pub(super) dirty: BTreeSet<FileIndex>,
    /// Jobs that have no reply yet, `Close` excluded.
    pub(super) job_count: usize,
    /// The job that waits for all others.
    pub(super) closing: Option<JobId>,
}

impl Shelf {
    pub(super) fn new(place: Arc<Place>) -> Shelf {
        let names = vec![Name::None; place.torrent.files().len()];
        Shelf { place, names, dirty: BTreeSet::new(), job_count: 0, closing: None }
    }

    pub(super) fn names(&self) -> Arc<[Name]> {
        self.names.as_slice().into()
    }

    pub(super) fn name(&self, file: FileIndex) -> Name {
        self.names.get(file.as_usize()).copied().unwrap_or(Name::None)
    }

    pub(super) fn handle_looked(&mut self, seen: &[FileSeen]) {
        self.names = seen.iter().map(|seen| Name::of(*seen)).collect();
    }

    pub(super) fn handle_created(&mut self) {
        for (name, entry) in self.names.iter_mut().zip(self.place.torrent.files()) {
            if *name == Name::None && entry.is_on_disk() {
                *name = Name::created(entry);
            }
        }
    }

    pub(super) fn handle_finished(&mut self, file: FileIndex) {
        if let Some(name) = self.names.get_mut(file.as_usize()) {
            *name = Name::Final;
        }
    }

    /// Padding and symbolic links are not.
    pub(super) fn is_on_disk(&self, file: FileIndex) -> bool {
        self.entry(file).is_some_and(FileEntry::is_on_disk)
    }

    /// The file's present path below the torrent's directory.
    pub(super) fn path(&self, file: FileIndex) -> PathBuf {
        self.entry(file).map(|entry| path_of(entry, self.name(file))).unwrap_or_default()
    }

    fn entry(&self, file: FileIndex) -> Option<&FileEntry> {
        self.place.torrent.file_list().get(file)
    }
}
