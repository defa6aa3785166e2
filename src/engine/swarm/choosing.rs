//! A choice of whom to unchoke that is under way: thousands of peers are looked at, and told, some
//! at a time.

use std::time::Duration;

use crate::base::instant::Instant;
use crate::base::slots::SlotId;
use crate::base::slots::Slots;
use crate::engine::choke::Candidate;
use crate::engine::peer::speech::state::Peer;
use crate::engine::swarm::beat::Beat;

/// Peers looked at per slice, or told: some 10 us.
const SLICE: u32 = 64;
/// So many peers are chosen among whenever anything changes.
const CROWD: usize = 256;
/// Pause behind a choice among more, for each of them: some thirty times what the choice took.
const PAUSE: Duration = Duration::from_micros(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Choosing {
    beat: Beat,
    /// What is known of those who might get a slot, or have one.
    pub(crate) facts: Vec<Candidate<SlotId>>,
    /// Peers that wait for what they asked for.
    pub(crate) waiting: u32,
    /// It weighs what slots were worth, too.
    pub(crate) is_round: bool,
    /// Who gets one, sorted; `None` while peers are being looked at.
    chosen: Option<Vec<SlotId>>,
    /// How many of the facts were told of.
    told: usize,
}

impl Choosing {
    pub(crate) fn new(peers: &Slots<Peer>, is_round: bool) -> Choosing {
        let mut beat = Beat::default();
        beat.begin(peers.bound());
        let (facts, waiting) = (Vec::new(), 0);
        Choosing { beat, facts, waiting, is_round, chosen: None, told: 0 }
    }

    /// Looks at some peers; true once all were looked at.
    pub(crate) fn look(&mut self, now: Instant, peers: &mut Slots<Peer>) -> bool {
        let bound = peers.bound();
        for slot in self.beat.next(bound, SLICE) {
            let Some(id) = peers.id_at(slot) else { continue };
            let Some(peer) = peers.get_mut(id) else { continue };
            self.waiting += u32::from(peer.uploads.len() > 0);
            if peer.is_interested() || peer.unchoked_since.is_some() {
                self.facts.push(fact(now, id, peer));
            }
        }
        self.beat.is_over()
    }

    pub(crate) fn is_decided(&self) -> bool {
        self.chosen.is_some()
    }

    /// These get slots, and nobody else.
    pub(crate) fn decide(&mut self, mut chosen: Vec<SlotId>) {
        chosen.sort_unstable();
        self.chosen = Some(chosen);
    }

    /// The next who are to be told, and whether they get a slot; empty when all were told.
    pub(crate) fn next(&mut self) -> Vec<(SlotId, bool)> {
        let Some(chosen) = &self.chosen else { return Vec::new() };
        let rest = self.facts.get(self.told..).unwrap_or_default();
        let slice = rest.iter().take(SLICE as usize);
        let slice: Vec<(SlotId, bool)> =
            slice.map(|fact| (fact.key, chosen.binary_search(&fact.key).is_ok())).collect();
        self.told += slice.len();
        slice
    }

    /// How long the next choice must wait, so that choosing takes a small part of the time however
    /// many there are.
    pub(crate) fn pause(&self) -> Duration {
        let count = u32::try_from(self.facts.len()).unwrap_or(u32::MAX);
        if self.facts.len() > CROWD { PAUSE.saturating_mul(count) } else { Duration::ZERO }
    }
}

fn fact(now: Instant, id: SlotId, peer: &mut Peer) -> Candidate<SlotId> {
    Candidate {
        key: id,
        is_interested: peer.is_interested(),
        is_snubbed: peer.pipeline.is_snubbed(),
        is_upload_only: peer.is_upload_only || peer.pieces.is_all(),
        received_rate: peer.received.per_second(now),
        sent_rate: peer.sent.per_second(now),
        unchoked_since: peer.unchoked_since,
        sent_since_unchoked: peer.sent.total() - peer.sent_at_unchoke,
        choked_since: peer.choked_since,
        connected_since: peer.connected_since,
    }
}
