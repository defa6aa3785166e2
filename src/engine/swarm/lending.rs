//! Lending: what the owner of a torrent knows of the shards that help to serve it, and how slots
//! and connections are shared out.

use crate::base::ids::ShardId;
use crate::base::instant::Instant;
use crate::base::limits::ANNEX_INTERVAL;
use crate::base::limits::ANNEX_RETRY;
use crate::base::limits::ANNEX_TIMEOUT;
use crate::base::limits::TRAVEL_MAX;
use crate::base::limits::TRAVEL_TIMEOUT;
use crate::base::status::ShardShare;
use crate::engine::heat::Cooling;
use crate::engine::note::Grant;
use crate::engine::note::Report;

/// Rounds of grants from one look at who has too many peers to the next: a second, in which the
/// reports tell what the last one came to.
const BALANCE_EVERY: u32 = 5;

/// The helpers of one torrent.
#[derive(Debug)]
pub(crate) struct Lending {
    owner: ShardId,
    helpers: Vec<Helper>,
    last_term: u32,
    /// When grants are due.
    next_round: Instant,
    round: u32,
    /// Payload sent by annexes that are gone.
    uploaded_before: u64,
    /// Nobody is asked before: the last one could not.
    retry_at: Instant,
    pub(crate) cooling: Cooling,
}

/// A shard that helps.
#[derive(Debug)]
pub(crate) struct Helper {
    pub(crate) shard: ShardId,
    pub(crate) term: u32,
    pub(crate) stage: Stage,
    /// When it was heard last.
    heard: Instant,
    pub(crate) report: Report,
    /// Peers on their way to it, which its reports do not count yet: they have slots there.
    expected: u32,
    expected_until: Instant,
}

impl Helper {
    /// Its peers that want something, those on their way included.
    fn interested_count(&self) -> u32 {
        self.report.interested_count.saturating_add(self.expected)
    }
}

/// How far a helper is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// It was asked and has not said that it is ready.
    Asked,
    Serving,
    /// It was called off and has not said that it is gone.
    CalledOff,
}

impl Lending {
    pub(crate) fn new(owner: ShardId, now: Instant) -> Lending {
        Lending {
            owner,
            helpers: Vec::new(),
            last_term: 0,
            next_round: now,
            round: 0,
            uploaded_before: 0,
            retry_at: now,
            cooling: Cooling::default(),
        }
    }

    pub(crate) fn owner(&self) -> ShardId {
        self.owner
    }

    /// Nobody helps, and nobody is waited for.
    pub(crate) fn is_empty(&self) -> bool {
        self.helpers.is_empty()
    }

    pub(crate) fn helpers(&self) -> &[Helper] {
        &self.helpers
    }

    pub(crate) fn has(&self, shard: ShardId) -> bool {
        self.helpers.iter().any(|helper| helper.shard == shard)
    }

    /// Whether another shard may be asked: one at a time, and not at once after a refusal.
    pub(crate) fn may_ask(&self, now: Instant) -> bool {
        now >= self.retry_at && self.helpers.iter().all(|helper| helper.stage == Stage::Serving)
    }

    /// A shard is asked; the number of what begins with that.
    pub(crate) fn ask(&mut self, now: Instant, shard: ShardId) -> u32 {
        self.last_term = self.last_term.wrapping_add(1);
        self.next_round = now + ANNEX_INTERVAL;
        let (term, report) = (self.last_term, Report::default());
        self.helpers.push(Helper {
            shard,
            term,
            stage: Stage::Asked,
            heard: now,
            report,
            expected: 0,
            expected_until: now,
        });
        term
    }

    /// A helper reports. True if it has just become ready; `None` if it is none of ours.
    pub(crate) fn handle_report(
        &mut self,
        now: Instant,
        (from, term): (ShardId, u32),
        report: Report,
    ) -> Option<bool> {
        let helper = self.helpers.iter_mut().find(|h| (h.shard, h.term) == (from, term))?;
        helper.heard = now;
        let arrived = report.interested_count.saturating_sub(helper.report.interested_count);
        let is_late = now >= helper.expected_until;
        helper.expected = if is_late { 0 } else { helper.expected.saturating_sub(arrived) };
        let peers = report.peers.or_else(|| helper.report.peers.take());
        helper.report = Report { peers, ..report };
        let is_news = helper.report.is_ready && helper.stage == Stage::Asked;
        if is_news {
            helper.stage = Stage::Serving;
        }
        Some(is_news)
    }

