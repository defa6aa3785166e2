//! The picker's behaviour, drawn as strings: a piece is a character.

use super::*;
use crate::base::limits::BLOCK_LEN;
use crate::engine::pick::ask::Share;

const BLOCKS: u32 = 2;

/// have `#`, availability and priorities as digits; every piece has two blocks.
fn drawn(have: &str, availability: &str, priorities: &str) -> Picker {
    let piece_count = have.len() as u32;
    let piece_len = BLOCKS * BLOCK_LEN;
    let layout = Layout::new(u64::from(piece_count * piece_len), piece_len).unwrap();
    let mut picker = Picker::new(layout);
    picker.set_have(&field(have));
    for (raw, digit) in (0..).zip(priorities.bytes()) {
        picker.set_priority(piece(raw), Priority::new(digit - b'0').unwrap());
    }
    for (raw, digit) in (0..).zip(availability.bytes()) {
        (b'0'..digit).for_each(|_| picker.peer_have(piece(raw)));
    }
    picker.take_new_work();
    picker
}

fn piece(raw: u32) -> PieceIndex {
    PieceIndex::from_layout(raw)
}

fn field(drawn: &str) -> Bitfield {
    let mut field = Bitfield::zeros(drawn.len() as u32);
    for (bit, c) in (0..).zip(drawn.chars()) {
        if c == '#' {
            field.set(bit);
        }
    }
    field
}

fn ask(peer: PeerKey, has: Has<'_>, want: usize) -> Ask<'_> {
    Ask { peer, has, want, share: Share::Shared, only: None }
}

fn pick(picker: &mut Picker, ask: Ask<'_>) -> Vec<(u32, u32)> {
    let mut out = Vec::new();
    picker.pick(&ask, &mut |_| true, &mut Rng::new(1), &mut out);
    out.iter().map(|(piece, block)| (piece.as_u32(), block.0)).collect()
}

/// The pieces that a seed is asked for when it is asked for one piece after the other.
fn pieces(picker: &mut Picker, has: Has<'_>) -> Vec<u32> {
    let picks = pick(picker, ask(1, has, 100));
    picks.chunks(BLOCKS as usize).map(|blocks| blocks[0].0).collect()
}

fn receive(picker: &mut Picker, peer: PeerKey, raw: u32, block: u32) -> Received {
    let accept = picker.block_started(peer, piece(raw), BlockIndex(block));
    assert_eq!(accept, Accept::Take);
    picker.block_received(peer, piece(raw), BlockIndex(block))
}

#[test]
fn rarest_first_among_equal_priorities() {
    let mut picker = drawn("#..#", "3121", "4444");
    assert_eq!(pieces(&mut picker, Has::All), [1, 2]);
}

#[test]
fn priority_goes_before_rarity_and_skipped_pieces_are_left() {
    let mut picker = drawn("....", "3121", "4470");
    assert_eq!(pieces(&mut picker, Has::All), [2, 1, 0]);
    assert_eq!(picker.wanted_left(), 3);
}

#[test]
fn sequential_mode_takes_the_lowest_of_the_highest_priority() {
    let mut picker = drawn(".....", "31211", "44744");
    picker.set_sequential(true);
    assert_eq!(pieces(&mut picker, Has::Some(&field("##.##"))), [0, 1, 3, 4]);
    assert_eq!(pieces(&mut picker, Has::All), [2], "nobody is asked twice");
}

#[test]
fn a_peer_is_asked_only_for_what_it_has() {
    let mut picker = drawn("....", "1111", "4444");
    let mut picks = pieces(&mut picker, Has::Some(&field(".#.#")));
    picks.sort_unstable();
    assert_eq!(picks, [1, 3]);
    assert!(pick(&mut picker, ask(2, Has::Some(&field("....")), 9)).is_empty());
}

#[test]
fn equals_are_taken_at_random() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let mut picker = drawn("....", "1111", "4444");
        let mut out = Vec::new();
        picker.pick(&ask(1, Has::All, 1), &mut |_| true, &mut Rng::new(seed), &mut out);
        seen.insert(out[0].0.as_u32());
    }
    assert_eq!(seen.len(), 4);
}

