//! Serving a torrent of another shard: an annex takes peers that come to it and sends them what
//! they ask for, and does nothing else. Its owner vouches for the pieces; it neither checks,
//! announces, dials nor writes.

use crate::base::bitfield::Bitfield;
use crate::base::ids::ShardId;
use crate::base::instant::Instant;
use crate::base::limits::TRAVEL_TIMEOUT;
use crate::base::storage_error::StorageError;
use crate::content::torrent::Torrent;
use crate::engine::announce::Announcer;
use crate::engine::disk::FileSeen;
use crate::engine::note::Ending;
use crate::engine::note::Grant;
use crate::engine::note::Note;
use crate::engine::note::Report;
use crate::engine::note::Word;
use crate::engine::swarm::annex::Annex;
use crate::engine::swarm::state::Leave;
use crate::engine::swarm::state::Phase;
use crate::engine::swarm::state::Swarm;
use crate::engine::to_ring::Output;
use crate::engine::turn::Turn;

/// Peers are listed in every fifth report, once a second.
const LIST_EVERY: u32 = 5;

impl Swarm {
    /// A swarm that was just made is an annex of this one's torrent: opens the files.
    pub(crate) fn begin_annex(&mut self, turn: &mut Turn, annex: Annex, peer_id: [u8; 20]) {
        self.annex = Some(Box::new(annex));
        self.peer_id = peer_id;
        self.announcer = Announcer::new(self.names(), &[], &mut turn.rng);
        self.open(turn);
    }

    /// Whether strangers who name the torrent may stay on this shard.
    pub(crate) fn takes_strangers(&self) -> bool {
        let is_ready = |annex: &Annex| self.phase == Phase::Active && !annex.is_ending();
        self.annex.as_deref().is_none_or(is_ready)
    }

    /// The files were looked at: they must all be there, under their final names.
    pub(crate) fn handle_annex_opened(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        seen: Vec<FileSeen>,
    ) {
        if !are_all_there(&self.torrent, &seen) {
            return self.end_annex(now, turn, "its files are not all there");
        }
        self.files.handle_seen(seen);
        self.have = Bitfield::ones(self.layout.piece_count());
        self.picker.set_have(&self.have);
        self.phase = Phase::Active;
        self.is_finished = true;
        self.next_tick = now;
        self.report(now, turn);
    }

    /// A word of another shard.
    pub(crate) fn handle_note(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        from: (ShardId, u32),
        word: Word,
    ) {
        if self.annex.is_some() {
            self.handle_owner(now, turn, from, &word);
        } else {
            self.handle_helper(now, turn, from, word);
        }
    }

    /// A word of the owner.
    fn handle_owner(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        (from, term): (ShardId, u32),
        word: &Word,
    ) {
        let Some(annex) = self.annex.as_deref_mut() else { return };
        if !annex.is_meant(from, term) {
            return;
        }
        if annex.is_ending() {
            if matches!(word, Word::CallOff { keeps_peers: false }) {
                self.close_annex(now, turn);
            }
            return;
        }
        match word {
            Word::Grant(grant) => {
                self.wants_choice |= annex.grant.slots != grant.slots;
                annex.handle_grant(now, *grant);
                if self.journeys.is_empty() {
                    self.send_off(now, turn, from, grant.give_back);
                }
                self.report(now, turn);
            }
            Word::CallOff { keeps_peers: false } => {
                self.end_annex(now, turn, "the torrent stopped");
            }
            Word::CallOff { keeps_peers: true } => {
                annex.reason = Some("it is needed no more".to_owned());
                annex.closes_at = Some(now + TRAVEL_TIMEOUT);
                self.send_off(now, turn, from, u32::MAX);
                self.close_if_given_back(now, turn);
            }
            Word::Enlist(_) | Word::Report(_) | Word::Ended(_) => {}
        }
    }

