//! Shards that have no time for hashing, and others that have.

use std::time::Duration;

use super::MINUTE;
use super::VERSIONS;
use super::add_seed;
use super::add_torrent;
use super::seeds;
use crate::base::ids::TorrentId;
use crate::content::make::TorrentMaker;
use crate::engine::alert::AlertKind;
use crate::engine::command::Command;
use crate::engine::settings::Settings;
use crate::sim::bundle::Bundle;
use crate::sim::bundle::PIECE_LEN;
use crate::sim::net::Weather;
use crate::sim::world::core::LINE;
use crate::sim::world::core::World;

const LEN: u64 = 2_400_000;

/// A session of three shards with these torrents whole on its disk, all of them on the first shard.
fn add_house(world: &mut World, bundles: &[Bundle]) -> (usize, Vec<TorrentId>) {
    let site = world.add_site(Settings::default(), 3, LINE);
    let put = |bundle: &Bundle| {
        world.sites[site].disk.put(&bundle.torrent, &bundle.bytes);
        add_torrent(world, site, bundle, &[])
    };
    let ids = bundles.iter().map(put).collect();
    (site, ids)
}

fn bundles() -> Vec<Bundle> {
    let make = |version| {
        let maker = TorrentMaker::directory("d").file(["a"], LEN / 3).file(["b"], 2 * LEN / 3);
        Bundle::of_version(1, maker, PIECE_LEN, version)
    };
    VERSIONS.into_iter().map(make).collect()
}

/// Bytes that the first shard had hashed, and that the others hashed for it.
fn hashed(world: &World, site: usize) -> (u64, u64) {
    let stats: Vec<_> = world.sites[site].shards.iter().map(|shard| shard.stats()).collect();
    (stats[0].hashed_by_others, stats[1..].iter().map(|stats| stats.hashed_for_others).sum())
}

fn is_checked(world: &World, site: usize, count: usize) -> bool {
    world.sites[site].count_alerts(|kind| matches!(kind, AlertKind::Checked { .. })) == count
}

#[test]
fn a_check_is_done_by_idle_shards_too_and_finds_what_is_wrong() {
    for seed in seeds(4) {
        World::tell(seed, Weather::default(), |world| {
            let bundles = bundles();
            let (site, ids) = add_house(world, &bundles);
            for bundle in &bundles {
                world.sites[site].disk.contents_mut(&bundle.info_hash()).unwrap().flip(100_000);
            }
            world.run_until(MINUTE, "all is checked", |world| is_checked(world, site, ids.len()));
            let missing = |kind: &AlertKind| match kind {
                AlertKind::Checked { have_count, piece_count } => piece_count - have_count,
                _ => 0,
            };
            let alerts = world.sites[site].alerts().iter();
            assert_eq!(alerts.map(|alert| missing(&alert.kind)).sum::<u32>(), ids.len() as u32);
            let (by_others, for_others) = hashed(world, site);
            assert!(by_others > 0 && by_others == for_others, "{by_others}, {for_others}");
            world.shut_down();
        });
    }
}

#[test]
fn a_download_is_hashed_by_idle_shards_too_and_is_whole() {
    for seed in seeds(4) {
        World::tell(seed, Weather::default(), |world| {
            let bundle = &bundles()[seed as usize % 3];
            let peers = [(); 4].map(|()| {
                let seed = add_seed(world, bundle);
                world.sites[seed].address()
            });
            let site = world.add_site(Settings::default(), 3, LINE);
            add_torrent(world, site, bundle, &peers);
            world.run_until_complete(5 * MINUTE);
            let (by_others, for_others) = hashed(world, site);
            assert!(by_others > 0 && by_others == for_others, "{by_others}, {for_others}");
            world.shut_down();
        });
    }
}

#[test]
fn lost_batches_cost_time_and_nothing_else() {
    for seed in seeds(4) {
        World::tell(seed, Weather::default(), |world| {
            world.outwork_loss = [40, 100][seed as usize % 2];
            let bundles = bundles();
            let (site, ids) = add_house(world, &bundles);
            world.run_until_complete(MINUTE);
            let (by_others, for_others) = hashed(world, site);
            assert!(by_others <= for_others, "{by_others}, {for_others}");
            assert!(world.outwork_loss < 100 || by_others == 0);
            let leech = world.add_site(Settings::default(), 3, LINE);
            let address = world.sites[site].address();
            ids.iter().zip(&bundles).for_each(|(_, bundle)| {
                add_torrent(world, leech, bundle, &[address]);
            });
            world.run_until_complete(5 * MINUTE);
            world.shut_down();
        });
    }
}

#[test]
fn a_torrent_that_stops_while_others_hash_for_it_leaves_nothing_behind_and_goes_on_later() {
    for seed in seeds(8) {
        World::tell(seed, Weather::default(), |world| {
            let bundles = bundles();
            let (site, ids) = add_house(world, &bundles);
            let hold = |world: &World| world.sites[site].shards[0].held_for_checks();
            world.run_until(MINUTE, "some is out", |world| hashed(world, site).0 > 0);
            for (at, id) in ids.iter().enumerate() {
                let now = world.now;
                world.sites[site].order_of(now, *id, Command::Pause);
                if (seed + at as u64).is_multiple_of(2) {
                    world.sites[site].order_of(now, *id, Command::Resume);
                }
            }
            world.run_for(Duration::from_secs(10));
            assert_eq!(hold(world), 0);
            for id in &ids {
                let now = world.now;
                world.sites[site].order_of(now, *id, Command::Resume);
            }
            world.run_until_complete(MINUTE);
            assert_eq!(hold(world), 0);
            world.shut_down();
        });
    }
}
