//! A torrent's life: restarts, pauses, removals, sequential order, trackers, the end.

use super::MINUTE;
use super::add_leech;
use super::add_seed;
use super::add_torrent;
use super::seeds;
use crate::base::status::TrackerErrorClass;
use crate::engine::add::PieceOrder;
use crate::engine::alert::AlertKind;
use crate::engine::command::Command;
use crate::engine::settings::Settings;
use crate::engine::to_ring::Reply;
use crate::sim::bundle::Bundle;
use crate::sim::net::Weather;
use crate::sim::tracker::TrackerConduct;
use crate::sim::world::core::LINE;
use crate::sim::world::core::World;

fn verified(world: &World, site: usize) -> Vec<u32> {
    let alerts = world.sites[site].alerts().iter();
    let pieces = alerts.filter_map(|alert| match alert.kind {
        AlertKind::PieceVerified { piece } => Some(piece),
        _ => None,
    });
    pieces.collect()
}

#[test]
fn a_crash_in_mid_download_costs_what_was_not_written() {
    for seed in seeds(5) {
        World::tell(seed, Weather::default(), |world| {
            let bundle = Bundle::single(1, 1_500_000);
            let seed = add_seed(world, &bundle);
            let address = world.sites[seed].address();
            let leech = add_leech(world, &bundle, &[address]);
            world.run_until(2 * MINUTE, "a third is there", |world| {
                verified(world, leech).len() >= 15
            });
            world.crash(leech);
            let before = verified(world, leech).len();
            world.run_until_complete(5 * MINUTE);
            let after = verified(world, leech).len() - before;
            let count = bundle.piece_count() as usize;
            assert!(after < count - 10, "{after} of {count} pieces were fetched again");
            world.shut_down();
        });
    }
}

#[test]
fn two_hundred_torrents_that_start_at_one_instant_are_all_seen_to() {
    World::tell(1, Weather::default(), |world| {
        let site = world.add_site(Settings::default(), 1, LINE);
        for seed in 0..200 {
            let bundle = Bundle::single(seed, 100_000);
            world.sites[site].disk.put(&bundle.torrent, &bundle.bytes);
            add_torrent(world, site, &bundle, &[]);
        }
        world.run_until_complete(MINUTE);
        world.shut_down();
    });
}

#[test]
fn sequential_order_is_kept_as_far_as_one_pipeline_allows() {
    World::tell(1, Weather::default(), |world| {
        let bundle = Bundle::single(1, 3_000_000);
        let seed = add_seed(world, &bundle);
        let address = world.sites[seed].address();
        let leech = world.add_site(Settings::default(), 1, LINE);
        let now = world.now;
        world.sites[leech].add(now, &bundle, 0, PieceOrder::Sequential, vec![address]);
        world.run_until_complete(2 * MINUTE);
        let order = verified(world, leech);
        let early = order[..20].iter().filter(|piece| **piece < 30).count();
        assert_eq!(early, 20, "{order:?}");
        world.shut_down();
    });
}

#[test]
fn pause_closes_everybody_and_resume_goes_on() {
    World::tell(2, Weather::default(), |world| {
        let bundle = Bundle::single(1, 1_500_000);
        let seed = add_seed(world, &bundle);
        let address = world.sites[seed].address();
        let leech = add_leech(world, &bundle, &[address]);
        let id = world.only_torrent(leech);
        world.run_until(MINUTE, "it began", |world| verified(world, leech).len() > 3);
        let now = world.now;
        world.sites[leech].order_of(now, id, Command::Pause);
        world.run_for(MINUTE / 30);
        let count = verified(world, leech).len();
        assert_eq!(world.sites[leech].shards[0].socket_count(), 0);
        world.run_for(MINUTE);
        assert_eq!(verified(world, leech).len(), count, "nothing moves while it is paused");
        let now = world.now;
        world.sites[leech].order_of(now, id, Command::Resume);
        world.run_until_complete(5 * MINUTE);
        world.shut_down();
    });
}