#[test]
fn started_pieces_are_finished_before_others_are_started() {
    let mut picker = drawn("....", "2111", "4444");
    let first = pick(&mut picker, ask(1, Has::All, 1))[0].0;
    assert_eq!(pick(&mut picker, ask(2, Has::All, 1)), [(first, 1)]);
    assert_eq!(picker.partial_count(), 1);
}

#[test]
fn the_most_complete_piece_is_finished_first() {
    let mut picker = drawn("..", "11", "44");
    let picks = pick(&mut picker, ask(1, Has::All, 4));
    let (one, other) = (picks[0].0, picks[2].0);
    receive(&mut picker, 1, other, 0);
    picker.release(1, piece(one), BlockIndex(0), Release::Lost);
    picker.release(1, piece(other), BlockIndex(1), Release::Lost);
    assert_eq!(pick(&mut picker, ask(2, Has::All, 2)), [(other, 1), (one, 0)]);
}

#[test]
fn no_piece_is_started_without_room() {
    let mut picker = drawn("....", "1111", "4444");
    let mut out = Vec::new();
    let mut room = 1;
    let mut may_start = |_| std::mem::replace(&mut room, 0) == 1;
    picker.pick(&ask(1, Has::All, 9), &mut may_start, &mut Rng::new(1), &mut out);
    assert_eq!(out.len(), BLOCKS as usize);
    picker.pick(&ask(2, Has::All, 9), &mut |_| false, &mut Rng::new(1), &mut out);
    assert_eq!(
        out.len(),
        BLOCKS as usize,
        "and blocks under way are not asked for twice meanwhile"
    );
}

#[test]
fn end_game_asks_others_for_blocks_under_way_the_least_asked_first() {
    let mut picker = drawn("#.", "11", "44");
    assert_eq!(pick(&mut picker, ask(1, Has::All, 9)), [(1, 0), (1, 1)]);
    assert!(picker.is_end_game() && picker.take_new_work(), "others may come now");
    assert_eq!(pick(&mut picker, ask(2, Has::All, 1)), [(1, 0)]);
    assert_eq!(pick(&mut picker, ask(3, Has::All, 9)), [(1, 1), (1, 0)]);
    assert_eq!(pick(&mut picker, ask(4, Has::All, 9)), [(1, 1)], "three askers at most");
    assert!(pick(&mut picker, ask(1, Has::All, 9)).is_empty(), "nobody is asked twice");
    assert_eq!(receive(&mut picker, 3, 1, 0).cancel.as_slice(), [1, 2]);
    assert_eq!(picker.block_started(2, piece(1), BlockIndex(0)), Accept::Discard);
    assert!(receive(&mut picker, 4, 1, 1).piece_is_complete);
    picker.piece_passed(piece(1));
    assert!(picker.is_finished() && !picker.is_end_game());
}

#[test]
fn a_piece_that_failed_is_asked_for_again() {
    let mut picker = drawn(".", "1", "4");
    pick(&mut picker, ask(1, Has::All, 9));
    receive(&mut picker, 1, 0, 0);
    assert!(receive(&mut picker, 1, 0, 1).piece_is_complete);
    picker.take_new_work();
    picker.piece_failed(piece(0));
    assert!(picker.take_new_work() && !picker.take_new_work());
    assert_eq!(pick(&mut picker, ask(2, Has::All, 9)), [(0, 0), (0, 1)]);
}

#[test]
fn a_lost_piece_is_wanted_again() {
    let mut picker = drawn("##", "11", "44");
    assert!(picker.is_finished() && !picker.is_interesting(Has::All));
    picker.piece_lost(piece(1));
    assert!(picker.take_new_work() && picker.wants(piece(1)) && !picker.is_finished());
    assert!(picker.is_interesting(Has::Some(&field(".#"))));
    assert!(!picker.is_interesting(Has::Some(&field("#."))));
    assert_eq!(pieces(&mut picker, Has::All), [1]);
}

