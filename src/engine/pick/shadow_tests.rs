//! A slow picker without any cleverness, which judges each decision of the real one.

use std::cmp::Reverse;

use proptest::prelude::*;

use super::*;
use crate::base::limits::BLOCK_LEN;
use crate::base::rng::Rng;
use crate::engine::pick::ask::ASKER_MAX;
use crate::engine::pick::ask::Share;

const PIECE_COUNT: u32 = 9;
const BLOCK_COUNT: u32 = 3;
const PEER_COUNT: u32 = 5;
/// The last one is a seed whenever it comes.
const SEED: PeerKey = PEER_COUNT - 1;

#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Block {
    is_received: bool,
    by: Option<PeerKey>,
    askers: Vec<PeerKey>,
    avoid: Option<PeerKey>,
}

impl Block {
    fn is_free(&self) -> bool {
        !self.is_received && self.by.is_none() && self.askers.is_empty()
    }

    fn may_ask_again(&self, peer: PeerKey) -> bool {
        let is_under_way = !self.is_received && self.by.is_none() && !self.askers.is_empty();
        is_under_way && self.askers.len() < ASKER_MAX && !self.askers.contains(&peer)
    }
}

#[derive(Clone, Default, Debug)]
struct Piece {
    is_had: bool,
    priority: u8,
    availability: usize,
    holder: Option<PeerKey>,
    /// `None` while not started.
    blocks: Option<Vec<Block>>,
}

impl Piece {
    fn is_wanted(&self) -> bool {
        !self.is_had && self.priority > 0
    }

    fn is_open(&self) -> bool {
        self.is_wanted() && self.blocks.is_none()
    }

    fn blocks(&self) -> &[Block] {
        self.blocks.as_deref().unwrap_or_default()
    }

    fn is_complete(&self) -> bool {
        self.blocks.as_ref().is_some_and(|blocks| blocks.iter().all(|b| b.is_received))
    }
}

/// The torrent, the peers and every rule, written out.
#[derive(Debug)]
struct Shadow {
    pieces: Vec<Piece>,
    peers: Vec<Bitfield>,
    is_sequential: bool,
}

impl Shadow {
    fn is_end_game(&self) -> bool {
        let is_free = |p: &Piece| p.is_wanted() && p.blocks().iter().any(Block::is_free);
        let any_wanted = self.pieces.iter().any(Piece::is_wanted);
        any_wanted && !self.pieces.iter().any(|p| p.is_open() || is_free(p))
    }

    fn any_open(&self) -> bool {
        self.pieces.iter().any(Piece::is_open)
    }

