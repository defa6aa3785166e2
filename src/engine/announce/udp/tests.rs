//! UDP trackers on a virtual clock: every deadline, every mismatch, every way to be lied to.

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::digest::Sha1;
use crate::base::ids::TorrentId;
use crate::base::instant::Instant;
use crate::base::limits::UDP_ANNOUNCE_MAX;
use crate::base::rng::Rng;
use crate::base::status::TrackerErrorClass;
use crate::codec::announce::AnnounceEvent;
use crate::codec::announce::AnnounceReply;
use crate::codec::announce::ScrapeCounts;
use crate::codec::tracker_udp::Family;
use crate::codec::tracker_udp::UdpReply;
use crate::codec::tracker_udp::UdpRequest;
use crate::engine::announce::ask::Facts;
use crate::engine::announce::ask::Failure;
use crate::engine::announce::event::UdpAnswer;
use crate::engine::announce::event::UdpAsk;
use crate::engine::announce::event::UdpKey;
use crate::engine::announce::event::UdpWhat;
use crate::engine::announce::udp::UdpEvent;
use crate::engine::announce::udp::UdpTrackers;
use crate::engine::to_ring::QueryError;

const HASH: Sha1 = Sha1([7; 20]);
const FACTS: Facts = Facts {
    peer_id: *b"-CS0100-abcdefghijkl",
    port: 6881,
    ip: None,
    uploaded: 1,
    downloaded: 2,
    left: 3,
    is_partial_seed: false,
    numwant: 50,
};

struct World {
    now: Instant,
    rng: Rng,
    udp: UdpTrackers,
    /// Packets not answered yet: where to, transaction, request.
    sent: Vec<(SocketAddr, u32, UdpRequest)>,
    lookups: Vec<(u32, String)>,
    answers: Vec<(u32, Result<UdpAnswer, TrackerErrorClass>, bool)>,
}

impl World {
    fn new() -> World {
        World {
            now: Instant::from_millis(1_000_000),
            rng: Rng::new(3),
            udp: UdpTrackers::new(false),
            sent: Vec::new(),
            lookups: Vec::new(),
            answers: Vec::new(),
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.udp.poll_event() {
            match event {
                UdpEvent::Resolve { lookup, host, .. } => self.lookups.push((lookup, host)),
                UdpEvent::Datagram { to, bytes } => {
                    let (transaction, request) = UdpRequest::decode(&bytes).unwrap();
                    self.sent.push((to, transaction, request));
                }
                UdpEvent::Answer { key, answer, is_last } => {
                    let answer = answer.map_err(|failure: Failure| failure.class);
                    self.answers.push((key.token, answer, is_last));
                }
            }
        }
    }

    fn ask_what(&mut self, token: u32, host: &str, what: UdpWhat) {
        let key = UdpKey { torrent: TorrentId(1), token };
        let (host, url_data) = (host.to_owned(), "/announce?k".to_owned());
        self.udp.ask(self.now, key, UdpAsk { host, port: 80, url_data, what }, &mut self.rng);
        self.drain();
    }

    fn ask(&mut self, token: u32, host: &str) {
        let request = FACTS.request(HASH, AnnounceEvent::Started, 5, None);
        self.ask_what(token, host, UdpWhat::Announce(request));
    }

    fn resolve(&mut self, addresses: &[&str]) {
        let (lookup, _) = self.lookups.remove(0);
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.udp.handle_resolved(self.now, lookup, Ok(addresses), &mut self.rng);
        self.drain();
    }

    fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) -> bool {
        let is_ours = self.udp.handle_datagram(self.now, from, bytes, &mut self.rng);
        self.drain();
        is_ours
    }

    /// Answers the oldest packet.
    fn reply(&mut self, reply: &UdpReply) {
        let (to, transaction, _) = self.sent.remove(0);
        let family = if to.is_ipv6() { Family::V6 } else { Family::V4 };
        assert!(self.datagram(to, &reply.encode(transaction, family)));
    }

