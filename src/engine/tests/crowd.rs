//! A seed and a crowd of peers that are made of nothing but the bytes they say.

use std::collections::VecDeque;

use super::*;
use crate::codec::message::Message;
use crate::engine::swarm::state::Swarm;

/// A seed with many peers. Batches are under way until a test lets them arrive.
struct Crowd {
    pair: Pair,
    conns: Vec<ConnId>,
    /// Blocks that each was sent.
    blocks: Vec<usize>,
    sending: VecDeque<usize>,
}

impl Crowd {
    fn new(count: usize, settings: &Settings) -> Crowd {
        let mut pair = Pair::new(1 << 20, 65_536, settings);
        pair.run(20, |pair| pair.hosts[0].alerts.contains(&AlertKind::Finished));
        let mut crowd =
            Crowd { pair, conns: Vec::new(), blocks: vec![0; count], sending: VecDeque::new() };
        let info_hash = crowd.swarm().names().primary();
        for at in 0..count {
            let address = SocketAddr::from(([10, 1, (at / 250) as u8, (at % 250) as u8], 9));
            let engine = &mut crowd.pair.hosts[0].engine;
            let conn = engine.handle_accepted(crowd.pair.now, address).expect("there is room");
            let mut peer_id = [7; 20];
            peer_id[..8].copy_from_slice(&(at as u64).to_le_bytes());
            let hello = Handshake::ours(info_hash, peer_id).encode();
            engine.handle_bytes(crowd.pair.now, conn, &hello);
            crowd.conns.push(conn);
            crowd.say(at, &Message::HaveNone);
            crowd.say(at, &Message::Interested);
            crowd.drain();
        }
        crowd
    }

    fn swarm(&self) -> &Swarm {
        let swarms = &self.pair.hosts[0].engine.swarms;
        let slot = swarms.by_id(TorrentId(1)).expect("it was added");
        swarms.awake(slot).expect("it has peers")
    }

    fn unchoked_count(&self) -> usize {
        self.swarm().peers.iter().filter(|(_, peer)| peer.unchoked_since.is_some()).count()
    }

    fn say(&mut self, at: usize, message: &Message<'_>) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.pair.hosts[0].engine.handle_bytes(self.pair.now, self.conns[at], &bytes);
    }

    fn drain(&mut self) {
        while let Some(output) = self.pair.hosts[0].engine.poll_output() {
            let Output::Send { conn } = output else {
                self.pair.obey(0, output);
                continue;
            };
            let Some(at) = self.conns.iter().position(|known| *known == conn) else { continue };
            if self.sending.contains(&at) {
                continue;
            }
            let mut batch = SendBatch::default();
            self.pair.hosts[0].engine.poll_send(self.pair.now, conn, &mut batch);
            self.blocks[at] += batch.block_count();
            if !batch.is_empty() {
                self.sending.push_back(at);
            }
        }
    }

    /// The oldest batch arrives; false if there is none.
    fn arrive(&mut self) -> bool {
        let Some(at) = self.sending.pop_front() else { return false };
        self.pair.hosts[0].engine.handle_sent(self.pair.now, self.conns[at], 1);
        self.drain();
        true
    }
}

#[test]
fn a_seed_serves_everybody_who_is_interested_up_to_its_slots() {
    for (seed_slots_max, count) in [(500, 200), (64, 64), (3, 3)] {
        let crowd = Crowd::new(200, &Settings { seed_slots_max, ..Settings::default() });
        assert_eq!(crowd.unchoked_count(), count, "of 200");
    }
}

#[test]
fn a_seed_on_a_slow_line_takes_slots_away_and_a_rotation_goes_on() {
    let mut crowd = Crowd::new(200, &Settings::default());
    for at in 0..200 {
        crowd.say(at, &Message::Request { piece: 0, begin: 0, length: 16_384 });
        crowd.say(at, &Message::Request { piece: 1, begin: 0, length: 16_384 });
    }
    crowd.drain();
    // Nothing arrives for a round: 400 blocks wait.
    crowd.pair.now = crowd.pair.now + Duration::from_secs(11);
    crowd.pair.hosts[0].engine.handle_timeout(crowd.pair.now);
    crowd.drain();
    assert_eq!(crowd.unchoked_count(), 64, "the floor");
}

#[test]
fn who_finds_no_room_to_be_read_for_is_served_in_turn() {
    let mut crowd = Crowd::new(5, &Settings { read_budget: 1, ..Settings::default() });
    while crowd.arrive() {}
    for at in 0..5 {
        for block in 0..64 {
            let (piece, begin) = (block / 4, block % 4 * 16_384);
            crowd.say(at, &Message::Request { piece, begin, length: 16_384 });
        }
    }
    crowd.drain();
    let mut spread_max = 0;
    while crowd.arrive() {
        let (most, least) = (crowd.blocks.iter().max(), crowd.blocks.iter().min());
        spread_max = spread_max.max(most.unwrap() - least.unwrap());
    }
    assert_eq!(crowd.blocks, [64; 5], "the smallest budget is one batch");
    assert!(spread_max <= 32 + 8, "{spread_max} blocks between the first and the last");
}

