//! What is hashed when, and with what result, whatever arrives in which order.

use super::*;
use crate::base::digest::Sha1;
use crate::content::merkle;
use crate::engine::blame::BlockDigest;
use crate::engine::digesting::Verdict;
use crate::engine::hasher::Hasher;

fn sender(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 1))
}

/// By SHA-1, by a tree over the first bytes, or by both.
fn expected(bytes: &[u8], has_v1: bool, tree_len: Option<usize>) -> Expected {
    let tree = tree_len.map(|len| {
        let leaves: Vec<Sha256> = bytes[..len].chunks(BLOCK_LEN as usize).map(Sha256::of).collect();
        let width = leaves.len().next_power_of_two() as u32;
        (merkle::root(&leaves, width), width, len as u32)
    });
    Expected::of(has_v1.then(|| Sha1::of(bytes)), tree)
}

/// Block `block` of a piece: all of its bytes say so, as do those of the piece.
fn bytes_of(layout: &Layout, piece: PieceIndex) -> Vec<u8> {
    let len = layout.piece_len(piece) as usize;
    (0..len).map(|at| (at / 16_384 + 1) as u8 ^ (piece.as_u32() as u8) << 4).collect()
}

/// A block comes from a sender, in two parts.
fn send(all: &mut Assemblies, layout: &Layout, piece: PieceIndex, block: u32, from: u8) {
    let (begin, length) = layout.block_range(piece, BlockIndex(block));
    let bytes = bytes_of(layout, piece);
    let bytes = &bytes[begin as usize..(begin + length) as usize];
    let assembly = all.get_mut(piece).unwrap();
    assembly.fill(BlockIndex(block), 0, &bytes[..1000]);
    assembly.fill(BlockIndex(block), 1000, &bytes[1000..]);
    all.block_done(piece, BlockIndex(block), sender(from));
}

fn open(all: &mut Assemblies, layout: &Layout, piece: PieceIndex, (v1, v2): (bool, bool)) {
    let bytes = bytes_of(layout, piece);
    let expected = expected(&bytes, v1, v2.then_some(bytes.len()));
    all.open_whole(layout, piece, expected, &Pool::new(0));
}

fn verdict(all: &mut Assemblies, piece: PieceIndex) -> Verdict {
    all.get_mut(piece).unwrap().sums().verdict()
}

const KINDS: [(bool, bool); 3] = [(true, false), (false, true), (true, true)];

#[test]
fn a_piece_gathers_from_several_senders_and_remembers_who_sent_what() {
    let layout = Layout::new(100_000, 65_536).unwrap();
    let piece = layout.piece(1).unwrap();
    for kind in KINDS {
        let mut all = Assemblies::default();
        open(&mut all, &layout, piece, kind);
        for block in [2, 0, 1] {
            send(&mut all, &layout, piece, block, block as u8 % 2);
        }
        all.freeze(Instant::ZERO, piece);
        let lanes = Lanes::detect();
        if !kind.0 || lanes.company::<Sha1Stream>() > 1 {
            let waits = all.hash(Instant::from_millis(1), lanes, 1 << 20, false);
            assert_eq!((waits.spent, waits.waits_until), (0, Some(Instant::from_millis(2))));
        }
        let report = all.hash(Instant::from_millis(2), lanes, 1 << 20, false);
        assert_eq!(report.done, [piece], "the odd end goes along");
        assert_eq!(verdict(&mut all, piece), Verdict::Good);
        let assembly = all.get_mut(piece).unwrap();
        assert_eq!(assembly.full().unwrap().bytes(), bytes_of(&layout, piece));
        let senders: Vec<SocketAddr> = assembly.evidence().iter().map(|e| e.sender).collect();
        assert_eq!(senders, [sender(0), sender(1), sender(0)]);
        let last = &bytes_of(&layout, piece)[32_768..];
        let digest = match kind {
            (_, false) => BlockDigest::Whole(Sha1::of(last)),
            (_, true) => BlockDigest::Leaf(Sha256::of(last)),
        };
        assert_eq!(assembly.evidence()[2].digest, digest);
    }
}

