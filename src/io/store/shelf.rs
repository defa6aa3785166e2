//! One torrent as the store knows it: its place, the names its files have by now, its open jobs.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::buffer::PAGE;
use crate::base::ids::FileIndex;
use crate::content::files::FileEntry;
use crate::engine::add::WriteMode;
use crate::engine::disk::FileSeen;
use crate::engine::disk::JobId;
use crate::io::store::extents;
use crate::io::store::file_key::Spot;
use crate::io::store::parts;
use crate::io::store::place::Name;
use crate::io::store::place::Place;
use crate::io::store::place::path_of;
use crate::io::store::progress::Step;

/// Bytes from which on a write may go past the page cache: a device takes its time for each one,
/// and smaller ones are better gathered first.
const DIRECT_MIN: usize = 64 * 1024;
/// The same where nobody chose: of this size a disk with heads still takes 100 MB/s, in any order.
const AUTO_MIN: usize = 1024 * 1024;

/// A torrent's place and state.
pub(super) struct Shelf {
    pub(super) place: Arc<Place>,
    /// `Cached` where the file system knows no other way.
    pub(super) write_mode: WriteMode,
    names: Vec<Name>,
    /// What was written since the last sync.
    pub(super) dirty: BTreeSet<Spot>,
    /// Jobs that have no reply yet, `Close` excluded.
    pub(super) job_count: usize,
    /// Reads and writes under way.
    pub(super) moving_count: usize,
    /// A job makes files, and moves what lay aside for them: nothing else is read or written.
    pub(super) is_making: bool,
    /// Jobs that wait until that is over, or that make files and wait for what is under way.
    pub(super) held: VecDeque<JobId>,
    /// The job that waits for all others.
    pub(super) closing: Option<JobId>,
}

impl Shelf {
    pub(super) fn new(place: Arc<Place>) -> Shelf {
        let names = vec![Name::None; place.torrent.files().len()];
        Shelf {
            write_mode: place.write_mode,
            place,
            names,
            dirty: BTreeSet::new(),
            job_count: 0,
            moving_count: 0,
            is_making: false,
            held: VecDeque::new(),
            closing: None,
        }
    }

    /// Of a torrent whose files are all there under their final names.
    pub(super) fn finished(place: Arc<Place>) -> Shelf {
        let name = |entry: &FileEntry| if entry.is_on_disk() { Name::Final } else { Name::None };
        let names = place.torrent.files().iter().map(name).collect();
        Shelf { names, ..Shelf::new(place) }
    }

    /// Nothing is under way or owed to the disk.
    pub(super) fn is_idle(&self) -> bool {
        self.job_count == 0 && self.dirty.is_empty() && self.closing.is_none()
    }

    pub(super) fn names(&self) -> Arc<[Name]> {
        self.names.as_slice().into()
    }

    /// Of a file; what lies aside has one name always.
    pub(super) fn name_of(&self, spot: Spot) -> Name {
        match spot {
            Spot::File(file) => self.name(file),
            Spot::Parts => Name::Final,
        }
    }

    fn name(&self, file: FileIndex) -> Name {
        self.names.get(file.as_usize()).copied().unwrap_or(Name::None)
    }

    pub(super) fn handle_looked(&mut self, seen: &[FileSeen]) {
        self.names = seen.iter().map(|seen| Name::of(*seen)).collect();
    }

    /// What lay aside for these files is theirs, and not synced.
    pub(super) fn handle_created(&mut self, files: &[FileIndex]) {
        for file in files {
            let Some(entry) = self.place.torrent.file_list().get(*file) else { continue };
            let Some(name) = self.names.get_mut(file.as_usize()) else { continue };
            if *name == Name::None && entry.is_on_disk() {
                *name = Name::created(entry);
                if entry.length() > 0 {
                    self.dirty.insert(Spot::File(*file));
                }
            }
        }
    }

    pub(super) fn handle_finished(&mut self, file: FileIndex) {
        if let Some(name) = self.names.get_mut(file.as_usize()) {
            *name = Name::Final;
        }
    }

    /// Where the byte at `offset` of `file` lies, and what is before it there. `None` for padding
    /// and symbolic links, which are on no disk. A file that was not made lies aside.
    pub(super) fn locate(&self, file: FileIndex, offset: u64) -> Option<(Spot, u64)> {
        let entry = self.entry(file).filter(|entry| entry.is_on_disk())?;
        Some(match self.name(file) {
            Name::None => (Spot::Parts, entry.offset() + offset),
            Name::Part | Name::Final => (Spot::File(file), offset),
        })
    }

    /// Whether nothing but reads and writes is under way, and nothing waits to begin.
    pub(super) fn is_open(&self) -> bool {
        !self.is_making && self.held.is_empty()
    }

    /// Bytes of a write that go past the page cache, of those that stand at `step.at` in a buffer
    /// that starts with a page, to `offset` of what holds them. 0 if none do.
    pub(super) fn direct_len(&self, spot: Spot, offset: u64, step: Step, is_wanted: bool) -> usize {
        let min = match self.write_mode {
            WriteMode::Auto if !is_wanted => AUTO_MIN,
            WriteMode::Auto | WriteMode::Cached => return 0,
            WriteMode::Direct => DIRECT_MIN,
        };
        let is_aligned = (offset | step.at as u64).is_multiple_of(PAGE as u64);
        let len = step.len - step.len % PAGE;
        if is_aligned && spot != Spot::Parts && len >= min { len } else { 0 }
    }

    /// The present path of a file below the torrent's directory.
    pub(super) fn path(&self, spot: Spot) -> PathBuf {
        let Spot::File(file) = spot else { return parts::name(&self.place.torrent) };
        self.entry(file).map(|entry| path_of(entry, self.name(file))).unwrap_or_default()
    }

    /// The piece that this byte of a file lies in.
    pub(super) fn piece_at(&self, spot: Spot, offset: u64) -> Option<u32> {
        let Spot::File(file) = spot else { return None };
        let at = self.entry(file)?.offset().checked_add(offset)?;
        Some(self.place.torrent.layout().piece_at(at)?.as_u32())
    }

    /// What is read at once where these bytes of a piece are not in memory; `None` where they lie
    /// in several files, or aside.
    pub(super) fn extent(&self, wanted: &Range<u64>) -> Option<Range<u64>> {
        let (layout, files) = (self.place.torrent.layout(), self.place.torrent.file_list());
        let span = files.spans(wanted.start, wanted.end - wanted.start).next()?;
        let entry = self.entry(span.file)?;
        let end = entry.offset() + entry.length();
        let is_there = self.locate(span.file, 0).is_some_and(|(spot, _)| spot != Spot::Parts);
        let piece = layout.piece_at(wanted.start)?;
        let start = layout.offset(piece);
        let whole = start..start + u64::from(layout.piece_len(piece));
        let extent = extents::around(whole, wanted);
        let extent = extent.start.max(entry.offset())..extent.end.min(end);
        (is_there && wanted.end <= extent.end).then_some(extent)
    }

    fn entry(&self, file: FileIndex) -> Option<&FileEntry> {
        self.place.torrent.file_list().get(file)
    }
}