#[test]
fn what_a_peer_owed_goes_to_the_next_one_rising_and_first() {
    let mut picker = drawn("...", "123", "444");
    let owed = pick(&mut picker, ask(1, Has::All, 2));
    pick(&mut picker, ask(2, Has::All, 1));
    let owed: Vec<_> = owed.iter().map(|(p, b)| (piece(*p), BlockIndex(*b))).collect();
    picker.take_new_work();
    picker.release_all(1, &owed);
    assert!(picker.take_new_work());
    assert_eq!(pick(&mut picker, ask(3, Has::All, 3)), [(0, 0), (0, 1), (1, 1)]);
}

#[test]
fn a_peer_that_was_late_is_asked_again_only_if_nobody_else_comes() {
    let mut picker = drawn("..", "12", "44");
    assert_eq!(pick(&mut picker, ask(1, Has::All, 2)), [(0, 0), (0, 1)]);
    picker.release(1, piece(0), BlockIndex(0), Release::Late);
    assert_eq!(pick(&mut picker, ask(1, Has::All, 1)), [(1, 0)]);
    assert_eq!(pick(&mut picker, ask(1, Has::All, 9)), [(1, 1), (0, 0)]);
}

#[test]
fn pieces_of_ones_own_are_shared_only_when_nothing_else_is_left() {
    let mut picker = drawn("..", "12", "44");
    let whole = |peer, want| Ask { share: Share::Whole, ..ask(peer, Has::All, want) };
    assert_eq!(pick(&mut picker, whole(1, 1)), [(0, 0)]);
    assert_eq!(pick(&mut picker, ask(2, Has::All, 1)), [(1, 0)]);
    assert_eq!(pick(&mut picker, whole(1, 1)), [(0, 1)]);
    picker.release_all(1, &[(piece(0), BlockIndex(1))]);
    assert_eq!(pick(&mut picker, ask(2, Has::All, 2)), [(0, 1), (1, 1)]);
}

#[test]
fn a_holder_that_leaves_owing_nothing_frees_its_piece() {
    let mut picker = drawn("...", "123", "444");
    let whole = Ask { share: Share::Whole, ..ask(1, Has::All, 1) };
    assert_eq!(pick(&mut picker, whole), [(0, 0)]);
    receive(&mut picker, 1, 0, 0);
    assert_eq!(pick(&mut picker, ask(2, Has::All, 1)), [(1, 0)]);
    picker.release_all(1, &[]);
    assert_eq!(pick(&mut picker, ask(2, Has::All, 1)), [(0, 1)]);
}

#[test]
fn a_choked_peer_is_asked_for_its_allowed_fast_pieces_only() {
    let mut picker = drawn("....", "1211", "4444");
    let only = [piece(3), piece(1)];
    let choked = Ask { only: Some(&only), ..ask(1, Has::All, 3) };
    assert_eq!(pick(&mut picker, choked), [(3, 0), (3, 1), (1, 0)]);
    assert_eq!(pick(&mut picker, choked), [(1, 1)]);
}

#[test]
fn a_skipped_piece_is_not_asked_for_further_and_comes_back_when_wanted() {
    let mut picker = drawn("..", "12", "44");
    pick(&mut picker, ask(1, Has::All, 1));
    picker.set_priority(piece(0), Priority::SKIP);
    assert_eq!(pick(&mut picker, ask(1, Has::All, 9)), [(1, 0), (1, 1)]);
    picker.take_new_work();
    picker.set_priority(piece(0), Priority::NORMAL);
    assert!(picker.take_new_work());
    assert_eq!(pick(&mut picker, ask(1, Has::All, 9)), [(0, 1)]);
}