    fn allowed<'a>(&'a self, ask: &'a Ask<'_>) -> impl Iterator<Item = (u32, &'a Piece)> {
        let allows = |raw: u32| ask.allows(PieceIndex::from_layout(raw));
        (0..).zip(&self.pieces).filter(move |(raw, p)| p.is_wanted() && allows(*raw))
    }

    /// Free blocks of started pieces that the peer may have, by the stage at which it gets them.
    fn started(&self, ask: &Ask<'_>, stage: Step) -> Vec<(u32, u32)> {
        let mut found = Vec::new();
        for (raw, piece) in self.allowed(ask) {
            let is_ours = match piece.holder {
                Some(holder) => holder == ask.peer,
                None => ask.share == Share::Shared,
            };
            let is_left = stage == Step::Leftovers;
            if !is_ours && (!is_left || self.any_open()) {
                continue;
            }
            let fit = |b: &Block| b.is_free() && (is_left || b.avoid != Some(ask.peer));
            found.extend((0..).zip(piece.blocks()).filter(|(_, b)| fit(b)).map(|(n, _)| (raw, n)));
        }
        found
    }

    fn open(&self, ask: &Ask<'_>) -> Vec<u32> {
        self.allowed(ask).filter(|(_, p)| p.is_open()).map(|(raw, _)| raw).collect()
    }

    fn under_way(&self, ask: &Ask<'_>) -> Vec<(u32, u32)> {
        let mut found = Vec::new();
        for (raw, piece) in self.allowed(ask).filter(|_| self.is_end_game()) {
            let blocks = (0..).zip(piece.blocks()).filter(|(_, b)| b.may_ask_again(ask.peer));
            found.extend(blocks.map(|(block, _)| (raw, block)));
        }
        found
    }

    /// Judges one pick and does it.
    fn judge(&mut self, ask: &Ask<'_>, stage: &mut Step, piece: u32, block: u32) {
        let started = self.started(ask, Step::Started);
        if self.pieces[piece as usize].is_open() {
            assert!(*stage <= Step::New && started.is_empty(), "{started:?} were to be finished");
            *stage = Step::New;
            self.judge_new(ask, piece);
            let fresh = vec![Block::default(); BLOCK_COUNT as usize];
            self.pieces[piece as usize].blocks = Some(fresh);
            let holder = (ask.share == Share::Whole).then_some(ask.peer);
            self.pieces[piece as usize].holder = holder;
        } else if started.contains(&(piece, block)) {
            if *stage == Step::Started {
                self.judge_started(&started, piece);
            }
        } else if self.started(ask, Step::Leftovers).contains(&(piece, block)) {
            *stage = Step::Leftovers;
            let holder = &mut self.pieces[piece as usize].holder;
            holder.take_if(|holder| *holder != ask.peer);
        } else {
            *stage = Step::UnderWay;
            let all = self.under_way(ask);
            assert!(all.contains(&(piece, block)), "{piece} {block} is not to be had");
            let askers =
                |(p, b): (u32, u32)| self.pieces[p as usize].blocks()[b as usize].askers.len();
            let least = all.iter().map(|at| askers(*at)).min();
            assert_eq!(Some(askers((piece, block))), least, "the least asked goes first");
        }
        let blocks = self.pieces[piece as usize].blocks.as_mut().expect("it is started now");
        blocks[block as usize].askers.push(ask.peer);
    }

    fn judge_new(&self, ask: &Ask<'_>, piece: u32) {
        let rank = |raw: u32| {
            let piece = &self.pieces[raw as usize];
            let by = if self.is_sequential && ask.only.is_none() {
                raw as usize
            } else {
                piece.availability
            };
            (Reverse(piece.priority), by)
        };
        let best = self.open(ask).into_iter().map(rank).min();
        assert_eq!(Some(rank(piece)), best, "not the best piece to start");
    }

    /// No started piece of a higher priority may be left behind; sequentially no lower one either.
    fn judge_started(&self, started: &[(u32, u32)], piece: u32) {
        let rank = |raw: u32| {
            let priority = Reverse(self.pieces[raw as usize].priority);
            (priority, if self.is_sequential { raw } else { 0 })
        };
        let best = started.iter().map(|(raw, _)| rank(*raw)).min();
        assert_eq!(Some(rank(piece)), best, "not the best started piece");
    }

    fn release(&mut self, peer: PeerKey, piece: u32, block: u32, why: Release) {
        let piece = &mut self.pieces[piece as usize];
        piece.holder.take_if(|holder| *holder == peer);
        let Some(blocks) = &mut piece.blocks else { return };
        let block = &mut blocks[block as usize];
        let was_free = block.is_free();
        block.askers.retain(|asker| *asker != peer);
        block.by.take_if(|by| *by == peer);
        if block.is_free() && !was_free {
            block.avoid = (why == Release::Late).then_some(peer);
        }
    }

    fn forget(&mut self, piece: u32) {
        let piece = &mut self.pieces[piece as usize];
        (piece.blocks, piece.holder) = (None, None);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Step {
    Started,
    New,
    Leftovers,
    UnderWay,
}

fn has(field: &Bitfield) -> Has<'_> {
    if field.is_full() { Has::All } else { Has::Some(field) }
}

/// Both, side by side.
#[derive(Debug)]
struct Pair {
    picker: Picker,
    shadow: Shadow,
    rng: Rng,
}