    /// So many peers are on their way to a helper.
    pub(crate) fn expect(&mut self, now: Instant, shard: ShardId, count: u32) {
        if let Some(helper) = self.helpers.iter_mut().find(|helper| helper.shard == shard) {
            helper.expected = count;
            helper.expected_until = now + TRAVEL_TIMEOUT;
        }
    }

    /// A helper has left, having sent `uploaded` bytes. False if it is none of ours.
    pub(crate) fn handle_ended(
        &mut self,
        now: Instant,
        (from, term): (ShardId, u32),
        uploaded: u64,
    ) -> bool {
        let at = self.helpers.iter().position(|h| (h.shard, h.term) == (from, term));
        let Some(helper) = at.map(|at| self.helpers.remove(at)) else { return false };
        self.uploaded_before += uploaded.max(helper.report.uploaded);
        if helper.stage != Stage::CalledOff {
            self.retry_at = now + ANNEX_RETRY;
        }
        true
    }

    /// Those who were not heard for `ANNEX_TIMEOUT` are gone, whatever became of them.
    pub(crate) fn take_silent(&mut self, now: Instant) -> Option<ShardId> {
        let is_silent = |helper: &Helper| now.since(helper.heard) >= ANNEX_TIMEOUT;
        let (shard, term) =
            self.helpers.iter().find(|h| is_silent(h)).map(|h| (h.shard, h.term))?;
        self.handle_ended(now, (shard, term), 0);
        Some(shard)
    }

    /// Calls helpers off: the one that came last, or all. Who they are.
    pub(crate) fn call_off(&mut self, is_all: bool) -> Vec<(ShardId, u32)> {
        let there = self.helpers.iter_mut().rev().filter(|h| h.stage != Stage::CalledOff);
        let meant = there.take(if is_all { usize::MAX } else { 1 });
        let called = meant.map(|helper| {
            helper.stage = Stage::CalledOff;
            (helper.shard, helper.term)
        });
        called.collect()
    }

