//! A torrent of two names announces itself under each of them.

use std::time::Duration;

use crate::base::digest::Sha1;
use crate::base::digest::Sha256;
use crate::base::info_hashes::InfoHashes;
use crate::base::instant::Instant;
use crate::base::rng::Rng;
use crate::codec::announce::AnnounceReply;
use crate::engine::announce::Announcer;
use crate::engine::announce::ask::Facts;
use crate::engine::announce::event::AnnounceEvent;
use crate::engine::announce::event::UdpAnswer;
use crate::engine::announce::event::UdpWhat;
use crate::engine::to_ring::HttpAnswer;

const V1: Sha1 = Sha1(*b"AAAAAAAAAAAAAAAAAAAA");
const V2: Sha256 = Sha256([b'B'; 32]);
const FACTS: Facts = Facts {
    peer_id: *b"-CS0100-abcdefghijkl",
    port: 6881,
    ip: None,
    uploaded: 0,
    downloaded: 0,
    left: 1,
    is_partial_seed: false,
    numwant: 50,
};

fn hybrid(url: &str) -> (Announcer, Rng) {
    let mut rng = Rng::new(1);
    let names = InfoHashes::new(Some(V1), Some(V2)).expect("there are two");
    (Announcer::new(names, &[vec![url.to_owned()]], &mut rng), rng)
}

fn events(announcer: &mut Announcer) -> Vec<AnnounceEvent> {
    std::iter::from_fn(|| announcer.poll_event()).collect()
}

/// Questions to HTTP trackers: token and URL.
fn asked(announcer: &mut Announcer) -> Vec<(u32, String)> {
    let events = events(announcer).into_iter();
    let questions = events.filter_map(|event| match event {
        AnnounceEvent::Http { token, url } => Some((token, url)),
        _ => None,
    });
    questions.collect()
}

fn ok(peer: &[u8; 6]) -> HttpAnswer {
    let body = [b"d8:intervali1800e5:peers6:".as_slice(), peer, b"e"].concat();
    HttpAnswer { status: 200, body }
}

#[test]
fn each_swarm_is_announced_and_brings_its_own_peers() {
    let (mut announcer, mut rng) = hybrid("http://t/announce");
    let now = Instant::from_millis(1_000);
    announcer.start(now);
    announcer.handle_timeout(now, &FACTS, &mut rng);
    let questions = asked(&mut announcer);
    let has = |text: &str| questions.iter().filter(|(_, url)| url.contains(text)).count();
    assert_eq!((questions.len(), has(&"A".repeat(20)), has(&"B".repeat(20))), (2, 1, 1));
    assert_ne!(questions[0].0, questions[1].0, "tokens tell them apart");
    for (name, (token, _)) in [V1, V2.truncated()].into_iter().zip(&questions) {
        announcer.handle_http(now, *token, Ok(ok(&[10, 0, 0, 1, 0, 80])), &mut rng);
        let peers = vec!["10.0.0.1:80".parse().unwrap()];
        assert!(events(&mut announcer).contains(&AnnounceEvent::Peers(name, peers)), "{name}");
    }
    let swarms: Vec<_> = announcer.status(now).into_iter().map(|s| s.info_hash).collect();
    assert_eq!(swarms, [V1, V2.truncated()]);
    let next = announcer.poll_timeout().map(|at| at.since(now));
    assert!(next >= Some(Duration::from_secs(1800)), "both answered: {next:?}");
}

#[test]
fn one_swarm_that_is_refused_does_not_hold_the_other_back() {
    let (mut announcer, mut rng) = hybrid("http://t/announce");
    let now = Instant::from_millis(1_000);
    announcer.start(now);
    announcer.handle_timeout(now, &FACTS, &mut rng);
    let questions = asked(&mut announcer);
    let no = HttpAnswer { status: 200, body: b"d14:failure reason4:whate".to_vec() };
    announcer.handle_http(now, questions[1].0, Ok(no), &mut rng);
    announcer.handle_http(now, questions[0].0, Ok(ok(&[10, 0, 0, 1, 0, 80])), &mut rng);
    let fails: Vec<_> = announcer.status(now).iter().map(|s| s.fails_in_a_row).collect();
    assert_eq!(fails, [0, 1]);
}