    fn step(&mut self) -> u64 {
        let at = self.udp.poll_timeout().expect("something is due");
        let slept = at.since(self.now);
        self.now = at;
        self.udp.handle_timeout(self.now, &mut self.rng);
        self.drain();
        slept.as_secs()
    }

    fn classes(&self) -> Vec<Option<TrackerErrorClass>> {
        self.answers.iter().map(|(_, answer, _)| answer.as_ref().err().copied()).collect()
    }
}

fn connection(id: u64) -> UdpReply {
    UdpReply::Connect { connection: id }
}

fn peers(text: &str) -> UdpReply {
    let peers = vec![text.parse().unwrap()];
    UdpReply::Announce(AnnounceReply { peers, ..AnnounceReply::default() })
}

#[test]
fn an_announce_connects_first_and_carries_the_connection_id_and_the_url() {
    let mut w = World::new();
    w.ask(1, "127.0.0.1");
    assert_eq!(w.sent[0].2, UdpRequest::Connect);
    w.reply(&connection(99));
    let UdpRequest::Announce { connection, request, url } = &w.sent[0].2 else { panic!() };
    assert_eq!((*connection, request.key, url.as_slice()), (99, 5, b"/announce?k".as_slice()));
    w.reply(&peers("1.2.3.4:5"));
    let Ok(UdpAnswer::Announced(reply)) = &w.answers[0].1 else { panic!() };
    assert_eq!((reply.peers[0], w.answers[0].2), ("1.2.3.4:5".parse().unwrap(), true));
}

#[test]
fn a_connection_id_serves_all_torrents_for_a_minute_and_no_longer() {
    let mut w = World::new();
    w.ask(1, "127.0.0.1");
    w.ask(2, "127.0.0.1");
    assert_eq!(w.sent.len(), 1, "one connect for both");
    w.reply(&connection(99));
    w.reply(&peers("1.2.3.4:5"));
    w.reply(&peers("1.2.3.4:5"));
    w.now = w.now + Duration::from_secs(59);
    w.ask(3, "127.0.0.1");
    assert!(matches!(w.sent[0].2, UdpRequest::Announce { .. }));
    w.reply(&peers("1.2.3.4:5"));
    w.now = w.now + Duration::from_secs(1);
    w.ask(4, "127.0.0.1");
    assert_eq!(w.sent[0].2, UdpRequest::Connect);
}

#[test]
fn a_silent_tracker_gets_three_packets_and_fails_after_35_seconds() {
    let mut w = World::new();
    w.ask(1, "127.0.0.1");
    assert_eq!([w.step(), w.step(), w.step()], [5, 10, 20]);
    assert_eq!(w.sent.len(), 3);
    assert_eq!(w.classes(), [Some(TrackerErrorClass::Timeout)]);
    assert_eq!(w.udp.poll_timeout(), None);
    // The same after the connect was answered.
    let mut w = World::new();
    w.ask(1, "127.0.0.1");
    w.reply(&connection(99));
    assert_eq!([w.step(), w.step(), w.step()], [5, 10, 20]);
    assert_eq!(w.classes(), [Some(TrackerErrorClass::Timeout)]);
}

#[test]
fn a_late_answer_to_an_earlier_packet_still_counts() {
    let mut w = World::new();
    w.ask(1, "127.0.0.1");
    w.step();
    w.reply(&connection(99));
    assert!(matches!(w.sent[1].2, UdpRequest::Announce { .. }));
}

#[test]
fn a_retry_past_the_life_of_the_connection_id_connects_again() {
    let mut w = World::new();
    w.ask(1, "127.0.0.1");
    w.reply(&connection(99));
    w.reply(&peers("1.2.3.4:5"));
    w.now = w.now + Duration::from_secs(58);
    w.ask(2, "127.0.0.1");
    w.sent.clear();
    while w.sent.is_empty() {
        w.step();
    }
    assert_eq!(w.sent[0].2, UdpRequest::Connect);
}

