//! Torrents known by a link alone: the metadata comes from peers, then everything else (BEP 9).

use super::MINUTE;
use super::VERSIONS;
use super::add_leech;
use super::add_seed;
use super::add_torrent;
use super::seeds;
use crate::base::ids::TorrentId;
use crate::base::info_hashes::InfoHashes;
use crate::base::status::TorrentState;
use crate::content::make::TorrentMaker;
use crate::content::make::TorrentVersion;
use crate::engine::alert::AlertKind;
use crate::engine::command::Command;
use crate::engine::settings::Settings;
use crate::engine::to_ring::Reply;
use crate::sim::bundle::Bundle;
use crate::sim::bundle::PIECE_LEN;
use crate::sim::conduct::Conduct;
use crate::sim::net::Weather;
use crate::sim::world::core::LINE;
use crate::sim::world::core::World;

fn files(seed: u64, version: TorrentVersion) -> Bundle {
    let maker = TorrentMaker::directory("d").file(["a"], 900_000).file(["b"], 70_001);
    let maker = maker.file(["c"], 5).file(["d"], 300_000);
    Bundle::of_version(seed, maker, PIECE_LEN, version)
}

/// Every link that names the torrent: by one hash, by the other, by both.
fn links(bundle: &Bundle) -> Vec<Bundle> {
    let all = bundle.torrent.info_hashes();
    let (v1, v2) = (all.v1(), all.v2());
    let mut names = vec![InfoHashes::new(v1, None), InfoHashes::new(None, v2)];
    names.extend(all.is_hybrid().then_some(Some(all)));
    names.into_iter().flatten().map(|names| bundle.named(names)).collect()
}

fn state(world: &World, site: usize, id: TorrentId) -> TorrentState {
    world.sites[site].torrents[&id].stats.read().state
}

fn has_metadata(world: &World, site: usize) -> bool {
    world.sites[site].count_alerts(|kind| matches!(kind, AlertKind::MetadataReceived { .. })) > 0
}

#[test]
fn whatever_hash_a_link_has_the_torrent_comes_whole() {
    for seed in seeds(6) {
        for version in VERSIONS {
            let bundle = files(seed, version);
            for link in links(&bundle) {
                World::tell(seed, Weather::default(), |world| {
                    let source = add_seed(world, &bundle);
                    let address = world.sites[source].address();
                    let leech = add_leech(world, &link, &[address]);
                    world.run_until_complete(2 * MINUTE);
                    assert!(has_metadata(world, leech));
                    world.shut_down();
                });
            }
        }
    }
}

#[test]
fn peers_that_told_their_pieces_before_the_metadata_came_are_used_afterwards() {
    for seed in seeds(6) {
        World::tell(seed, Weather::default(), |world| {
            let bundle = files(seed, TorrentVersion::V1);
            let silent = [0, 1].map(|_| world.add_honest(Conduct::default(), &bundle));
            let all = silent.map(|at| world.strangers[at].address());
            let names = InfoHashes::from_v1(bundle.info_hash());
            let leech = add_leech(world, &bundle.named(names), &all);
            world.run_for(MINUTE / 2);
            let id = world.only_torrent(leech);
            assert_eq!(state(world, leech, id), TorrentState::Metadata, "nobody has told it");
            // One that has the metadata and nothing else: what follows comes from the others.
            let teller = world.add_site(Settings::default(), 1, LINE);
            let address = world.sites[leech].address();
            add_torrent(world, teller, &bundle, &[address]);
            world.run_until_complete(5 * MINUTE);
            assert!(world.sites[leech].is_complete(id));
            world.shut_down();
        });
    }
}

#[test]
fn pause_resume_recheck_and_removal_are_answered_while_the_metadata_is_missing() {
    World::tell(3, Weather::default(), |world| {
        let bundle = files(3, TorrentVersion::Hybrid);
        let source = add_seed(world, &bundle);
        let address = world.sites[source].address();
        let lone = bundle.named(bundle.torrent.info_hashes());
        let leech = add_leech(world, &lone, &[]);
        let id = world.only_torrent(leech);
        for command in [Command::Pause, Command::Resume, Command::Recheck] {
            let now = world.now;
            let ticket = world.sites[leech].order_of(now, id, command);
            world.run_for(MINUTE / 30);
            assert!(matches!(world.sites[leech].replies(ticket), [Reply::Done]));
        }
        assert_eq!(state(world, leech, id), TorrentState::Metadata);
        let now = world.now;
        let ticket = world.sites[leech].order_of(now, id, Command::Remove);
        world.sites[leech].forget(id);
        world.run_until(MINUTE, "the removal is answered", |world| {
            !world.sites[leech].replies(ticket).is_empty()
        });
        // And it may come back at once, with somebody to ask.
        let again = add_torrent(world, leech, &lone, &[address]);
        world.run_until_complete(2 * MINUTE);
        assert!(world.sites[leech].is_complete(again));
        world.shut_down();
    });
}

#[test]
fn a_peer_that_only_the_link_named_is_left_when_the_torrent_turns_out_to_be_private() {
    for is_private in [false, true] {
        World::tell(4, Weather::default(), |world| {
            let maker = TorrentMaker::single("one.bin", 900_000).private(is_private);
            let bundle = Bundle::of_version(4, maker, PIECE_LEN, TorrentVersion::V1);
            let source = add_seed(world, &bundle);
            let mut link = bundle.named(bundle.torrent.info_hashes());
            if let Some(hints) = &mut link.magnet {
                hints.peers.push(world.sites[source].address());
            }
            let leech = add_leech(world, &link, &[]);
            world.run_for(2 * MINUTE);
            let id = world.only_torrent(leech);
            assert!(has_metadata(world, leech), "the metadata itself is no secret");
            assert_eq!(world.sites[leech].is_complete(id), !is_private);
            world.shut_down();
        });
    }
}
