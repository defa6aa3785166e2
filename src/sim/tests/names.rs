//! Hybrids between peers that know one of their names, and v2 torrents whose layers are fetched.

use std::net::SocketAddr;

use super::MINUTE;
use super::add_leech;
use super::add_seed;
use super::banned;
use super::seeds;
use crate::content::make::TorrentMaker;
use crate::content::make::TorrentVersion;
use crate::engine::alert::AlertKind;
use crate::sim::bundle::Bundle;
use crate::sim::bundle::PIECE_LEN;
use crate::sim::conduct::Claim;
use crate::sim::conduct::Conduct;
use crate::sim::conduct::Hashes;
use crate::sim::conduct::Serving;
use crate::sim::conduct::Speaks;
use crate::sim::net::Weather;
use crate::sim::world::core::World;

fn hybrid(seed: u64) -> Bundle {
    let maker = TorrentMaker::single("one.bin", 1_500_000);
    Bundle::of_version(seed, maker, PIECE_LEN, TorrentVersion::Hybrid)
}

/// A v2 torrent of three layers.
fn layered(seed: u64) -> Bundle {
    let lens = [900_000, 10, 100_000, 32_768, 700_000];
    let maker = lens
        .iter()
        .enumerate()
        .fold(TorrentMaker::directory("d"), |maker, (n, len)| maker.file([format!("{n}")], *len));
    Bundle::of_version(seed, maker, PIECE_LEN, TorrentVersion::V2)
}

/// A site that knows the torrent without its layers, and these peers.
fn add_magnet(world: &mut World, bundle: &Bundle, peers: &[SocketAddr]) -> usize {
    add_leech(world, &bundle.bare(), peers)
}

fn add_all(world: &mut World, conducts: &[Conduct], bundle: &Bundle) -> Vec<SocketAddr> {
    let add = |conduct: &Conduct| {
        let at = world.add_honest(conduct.clone(), bundle);
        world.strangers[at].address()
    };
    conducts.iter().map(add).collect()
}

fn assert_no_complaints(world: &World) {
    let facts = world.strangers.iter().flat_map(|stranger| stranger.facts());
    for facts in facts {
        assert_eq!(facts.complaint, None, "an engine broke the protocol");
    }
}

#[test]
fn a_hybrid_gathers_its_halves_from_peers_that_know_one_name_each() {
    for seed in seeds(6) {
        World::tell(seed, Weather::default(), |world| {
            let bundle = hybrid(seed);
            let half = |speaks, odd: u32| {
                let own = (0..bundle.piece_count()).filter(|piece| piece % 2 == odd).collect();
                Conduct { claim: Claim::Pieces(own), ..Conduct::speaking(speaks) }
            };
            let conducts = [half(Speaks::V1, 0), half(Speaks::V2, 1)];
            let peers = add_all(world, &conducts, &bundle);
            let leech = add_leech(world, &bundle, &peers);
            world.run_until_complete(2 * MINUTE);
            assert_eq!(banned(world, leech), []);
            assert_no_complaints(world);
            let misnamed =
                |at: usize| world.strangers[at].facts().filter(|f| f.is_misnamed).count();
            assert_eq!((misnamed(0), misnamed(1)), (0, 1), "the other name is tried at once");
            world.shut_down();
        });
    }
}

#[test]
fn a_peer_that_knows_only_v1_downloads_from_a_hybrid_and_so_does_one_of_v2() {
    for speaks in [Speaks::First, Speaks::V1, Speaks::V2] {
        World::tell(1, Weather::default(), |world| {
            let bundle = hybrid(1);
            let seed = add_seed(world, &bundle);
            let leech = world.add_honest(Conduct { speaks, ..Conduct::leech() }, &bundle);
            let address = world.strangers[leech].address();
            let id = world.only_torrent(seed);
            let command = crate::engine::command::Command::AddPeers(id, vec![address]);
            let now = world.now;
            world.sites[seed].order(now, crate::base::ids::ShardId(0), command);
            world.run_until(2 * MINUTE, "the stranger has all", |world| {
                world.strangers[leech].has_completed()
            });
            assert_no_complaints(world);
            world.shut_down();
        });
    }
}