#[test]
fn pieces_being_filled_are_hashed_ahead_when_there_are_enough_of_them() {
    let layout = Layout::new(20 * 65_536, 65_536).unwrap();
    let company = Lanes::detect().company::<Sha1Stream>();
    for (piece_count, blocks, kind, is_worth_it) in [
        (company - 1, 4, (true, false), false),
        (company, 2, (true, false), true),
        (16, 1, (true, false), false),
        (3, 4, (false, true), false),
        (4, 4, (false, true), true),
        (16, 1, (true, true), true),
    ] {
        let mut all = Assemblies::default();
        for piece in layout.pieces().take(piece_count) {
            open(&mut all, &layout, piece, kind);
            (0..blocks).rev().for_each(|block| send(&mut all, &layout, piece, block, 1));
        }
        let spent = all.hash(Instant::ZERO, Lanes::detect(), 1 << 20, false).spent;
        assert_eq!(spent > 0, is_worth_it, "{piece_count} pieces of {blocks} blocks");
        for piece in layout.pieces().take(piece_count) {
            (blocks..4).for_each(|block| send(&mut all, &layout, piece, block, 1));
            all.freeze(Instant::ZERO, piece);
        }
        let late = Instant::from_millis(20);
        while all.hash(late, Lanes::detect(), 1 << 18, false).spent > 0 {}
        for piece in layout.pieces().take(piece_count) {
            assert_eq!(verdict(&mut all, piece), Verdict::Good);
        }
    }
}

#[test]
fn a_full_piece_waits_longer_while_others_come_but_not_when_memory_is_short() {
    let lanes = Lanes::detect();
    let layout = Layout::new(4 * 65_536, 65_536).unwrap();
    for (is_pressed, at, is_hashed) in
        [(false, 15, false), (false, 16, true), (true, 1, false), (true, 2, true)]
    {
        let mut all = Assemblies::default();
        // Of a v2 torrent: how many of its pieces go together does not depend on the CPU.
        layout.pieces().take(2).for_each(|piece| open(&mut all, &layout, piece, KINDS[1]));
        let piece = layout.piece(0).unwrap();
        (0..4).for_each(|block| send(&mut all, &layout, piece, block, 1));
        all.freeze(Instant::ZERO, piece);
        let report = all.hash(Instant::from_millis(at), lanes, 1 << 20, is_pressed);
        assert_eq!(!report.done.is_empty(), is_hashed, "after {at} ms");
    }
}

#[test]
fn a_step_is_as_long_as_its_budget_whatever_is_open() {
    let layout = Layout::new(64 * 65_536, 65_536).unwrap();
    for (kind, budget) in KINDS.into_iter().flat_map(|kind| [(kind, 65_536), (kind, 200_000)]) {
        let mut all = Assemblies::default();
        for piece in layout.pieces() {
            open(&mut all, &layout, piece, kind);
            (0..4).for_each(|block| send(&mut all, &layout, piece, block, 1));
            all.freeze(Instant::ZERO, piece);
        }
        let (mut done, mut steps) = (Vec::new(), 0);
        while done.len() < layout.piece_count() as usize {
            let report = all.hash(Instant::from_millis(20), Lanes::PORTABLE, budget, false);
            assert!(report.spent > 0 && report.spent <= budget + 32_768, "{}", report.spent);
            done.extend(report.done);
            steps += 1;
        }
        // SHA-1 is one byte of budget for each byte, SHA-256 two.
        let cost = usize::from(kind.0) + 2 * usize::from(kind.1);
        let fair = 64 * 65_536 * cost / budget;
        assert!(steps <= fair * 2 + 64, "{steps} steps for the work of {fair}");
        assert!(done.is_sorted(), "in the order in which they were full");
    }
}

#[test]
fn a_wrong_block_is_taken_back_and_the_piece_is_right_with_another() {
    let layout = Layout::new(65_536, 65_536).unwrap();
    let piece = layout.piece(0).unwrap();
    for (kind, is_full) in [(KINDS[1], false), (KINDS[1], true), (KINDS[2], true)] {
        let mut all = Assemblies::default();
        open(&mut all, &layout, piece, kind);
        let block = BlockIndex(1);
        all.get_mut(piece).unwrap().fill(block, 0, &[99; 16_384]);
        all.block_done(piece, block, sender(9));
        let others: &[u32] = if is_full { &[0, 2, 3] } else { &[0] };
        others.iter().for_each(|block| send(&mut all, &layout, piece, *block, 1));
        if is_full {
            all.freeze(Instant::ZERO, piece);
            while all.hash(Instant::from_millis(9), Lanes::detect(), 1 << 18, false).spent > 0 {}
            assert_eq!(verdict(&mut all, piece), Verdict::Bad);
        }
        assert_eq!(all.refuse_block(piece, block, &Pool::new(0)), Some(sender(9)));
        assert_eq!(all.refuse_block(piece, block, &Pool::new(0)), None, "it is gone");
        assert_eq!(all.hash(Instant::from_millis(9), Lanes::detect(), 1 << 18, false).done, []);
        let missing: &[u32] = if is_full { &[1] } else { &[1, 2, 3] };
        missing.iter().for_each(|block| send(&mut all, &layout, piece, *block, 1));
        all.freeze(Instant::from_millis(10), piece);
        let mut done = Vec::new();
        while let report = all.hash(Instant::from_millis(20), Lanes::detect(), 1 << 18, false)
            && report.spent > 0
        {
            done.extend(report.done);
        }
        assert_eq!((done, verdict(&mut all, piece)), (vec![piece], Verdict::Good));
    }
}

