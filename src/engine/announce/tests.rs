//! The announcer on a virtual clock: each deadline, each order, each kind of answer.

use std::time::Duration;

use crate::base::digest::Sha1;
use crate::base::info_hashes::InfoHashes;
use crate::base::instant::Instant;
use crate::base::limits::ANNOUNCE_STOP_TIMEOUT;
use crate::base::limits::ANNOUNCE_TIMEOUT;
use crate::base::rng::Rng;
use crate::base::status::TrackerErrorClass;
use crate::codec::announce::AnnounceReply;
use crate::engine::announce::Announcer;
use crate::engine::announce::ask::Facts;
use crate::engine::announce::ask::Failure;
use crate::engine::announce::event::AnnounceEvent;
use crate::engine::announce::event::UdpAnswer;
use crate::engine::announce::event::UdpWhat;
use crate::engine::to_ring::HttpAnswer;
use crate::engine::to_ring::QueryError;

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

fn names() -> InfoHashes {
    InfoHashes::from_v1(Sha1([7; 20]))
}

/// A clock, an announcer, and what it said.
struct World {
    now: Instant,
    rng: Rng,
    announcer: Announcer,
    /// Questions not answered yet: token and URL.
    asked: Vec<(u32, String)>,
    told: Vec<AnnounceEvent>,
}

impl World {
    /// `tiers`: names, one tier per string: `"a b"` is `http://a/announce` beside
    /// `http://b/announce`.
    fn new(tiers: &[&str]) -> World {
        let url = |name: &str| match name.strip_prefix("udp:") {
            Some(name) => format!("udp://{name}:80/x"),
            None => format!("http://{name}/announce"),
        };
        let tiers: Vec<Vec<String>> =
            tiers.iter().map(|names| names.split(' ').map(url).collect()).collect();
        let mut rng = Rng::new(1);
        let announcer = Announcer::new(names(), &tiers, &mut rng);
        let now = Instant::from_millis(1_000_000);
        World { now, rng, announcer, asked: Vec::new(), told: Vec::new() }
    }

    fn started(tiers: &[&str]) -> World {
        let mut world = World::new(tiers);
        world.announcer.start(world.now);
        world.settle();
        world
    }

    /// Drains; runs what is due now.
    fn settle(&mut self) {
        for _ in 0..1000 {
            self.drain();
            match self.announcer.poll_timeout() {
                Some(at) if at <= self.now => {
                    self.announcer.handle_timeout(self.now, &FACTS, &mut self.rng);
                }
                _ => return,
            }
        }
        panic!("the announcer is always due");
    }

    fn drain(&mut self) {
        while let Some(event) = self.announcer.poll_event() {
            match event {
                AnnounceEvent::Http { token, url } => self.asked.push((token, url)),
                AnnounceEvent::Udp { token, ask } => {
                    let what = match ask.what {
                        UdpWhat::Announce(request) => format!("{:?}", request.event),
                        UdpWhat::Scrape(_) => "Scrape".to_owned(),
                    };
                    self.asked.push((token, format!("udp://{}?{what}", ask.host)));
                }
                event => self.told.push(event),
            }
        }
    }

    /// Jumps to the next wake-up; how long that was.
    fn step(&mut self) -> Duration {
        let at = self.announcer.poll_timeout().expect("something is due");
        let slept = at.since(self.now);
        self.now = self.now.max(at);
        self.settle();
        slept
    }

    fn sleep(&mut self, secs: u64) {
        let end = self.now + Duration::from_secs(secs);
        while self.announcer.poll_timeout().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = end;
    }

    /// The only question under way.
    fn question(&self) -> &str {
        assert_eq!(self.asked.len(), 1, "{:?}", self.asked);
        &self.asked[0].1
    }

    fn reply(&mut self, body: &str) {
        self.answer(Ok(HttpAnswer { status: 200, body: body.as_bytes().to_vec() }));
    }

    fn fail(&mut self, class: TrackerErrorClass) {
        self.answer(Err(QueryError { class, message: "broken".to_owned() }));
    }

    fn answer(&mut self, answer: Result<HttpAnswer, QueryError>) {
        let (token, _) = self.asked.remove(0);
        self.announcer.handle_http(self.now, token, answer, &mut self.rng);
        self.settle();
    }

    fn answer_udp(&mut self, answer: Result<UdpAnswer, Failure>, is_last: bool) {
        let token = self.asked[0].0;
        self.announcer.handle_udp(self.now, token, answer, is_last, &mut self.rng);
        if is_last {
            self.asked.remove(0);
        }
        self.settle();
    }

    fn host(&self) -> &str {
        let rest = self.question().split_once("://").unwrap().1;
        rest.split(['/', '?', ':']).next().unwrap()
    }

