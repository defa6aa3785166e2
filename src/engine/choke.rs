//! The choker of one torrent: which peers may request from us.
//!
//! Downloading, a peer is paid by what it sent us lately (BEP 3, choking). Seeding, peers take
//! turns. A part of the slots is optimistic: given by chance, so that newcomers can show what they
//! are worth.

use std::cmp::Reverse;
use std::time::Duration;

use crate::base::instant::Instant;
use crate::base::rng::Rng;

/// Time between two rounds (BEP 3: ten seconds, so that TCP can get up to speed in between).
const ROUND: Duration = Duration::from_secs(10);
/// Time that an optimistic slot stays with its peer (BEP 3: thirty seconds).
const OPTIMISTIC_TURN: Duration = Duration::from_secs(30);
/// One slot of so many is optimistic.
const SLOTS_PER_OPTIMISTIC: usize = 5;
/// Peers connected for less than this count as new; two optimistic turns.
const NEW_PEER: Duration = Duration::from_secs(60);
/// How many times likelier a new peer is to become optimistic (BEP 3).
const NEW_PEER_WEIGHT: u64 = 3;
/// A turn while seeding lasts at least this long: shorter ones end before TCP is fast.
const SEED_TURN_MIN: Duration = Duration::from_secs(60);
/// And at most this long, or a peer that asks for nothing would sit on its slot for ever.
const SEED_TURN_MAX: Duration = Duration::from_secs(180);
/// Bytes after which a peer has had its turn: some dozens of pieces, which it can pass on to
/// others.
const SEED_TURN_BYTES: u64 = 16 * 1024 * 1024;

/// What the choker knows about a peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<K> {
    pub(crate) key: K,
    pub(crate) is_interested: bool,
    /// It owes us blocks and sends none: at most an optimistic slot.
    pub(crate) is_snubbed: bool,
    /// A seed or a partial seed (BEP 21): it wants nothing.
    pub(crate) is_upload_only: bool,
    /// Bytes per second that it sent us lately.
    pub(crate) received_rate: u64,
    /// Bytes per second that we sent it lately.
    pub(crate) sent_rate: u64,
    /// Since when we have it unchoked; `None` while choked.
    pub(crate) unchoked_since: Option<Instant>,
    /// Bytes sent since then.
    pub(crate) sent_since_unchoked: u64,
    /// When it was choked last; `None` if it was never unchoked.
    pub(crate) choked_since: Option<Instant>,
    pub(crate) connected_since: Instant,
}

/// What slots are paid with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Currency {
    /// Downloading: bytes received lately.
    Rate,
    /// Seeding: everyone in turn.
    Turns,
}

/// What must be remembered between rounds.
#[derive(Debug)]
pub(crate) struct Choker<K> {
    optimistic: Vec<K>,
    next_round: Instant,
    next_rotation: Instant,
}

impl<K: Copy + Ord> Choker<K> {
    pub(crate) fn new(now: Instant) -> Choker<K> {
        Choker { optimistic: Vec::new(), next_round: now, next_rotation: now }
    }

    /// Who is to be unchoked now, in no order; everyone else is to be choked. Called after each
    /// `handle_timeout` that was due, and whenever a slot became free or interest changed: between
    /// rounds, optimistic peers keep their slots. Costs O(candidates).
    pub(crate) fn choose(
        &mut self,
        candidates: &[Candidate<K>],
        slots: usize,
        currency: Currency,
        now: Instant,
        rng: &mut Rng,
    ) -> Vec<K> {
        let mut had_their_turn = Vec::new();
        if now >= self.next_rotation {
            self.next_rotation = now + OPTIMISTIC_TURN;
            had_their_turn = std::mem::take(&mut self.optimistic);
            had_their_turn.sort_unstable();
        }
        let may = candidates.iter().filter(|c| c.is_interested && !c.is_upload_only);
        let may: Vec<&Candidate<K>> = may.collect();
        let slots = slots.min(may.len());
        let (chosen, left) = match currency {
            Currency::Rate => by_rate(may, slots - optimistic_count(slots), rng),
            Currency::Turns => by_turns(may, slots, now, rng),
        };
        let mut chosen: Vec<K> = chosen.iter().map(|c| c.key).collect();
        self.choose_optimistic(&had_their_turn, &left, slots - chosen.len(), now, rng);
        chosen.extend(&self.optimistic);
        chosen
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if now >= self.next_round {
            self.next_round = now + ROUND;
        }
    }

