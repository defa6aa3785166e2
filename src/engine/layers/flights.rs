//! Hash requests under way, and who refused what: bounded, each with a deadline.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::base::limits::HASH_FLIGHT_MAX;
use crate::base::limits::HASH_FLIGHT_PEER_MAX;
use crate::base::limits::HASH_PATIENCE;
use crate::base::limits::HASH_REFUSAL_MAX;
use crate::base::limits::HASH_RETRY;
use crate::base::limits::HASH_TIMEOUT;
use crate::base::slots::SlotId;
use crate::codec::hash_request::HashRequest;

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Aim {
    /// A part of the piece layer of one of the trees.
    Layer { tree: usize, part: usize },
    /// Leaves of a failed piece.
    Leaves { piece: PieceIndex, part: u32 },
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    under_way: BTreeMap<(SlotId, HashRequest), Flight>,
    /// Who is not asked again for what, and until when.
    refusals: BTreeMap<(SlotId, Aim), Instant>,
    /// Who let its last request pass. Together they get half of the room: a few dozen silent peers
    /// would keep everybody else from being asked.
    silent: BTreeSet<SlotId>,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    aim: Aim,
    slow_at: Instant,
    deadline: Instant,
}

impl Flight {
    fn is_slow(&self, now: Instant) -> bool {
        self.slow_at <= now
    }
}

impl Flights {
    /// Whether this peer may be asked for one more thing.
    pub(crate) fn has_room(&self, peer: SlotId) -> bool {
        let is_silent = self.silent.contains(&peer);
        let max = if is_silent { HASH_FLIGHT_MAX / 2 } else { HASH_FLIGHT_MAX };
        let of_peer = self.under_way.keys().filter(|(asked, _)| *asked == peer).count();
        self.under_way.len() < max && of_peer < HASH_FLIGHT_PEER_MAX
    }

    /// Whether this peer may be asked for this: nobody else is, or one who takes his time.
    pub(crate) fn may_ask(&self, now: Instant, peer: SlotId, aim: Aim) -> bool {
        let flights = self.under_way.iter().filter(|(_, flight)| flight.aim == aim);
        let mut others = flights.map(|((asked, _), flight)| *asked != peer && flight.is_slow(now));
        let is_free = others.next().unwrap_or(true) && others.next().is_none();
        let until = self.refusals.get(&(peer, aim));
        is_free && until.is_none_or(|until| *until <= now)
    }

    /// False if the peer is being asked the same already: for a file of the same bytes.
    #[must_use]
    pub(crate) fn start(
        &mut self,
        now: Instant,
        peer: SlotId,
        request: HashRequest,
        aim: Aim,
    ) -> bool {
        let flight = Flight { aim, slow_at: now + HASH_PATIENCE, deadline: now + HASH_TIMEOUT };
        let is_new = !self.under_way.contains_key(&(peer, request));
        if is_new {
            self.under_way.insert((peer, request), flight);
        }
        is_new
    }

    /// The peer answered; `None` if it was not asked, or too long ago.
    pub(crate) fn end(&mut self, peer: SlotId, request: &HashRequest) -> Option<Aim> {
        let flight = self.under_way.remove(&(peer, *request))?;
        self.silent.remove(&peer);
        Some(flight.aim)
    }

    /// The peer will not say, or did not in time: others are asked first. Who forgets many
    /// refusals asks some again too early.
    pub(crate) fn refused(&mut self, now: Instant, peer: SlotId, aim: Aim) {
        if self.refusals.len() >= HASH_REFUSAL_MAX {
            self.refusals.retain(|_, until| *until > now);
        }
        if self.refusals.len() >= HASH_REFUSAL_MAX {
            self.refusals.pop_first();
        }
        self.refusals.insert((peer, aim), now + HASH_RETRY);
    }

    /// Forgets a peer; true if it was asked for something.
    pub(crate) fn forget(&mut self, peer: SlotId) -> bool {
        let before = self.under_way.len();
        self.under_way.retain(|(asked, _), _| *asked != peer);
        self.refusals.retain(|(asked, _), _| *asked != peer);
        self.silent.remove(&peer);
        self.under_way.len() < before
    }

    /// Requests that nobody answered in time count as refused; true if there were any.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> bool {
        let is_late = |flight: &Flight| flight.deadline <= now;
        let late = self.under_way.iter().filter(|(_, flight)| is_late(flight));
        let late: Vec<_> =
            late.map(|((peer, request), flight)| (*peer, *request, flight.aim)).collect();
        for (peer, request, aim) in &late {
            self.under_way.remove(&(*peer, *request));
            self.refused(now, *peer, *aim);
            self.silent.insert(*peer);
        }
        !late.is_empty()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.under_way.values().map(|flight| flight.deadline).min()
    }
}