#[test]
fn the_stop_is_over_when_both_swarms_were_left_and_is_told_once() {
    let (mut announcer, mut rng) = hybrid("http://t/announce");
    let now = Instant::from_millis(1_000);
    announcer.start(now);
    announcer.handle_timeout(now, &FACTS, &mut rng);
    for (token, _) in asked(&mut announcer) {
        announcer.handle_http(now, token, Ok(ok(&[10, 0, 0, 1, 0, 80])), &mut rng);
    }
    events(&mut announcer);
    announcer.stop(now);
    announcer.handle_timeout(now, &FACTS, &mut rng);
    let farewells = asked(&mut announcer);
    assert_eq!(farewells.iter().filter(|(_, url)| url.contains("event=stopped")).count(), 2);
    let answer = || Ok(ok(&[10, 0, 0, 1, 0, 80]));
    announcer.handle_http(now, farewells[0].0, answer(), &mut rng);
    assert!(!announcer.is_idle() && events(&mut announcer).is_empty());
    announcer.handle_http(now, farewells[1].0, answer(), &mut rng);
    assert!(announcer.is_idle());
    assert_eq!(events(&mut announcer), [AnnounceEvent::Stopped]);
    assert!(events(&mut announcer).is_empty());
}

#[test]
fn udp_trackers_are_asked_and_scraped_for_both() {
    let (mut announcer, mut rng) = hybrid("udp://t:80/x");
    let now = Instant::from_millis(1_000);
    announcer.start(now);
    announcer.handle_timeout(now, &FACTS, &mut rng);
    let mut names = Vec::new();
    for event in events(&mut announcer) {
        let AnnounceEvent::Udp { token, ask } = event else { panic!("{event:?}") };
        let UdpWhat::Announce(request) = ask.what else { panic!("it is an announce") };
        names.push(request.info_hash);
        let answer = Ok(UdpAnswer::Announced(AnnounceReply::default()));
        announcer.handle_udp(now, token, answer, true, &mut rng);
    }
    assert_eq!(names, [V1, V2.truncated()]);
    events(&mut announcer);
    announcer.scrape();
    announcer.handle_timeout(now, &FACTS, &mut rng);
    let scraped = events(&mut announcer).into_iter().map(|event| match event {
        AnnounceEvent::Udp { ask, .. } => ask.what,
        other => panic!("{other:?}"),
    });
    let expected = [UdpWhat::Scrape(V1), UdpWhat::Scrape(V2.truncated())];
    assert_eq!(scraped.collect::<Vec<_>>(), expected);
}

#[test]
fn a_name_that_the_metadata_told_is_announced_from_the_next_start_on() {
    let mut rng = Rng::new(1);
    let tiers = [vec!["http://t/announce".to_owned()]];
    let mut announcer = Announcer::new(InfoHashes::from_v1(V1), &tiers, &mut rng);
    let now = Instant::from_millis(1_000);
    announcer.start(now);
    announcer.handle_timeout(now, &FACTS, &mut rng);
    let first = asked(&mut announcer);
    announcer.handle_http(now, first[0].0, Ok(ok(&[10, 0, 0, 1, 0, 80])), &mut rng);
    events(&mut announcer);
    let both = InfoHashes::new(Some(V1), Some(V2)).expect("there are two");
    announcer.join(both, &tiers, &mut rng);
    announcer.join(both, &tiers, &mut rng);
    announcer.start(now);
    announcer.handle_timeout(now, &FACTS, &mut rng);
    let second = asked(&mut announcer);
    assert_eq!(second.len(), 1, "the first swarm was announced already: {second:?}");
    assert!(second[0].1.contains(&"B".repeat(20)) && second[0].0 != first[0].0);
}