#[derive(Clone, Debug)]
enum Op {
    Pick { peer: u32, want: usize, is_whole: bool, only: Option<Vec<u32>>, room: usize },
    Start { peer: u32, nth: usize },
    Receive { peer: u32, nth: usize },
    Release { peer: u32, nth: usize, is_late: bool },
    Leave { peer: u32, field: u32 },
    Have { peer: u32, piece: u32 },
    Priorities { from: u32, to: u32, priority: u8 },
    Settle { piece: u32, is_good: bool },
    Lose { piece: u32 },
    Abandon,
    Sequential(bool),
}

fn op() -> impl Strategy<Value = Op> {
    let (peer, piece, nth) = (0..PEER_COUNT, 0..PIECE_COUNT, 0..64usize);
    let only = prop::option::weighted(0.2, prop::collection::vec(piece.clone(), 0..4));
    prop_oneof![
        6 => (peer.clone(), 0..8usize, prop::bool::weighted(0.2), only, 0..5usize).prop_map(
            |(peer, want, is_whole, only, room)| Op::Pick { peer, want, is_whole, only, room }),
        3 => (peer.clone(), nth.clone()).prop_map(|(peer, nth)| Op::Start { peer, nth }),
        6 => (peer.clone(), nth.clone()).prop_map(|(peer, nth)| Op::Receive { peer, nth }),
        3 => (peer.clone(), nth, any::<bool>())
            .prop_map(|(peer, nth, is_late)| Op::Release { peer, nth, is_late }),
        1 => (peer.clone(), any::<u32>()).prop_map(|(peer, field)| Op::Leave { peer, field }),
        1 => (peer, piece.clone()).prop_map(|(peer, piece)| Op::Have { peer, piece }),
        1 => (piece.clone(), piece.clone(), 0..8u8)
            .prop_map(|(from, to, priority)| Op::Priorities { from, to, priority }),
        3 => (piece.clone(), prop::bool::weighted(0.7))
            .prop_map(|(piece, is_good)| Op::Settle { piece, is_good }),
        1 => piece.prop_map(|piece| Op::Lose { piece }),
        1 => Just(Op::Abandon),
        1 => any::<bool>().prop_map(Op::Sequential),
    ]
}

impl Pair {
    fn new(seed: u64) -> Pair {
        let piece_len = BLOCK_COUNT * BLOCK_LEN;
        let layout = Layout::new(u64::from(PIECE_COUNT * piece_len), piece_len).unwrap();
        let piece = Piece { priority: 4, ..Piece::default() };
        let shadow = Shadow {
            pieces: vec![piece; PIECE_COUNT as usize],
            peers: vec![Bitfield::zeros(PIECE_COUNT); PEER_COUNT as usize],
            is_sequential: false,
        };
        let mut pair = Pair { picker: Picker::new(layout), shadow, rng: Rng::new(seed) };
        for peer in 0..PEER_COUNT {
            let field = pair.rng.next_u64() as u32;
            pair.join(peer, field);
        }
        pair
    }

    fn piece(&self, raw: u32) -> PieceIndex {
        PieceIndex::from_layout(raw)
    }

    fn join(&mut self, peer: u32, bits: u32) {
        let mut field = Bitfield::zeros(PIECE_COUNT);
        for raw in (0..PIECE_COUNT).filter(|raw| peer == SEED || bits >> raw & 1 == 1) {
            field.set(raw);
            self.shadow.pieces[raw as usize].availability += 1;
        }
        match peer {
            SEED => self.picker.seed_joined(),
            _ => self.picker.peer_joined(&field),
        }
        self.shadow.peers[peer as usize] = field;
    }

    /// What a peer was asked for and owes.
    fn owed(&self, peer: u32) -> Vec<(u32, u32)> {
        let mut owed = Vec::new();
        for (raw, piece) in (0..).zip(&self.shadow.pieces) {
            for (number, block) in (0..).zip(piece.blocks()) {
                if block.askers.contains(&peer) || block.by == Some(peer) {
                    owed.push((raw, number));
                }
            }
        }
        owed
    }

