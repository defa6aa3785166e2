//! Downloads of some of a torrent's files: borders, changes of mind, restarts, full disks.

use std::net::SocketAddr;

use super::MINUTE;
use super::add_seed;
use super::seeds;
use crate::base::ids::FileIndex;
use crate::base::ids::Priority;
use crate::base::ids::TorrentId;
use crate::base::status::TorrentState;
use crate::content::make::TorrentMaker;
use crate::content::make::TorrentVersion;
use crate::content::wanted::FileChoice;
use crate::engine::add::PieceOrder;
use crate::engine::alert::AlertKind;
use crate::engine::command::Command;
use crate::engine::disk::FileSeen;
use crate::engine::settings::Settings;
use crate::engine::to_ring::Reply;
use crate::sim::bundle::Bundle;
use crate::sim::bundle::PIECE_LEN;
use crate::sim::disk::DiskFaults;
use crate::sim::net::Weather;
use crate::sim::world::core::LINE;
use crate::sim::world::core::World;

/// Small files in and across pieces of 32 KiB.
const LENS: [usize; 7] = [100_000, 5_000, 3_000, 0, 200_000, 10, 150_000];

/// One priority per file, a digit each.
fn each(digits: &str) -> FileChoice {
    let digits = digits.bytes().map(|digit| Priority::new(digit - b'0').unwrap());
    FileChoice::Each(digits.collect())
}

fn add_choosing(world: &mut World, bundle: &Bundle, choice: &str, peer: SocketAddr) -> usize {
    let site = world.add_site(Settings::default(), 1, LINE);
    world.know(bundle);
    let now = world.now;
    let how = (PieceOrder::RarestFirst, each(choice));
    world.sites[site].add_some(now, bundle, 0, how, vec![peer]);
    site
}

/// What is on the disk: a letter per file.
fn drawn(world: &World, site: usize, bundle: &Bundle) -> String {
    let contents = world.sites[site].disk.contents(&bundle.info_hash()).unwrap();
    let letter = |seen: &FileSeen| match seen {
        FileSeen::Missing => '.',
        FileSeen::Aside => 'a',
        FileSeen::Part { .. } => 'p',
        FileSeen::Final { .. } => 'F',
    };
    contents.seen().iter().map(letter).collect()
}

fn run_until_wanted(world: &mut World, site: usize, id: TorrentId) {
    world
        .run_until(3 * MINUTE, "what is wanted is there", |world| world.sites[site].has_wanted(id));
}

fn verified(world: &World, site: usize) -> usize {
    world.sites[site].count_alerts(|kind| matches!(kind, AlertKind::PieceVerified { .. }))
}

#[test]
fn only_wanted_files_are_made_and_borders_lie_aside() {
    for seed in seeds(5) {
        World::tell(seed, Weather::default(), |world| {
            let bundle = Bundle::directory(1, &LENS);
            let seed = add_seed(world, &bundle);
            let address = world.sites[seed].address();
            let leech = add_choosing(world, &bundle, "0400070", address);
            let id = world.only_torrent(leech);
            run_until_wanted(world, leech, id);
            assert_eq!(drawn(world, leech, &bundle), "aFa.aFa");
            // 5,000 bytes from 100,000 are in the fourth piece, 10 from 308,000 in the tenth.
            assert_eq!(verified(world, leech), 2);
            world.run_for(MINUTE / 60);
            let stats = world.sites[leech].torrents[&id].stats.read();
            assert_eq!(stats.state, TorrentState::Seeding);
            assert_eq!((stats.wanted_bytes, stats.wanted_have_bytes), (5_010, 5_010));
            assert_eq!(stats.have_count, 2);
            world.shut_down();
        });
    }
}

#[test]
fn what_lies_aside_is_used_when_its_file_is_wanted_later() {
    for seed in seeds(10) {
        World::tell(seed, Weather::default(), |world| {
            let bundle = Bundle::directory(1, &LENS);
            let seed = add_seed(world, &bundle);
            let address = world.sites[seed].address();
            let leech = add_choosing(world, &bundle, "0400040", address);
            let id = world.only_torrent(leech);
            run_until_wanted(world, leech, id);
            let now = world.now;
            world.sites[leech].choose(now, id, each("0470040"));
            run_until_wanted(world, leech, id);
            assert_eq!(verified(world, leech), 2, "the third file was there already");
            assert_eq!(drawn(world, leech, &bundle), "aFF.aFa");
            let now = world.now;
            world.sites[leech].choose(now, id, FileChoice::All);
            world.run_until_complete(3 * MINUTE);
            assert_eq!(verified(world, leech), bundle.piece_count() as usize);
            let contents = world.sites[leech].disk.contents(&bundle.info_hash()).unwrap();
            assert!(contents.is_tidy());
            world.shut_down();
        });
    }
}

