//! One started piece: the state of each of its blocks.

use smallvec::SmallVec;

use crate::base::ids::BlockIndex;
use crate::base::ids::PieceIndex;
use crate::engine::pick::ask::ASKER_MAX;
use crate::engine::pick::ask::Accept;
use crate::engine::pick::ask::PeerKey;
use crate::engine::pick::ask::Received;
use crate::engine::pick::ask::Release;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Free,
    Asked,
    Receiving(PeerKey),
    Received,
}

#[derive(Clone, Debug)]
struct Block {
    state: State,
    /// Peers with a request for it under way.
    askers: SmallVec<[PeerKey; ASKER_MAX]>,
    /// Who was late with it last.
    avoid: Option<PeerKey>,
    is_again: bool,
}

/// A started piece.
#[derive(Debug)]
pub(crate) struct Partial {
    pub(crate) piece: PieceIndex,
    /// The peer that has this piece for itself.
    pub(crate) holder: Option<PeerKey>,
    /// False while its priority is 0: what was asked still comes, nothing more is asked.
    pub(crate) is_wanted: bool,
    blocks: Vec<Block>,
    /// Released blocks: handed out before all others.
    again: Vec<u32>,
    /// From here on no block was ever handed out.
    next: u32,
    free: u32,
    asked: u32,
    received: u32,
}

impl Partial {
    pub(crate) fn new(piece: PieceIndex, block_count: u32, holder: Option<PeerKey>) -> Partial {
        let fresh =
            Block { state: State::Free, askers: SmallVec::new(), avoid: None, is_again: false };
        Partial {
            piece,
            holder,
            is_wanted: true,
            blocks: vec![fresh; block_count as usize],
            again: Vec::new(),
            next: 0,
            free: block_count,
            asked: 0,
            received: 0,
        }
    }

    pub(crate) fn block_count(&self) -> u32 {
        self.blocks.len() as u32
    }

    pub(crate) fn free(&self) -> u32 {
        self.free
    }

    /// Blocks that are asked for and do not arrive yet: what end game may ask for once more.
    pub(crate) fn asked(&self) -> u32 {
        self.asked
    }

    pub(crate) fn received(&self) -> u32 {
        self.received
    }

    pub(crate) fn missing(&self) -> u32 {
        self.block_count() - self.received
    }

    /// Whether nobody was asked and nothing arrives.
    pub(crate) fn is_idle(&self) -> bool {
        self.free + self.received == self.block_count() && self.free > 0
    }

    pub(crate) fn state(&self, block: BlockIndex) -> Option<State> {
        self.blocks.get(block.as_usize()).map(|b| b.state)
    }

    pub(crate) fn askers(&self, block: BlockIndex) -> &[PeerKey] {
        self.blocks.get(block.as_usize()).map_or(&[], |b| &b.askers)
    }

    /// Whether a released block waits for someone other than `peer`.
    pub(crate) fn has_released_for(&self, peer: PeerKey) -> bool {
        self.again.iter().any(|at| self.blocks[*at as usize].is_for(peer))
    }

    /// Whether a block is free that `peer` was not late with.
    pub(crate) fn has_free_for(&self, peer: PeerKey) -> bool {
        self.free > 0
            && (self.blocks[self.next as usize..].iter().any(|b| b.state == State::Free)
                || self.has_released_for(peer))
    }

    /// Hands out up to `want` free blocks to `peer`: released ones first, then rising. With
    /// `even_late` also those that this very peer was late with.
    pub(crate) fn hand_out(
        &mut self,
        peer: PeerKey,
        want: usize,
        even_late: bool,
        out: &mut Vec<(PieceIndex, BlockIndex)>,
    ) {
        let goal = out.len() + want;
        let mut at = self.again.len();
        while at > 0 && out.len() < goal {
            at -= 1;
            let number = self.again[at];
            let block = &self.blocks[number as usize];
            if block.state == State::Free && !even_late && !block.is_for(peer) {
                continue;
            }
            self.again.swap_remove(at);
            self.blocks[number as usize].is_again = false;
            self.give(number, peer, out);
        }
        while (self.next as usize) < self.blocks.len() && out.len() < goal {
            self.next += 1;
            self.give(self.next - 1, peer, out);
        }
    }

    /// Asks one more peer for a block under way. False if that is not possible.
    pub(crate) fn ask_again(&mut self, peer: PeerKey, block: BlockIndex) -> bool {
        let may = self.may_ask_again(peer, block);
        if may {
            self.blocks[block.as_usize()].askers.push(peer);
        }
        may
    }

    pub(crate) fn may_ask_again(&self, peer: PeerKey, block: BlockIndex) -> bool {
        let askers = self.askers(block);
        self.state(block) == Some(State::Asked)
            && askers.len() < ASKER_MAX
            && !askers.contains(&peer)
    }

    /// The first bytes of a block from `peer`.
    pub(crate) fn start(&mut self, peer: PeerKey, block: BlockIndex) -> Accept {
        let Some(entry) = self.blocks.get_mut(block.as_usize()) else { return Accept::Discard };
        match entry.state {
            State::Free => self.free -= 1,
            State::Asked => self.asked -= 1,
            State::Receiving(by) if by == peer => {}
            State::Receiving(_) | State::Received => {
                entry.askers.retain(|p| *p != peer);
                return Accept::Discard;
            }
        }
        entry.state = State::Receiving(peer);
        Accept::Take
    }