#[test]
fn pads_are_zeros_whatever_a_peer_says() {
    let layout = Layout::new(65_536, 65_536).unwrap();
    let piece = layout.piece(0).unwrap();
    let mut bytes = vec![7; 65_536];
    bytes[20_000..].fill(0);
    let pool = Pool::new(1 << 20);
    let mut used = pool.take(65_536);
    used.bytes_mut().fill(3);
    drop(used);
    let mut all = Assemblies::default();
    all.open_whole(&layout, piece, expected(&bytes, true, Some(20_000)), &pool);
    for block in 0..4 {
        all.get_mut(piece).unwrap().fill(BlockIndex(block), 0, &[7; 10]);
        all.get_mut(piece).unwrap().fill(BlockIndex(block), 10, &[7; 16_374]);
        all.block_done(piece, BlockIndex(block), sender(1));
    }
    all.freeze(Instant::ZERO, piece);
    while all.hash(Instant::from_millis(9), Lanes::detect(), 1 << 18, false).spent > 0 {}
    assert_eq!(verdict(&mut all, piece), Verdict::Good);
    let evidence = all.get_mut(piece).unwrap().evidence();
    assert_eq!(evidence.len(), 2, "nobody is blamed for blocks of pad");
}

#[test]
fn hashes_that_stand_for_different_bytes_are_told_from_bad_bytes() {
    let layout = Layout::new(40_000, 65_536).unwrap();
    let piece = layout.piece(0).unwrap();
    let (right, other) = (bytes_of(&layout, piece), vec![5; 40_000]);
    let torn = |passed_v1| Verdict::Torn { passed_v1 };
    for (v1, v2, is) in [
        (&right, &right, Verdict::Good),
        (&other, &other, Verdict::Bad),
        (&right, &other, torn(true)),
        (&other, &right, torn(false)),
    ] {
        let tree = expected(v2, false, Some(v2.len()));
        let both = tree.with_v1(Sha1::of(v1));
        let mut all = Assemblies::default();
        all.open_whole(&layout, piece, both, &Pool::new(0));
        (0..3).for_each(|block| send(&mut all, &layout, piece, block, 1));
        all.freeze(Instant::ZERO, piece);
        while all.hash(Instant::from_millis(9), Lanes::detect(), 1 << 18, false).spent > 0 {}
        assert_eq!(verdict(&mut all, piece), is);
    }
}

#[test]
fn a_piece_that_is_written_through_keeps_only_digests() {
    let layout = Layout::new(1 << 20, 1 << 20).unwrap();
    let piece = layout.piece(0).unwrap();
    for (expected, digest) in [
        (expected(&[0; 1 << 20], true, None), BlockDigest::Whole(Sha1::of(&[9; 16_384]))),
        (
            expected(&[0; 1 << 20], false, Some(1 << 20)),
            BlockDigest::Leaf(Sha256::of(&[9; 16_384])),
        ),
    ] {
        let mut all = Assemblies::default();
        all.open_through(&layout, piece, expected);
        let assembly = all.get_mut(piece).unwrap();
        assembly.begin_through(BlockIndex(5), BLOCK_LEN, &Pool::new(0));
        assert_eq!(assembly.held(), u64::from(BLOCK_LEN));
        assembly.fill(BlockIndex(5), 0, &[9; 16_384]);
        let arrival = all.block_done(piece, BlockIndex(5), sender(1));
        assert!(matches!(arrival, Arrival::Write(data) if data.bytes() == [9; 16_384]));
        let assembly = all.get_mut(piece).unwrap();
        assert_eq!((assembly.held(), assembly.unhashed()), (0, 0));
        assert_eq!(assembly.digest(5), Some(digest));
        let refuse = |all: &mut Assemblies| all.refuse_block(piece, BlockIndex(5), &Pool::new(0));
        assert_eq!(refuse(&mut all), None, "another write would race with this one");
        let assembly = all.get_mut(piece).unwrap();
        assert!(assembly.block_written(BlockIndex(5)), "no other write is under way");
        assert_eq!(refuse(&mut all), Some(sender(1)));
    }
}