#[test]
fn a_change_of_mind_in_mid_download_ends_with_what_was_wanted_last() {
    for seed in seeds(10) {
        World::tell(seed, Weather::default(), |world| {
            let bundle = Bundle::directory(1, &[700_000, 300_000, 10_000, 500_000]);
            let seed = add_seed(world, &bundle);
            let address = world.sites[seed].address();
            let leech = add_choosing(world, &bundle, "4040", address);
            let id = world.only_torrent(leech);
            for choice in ["0404", "4400", "0004", "0440"] {
                let count = verified(world, leech) + 4;
                world.run_until(MINUTE, "some more is there", |world| {
                    verified(world, leech) >= count || world.sites[leech].has_wanted(id)
                });
                let now = world.now;
                let ticket = world.sites[leech].choose(now, id, each(choice));
                world.run_until(MINUTE, "the choice is taken", |world| {
                    matches!(world.sites[leech].replies(ticket), [Reply::Done])
                });
            }
            run_until_wanted(world, leech, id);
            let used = world.sites[leech].shards[0].stats().assembly_used;
            assert_eq!(used, 0, "what is not wanted any more holds no memory");
            world.shut_down();
        });
    }
}

#[test]
fn a_restart_finds_what_lies_aside() {
    World::tell(1, Weather::default(), |world| {
        let bundle = Bundle::directory(1, &LENS);
        let seed = add_seed(world, &bundle);
        let address = world.sites[seed].address();
        let leech = add_choosing(world, &bundle, "0400040", address);
        let id = world.only_torrent(leech);
        run_until_wanted(world, leech, id);
        world.crash(leech);
        run_until_wanted(world, leech, id);
        assert_eq!(verified(world, leech), 2, "nothing was fetched again");
        assert_eq!(drawn(world, leech, &bundle), "aFa.aFa");
        // And when it comes back with all files wanted, it is used.
        world.sites[leech].torrents.get_mut(&id).unwrap().choice = FileChoice::All;
        world.crash(leech);
        world.run_until_complete(3 * MINUTE);
        assert_eq!(verified(world, leech), bundle.piece_count() as usize);
        assert!(world.sites[leech].disk.contents(&bundle.info_hash()).unwrap().is_tidy());
        world.shut_down();
    });
}

#[test]
fn unwanted_files_that_are_there_are_used_in_place() {
    World::tell(2, Weather::default(), |world| {
        let bundle = Bundle::directory(1, &LENS);
        let seed = add_seed(world, &bundle);
        let address = world.sites[seed].address();
        let leech = world.add_site(Settings::default(), 1, LINE);
        world.know(&bundle);
        world.sites[leech].disk.put(&bundle.torrent, &bundle.bytes);
        let contents = world.sites[leech].disk.contents_mut(&bundle.info_hash()).unwrap();
        [1, 2, 3, 4, 5].into_iter().for_each(|file| contents.delete(FileIndex(file)));
        let how = (PieceOrder::RarestFirst, each("0400000"));
        let now = world.now;
        let id = world.sites[leech].add_some(now, &bundle, 0, how, vec![address]);
        run_until_wanted(world, leech, id);
        assert_eq!(drawn(world, leech, &bundle), "FFa.a.F");
        world.shut_down();
    });
}

