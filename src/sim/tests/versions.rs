//! Torrents of v2 and hybrids: who spoils a piece, and torrents that contradict themselves.

use std::time::Duration;

use super::MINUTE;
use super::VERSIONS;
use super::add_leech;
use super::add_seed;
use super::add_torrent;
use super::banned;
use super::seeds;
use crate::base::ids::FileIndex;
use crate::base::status::TorrentState;
use crate::content::make::TorrentMaker;
use crate::content::make::TorrentVersion;
use crate::engine::alert::AlertKind;
use crate::engine::settings::Settings;
use crate::sim::bundle::Bundle;
use crate::sim::bundle::PIECE_LEN;
use crate::sim::conduct::Conduct;
use crate::sim::conduct::Serving;
use crate::sim::net::Weather;
use crate::sim::world::core::LINE;
use crate::sim::world::core::World;

/// Many small files: most pieces are one block, and their leaf is known from the start.
fn small_files(seed: u64, version: TorrentVersion) -> Bundle {
    let maker = (0..60u64).fold(TorrentMaker::directory("small"), |maker, n| {
        maker.file([format!("{n:02}")], 1 + n * 7919 % 16_384)
    });
    Bundle::of_version(seed, maker, PIECE_LEN, version)
}

fn error(world: &World, site: usize) -> Option<String> {
    let alerts = world.sites[site].alerts().iter();
    let mut errors = alerts.filter_map(|alert| match &alert.kind {
        AlertKind::Error { message } => Some(message.clone()),
        _ => None,
    });
    errors.next()
}

#[test]
fn whoever_corrupts_is_banned_in_every_version_and_nobody_else() {
    for seed in seeds(4) {
        for version in VERSIONS {
            World::tell(seed, Weather::default(), |world| {
                let maker = TorrentMaker::single("one.bin", 2_000_000);
                let bundle = Bundle::of_version(seed, maker, 4 * PIECE_LEN, version);
                let corrupt = Conduct::serving(Serving::Corrupt { one_in: 4 });
                let honest = [0, 1].map(|_| world.add_honest(Conduct::default(), &bundle));
                let liar = world.add_stranger(corrupt, &bundle);
                let all = [honest[0], liar, honest[1]].map(|at| world.strangers[at].address());
                let leech = add_leech(world, &bundle, &all);
                world.run_until_complete(10 * MINUTE);
                assert_eq!(banned(world, leech), [all[1]]);
                world.shut_down();
            });
        }
    }
}

#[test]
fn a_wrong_block_whose_leaf_is_known_bans_its_sender_and_is_fetched_again_alone() {
    for seed in seeds(4) {
        World::tell(seed, Weather::default(), |world| {
            let bundle = small_files(seed, TorrentVersion::V2);
            let corrupt = Conduct::serving(Serving::Corrupt { one_in: 6 });
            let honest = world.add_honest(Conduct::default(), &bundle);
            let liar = world.add_stranger(corrupt, &bundle);
            let all = [honest, liar].map(|at| world.strangers[at].address());
            let leech = add_leech(world, &bundle, &all);
            world.run_until_complete(10 * MINUTE);
            let refused = |kind: &AlertKind| matches!(kind, AlertKind::BlockFailed { .. });
            let failed = |kind: &AlertKind| matches!(kind, AlertKind::PieceFailed { .. });
            assert!(world.sites[leech].count_alerts(refused) > 0);
            assert_eq!(world.sites[leech].count_alerts(failed), 0, "no piece was thrown away");
            assert_eq!(banned(world, leech), [all[1]]);
            world.shut_down();
        });
    }
}

#[test]
fn leaves_of_a_failed_piece_tell_who_spoilt_it_before_it_passes() {
    let mut by_leaf = 0;
    for seed in seeds(6) {
        World::tell(seed, Weather::default(), |world| {
            let maker = TorrentMaker::single("one.bin", 3_000_000);
            let bundle = Bundle::of_version(seed, maker, 16 * PIECE_LEN, TorrentVersion::V2);
            let corrupt = Conduct::serving(Serving::Corrupt { one_in: 4 });
            let honest = [0, 1].map(|_| world.add_honest(Conduct::default(), &bundle));
            let liar = world.add_stranger(corrupt, &bundle);
            let all = [honest[0], liar, honest[1]].map(|at| world.strangers[at].address());
            let leech = add_leech(world, &bundle, &all);
            world.run_until_complete(10 * MINUTE);
            assert_eq!(banned(world, leech), [all[1]]);
            by_leaf += world.sites[leech].count_alerts(|kind| {
                matches!(kind, AlertKind::PeerBanned { reason, .. } if reason.contains("its hash"))
            });
            world.shut_down();
        });
    }
    assert!(by_leaf >= 3, "{by_leaf} of 6 liars were found before the piece was fetched again");
}

