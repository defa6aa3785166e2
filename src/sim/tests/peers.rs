//! Peers that are slow, stubborn or lying: the download ends all the same, and only liars are
//! banned.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use super::MINUTE;
use super::add_leech;
use super::add_seed;
use super::banned;
use super::seeds;
use crate::engine::alert::AlertKind;
use crate::engine::command::Command;
use crate::sim::bundle::Bundle;
use crate::sim::conduct::Claim;
use crate::sim::conduct::Conduct;
use crate::sim::conduct::Greeting;
use crate::sim::conduct::Serving;
use crate::sim::net::Weather;
use crate::sim::world::core::World;

/// A leech that knows these strangers alone; runs until it is complete.
fn download_from(
    seed: u64,
    len: usize,
    conducts: &[Conduct],
    limit: Duration,
    then: impl FnOnce(&mut World, usize),
) {
    World::tell(seed, Weather::default(), |world| {
        let bundle = Bundle::single(1, len);
        let peers: Vec<SocketAddr> = conducts
            .iter()
            .map(|conduct| {
                let is_liar = matches!(conduct.serving, Serving::Corrupt { .. });
                let at = match is_liar {
                    true => world.add_stranger(conduct.clone(), &bundle),
                    false => world.add_honest(conduct.clone(), &bundle),
                };
                world.strangers[at].address()
            })
            .collect();
        let leech = add_leech(world, &bundle, &peers);
        world.run_until_complete(limit);
        then(world, leech);
        for stranger in &world.strangers {
            for facts in stranger.facts() {
                assert_eq!(facts.complaint, None, "an engine broke the protocol");
            }
        }
        world.shut_down();
    });
}

#[test]
fn one_honest_seed_is_never_left_idle_while_anything_is_missing() {
    for greeting in [Greeting::Fast, Greeting::Plain] {
        let conduct = Conduct { greeting, ..Conduct::default() };
        download_from(1, 3_000_000, &[conduct], MINUTE, |world, _| {
            // 4 MB/s up: 0.75 s, and a few round trips to begin with.
            let took = world.now.since(crate::base::instant::Instant::from_millis(1_000));
            assert!(took < Duration::from_secs(4), "{took:?}");
            let facts = world.strangers[0].facts().next().unwrap();
            assert_eq!(facts.request_count, 184, "each block is asked for once");
        });
    }
}

#[test]
fn the_only_seed_never_waits_longer_than_a_few_round_trips_for_the_next_request() {
    for seed in seeds(10) {
        World::tell(seed, Weather::default(), |world| {
            let bundle = Bundle::single(seed, 2_000_000);
            let only = world.add_honest(Conduct::default(), &bundle);
            let address = world.strangers[only].address();
            let leech = add_leech(world, &bundle, &[address]);
            let id = world.only_torrent(leech);
            let longest = Cell::new(Duration::ZERO);
            world.run_until(MINUTE, "the download is complete", |world| {
                let facts = world.strangers[only].facts().next();
                let is_over = facts.is_some_and(|facts| facts.request_count >= 123);
                let since = facts.and_then(|facts| facts.idle_since).filter(|_| !is_over);
                let idle = since.map_or(Duration::ZERO, |since| world.now.since(since));
                longest.set(longest.get().max(idle));
                world.sites[leech].is_complete(id)
            });
            // A round trip is 60 ms; the first window of 512 KiB takes 131 ms to send.
            assert!(longest.get() < Duration::from_millis(250), "{longest:?}");
            world.shut_down();
        });
    }
}

#[test]
fn slow_and_stubborn_peers_are_borne() {
    let pause = Duration::from_secs(3);
    let every = Duration::from_millis(50);
    for (n, serving) in [
        Serving::ChokeAfter { blocks: 5, pause },
        Serving::Trickle { bytes: 4_000, every },
        Serving::Twice,
        Serving::Forget { one_in: 20 },
    ]
    .into_iter()
    .enumerate()
    {
        let conduct = Conduct::serving(serving);
        download_from(n as u64, 400_000, &[conduct], 20 * MINUTE, |_, _| {});
    }
}

#[test]
fn a_line_of_two_kilobytes_a_second_still_ends() {
    let every = Duration::from_millis(500);
    let conduct = Conduct::serving(Serving::Trickle { bytes: 1_000, every });
    download_from(4, 100_000, &[conduct], 5 * MINUTE, |world, leech| {
        let placed = world.sites[leech].torrents.values().next().unwrap();
        let wasted = placed.stats.read().wasted;
        assert!(wasted < 100_000, "{wasted} bytes were thrown away");
    });
}