    /// When grants are due, or a helper's silence is over.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        (!self.is_empty()).then_some(self.next_round)
    }

    /// Whether a round of grants is due.
    pub(crate) fn take_round(&mut self, now: Instant) -> bool {
        let is_due = !self.is_empty() && now >= self.next_round;
        if is_due {
            self.next_round = now + ANNEX_INTERVAL;
            self.round = (self.round + 1) % BALANCE_EVERY;
        }
        is_due
    }

    /// Whether peers may change shards in this round.
    pub(crate) fn is_balancing(&self) -> bool {
        self.round == 0
    }

    /// Shards that take peers of the torrent, beside the owner.
    pub(crate) fn serving(&self) -> Vec<ShardId> {
        let serving = self.helpers.iter().filter(|helper| helper.stage == Stage::Serving);
        serving.map(|helper| helper.shard).collect()
    }

    /// Peers at helpers.
    pub(crate) fn peer_count(&self) -> u32 {
        self.helpers.iter().map(|helper| helper.report.peer_count).sum()
    }

    /// Payload sent by helpers.
    pub(crate) fn uploaded(&self) -> u64 {
        let now: u64 = self.helpers.iter().map(|helper| helper.report.uploaded).sum();
        self.uploaded_before + now
    }

    /// What each helper does.
    pub(crate) fn shares(&self) -> impl Iterator<Item = ShardShare> {
        self.helpers.iter().map(|helper| ShardShare {
            shard: helper.shard,
            peer_count: helper.report.peer_count,
            uploaded: helper.report.uploaded,
            upload_rate: helper.report.upload_rate,
        })
    }

    /// Of `slots_max` choke slots those of somebody with `count` interested peers, when the owner
    /// has `own` of them: by that number, one at least.
    pub(crate) fn slots(&self, slots_max: u32, own: u32, count: u32) -> u32 {
        let helped: u32 = self.helpers.iter().map(Helper::interested_count).sum();
        let all = u64::from(own.saturating_add(helped)).max(1);
        let slots = u64::from(slots_max) * u64::from(count) / all;
        u32::try_from(slots).unwrap_or(slots_max).max(1)
    }

    /// What a helper may hand out when the torrent may have `peers_max` peers and the owner has
    /// `own` of them: it keeps what it has, and the rest is shared equally.
    pub(crate) fn grant(
        &self,
        helper: &Helper,
        (slots_max, own_interested): (u32, u32),
        (peers_max, own): (u32, u32),
    ) -> Grant {
        let slots = self.slots(slots_max, own_interested, helper.interested_count());
        let free = peers_max.saturating_sub(own + self.peer_count());
        let parts = self.helpers.len() as u32 + 1;
        let peers_max = helper.report.peer_count + helper.expected + free / parts;
        Grant { slots, peers_max, give_back: 0 }
    }

    /// How many peers go to a helper so that all serve about as many who want something, when the
    /// owner has `own` of them; below 0: how many come back. Nobody travels for less than an eighth
    /// of what each should have.
    pub(crate) fn surplus(&self, own: u32, helper: &Helper) -> i64 {
        let serving = self.helpers.iter().filter(|helper| helper.stage == Stage::Serving);
        let (count, helped) = serving.fold((1, 0), |(count, sum), helper| {
            (count + 1, sum + u64::from(helper.report.interested_count))
        });
        let mean = ((u64::from(own) + helped) / count) as i64;
        let (own, theirs) = (i64::from(own), i64::from(helper.report.interested_count));
        let max = i64::from(TRAVEL_MAX);
        let lacks = (mean - theirs).min(own - mean).min(i64::from(helper.report.room)).min(max);
        let exceeds = (theirs - mean - 1).min(max);
        match mean / 8 {
            slack if helper.stage != Stage::Serving || mean == 0 && slack == 0 => 0,
            slack if lacks > slack => lacks,
            slack if exceeds > slack => -exceeds,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const T0: Instant = Instant::from_millis(1_000);

    fn report(interested_count: u32, uploaded: u64) -> Report {
        let peer_count = interested_count;
        Report { is_ready: true, interested_count, peer_count, uploaded, ..Report::default() }
    }

    #[test]
    fn a_helper_is_asked_becomes_ready_and_is_called_off_and_its_bytes_stay_counted() {
        let mut lending = Lending::new(ShardId(0), T0);
        let who = (ShardId(3), lending.ask(T0, ShardId(3)));
        assert!(!lending.may_ask(T0) && lending.serving().is_empty());
        assert_eq!(lending.handle_report(T0, who, Report::default()), Some(false));
        assert_eq!(lending.handle_report(T0, who, report(2, 10)), Some(true));
        assert_eq!(lending.handle_report(T0, who, report(2, 20)), Some(false));
        assert_eq!(lending.handle_report(T0, (ShardId(3), 9), report(2, 99)), None, "a stranger");
        assert!(lending.may_ask(T0) && lending.serving() == [ShardId(3)]);
        assert_eq!(lending.call_off(true), [who]);
        assert!(lending.call_off(true).is_empty(), "once is enough");
        assert!(lending.serving().is_empty() && !lending.is_empty());
        assert!(lending.handle_ended(T0, who, 30) && !lending.handle_ended(T0, who, 30));
        assert!(lending.is_empty() && lending.may_ask(T0));
        assert_eq!(lending.uploaded(), 30);
    }

    #[test]
    fn a_helper_that_falls_silent_is_given_up_and_nobody_is_asked_for_a_minute() {
        let mut lending = Lending::new(ShardId(0), T0);
        let who = (ShardId(1), lending.ask(T0, ShardId(1)));
        lending.handle_report(T0, who, report(1, 7));
        let late = T0 + ANNEX_TIMEOUT;
        assert_eq!(lending.take_silent(late - Duration::from_millis(1)), None);
        assert_eq!(lending.take_silent(late), Some(ShardId(1)));
        assert_eq!((lending.uploaded(), lending.is_empty()), (7, true));
        assert!(!lending.may_ask(late) && lending.may_ask(late + ANNEX_RETRY));
    }

    #[test]
    fn rounds_of_grants_come_while_somebody_helps() {
        let mut lending = Lending::new(ShardId(0), T0);
        assert_eq!((lending.poll_timeout(), lending.take_round(T0)), (None, false));
        lending.ask(T0, ShardId(1));
        let due = T0 + ANNEX_INTERVAL;
        assert_eq!((lending.poll_timeout(), lending.take_round(T0)), (Some(due), false));
        assert!(lending.take_round(due) && !lending.take_round(due));
    }

    #[test]
    fn slots_go_by_interest_and_room_for_peers_is_shared() {
        let mut lending = Lending::new(ShardId(0), T0);
        let who = (ShardId(1), lending.ask(T0, ShardId(1)));
        lending.handle_report(T0, who, report(30, 0));
        assert_eq!((lending.slots(64, 10, 10), lending.slots(64, 10, 30)), (16, 48));
        assert_eq!((lending.slots(64, 0, 0), lending.slots(2, 500, 1)), (1, 1), "one at least");
        let grant = lending.grant(&lending.helpers()[0], (64, 10), (100, 20));
        assert_eq!(grant, Grant { slots: 48, peers_max: 30 + 25, give_back: 0 });
        let full = lending.grant(&lending.helpers()[0], (64, 10), (40, 20));
        assert_eq!(full.peers_max, 30, "what it has it keeps");
    }

    #[test]
    fn peers_travel_until_all_serve_about_as_many_and_not_for_trifles() {
        let surplus = |own: u32, counts: &[u32], room: u32| -> Vec<i64> {
            let mut lending = Lending::new(ShardId(0), T0);
            for (at, count) in (1..).zip(counts) {
                let who = (ShardId(at), lending.ask(T0, ShardId(at)));
                lending.handle_report(T0, who, Report { room, ..report(*count, 0) });
            }
            lending.helpers().iter().map(|helper| lending.surplus(own, helper)).collect()
        };
        assert_eq!(surplus(50, &[0], 1_000), [25]);
        assert_eq!(surplus(50, &[0], 7), [7], "no more than it has room for");
        assert_eq!(surplus(1_000, &[0], 1_000), [i64::from(TRAVEL_MAX)]);
        assert_eq!([surplus(2, &[0], 9), surplus(3, &[0], 9)], [[1], [1]]);
        assert_eq!([surplus(1, &[0], 9), surplus(2, &[1], 9), surplus(27, &[24], 9)], [[0]; 3]);
        assert_eq!(surplus(10, &[40], 9), [-14]);
        assert_eq!(surplus(24, &[27], 9), [0]);
        assert_eq!(surplus(90, &[0, 0], 99), [30, 30]);
        assert_eq!(surplus(30, &[0, 60], 99), [0, -29], "by way of the owner");
    }

    #[test]
    fn who_is_on_its_way_has_a_slot_where_it_goes() {
        let mut lending = Lending::new(ShardId(0), T0);
        let who = (ShardId(1), lending.ask(T0, ShardId(1)));
        lending.handle_report(T0, who, report(0, 0));
        lending.expect(T0, who.0, 10);
        let slots =
            |lending: &Lending, own| lending.grant(&lending.helpers()[0], (64, own), (9, 9));
        assert_eq!(slots(&lending, 20).slots, 21, "a third");
        lending.handle_report(T0, who, report(6, 0));
        assert_eq!(slots(&lending, 14).slots, 26, "ten of 24, four of whom have not arrived");
        lending.handle_report(T0 + TRAVEL_TIMEOUT, who, report(6, 0));
        assert_eq!(slots(&lending, 14).slots, 19, "who did not come stayed");
    }
}
