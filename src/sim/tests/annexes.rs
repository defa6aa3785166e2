//! A torrent that keeps its shard busy is served by another one too, for as long as that lasts.

use std::time::Duration;

use super::MINUTE;
use super::add_leech;
use super::add_torrent;
use super::seeds;
use crate::base::ids::ShardId;
use crate::base::ids::TorrentId;
use crate::base::limits::TRAVEL_TIMEOUT;
use crate::codec::message::Message;
use crate::engine::add::PieceOrder;
use crate::engine::alert::AlertKind;
use crate::engine::command::Command;
use crate::engine::settings::Settings;
use crate::engine::to_ring::Reply;
use crate::sim::bundle::Bundle;
use crate::sim::conduct::Conduct;
use crate::sim::disk::DiskFaults;
use crate::sim::net::Weather;
use crate::sim::post::Input;
use crate::sim::world::core::LINE;
use crate::sim::world::core::World;

const SECOND: Duration = Duration::from_secs(1);
const OWNER: ShardId = ShardId(0);
const HELPER: ShardId = ShardId(1);

/// A session of two shards with all of a torrent, on the first one.
fn add_house(world: &mut World, bundle: &Bundle) -> (usize, TorrentId) {
    let site = world.add_site(Settings::default(), 2, LINE);
    world.know(bundle);
    world.sites[site].disk.put(&bundle.torrent, &bundle.bytes);
    let now = world.now;
    let id = world.sites[site].add(now, bundle, OWNER.0, PieceOrder::RarestFirst, Vec::new());
    (site, id)
}

/// Both shards of the house hear how busy they are.
fn tell_loads(world: &mut World, site: usize, loads: [u16; 2]) {
    for shard in 0..2 {
        let now = world.now;
        world.sites[site].shards[shard].push(now, Input::Loads(loads.to_vec()));
    }
}

fn count(world: &World, site: usize, is_meant: impl Fn(&AlertKind) -> bool) -> usize {
    world.sites[site].count_alerts(is_meant)
}

fn released(world: &World, site: usize) -> usize {
    count(world, site, |kind| matches!(kind, AlertKind::ShardReleased { shard: HELPER, .. }))
}

/// Leeches come, the owner is hot, and the helper serves the torrent too.
fn heat_up(world: &mut World, site: usize, bundle: &Bundle, leech_count: usize) {
    let address = world.sites[site].address();
    for _ in 0..leech_count {
        add_leech(world, bundle, &[address]);
    }
    world.run_for(SECOND);
    let before = count(world, site, is_enlisting);
    tell_loads(world, site, [900, 50]);
    world.run_until(SECOND, "the helper is ready", |world| {
        count(world, site, is_enlisting) > before
    });
}

fn is_enlisting(kind: &AlertKind) -> bool {
    *kind == AlertKind::ShardEnlisted { shard: HELPER }
}

#[test]
fn a_hot_torrent_is_served_by_an_idle_shard_too_and_everybody_gets_all_of_it() {
    for seed in seeds(2) {
        World::tell(seed, Weather::default(), |world| {
            let bundle = Bundle::single(1, 3_000_000);
            let (site, id) = add_house(world, &bundle);
            heat_up(world, site, &bundle, 3);
            let address = world.sites[site].address();
            for _ in 0..6 {
                add_leech(world, &bundle, &[address]);
            }
            world.run_until(SECOND * 3, "both shards are shown, with all nine peers", |world| {
                let stats = world.sites[site].torrents[&id].stats.read();
                let shards: Vec<ShardId> = stats.shards.iter().map(|share| share.shard).collect();
                let peers: u32 = stats.shards.iter().map(|share| share.peer_count).sum();
                shards == [OWNER, HELPER] && (stats.peer_count, peers) == (9, 9)
            });
            world.run_until_complete(5 * MINUTE);
            world.run_for(SECOND);
            let sent: u64 = world.sites[site].shards.iter().map(|s| s.stats().uploaded).sum();
            let stats = world.sites[site].torrents[&id].stats.read();
            assert_eq!(stats.uploaded, sent, "the sum of what both sent");
            assert!(world.sites[site].shards[1].stats().uploaded > 0, "the helper did something");
            assert_eq!(world.sites[site].shards[1].stats().torrent_count, 0);
            assert_eq!(world.sites[site].shards[1].stats().annex_count, 1);
            world.shut_down();
        });
    }
}

