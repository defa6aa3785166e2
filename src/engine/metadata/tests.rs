//! Fetching metadata from honest peers, liars, and peers that are silent or leave.

use super::*;
use crate::base::digest::Sha256;
use crate::base::limits::METADATA_LEN_MAX;
use crate::base::rng::Rng;

/// What a peer does with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Manner {
    Honest,
    /// Sends other bytes.
    Lies,
    /// Sends other bytes of one part alone.
    LiesOnce(u32),
    Rejects,
    Stalls,
}

/// A fetch, the peers it knows, and what came of it.
struct Table {
    fetch: MetadataFetch,
    now: Instant,
    good: Vec<u8>,
    manners: BTreeMap<u32, (Manner, Vec<u8>)>,
    /// Requests by peer.
    asked: BTreeMap<u32, Vec<u32>>,
    guilty: Vec<u32>,
    done: Option<Vec<u8>>,
    is_contradicted: bool,
}

fn bytes(len: usize) -> Vec<u8> {
    let mut rng = Rng::new(len as u64);
    (0..len).map(|_| rng.next_u64() as u8).collect()
}

fn address(peer: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, (peer >> 8) as u8, peer as u8], 6881))
}

fn named(good: &[u8]) -> InfoHashes {
    InfoHashes::from_v1(Sha1::of(good))
}

impl Table {
    fn new(len: usize) -> Table {
        let good = bytes(len);
        Table::with(named(&good), good)
    }

    fn with(hashes: InfoHashes, good: Vec<u8>) -> Table {
        Table {
            fetch: MetadataFetch::new(hashes, Instant::ZERO),
            now: Instant::ZERO,
            good,
            manners: BTreeMap::new(),
            asked: BTreeMap::new(),
            guilty: Vec::new(),
            done: None,
            is_contradicted: false,
        }
    }

    /// A peer that claims the right size.
    fn join(&mut self, peer: u32, manner: Manner) {
        self.join_with(peer, manner, self.good.clone());
    }

    /// A peer whose metadata is this.
    fn join_with(&mut self, peer: u32, manner: Manner, own: Vec<u8>) {
        self.fetch.handle_claim(self.now, peer, address(peer), own.len() as u32);
        self.manners.insert(peer, (manner, own));
    }

    fn leave(&mut self, peer: u32) {
        self.manners.remove(&peer);
        self.fetch.handle_left(self.now, peer);
    }

    /// Answers one request in a peer's manner.
    fn answer(&mut self, peer: u32, part: u32) {
        let Some((manner, own)) = self.manners.get(&peer) else { return };
        let start = part as usize * 16_384;
        let mut sent = own[start..own.len().min(start + 16_384)].to_vec();
        match manner {
            Manner::Honest => {}
            Manner::Lies => sent[0] ^= 1,
            Manner::LiesOnce(lie) => sent[0] ^= u8::from(*lie == part),
            Manner::Rejects => return self.fetch.handle_reject(self.now, peer, part),
            Manner::Stalls => return,
        }
        let size = Some(own.len() as u32);
        let taken = self.fetch.handle_part(self.now, peer, (part, size), sent.into());
        assert_eq!(taken, Ok(()));
    }

    /// Lets everything happen that waits for no time. Guilty peers leave, as their swarm would have
    /// them.
    fn settle(&mut self) {
        loop {
            let hashed = self.fetch.wants_hash();
            if hashed {
                self.fetch.hash(self.now, Lanes::PORTABLE, 100_000);
            }
            match self.fetch.poll_event() {
                Some(MetadataEvent::Ask { peer, part }) => {
                    self.asked.entry(peer).or_default().push(part);
                    self.answer(peer, part);
                }
                Some(MetadataEvent::Guilty { address, .. }) => {
                    let ip = address.ip().to_string();
                    let peer: u32 = ip.rsplit('.').next().unwrap().parse().unwrap();
                    self.guilty.push(peer);
                    self.leave(peer);
                }
                Some(MetadataEvent::Done(info)) => self.done = Some(info),
                Some(MetadataEvent::Contradiction) => self.is_contradicted = true,
                None if hashed => {}
                None => return,
            }
        }
    }

    /// Jumps from deadline to deadline until it is done or `limit` seconds have passed.
    fn run(&mut self, limit: u64) {
        let end = self.now + Duration::from_secs(limit);
        self.settle();
        while self.done.is_none()
            && let Some(at) = self.fetch.poll_timeout().filter(|at| *at <= end)
        {
            assert!(at > self.now, "time goes on");
            self.now = at;
            self.fetch.handle_timeout(at);
            self.settle();
        }
    }

    fn is_done(&self) -> bool {
        self.done.as_ref() == Some(&self.good)
    }

    fn seconds(&self) -> u64 {
        self.now.since(Instant::ZERO).as_secs()
    }
}