#[test]
fn who_leaves_while_it_waits_for_room_leaves_nothing_behind() {
    let mut crowd = Crowd::new(5, &Settings { read_budget: 1, ..Settings::default() });
    while crowd.arrive() {}
    for at in 0..5 {
        for block in 0..64 {
            let (piece, begin) = (block / 4, block % 4 * 16_384);
            crowd.say(at, &Message::Request { piece, begin, length: 16_384 });
        }
    }
    crowd.drain();
    assert!(crowd.pair.hosts[0].engine.turn.readers.len() >= 4, "one took all the room");
    for at in 0..5 {
        let conn = crowd.conns[at];
        let engine = &mut crowd.pair.hosts[0].engine;
        engine.handle_closed(crowd.pair.now, conn, CloseReason::EndOfStream);
    }
    crowd.sending.clear();
    crowd.drain();
    let turn = &crowd.pair.hosts[0].engine.turn;
    assert_eq!((turn.readers.len(), turn.reads.used()), (0, 0));
}

/// A crowd of 600 of whom everybody has a slot.
fn large_crowd() -> Crowd {
    let settings = Settings { connections_per_torrent_max: 1_000, ..Settings::default() };
    let mut crowd = Crowd::new(600, &Settings { seed_slots_max: 1_000, ..settings });
    assert!(crowd.unchoked_count() >= 256, "so many are served at once");
    crowd.wait(Duration::from_millis(20));
    assert_eq!(crowd.unchoked_count(), 600);
    crowd
}

impl Crowd {
    fn wait(&mut self, time: Duration) {
        self.pair.now = self.pair.now + time;
        self.pair.hosts[0].engine.handle_timeout(self.pair.now);
        self.drain();
    }
}

#[test]
fn a_choice_among_many_takes_slices_and_the_next_one_waits() {
    let mut crowd = large_crowd();
    crowd.wait(Duration::from_millis(20));
    crowd.say(0, &Message::NotInterested);
    assert!(crowd.pair.hosts[0].engine.flush());
    assert!(crowd.swarm().choosing.is_some(), "one flush looks at some of them");
    crowd.drain();
    assert_eq!((crowd.unchoked_count(), crowd.swarm().choice_due()), (599, None));
    (1..9).for_each(|at| crowd.say(at, &Message::NotInterested));
    crowd.drain();
    let due = crowd.swarm().choice_due().expect("there will be a choice");
    assert_eq!((crowd.unchoked_count(), due.since(crowd.pair.now).as_micros()), (599, 6_000));
    crowd.wait(Duration::from_millis(6));
    assert_eq!((crowd.unchoked_count(), crowd.swarm().choice_due()), (591, None));
}

#[test]
fn what_is_done_for_a_crowd_lets_the_ring_look_at_its_clock() {
    let mut crowd = large_crowd();
    while crowd.arrive() {}
    crowd.pair.now = crowd.pair.now + Duration::from_secs(1);
    let engine = &mut crowd.pair.hosts[0].engine;
    engine.handle_timeout(crowd.pair.now);
    let outputs: Vec<Output> = std::iter::from_fn(|| engine.poll_output()).collect();
    let pauses = outputs.iter().filter(|output| matches!(output, Output::Nothing)).count();
    assert!((600 / 8..=600 / 4).contains(&pauses), "{pauses} looks in {} outputs", outputs.len());
}

#[test]
fn the_slot_of_somebody_who_left_before_it_was_told_goes_to_another() {
    // A choice named peers that were gone when their slice came, and their slots stayed empty until
    // the next round.
    let mut crowd = Crowd::new(240, &Settings { seed_slots_max: 50, ..Settings::default() });
    assert_eq!(crowd.unchoked_count(), 50, "the first who came");
    (0..50).for_each(|at| crowd.say(at, &Message::NotInterested));
    while !crowd.swarm().choosing.as_ref().is_some_and(|choosing| choosing.is_decided()) {
        assert!(crowd.pair.hosts[0].engine.flush(), "there is a choice to be made");
    }
    for at in 64..150 {
        let (now, conn) = (crowd.pair.now, crowd.conns[at]);
        crowd.pair.hosts[0].engine.handle_closed(now, conn, CloseReason::EndOfStream);
    }
    crowd.drain();
    assert_eq!(crowd.unchoked_count(), 50, "104 peers would like to have them");
}