#[test]
fn a_peer_that_stalls_does_not_hold_up_the_end() {
    for seed in seeds(5) {
        let stalls = Conduct::serving(Serving::Stall);
        let all = [stalls.clone(), stalls.clone(), stalls, Conduct::default()];
        download_from(seed, 1_000_000, &all, MINUTE, |world, _| {
            let took = world.now.since(crate::base::instant::Instant::from_millis(1_000));
            assert!(took < Duration::from_secs(30), "{took:?}");
        });
    }
}

#[test]
fn peers_that_never_unchoke_or_reject_everything_are_got_around() {
    let choked = Conduct { serving: Serving::Choked, ..Conduct::default() };
    let rejects = Conduct::serving(Serving::RejectAll);
    let cuts = Conduct::serving(Serving::CutAfter { bytes: 100_000 });
    let all = [choked, rejects, cuts, Conduct::default()];
    download_from(3, 1_000_000, &all, 2 * MINUTE, |_, _| {});
}

#[test]
fn whoever_corrupts_is_banned_and_nobody_else() {
    for seed in seeds(10) {
        let corrupt = Conduct::serving(Serving::Corrupt { one_in: 4 });
        let all = [Conduct::default(), corrupt, Conduct::default()];
        download_from(seed, 3_000_000, &all, 10 * MINUTE, |world, leech| {
            let liar = &world.strangers[1];
            let lies: u32 = liar.facts().map(|facts| facts.lie_count).sum();
            assert!(lies > 0, "it had its chance");
            assert_eq!(banned(world, leech), [liar.address()], "after {lies} lies");
        });
    }
}

#[test]
fn a_corrupter_alone_is_banned_at_once() {
    World::tell(8, Weather::default(), |world| {
        let bundle = Bundle::single(1, 500_000);
        let corrupt = Conduct::serving(Serving::Corrupt { one_in: 1 });
        let liar = world.add_stranger(corrupt, &bundle);
        let address = world.strangers[liar].address();
        let leech = add_leech(world, &bundle, &[address]);
        world.run_until(MINUTE, "it is banned", |world| banned(world, leech) == [address]);
        let seed = add_seed(world, &bundle);
        let good = world.sites[seed].address();
        let id = world.only_torrent(leech);
        let now = world.now;
        world.sites[leech].order_of(now, id, |id| Command::AddPeers(id, vec![good]));
        world.run_until_complete(5 * MINUTE);
        world.shut_down();
    });
}

#[test]
fn scripted_leeches_are_served_by_an_engine() {
    World::tell(9, Weather::default(), |world| {
        let bundle = Bundle::single(1, 700_000);
        let seed = add_seed(world, &bundle);
        let target = world.sites[seed].address();
        for greeting in [Greeting::Fast, Greeting::Plain] {
            let conduct = Conduct { greeting, ..Conduct::leech() };
            let leech = world.add_honest(conduct, &bundle);
            let now = world.now;
            world.strangers[leech].dial(now, target, Some(Duration::from_secs(30)));
        }
        world.run_until(5 * MINUTE, "both leeches are complete", |world| {
            world.strangers.iter().all(|leech| leech.has_completed())
        });
        for stranger in &world.strangers {
            assert!(stranger.facts().all(|facts| facts.complaint.is_none()));
        }
        world.shut_down();
    });
}

#[test]
fn what_an_engine_has_of_a_torrent_it_gives_while_it_downloads() {
    World::tell(10, Weather::default(), |world| {
        let bundle = Bundle::single(1, 700_000);
        let half = (0..bundle.piece_count() / 2).collect();
        let partial = Conduct { claim: Claim::Pieces(half), ..Conduct::default() };
        let source = world.add_honest(partial, &bundle);
        let address = world.strangers[source].address();
        let first = add_leech(world, &bundle, &[address]);
        let target = world.sites[first].address();
        add_leech(world, &bundle, &[target]);
        let count = bundle.piece_count() as usize / 2;
        world.run_until(5 * MINUTE, "both have the half that exists", |world| {
            world.sites.iter().all(|site| {
                site.count_alerts(|kind| matches!(kind, AlertKind::PieceVerified { .. })) == count
            })
        });
        world.shut_down();
    });
}

/// New work for others than the peer that brought it: nobody may wait for a timer (D9).
#[test]
fn a_failed_piece_is_asked_of_others_at_once() {
    for seed in seeds(10) {
        let corrupt = Conduct::serving(Serving::Corrupt { one_in: 1 });
        let all = [corrupt, Conduct::default()];
        download_from(seed, 60_000, &all, MINUTE, |world, _| {
            let took = world.now.since(crate::base::instant::Instant::from_millis(1_000));
            assert!(took < Duration::from_millis(800), "{took:?}");
        });
    }
}