#[test]
fn runs_of_priorities_count_at_once_however_long_they_are() {
    let mut picker = drawn("...#..", "321111", "000000");
    assert!(picker.is_finished() && !picker.is_interesting(Has::All));
    let priority = |raw| Priority::new(raw).unwrap();
    picker.set_priorities(&[(0..2, priority(1)), (2..4, priority(7)), (5..99, priority(1))]);
    assert!(picker.take_new_work());
    assert_eq!(pieces(&mut picker, Has::All), [2, 5, 1, 0], "4 is skipped and 3 is had");
    let many = Layout::new(100_000 * u64::from(BLOCK_LEN), BLOCK_LEN).unwrap();
    let mut picker = Picker::new(many);
    picker.set_priorities(&[(0..99_998, Priority::SKIP), (99_998..100_000, Priority::HIGHEST)]);
    let mut found: Vec<u32> = pick(&mut picker, ask(1, Has::All, 9)).iter().map(|p| p.0).collect();
    found.sort_unstable();
    assert_eq!(found, [99_998, 99_999], "before the order has settled");
}

#[test]
fn a_started_piece_that_nobody_wants_any_more_is_told_once_nobody_is_asked_for_it() {
    let mut picker = drawn("..", "12", "44");
    pick(&mut picker, ask(1, Has::All, 3));
    receive(&mut picker, 1, 0, 0);
    picker.set_priorities(&[(0..2, Priority::SKIP)]);
    assert_eq!(picker.unwanted_piece(), None, "what was asked for still comes");
    picker.release_all(1, &[(piece(0), BlockIndex(1)), (piece(1), BlockIndex(0))]);
    for _ in 0..2 {
        let unwanted = picker.unwanted_piece().unwrap();
        picker.abandon(unwanted);
    }
    assert_eq!((picker.unwanted_piece(), picker.partial_count()), (None, 0));
}

#[test]
fn the_cold_piece_is_the_one_that_nobody_is_asked_for_and_least_is_here_of() {
    let mut picker = drawn("...", "123", "444");
    let owed = pick(&mut picker, ask(1, Has::All, 5));
    assert_eq!(picker.cold_piece(), None);
    receive(&mut picker, 1, 0, 0);
    let owed: Vec<_> = owed[1..4].iter().map(|(p, b)| (piece(*p), BlockIndex(*b))).collect();
    picker.release_all(1, &owed);
    assert_eq!(picker.cold_piece(), Some(piece(1)), "2 is under way, of 0 one block is here");
    picker.abandon(piece(1));
    assert_eq!((picker.cold_piece(), picker.partial_count()), (Some(piece(0)), 2));
}

#[test]
fn a_bitfield_counts_for_its_pieces_alone_with_those_behind_its_last_whole_byte() {
    let told = [".#.#....####", "##........##", "............"];
    let mut picker = drawn("............", "000000000001", "444444444444");
    told.iter().for_each(|told| picker.peer_joined(&field(told)));
    let counts = |picker: &Picker| -> Vec<u32> {
        (0..12).map(|raw| picker.availability(piece(raw))).collect()
    };
    assert_eq!(counts(&picker), [1, 2, 0, 1, 0, 0, 0, 0, 1, 1, 2, 3]);
    picker.peer_left(&field(told[0]));
    picker.peer_left(&field(told[2]));
    assert_eq!(counts(&picker), [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
}

#[test]
fn seeds_count_for_availability_and_make_nothing_rarer() {
    let mut picker = drawn("..", "12", "44");
    picker.seed_joined();
    picker.peer_joined(&field("##"));
    assert_eq!((picker.availability(piece(0)), picker.availability(piece(1))), (3, 4));
    picker.seed_left();
    picker.peer_left(&field("#."));
    assert_eq!((picker.availability(piece(0)), picker.availability(piece(1))), (1, 3));
    assert_eq!(picker.wanted_count(Has::Some(&field("#."))), 1);
    assert_eq!(pieces(&mut picker, Has::All), [0, 1]);
}
