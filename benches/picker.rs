//! Times of the picker at 333,000 and 1,000,000 pieces: `cargo bench --bench picker`.
//!
//! The picker is not public, so the bench includes the floors that it stands on. Each line says
//! what one call costs; the longest call matters as much as the mean, because a call runs inside
//! one turn.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "a part of the crate by itself")]

use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

#[path = "../src/base"]
pub(crate) mod base {
    pub(crate) mod bitfield;
    pub(crate) mod ids;
    pub(crate) mod limits;
    pub(crate) mod rng;
}
#[path = "../src/content"]
pub(crate) mod content {
    pub(crate) mod layout;
}
#[path = "../src/engine"]
pub(crate) mod engine {
    pub(crate) mod pick;
}

use base::bitfield::Bitfield;
use base::ids::BlockIndex;
use base::ids::PieceIndex;
use base::ids::Priority;
use base::rng::Rng;
use content::layout::Layout;
use engine::pick::Picker;
use engine::pick::ask::Ask;
use engine::pick::ask::Has;
use engine::pick::ask::Share;

/// 16 blocks: what most torrents of this size have.
const PIECE_LEN: u32 = 256 * 1024;

/// Calls of one kind.
struct Timer {
    name: &'static str,
    sum: Duration,
    longest: Duration,
    calls: u32,
}

impl Timer {
    fn new(name: &'static str) -> Timer {
        Timer { name, sum: Duration::ZERO, longest: Duration::ZERO, calls: 0 }
    }

    fn time<T>(&mut self, what: impl FnOnce() -> T) -> T {
        let start = now();
        let answer = black_box(what());
        let took = start.elapsed();
        self.sum += took;
        self.longest = self.longest.max(took);
        self.calls += 1;
        answer
    }

    fn report(&self) {
        let mean = self.sum.as_nanos() / u128::from(self.calls.max(1));
        let longest = self.longest.as_nanos();
        println!("  {:<52} {mean:>10} ns  longest {longest:>10} ns  x {}", self.name, self.calls);
    }
}

#[allow(clippy::disallowed_methods, reason = "a bench is about time")]
fn now() -> Instant {
    Instant::now()
}

fn main() {
    for piece_count in [333_000, 1_000_000] {
        println!("{piece_count} pieces");
        large_changes(piece_count);
        downloading(piece_count);
        sparse_peer(piece_count);
    }
}

fn layout(piece_count: u32) -> Layout {
    let total = u64::from(piece_count) * u64::from(PIECE_LEN);
    Layout::new(total, PIECE_LEN).expect("both sizes are within the limits")
}

/// About `percent` of all pieces.
fn random_field(piece_count: u32, percent: u64, rng: &mut Rng) -> Bitfield {
    let mut field = Bitfield::zeros(piece_count);
    for piece in 0..piece_count {
        if rng.below(100) < percent {
            field.set(piece);
        }
    }
    field
}

fn settled(piece_count: u32) -> Picker {
    let mut picker = Picker::new(layout(piece_count));
    picker.settle(u32::MAX);
    picker
}

fn large_changes(piece_count: u32) {
    let mut rng = Rng::new(1);
    let mut timers = [
        Timer::new("new"),
        Timer::new("set_have (resume), half of the pieces"),
        Timer::new("set_priorities, all pieces at once"),
        Timer::new("set_priorities, 1,000 runs over all pieces"),
        Timer::new("seed_joined"),
        Timer::new("peer_joined, half of the pieces"),
        Timer::new("peer_left, half of the pieces"),
        Timer::new("settle, 2,048 pieces"),
        Timer::new("wanted_count"),
    ];
    let half = random_field(piece_count, 50, &mut rng);
    let step = piece_count / 1000;
    let level = |at: u32| Priority::new((at % 8) as u8).unwrap_or_default();
    let runs: Vec<_> = (0..1000).map(|at| (at * step..(at + 1) * step, level(at))).collect();
    for _ in 0..5 {
        let [new, have, all, many, seed, join, leave, settle, count] = &mut timers;
        let mut picker = new.time(|| Picker::new(layout(piece_count)));
        have.time(|| picker.set_have(&half));
        all.time(|| picker.set_priorities(&[(0..piece_count, Priority::HIGHEST)]));
        many.time(|| picker.set_priorities(&runs));
        seed.time(|| picker.seed_joined());
        join.time(|| picker.peer_joined(&half));
        while !picker.is_settled() {
            settle.time(|| picker.settle(2048));
        }
        count.time(|| picker.wanted_count(Has::Some(&half)));
        leave.time(|| picker.peer_left(&half));
    }
    timers.iter().for_each(Timer::report);
}

