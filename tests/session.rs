//! The public API against running shards: additions, transfers, removals, ends.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use coreswarm::AddError;
use coreswarm::AddTorrent;
use coreswarm::AlertKind;
use coreswarm::Alerts;
use coreswarm::AskError;
use coreswarm::Magnet;
use coreswarm::Priority;
use coreswarm::Session;
use coreswarm::Sha1;
use coreswarm::ShardTurns;
use coreswarm::TorrentMaker;
use coreswarm::TorrentState;
use coreswarm::TurnPart;

/// Far above what anything here takes, so that a loaded machine fails no test.
const LIMIT: Duration = Duration::from_secs(60);

fn start(shards: usize) -> Session {
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    Session::builder().listen([here]).shards(shards).start().expect("the system allows a session")
}

/// A torrent of one file with `length` bytes made from `seed`; its bytes are written below `dir`.
fn make(dir: &Path, seed: u8, length: usize) -> Vec<u8> {
    let name = format!("file-{seed}");
    let bytes: Vec<u8> =
        (0..length).map(|at| (at / 7 * 31) as u8 ^ (at >> 9) as u8 ^ seed).collect();
    fs::write(dir.join(&name), &bytes).expect("it can be written");
    let hashes: Vec<Sha1> = bytes.chunks(16_384).map(Sha1::of).collect();
    let maker = TorrentMaker::single(name, length as u64).with_piece_length(16_384);
    maker.finish(&hashes).expect("it can be made")
}

fn addition(torrent: &[u8], dir: &Path) -> AddTorrent {
    AddTorrent::from_bytes(torrent).expect("what we make can be read").directory(dir)
}

/// Everything until the first alert that `is_last` accepts.
fn alerts_until(alerts: &Alerts, is_last: impl Fn(&AlertKind) -> bool) -> Vec<AlertKind> {
    let mut seen = Vec::new();
    while let Some(alert) = alerts.next(LIMIT) {
        seen.push(alert.kind);
        if seen.last().is_some_and(&is_last) {
            return seen;
        }
    }
    panic!("the alert did not come; these did: {seen:?}")
}

#[test]
fn a_file_goes_from_one_session_to_another_byte_by_byte() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let torrent = make(from.path(), 1, 1_000_003);
    let (seeding, fetching) = (start(1), start(2));
    let seed = seeding.add(addition(&torrent, from.path())).unwrap();
    assert_eq!(seed.wait_finished(LIMIT), Ok(TorrentState::Seeding));
    let alerts = fetching.alerts();
    let peer = seeding.listen_addresses()[0];
    let fetched = fetching.add(addition(&torrent, to.path()).peer(peer)).unwrap();
    assert_eq!(fetched.wait_finished(LIMIT), Ok(TorrentState::Seeding));
    let seen = alerts_until(&alerts, |kind| *kind == AlertKind::Finished);
    let verified = |kind: &&AlertKind| matches!(kind, AlertKind::PieceVerified { .. });
    assert_eq!(seen.iter().filter(verified).count(), 62, "{seen:?}");
    assert!(!seen.iter().any(|kind| matches!(kind, AlertKind::Lost { .. })), "{seen:?}");
    let status = fetched.status().unwrap();
    assert_eq!((status.stats.have_count, status.error), (62, None));
    assert!(fetching.shutdown(LIMIT).is_clean() && seeding.shutdown(LIMIT).is_clean());
    let read = |dir: &Path| fs::read(dir.join("file-1")).unwrap();
    assert!(read(from.path()) == read(to.path()), "the bytes differ");
}

#[test]
fn a_shard_tells_how_long_its_turns_took_without_being_asked() {
    let dir = tempfile::tempdir().unwrap();
    let session = start(1);
    let torrent = session.add(addition(&make(dir.path(), 3, 100_000), dir.path())).unwrap();
    assert_eq!(torrent.wait_finished(LIMIT), Ok(TorrentState::Seeding));
    let alerts = session.alerts();
    let told = (0..6_000).find_map(|_| {
        let stats = session.stats()[0].clone();
        let _ = alerts.next(Duration::from_millis(10));
        (stats.torrent_count == 1 && stats.turns.count() > 10).then_some(stats)
    });
    let turns = &told.expect("figures within a minute").turns;
    assert!(turns.quantile(0.5) <= turns.quantile(0.999), "{turns:?}");
    assert!(turns.quantile(0.999) <= turns.max() && turns.max() > Duration::ZERO, "{turns:?}");
    let slow: u64 = TurnPart::ALL.iter().map(|part| turns.slow_count(*part)).sum();
    assert!(slow > 0 || turns.max() <= ShardTurns::SLOW, "{turns:?}");
    assert!(session.shutdown(LIMIT).is_clean());
}