#[test]
fn removal_in_mid_download_is_answered_once_everything_ended() {
    for seed in seeds(5) {
        World::tell(seed, Weather::default(), |world| {
            let bundle = Bundle::single(1, 1_500_000);
            let seed = add_seed(world, &bundle);
            let address = world.sites[seed].address();
            let leech = add_leech(world, &bundle, &[address]);
            let id = world.only_torrent(leech);
            world.run_until(MINUTE, "it began", |world| verified(world, leech).len() > 3);
            let now = world.now;
            let ticket = world.sites[leech].order_of(now, id, Command::Remove);
            world.sites[leech].forget(id);
            world.run_until(MINUTE, "the removal is answered", |world| {
                !world.sites[leech].replies(ticket).is_empty()
            });
            assert!(matches!(world.sites[leech].replies(ticket), [Reply::Done]));
            assert_eq!(world.sites[leech].disk.pending_count(), 0);
            // And it may come back at once.
            let again = add_torrent(world, leech, &bundle, &[address]);
            world.run_until(5 * MINUTE, "it is complete", |world| {
                world.sites[leech].is_complete(again)
            });
            world.shut_down();
        });
    }
}

#[test]
fn a_recheck_of_a_seed_finds_everything_again() {
    World::tell(3, Weather::default(), |world| {
        let bundle = Bundle::single(1, 500_000);
        let seed = add_seed(world, &bundle);
        world.run_until_complete(MINUTE);
        let id = world.only_torrent(seed);
        let now = world.now;
        world.sites[seed].order_of(now, id, Command::Recheck);
        let checked = |world: &World| {
            world.sites[seed].count_alerts(|kind| {
                matches!(kind, AlertKind::Checked { have_count, .. }
                    if *have_count == bundle.piece_count())
            })
        };
        world.run_until(MINUTE, "it is checked twice", |world| checked(world) == 2);
        world.shut_down();
    });
}

#[test]
fn trackers_hear_of_the_start_the_end_and_the_stop() {
    World::tell(4, Weather::default(), |world| {
        let bundle = Bundle::tracked(1, 400_000);
        world.trackers.set("tracker.sim", TrackerConduct::Honest);
        add_seed(world, &bundle);
        world.run_for(MINUTE / 20);
        let leech = add_leech(world, &bundle, &[]);
        let address = world.sites[leech].address();
        world.run_until_complete(2 * MINUTE);
        world.run_for(MINUTE / 6);
        world.shut_down();
        let log = world.trackers.log().iter().filter(|announce| announce.peer == address);
        let events: Vec<&str> = log.map(|announce| announce.event.as_str()).collect();
        assert_eq!(events, ["started", "completed", "stopped"]);
    });
}

#[test]
fn a_slow_or_broken_tracker_delays_nothing_but_itself() {
    let slow = TrackerConduct::Slow(MINUTE / 2);
    let broken = TrackerConduct::Unreachable(TrackerErrorClass::Connect);
    let says = TrackerConduct::Says(500, b"<html>".to_vec());
    for conduct in [slow, broken, says] {
        World::tell(5, Weather::default(), |world| {
            let bundle = Bundle::tracked(1, 400_000);
            world.trackers.set("tracker.sim", conduct.clone());
            let seed = add_seed(world, &bundle);
            let address = world.sites[seed].address();
            let leech = add_leech(world, &bundle, &[address]);
            let id = world.only_torrent(leech);
            world.run_until(MINUTE, "peers given by hand are enough", |world| {
                world.sites[leech].is_complete(id)
            });
            world.shut_down();
        });
    }
}

#[test]
fn a_shutdown_at_any_moment_leaves_nothing() {
    for seed in seeds(12) {
        World::tell(seed, Weather { reset: 100, ..Weather::default() }, |world| {
            let bundle = Bundle::tracked(1, 1_500_000);
            world.trackers.set("tracker.sim", TrackerConduct::Honest);
            add_seed(world, &bundle);
            (0..3).for_each(|_| _ = add_leech(world, &bundle, &[]));
            let millis = world.rng().below(4_000);
            world.run_for(std::time::Duration::from_millis(millis));
            world.shut_down();
        });
    }
}

#[test]
fn orders_for_a_torrent_that_is_not_there_are_answered() {
    World::tell(6, Weather::default(), |world| {
        let bundle = Bundle::single(1, 100_000);
        let site = add_seed(world, &bundle);
        let id = crate::base::ids::TorrentId(99);
        let shard = crate::base::ids::ShardId(0);
        let now = world.now;
        let orders = [
            Command::Remove(id),
            Command::Pause(id),
            Command::Resume(id),
            Command::Recheck(id),
            Command::AddPeers(id, Vec::new()),
            Command::Status(id),
        ];
        let tickets = orders.map(|order| world.sites[site].order(now, shard, order));
        world.run_for(MINUTE / 60);
        for ticket in tickets {
            assert!(matches!(world.sites[site].replies(ticket), [Reply::NoSuchTorrent]));
        }
        world.shut_down();
    });
}