    /// The owner has not been heard for too long: it may be gone, and its files with it. Or peers
    /// did not go back in time.
    pub(crate) fn end_late_annex(&mut self, now: Instant, turn: &mut Turn) {
        let until = self.annex.as_deref().and_then(Annex::poll_timeout);
        if until.is_some_and(|at| now >= at) {
            self.end_annex(now, turn, "its owner was not heard");
        }
    }

    /// The last peer went back to the owner: there is nothing left to do.
    pub(crate) fn close_if_given_back(&mut self, now: Instant, turn: &mut Turn) {
        let is_closing = self.annex.as_deref().is_some_and(|annex| annex.closes_at.is_some());
        if is_closing && self.peers.len() == 0 {
            self.close_annex(now, turn);
        }
    }

    /// Closes its peers and leaves, for this reason unless there is one already; the owner hears of
    /// it when the last job is done.
    pub(crate) fn end_annex(&mut self, now: Instant, turn: &mut Turn, reason: &str) {
        if let Some(annex) = self.annex.as_deref_mut() {
            annex.reason.get_or_insert_with(|| reason.to_owned());
            self.close_annex(now, turn);
        }
    }

    fn close_annex(&mut self, now: Instant, turn: &mut Turn) {
        if let Some(annex) = self.annex.as_deref_mut() {
            annex.closes_at = None;
            self.leave(now, turn, Leave::Annex);
        }
    }

    /// The files could not be read: that concerns the owner too.
    pub(crate) fn annex_storage_failed(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        error: StorageError,
    ) {
        let reason = error.to_string();
        if let Some(annex) = self.annex.as_deref_mut() {
            annex.storage.get_or_insert(error);
        }
        self.end_annex(now, turn, &reason);
    }

    /// Tells the owner how it goes.
    fn report(&mut self, now: Instant, turn: &mut Turn) {
        let is_ready = self.phase == Phase::Active;
        let Some(annex) = self.annex.as_deref_mut() else { return };
        let (owner, term) = (annex.owner, annex.term);
        annex.unlisted += 1;
        let is_listed = annex.unlisted >= LIST_EVERY;
        if is_listed {
            annex.unlisted = 0;
        }
        let peers = is_listed.then(|| self.peer_statuses(now));
        let figures = self.figures(now);
        let report = Report {
            is_ready,
            peer_count: figures.peer_count,
            seed_count: figures.seed_count,
            interested_count: self.interested_count(),
            room: turn.gate.room(),
            uploaded: figures.uploaded,
            upload_rate: figures.upload_rate,
            peers,
        };
        let note = Note { torrent: self.id, term, word: Word::Report(Box::new(report)) };
        turn.outputs.push_back(Output::Note { to: owner, note });
    }

    /// The last word of an annex that has left.
    pub(crate) fn farewell(&self) -> Option<(ShardId, Note)> {
        let annex = self.annex.as_deref()?;
        let ending = Ending {
            uploaded: self.sent.total(),
            reason: annex.reason.clone().unwrap_or_else(|| "its shard ends".to_owned()),
            storage: annex.storage.clone(),
        };
        let word = Word::Ended(Box::new(ending));
        Some((annex.owner, Note { torrent: self.id, term: annex.term, word }))
    }

    pub(crate) fn interested_count(&self) -> u32 {
        self.peers.iter().filter(|(_, peer)| peer.is_interested()).count() as u32
    }

    /// What the annex may hand out; `None` in a torrent of our own.
    pub(crate) fn grant(&self) -> Option<Grant> {
        self.annex.as_deref().map(|annex| annex.grant)
    }
}

/// Whether every file lies under its final name, with all of its bytes.
fn are_all_there(torrent: &Torrent, seen: &[FileSeen]) -> bool {
    let mut files = torrent.file_list().iter().zip(seen);
    files.all(|((_, entry), seen)| match seen {
        FileSeen::Final { length } => *length >= entry.length(),
        _ => !entry.is_on_disk(),
    })
}