#[test]
fn the_same_hash_twice_is_answered_with_the_id_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let torrent = make(dir.path(), 2, 100);
    let session = start(1);
    let first = session.add(addition(&torrent, dir.path())).unwrap();
    let again = session.add(addition(&torrent, dir.path())).err();
    assert_eq!(again, Some(AddError::AlreadyThere { id: first.id() }));
    let found = session.find(&first.info_hash()).expect("it is there");
    assert_eq!(found.id(), first.id());
    first.remove().unwrap();
    assert_eq!(found.status().err(), Some(AskError::Gone), "all handles know");
    assert_eq!(found.remove(), Err(AskError::Gone));
    assert!(session.find(&first.info_hash()).is_none());
    let new = session.add(addition(&torrent, dir.path())).unwrap();
    assert_ne!(new.id(), first.id(), "ids are never used twice");
}

#[test]
fn what_outlives_a_session_answers_gone_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let torrent = make(dir.path(), 3, 100);
    let session = start(1);
    let handle = session.add(addition(&torrent, dir.path())).unwrap();
    let alerts = session.alerts();
    assert!(session.shutdown(LIMIT).is_clean());
    assert_eq!(handle.pause(), Err(AskError::Gone));
    assert_eq!(handle.stats().piece_count, 1, "the last figures stay");
    while alerts.next(LIMIT).is_some() {}
    assert_eq!(alerts.try_next(), None);
}

#[test]
fn handles_streams_and_sessions_may_go_to_any_thread() {
    fn is_shared<T: Send + Sync>(value: T) -> T {
        value
    }
    let dir = tempfile::tempdir().unwrap();
    let torrent = make(dir.path(), 6, 100);
    let session = is_shared(start(1));
    let alerts = is_shared(session.alerts());
    let handle = is_shared(session.add(addition(&torrent, dir.path())).unwrap());
    assert_eq!(handle.wait_finished(LIMIT), Ok(TorrentState::Seeding));
    assert!(alerts.next(LIMIT).is_some());
}

#[test]
fn a_paused_torrent_waits_for_resume() {
    let dir = tempfile::tempdir().unwrap();
    let torrent = make(dir.path(), 4, 50_000);
    let session = start(1);
    let alerts = session.alerts();
    let handle = session.add(addition(&torrent, dir.path()).paused(true)).unwrap();
    assert_eq!(handle.status().unwrap().stats.state, TorrentState::Paused);
    handle.resume().unwrap();
    assert_eq!(handle.wait_finished(LIMIT), Ok(TorrentState::Seeding));
    handle.pause().unwrap();
    let seen = alerts_until(&alerts, |kind| *kind == AlertKind::Paused);
    assert!(seen.contains(&AlertKind::Resumed), "{seen:?}");
    handle.resume().unwrap();
    assert_eq!(handle.wait_finished(LIMIT), Ok(TorrentState::Seeding));
}

