//! Having a torrent served by other shards too, while one is not enough for it.

use std::sync::Arc;

use crate::base::ids::ShardId;
use crate::base::instant::Instant;
use crate::engine::alert::AlertKind;
use crate::engine::note::Ending;
use crate::engine::note::Enlistment;
use crate::engine::note::Grant;
use crate::engine::note::Note;
use crate::engine::note::Report;
use crate::engine::note::Word;
use crate::engine::swarm::lending::Lending;
use crate::engine::swarm::lending::Stage;
use crate::engine::swarm::state::Swarm;
use crate::engine::to_ring::Output;
use crate::engine::turn::Turn;

impl Swarm {
    /// Whether another shard could serve it as well: all of it is there and durable, and so is all
    /// that v2 peers may ask for.
    pub(crate) fn may_lend(&self, now: Instant) -> bool {
        if self.peers.len() < 2 || self.annex.is_some() {
            return false;
        }
        let is_settled = self.is_finished && self.naming == 0 && self.late_check.is_none();
        let is_whole = self.is_complete() && self.torrent.missing_layers().next().is_none();
        is_settled
            && is_whole
            && self.interested_count() > 1
            && self.lending.as_deref().is_none_or(|lending| lending.may_ask(now))
    }

    /// Whether helpers are there, or awaited.
    pub(crate) fn is_lent(&self) -> bool {
        self.lending.as_deref().is_some_and(|lending| !lending.is_empty())
    }

    pub(crate) fn is_helped_by(&self, shard: ShardId) -> bool {
        self.lending.as_deref().is_some_and(|lending| lending.has(shard))
    }

    /// Asks a shard to serve it too.
    pub(crate) fn enlist(&mut self, now: Instant, turn: &mut Turn, helper: ShardId) {
        let shard = turn.shard;
        let lending = self.lending.get_or_insert_with(|| Box::new(Lending::new(shard, now)));
        let term = lending.ask(now, helper);
        turn.lent.insert(self.slot);
        let Some(grant) = self.grant_to(turn, helper) else { return };
        let enlistment = Enlistment {
            torrent: Arc::clone(&self.torrent),
            directory: Arc::clone(self.directory()),
            allocation: self.allocation(),
            peer_id: self.peer_id,
            grant,
        };
        self.note(turn, helper, term, Word::Enlist(Box::new(enlistment)));
    }

    /// A second went by; `loads` are those of all shards. One helper too many is called off.
    pub(crate) fn handle_loads(&mut self, turn: &mut Turn) {
        let Some(lending) = self.lending.as_deref_mut() else { return };
        let shards = std::iter::once(turn.shard).chain(lending.serving());
        let loads = shards.map(|shard| turn.loads.get(shard.as_usize()).copied().unwrap_or(0));
        if lending.cooling.handle_second(loads) {
            self.call_off(turn, false);
        }
    }

    /// Calls helpers off: the last one, whose peers come back, or all, because the torrent stops.
    pub(crate) fn call_off(&mut self, turn: &mut Turn, is_all: bool) {
        let called = self.lending.as_deref_mut().map(|lending| lending.call_off(is_all));
        let Some(called) = called.filter(|called| !called.is_empty()) else { return };
        self.tell_directory(turn);
        for (helper, term) in called {
            self.note(turn, helper, term, Word::CallOff { keeps_peers: !is_all });
        }
    }

    /// A word of a helper.
    pub(crate) fn handle_helper(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        from: (ShardId, u32),
        word: Word,
    ) {
        match word {
            Word::Report(report) => self.handle_report(now, turn, from, *report),
            Word::Ended(ending) => self.handle_ended(now, turn, from, *ending),
            Word::Enlist(_) | Word::Grant(_) | Word::CallOff { .. } => {}
        }
    }

    fn handle_report(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        from: (ShardId, u32),
        report: Report,
    ) {
        let Some(lending) = self.lending.as_deref_mut() else { return };
        if lending.handle_report(now, from, report) == Some(true) {
            self.tell_directory(turn);
            self.alert(turn, AlertKind::ShardEnlisted { shard: from.0 });
            let surplus = self.surplus_for(from.0);
            self.send_some(now, turn, from.0, surplus);
            if let Some(grant) = self.grant_to(turn, from.0) {
                self.note(turn, from.0, from.1, Word::Grant(grant));
            }
        }
        self.wants_choice = true;
        self.changed();
    }

