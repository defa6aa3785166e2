//! Disks that fail, files that are odd, memory that is short.

use super::MINUTE;
use super::VERSIONS;
use super::add_leech;
use super::add_seed;
use super::add_torrent;
use crate::base::ids::FileIndex;
use crate::base::status::TorrentState;
use crate::content::make::TorrentMaker;
use crate::engine::alert::AlertKind;
use crate::engine::command::Command;
use crate::engine::settings::Settings;
use crate::sim::bundle::Bundle;
use crate::sim::bundle::PIECE_LEN;
use crate::sim::disk::DiskFaults;
use crate::sim::net::Weather;
use crate::sim::world::core::LINE;
use crate::sim::world::core::World;

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

fn state(world: &World, site: usize, torrent: usize) -> TorrentState {
    let placed = world.sites[site].torrents.values().nth(torrent).unwrap();
    placed.stats.read().state
}

#[test]
fn a_disk_with_write_errors_stops_its_torrent_alone_and_resume_goes_on() {
    World::tell(1, Weather::default(), |world| {
        let (bad, good) = (Bundle::single(1, 700_000), Bundle::single(2, 700_000));
        let seed = add_seed(world, &bad);
        world.sites[seed].disk.put(&good.torrent, &good.bytes);
        add_torrent(world, seed, &good, &[]);
        let address = world.sites[seed].address();
        let leech = add_leech(world, &bad, &[address]);
        let first = world.only_torrent(leech);
        let second = add_torrent(world, leech, &good, &[address]);
        let only = Some(bad.info_hash());
        let faults = DiskFaults { write: 300, errno: ENOSPC, only, ..DiskFaults::default() };
        world.sites[leech].disk.set_faults(faults);
        world.run_until(MINUTE, "the good torrent is complete", |world| {
            world.sites[leech].is_complete(second)
        });
        world.run_until(MINUTE, "the bad one is in its error state", |world| {
            state(world, leech, 0) == TorrentState::Error
        });
        let told = world.sites[leech].count_alerts(
            |kind| matches!(kind, AlertKind::Storage(error) if error.errno == Some(ENOSPC)),
        );
        assert!(told > 0, "the alert names the error");
        world.sites[leech].disk.set_faults(DiskFaults::default());
        let now = world.now;
        world.sites[leech].order_of(now, first, Command::Resume);
        world.run_until_complete(2 * MINUTE);
        world.shut_down();
    });
}

#[test]
fn a_seed_whose_disk_cannot_be_read_stops_and_the_download_goes_on_elsewhere() {
    World::tell(2, Weather::default(), |world| {
        let bundle = Bundle::single(1, 700_000);
        let seeds = [add_seed(world, &bundle), add_seed(world, &bundle)];
        let addresses = seeds.map(|seed| world.sites[seed].address());
        world.run_for(MINUTE / 20);
        let faults = DiskFaults { read: 200, errno: EIO, ..DiskFaults::default() };
        world.sites[seeds[0]].disk.set_faults(faults);
        let leech = add_leech(world, &bundle, &addresses);
        let id = world.only_torrent(leech);
        world.run_until(2 * MINUTE, "the download is complete", |world| {
            world.sites[leech].is_complete(id)
        });
        assert_eq!(state(world, seeds[0], 0), TorrentState::Error);
        world.shut_down();
    });
}

#[test]
fn a_full_disk_is_an_error_before_the_first_byte() {
    World::tell(3, Weather::default(), |world| {
        let bundle = Bundle::single(1, 300_000);
        let seed = add_seed(world, &bundle);
        let address = world.sites[seed].address();
        let leech = world.add_site(Settings::default(), 1, LINE);
        let faults = DiskFaults { create: 1000, errno: ENOSPC, ..DiskFaults::default() };
        world.sites[leech].disk.set_faults(faults);
        let id = add_torrent(world, leech, &bundle, &[address]);
        world.run_until(MINUTE, "the torrent is in its error state", |world| {
            state(world, leech, 0) == TorrentState::Error
        });
        world.sites[leech].disk.set_faults(DiskFaults::default());
        let now = world.now;
        world.sites[leech].order_of(now, id, Command::Resume);
        world.run_until_complete(2 * MINUTE);
        world.shut_down();
    });
}