#[test]
fn a_full_disk_when_a_file_becomes_wanted_stops_the_torrent_and_resume_goes_on() {
    World::tell(3, Weather::default(), |world| {
        let bundle = Bundle::directory(1, &LENS);
        let seed = add_seed(world, &bundle);
        let address = world.sites[seed].address();
        let leech = add_choosing(world, &bundle, "0400040", address);
        let id = world.only_torrent(leech);
        run_until_wanted(world, leech, id);
        let faults = DiskFaults { create: 1000, errno: 28, ..DiskFaults::default() };
        world.sites[leech].disk.set_faults(faults);
        let now = world.now;
        world.sites[leech].choose(now, id, FileChoice::All);
        world.run_until(MINUTE, "the torrent is in its error state", |world| {
            world.sites[leech].torrents[&id].stats.read().state == TorrentState::Error
        });
        world.sites[leech].disk.set_faults(DiskFaults::default());
        let now = world.now;
        world.sites[leech].order_of(now, id, Command::Resume);
        world.run_until_complete(3 * MINUTE);
        world.shut_down();
    });
}

#[test]
fn two_partial_seeds_part_and_meet_again_when_one_wants_more() {
    World::tell(4, Weather::default(), |world| {
        let bundle = Bundle::directory(1, &[300_000, 300_000]);
        let seed = add_seed(world, &bundle);
        let address = world.sites[seed].address();
        let first = add_choosing(world, &bundle, "40", address);
        let first_id = world.only_torrent(first);
        run_until_wanted(world, first, first_id);
        let at = world.sites[first].address();
        let second = add_choosing(world, &bundle, "04", address);
        let second_id = world.only_torrent(second);
        let now = world.now;
        world.sites[second].order_of(now, second_id, |id| Command::AddPeers(id, vec![at]));
        run_until_wanted(world, second, second_id);
        world.run_for(MINUTE / 6);
        assert_eq!(world.sites[second].shards[0].socket_count(), 0, "nobody wants anything");
        let now = world.now;
        world.sites[second].choose(now, second_id, FileChoice::All);
        run_until_wanted(world, second, second_id);
        world.shut_down();
    });
}

#[test]
fn in_torrents_of_v2_and_hybrids_no_piece_has_a_part_of_another_file() {
    for version in [TorrentVersion::V2, TorrentVersion::Hybrid] {
        World::tell(6, Weather::default(), |world| {
            let maker = [100_000, 70_000, 5, 40_000].into_iter().enumerate();
            let maker = maker.fold(TorrentMaker::directory("v2"), |maker, (n, length)| {
                maker.file([format!("{n}.bin")], length)
            });
            let bundle = Bundle::of_version(1, maker, PIECE_LEN, version);
            let seed = add_seed(world, &bundle);
            let address = world.sites[seed].address();
            let files = bundle.torrent.files().iter();
            let at = files.take_while(|file| file.length() != 70_000).count() as u32;
            let leech = world.add_site(Settings::default(), 1, LINE);
            let how = (PieceOrder::RarestFirst, FileChoice::Only(vec![at..=at]));
            let now = world.now;
            let id = world.sites[leech].add_some(now, &bundle, 0, how, vec![address]);
            run_until_wanted(world, leech, id);
            let there = drawn(world, leech, &bundle);
            assert_eq!(there.matches(['F', 'p', 'a']).collect::<String>(), "F", "{there}");
            assert_eq!(verified(world, leech), 3);
            world.run_for(MINUTE / 60);
            let stats = world.sites[leech].torrents[&id].stats.read();
            assert_eq!((stats.wanted_bytes, stats.wanted_have_bytes), (70_000, 70_000));
            let now = world.now;
            world.sites[leech].choose(now, id, FileChoice::All);
            world.run_until_complete(3 * MINUTE);
            world.shut_down();
        });
    }
}

#[test]
fn files_that_the_torrent_does_not_have_are_refused() {
    World::tell(5, Weather::default(), |world| {
        let bundle = Bundle::directory(1, &[40_000, 40_000]);
        let seed = add_seed(world, &bundle);
        let id = world.only_torrent(seed);
        let now = world.now;
        let ticket = world.sites[seed]
            .order_of(now, id, |id| Command::ChooseFiles(id, FileChoice::Only(vec![0..=2])));
        let files = world.sites[seed].order_of(now, id, Command::Files);
        world.run_for(MINUTE / 60);
        assert!(matches!(world.sites[seed].replies(ticket), [Reply::BadChoice(_)]));
        let [Reply::Files(files)] = world.sites[seed].replies(files) else { panic!() };
        assert!(files.iter().all(|file| file.priority == Priority::NORMAL));
        world.shut_down();
    });
}
