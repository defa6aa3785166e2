//! Networks that lose, refuse and swallow; peers that are silent; limits on connections.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use super::MINUTE;
use super::add_leech;
use super::add_seed;
use super::add_torrent;
use super::seeds;
use crate::base::limits::IDLE_TIMEOUT;
use crate::content::make::TorrentMaker;
use crate::engine::alert::AlertKind;
use crate::engine::settings::Settings;
use crate::sim::bundle::Bundle;
use crate::sim::conduct::Claim;
use crate::sim::conduct::Conduct;
use crate::sim::conduct::Serving;
use crate::sim::net::Weather;
use crate::sim::tracker::TrackerConduct;
use crate::sim::world::core::LINE;
use crate::sim::world::core::World;

fn disconnects(world: &World, site: usize) -> usize {
    world.sites[site].count_alerts(|kind| matches!(kind, AlertKind::PeerDisconnected { .. }))
}

#[test]
fn a_udp_tracker_brings_peers_together_although_packets_are_lost() {
    for seed in seeds(5) {
        World::tell(seed, Weather { datagram_loss: 300, ..Weather::default() }, |world| {
            let ip = IpAddr::from([10, 3, 0, 1]);
            world.names.insert("udp.sim".to_owned(), ip);
            world.net.add_host(ip, LINE);
            world.udp_trackers.insert(SocketAddr::new(ip, 80));
            let maker = TorrentMaker::single("one.bin", 400_000);
            let bundle = Bundle::of(1, maker.tier(["udp://udp.sim:80/announce"]));
            world.know(&bundle);
            let settings = Settings { allow_private_trackers: true, ..Settings::default() };
            for index in 0..3 {
                let site = world.add_site(settings.clone(), 1, LINE);
                if index == 0 {
                    world.sites[site].disk.put(&bundle.torrent, &bundle.bytes);
                }
                add_torrent(world, site, &bundle, &[]);
            }
            world.run_until_complete(20 * MINUTE);
            world.shut_down();
            let stops = world.trackers.log().iter().filter(|a| a.event == "stopped");
            assert!(stops.count() > 0, "one packet in three is lost, not all of them");
        });
    }
}

#[test]
fn addresses_that_swallow_everything_do_not_hold_up_the_one_that_answers() {
    World::tell(1, Weather::default(), |world| {
        let bundle = Bundle::single(1, 400_000);
        let seed = add_seed(world, &bundle);
        let mut peers: Vec<SocketAddr> = (0..30)
            .map(|n| {
                let ip = IpAddr::from([10, 9, n, 1]);
                world.net.swallow(ip);
                SocketAddr::new(ip, 6881)
            })
            .collect();
        peers.push(world.sites[seed].address());
        let settings = Settings { half_open_max: 4, ..Settings::default() };
        let leech = world.add_site(settings, 1, LINE);
        add_torrent(world, leech, &bundle, &peers);
        world.run_until_complete(3 * MINUTE);
        world.shut_down();
    });
}

#[test]
fn a_seed_that_is_away_is_found_again_when_it_comes_back() {
    World::tell(2, Weather::default(), |world| {
        let bundle = Bundle::single(1, 400_000);
        let seed = add_seed(world, &bundle);
        let address = world.sites[seed].address();
        world.net.stop_listening(address);
        let leech = add_leech(world, &bundle, &[address]);
        world.run_for(2 * MINUTE);
        let seen =
            world.sites[leech].count_alerts(|kind| matches!(kind, AlertKind::PeerConnected { .. }));
        assert_eq!(seen, 0);
        world.net.listen(address);
        world.run_until_complete(20 * MINUTE);
        world.shut_down();
    });
}

#[test]
fn two_who_have_nothing_for_each_other_stay_connected_by_keep_alives() {
    World::tell(3, Weather::default(), |world| {
        let bundle = Bundle::single(1, 400_000);
        let first = add_leech(world, &bundle, &[]);
        let address = world.sites[first].address();
        let second = add_leech(world, &bundle, &[address]);
        world.run_for(10 * MINUTE);
        let connected = world.sites[second]
            .count_alerts(|kind| matches!(kind, AlertKind::PeerConnected { .. }));
        assert_eq!((connected, disconnects(world, second)), (1, 0));
        world.shut_down();
    });
}

#[test]
fn a_peer_that_falls_silent_is_sent_away_after_two_minutes() {
    World::tell(4, Weather::default(), |world| {
        let bundle = Bundle::single(1, 400_000);
        let site = add_leech(world, &bundle, &[]);
        let target = world.sites[site].address();
        let (claim, serving) = (Claim::Nothing, Serving::Choked);
        let conduct = Conduct { claim, serving, ..Conduct::default() };
        let silent = world.add_stranger(conduct, &bundle);
        let now = world.now;
        world.strangers[silent].dial(now, target, None);
        world.run_for(IDLE_TIMEOUT - Duration::from_secs(5));
        assert_eq!(disconnects(world, site), 0);
        world.run_for(Duration::from_secs(10));
        assert_eq!(disconnects(world, site), 1);
        world.shut_down();
    });
}

#[test]
fn a_session_of_few_connections_never_has_more_and_still_gets_through() {
    World::tell(5, Weather::default(), |world| {
        let bundle = Bundle::single(1, 400_000);
        let settings = Settings { connections_max: 5, ..Settings::default() };
        let small = world.add_site(settings, 1, LINE);
        world.sites[small].disk.put(&bundle.torrent, &bundle.bytes);
        add_torrent(world, small, &bundle, &[]);
        let address = world.sites[small].address();
        for _ in 0..9 {
            add_leech(world, &bundle, &[address]);
        }
        world.run_until(20 * MINUTE, "all have it, five at a time", |world| {
            let count = world.sites[small].shards[0].stats().connection_count;
            assert!(count <= 5, "{count} connections");
            world.sites.iter().all(|site| site.torrents.keys().all(|id| site.is_complete(*id)))
        });
        world.shut_down();
    });
}

#[test]
fn forty_torrents_over_two_shards_all_end() {
    World::tell(6, Weather::default(), |world| {
        world.trackers.set("tracker.sim", TrackerConduct::Honest);
        let sites: Vec<usize> =
            (0..3).map(|_| world.add_site(Settings::default(), 2, LINE)).collect();
        for n in 0..40u64 {
            let bundle = Bundle::tracked(n, 20_000 + 3_000 * n as usize);
            world.know(&bundle);
            let now = world.now;
            for site in &sites {
                if *site == 0 {
                    world.sites[*site].disk.put(&bundle.torrent, &bundle.bytes);
                }
                let order = crate::engine::add::PieceOrder::RarestFirst;
                world.sites[*site].add(now, &bundle, (n % 2) as u16, order, Vec::new());
            }
        }
        world.run_until_complete(10 * MINUTE);
        world.shut_down();
    });
}