/// Twenty peers with two thirds each, asked for 64 blocks in turn; all that they are asked for
/// arrives.
fn downloading(piece_count: u32) {
    let mut rng = Rng::new(2);
    let mut picker = settled(piece_count);
    let fields: Vec<_> = (0..20).map(|_| random_field(piece_count, 66, &mut rng)).collect();
    fields.iter().for_each(|field| picker.peer_joined(field));
    picker.settle(u32::MAX);
    let layout = layout(piece_count);
    let mut have = Timer::new("peer_have");
    let mut pick = Timer::new("pick, 64 blocks, peer with two thirds");
    let mut block = Timer::new("block_started and block_received");
    let mut passed = Timer::new("piece_passed");
    for turn in 0..2000 {
        let peer = turn % 20;
        if let Ok(piece) = layout.piece(rng.below(u64::from(piece_count)) as u32) {
            have.time(|| picker.peer_have(piece));
        }
        let out = pick.time(|| ask(&mut picker, peer, Has::Some(&fields[peer as usize]), &mut rng));
        for (piece, number) in out {
            let received = block.time(|| {
                picker.block_started(peer, piece, number);
                picker.block_received(peer, piece, number)
            });
            if received.piece_is_complete {
                passed.time(|| picker.piece_passed(piece));
            }
        }
    }
    let mut seed = Timer::new("pick, 64 blocks, seed");
    for peer in 100..1100 {
        seed.time(|| ask(&mut picker, peer, Has::All, &mut rng));
    }
    picker.set_sequential(true);
    let mut sequential = Timer::new("pick, 64 blocks, seed, sequential");
    for peer in 2000..3000 {
        sequential.time(|| ask(&mut picker, peer, Has::All, &mut rng));
    }
    [have, pick, block, passed, seed, sequential].iter().for_each(Timer::report);
}

/// The worst peer: half of all pieces, of which we want only the last one.
fn sparse_peer(piece_count: u32) {
    let mut rng = Rng::new(3);
    let mut picker = Picker::new(layout(piece_count));
    let mut field = Bitfield::zeros(piece_count);
    (0..piece_count / 2).for_each(|piece| {
        field.set(piece);
    });
    picker.set_have(&field);
    field.set(piece_count - 1);
    picker.peer_joined(&field);
    // Others have what it lacks, or availability 0 would give it away.
    picker.peer_joined(&Bitfield::ones(piece_count));
    picker.settle(u32::MAX);
    let mut pick = Timer::new("pick, peer with one wanted piece of half a torrent");
    for peer in 0..1000 {
        let out = pick.time(|| ask(&mut picker, peer, Has::Some(&field), &mut rng));
        assert!(!out.is_empty(), "the one piece is found");
        if let Some((piece, _)) = out.first() {
            picker.abandon(*piece);
        }
    }
    pick.report();
}

fn ask(
    picker: &mut Picker,
    peer: u32,
    has: Has<'_>,
    rng: &mut Rng,
) -> Vec<(PieceIndex, BlockIndex)> {
    let mut out = Vec::with_capacity(64);
    let ask = Ask { peer, has, want: 64, share: Share::Shared, only: None };
    picker.pick(&ask, &mut |_| true, rng, &mut out);
    out
}
