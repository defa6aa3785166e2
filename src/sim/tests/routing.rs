//! Two shards on one port: a connection finds the shard that owns its torrent.

use super::MINUTE;
use super::add_leech;
use super::seeds;
use crate::engine::add::PieceOrder;
use crate::engine::settings::Settings;
use crate::sim::bundle::Bundle;
use crate::sim::net::Weather;
use crate::sim::world::core::LINE;
use crate::sim::world::core::World;

#[test]
fn inbound_connections_reach_the_owner_whichever_shard_accepts_them() {
    for seed in seeds(5) {
        World::tell(seed, Weather::default(), |world| {
            let bundles = [Bundle::single(1, 200_000), Bundle::single(2, 200_000)];
            let site = world.add_site(Settings::default(), 2, LINE);
            let now = world.now;
            for (shard, bundle) in bundles.iter().enumerate() {
                world.know(bundle);
                world.sites[site].disk.put(&bundle.torrent, &bundle.bytes);
                let shard = shard as u16;
                world.sites[site].add(now, bundle, shard, PieceOrder::RarestFirst, Vec::new());
            }
            let address = world.sites[site].address();
            for bundle in bundles.iter().cycle().take(8) {
                add_leech(world, bundle, &[address]);
            }
            world.run_until_complete(5 * MINUTE);
            let handed = world.hand_over_count();
            assert!(handed > 0, "of 8 connections none fell on the wrong shard");
            world.shut_down();
        });
    }
}

#[test]
fn strangers_who_ask_for_an_unknown_torrent_are_closed() {
    World::tell(3, Weather::default(), |world| {
        let bundle = Bundle::single(1, 100_000);
        let site = super::add_seed(world, &bundle);
        let target = world.sites[site].address();
        let greeting = crate::sim::conduct::Greeting::StrangeTorrent;
        let conduct = crate::sim::conduct::Conduct { greeting, ..Default::default() };
        let stranger = world.add_stranger(conduct, &bundle);
        let now = world.now;
        world.strangers[stranger].dial(now, target, None);
        world.run_for(MINUTE / 10);
        let facts = world.strangers[stranger].facts().next().unwrap();
        assert!(facts.is_closed && !facts.has_shaken_hands);
        world.shut_down();
    });
}