#[test]
fn damage_is_found_by_a_recheck() {
    let dir = tempfile::tempdir().unwrap();
    let torrent = make(dir.path(), 5, 50_000);
    let session = start(1);
    let alerts = session.alerts();
    let handle = session.add(addition(&torrent, dir.path())).unwrap();
    let checked = |kind: &AlertKind| matches!(kind, AlertKind::Checked { .. });
    let first = alerts_until(&alerts, checked).pop();
    assert_eq!(first, Some(AlertKind::Checked { have_count: 4, piece_count: 4 }));
    let path = dir.path().join("file-5");
    let mut bytes = fs::read(&path).unwrap();
    bytes[20_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    handle.recheck().unwrap();
    let second = alerts_until(&alerts, checked).pop();
    assert_eq!(second, Some(AlertKind::Checked { have_count: 3, piece_count: 4 }));
}

#[test]
fn torrents_spread_over_the_shards() {
    let dir = tempfile::tempdir().unwrap();
    let session = start(2);
    let handles: Vec<_> = (10..30)
        .map(|seed| session.add(addition(&make(dir.path(), seed, 64), dir.path())).unwrap())
        .collect();
    let first_count = handles.iter().filter(|handle| handle.shard().as_usize() == 0).count();
    assert_eq!(first_count, 10);
    assert_eq!(session.torrents().len(), 20);
    assert!(handles.iter().all(|h| h.wait_finished(LIMIT) == Ok(TorrentState::Seeding)));
}

#[test]
fn chosen_files_alone_come_to_the_disk_and_others_when_they_are_chosen_later() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let lengths = [50_000, 300, 70_000, 5_000, 0];
    let total: usize = lengths.iter().sum();
    let bytes: Vec<u8> = (0..total).map(|at| (at / 5 * 37) as u8 ^ (at >> 8) as u8).collect();
    let hashes: Vec<Sha1> = bytes.chunks(16_384).map(Sha1::of).collect();
    let mut maker = TorrentMaker::directory("some").with_piece_length(16_384);
    fs::create_dir(from.path().join("some")).unwrap();
    let (mut at, mut parts) = (0, Vec::new());
    for (number, length) in lengths.into_iter().enumerate() {
        maker = maker.file([number.to_string()], length as u64);
        parts.push(&bytes[at..at + length]);
        fs::write(from.path().join("some").join(number.to_string()), parts[number]).unwrap();
        at += length;
    }
    let torrent = maker.finish(&hashes).unwrap();
    let (seeding, fetching) = (start(1), start(1));
    let seed = seeding.add(addition(&torrent, from.path())).unwrap();
    assert_eq!(seed.wait_finished(LIMIT), Ok(TorrentState::Seeding));
    let peer = seeding.listen_addresses()[0];
    let too_many = fetching.add(addition(&torrent, to.path()).select([1..=5])).err();
    assert!(matches!(too_many, Some(AddError::Choice(_))), "{too_many:?}");
    let add = addition(&torrent, to.path()).select([1..=1, 3..=3]).peer(peer);
    let fetched = fetching.add(add).unwrap();
    assert_eq!(fetched.wait_finished(LIMIT), Ok(TorrentState::Seeding));
    let names = |dir: &Path| -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let read = |number: usize| fs::read(to.path().join("some").join(number.to_string())).unwrap();
    assert_eq!(names(&to.path().join("some")), ["1", "3"]);
    assert!(read(1) == parts[1] && read(3) == parts[3]);
    let hidden = format!(".{}.parts", fetched.info_hash());
    assert_eq!(names(to.path()), [hidden, "some".to_owned()]);
    let priorities: Vec<u8> =
        fetched.file_priorities().unwrap().iter().map(|priority| priority.as_u8()).collect();
    assert_eq!(priorities, [0, 4, 0, 4, 0]);
    let stats = fetched.status().unwrap().stats;
    assert_eq!((stats.wanted_bytes, stats.wanted_have_bytes), (5_300, 5_300));
    assert!(fetched.set_file_priorities(vec![Priority::SKIP; 6]).is_err());
    fetched.set_file_priorities(vec![Priority::HIGHEST]).unwrap();
    let is_whole = |file: &coreswarm::FileStatus| file.have_bytes == file.length;
    while !fetched.file_progress().unwrap().iter().all(is_whole) {
        assert_ne!(fetched.wait_finished(Duration::from_millis(50)), Ok(TorrentState::Error));
    }
    assert_eq!(fetched.wait_finished(LIMIT), Ok(TorrentState::Seeding));
    assert!(fetching.shutdown(LIMIT).is_clean() && seeding.shutdown(LIMIT).is_clean());
    assert_eq!(names(&to.path().join("some")), ["0", "1", "2", "3", "4"]);
    assert!((0..5).all(|number| read(number) == parts[number]));
    assert_eq!(names(to.path()), ["some"], "nothing lies aside any more");
}

fn descriptor_count() -> usize {
    fs::read_dir("/proc/self/fd").expect("procfs").count()
}

/// The names of this process's threads.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("procfs");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).collect()
}