#[test]
fn a_v2_magnet_fetches_its_layers_from_an_engine_or_from_a_stranger() {
    for seed in seeds(3) {
        for from_engine in [true, false] {
            World::tell(seed, Weather::default(), |world| {
                let bundle = layered(seed);
                let peer = match from_engine {
                    true => {
                        let site = add_seed(world, &bundle);
                        world.sites[site].address()
                    }
                    false => add_all(world, &[Conduct::hashing(Hashes::Honest)], &bundle)[0],
                };
                let leech = add_magnet(world, &bundle, &[peer]);
                world.run_until_complete(2 * MINUTE);
                assert_eq!(banned(world, leech), []);
                assert_no_complaints(world);
                for facts in world.strangers.iter().flat_map(|stranger| stranger.facts()) {
                    assert!(facts.hash_request_count <= 3, "each part once: {facts:?}");
                }
                world.shut_down();
            });
        }
    }
}

#[test]
fn a_layer_of_more_than_512_pieces_comes_in_parts() {
    World::tell(1, Weather::default(), |world| {
        let maker = TorrentMaker::single("one.bin", 513 * 16_384 + 1);
        let bundle = Bundle::of_version(1, maker, 16_384, TorrentVersion::V2);
        let peers = add_all(world, &[Conduct::hashing(Hashes::Honest)], &bundle);
        add_magnet(world, &bundle, &peers);
        world.run_until_complete(MINUTE);
        let asked: u32 = world.strangers[0].facts().map(|facts| facts.hash_request_count).sum();
        assert_eq!(asked, 2);
        assert_no_complaints(world);
        world.shut_down();
    });
}

#[test]
fn wrong_hashes_ban_their_sender_and_silent_and_refusing_peers_hold_nobody_up() {
    for seed in seeds(4) {
        World::tell(seed, Weather::default(), |world| {
            let bundle = layered(seed);
            let liar = world.add_stranger(Conduct::hashing(Hashes::Wrong), &bundle);
            let liar = world.strangers[liar].address();
            let kinds = [Hashes::Silence, Hashes::Reject, Hashes::Honest];
            let mut peers = add_all(world, &kinds.map(Conduct::hashing), &bundle);
            peers.push(liar);
            let leech = add_magnet(world, &bundle, &peers);
            world.run_until_complete(5 * MINUTE);
            assert!(banned(world, leech).iter().all(|address| *address == liar));
            assert_no_complaints(world);
            world.shut_down();
        });
    }
}

#[test]
fn a_liar_alone_is_banned_for_its_first_wrong_hash_and_nothing_is_taken_from_it() {
    World::tell(1, Weather::default(), |world| {
        let bundle = layered(1);
        let liar = world.add_stranger(Conduct::hashing(Hashes::Wrong), &bundle);
        let liar = world.strangers[liar].address();
        let leech = add_magnet(world, &bundle, &[liar]);
        world.run_until(MINUTE, "the liar is banned", |world| banned(world, leech) == [liar]);
        let failed = |kind: &AlertKind| matches!(kind, AlertKind::PieceFailed { .. });
        assert_eq!(world.sites[leech].count_alerts(failed), 0);
        world.shut_down();
    });
}

#[test]
fn a_hybrid_magnet_needs_no_layers_to_begin_with_peers_that_know_only_v1() {
    World::tell(1, Weather::default(), |world| {
        let bundle = hybrid(1);
        let stall = Conduct { serving: Serving::Honest, ..Conduct::speaking(Speaks::V1) };
        let peers = add_all(world, &[stall], &bundle);
        let leech = add_magnet(world, &bundle, &peers);
        world.run_until_complete(MINUTE);
        assert_eq!(banned(world, leech), []);
        assert_no_complaints(world);
        world.shut_down();
    });
}