    /// When the next round is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        Some(self.next_round)
    }

    /// Gives `free` slots by chance: who has one keeps it, and those whose turn has just ended come
    /// again only if there is nobody else.
    fn choose_optimistic(
        &mut self,
        had_their_turn: &[K],
        left: &[&Candidate<K>],
        free: usize,
        now: Instant,
        rng: &mut Rng,
    ) {
        if free == 0 {
            return self.optimistic.clear();
        }
        let mut held = self.optimistic.clone();
        held.sort_unstable();
        let (mut here, others): (Vec<&Candidate<K>>, Vec<&Candidate<K>>) =
            left.iter().partition(|c| held.binary_search(&c.key).is_ok());
        here.sort_unstable_by_key(|c| c.key);
        self.optimistic.retain(|key| here.binary_search_by_key(key, |c| c.key).is_ok());
        self.optimistic.truncate(free);
        let rank = |c: &&Candidate<K>, rng: &mut Rng| {
            (had_their_turn.binary_search(&c.key).is_ok(), ticket(c, now, rng))
        };
        let next = best(others, free - self.optimistic.len(), rank, rng).0;
        self.optimistic.extend(next.iter().map(|c| c.key));
    }
}

/// How many of `slots` are given by chance.
fn optimistic_count(slots: usize) -> usize {
    (slots / SLOTS_PER_OPTIMISTIC).max(1).min(slots)
}

/// The best senders; among equals those that are unchoked already, so that slots do not flutter.
/// And everybody else.
fn by_rate<'c, K>(
    may: Vec<&'c Candidate<K>>,
    slots: usize,
    rng: &mut Rng,
) -> (Vec<&'c Candidate<K>>, Vec<&'c Candidate<K>>) {
    let slots = slots.min(may.iter().filter(|c| !c.is_snubbed).count());
    let rank = |c: &&Candidate<K>, _: &mut Rng| {
        (c.is_snubbed, Reverse(c.received_rate), c.unchoked_since.is_none())
    };
    best(may, slots, rank, rng)
}

/// Whoever is in the middle of a turn; then who never had one; then who waits longest; then who has
/// had a turn, the fastest first. And everybody else.
fn by_turns<'c, K>(
    may: Vec<&'c Candidate<K>>,
    slots: usize,
    now: Instant,
    rng: &mut Rng,
) -> (Vec<&'c Candidate<K>>, Vec<&'c Candidate<K>>) {
    let rank = |c: &&Candidate<K>, _: &mut Rng| match (c.unchoked_since, c.choked_since) {
        (Some(since), _) if !is_turn_over(c, since, now) => (0, since.as_nanos(), Reverse(0)),
        (Some(_), _) => (3, 0, Reverse(c.sent_rate)),
        (None, None) => (1, 0, Reverse(0)),
        (None, Some(since)) => (2, since.as_nanos(), Reverse(0)),
    };
    best(may, slots, rank, rng)
}

/// Parts the `count` of lowest rank from the others. Equals are parted by chance. Not sorted:
/// thousands of candidates shall take microseconds.
fn best<T: Copy, R: Ord>(
    all: Vec<T>,
    count: usize,
    rank: impl Fn(&T, &mut Rng) -> R,
    rng: &mut Rng,
) -> (Vec<T>, Vec<T>) {
    if count == 0 || count >= all.len() {
        return if count == 0 { (Vec::new(), all) } else { (all, Vec::new()) };
    }
    let ranked = all.into_iter().map(|one| (rank(&one, rng), rng.next_u64(), one));
    let mut ranked: Vec<(R, u64, T)> = ranked.collect();
    let is_less = |a: &(R, u64, T), b: &(R, u64, T)| (&a.0, a.1).cmp(&(&b.0, b.1));
    ranked.select_nth_unstable_by(count, is_less);
    let others = ranked.split_off(count);
    let bare = |ranked: Vec<(R, u64, T)>| ranked.into_iter().map(|(.., one)| one).collect();
    (bare(ranked), bare(others))
}