#[test]
fn parts_are_asked_of_all_peers_at_once_and_each_part_once() {
    let mut table = Table::new(10 * 16_384 + 5);
    (1..=3).for_each(|peer| table.join(peer, Manner::Honest));
    table.settle();
    assert!(table.is_done() && table.seconds() == 0);
    let mut asked: Vec<u32> = table.asked.values().flatten().copied().collect();
    asked.sort_unstable();
    assert_eq!(asked, (0..11).collect::<Vec<u32>>());
    assert!(table.asked.values().all(|own| own.len() >= 3), "{:?}", table.asked);
}

#[test]
fn no_more_than_four_parts_are_asked_of_one_peer_at_once() {
    let mut table = Table::new(100 * 16_384);
    table.join(1, Manner::Stalls);
    table.settle();
    assert_eq!(table.asked[&1], [0, 1, 2, 3]);
}

#[test]
fn v1_v2_and_both_hashes_are_checked_and_two_that_disagree_blame_nobody() {
    let good = bytes(40_000);
    let (v1, v2) = (Sha1::of(&good), Sha256::of(&good));
    for (first, second, is_done) in [
        (Some(v1), None, true),
        (None, Some(v2), true),
        (Some(v1), Some(v2), true),
        (Some(v1), Some(Sha256::of(b"other")), false),
        (Some(Sha1::of(b"other")), Some(v2), false),
    ] {
        let mut table = Table::with(InfoHashes::new(first, second).unwrap(), good.clone());
        table.join(1, Manner::Honest);
        table.run(100);
        assert_eq!((table.is_done(), table.is_contradicted), (is_done, !is_done));
        assert!(table.guilty.is_empty());
    }
}

#[test]
fn what_a_stalling_peer_holds_goes_to_others_after_three_seconds() {
    let mut table = Table::new(6 * 16_384);
    table.join(1, Manner::Stalls);
    table.join(2, Manner::Honest);
    table.run(100);
    assert!(table.is_done() && table.seconds() <= 4, "{} s", table.seconds());
}

#[test]
fn a_peer_alone_that_stalled_is_asked_again_and_what_came_before_stays() {
    let mut table = Table::new(6 * 16_384);
    table.join(1, Manner::Honest);
    table.fetch.handle_reject(table.now, 1, 0);
    table.manners.insert(1, (Manner::Stalls, table.good.clone()));
    table.run(15);
    assert!(!table.is_done());
    table.manners.insert(1, (Manner::Honest, table.good.clone()));
    table.run(60);
    assert!(table.is_done(), "at {} s", table.seconds());
}

#[test]
fn a_peer_that_rejects_is_asked_more_and_more_seldom_and_holds_nobody_up() {
    let mut table = Table::new(6 * 16_384);
    table.join(1, Manner::Rejects);
    table.run(300);
    assert!((5..60).contains(&table.asked[&1].len()), "{:?}", table.asked[&1].len());
    let from = table.now;
    table.join(2, Manner::Honest);
    table.run(10);
    assert!(table.is_done() && table.now == from);
}

#[test]
fn a_fetch_goes_on_where_a_peer_left_it() {
    let mut table = Table::new(8 * 16_384);
    table.join(1, Manner::Stalls);
    table.settle();
    table.manners.insert(1, (Manner::Honest, table.good.clone()));
    (0..4).for_each(|part| table.answer(1, part));
    table.leave(1);
    table.fetch.poll_event();
    while table.fetch.poll_event().is_some() {}
    assert_eq!(table.fetch.poll_timeout(), None, "nobody is waited for");
    table.join(2, Manner::Honest);
    table.settle();
    assert!(table.is_done());
    assert_eq!(table.asked[&2], [4, 5, 6, 7]);
}

#[test]
fn a_liar_who_sent_all_of_it_is_guilty_at_once() {
    let mut table = Table::new(50_000);
    table.join(1, Manner::Lies);
    table.settle();
    assert_eq!(table.guilty, [1]);
    table.join(2, Manner::Honest);
    table.settle();
    assert!(table.is_done() && table.guilty == [1]);
}

#[test]
fn among_several_authors_those_who_sent_other_parts_are_guilty_and_nobody_else() {
    for liars in 1..=5 {
        let mut table = Table::new(20 * 16_384);
        (1..=liars).for_each(|peer| table.join(peer, Manner::LiesOnce(peer - 1)));
        (10..13).for_each(|peer| table.join(peer, Manner::Honest));
        table.run(300);
        assert!(table.is_done(), "{liars} liars");
        let guilty = table.guilty.clone();
        assert!(guilty.iter().all(|peer| *peer <= liars), "{guilty:?} of {liars}");
        assert!(!guilty.is_empty());
    }
}

/// A peer that stalls once it may write alone must not keep the turn from the honest one.
#[test]
fn authors_who_stall_lose_their_turn_to_others() {
    let mut table = Table::new(20 * 16_384);
    table.join(1, Manner::Lies);
    (2..=8).for_each(|peer| table.join(peer, Manner::Honest));
    // Several authors, one of them a liar; then all but the last stall.
    let drafts: Vec<MetadataEvent> = std::iter::from_fn(|| table.fetch.poll_event()).collect();
    for event in drafts {
        let MetadataEvent::Ask { peer, part } = event else { panic!("{event:?}") };
        table.answer(peer, part);
    }
    (2..=7).for_each(|peer| _ = table.manners.insert(peer, (Manner::Stalls, table.good.clone())));
    table.run(200);
    assert!(table.is_done(), "at {} s", table.seconds());
    assert_eq!(table.guilty, [1]);
}

