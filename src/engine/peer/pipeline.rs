//! The request pipeline to one peer: what was asked, how much may be asked at once, and when it is
//! late.
//!
//! The window follows the bandwidth-delay product: it doubles per round trip while the peer's rate
//! keeps growing, then holds a fixed time's worth of blocks. A peer that delivers nothing for an
//! adaptive time is snubbed: it keeps one request, everything else goes to other peers (D13).

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::ids::BlockIndex;
use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::base::limits::BLOCK_LEN;

/// Requests in the first round trip: 512 KiB, enough to see what the line can do.
const WINDOW_START: usize = 32;
/// The least that keeps a slow peer busy: one block being sent, one behind it.
const WINDOW_MIN: usize = 2;
/// Requests asked of a peer that did not say how many it queues (BEP 10 `reqq`): what libtorrent
/// and Transmission accept.
const PEER_QUEUE_DEFAULT: usize = 250;
/// Most requests under way to one peer: 16 MiB, 1 Gbit/s over 130 ms.
const WINDOW_MAX: usize = 1_000;
/// A window holds this much of the measured rate: rides out a choke round of the peer's disk or
/// line.
const WINDOW_TIME: Duration = Duration::from_millis(1_500);
/// Bounds of the adaptive deadline for the next block.
const LATE_MIN: Duration = Duration::from_secs(4);
const LATE_MAX: Duration = Duration::from_secs(30);
/// A request this old was lost: peers that answer out of order still answer sooner.
const LOST: Duration = Duration::from_secs(60);
/// Late answers that are still welcome are looked up among this many released requests.
const RELEASED_MAX: usize = 64;

/// One request under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Asked {
    piece: PieceIndex,
    block: BlockIndex,
    at: Instant,
}

/// A request that we no longer count on, and whether the peer will still answer it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Released {
    piece: PieceIndex,
    block: BlockIndex,
    is_owed: bool,
}

/// Requests under way to one peer.
#[derive(Debug)]
pub(crate) struct Pipeline {
    asked: VecDeque<Asked>,
    released: VecDeque<Released>,
    window: usize,
    is_growing: bool,
    /// Rate at the last doubling, to see whether doubling helped.
    rate_before: u64,
    blocks_in_round: usize,
    queue_max: usize,
    last_block: Instant,
    /// Smoothed time between two blocks while requests were waiting.
    gap: Duration,
    is_snubbed: bool,
}

impl Pipeline {
    pub(crate) fn new(now: Instant) -> Pipeline {
        Pipeline {
            asked: VecDeque::new(),
            released: VecDeque::new(),
            window: WINDOW_START,
            is_growing: true,
            rate_before: 0,
            blocks_in_round: 0,
            queue_max: PEER_QUEUE_DEFAULT,
            last_block: now,
            gap: Duration::ZERO,
            is_snubbed: false,
        }
    }

    /// The peer said how many requests it queues (BEP 10 `reqq`).
    pub(crate) fn set_queue_max(&mut self, reqq: u32) {
        self.queue_max = (reqq as usize).clamp(1, WINDOW_MAX);
    }

    /// How many more blocks may be asked for.
    pub(crate) fn room(&self) -> usize {
        let window = if self.is_snubbed { 1 } else { self.window.min(self.queue_max) };
        window.saturating_sub(self.asked.len())
    }

    /// Whether asking again is worth it: filling the window one by one costs a send each.
    pub(crate) fn wants_refill(&self) -> bool {
        let room = self.room();
        room > 0 && room * 4 >= self.asked.len() + room
    }

    pub(crate) fn len(&self) -> usize {
        self.asked.len()
    }

    pub(crate) fn is_snubbed(&self) -> bool {
        self.is_snubbed
    }

    /// Counts on the block from here on. False if the peer still owes it since an earlier request,
    /// which was late: to ask again would bring it twice.
    #[must_use]
    pub(crate) fn ask(&mut self, now: Instant, piece: PieceIndex, block: BlockIndex) -> bool {
        // The one request that a snubbed peer keeps is under way and may be handed out again. It is
        // older than all others.
        let is_kept = self.asked.front().is_some_and(|a| (a.piece, a.block) == (piece, block));
        if is_kept {
            self.asked.pop_front();
        }
        let released = self.forget_released(piece, block);
        let is_owed = is_kept || released.is_some_and(|released| released.is_owed);
        if self.asked.is_empty() {
            self.last_block = now;
        }
        self.asked.push_back(Asked { piece, block, at: now });
        !is_owed
    }

