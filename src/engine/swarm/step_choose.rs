//! Choosing: who may ask from here on, and how many.

use crate::base::instant::Instant;
use crate::base::slots::SlotId;
use crate::engine::choke::Currency;
use crate::engine::settings::Settings;
use crate::engine::swarm::choosing::Choosing;
use crate::engine::swarm::state::Swarm;
use crate::engine::turn::Turn;

impl Swarm {
    /// A round is over: slots are weighed and given anew.
    pub(crate) fn begin_round(&mut self, now: Instant) {
        self.choker.handle_timeout(now);
        self.wants_round = true;
        self.choose_from = now;
    }

    /// When a choice is due that had to wait.
    pub(crate) fn choice_due(&self) -> Option<Instant> {
        let waits = (self.wants_choice || self.wants_round) && self.choosing.is_none();
        (waits && self.is_active()).then_some(self.choose_from)
    }

    /// Does a slice of the choice that is under way or due.
    pub(crate) fn go_on_choosing(&mut self, now: Instant, turn: &mut Turn) {
        if !self.is_active() {
            self.choosing = None;
            return;
        }
        if self.choice_due().is_some_and(|at| now >= at) {
            let is_round = std::mem::take(&mut self.wants_round);
            self.wants_choice = false;
            self.choosing = Some(Box::new(Choosing::new(&self.peers, is_round)));
        }
        let Some(mut choosing) = self.choosing.take() else { return };
        if !choosing.is_decided() && choosing.look(now, &mut self.peers) {
            self.decide(now, turn, &mut choosing);
        }
        if choosing.is_decided() && !self.tell_chosen(now, turn, &mut choosing) {
            self.choose_from = now + choosing.pause();
            return;
        }
        self.choosing = Some(choosing);
    }

    fn decide(&mut self, now: Instant, turn: &mut Turn, choosing: &mut Choosing) {
        if choosing.is_round {
            self.weigh_slots(now, turn, choosing.waiting);
        }
        let currency = if self.is_done() { Currency::Turns } else { Currency::Rate };
        let slots = self.slots(turn);
        let rng = &mut turn.rng;
        choosing.decide(self.choker.choose(&choosing.facts, slots, currency, now, rng));
    }

    /// False once everybody knows.
    fn tell_chosen(&mut self, now: Instant, turn: &mut Turn, choosing: &mut Choosing) -> bool {
        let slice: Vec<(SlotId, bool)> = choosing.next();
        let is_last = slice.is_empty();
        for (id, is_chosen) in slice {
            let Some(peer) = self.peers.get_mut(id) else {
                // Gone since it was looked at: its slot is somebody else's.
                self.wants_choice |= is_chosen;
                continue;
            };
            match (is_chosen, peer.unchoked_since) {
                (true, None) => peer.unchoke(now),
                (false, Some(_)) => turn.free_reads(peer.choke(now)),
                // Nothing to tell it.
                _ => continue,
            }
            self.mark(id);
        }
        !is_last
    }

    /// Peers that may be unchoked, here and on shards that help.
    pub(crate) fn slots_max(&self, turn: &Turn) -> u32 {
        let Settings { upload_slots_max, seed_slots_max, .. } = turn.settings;
        match self.is_done() {
            true => self.seed_slots.get(upload_slots_max, seed_slots_max),
            false => upload_slots_max,
        }
    }

    /// So many peers wait for what they asked for: looks at what slots were worth in the last
    /// round. While other shards help there is no lack of bandwidth.
    fn weigh_slots(&mut self, now: Instant, turn: &Turn, waiting: u32) {
        if !self.is_done() || self.lending.as_deref().is_some_and(|lending| !lending.is_empty()) {
            return;
        }
        let Settings { upload_slots_max, seed_slots_max, .. } = turn.settings;
        let rate = self.sent.per_second(now);
        self.seed_slots.weigh(waiting, rate, upload_slots_max, seed_slots_max);
    }
}