    fn class(&self, index: usize) -> Option<TrackerErrorClass> {
        self.announcer.status(self.now)[index].error.as_ref().map(|(class, _)| *class)
    }
}

fn is_about(slept: Duration, secs: u64) -> bool {
    let base = Duration::from_secs(secs);
    slept >= base && slept <= base + base / 10
}

const OK: &str = "d8:intervali1800e12:min intervali300e5:peers0:e";

#[test]
fn the_first_announce_says_started_and_the_next_says_nothing() {
    let mut w = World::started(&["a"]);
    assert!(w.question().contains("event=started"), "{}", w.question());
    assert!(w.question().contains("numwant=50&"), "{}", w.question());
    w.reply(OK);
    assert!(is_about(w.step(), 1800));
    assert!(!w.question().contains("event="), "{}", w.question());
}

#[test]
fn nothing_is_asked_before_the_start_and_without_trackers() {
    assert_eq!(World::new(&["a"]).announcer.poll_timeout(), None);
    let mut w = World::started(&["?"]);
    w.sleep(100_000);
    w.announcer.scrape();
    assert_eq!((w.asked.len(), w.announcer.poll_timeout()), (0, None));
    w.announcer.stop(w.now);
    w.settle();
    assert_eq!(w.told, [AnnounceEvent::Stopped]);
}

#[test]
fn intervals_are_clamped_whatever_the_tracker_says() {
    let rows = [("i1e", 60), ("i-5e", 1800), ("i999999999e", 86_400), ("3:abc", 1800)];
    for (interval, secs) in rows {
        let mut w = World::started(&["a"]);
        w.reply(&format!("d8:interval{interval}5:peers0:e"));
        let slept = w.step();
        assert!(is_about(slept, secs), "{interval}: {slept:?}");
    }
}

#[test]
fn more_peers_are_asked_for_early_but_never_before_the_minimum_interval() {
    let mut w = World::started(&["a"]);
    w.reply(OK);
    w.announcer.want_more_peers(w.now);
    w.announcer.want_more_peers(w.now);
    assert_eq!(w.step(), Duration::from_secs(300));
    w.reply(OK);
    w.sleep(400);
    assert!(w.asked.is_empty());
    w.announcer.want_more_peers(w.now);
    w.settle();
    assert_eq!(w.asked.len(), 1);
}

#[test]
fn a_manual_announce_forgets_the_back_off_but_not_the_minimum_interval() {
    let mut w = World::started(&["a"]);
    w.reply(OK);
    w.announcer.reannounce(w.now);
    assert_eq!(w.step(), Duration::from_secs(300));
    w.fail(TrackerErrorClass::Connect);
    assert!(w.asked.is_empty());
    w.announcer.reannounce(w.now);
    w.settle();
    assert_eq!(w.asked.len(), 1);
}

#[test]
fn failures_at_the_start_are_tried_again_quickly_and_later_ones_are_not() {
    let mut w = World::started(&["a"]);
    for secs in [5, 15, 60, 120, 240, 480, 960, 1920, 3600, 3600] {
        w.fail(TrackerErrorClass::Connect);
        let slept = w.step();
        assert!(is_about(slept, secs), "{slept:?}, expected {secs} s");
        assert!(w.question().contains("event=started"));
    }
    w.reply(OK);
    assert_eq!(w.announcer.status(w.now)[0].fails_in_a_row, 0);
    w.step();
    for secs in [60, 120, 240] {
        w.fail(TrackerErrorClass::Timeout);
        assert!(is_about(w.step(), secs));
    }
}

#[test]
fn a_tracker_that_fails_gives_way_to_the_next_of_its_tier_and_then_to_the_next_tier() {
    let mut w = World::started(&["a b", "c"]);
    let first = w.host().to_owned();
    w.fail(TrackerErrorClass::Connect);
    let second = w.host().to_owned();
    let mut both = [first.as_str(), second.as_str()];
    both.sort_unstable();
    assert_eq!(both, ["a", "b"]);
    w.fail(TrackerErrorClass::Connect);
    assert_eq!(w.host(), "c");
    w.reply(OK);
    // The first tier is tried again at the next announce.
    w.step();
    assert_eq!(w.host(), first);
}

#[test]
fn the_tracker_that_answers_is_asked_first_from_then_on() {
    let mut w = World::started(&["a b c"]);
    w.fail(TrackerErrorClass::Connect);
    w.fail(TrackerErrorClass::Connect);
    let answering = w.host().to_owned();
    w.reply(OK);
    w.step();
    assert_eq!(w.host(), answering);
    assert!(w.announcer.status(w.now)[0].url.contains(&answering));
}

