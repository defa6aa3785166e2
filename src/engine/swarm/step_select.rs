//! Selecting: which files are wanted, and what follows when that changes.
//!
//! A torrent whose wanted pieces are all there is finished, also where it is not complete: it seeds
//! what it has and tells peers that it will not download (BEP 21). A wanted file is made on disk;
//! what pieces at the borders of wanted files bring for files that were never made lies aside
//! (F14).

use std::sync::Arc;

use crate::base::ids::FileIndex;
use crate::base::instant::Instant;
use crate::base::slots::SlotId;
use crate::base::status::FileStatus;
use crate::codec::extension::ExtensionHandshake;
use crate::content::wanted::ChoiceError;
use crate::content::wanted::FileChoice;
use crate::engine::disk::DiskOp;
use crate::engine::pick::ask::Has;
use crate::engine::swarm::state::Phase;
use crate::engine::swarm::state::Swarm;
use crate::engine::turn::Purpose;
use crate::engine::turn::Turn;

/// Words of bitfields counted per slice of work: some 50 us.
const WORDS_PER_SLICE: usize = 16 * 1024;

impl Swarm {
    /// The torrent's files are known: what was chosen counts from here on.
    pub(crate) fn apply_choice(&mut self, turn: &mut Turn) {
        if self.torrent.has_metadata() && self.selection.apply(&self.torrent) {
            turn.chores.push_back(self.slot);
        }
        self.files.count_wanted(&self.torrent, self.selection.priorities());
    }

    /// The caller chooses anew. Before the metadata is there, the choice waits for it.
    pub(crate) fn choose_files(
        &mut self,
        turn: &mut Turn,
        choice: FileChoice,
    ) -> Result<(), ChoiceError> {
        if self.torrent.has_metadata() {
            choice.check(&self.torrent)?;
        }
        self.selection.choose(choice);
        self.apply_choice(turn);
        // Before anything more is written, so that it goes straight to its file.
        self.make_wanted(turn);
        self.changed();
        Ok(())
    }

    /// One slice of the work that a new choice makes. True while more is left.
    pub(crate) fn do_chores(&mut self, now: Instant, turn: &mut Turn) -> bool {
        if let Some(runs) = self.selection.next_runs(&self.torrent) {
            self.picker.set_priorities(&runs);
            if self.selection.is_applied() {
                self.selection.uncounted = self.peers.iter().map(|(id, _)| id).collect();
                self.handle_applied(now, turn);
            }
            return true;
        }
        let mut words = 0;
        while words < WORDS_PER_SLICE {
            let Some(id) = self.selection.uncounted.pop() else { return false };
            self.count_wanted(id);
            words += 1 + self.layout.piece_count() as usize / 64;
        }
        true
    }

    /// The picker knows which pieces are wanted.
    fn handle_applied(&mut self, now: Instant, turn: &mut Turn) {
        if !self.is_active() {
            return;
        }
        self.drop_unwanted(turn);
        if !self.picker.is_finished() {
            self.is_finished = false;
            if self.is_upload_only {
                self.tell_upload_only(turn);
            }
            // Seeds that we sent away have something for us again.
            self.candidates.retry_all(now);
            self.next_tick = now;
        }
        self.end_if_finished(now, turn);
        self.changed();
    }

    /// Counts anew how many pieces a peer has that we want.
    pub(crate) fn count_wanted(&mut self, id: SlotId) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let has = peer.pieces.field().map_or(Has::All, Has::Some);
        peer.wanted_count = self.picker.wanted_count(has);
        peer.set_interest(peer.wanted_count > 0);
        self.mark(id);
    }

    /// Gives up started pieces that are not wanted any more.
    pub(crate) fn drop_unwanted(&mut self, turn: &mut Turn) {
        while let Some(piece) = self.picker.unwanted_piece() {
            self.picker.abandon(piece);
            if let Some(assembly) = self.assemblies.close(piece) {
                turn.free_assembly(assembly.held());
            }
        }
    }

    /// Tells peers whether we will download anything (BEP 21). A complete torrent need not: its
    /// `have` messages say it.
    pub(crate) fn tell_upload_only(&mut self, turn: &Turn) {
        self.is_upload_only = self.is_done();
        let ids: Vec<SlotId> = self.peers.iter().map(|(id, _)| id).collect();
        for id in ids {
            let Some(ip) = self.peers.get(id).map(|peer| peer.address.ip()) else { continue };
            let introduction = self.introduction(turn, ip);
            let again =
                ExtensionHandshake { upload_only: Some(self.is_upload_only), ..introduction };
            if let Some(peer) = self.peers.get_mut(id) {
                peer.introduce(&again);
            }
            self.mark(id);
        }
    }

    /// Has the wanted files made that are not on disk, one job at a time.
    pub(crate) fn make_wanted(&mut self, turn: &mut Turn) {
        if self.is_active() && self.making.is_none() {
            let files = self.files.unmade(&self.torrent, self.selection.priorities());
            self.make_files(turn, files);
        }
    }

    /// False if there is nothing to make.
    pub(crate) fn make_files(&mut self, turn: &mut Turn, files: Vec<FileIndex>) -> bool {
        if files.is_empty() {
            return false;
        }
        let files: Arc<[FileIndex]> = files.into();
        self.is_finished = false;
        self.making = Some(Arc::clone(&files));
        self.disk(turn, Purpose::Create, DiskOp::Create { files });
        true
    }

    /// The files are there, with what lay aside for them.
    pub(crate) fn handle_made(&mut self, now: Instant, turn: &mut Turn) {
        let Some(made) = self.making.take() else { return };
        self.files.created(&self.torrent, &made);
        self.needs_sync = true;
        if self.phase == Phase::Creating {
            return self.activate(now, turn);
        }
        for file in made.iter().copied() {
            if self.files.is_unnamed(file) {
                self.name_file(turn, file);
            }
        }
        self.make_wanted(turn);
        self.end_if_finished(now, turn);
    }

    /// Whether everything that is wanted is there, in its files.
    pub(crate) fn is_done(&self) -> bool {
        let is_settled = self.selection.is_applied() && self.making.is_none();
        self.is_active() && is_settled && self.picker.is_finished()
    }

    /// Each file with its priority and how much of it is there.
    pub(crate) fn file_status(&self) -> Vec<FileStatus> {
        let files = self.torrent.file_list().iter();
        let status = files.map(|(file, entry)| FileStatus {
            priority: self.selection.priorities().of(file),
            length: entry.length(),
            have_bytes: self.files.have_bytes(file, entry.length()),
        });
        status.collect()
    }
}
