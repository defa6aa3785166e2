//! Timers: what falls due without anything having happened.

use std::time::Duration;

use crate::base::instant::Instant;
use crate::base::slots::SlotId;
use crate::engine::pick::ask::Release;
use crate::engine::swarm::annex::Annex;
use crate::engine::swarm::lending::Lending;
use crate::engine::swarm::state::Swarm;
use crate::engine::turn::Turn;

/// Peers are looked at this often while there are any: the finest time-out is 4 s.
const TICK: Duration = Duration::from_secs(1);
/// Peers looked at per slice: some 10 us.
const TICK_SLICE: u32 = 16;

/// A download with fewer peers than this asks its tracker for more before the interval is over.
const PEERS_ENOUGH: usize = 20;

impl Swarm {
    pub(crate) fn handle_timeout(&mut self, now: Instant, turn: &mut Turn) {
        if now >= self.next_tick && self.keeps_peers() {
            self.begin_tick(now);
        }
        if self.is_active() && self.choker.poll_timeout().is_some_and(|at| now >= at) {
            self.begin_round(now);
        }
        if let Some(seeking) = &mut self.seeking {
            seeking.fetch.handle_timeout(now);
        }
        if self.layers.poll_timeout().is_some_and(|at| now >= at) && self.layers.handle_timeout(now)
        {
            // Others are asked for what somebody owed.
            self.mark_all();
        }
        if self.announcer.poll_timeout().is_some_and(|at| now >= at) {
            let facts = self.facts(turn);
            self.announcer.handle_timeout(now, &facts, &mut turn.rng);
        }
        self.end_late_journeys(now, turn);
        self.end_late_annex(now, turn);
        self.go_on_lending(now, turn);
        self.publish_if_due(now);
    }

    /// When `handle_timeout` has something to do. An idle torrent has no tick.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let has_peers = self.peers.len() > 0;
        let tick = (has_peers && self.keeps_peers()).then_some(self.next_tick);
        let choke = self.choker.poll_timeout().filter(|_| has_peers && self.is_active());
        let dial = self.candidates.poll_timeout().filter(|_| self.takes_peers());
        let dial = dial.map(|at| at.max(self.next_tick));
        let metadata = self.seeking.as_ref().and_then(|seeking| seeking.fetch.poll_timeout());
        let others = [self.announcer.poll_timeout(), self.layers.poll_timeout(), self.publish_at];
        let annex = self.annex.as_deref().and_then(Annex::poll_timeout);
        let lending = self.lending.as_deref().and_then(Lending::poll_timeout);
        let journey = self.journeys.values().map(|journey| journey.until).min();
        [tick, choke, self.choice_due(), dial, metadata, annex, lending, journey]
            .into_iter()
            .chain(others)
            .flatten()
            .min()
    }

    /// All peers are looked at from here on, some at a time.
    fn begin_tick(&mut self, now: Instant) {
        self.next_tick = now + TICK;
        if !std::mem::replace(&mut self.is_ticking, true) {
            self.ticking.begin(self.peers.bound());
        }
    }

    /// Looks at some, and at the swarm when that was all.
    pub(crate) fn go_on_ticking(&mut self, now: Instant, turn: &mut Turn) {
        if !self.is_ticking {
            return;
        }
        for slot in self.ticking.next(self.peers.bound(), TICK_SLICE) {
            let Some(id) = self.peers.id_at(slot) else { continue };
            self.tick_peer(now, turn, id);
            if self.is_finished {
                self.drop_if_useless(now, turn, id);
            }
        }
        if self.ticking.is_over() {
            self.is_ticking = false;
            self.end_tick(now, turn);
        }
    }

    fn end_tick(&mut self, now: Instant, turn: &mut Turn) {
        self.drop_unwanted(turn);
        self.make_room(turn);
        let has_few = self.peers.len() < PEERS_ENOUGH && self.candidates.waiting_count() == 0;
        if has_few && self.takes_peers() && !self.is_done() {
            self.announcer.want_more_peers(now);
        }
        self.dial(now, turn);
    }

    fn tick_peer(&mut self, now: Instant, turn: &mut Turn, id: SlotId) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        if let Err(fault) = peer.handle_timeout(now) {
            return self.drop_peer(now, turn, id, &fault.to_string());
        }
        let late = peer.pipeline.take_late(now);
        // A block that trickles in holds its claim only until its peer is late.
        let stuck = peer.receiving.filter(|r| r.is_taken && !late.is_empty());
        if let Some(receiving) = &mut peer.receiving
            && stuck.is_some()
        {
            receiving.is_taken = false;
        }
        if let Some(stuck) = stuck {
            self.abandon_through(turn, stuck.piece, stuck.block);
            self.picker.release(id.slot, stuck.piece, stuck.block, Release::Late);
        }
        for (piece, block) in late.into_iter().rev() {
            self.picker.release(id.slot, piece, block, Release::Late);
        }
        self.mark(id);
    }

    /// The budget is full of pieces that nobody is asked for: gives the coldest one up, so that
    /// another can be started (D9).
    fn make_room(&mut self, turn: &mut Turn) {
        if !self.is_starved || self.peers.iter().any(|(_, peer)| peer.pipeline.len() > 0) {
            return;
        }
        if let Some(piece) = self.picker.cold_piece() {
            self.picker.abandon(piece);
            if let Some(assembly) = self.assemblies.close(piece) {
                turn.free_assembly(assembly.held());
            }
        }
    }
}