    /// A block's header arrived. True if it was asked for, now or recently; it is under way no
    /// more.
    pub(crate) fn arrived(&mut self, piece: PieceIndex, block: BlockIndex) -> bool {
        if self.withdraw(piece, block) {
            return true;
        }
        self.forget_released(piece, block).is_some()
    }

    /// The peer will not answer: it owes nothing any more. True if we counted on it.
    pub(crate) fn rejected(&mut self, piece: PieceIndex, block: BlockIndex) -> bool {
        self.forget_released(piece, block);
        self.withdraw(piece, block)
    }

    fn forget_released(&mut self, piece: PieceIndex, block: BlockIndex) -> Option<Released> {
        let at = self.released.iter().position(|r| (r.piece, r.block) == (piece, block))?;
        self.released.remove(at)
    }

    /// The request is answered by another peer: it is under way no more.
    pub(crate) fn withdraw(&mut self, piece: PieceIndex, block: BlockIndex) -> bool {
        // Answers come in order: the front is the usual case.
        let at = self.asked.iter().position(|a| a.piece == piece && a.block == block);
        at.is_some_and(|at| self.asked.remove(at).is_some())
    }

    /// A whole block came: the window may grow, and a snub ends.
    pub(crate) fn block_done(&mut self, now: Instant, rate: u64) {
        let gap = now.since(self.last_block);
        self.gap = (self.gap * 7 + gap) / 8;
        self.last_block = now;
        if self.is_snubbed {
            self.is_snubbed = false;
            self.window = WINDOW_MIN;
            self.is_growing = true;
        }
        self.blocks_in_round += 1;
        if self.blocks_in_round >= self.window {
            self.blocks_in_round = 0;
            self.next_round(rate);
        }
    }

    fn next_round(&mut self, rate: u64) {
        let fits = (rate as f64 * WINDOW_TIME.as_secs_f64() / f64::from(BLOCK_LEN)) as usize;
        if self.is_growing {
            self.window = (self.window * 2).min(WINDOW_MAX);
            // A rate needs half a second to be measured; until then doubling goes on.
            self.is_growing = rate == 0 || rate > self.rate_before;
            self.rate_before = rate;
        } else {
            self.window = fits.clamp(WINDOW_MIN, WINDOW_MAX).max(self.window / 2);
        }
    }

