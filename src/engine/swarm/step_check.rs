//! Opening, checking and creating: from a name to a swarm that knows what it has.

use crate::base::bitfield::Bitfield;
use crate::base::buffer::SharedBuf;
use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::engine::alert::AlertKind;
use crate::engine::digesting::Sums;
use crate::engine::digesting::Verdict;
use crate::engine::disk::DiskOp;
use crate::engine::disk::FileSeen;
use crate::engine::hasher::HashJob;
use crate::engine::hasher::Origin;
use crate::engine::swarm::late_check::LateCheck;
use crate::engine::swarm::readings::Check;
use crate::engine::swarm::readings::READ_LEN;
use crate::engine::swarm::readings::READING_MAX;
use crate::engine::swarm::state::Phase;
use crate::engine::swarm::state::Swarm;
use crate::engine::turn::Purpose;
use crate::engine::turn::Turn;

impl Swarm {
    /// The files were looked at: hash every piece that may be there.
    pub(crate) fn handle_opened(&mut self, now: Instant, turn: &mut Turn, seen: Vec<FileSeen>) {
        if self.annex.is_some() {
            return self.handle_annex_opened(now, turn, seen);
        }
        self.files.handle_seen(seen);
        let mut plausible = self.files.plausible(&self.torrent);
        if let Some(known) = self.unverifiable_but() {
            let late = LateCheck::new(&plausible, known);
            plausible = plausible.and(known);
            self.late_check = late;
        }
        self.check = Some(Check::new(plausible));
        self.phase = Phase::Checking;
        self.go_on_checking(now, turn);
    }

    /// Starts reads for the check while there is room, and ends it when nothing is left.
    pub(crate) fn go_on_checking(&mut self, now: Instant, turn: &mut Turn) {
        let reading_max = READING_MAX * (1 + turn.outwork.batch_room(now, &turn.loads));
        while self.readings.len() < reading_max {
            let Some(check) = &mut self.check else { return };
            if turn.checks.left() < u64::from(READ_LEN) {
                self.is_starved = true;
                break;
            }
            let Some(piece) = check.next_piece(&self.layout) else { break };
            self.readings.open(piece, self.expected(piece));
            self.read_on(turn, piece);
        }
        let is_read = self.check.as_ref().is_some_and(Check::is_read);
        if is_read && self.readings.len() == 0 {
            self.end_check(now, turn);
        }
    }

    /// The pieces that can be verified, where that is not all of them: a v1 hash is enough to go
    /// on, a v2 piece whose root is not known has nothing.
    pub(crate) fn unverifiable_but(&self) -> Option<&Bitfield> {
        let has_v1 = self.torrent.info_hashes().v1().is_some();
        self.layers.verifiable().filter(|_| !has_v1)
    }

    /// Starts reads of pieces whose roots came late.
    pub(crate) fn go_on_late_check(&mut self, turn: &mut Turn) {
        while self.phase == Phase::Active && self.readings.len() < READING_MAX {
            if turn.checks.left() < u64::from(READ_LEN) {
                self.is_starved = true;
                return;
            }
            let Some(piece) = self.late_check.as_mut().and_then(LateCheck::next_piece) else {
                return;
            };
            self.readings.open(piece, self.expected(piece));
            self.read_on(turn, piece);
        }
    }

    /// More roots are known.
    pub(crate) fn handle_roots(&mut self) {
        let known = self.layers.verifiable();
        if let Some(late) = &mut self.late_check {
            late.handle_roots(&self.layout, known);
        }
        self.mark_all();
    }

    /// A piece was judged; true if it was read because its root came late.
    fn end_late_check(&mut self, piece: PieceIndex) -> bool {
        let Some(late) = &mut self.late_check else { return false };
        let is_late = late.judged(piece);
        if late.is_over() {
            self.late_check = None;
        }
        is_late
    }

    /// Reads the next part of a piece that is hashed from the disk. There is room for it: the part
    /// before it was given back just now, and a check starts no piece without. Only a piece that
    /// was written through may find none, and reads all the same, since nothing else would make it
    /// go on.
    pub(crate) fn read_on(&mut self, turn: &mut Turn, piece: PieceIndex) {
        let Some((offset, length)) = self.readings.next_read(&self.layout, piece) else { return };
        let taken = if turn.checks.take(u64::from(length)) { length } else { 0 };
        let purpose = Purpose::Check { piece, length: taken };
        self.disk(turn, purpose, DiskOp::Read { offset, length });
    }

