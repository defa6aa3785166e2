//! Which files of a torrent are wanted: what was chosen, and how much of it the picker knows.

use crate::base::slots::SlotId;
use crate::content::torrent::Torrent;
use crate::content::wanted::FileChoice;
use crate::content::wanted::FilePriorities;
use crate::content::wanted::PriorityRuns;
use crate::content::wanted::RunWalk;

/// Files looked at per slice of work: some 100 us.
const FILES_PER_SLICE: usize = 4096;

/// The choice and its way to the picker, which takes several turns where files are many (D7).
#[derive(Debug, Default)]
pub(crate) struct Selection {
    choice: FileChoice,
    priorities: FilePriorities,
    /// What the picker has not been told.
    walk: Option<RunWalk>,
    /// Peers of which is not counted yet how many wanted pieces they have.
    pub(crate) uncounted: Vec<SlotId>,
}

impl Selection {
    /// Chosen when the torrent was added; its files may not be known yet.
    pub(crate) fn new(choice: FileChoice) -> Selection {
        Selection { choice, ..Selection::default() }
    }

    /// Another choice. It counts from [`Selection::apply`] on.
    pub(crate) fn choose(&mut self, choice: FileChoice) {
        self.choice = choice;
    }

    /// The files are known: the choice becomes priorities. True if that changes any; the picker has
    /// to be told then.
    pub(crate) fn apply(&mut self, torrent: &Torrent) -> bool {
        let priorities = self.choice.priorities(torrent);
        let is_news = priorities != self.priorities;
        if is_news {
            self.priorities = priorities;
            self.walk = Some(RunWalk::default());
        }
        is_news
    }

    pub(crate) fn priorities(&self) -> &FilePriorities {
        &self.priorities
    }

    /// Whether everything was chosen and the picker knows it: as if nobody had chosen.
    pub(crate) fn is_plain(&self) -> bool {
        self.choice == FileChoice::All && self.is_applied() && self.uncounted.is_empty()
    }

    /// Whether the picker knows it all.
    pub(crate) fn is_applied(&self) -> bool {
        self.walk.is_none()
    }

    /// What the picker is to be told next; `None` when it knows it all.
    pub(crate) fn next_runs(&mut self, torrent: &Torrent) -> Option<PriorityRuns> {
        let walk = self.walk.as_mut()?;
        let mut runs = PriorityRuns::new();
        if !walk.advance(torrent, &self.priorities, FILES_PER_SLICE, &mut runs) {
            self.walk = None;
        }
        Some(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Sha1;
    use crate::content::make::TorrentMaker;

    #[test]
    fn a_choice_of_many_files_goes_to_the_picker_in_slices() {
        let maker = TorrentMaker::directory("t").with_piece_length(16_384);
        let maker = (0..10_000).fold(maker, |maker, n| maker.file([n.to_string()], 16_384));
        let made = maker.finish(&vec![Sha1::of(b""); 10_000]).unwrap();
        let torrent = Torrent::parse(&made).unwrap();
        let mut selection = Selection::new(FileChoice::Only(vec![1..=1, 9_000..=9_999]));
        assert!(selection.apply(&torrent) && !selection.apply(&torrent), "news only once");
        let mut slices = Vec::new();
        while let Some(runs) = selection.next_runs(&torrent) {
            slices.push(runs.iter().map(|(pieces, _)| pieces.len()).sum::<usize>());
        }
        // The last piece of a slice may get a share of the next file: it comes with that.
        assert_eq!(slices, [FILES_PER_SLICE - 1, FILES_PER_SLICE, 10_001 - 2 * FILES_PER_SLICE]);
        assert!(selection.is_applied());
        selection.choose(FileChoice::All);
        assert!(selection.apply(&torrent) && !selection.is_applied());
    }
}