    /// The last bytes of a block from `peer`.
    pub(crate) fn receive(&mut self, peer: PeerKey, block: BlockIndex) -> Received {
        if self.start(peer, block) == Accept::Discard {
            return Received::default();
        }
        let entry = &mut self.blocks[block.as_usize()];
        entry.state = State::Received;
        let cancel = entry.askers.drain(..).filter(|p| *p != peer).collect();
        self.received += 1;
        Received { piece_is_complete: self.received == self.block_count(), cancel }
    }

    /// `peer` owes the block no longer. True if that made the block free.
    pub(crate) fn release(&mut self, peer: PeerKey, block: BlockIndex, why: Release) -> bool {
        let Some(entry) = self.blocks.get_mut(block.as_usize()) else { return false };
        entry.askers.retain(|p| *p != peer);
        let is_asked = !entry.askers.is_empty();
        match entry.state {
            State::Asked if is_asked => return false,
            State::Asked => self.asked -= 1,
            State::Receiving(by) if by == peer => {}
            State::Free | State::Receiving(_) | State::Received => return false,
        }
        if is_asked {
            entry.state = State::Asked;
            self.asked += 1;
            return false;
        }
        entry.state = State::Free;
        entry.avoid = (why == Release::Late).then_some(peer);
        self.free += 1;
        self.list_again(block);
        true
    }

    /// The bytes of a received block were wrong. True if that made the block free.
    pub(crate) fn lose(&mut self, block: BlockIndex) -> bool {
        let Some(entry) = self.blocks.get_mut(block.as_usize()) else { return false };
        if entry.state != State::Received {
            return false;
        }
        entry.state = State::Free;
        self.received -= 1;
        self.free += 1;
        self.list_again(block);
        true
    }

    /// Blocks from `next` on are found without the list.
    fn list_again(&mut self, block: BlockIndex) {
        let Some(entry) = self.blocks.get_mut(block.as_usize()) else { return };
        if !entry.is_again && block.0 < self.next {
            entry.is_again = true;
            self.again.push(block.0);
        }
    }

    fn give(&mut self, number: u32, peer: PeerKey, out: &mut Vec<(PieceIndex, BlockIndex)>) {
        let block = &mut self.blocks[number as usize];
        if block.state != State::Free {
            return;
        }
        block.state = State::Asked;
        block.askers.push(peer);
        self.free -= 1;
        self.asked += 1;
        out.push((self.piece, BlockIndex(number)));
    }
}

impl Block {
    /// Free, and `peer` was not late with it.
    fn is_for(&self, peer: PeerKey) -> bool {
        self.state == State::Free && self.avoid != Some(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partial(block_count: u32) -> Partial {
        Partial::new(PieceIndex::from_layout(9), block_count, None)
    }

    fn hand_out(partial: &mut Partial, peer: PeerKey, want: usize, even_late: bool) -> Vec<u32> {
        let mut out = Vec::new();
        partial.hand_out(peer, want, even_late, &mut out);
        out.iter().map(|(_, block)| block.0).collect()
    }

    #[test]
    fn the_first_to_deliver_claims_the_block_and_others_are_cancelled() {
        let mut p = partial(2);
        assert_eq!(hand_out(&mut p, 1, 9, false), [0, 1]);
        assert!(p.ask_again(2, BlockIndex(0)) && p.ask_again(3, BlockIndex(0)));
        assert!(!p.ask_again(2, BlockIndex(1 << 20)) && !p.ask_again(4, BlockIndex(0)));
        assert_eq!(p.start(2, BlockIndex(0)), Accept::Take);
        assert_eq!(p.start(3, BlockIndex(0)), Accept::Discard);
        assert_eq!(p.receive(2, BlockIndex(0)).cancel.as_slice(), [1], "3 was answered");
        let last = p.receive(1, BlockIndex(1));
        assert!(last.piece_is_complete && last.cancel.is_empty());
    }

    #[test]
    fn a_claimant_that_leaves_gives_the_block_back_to_those_who_were_asked() {
        let mut p = partial(1);
        hand_out(&mut p, 1, 1, false);
        assert!(p.ask_again(2, BlockIndex(0)));
        p.start(1, BlockIndex(0));
        assert!(!p.release(1, BlockIndex(0), Release::Lost));
        assert_eq!(p.state(BlockIndex(0)), Some(State::Asked));
        assert!(p.release(2, BlockIndex(0), Release::Lost));
        assert_eq!((p.free(), p.asked()), (1, 0));
    }

    #[test]
    fn a_late_block_goes_to_another_peer_first() {
        let mut p = partial(4);
        assert_eq!(hand_out(&mut p, 1, 2, false), [0, 1]);
        assert!(p.release(1, BlockIndex(1), Release::Late));
        assert_eq!(hand_out(&mut p, 1, 1, false), [2], "not the one it was late with");
        assert_eq!(hand_out(&mut p, 2, 2, false), [1, 3]);
        assert!(p.release(2, BlockIndex(3), Release::Late));
        assert!(!p.has_free_for(2) && p.has_free_for(1));
        assert_eq!(hand_out(&mut p, 2, 1, false), [0; 0]);
        assert_eq!(hand_out(&mut p, 2, 1, true), [3], "rather than none");
    }

    #[test]
    fn a_block_that_arrives_after_its_time_out_is_still_taken() {
        let mut p = partial(1);
        hand_out(&mut p, 1, 1, false);
        p.release(1, BlockIndex(0), Release::Late);
        assert_eq!(p.start(1, BlockIndex(0)), Accept::Take);
        assert_eq!(hand_out(&mut p, 2, 1, true), [0; 0]);
        assert!(p.receive(1, BlockIndex(0)).piece_is_complete);
    }
}