    /// Part of a piece came from the disk: hash it.
    pub(crate) fn handle_check_read(
        &mut self,
        turn: &mut Turn,
        (piece, held): (PieceIndex, u32),
        data: SharedBuf,
    ) {
        let length = data.len() as u32;
        match self.readings.take_sums(piece, length) {
            Some((sums, position)) => {
                let (swarm, origin) = (self.slot, Origin::Disk { held });
                let streamed = 0;
                turn.hasher.push(HashJob { swarm, piece, sums, position, data, streamed, origin });
            }
            None => turn.free_checks(held),
        }
    }

    /// A job is hashed, here or by another shard.
    pub(crate) fn handle_hashed(&mut self, now: Instant, turn: &mut Turn, job: HashJob) {
        match job.origin {
            Origin::Disk { held } => {
                turn.free_checks(held);
                self.handle_part_hashed(now, turn, job.piece, job.sums);
            }
            Origin::Peers => {
                let piece = job.piece;
                if self.assemblies.take_back(job) {
                    self.piece_hashed(now, turn, piece);
                }
            }
        }
    }

    /// A part of a piece on the disk is hashed: read the next, or judge the piece.
    fn handle_part_hashed(&mut self, now: Instant, turn: &mut Turn, piece: PieceIndex, sums: Sums) {
        if self.readings.next_read(&self.layout, piece).is_some() {
            self.readings.put_sums(piece, sums);
            self.read_on(turn, piece);
            return;
        }
        if self.readings.close(piece) {
            self.judge(now, turn, piece, &sums);
        }
    }

    /// A part could not be read because the file ends before it: the piece is not there.
    pub(crate) fn handle_check_short(&mut self, now: Instant, turn: &mut Turn, piece: PieceIndex) {
        self.readings.close(piece);
        if self.check.is_some() {
            self.go_on_checking(now, turn);
        } else if self.end_late_check(piece) {
            self.mark_all();
        } else {
            self.piece_failed(now, turn, piece);
        }
    }

    fn judge(&mut self, now: Instant, turn: &mut Turn, piece: PieceIndex, sums: &Sums) {
        self.changed();
        let is_good = match sums.verdict() {
            Verdict::Good => true,
            Verdict::Bad => false,
            Verdict::Torn { passed_v1 } => return self.piece_torn(now, turn, piece, passed_v1),
        };
        if let Some(check) = &mut self.check {
            if is_good {
                check.have.set(piece.as_u32());
            }
            return self.go_on_checking(now, turn);
        }
        let is_late = self.end_late_check(piece);
        match (is_good, is_late) {
            (true, _) => self.piece_stored(now, turn, piece),
            // It was never had: fetch it.
            (false, true) => self.mark_all(),
            (false, false) => self.piece_failed(now, turn, piece),
        }
    }

    fn end_check(&mut self, now: Instant, turn: &mut Turn) {
        if !self.selection.is_applied() {
            // The last slice of that comes back to here.
            return;
        }
        let Some(check) = self.check.take() else { return };
        self.have = check.have;
        self.picker.set_have(&self.have);
        self.files.set_have(&self.torrent, &self.have);
        self.files.count_wanted(&self.torrent, self.selection.priorities());
        let piece_count = self.layout.piece_count();
        let have_count = self.have.count_ones();
        self.alert(turn, AlertKind::Checked { have_count, piece_count });
        self.changed();
        let files = self.files.unready(&self.torrent, self.selection.priorities());
        self.phase = Phase::Creating;
        if !self.make_files(turn, files) {
            self.activate(now, turn);
        }
    }

    /// The files are there: fetch and serve from here on.
    pub(crate) fn activate(&mut self, now: Instant, turn: &mut Turn) {
        self.phase = Phase::Active;
        self.next_tick = now;
        self.end_earliness(now, turn);
        self.candidates.retry_all(now);
        self.changed();
        for file in self.files.unnamed() {
            self.name_file(turn, file);
        }
        // The choice may have changed while files were made.
        self.make_wanted(turn);
        self.end_if_finished(now, turn);
        self.announcer.start(now);
    }
}