#[test]
fn odd_sizes_download_to_the_last_byte() {
    let piece = u64::from(PIECE_LEN);
    let odd: [(&str, &[u64]); 9] = [
        ("nothing at all", &[0]),
        ("one byte", &[1]),
        ("one block", &[16_384]),
        ("one piece", &[piece]),
        ("a last piece of one byte", &[5 * piece + 1]),
        ("a last block that is short", &[5 * piece + 20_000]),
        ("empty files between full ones", &[0, 70_000, 0, 0, 1, 40_000, 0]),
        ("only empty files", &[0, 0]),
        ("many odd files", &[1, 16_383, 16_384, 16_385, piece - 1, piece, piece + 1, 99_999, 5]),
    ];
    for (version, (what, lens)) in VERSIONS.into_iter().flat_map(|v| odd.map(|odd| (v, odd))) {
        let maker = match lens {
            [only] => TorrentMaker::single("one.bin", *only),
            _ => lens.iter().enumerate().fold(TorrentMaker::directory("d"), |maker, (n, len)| {
                maker.file([format!("{n}.bin")], *len)
            }),
        };
        let bundle = Bundle::of_version(1, maker, PIECE_LEN, version);
        World::tell(bundle.bytes.len() as u64, Weather::default(), |world| {
            let seed = add_seed(world, &bundle);
            let address = world.sites[seed].address();
            let leech = add_leech(world, &bundle, &[address]);
            let id = world.only_torrent(leech);
            world.run_until(2 * MINUTE, what, |world| world.sites[leech].is_complete(id));
            world.run_until_complete(MINUTE);
            world.shut_down();
        });
    }
}

#[test]
fn a_budget_of_two_pieces_is_enough_and_never_exceeded() {
    World::tell(4, Weather::default(), |world| {
        let bundle = Bundle::single(1, 900_000);
        let seeds = [add_seed(world, &bundle), add_seed(world, &bundle)];
        let addresses = seeds.map(|seed| world.sites[seed].address());
        let budget = u64::from(2 * PIECE_LEN);
        let settings =
            Settings { assembly_budget: budget, read_budget: budget, ..Settings::default() };
        let leech = world.add_site(settings, 1, LINE);
        add_torrent(world, leech, &bundle, &addresses);
        world.run_until_complete(10 * MINUTE);
        world.shut_down();
    });
}

#[test]
fn pieces_larger_than_a_fair_share_go_through_the_disk() {
    for seed in 5..8 {
        World::tell(seed, Weather::default(), |world| {
            let maker = TorrentMaker::directory("large");
            let maker = maker.file(["a.bin"], 1_100_000).file(["b.bin"], 700_000);
            let version = VERSIONS[seed as usize % 3];
            let bundle = Bundle::of_version(1, maker, 512 * 1024, version);
            let seeds = [add_seed(world, &bundle), add_seed(world, &bundle)];
            let addresses = seeds.map(|seed| world.sites[seed].address());
            let settings = Settings { assembly_budget: 600_000, ..Settings::default() };
            let leech = world.add_site(settings, 1, LINE);
            add_torrent(world, leech, &bundle, &addresses);
            world.run_until_complete(10 * MINUTE);
            world.shut_down();
        });
    }
}

#[test]
fn damaged_short_and_missing_files_are_fetched_again_and_no_more() {
    World::tell(6, Weather::default(), |world| {
        let bundle = Bundle::directory(1, &[200_000, 200_000, 200_000, 50_000]);
        let seed = add_seed(world, &bundle);
        let address = world.sites[seed].address();
        let leech = world.add_site(Settings::default(), 1, LINE);
        world.sites[leech].disk.put(&bundle.torrent, &bundle.bytes);
        let contents = world.sites[leech].disk.contents_mut(&bundle.info_hash()).unwrap();
        contents.flip(100);
        contents.truncate(FileIndex(1), 120_000);
        contents.delete(FileIndex(3));
        add_torrent(world, leech, &bundle, &[address]);
        world.run_until_complete(2 * MINUTE);
        let fetched =
            world.sites[leech].count_alerts(|kind| matches!(kind, AlertKind::PieceVerified { .. }));
        assert!((5..9).contains(&fetched), "{fetched} pieces of {}", bundle.piece_count());
        world.shut_down();
    });
}