#[test]
fn answers_from_elsewhere_or_with_another_transaction_are_not_ours() {
    let mut w = World::new();
    w.ask(1, "127.0.0.1");
    let (to, transaction, _) = w.sent[0].clone();
    let good = connection(99).encode(transaction, Family::V4);
    let bad = connection(99).encode(transaction.wrapping_add(1), Family::V4);
    let other_port: SocketAddr = "127.0.0.1:81".parse().unwrap();
    let other_ip: SocketAddr = "127.0.0.2:80".parse().unwrap();
    let mapped: SocketAddr = "[::ffff:127.0.0.1]:80".parse().unwrap();
    let rows: [(SocketAddr, &[u8], bool); 7] = [
        (other_port, &good, false),
        (other_ip, &good, false),
        (to, &bad, false),
        (to, &[], false),
        (to, &good[..7], false),
        (mapped, &good, true),
        (to, &good, false),
    ];
    for (from, bytes, expected) in rows {
        assert_eq!(w.datagram(from, bytes), expected, "{from} {bytes:?}");
    }
}

#[test]
fn malformed_and_wrong_answers_fail_with_their_class() {
    let error = UdpReply::Error("go away".to_owned());
    let scrape = UdpReply::Scrape(vec![ScrapeCounts::default()]);
    let encode = |reply: &UdpReply, t| reply.encode(t, Family::V4);
    type Spell<'a> = Box<dyn Fn(u32) -> Vec<u8> + 'a>;
    let unknown = |t: u32| [&[0, 0, 0, 9][..], &t.to_be_bytes()].concat();
    let (parse, said) = (TrackerErrorClass::Parse, TrackerErrorClass::Tracker);
    let rows: Vec<(Spell<'_>, TrackerErrorClass)> = vec![
        (Box::new(|t| encode(&error, t)), said),
        (Box::new(unknown), parse),
        (Box::new(|t| encode(&scrape, t)), parse),
        (Box::new(|t| encode(&connection(1), t)[..15].to_vec()), parse),
        (Box::new(|t| encode(&peers("1.2.3.4:5"), t)[..19].to_vec()), parse),
    ];
    for (spell, class) in rows {
        let mut w = World::new();
        w.ask(1, "127.0.0.1");
        let (to, transaction, _) = w.sent.remove(0);
        // To the connect; an announce is no answer to it either.
        assert!(w.datagram(to, &spell(transaction)));
        assert_eq!(w.classes(), [Some(class)]);
        // To the announce; a connection id is no answer to it.
        w.ask(2, "127.0.0.1");
        w.reply(&connection(1));
        let (to, transaction, _) = w.sent.remove(0);
        assert!(w.datagram(to, &spell(transaction)));
        assert_eq!(w.classes(), [Some(class), Some(class)]);
        // And the connection id is not trusted any more.
        w.ask(3, "127.0.0.1");
        assert_eq!(w.sent[0].2, UdpRequest::Connect);
    }
}

#[test]
fn a_name_is_looked_up_once_for_all_and_asked_at_one_address_of_each_family() {
    let mut w = World::new();
    w.ask(1, "t.org");
    w.ask(2, "t.org");
    assert_eq!(w.lookups.len(), 1);
    w.resolve(&["1.1.1.1:80", "1.1.1.2:80", "[2a00::1]:80"]);
    let to: Vec<String> = w.sent.iter().map(|(to, ..)| to.to_string()).collect();
    assert_eq!(to, ["1.1.1.1:80", "[2a00::1]:80"]);
    w.reply(&connection(1));
    w.reply(&connection(2));
    assert_eq!(w.sent.len(), 4);
    w.reply(&peers("1.2.3.4:5"));
    w.reply(&peers("1.2.3.4:5"));
    w.reply(&peers("[2a00::2]:5"));
    w.reply(&peers("[2a00::2]:5"));
    let ends: Vec<(u32, bool)> = w.answers.iter().map(|(token, _, last)| (*token, *last)).collect();
    assert_eq!(ends, [(1, false), (2, false), (1, true), (2, true)]);
    // Remembered for ten minutes.
    w.now = w.now + Duration::from_secs(599);
    w.ask(3, "t.org");
    assert!(w.lookups.is_empty());
    w.now = w.now + Duration::from_secs(1);
    w.ask(4, "t.org");
    assert_eq!(w.lookups.len(), 1);
}