    fn nth_owed(&self, peer: u32, nth: usize) -> Option<(u32, u32)> {
        let owed = self.owed(peer);
        owed.get(nth.checked_rem(owed.len())?).copied()
    }

    fn pick(&mut self, peer: u32, want: usize, is_whole: bool, only: Option<&[u32]>, room: usize) {
        let only: Option<Vec<_>> = only.map(|only| only.iter().map(|p| self.piece(*p)).collect());
        let field = self.shadow.peers[peer as usize].clone();
        let share = if is_whole { Share::Whole } else { Share::Shared };
        let ask = Ask { peer, has: has(&field), want, share, only: only.as_deref() };
        let (mut out, mut starts) = (Vec::new(), 0);
        let mut may_start = |_| {
            starts += 1;
            starts <= room
        };
        self.picker.pick(&ask, &mut may_start, &mut self.rng, &mut out);
        assert!(out.len() <= want);
        let mut stage = Step::Started;
        for (piece, block) in &out {
            self.shadow.judge(&ask, &mut stage, piece.as_u32(), block.0);
        }
        if out.len() < want {
            let left = self.shadow.started(&ask, Step::Leftovers);
            assert!(left.is_empty(), "{left:?} could be asked for");
            let left = self.shadow.under_way(&ask);
            assert!(left.is_empty(), "{left:?} could be asked for twice");
            assert!(self.shadow.open(&ask).is_empty() || starts > room, "could be started");
        }
    }

    /// Bytes of an owed block: the first, or with `is_all` all of them.
    fn arrive(&mut self, peer: u32, nth: usize, is_all: bool) {
        let Some((raw, number)) = self.nth_owed(peer, nth) else { return };
        let (piece, block) = (self.piece(raw), BlockIndex(number));
        let entry = &mut self.shadow.pieces[raw as usize].blocks.as_mut().unwrap()[number as usize];
        let accept = self.picker.block_started(peer, piece, block);
        if entry.by.is_some_and(|by| by != peer) {
            entry.askers.retain(|asker| *asker != peer);
            return assert_eq!(accept, Accept::Discard);
        }
        assert_eq!(accept, Accept::Take);
        entry.by = Some(peer);
        if is_all {
            (entry.by, entry.is_received) = (None, true);
            let others: Vec<_> = entry.askers.drain(..).filter(|p| *p != peer).collect();
            let received = self.picker.block_received(peer, piece, block);
            assert_eq!(received.cancel.to_vec(), others);
            let is_complete = self.shadow.pieces[raw as usize].is_complete();
            assert_eq!(received.piece_is_complete, is_complete);
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Pick { peer, want, is_whole, only, room } => {
                self.pick(*peer, *want, *is_whole, only.as_deref(), *room);
            }
            Op::Start { peer, nth } => self.arrive(*peer, *nth, false),
            Op::Receive { peer, nth } => self.arrive(*peer, *nth, true),
            Op::Release { peer, nth, is_late } => {
                let Some((raw, number)) = self.nth_owed(*peer, *nth) else { return };
                let why = if *is_late { Release::Late } else { Release::Lost };
                self.picker.release(*peer, self.piece(raw), BlockIndex(number), why);
                self.shadow.release(*peer, raw, number, why);
            }
            Op::Leave { peer, field } => self.leave(*peer, *field),
            Op::Have { peer, piece } => {
                if self.shadow.peers[*peer as usize].set(*piece) {
                    self.shadow.pieces[*piece as usize].availability += 1;
                    self.picker.peer_have(self.piece(*piece));
                }
            }
            Op::Priorities { from, to, priority } => {
                self.picker.set_priorities(&[(*from..*to, Priority::new(*priority).unwrap())]);
                (*from..*to).for_each(|p| self.shadow.pieces[p as usize].priority = *priority);
            }
            Op::Settle { piece, is_good } => self.verify(*piece, *is_good),
            Op::Lose { piece } => {
                if std::mem::take(&mut self.shadow.pieces[*piece as usize].is_had) {
                    self.picker.piece_lost(self.piece(*piece));
                }
            }
            Op::Abandon => {
                if let Some(piece) = self.picker.cold_piece() {
                    self.picker.abandon(piece);
                    self.shadow.forget(piece.as_u32());
                }
            }
            Op::Sequential(is_sequential) => {
                self.picker.set_sequential(*is_sequential);
                self.shadow.is_sequential = *is_sequential;
            }
        }
    }