#[test]
fn tiers_are_shuffled_inside_and_never_across() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let tier = |names: &str| names.split(' ').map(|n| format!("http://{n}/announce")).collect();
        let announcer = Announcer::new(names(), &[tier("a b"), tier("c d")], &mut Rng::new(seed));
        let order: Vec<u32> = announcer.status(Instant::ZERO).iter().map(|s| s.tier).collect();
        assert_eq!(order, [0, 0, 1, 1]);
        seen.insert(
            announcer.status(Instant::ZERO).iter().map(|s| s.url.clone()).collect::<Vec<_>>(),
        );
    }
    assert_eq!(seen.len(), 4);
}

#[test]
fn completed_is_told_once_to_the_tracker_that_knows_us() {
    let mut w = World::started(&["a"]);
    w.reply(OK);
    w.sleep(10);
    w.announcer.completed();
    w.settle();
    assert!(w.question().contains("event=completed"), "{}", w.question());
    w.reply(OK);
    w.step();
    assert!(!w.question().contains("event="));
}

#[test]
fn completed_while_started_is_under_way_follows_it() {
    let mut w = World::started(&["a"]);
    w.announcer.completed();
    w.settle();
    w.reply(OK);
    assert!(w.question().contains("event=completed"), "{}", w.question());
}

#[test]
fn a_tracker_that_never_heard_of_us_is_told_started_and_not_completed() {
    let mut w = World::started(&["a"]);
    w.fail(TrackerErrorClass::Connect);
    w.announcer.completed();
    w.step();
    assert!(w.question().contains("event=started"));
    w.reply(OK);
    assert!(w.asked.is_empty());
}

#[test]
fn stop_tells_every_tracker_that_knows_us_and_asks_for_no_peers() {
    let mut w = World::started(&["a", "b"]);
    w.reply(OK);
    w.step();
    w.fail(TrackerErrorClass::Connect);
    assert_eq!(w.host(), "b");
    w.reply(OK);
    w.told.clear();
    w.announcer.stop(w.now);
    w.settle();
    assert_eq!(w.asked.len(), 2);
    for (_, url) in &w.asked {
        assert!(url.contains("event=stopped") && url.contains("numwant=0&"), "{url}");
    }
    w.reply(OK);
    assert!(!w.announcer.is_idle());
    w.fail(TrackerErrorClass::Timeout);
    assert_eq!(w.told, [AnnounceEvent::Stopped]);
    assert!(w.announcer.is_idle());
    assert_eq!(w.announcer.poll_timeout(), None);
}

#[test]
fn stop_ends_after_five_seconds_when_the_tracker_is_silent() {
    let mut w = World::started(&["a"]);
    w.reply(OK);
    w.told.clear();
    w.announcer.stop(w.now);
    w.settle();
    assert_eq!(w.step(), ANNOUNCE_STOP_TIMEOUT);
    assert_eq!(w.told, [AnnounceEvent::Stopped]);
    let late = w.asked[0].0;
    let answer = Ok(HttpAnswer { status: 200, body: OK.into() });
    w.announcer.handle_http(w.now, late, answer, &mut w.rng);
    assert_eq!(w.announcer.poll_event(), None);
}

#[test]
fn stop_waits_for_a_started_under_way_and_then_takes_it_back() {
    let mut w = World::started(&["a"]);
    w.announcer.stop(w.now);
    w.settle();
    assert!(w.question().contains("event=started"));
    w.reply("d5:peers6:\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}e");
    assert!(w.question().contains("event=stopped"));
    w.reply(OK);
    assert!(w.told.contains(&AnnounceEvent::Stopped));
    assert!(!w.told.iter().any(|event| matches!(event, AnnounceEvent::Peers(..))));
}

#[test]
fn stop_without_a_tracker_that_knows_us_ends_at_once() {
    let mut w = World::started(&["a"]);
    w.fail(TrackerErrorClass::Connect);
    w.told.clear();
    w.announcer.stop(w.now);
    w.drain();
    assert_eq!(w.told, [AnnounceEvent::Stopped]);
}

#[test]
fn a_start_after_a_stop_says_started_again() {
    let mut w = World::started(&["a"]);
    w.reply(OK);
    w.announcer.stop(w.now);
    w.settle();
    w.announcer.start(w.now);
    w.settle();
    assert!(w.question().contains("event=stopped"));
    w.reply(OK);
    assert!(w.question().contains("event=started"), "{}", w.question());
}

#[test]
fn a_question_that_nobody_answers_fails_as_a_timeout_and_its_late_answer_is_ignored() {
    let mut w = World::started(&["a"]);
    assert_eq!(w.step(), ANNOUNCE_TIMEOUT);
    assert_eq!(w.class(0), Some(TrackerErrorClass::Timeout));
    w.reply(OK);
    assert_eq!(w.announcer.status(w.now)[0].last_announce, None);
}