#[test]
fn each_claimed_size_is_fetched_by_itself_so_that_liars_about_it_hold_nobody_up() {
    let mut table = Table::new(5 * 16_384);
    for (peer, len) in (1..).zip([1, 7 * 16_384, 4 * 16_384, 16_384]) {
        table.join_with(peer, Manner::Honest, bytes(len));
    }
    table.join_with(9, Manner::Stalls, vec![0; METADATA_LEN_MAX as usize]);
    assert_eq!(table.fetch.held(), 0, "a claim takes no memory");
    table.join(10, Manner::Honest);
    table.run(10);
    assert!(table.is_done() && table.seconds() == 0);
    assert!(table.guilty.iter().all(|peer| *peer <= 4), "{:?}", table.guilty);
}

#[test]
fn several_who_write_at_a_wrong_size_are_guilty_when_the_right_one_is_there() {
    let mut table = Table::new(5 * 16_384);
    let wrong = bytes(6 * 16_384);
    (1..=3).for_each(|peer| table.join_with(peer, Manner::Honest, wrong.clone()));
    table.settle();
    let mut guilty = table.guilty.clone();
    guilty.sort_unstable();
    assert_eq!(guilty, [1, 2, 3], "each was asked for all of it");
    table.join(4, Manner::Honest);
    table.run(10);
    assert!(table.is_done());
}

#[test]
fn a_part_of_another_length_or_of_another_size_is_a_fault_and_an_unasked_one_is_passed_over() {
    let mut table = Table::new(16_384 + 10);
    table.join(1, Manner::Stalls);
    table.settle();
    let size = table.good.len() as u32;
    let now = table.now;
    let mut part = |part: u32, total: Option<u32>, len: usize| {
        table.fetch.handle_part(now, 1, (part, total), vec![0; len].into())
    };
    assert_eq!(part(7, None, 16_384), Ok(()), "nobody asked");
    let fault = PartFault::OtherSize { claimed: size, got: 99 };
    assert_eq!(part(0, Some(99), 16_384), Err(fault));
    assert_eq!(
        part(1, None, 16_384),
        Err(PartFault::Length { part: 1, expected: 10, got: 16_384 })
    );
}

#[test]
fn memory_is_bounded_however_much_is_sent() {
    let mut table = Table::new(3 * 16_384);
    // Three sizes of some 30 MiB, of which all but the last part is sent.
    for peer in 1..=3 {
        let len = 30 * 1024 * 1024 + peer as usize;
        table.join_with(peer, Manner::Honest, vec![peer as u8; len]);
    }
    let mut peak = 0;
    for _ in 0..20_000 {
        let Some(event) = table.fetch.poll_event() else { break };
        if let MetadataEvent::Ask { peer, part } = event
            && part < 1919
        {
            table.answer(peer, part);
        }
        peak = peak.max(table.fetch.held());
    }
    assert!(peak > 30 * 1024 * 1024 && peak <= METADATA_HELD_MAX, "{peak}");
    table.join(9, Manner::Honest);
    table.run(30);
    assert!(table.is_done());
}

#[test]
fn few_drafts_are_kept_of_those_who_left() {
    let mut table = Table::new(3 * 16_384);
    for peer in 1..=100 {
        // The last part alone, of one byte.
        let own = vec![0; 16_384 * peer as usize + 1];
        table.join_with(peer, Manner::Stalls, own.clone());
        while table.fetch.poll_event().is_some() {}
        table.manners.insert(peer, (Manner::Honest, own));
        if peer < 4 {
            table.answer(peer, peer);
        } else {
            table.answer(peer, 0);
        }
        table.leave(peer);
    }
    assert!(table.fetch.drafts.len() <= LEFT_DRAFT_MAX, "{}", table.fetch.drafts.len());
    table.join(101, Manner::Honest);
    table.run(10);
    assert!(table.is_done());
}

#[test]
fn a_claim_of_another_size_gives_back_what_was_asked() {
    let mut table = Table::new(3 * 16_384);
    table.join(1, Manner::Stalls);
    table.settle();
    table.join_with(1, Manner::Stalls, bytes(16_384));
    table.join(2, Manner::Honest);
    table.settle();
    assert!(table.is_done(), "at once, not after three seconds");
}

#[test]
fn hashing_is_sliced() {
    let mut table = Table::new(40 * 16_384);
    table.join(1, Manner::Honest);
    while let Some(MetadataEvent::Ask { peer, part }) = table.fetch.poll_event() {
        table.answer(peer, part);
    }
    let now = table.now;
    let slices = (1..).find(|_| !table.fetch.hash(now, Lanes::PORTABLE, 4 * 16_384)).unwrap();
    assert_eq!(slices, 10);
    assert_eq!(table.fetch.poll_event(), Some(MetadataEvent::Done(table.good)));
}