    fn handle_ended(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        from: (ShardId, u32),
        ending: Ending,
    ) {
        let Some(lending) = self.lending.as_deref_mut() else { return };
        if !lending.handle_ended(now, from, ending.uploaded) {
            return;
        }
        self.helper_left(turn, from.0, ending.reason);
        if let Some(error) = ending.storage.filter(|_| self.is_active()) {
            self.storage_failed(now, turn, error);
        }
    }

    /// Grants that are due, and helpers that are not there any more.
    pub(crate) fn go_on_lending(&mut self, now: Instant, turn: &mut Turn) {
        while let Some(shard) = self.lending.as_deref_mut().and_then(|l| l.take_silent(now)) {
            self.helper_left(turn, shard, "it did not answer".to_owned());
        }
        let Some(lending) = self.lending.as_deref_mut() else { return };
        if !lending.take_round(now) {
            return;
        }
        let is_balancing = lending.is_balancing() && self.journeys.is_empty();
        let helpers = lending.helpers().iter().map(|h| (h.shard, h.term, h.stage));
        for (shard, term, stage) in helpers.collect::<Vec<_>>() {
            let surplus = if is_balancing { self.surplus_for(shard) } else { 0 };
            self.send_some(now, turn, shard, surplus);
            let give_back = u32::try_from(-surplus).unwrap_or(0);
            let grant = self.grant_to(turn, shard).filter(|_| stage != Stage::CalledOff);
            let grant = grant.map(|grant| Word::Grant(Grant { give_back, ..grant }));
            // A word that was lost is said again.
            let again = Word::CallOff { keeps_peers: self.is_active() };
            self.note(turn, shard, term, grant.unwrap_or(again));
        }
    }

    /// Sends so many peers to a helper. Grant it their slots before they come.
    fn send_some(&mut self, now: Instant, turn: &mut Turn, to: ShardId, surplus: i64) {
        let count = self.send_off(now, turn, to, u32::try_from(surplus).unwrap_or(0));
        if let Some(lending) = self.lending.as_deref_mut().filter(|_| count > 0) {
            lending.expect(now, to, count);
        }
    }

    /// How many peers it should get; below 0: how many it should give back.
    fn surplus_for(&self, shard: ShardId) -> i64 {
        let Some(lending) = self.lending.as_deref() else { return 0 };
        let helper = lending.helpers().iter().find(|helper| helper.shard == shard);
        helper.map_or(0, |helper| lending.surplus(self.interested_count(), helper))
    }

    /// A helper is gone.
    fn helper_left(&mut self, turn: &mut Turn, shard: ShardId, reason: String) {
        self.tell_directory(turn);
        self.alert(turn, AlertKind::ShardReleased { shard, reason });
        if self.lending.as_deref().is_some_and(Lending::is_empty) {
            turn.lent.remove(&self.slot);
        }
        self.wants_choice = true;
        self.changed();
    }

    fn grant_to(&self, turn: &Turn, shard: ShardId) -> Option<Grant> {
        let lending = self.lending.as_deref()?;
        let helper = lending.helpers().iter().find(|helper| helper.shard == shard)?;
        let slots = (self.slots_max(turn), self.interested_count());
        let peers = (turn.settings.connections_per_torrent_max, self.peers.len() as u32);
        Some(lending.grant(helper, slots, peers))
    }

    /// Who is not served here finds the way to those who help.
    fn tell_directory(&self, turn: &Turn) {
        let serving = self.lending.as_deref().map(Lending::serving).unwrap_or_default();
        turn.directory.set_helpers(self.names(), &serving);
    }

    fn note(&self, turn: &mut Turn, to: ShardId, term: u32, word: Word) {
        let note = Note { torrent: self.id, term, word };
        turn.outputs.push_back(Output::Note { to, note });
    }

    /// Peers that may be unchoked here.
    pub(crate) fn slots(&self, turn: &Turn) -> usize {
        let slots_max = self.slots_max(turn);
        let shared = |lending: &Lending| {
            let own = self.interested_count();
            lending.slots(slots_max, own, own)
        };
        let own = self.lending.as_deref().filter(|lending| !lending.is_empty()).map(shared);
        self.grant().map(|grant| grant.slots).or(own).unwrap_or(slots_max) as usize
    }

    /// Peers that may be connected here.
    pub(crate) fn peers_max(&self, turn: &Turn) -> u32 {
        let elsewhere = self.lending.as_deref().map_or(0, Lending::peer_count);
        let own = turn.settings.connections_per_torrent_max.saturating_sub(elsewhere);
        self.grant().map_or(own, |grant| grant.peers_max)
    }
}