    fn leave(&mut self, peer: u32, bits: u32) {
        let owed = self.owed(peer);
        let named: Vec<_> = owed.iter().map(|(p, b)| (self.piece(*p), BlockIndex(*b))).collect();
        self.picker.release_all(peer, &named);
        let field = std::mem::take(&mut self.shadow.peers[peer as usize]);
        match peer {
            SEED => self.picker.seed_left(),
            _ => self.picker.peer_left(&field),
        }
        field.iter_ones().for_each(|raw| self.shadow.pieces[raw as usize].availability -= 1);
        for (raw, number) in owed {
            self.shadow.release(peer, raw, number, Release::Lost);
        }
        for piece in &mut self.shadow.pieces {
            piece.holder.take_if(|holder| *holder == peer);
        }
        self.join(peer, bits);
    }

    /// A complete piece is hashed.
    fn verify(&mut self, raw: u32, is_good: bool) {
        if !self.shadow.pieces[raw as usize].is_complete() {
            return;
        }
        self.shadow.forget(raw);
        self.shadow.pieces[raw as usize].is_had = is_good;
        match is_good {
            true => self.picker.piece_passed(self.piece(raw)),
            false => self.picker.piece_failed(self.piece(raw)),
        }
    }

    fn compare(&self) {
        let pieces = &self.shadow.pieces;
        let count = |is: &dyn Fn(&Piece) -> bool| pieces.iter().filter(|p| is(p)).count() as u32;
        assert_eq!(self.picker.have_count(), count(&|p| p.is_had));
        assert_eq!(self.picker.wanted_left(), count(&Piece::is_wanted));
        assert_eq!(self.picker.partial_count(), count(&|p| p.blocks.is_some()));
        assert_eq!(self.picker.is_end_game(), self.shadow.is_end_game());
        for (raw, piece) in (0..).zip(pieces) {
            assert_eq!(self.picker.availability(self.piece(raw)) as usize, piece.availability);
            assert_eq!(self.picker.wants(self.piece(raw)), piece.is_wanted());
        }
        for field in &self.shadow.peers {
            let wanted = field.iter_ones().filter(|raw| pieces[*raw as usize].is_wanted()).count();
            assert_eq!(self.picker.wanted_count(Has::Some(field)) as usize, wanted);
            assert_eq!(self.picker.is_interesting(Has::Some(field)), wanted > 0);
        }
    }

    /// Whether each peer could be asked for anything now, for the rule that news is announced.
    fn possible(&self) -> Vec<bool> {
        let one = |peer: u32| {
            let has = has(&self.shadow.peers[peer as usize]);
            let ask = Ask { peer, has, want: 1, share: Share::Shared, only: None };
            !self.shadow.started(&ask, Step::Leftovers).is_empty()
                || !self.shadow.under_way(&ask).is_empty()
                || !self.shadow.open(&ask).is_empty()
        };
        (0..PEER_COUNT).map(one).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_decision_is_one_that_the_slow_picker_allows(
        seed: u64,
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut pair = Pair::new(seed);
        for op in &ops {
            let before = pair.possible();
            pair.picker.take_new_work();
            pair.apply(op);
            pair.compare();
            // A peer's own news (joined, have) is its owner's to see.
            if pair.picker.take_new_work() || matches!(op, Op::Leave { .. } | Op::Have { .. }) {
                continue;
            }
            for (peer, (old, new)) in (0..).zip(before.into_iter().zip(pair.possible())) {
                let is_asker = matches!(op, Op::Pick { peer: asker, .. } if *asker == peer);
                prop_assert!(old || !new || is_asker, "silent news for {peer} after {op:?}");
            }
        }
    }
}