fn is_turn_over<K>(candidate: &Candidate<K>, since: Instant, now: Instant) -> bool {
    let turn = now.since(since);
    turn >= SEED_TURN_MAX
        || (turn >= SEED_TURN_MIN && candidate.sent_since_unchoked >= SEED_TURN_BYTES)
}

/// The best of a candidate's tickets, the lowest: as if all tickets of all were drawn one after the
/// other, and whoever has none left were passed over.
fn ticket<K>(candidate: &Candidate<K>, now: Instant, rng: &mut Rng) -> u64 {
    let is_new = now.since(candidate.connected_since) < NEW_PEER;
    let count = if is_new { NEW_PEER_WEIGHT } else { 1 };
    (0..count).fold(u64::MAX, |best, _| best.min(rng.next_u64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_millis(1_000_000);

    fn ago(seconds: u64) -> Instant {
        NOW - Duration::from_secs(seconds)
    }

    /// Peers as words: a letter, its rate in KB/s, then `-` not interested, `~` snubbed, `=` upload
    /// only, `+` new.
    fn drawn(peers: &str) -> Vec<Candidate<char>> {
        let one = |word: &str| {
            let digits: String = word.chars().filter(char::is_ascii_digit).collect();
            Candidate {
                key: word.chars().next().unwrap(),
                is_interested: !word.contains('-'),
                is_snubbed: word.contains('~'),
                is_upload_only: word.contains('='),
                received_rate: digits.parse().unwrap_or(0),
                sent_rate: 0,
                unchoked_since: None,
                sent_since_unchoked: 0,
                choked_since: None,
                connected_since: ago(if word.contains('+') { 5 } else { 500 }),
            }
        };
        peers.split_whitespace().map(one).collect()
    }

    fn choose(peers: &[Candidate<char>], slots: usize, currency: Currency, seed: u64) -> String {
        let mut choker = Choker::new(NOW);
        choker.choose(peers, slots, currency, NOW, &mut Rng::new(seed)).iter().collect()
    }

    #[test]
    fn regular_slots_go_to_the_best_senders() {
        let table = [
            ("a1 b9 c5 d7 e3", 3, "bd"),
            ("a1 b9- c5 d7~ e3=", 3, "ca"),
            ("a1 b9 c5 d7 e3 f2 g4 h6 i8 j0", 6, "bidhc"),
            ("a1 b9 c5 d7 e3 f2 g4 h6 i8 j0 k0 l0", 10, "bidhcgef"),
            ("a1 b9", 0, ""),
            ("a1- b9=", 3, ""),
        ];
        for (peers, slots, regular) in table {
            let chosen = choose(&drawn(peers), slots, Currency::Rate, 7);
            let first = &chosen[..regular.len()];
            assert!(regular.chars().all(|peer| first.contains(peer)), "{peers}: {chosen}");
            assert!(chosen.len() <= slots);
        }
    }

    #[test]
    fn a_fifth_of_the_slots_but_at_least_one_is_optimistic() {
        let table = [(0, 0), (1, 1), (4, 1), (5, 1), (9, 1), (10, 2), (50, 10)];
        for (slots, optimistic) in table {
            assert_eq!(optimistic_count(slots), optimistic, "{slots} slots");
        }
    }

    #[test]
    fn snubbed_peers_get_slots_only_by_chance_and_seeds_never() {
        for seed in 0..50 {
            let chosen = choose(&drawn("a9~ b9= c1 d2 e9-"), 2, Currency::Rate, seed);
            assert!(["da", "dc"].contains(&chosen.as_str()), "{chosen}");
            let mut all: Vec<char> =
                choose(&drawn("a9~ b9= c1 d2"), 9, Currency::Rate, seed).chars().collect();
            all.sort_unstable();
            assert_eq!(all, ['a', 'c', 'd'], "with slots for all, chance finds everyone");
        }
    }

    #[test]
    fn a_new_peer_is_three_times_as_likely_to_be_optimistic() {
        let peers = drawn("a0~ b0~+");
        let wins = (0..4000).filter(|seed| choose(&peers, 1, Currency::Rate, *seed) == "b").count();
        assert!((2850..3150).contains(&wins), "{wins} of 4000");
    }

    #[test]
    fn optimistic_slots_rotate_every_thirty_seconds_and_not_between() {
        let mut choker = Choker::new(NOW);
        let mut rng = Rng::new(3);
        let mut now = NOW;
        let mut turns = Vec::new();
        for round in 0..30 {
            assert_eq!(choker.poll_timeout(), Some(now));
            choker.handle_timeout(now);
            let peers = drawn("a9 b8 c0 d0 e0");
            let chosen = choker.choose(&peers, 3, Currency::Rate, now, &mut rng);
            assert!(['a', 'b'].iter().all(|peer| chosen[..2].contains(peer)), "{chosen:?}");
            if round % 3 == 0 {
                assert_ne!(turns.last(), Some(&chosen[2]), "a turn goes to someone else");
                turns.push(chosen[2]);
            }
            assert_eq!(turns.last(), Some(&chosen[2]), "round {round}");
            now = now + ROUND;
        }
        assert!(['c', 'd', 'e'].iter().all(|peer| turns.contains(peer)), "{turns:?}");
    }

    #[test]
    fn an_optimistic_peer_that_earns_a_slot_makes_room_for_another() {
        let mut choker = Choker::new(NOW);
        let mut rng = Rng::new(3);
        let first = choker.choose(&drawn("a9 b8 c0 d0"), 3, Currency::Rate, NOW, &mut rng)[2];
        let mut peers = drawn("a9 b8 c0 d0");
        peers.iter_mut().find(|c| c.key == first).unwrap().received_rate = 99;
        let chosen = choker.choose(&peers, 3, Currency::Rate, NOW + ROUND, &mut rng);
        assert!([first, 'a'].iter().all(|peer| chosen[..2].contains(peer)), "{chosen:?}");
        assert_ne!(chosen[2], first);
        peers.retain(|c| c.key != chosen[2]);
        let after = choker.choose(&peers, 3, Currency::Rate, NOW + ROUND, &mut rng);
        assert_eq!(after.len(), 3, "a peer that left is replaced at once: {after:?}");
    }

    #[test]
    fn equal_senders_keep_the_slots_they_have() {
        for seed in 0..20 {
            let mut peers = drawn("a5 b5 c5 d5 e5");
            for at in [1, 3] {
                peers[at].unchoked_since = Some(ago(10));
            }
            let chosen = choose(&peers, 3, Currency::Rate, seed);
            assert!(chosen[..2].contains('b') && chosen[..2].contains('d'), "{chosen}");
        }
    }

    #[test]
    fn seeding_goes_by_turns() {
        let mut peers = drawn("a b c d e f");
        let unchoked = |c: &mut Candidate<char>, seconds, sent, rate| {
            c.unchoked_since = Some(ago(seconds));
            c.sent_since_unchoked = sent;
            c.sent_rate = rate;
        };
        unchoked(&mut peers[0], 30, 1 << 30, 1); // in its first minute
        unchoked(&mut peers[1], 70, 1 << 30, 5); // had its turn
        unchoked(&mut peers[2], 70, 1 << 20, 9); // did not get its share yet
        unchoked(&mut peers[3], 200, 0, 0); // asks for nothing
        peers[4].choked_since = Some(ago(100));
        for seed in 0..20 {
            for (slots, wanted) in [(2, "ac"), (4, "acef"), (5, "abcef"), (6, "abcdef")] {
                let mut chosen: Vec<char> =
                    choose(&peers, slots, Currency::Turns, seed).chars().collect();
                chosen.sort_unstable();
                assert_eq!(chosen.iter().collect::<String>(), wanted);
            }
        }
    }

    #[test]
    fn seeding_serves_everyone_in_the_end() {
        let mut choker = Choker::new(NOW);
        let mut rng = Rng::new(5);
        let mut peers = drawn("a b c d e f g");
        let mut served = std::collections::BTreeSet::new();
        for round in 0..40 {
            let now = NOW + ROUND * round;
            let chosen = choker.choose(&peers, 2, Currency::Turns, now, &mut rng);
            assert_eq!(chosen.len(), 2);
            for peer in &mut peers {
                let is_chosen = chosen.contains(&peer.key);
                if is_chosen && peer.unchoked_since.is_none() {
                    (peer.unchoked_since, peer.sent_since_unchoked) = (Some(now), 1 << 30);
                } else if !is_chosen && peer.unchoked_since.take().is_some() {
                    peer.choked_since = Some(now);
                }
            }
            served.extend(chosen);
        }
        assert_eq!(served.len(), 7);
    }
}