/// Every block of a piece comes.
fn fill_up(all: &mut Assemblies, layout: &Layout, piece: PieceIndex, now: Instant) {
    (0..layout.block_count(piece)).for_each(|block| send(all, layout, piece, block, 1));
    all.freeze(now, piece);
}

fn worth(len_min: usize, len_max: usize) -> Worth {
    Worth { len_min, len_max, company: 1 }
}

const SWARM: SlotId = SlotId { slot: 0, generation: 0 };

/// As another shard does it.
fn hash_away(jobs: Vec<HashJob>) -> Vec<HashJob> {
    let mut hasher = Hasher::new(Lanes::detect());
    jobs.into_iter().for_each(|job| hasher.push(job));
    while !hasher.is_idle() {
        hasher.work(100_000);
        if let Some(job) = hasher.poll_done() {
            return std::iter::once(job).chain(std::iter::from_fn(|| hasher.poll_done())).collect();
        }
    }
    Vec::new()
}

#[test]
fn full_pieces_may_be_hashed_elsewhere_the_oldest_first() {
    let layout = Layout::new(4 * 65_536, 65_536).unwrap();
    for kind in KINDS {
        let mut all = Assemblies::default();
        let pieces = [2, 0, 1].map(|raw| layout.piece(raw).unwrap());
        for (at, piece) in pieces.into_iter().enumerate() {
            open(&mut all, &layout, piece, kind);
            fill_up(&mut all, &layout, piece, Instant::from_millis(at as u64));
        }
        assert!(all.give_away(SWARM, worth(1_000_000, 2_000_000)).is_empty(), "not worth the way");
        let jobs = all.give_away(SWARM, worth(1, 65_536 + 1));
        let given: Vec<u32> = jobs.iter().map(|job| job.piece.as_u32()).collect();
        let expected: &[u32] = if kind == (true, true) { &[2] } else { &[2, 0] };
        assert_eq!(given, expected, "both hashes of one piece are as much work as two pieces");
        // What is away is not hashed here.
        let mut hash = || all.hash(Instant::from_millis(100), Lanes::PORTABLE, 1 << 30, false);
        let done: usize = (0..3).map(|_| hash().done.len()).sum();
        assert_eq!(done, 3 - jobs.len());
        let back = jobs.clone().into_iter().map(|job| hash_away(vec![job]).remove(0));
        for job in back {
            let piece = job.piece;
            assert!(all.take_back(job.clone()) && !all.take_back(job), "once");
            assert!(all.get_mut(piece).unwrap().is_hashed());
            assert_eq!(verdict(&mut all, piece), Verdict::Good);
        }
    }
}

#[test]
fn a_piece_that_changed_meanwhile_is_not_what_was_hashed_elsewhere() {
    let layout = Layout::new(65_536, 65_536).unwrap();
    let piece = layout.piece(0).unwrap();
    for kind in [(false, true), (true, true)] {
        let mut all = Assemblies::default();
        open(&mut all, &layout, piece, kind);
        fill_up(&mut all, &layout, piece, Instant::ZERO);
        let jobs = hash_away(all.give_away(SWARM, worth(1, 1)));
        assert!(jobs.iter().all(|job| all.is_held(job)));
        all.refuse_block(piece, BlockIndex(2), &Pool::new(0));
        assert!(!jobs.iter().any(|job| all.is_held(job)), "its budget is that of the new bytes");
        assert!(jobs.into_iter().all(|job| !all.take_back(job)), "a block of it was wrong");
        send(&mut all, &layout, piece, 2, 4);
        all.freeze(Instant::ZERO, piece);
        let mut done = Vec::new();
        while done.is_empty() {
            done = all.hash(Instant::from_millis(100), Lanes::PORTABLE, 1 << 20, false).done;
        }
        assert_eq!((done, verdict(&mut all, piece)), (vec![piece], Verdict::Good));
    }
}
