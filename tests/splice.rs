//! A seed that sends without copies: whoever fetches from it, at whatever pace, gets every byte.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "peers are threads")]

use std::fs;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use coreswarm::AddTorrent;
use coreswarm::SendMode;
use coreswarm::Session;
use coreswarm::Sha1;
use coreswarm::Torrent;
use coreswarm::TorrentMaker;
use coreswarm::TorrentState;

/// Far above what anything here takes, so that a loaded machine fails no test.
const LIMIT: Duration = Duration::from_secs(60);
const PIECE: usize = 1 << 18;
const BLOCK: usize = 16 * 1024;
/// Not a whole number of pieces, blocks or pages.
const LEN: usize = 40 * PIECE + 3 * BLOCK + 77;

fn start(mode: SendMode) -> Session {
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let builder = Session::builder().listen([here]).shards(1).send_mode(mode);
    builder.start().expect("the system allows a session")
}

/// A torrent of one file, and its bytes.
fn make(dir: &Path) -> (Vec<u8>, Vec<u8>) {
    let mut state = 1_u32;
    let bytes: Vec<u8> = (0..LEN)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    fs::write(dir.join("data"), &bytes).expect("there is space");
    let hashes: Vec<Sha1> = bytes.chunks(PIECE).map(Sha1::of).collect();
    let maker = TorrentMaker::single("data", LEN as u64).with_piece_length(PIECE as u32);
    (maker.finish(&hashes).expect("it can be made"), bytes)
}

/// A seed of it that is ready.
fn seed(torrent: &[u8], dir: &Path) -> Session {
    let session = start(SendMode::Splice);
    let addition = AddTorrent::from_bytes(torrent).expect("it loads").directory(dir);
    let handle = session.add(addition).expect("there is room");
    assert_eq!(handle.wait_finished(LIMIT), Ok(TorrentState::Seeding));
    session
}

/// Waits until so much was spliced: figures are published at most every 200 ms.
fn wait_spliced(session: &Session, wanted: u64) {
    let spliced = || session.stats().iter().map(|shard| shard.upload_spliced).sum::<u64>();
    let alerts = session.alerts();
    let is_there = (0..100).any(|_| {
        spliced() >= wanted || {
            alerts.next(Duration::from_millis(100));
            false
        }
    });
    assert!(is_there, "expected {wanted} bytes, {} were spliced", spliced());
}

/// A peer of a few lines, unchoked.
struct Raw {
    stream: TcpStream,
    /// Bytes that it reads at a time: little makes it slow.
    step: usize,
}

impl Raw {
    fn connect(seed: SocketAddr, torrent: &[u8]) -> Raw {
        let hash = Torrent::parse(torrent).unwrap().info_hash();
        let mut stream = TcpStream::connect(seed).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        // Peers of one address are told apart by their id.
        let id = format!("{:020}", stream.local_addr().unwrap().port());
        let hello =
            [&b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0"[..], hash.as_bytes(), id.as_bytes()];
        stream.write_all(&hello.concat()).unwrap();
        stream.write_all(&[0, 0, 0, 1, 2]).unwrap();
        stream.read_exact(&mut [0; 68]).unwrap();
        let mut raw = Raw { stream, step: BLOCK };
        while raw.message().first() != Some(&1) {}
        raw
    }

    fn message(&mut self) -> Vec<u8> {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len).unwrap();
        let mut message = vec![0; u32::from_be_bytes(len) as usize];
        message.chunks_mut(self.step).for_each(|part| self.stream.read_exact(part).unwrap());
        message
    }

    /// All blocks of so many pieces.
    fn request(&mut self, pieces: std::ops::Range<usize>) {
        let blocks = pieces.flat_map(|piece| (0..PIECE / BLOCK).map(move |at| (piece, at * BLOCK)));
        let request = |(piece, begin): (usize, usize)| {
            let numbers = [piece, begin, BLOCK].map(|number| (number as u32).to_be_bytes());
            [&[0, 0, 0, 13, 6][..], numbers.concat().as_slice()].concat()
        };
        let requests: Vec<u8> = blocks.flat_map(request).collect();
        self.stream.write_all(&requests).unwrap();
    }

    /// So many blocks, each compared.
    fn compare(&mut self, bytes: &[u8], count: usize) {
        let mut seen = 0;
        while seen < count {
            let message = self.message();
            if message.first() != Some(&7) {
                continue;
            }
            let number = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap());
            let start = number(1) as usize * PIECE + number(5) as usize;
            assert!(message[9..] == bytes[start..start + BLOCK], "the block at {start} differs");
            seen += 1;
        }
    }
}

#[test]
fn sessions_fetch_every_byte() {
    let (from, to) = (tempfile::tempdir().unwrap(), [(); 2].map(|()| tempfile::tempdir().unwrap()));
    let (torrent, bytes) = make(from.path());
    let seeding = seed(&torrent, from.path());
    let sessions = to.each_ref().map(|dir| {
        let session = start(SendMode::default());
        let addition = AddTorrent::from_bytes(&torrent).unwrap().directory(dir.path());
        let handle = session.add(addition.peer(seeding.listen_addresses()[0])).unwrap();
        (session, handle)
    });
    for (dir, (session, handle)) in to.iter().zip(sessions) {
        assert_eq!(handle.wait_finished(LIMIT), Ok(TorrentState::Seeding));
        assert!(session.shutdown(LIMIT).is_clean());
        assert!(fs::read(dir.path().join("data")).unwrap() == bytes, "the bytes differ");
    }
    wait_spliced(&seeding, 1);
    assert!(seeding.shutdown(LIMIT).is_clean());
}

#[test]
fn slow_peers_and_those_that_leave_in_the_middle_disturb_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (torrent, bytes) = make(dir.path());
    let seeding = seed(&torrent, dir.path());
    let address = seeding.listen_addresses()[0];
    thread::scope(|scope| {
        for at in 0..3 {
            let (torrent, bytes) = (&torrent, &bytes);
            scope.spawn(move || {
                let mut slow = Raw { step: 100, ..Raw::connect(address, torrent) };
                for round in 0..2 {
                    let first = 5 * at + round;
                    slow.request(first..first + 25);
                    slow.compare(bytes, 25 * PIECE / BLOCK);
                }
            });
            scope.spawn(move || {
                for count in [0, 1, 7, 100] {
                    let mut leaver = Raw::connect(address, torrent);
                    leaver.request(at..at + 30);
                    leaver.compare(bytes, count);
                    // What has arrived and was not read makes this a reset.
                }
            });
        }
    });
    let mut last = Raw::connect(address, &torrent);
    last.request(0..30);
    last.compare(&bytes, 30 * PIECE / BLOCK);
    wait_spliced(&seeding, 20 << 20);
    assert!(seeding.shutdown(LIMIT).is_clean());
    let end = last.stream.read(&mut [0]).map_err(|error| error.kind());
    assert!(matches!(end, Ok(0) | Err(ErrorKind::ConnectionReset)), "{end:?}");
}
