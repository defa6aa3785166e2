//! Everything at once: bad peers, failing disks, crashes, orders at bad moments, then calm. In the
//! calm every download must end.

use std::net::SocketAddr;
use std::time::Duration;

use super::MINUTE;
use super::VERSIONS;
use super::seeds;
use crate::base::ids::TorrentId;
use crate::base::status::TorrentState;
use crate::content::make::TorrentMaker;
use crate::engine::add::PieceOrder;
use crate::engine::command::Command;
use crate::engine::settings::Settings;
use crate::sim::bundle::Bundle;
use crate::sim::bundle::PIECE_LEN;
use crate::sim::conduct::Claim;
use crate::sim::conduct::Conduct;
use crate::sim::conduct::Greeting;
use crate::sim::conduct::Serving;
use crate::sim::disk::DiskFaults;
use crate::sim::net::Line;
use crate::sim::net::Weather;
use crate::sim::tracker::TrackerConduct;
use crate::sim::world::core::World;

/// One of these, by chance.
fn one_of<T: Clone>(world: &mut World, choices: &[T]) -> T {
    let at = world.rng().below(choices.len() as u64) as usize;
    choices[at].clone()
}

fn random_bundle(world: &mut World, number: u64) -> Bundle {
    let seed = world.rng().next_u64();
    let len = world.rng().below(1_200_000);
    let tracker = "http://tracker.sim/announce";
    let maker = match world.rng().below(3) {
        0 => (0..5).fold(TorrentMaker::directory(format!("d{number}")), |maker, n| {
            let part = len / 7 * (n % 3);
            maker.file([format!("{n}.bin")], part)
        }),
        _ => TorrentMaker::single(format!("f{number}"), len),
    };
    let piece_len = one_of(world, &[16 * 1024, PIECE_LEN, 128 * 1024]);
    let version = one_of(world, &VERSIONS);
    Bundle::of_version(seed, maker.tier([tracker]), piece_len, version)
}

fn random_settings(world: &mut World) -> Settings {
    Settings {
        connections_max: one_of(world, &[6, 20, 4_000]),
        half_open_max: one_of(world, &[2, 64]),
        upload_slots_max: one_of(world, &[2, 8, 64]),
        assembly_budget: one_of(world, &[128 * 1024, 600_000, 256 << 20]),
        read_budget: one_of(world, &[512 * 1024, 256 << 20]),
        ..Settings::default()
    }
}

fn random_conduct(world: &mut World) -> Conduct {
    let pause = Duration::from_secs(4);
    let every = Duration::from_millis(200);
    let serving = one_of(
        world,
        &[
            Serving::Honest,
            Serving::Choked,
            Serving::Stall,
            Serving::Corrupt { one_in: 3 },
            Serving::Trickle { bytes: 3_000, every },
            Serving::CutAfter { bytes: 100_000 },
            Serving::ChokeAfter { blocks: 4, pause },
            Serving::RejectAll,
            Serving::Twice,
            Serving::Unasked,
            Serving::Half,
            Serving::Forget { one_in: 6 },
        ],
    );
    let greeting = one_of(world, &[Greeting::Fast, Greeting::Plain]);
    let claim = one_of(world, &[Claim::All, Claim::All, Claim::Nothing]);
    let is_leech = claim == Claim::Nothing;
    Conduct { greeting, claim, serving, is_leech, ..Conduct::default() }
}