#[test]
fn a_helper_is_called_off_when_it_is_needed_no_more_and_comes_again_when_it_is() {
    World::tell(7, Weather::default(), |world| {
        let bundle = Bundle::single(1, 3_000_000);
        let (site, id) = add_house(world, &bundle);
        heat_up(world, site, &bundle, 4);
        for _ in 0..9 {
            tell_loads(world, site, [200, 100]);
            world.run_for(SECOND);
        }
        assert_eq!(released(world, site), 0, "nine cold seconds are not enough");
        tell_loads(world, site, [200, 100]);
        world.run_until(SECOND, "it is gone", |world| released(world, site) == 1);
        assert_eq!(world.sites[site].shards[1].stats().annex_count, 0);
        world.run_until_complete(5 * MINUTE);
        let total = world.sites[site].torrents[&id].stats.read().uploaded;
        assert!(total >= 4 * 3_000_000, "what the helper sent is still counted: {total}");
        let bundle = Bundle::single(1, 3_000_000);
        heat_up(world, site, &bundle, 2);
        world.run_until_complete(5 * MINUTE);
        world.shut_down();
    });
}

#[test]
fn whatever_stops_the_torrent_stops_its_annex() {
    type Order = fn(TorrentId) -> Command;
    let orders: [Order; 3] = [Command::Pause, Command::Recheck, Command::Remove];
    for (seed, order) in (1..).zip(orders) {
        World::tell(seed, Weather::default(), |world| {
            let bundle = Bundle::single(1, 2_000_000);
            let (site, id) = add_house(world, &bundle);
            heat_up(world, site, &bundle, 4);
            let now = world.now;
            let ticket = world.sites[site].order_of(now, id, order);
            world.run_until(SECOND, "the helper is gone", |world| released(world, site) == 1);
            assert_eq!(world.sites[site].shards[1].stats().annex_count, 0);
            world.run_until(MINUTE, "the order is done", |world| {
                matches!(world.sites[site].replies(ticket), [Reply::Done])
            });
            world.shut_down();
        });
    }
}

#[test]
fn an_annex_whose_file_is_not_there_ends_alone() {
    World::tell(4, Weather::default(), |world| {
        let bundle = Bundle::single(1, 2_000_000);
        let (site, _) = add_house(world, &bundle);
        let address = world.sites[site].address();
        (0..2).for_each(|_| _ = add_leech(world, &bundle, &[address]));
        world.run_for(SECOND);
        world.sites[site].disk.hide(bundle.info_hash());
        tell_loads(world, site, [900, 50]);
        world.run_until(SECOND, "the helper gives up", |world| released(world, site) == 1);
        assert_eq!(count(world, site, |kind| matches!(kind, AlertKind::Error { .. })), 0);
        tell_loads(world, site, [900, 50]);
        world.run_for(SECOND);
        assert_eq!(count(world, site, is_enlisting), 0, "it is not asked again at once");
        world.shut_down();
    });
}

#[test]
fn an_incomplete_torrent_and_a_lone_peer_need_no_help() {
    World::tell(5, Weather::default(), |world| {
        let bundle = Bundle::single(1, 2_000_000);
        let (site, _) = add_house(world, &bundle);
        let address = world.sites[site].address();
        let leech = world.add_site(Settings::default(), 2, LINE);
        add_torrent(world, leech, &bundle, &[address]);
        world.run_for(SECOND / 2);
        for _ in 0..3 {
            tell_loads(world, site, [1_000, 0]);
            tell_loads(world, leech, [1_000, 0]);
            world.run_for(SECOND / 10);
        }
        for house in [site, leech] {
            assert_eq!(world.sites[house].shards[1].stats().annex_count, 0);
        }
        world.run_until_complete(5 * MINUTE);
        world.shut_down();
    });
}

/// What each leech has received.
fn got(world: &World) -> Vec<u64> {
    world.sites[1..].iter().map(|leech| leech.shards[0].stats().downloaded).collect()
}

/// Times that a leech lost a peer.
fn losses(world: &World) -> usize {
    let lost = |kind: &AlertKind| matches!(kind, AlertKind::PeerDisconnected { .. });
    (0..world.sites.len()).map(|site| count(world, site, lost)).sum()
}

