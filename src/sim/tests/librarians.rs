//! Magnets among peers that lie about metadata, refuse it or fall silent: the torrent comes all the
//! same, and only liars are banned.

use std::net::SocketAddr;
use std::time::Duration;

use super::MINUTE;
use super::add_leech;
use super::seeds;
use crate::base::info_hashes::InfoHashes;
use crate::base::instant::Instant;
use crate::base::rng::Rng;
use crate::content::make::TorrentMaker;
use crate::content::make::TorrentVersion;
use crate::engine::alert::AlertKind;
use crate::sim::bundle::Bundle;
use crate::sim::bundle::PIECE_LEN;
use crate::sim::conduct::Conduct;
use crate::sim::conduct::Metadata;
use crate::sim::net::Weather;
use crate::sim::world::core::World;

/// Much metadata about few bytes: some 90 KiB, six parts.
fn wordy(seed: u64) -> Bundle {
    let maker = TorrentMaker::directory("wordy");
    let maker = (0..400).fold(maker, |maker, n| maker.file([format!("{n:0200}")], 300));
    let bundle = Bundle::of_version(seed, maker, PIECE_LEN, TorrentVersion::V1);
    assert!(bundle.torrent.info_bytes().len() > 5 * 16_384);
    bundle
}

fn is_liar(manner: Metadata) -> bool {
    let lies_about_size = matches!(manner, Metadata::Huge | Metadata::OtherSize);
    lies_about_size || matches!(manner, Metadata::Garbage | Metadata::Spoils { .. })
}

/// A session that has but a link, among peers of these manners; how long the metadata took.
fn fetch_among(
    seed: u64,
    manners: &[Metadata],
    limit: Duration,
    then: impl FnOnce(&World, &[SocketAddr]),
) -> Duration {
    World::tell(seed, Weather::default(), |world| {
        let bundle = wordy(seed);
        let peers: Vec<SocketAddr> = manners
            .iter()
            .map(|manner| {
                let conduct = Conduct::telling(*manner);
                // Worlds fail when a session bans who is called honest here.
                let at = match is_liar(*manner) {
                    true => world.add_stranger(conduct, &bundle),
                    false => world.add_honest(conduct, &bundle),
                };
                world.strangers[at].address()
            })
            .collect();
        let link = bundle.named(InfoHashes::from_v1(bundle.info_hash()));
        let leech = add_leech(world, &link, &peers);
        let is_here = |kind: &AlertKind| matches!(kind, AlertKind::MetadataReceived { .. });
        let what = format!("the metadata comes among {manners:?}");
        world.run_until(limit, &what, |world| world.sites[leech].count_alerts(is_here) == 1);
        let took = world.now.since(Instant::from_millis(1_000));
        let alerts = world.sites[leech].alerts().iter();
        let banned = alerts.filter_map(|alert| match &alert.kind {
            AlertKind::PeerBanned { address, .. } => Some(*address),
            _ => None,
        });
        let banned: Vec<SocketAddr> = banned.collect();
        then(world, &banned);
        world.run_until_complete(5 * MINUTE);
        for facts in world.strangers.iter().flat_map(|stranger| stranger.facts()) {
            assert_eq!(facts.complaint, None, "an engine broke the protocol");
        }
        world.shut_down();
        took
    })
}

#[test]
fn several_honest_peers_are_asked_and_each_part_is_asked_for_once() {
    let took = fetch_among(1, &[Metadata::Honest; 3], MINUTE, |world, banned| {
        let counts = world.strangers.iter().flat_map(|stranger| stranger.facts());
        let counts: Vec<u32> = counts.map(|facts| facts.metadata_request_count).collect();
        assert_eq!(counts.iter().sum::<u32>(), 6, "{counts:?}");
        assert!(counts.iter().filter(|count| **count > 0).count() > 1, "{counts:?}");
        assert!(banned.is_empty());
    });
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_peer_that_sends_garbage_is_banned_and_the_metadata_comes_from_others() {
    let mut ban_count = 0;
    for seed in seeds(20) {
        let manners = [Metadata::Garbage, Metadata::Honest, Metadata::Honest];
        let took = fetch_among(seed, &manners, MINUTE, |world, banned| {
            let liar = &world.strangers[0];
            let lies: u32 = liar.facts().map(|facts| facts.metadata_lie_count).sum();
            // Its parts may have come too late to count, or not at all.
            assert!(banned.is_empty() || banned == [liar.address()] && lies > 0);
            ban_count += banned.len();
        });
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    assert!(ban_count > 0, "it had its chance");
}

#[test]
fn whoever_spoilt_one_part_is_found_out_by_the_right_one() {
    let spoils = Metadata::Spoils { part: 0 };
    fetch_among(3, &[spoils, Metadata::Honest, Metadata::Honest], MINUTE, |world, banned| {
        assert_eq!(banned, [world.strangers[0].address()]);
    });
}

#[test]
fn claims_of_a_huge_or_a_wrong_size_hold_nobody_up() {
    for seed in seeds(5) {
        let manners = [Metadata::Huge, Metadata::OtherSize, Metadata::Huge, Metadata::Honest];
        let took = fetch_among(seed, &manners, MINUTE, |_, _| {});
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn peers_that_refuse_or_fall_silent_are_got_around() {
    for seed in seeds(5) {
        let silent = [Metadata::Stalls, Metadata::Rejects, Metadata::Unspoken, Metadata::Stalls];
        let manners = [&silent[..], &[Metadata::Honest]].concat();
        let took = fetch_among(seed, &manners, MINUTE, |_, banned| assert!(banned.is_empty()));
        // What the silent were asked for goes to others after three seconds.
        assert!(took < Duration::from_secs(8), "{took:?}");
    }
}

#[test]
fn one_honest_peer_is_enough_whoever_the_others_are() {
    const MANNERS: [Metadata; 8] = [
        Metadata::Unspoken,
        Metadata::Honest,
        Metadata::Garbage,
        Metadata::Spoils { part: 2 },
        Metadata::Huge,
        Metadata::OtherSize,
        Metadata::Rejects,
        Metadata::Stalls,
    ];
    for seed in seeds(100) {
        let mut rng = Rng::new(seed);
        let count = 1 + rng.below(6);
        let mut manners: Vec<Metadata> =
            (0..count).map(|_| MANNERS[rng.below(8) as usize]).collect();
        manners.push(Metadata::Honest);
        rng.shuffle(&mut manners);
        fetch_among(seed, &manners, 3 * MINUTE, |_, _| {});
    }
}
