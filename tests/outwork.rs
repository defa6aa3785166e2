//! A check of one torrent in a session of two shards: both hash, and what they find is right.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use coreswarm::AddTorrent;
use coreswarm::AlertKind;
use coreswarm::Session;
use coreswarm::Sha1;
use coreswarm::ShardStats;
use coreswarm::TorrentMaker;

/// Far above what anything here takes, so that a loaded machine fails no test.
const LIMIT: Duration = Duration::from_secs(120);
/// Sixteen are a batch that a build without optimisation hashes in time.
const PIECE: usize = 1 << 17;
const COUNT: usize = 320;
/// Pieces of which a byte is wrong on the disk.
const WRONG: [usize; 3] = [0, 77, COUNT - 1];

/// A torrent of one file, most of which lies in `dir` as it should.
fn make(dir: &Path) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..PIECE * COUNT).map(|at| (at / 4_099 % 251) as u8).collect();
    let hashes: Vec<Sha1> = bytes.chunks(PIECE).map(Sha1::of).collect();
    WRONG.iter().for_each(|piece| bytes[piece * PIECE + 100] ^= 1);
    fs::write(dir.join("data"), &bytes).expect("there is space");
    let maker = TorrentMaker::single("data", bytes.len() as u64);
    maker.with_piece_length(PIECE as u32).finish(&hashes).expect("it can be made")
}

/// How many pieces are there and right, once that is known.
fn wait_checked(session: &Session) -> u32 {
    let alerts = session.alerts();
    loop {
        let alert = alerts.next(LIMIT).expect("it is checked in time");
        if let AlertKind::Checked { have_count, .. } = alert.kind {
            return have_count;
        }
    }
}

fn sum(session: &Session, figure: fn(&ShardStats) -> u64) -> u64 {
    session.stats().iter().map(|shard| figure(shard)).sum()
}

#[test]
fn one_torrent_is_checked_by_both_shards_and_what_is_wrong_is_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let torrent = make(dir.path());
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let session = Session::builder().listen([here]).shards(2).start().expect("a session");
    let addition = AddTorrent::from_bytes(&torrent).expect("it loads").directory(dir.path());
    session.add(addition).expect("there is room");
    assert_eq!(wait_checked(&session) as usize, COUNT - WRONG.len());
    // Figures are published at most every 200 ms.
    let by_others = (0..50)
        .map(|_| {
            session.alerts().next(Duration::from_millis(100));
            sum(&session, |shard| shard.hashed_by_others)
        })
        .find(|bytes| *bytes > 0)
        .expect("the other shard has something to do");
    assert_eq!(by_others % PIECE as u64, 0);
    session.shutdown(LIMIT);
}