#[test]
fn peers_that_were_there_before_go_to_the_helper_and_come_back_without_a_break() {
    for seed in seeds(2) {
        World::tell(seed, Weather::default(), |world| {
            let bundle = Bundle::single(1, 3_000_000);
            let (site, id) = add_house(world, &bundle);
            heat_up(world, site, &bundle, 8);
            world.run_for(SECOND);
            let stats = world.sites[site].torrents[&id].stats.read();
            let peers: Vec<u32> = stats.shards.iter().map(|share| share.peer_count).collect();
            assert_eq!(peers, [4, 4], "half of them went");
            assert_eq!((world.move_count(), losses(world)), (4, 0));
            let sent = world.sites[site].shards[1].stats().uploaded;
            let before = got(world);
            world.run_for(SECOND);
            assert!(world.sites[site].shards[1].stats().uploaded > sent, "they are served there");
            let gains: Vec<u64> = got(world).iter().zip(before).map(|(a, b)| a - b).collect();
            let fair = gains.iter().sum::<u64>() / gains.len() as u64;
            assert!(gains.iter().all(|gain| gain * 3 > fair), "nobody starves: {gains:?}");
            for _ in 0..10 {
                tell_loads(world, site, [0, 0]);
            }
            world.run_until(SECOND * 3, "the helper is gone", |world| released(world, site) == 1);
            let stats = world.sites[site].shards[0].stats();
            assert_eq!((stats.connection_count, losses(world)), (8, 0), "everybody is back");
            world.run_until_complete(5 * MINUTE);
            let stats = world.sites[site].torrents[&id].stats.read();
            let sent: u64 = world.sites[site].shards.iter().map(|s| s.stats().uploaded).sum();
            assert_eq!(stats.uploaded.min(sent), stats.uploaded);
            world.shut_down();
        });
    }
}

#[test]
fn in_any_weather_and_with_any_loads_everybody_gets_all_of_it() {
    for seed in seeds(4) {
        let weather = Weather { reset: 300, ..Weather::default() };
        World::tell(seed, weather, |world| {
            let bundle = Bundle::single(seed, 4_000_000);
            let (site, _) = add_house(world, &bundle);
            let address = world.sites[site].address();
            for _ in 0..6 {
                add_leech(world, &bundle, &[address]);
            }
            for _ in 0..40 {
                let loads = [0, 1].map(|_| world.rng().below(1_000) as u16);
                let times = 1 + world.rng().below(12);
                (0..times).for_each(|_| tell_loads(world, site, loads));
                let pause = world.rng().below(700);
                world.run_for(Duration::from_millis(pause));
            }
            world.run_until_complete(10 * MINUTE);
            world.shut_down();
        });
    }
}

#[test]
fn a_peer_that_does_not_read_stays_where_it_is() {
    World::tell(9, Weather::default(), |world| {
        let bundle = Bundle::single(1, 3_000_000);
        let (site, id) = add_house(world, &bundle);
        let mut opening = Vec::new();
        Message::Interested.encode(&mut opening);
        let mut requests = Vec::new();
        for block in 0..20 {
            let (piece, begin) = (block / 2, block % 2 * 16_384);
            Message::Request { piece, begin, length: 16_384 }.encode(&mut requests);
        }
        let refrain = Some((requests, SECOND * 7 / 10));
        let conduct = Conduct { is_deaf: true, refrain, ..Conduct::saying(opening) };
        let deaf = world.add_stranger(conduct, &bundle);
        let (now, address) = (world.now, world.sites[site].address());
        world.run_for(SECOND / 10);
        world.strangers[deaf].dial(now, address, None);
        world.run_for(SECOND);
        heat_up(world, site, &bundle, 1);
        world.run_for(SECOND);
        assert_eq!(world.move_count(), 0, "its last batch has not left");
        world.run_for(TRAVEL_TIMEOUT * 2);
        let stats = world.sites[site].torrents[&id].stats.read();
        assert!(stats.peer_count >= 1, "{:?}", world.sites[site].alerts());
        let lost = |kind: &AlertKind| {
            matches!(kind, AlertKind::PeerDisconnected { address, .. }
                if address.ip() == world.strangers[deaf].ip())
        };
        assert_eq!(count(world, site, lost), 0, "it is still there");
        world.run_until_complete(5 * MINUTE);
        world.shut_down();
    });
}

#[test]
fn a_disk_that_fails_under_the_annex_stops_the_torrent_and_it_can_go_on_later() {
    World::tell(11, Weather::default(), |world| {
        let bundle = Bundle::single(1, 3_000_000);
        let (site, id) = add_house(world, &bundle);
        heat_up(world, site, &bundle, 6);
        let faults = DiskFaults { read: 1_000, errno: 5, ..DiskFaults::default() };
        let faults = DiskFaults { only: Some(bundle.info_hash()), ..faults };
        world.sites[site].disk.set_faults(faults);
        let is_error = |kind: &AlertKind| matches!(kind, AlertKind::Error { .. });
        world.run_until(MINUTE, "it stops", |world| count(world, site, is_error) == 1);
        world.run_until(SECOND, "the helper is gone", |world| released(world, site) == 1);
        world.sites[site].disk.set_faults(DiskFaults::default());
        let now = world.now;
        world.sites[site].order_of(now, id, Command::Resume);
        world.run_until_complete(10 * MINUTE);
        assert_eq!(count(world, site, is_error), 1, "one error is told once");
        world.shut_down();
    });
}