#[test]
fn a_magnet_of_v2_or_both_gets_its_layers_from_peers_and_verifies_every_piece() {
    for version in [TorrentVersion::V2, TorrentVersion::Hybrid] {
        World::tell(4, Weather::default(), |world| {
            let maker = TorrentMaker::directory("d").file(["a"], 900_000).file(["b"], 70_001);
            let maker = maker.file(["c"], 5).file(["d"], 300_000);
            let bundle = Bundle::of_version(4, maker, PIECE_LEN, version);
            let seed = add_seed(world, &bundle);
            let address = world.sites[seed].address();
            let leech = add_leech(world, &bundle.bare(), &[address]);
            world.run_until_complete(MINUTE);
            let id = world.only_torrent(leech);
            assert!(world.sites[leech].is_complete(id));
            world.shut_down();
        });
    }
}

#[test]
fn what_a_magnet_of_v2_finds_on_the_disk_is_read_when_the_layers_have_come() {
    World::tell(5, Weather::default(), |world| {
        let maker = TorrentMaker::directory("d").file(["a"], 900_000).file(["b"], 500_000);
        let bundle = Bundle::of_version(5, maker, PIECE_LEN, TorrentVersion::V2);
        let seed = add_seed(world, &bundle);
        let address = world.sites[seed].address();
        let leech = world.add_site(Settings::default(), 1, LINE);
        world.sites[leech].disk.put(&bundle.torrent, &bundle.bytes);
        let contents = world.sites[leech].disk.contents_mut(&bundle.info_hash()).unwrap();
        contents.flip(100_000);
        // The second one is the pad behind the first.
        contents.truncate(FileIndex(2), 400_000);
        let id = add_torrent(world, leech, &bundle.bare(), &[address]);
        world.run_until_complete(MINUTE);
        assert!(world.sites[leech].is_complete(id));
        // Figures are published every 200 ms.
        world.run_for(Duration::from_secs(1));
        let stats = world.sites[leech].torrents[&id].stats.read().clone();
        let missing = 32_768 + (500_000 - 400_000 / 32_768 * 32_768);
        assert_eq!(stats.downloaded, missing, "one spoilt piece, and what was cut off");
        world.shut_down();
    });
}

#[test]
fn a_hybrid_whose_hashes_name_different_bytes_stops_with_an_error_and_nobody_is_blamed() {
    for (seed, holds_v1) in [(1, true), (2, false)] {
        World::tell(seed, Weather::default(), |world| {
            let bundle = Bundle::torn(seed, 400_000, holds_v1);
            let honest = world.add_honest(Conduct::default(), &bundle);
            let address = world.strangers[honest].address();
            let leech = add_leech(world, &bundle, &[address]);
            world.run_until(MINUTE, "it stops", |world| error(world, leech).is_some());
            let message = error(world, leech).unwrap_or_default();
            assert!(message.contains("contradicts itself"), "{message}");
            assert_eq!(banned(world, leech), []);
            let contents = world.sites[leech].disk.contents(&bundle.info_hash());
            assert!(!contents.unwrap().seen().is_empty(), "its files stay");
            world.shut_down();
        });
    }
}

#[test]
fn a_hybrid_that_contradicts_itself_is_found_out_by_a_check() {
    World::tell(3, Weather::default(), |world| {
        let bundle = Bundle::torn(3, 400_000, true);
        let site = add_seed(world, &bundle);
        let id = world.only_torrent(site);
        world.run_until(MINUTE, "it stops", |world| {
            let placed = &world.sites[site].torrents[&id];
            placed.stats.read().state == TorrentState::Error
        });
        let message = error(world, site).unwrap_or_default();
        assert!(message.contains("piece 5") && message.contains("v1 hash"), "{message}");
        let contents = world.sites[site].disk.contents(&bundle.info_hash()).unwrap();
        assert!(contents.is_finished() && contents.bytes() == &bundle.bytes[..], "data is kept");
        world.shut_down();
    });
}

#[test]
fn a_torrent_file_without_some_of_its_layers_gets_them_from_peers_of_v2() {
    for version in [TorrentVersion::V2, TorrentVersion::Hybrid] {
        World::tell(6, Weather::default(), |world| {
            let maker = TorrentMaker::directory("d").file(["a"], 900_000).file(["b"], 300_001);
            let bundle = Bundle::of_version(6, maker.file(["c"], 5), PIECE_LEN, version);
            let seed = add_seed(world, &bundle);
            let address = world.sites[seed].address();
            let short = bundle.with_one_layer();
            assert_eq!(short.given.missing_layer_count(), 1);
            let leech = add_leech(world, &short, &[address]);
            world.run_until_complete(MINUTE);
            let id = world.only_torrent(leech);
            let known = world.sites[leech].torrents[&id].known.read().clone();
            assert!(
                known.as_ref().as_ref().is_some_and(|torrent| torrent.has_piece_layers()),
                "{version:?}"
            );
            world.shut_down();
        });
    }
}