#[test]
fn a_global_name_that_leads_home_is_refused_and_localhost_is_not() {
    let rows: [(&str, &[&str], usize); 5] = [
        ("t.org", &["127.0.0.1:80"], 0),
        ("t.org", &["192.168.1.1:80", "[fe80::1]:80"], 0),
        ("t.org", &["10.0.0.1:80", "1.1.1.1:80"], 1),
        ("t.org", &[], 0),
        ("localhost", &["127.0.0.1:80", "[::1]:80"], 2),
    ];
    for (host, addresses, sent_count) in rows {
        let mut w = World::new();
        w.ask(1, host);
        w.resolve(addresses);
        assert_eq!(w.sent.len(), sent_count, "{host} {addresses:?}");
        let refused = (sent_count == 0).then_some(Some(TrackerErrorClass::Dns));
        assert_eq!(w.classes(), refused.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_name_that_does_not_resolve_fails_all_who_wait_and_is_asked_again() {
    let mut w = World::new();
    w.ask(1, "t.org");
    w.ask(2, "t.org");
    let error = QueryError { class: TrackerErrorClass::Dns, message: "no".to_owned() };
    let (lookup, _) = w.lookups.remove(0);
    w.udp.handle_resolved(w.now, lookup, Err(error), &mut w.rng);
    w.drain();
    assert_eq!(w.classes(), [Some(TrackerErrorClass::Dns); 2]);
    w.ask(3, "t.org");
    assert_eq!(w.lookups.len(), 1);
    // Nor does a look-up wait for ever.
    assert_eq!(w.step(), 60);
    assert_eq!(w.classes(), [Some(TrackerErrorClass::Dns); 3]);
    assert_eq!(w.udp.poll_timeout(), None);
}

#[test]
fn a_tracker_that_stops_answering_is_looked_up_again() {
    let mut w = World::new();
    w.ask(1, "t.org");
    w.resolve(&["1.1.1.1:80"]);
    while w.answers.is_empty() {
        w.step();
    }
    w.ask(2, "t.org");
    assert_eq!(w.lookups.len(), 1);
}

#[test]
fn a_scrape_brings_the_counts_of_the_swarm() {
    let mut w = World::new();
    w.ask_what(1, "127.0.0.1", UdpWhat::Scrape(HASH));
    w.reply(&connection(1));
    let counts = ScrapeCounts { seeders: 1, leechers: 2, downloaded: 3 };
    w.reply(&UdpReply::Scrape(vec![counts]));
    assert_eq!(w.answers[0].1, Ok(UdpAnswer::Scraped(counts)));
    w.ask_what(2, "127.0.0.1", UdpWhat::Scrape(HASH));
    w.reply(&UdpReply::Scrape(Vec::new()));
    assert_eq!(w.answers[1].1, Err(TrackerErrorClass::Parse));
}

#[test]
fn there_is_a_bound_and_nothing_is_left_behind() {
    let mut w = World::new();
    for token in 0..=UDP_ANNOUNCE_MAX as u32 {
        w.ask(token, "127.0.0.1");
    }
    assert_eq!(w.answers.len(), 1);
    assert_eq!(w.answers[0].0, UDP_ANNOUNCE_MAX as u32);
    while w.udp.poll_timeout().is_some() {
        w.step();
    }
    assert_eq!(w.answers.len(), UDP_ANNOUNCE_MAX + 1);
    let udp = &w.udp;
    assert!(udp.jobs.is_empty() && udp.groups.is_empty() && udp.transactions.is_empty());
    assert!(udp.endpoints.is_empty());
}