    /// When the peer becomes late with its next block.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let oldest = self.asked.front()?;
        if self.is_snubbed {
            return Some(oldest.at + LOST);
        }
        let patience = (self.gap * 16 + LATE_MIN).min(LATE_MAX);
        Some(self.last_block.max(oldest.at) + patience)
    }

    /// Takes back what is late: all requests of a silent peer, which is snubbed from here on, and
    /// requests that were passed over for a minute. One request of a snubbed peer stays under way
    /// to see whether it wakes up, and is told all the same: three stalling peers that each keep
    /// the same block must not keep it from a fourth who would send it.
    pub(crate) fn take_late(&mut self, now: Instant) -> Vec<(PieceIndex, BlockIndex)> {
        let is_late = self.deadline().is_some_and(|deadline| now >= deadline);
        let mut late = Vec::new();
        if is_late && !self.is_snubbed {
            self.is_snubbed = true;
            late.extend(self.asked.iter().map(|a| (a.piece, a.block)));
            self.asked.truncate(1);
            self.remember(late.get(1..).unwrap_or_default(), true);
        }
        while self.asked.front().is_some_and(|a| now.since(a.at) >= LOST) {
            let lost = self.asked.pop_front().map(|a| (a.piece, a.block));
            self.remember(lost.as_slice(), false);
            late.extend(lost);
        }
        late
    }

    /// Takes back everything: the peer choked us or left.
    pub(crate) fn take_all(&mut self) -> Vec<(PieceIndex, BlockIndex)> {
        let all: Vec<_> = self.asked.drain(..).map(|a| (a.piece, a.block)).collect();
        self.released.iter_mut().for_each(|released| released.is_owed = false);
        self.remember(&all, false);
        all
    }

    fn remember(&mut self, late: &[(PieceIndex, BlockIndex)], is_owed: bool) {
        let released = late.iter().map(|&(piece, block)| Released { piece, block, is_owed });
        self.released.extend(released);
        let surplus = self.released.len().saturating_sub(RELEASED_MAX);
        self.released.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::layout::Layout;

    fn ms(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn piece(raw: u32) -> PieceIndex {
        Layout::new(1 << 30, 1 << 18).unwrap().piece(raw).unwrap()
    }

    fn fill(pipeline: &mut Pipeline, now: Instant) -> usize {
        let room = pipeline.room();
        (0..room).for_each(|n| _ = pipeline.ask(now, piece(n as u32), BlockIndex(0)));
        room
    }

    #[test]
    fn the_window_doubles_while_the_rate_grows_and_then_follows_the_rate() {
        let mut pipeline = Pipeline::new(ms(0));
        pipeline.set_queue_max(5_000);
        (0..32).for_each(|_| pipeline.block_done(ms(10), 0));
        assert_eq!(pipeline.room(), 64);
        (0..64).for_each(|_| pipeline.block_done(ms(20), 1_000_000));
        assert_eq!(pipeline.room(), 128);
        (0..128).for_each(|_| pipeline.block_done(ms(30), 1_000_000));
        assert_eq!(pipeline.room(), 256, "this doubling did not help: the last");
        (0..512).for_each(|_| pipeline.block_done(ms(40), 1_000_000));
        assert_eq!(pipeline.room(), 91, "1.5 s of 1 MB/s");
    }

    #[test]
    fn a_silent_peer_keeps_one_request_and_is_forgiven_with_its_next_block() {
        let mut pipeline = Pipeline::new(ms(0));
        assert_eq!(fill(&mut pipeline, ms(0)), 32);
        assert_eq!(pipeline.deadline(), Some(ms(4_000)));
        assert!(pipeline.take_late(ms(3_999)).is_empty());
        assert_eq!(pipeline.take_late(ms(4_000)).len(), 32, "others may have all of them");
        assert!(pipeline.is_snubbed() && pipeline.len() == 1 && pipeline.room() == 0);
        assert!(pipeline.arrived(piece(0), BlockIndex(0)));
        pipeline.block_done(ms(5_000), 0);
        assert!(!pipeline.is_snubbed() && pipeline.room() == WINDOW_MIN);
    }

    #[test]
    fn a_late_answer_is_still_welcome_once() {
        let mut pipeline = Pipeline::new(ms(0));
        fill(&mut pipeline, ms(0));
        pipeline.take_late(ms(4_000));
        assert!(pipeline.arrived(piece(5), BlockIndex(0)));
        assert!(!pipeline.arrived(piece(5), BlockIndex(0)));
        assert!(!pipeline.arrived(piece(500), BlockIndex(0)), "never asked");
    }

    /// A released request was sent again to the peer that still owed it, and its block came twice.
    #[test]
    fn what_a_late_peer_still_owes_is_not_asked_of_it_again() {
        let mut pipeline = Pipeline::new(ms(0));
        fill(&mut pipeline, ms(0));
        pipeline.take_late(ms(4_000));
        assert!(!pipeline.ask(ms(4_100), piece(5), BlockIndex(0)), "it is owed");
        assert!(!pipeline.ask(ms(4_100), piece(0), BlockIndex(0)), "it is kept");
        assert_eq!(pipeline.len(), 2);
        assert!(pipeline.arrived(piece(5), BlockIndex(0)));
        assert!(pipeline.ask(ms(4_200), piece(5), BlockIndex(0)), "it came, and is owed no more");
        assert!(!pipeline.rejected(piece(6), BlockIndex(0)), "nobody counted on it");
        assert!(pipeline.ask(ms(4_300), piece(6), BlockIndex(0)), "it was rejected");
        pipeline.take_all();
        assert!(pipeline.ask(ms(4_400), piece(7), BlockIndex(0)), "a choke forgets what is owed");
    }

    #[test]
    fn even_a_snubbed_peers_last_request_is_given_up_in_the_end() {
        let mut pipeline = Pipeline::new(ms(0));
        fill(&mut pipeline, ms(0));
        pipeline.take_late(ms(4_000));
        assert_eq!(pipeline.deadline(), Some(ms(60_000)));
        assert_eq!(pipeline.take_late(ms(60_000)).len(), 1);
        assert_eq!(pipeline.deadline(), None);
    }
}
