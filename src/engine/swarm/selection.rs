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