/// Sessions, torrents and strangers; the first session has everything.
fn people(world: &mut World) {
    world.trackers.set("tracker.sim", TrackerConduct::Honest);
    let count = 1 + world.rng().below(3);
    let bundles: Vec<Bundle> = (0..count).map(|number| random_bundle(world, number)).collect();
    bundles.iter().for_each(|bundle| world.know(bundle));
    let site_count = 3 + world.rng().below(3) as usize;
    for site in 0..site_count {
        let settings = if site == 0 { Settings::default() } else { random_settings(world) };
        let shard_count = 1 + world.rng().below(2) as u16;
        let up = 300_000 + world.rng().below(3_000_000);
        let latency = Duration::from_millis(1 + world.rng().below(100));
        world.add_site(settings, shard_count, Line { up, down: 2 * up, latency });
    }
    let addresses: Vec<SocketAddr> = world.sites.iter().map(|site| site.address()).collect();
    for (site, bundle) in (0..site_count).flat_map(|site| bundles.iter().map(move |b| (site, b))) {
        if site == 0 {
            world.sites[site].disk.put(&bundle.torrent, &bundle.bytes);
        }
        let shard_count = world.sites[site].shards.len() as u64;
        let shard = world.rng().below(shard_count) as u16;
        let order = one_of(world, &[PieceOrder::RarestFirst, PieceOrder::Sequential]);
        let peers = if world.rng().below(2) == 0 { addresses.clone() } else { Vec::new() };
        // Some know it by a magnet link: the layers of v2 have to come from others.
        let is_bare = site > 0 && world.rng().below(3) == 0;
        let given = if is_bare { bundle.bare() } else { bundle.clone() };
        let now = world.now;
        world.sites[site].add(now, &given, shard, order, peers);
    }
    for _ in 0..world.rng().below(6) {
        let conduct = random_conduct(world);
        let bundle = one_of(world, &bundles);
        let is_honest = !matches!(
            conduct.serving,
            Serving::Corrupt { .. } | Serving::Unasked | Serving::Half | Serving::Twice
        );
        let stranger = match is_honest {
            true => world.add_honest(conduct, &bundle),
            false => world.add_stranger(conduct, &bundle),
        };
        let target = one_of(world, &addresses);
        let now = world.now;
        world.strangers[stranger].dial(now, target, Some(Duration::from_secs(5)));
        let address = world.strangers[stranger].address();
        world.trackers.plant(bundle.info_hash(), address);
    }
}

fn torrent_of(world: &mut World, site: usize) -> TorrentId {
    let ids: Vec<TorrentId> = world.sites[site].torrents.keys().copied().collect();
    one_of(world, &ids)
}

/// Something untoward.
fn mishap(world: &mut World) {
    let site_count = world.sites.len() as u64;
    let site = world.rng().below(site_count) as usize;
    let id = torrent_of(world, site);
    let now = world.now;
    match world.rng().below(7) {
        0 => world.crash(site),
        1 => _ = world.sites[site].order_of(now, id, Command::Pause),
        2 => _ = world.sites[site].order_of(now, id, Command::Resume),
        3 => _ = world.sites[site].order_of(now, id, Command::Recheck),
        4 => {
            let faults = DiskFaults { read: 20, write: 50, create: 100, errno: 28, only: None };
            world.sites[site].disk.set_faults(faults);
        }
        5 => world.sites[site].disk.set_faults(DiskFaults::default()),
        _ => _ = world.sites[site].order_of(now, id, Command::Status),
    }
}

/// Weather and disks are good again, and whatever stopped goes on.
fn calm(world: &mut World) {
    world.net.set_weather(Weather::default());
    for site in 0..world.sites.len() {
        world.sites[site].disk.set_faults(DiskFaults::default());
    }
    world.run_for(Duration::from_secs(10));
    for site in &mut world.sites {
        let ids: Vec<TorrentId> = site.torrents.keys().copied().collect();
        for id in ids {
            let state = site.torrents[&id].stats.read().state;
            if matches!(state, TorrentState::Paused | TorrentState::Error) {
                site.order_of(world.now, id, Command::Resume);
            }
        }
    }
}

#[test]
fn after_any_chaos_every_download_ends() {
    for seed in seeds(20) {
        let weather = Weather { refusal: 100, reset: 200, datagram_loss: 200 };
        World::tell(seed, weather, |world| {
            people(world);
            for _ in 0..world.rng().below(15) {
                let pause = Duration::from_millis(world.rng().below(4_000));
                world.run_for(pause);
                mishap(world);
            }
            calm(world);
            world.run_until_complete(30 * MINUTE);
            world.shut_down();
        });
    }
}