#[test]
fn a_refusal_is_honoured_with_its_time() {
    // Text, time to the next announce at least, if any.
    let rows = [
        ("d14:failure reason3:bade", Some(60)),
        ("d14:failure reason3:bad8:retry ini10ee", Some(600)),
        ("d14:failure reason3:bad8:retry in2:30e", Some(1800)),
        ("d14:failure reason3:bad8:retry in5:nevere", None),
    ];
    for (body, secs) in rows {
        let mut w = World::started(&["a"]);
        w.reply(body);
        assert_eq!(w.class(0), Some(TrackerErrorClass::Tracker), "{body}");
        match secs {
            Some(secs) => assert!(is_about(w.step(), secs), "{body}"),
            None => assert_eq!(w.announcer.poll_timeout(), None),
        }
    }
}

#[test]
fn an_answer_is_told_in_full() {
    let mut w = World::started(&["a"]);
    let mut body = b"d8:completei5e11:external ip4:".to_vec();
    body.extend_from_slice(&[9, 8, 7, 6]);
    body.extend_from_slice(b"10:incompletei6e8:intervali1800e5:peers6:");
    body.extend_from_slice(&[1, 2, 3, 4, 0x1a, 0xe1]);
    body.extend_from_slice(b"10:tracker id2:id15:warning message4:slowe");
    w.answer(Ok(HttpAnswer { status: 200, body }));
    let url = "http://a/announce".to_owned();
    assert_eq!(
        w.told,
        [
            AnnounceEvent::Warning { url: url.clone(), message: "slow".to_owned() },
            AnnounceEvent::Announced { url, peer_count: 1 },
            AnnounceEvent::ExternalIp("9.8.7.6".parse().unwrap()),
            AnnounceEvent::Peers(Sha1([7; 20]), vec!["1.2.3.4:6881".parse().unwrap()]),
        ]
    );
    let status = w.announcer.status(w.now + Duration::from_secs(1)).remove(0);
    assert_eq!(
        (status.seeders, status.leechers, status.http_status),
        (Some(5), Some(6), Some(200))
    );
    assert_eq!(status.last_announce, Some(Duration::from_secs(1)));
    assert_eq!(status.warning.as_deref(), Some("slow"));
    w.step();
    assert!(w.question().contains("trackerid=id"), "{}", w.question());
}

#[test]
fn both_addresses_of_a_udp_tracker_bring_peers_and_one_is_enough() {
    let reply = |peer: &str| {
        let peers = vec![peer.parse().unwrap()];
        Ok(UdpAnswer::Announced(AnnounceReply { peers, ..AnnounceReply::default() }))
    };
    let lost = || Err(Failure::new(TrackerErrorClass::Timeout, "silent".to_owned()));
    // Answers of the two addresses, peers in all, error in the end.
    let rows = [
        (reply("1.1.1.1:1"), reply("[2a00::1]:2"), 2, None),
        (reply("1.1.1.1:1"), lost(), 1, None),
        (lost(), reply("[2a00::1]:2"), 1, None),
        (lost(), lost(), 0, Some(TrackerErrorClass::Timeout)),
    ];
    for (first, second, peer_count, class) in rows {
        let mut w = World::started(&["udp:a"]);
        assert_eq!(w.question(), "udp://a?Started");
        w.answer_udp(first, false);
        w.answer_udp(second, true);
        let peers = w.told.iter().filter(|event| matches!(event, AnnounceEvent::Peers(..))).count();
        assert_eq!((peers, w.class(0)), (peer_count, class));
        assert!(w.asked.is_empty());
    }
}

#[test]
fn a_scrape_brings_counts_at_most_once_a_minute() {
    let mut w = World::started(&["a"]);
    w.reply(OK);
    w.announcer.scrape();
    w.settle();
    assert!(w.question().starts_with("http://a/scrape?info_hash="), "{}", w.question());
    let mut body = b"d5:filesd20:".to_vec();
    body.extend_from_slice(&[7; 20]);
    body.extend_from_slice(b"d8:completei5e10:downloadedi50e10:incompletei10eeee");
    w.answer(Ok(HttpAnswer { status: 200, body }));
    let status = w.announcer.status(w.now).remove(0);
    assert_eq!((status.seeders, status.leechers, status.downloaded), (Some(5), Some(10), Some(50)));
    w.announcer.scrape();
    assert_eq!(w.step(), Duration::from_secs(60));
    assert_eq!(w.asked.len(), 1);
}

#[test]
fn odd_urls_repeats_and_the_two_hundred_and_first_tracker_are_left_out() {
    let urls = |range: std::ops::Range<u32>| -> Vec<String> {
        range.map(|n| format!("http://t{n}/announce")).collect()
    };
    let odd = vec!["wss://x/announce".to_owned(), String::new()];
    let tiers = [odd, urls(0..150), urls(0..150), urls(100..300)];
    let announcer = Announcer::new(names(), &tiers, &mut Rng::new(1));
    assert_eq!(announcer.status(Instant::ZERO).len(), 200);
}