/// All threads, if they stay more than `count`. The kernel wakes who joins a thread before it takes
/// the thread off its list, so one that was joined may stand there a little longer.
#[expect(clippy::disallowed_methods, reason = "a test has no clock of its own")]
fn threads_unless_at_most(count: usize) -> Vec<String> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let names = threads();
        if names.len() <= count {
            return Vec::new();
        }
        if Instant::now() >= deadline {
            return names;
        }
        std::thread::yield_now();
    }
}

#[test]
fn sessions_one_after_the_other_leave_at_most_one_descriptor_per_shard() {
    // In a process of its own: other tests open descriptors at the same time.
    if std::env::var_os("CORESWARM_TEST_ALONE").is_none() {
        let name = "sessions_one_after_the_other_leave_at_most_one_descriptor_per_shard";
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env("CORESWARM_TEST_ALONE", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    const ROUNDS: usize = 1_000;
    let threads_before = threads().len();
    drop(start(1));
    let fds_before = descriptor_count();
    for _ in 0..ROUNDS {
        assert!(start(1).shutdown(LIMIT).is_clean());
    }
    let fds = descriptor_count();
    assert!(fds <= fds_before + ROUNDS, "{fds_before} before, {fds} after {ROUNDS} sessions");
    let left = threads_unless_at_most(threads_before);
    assert!(left.is_empty(), "{threads_before} threads before, {left:?} after");
}

#[test]
fn a_magnet_is_a_torrent_from_the_start_and_known_as_soon_as_a_peer_told_it() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = make(from.path(), 9, 400_000);
    let torrent = addition(&file, from.path());
    let hash = torrent.torrent().info_hash();
    let (seeding, fetching) = (start(1), start(2));
    let port = seeding.listen_addresses()[0].port();
    // The peer stands in the link, by a name that has to be resolved.
    let link = format!("magnet:?xt=urn:btih:{hash}&dn=guess&x.pe=localhost:{port}");
    let magnet = || AddTorrent::from_magnet(Magnet::parse(&link).unwrap()).directory(to.path());
    let fetched = fetching.add(magnet()).unwrap();
    assert!(fetched.torrent().is_none() && fetched.name() == "guess");
    assert_eq!(fetched.wait_metadata(Duration::from_millis(50)).map(|got| got.is_none()), Ok(true));
    assert_eq!(fetched.stats().piece_count, 0);
    assert_eq!(fetched.status().unwrap().stats.state, TorrentState::Metadata);
    let again = fetching.add(magnet()).map(drop);
    assert!(matches!(again, Err(AddError::AlreadyThere { id }) if id == fetched.id()));
    let seed = seeding.add(torrent).unwrap();
    assert_eq!(seed.wait_finished(LIMIT), Ok(TorrentState::Seeding));
    // The peer did not have it at first, and who goes on tries everybody at once.
    fetched.recheck().unwrap();
    fetched.pause().unwrap();
    fetched.resume().unwrap();
    let known = fetched.wait_metadata(LIMIT).unwrap().expect("a peer has it");
    assert_eq!((known.name(), known.info_hash()), ("file-9", hash));
    assert_eq!(fetched.wait_finished(LIMIT), Ok(TorrentState::Seeding));
    assert_eq!((fetched.name(), fetched.stats().piece_count), ("file-9".to_owned(), 25));
    assert!(fetching.shutdown(LIMIT).is_clean() && seeding.shutdown(LIMIT).is_clean());
    let read = |dir: &Path| fs::read(dir.join("file-9")).unwrap();
    assert!(read(from.path()) == read(to.path()), "the bytes differ");
}

#[test]
fn a_magnet_that_nobody_knows_is_removed_and_ends_with_its_session() {
    let dir = tempfile::tempdir().unwrap();
    let session = start(1);
    let magnet = |seed: &[u8]| {
        let link = format!("magnet:?xt=urn:btih:{}", Sha1::of(seed));
        AddTorrent::from_magnet(Magnet::parse(&link).unwrap()).directory(dir.path())
    };
    let removed = session.add(magnet(b"one")).unwrap();
    removed.remove().unwrap();
    assert_eq!(removed.wait_metadata(LIMIT).map(drop), Err(AskError::Gone));
    let paused = session.add(magnet(b"two").paused(true)).unwrap();
    assert_eq!(paused.status().unwrap().stats.state, TorrentState::Paused);
    session.add(magnet(b"three")).unwrap();
    assert!(session.shutdown(LIMIT).is_clean());
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none(), "nothing was made on disk");
}
