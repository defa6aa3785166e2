//! Two engines, one wire and a made-up clock: the engine as a whole.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::buffer::PageBuf;
use crate::base::buffer::Pool;
use crate::base::digest::Sha1;
use crate::base::digest_lanes::Lanes;
use crate::base::ids::ShardId;
use crate::base::ids::TorrentId;
use crate::base::published::Published;
use crate::base::status::TorrentStats;
use crate::base::storage_error::StorageError;
use crate::base::storage_error::StorageOperation;
use crate::codec::handshake::Handshake;
use crate::content::make::TorrentMaker;
use crate::content::torrent::Torrent;
use crate::content::wanted::FileChoice;
use crate::engine::add::Addition;
use crate::engine::add::Allocation;
use crate::engine::add::PieceOrder;
use crate::engine::add::WriteMode;
use crate::engine::command::Command;
use crate::engine::command::Ticket;
use crate::engine::directory::Directory;
use crate::engine::disk::DiskJob;
use crate::engine::disk::DiskOp;
use crate::engine::disk::FileSeen;
use crate::engine::settings::Settings;
use crate::engine::shard_config::EngineConfig;
use crate::engine::to_ring::CloseReason;
use crate::engine::to_ring::Reply;

/// One engine, its disk (one torrent) and what it said.
struct Host {
    engine: Engine,
    disk: Vec<u8>,
    seen: FileSeen,
    /// Files cannot get their final name.
    fails_to_name: bool,
    alerts: Vec<AlertKind>,
    replies: usize,
}

/// Two hosts on one wire without delay.
struct Pair {
    now: Instant,
    hosts: [Host; 2],
    /// (from, bytes) on the only connection.
    wire: VecDeque<(usize, Vec<u8>)>,
    conns: [Option<ConnId>; 2],
    /// Jobs of the first host that a test holds back.
    reads: Vec<DiskJob>,
}

/// A slice, in a turn that has time; true while more is left.
fn hash(engine: &mut Engine, now: Instant) -> bool {
    engine.hash_slice(now, true) != HashingLeft::Nothing
}

fn torrent(len: usize, piece_len: u32) -> (Arc<Torrent>, Vec<u8>) {
    let data: Vec<u8> = (0..len).map(|n| (n * 7 + n / 251) as u8).collect();
    let pieces: Vec<Sha1> = data.chunks(piece_len as usize).map(Sha1::of).collect();
    let bytes = TorrentMaker::single("data", len as u64)
        .with_piece_length(piece_len)
        .finish(&pieces)
        .expect("the maker is given one hash per piece");
    (Arc::new(Torrent::parse(&bytes).expect("what the maker makes loads")), data)
}

impl Pair {
    /// A seed and a leech that knows it.
    fn new(len: usize, piece_len: u32, settings: &Settings) -> Pair {
        let (torrent, data) = torrent(len, piece_len);
        Pair::of([Arc::clone(&torrent), torrent], &data, settings)
    }

    /// A seed and a leech that knows it, each with the torrent as it knows it.
    fn of(torrents: [Arc<Torrent>; 2], data: &[u8], settings: &Settings) -> Pair {
        let len = data.len();
        let hosts = [0, 1].map(|at| {
            let torrent = Arc::clone(&torrents[at]);
            let config = EngineConfig {
                shard: ShardId(0),
                shard_count: 1,
                settings: settings.clone(),
                directory: Directory::new(),
                pool: Pool::new(1 << 20),
                lanes: Lanes::detect(),
                outwork_len_min: 0,
                seed: at as u64,
            };
            let mut engine = Engine::new(config, Instant::ZERO);
            let peers = if at == 1 { vec![SocketAddr::from(([10, 0, 0, 1], 1))] } else { vec![] };
            let addition = Addition {
                id: TorrentId(1),
                torrent: Arc::clone(&torrent),
                directory: Path::new("").into(),
                allocation: Allocation::Full,
                write_mode: WriteMode::Cached,
                order: PieceOrder::RarestFirst,
                is_paused: false,
                choice: FileChoice::All,
                magnet: None,
                known: Arc::new(Published::new(None)),
                peers,
                stats: Arc::new(Published::new(TorrentStats::new(
                    TorrentId(1),
                    torrent.info_hashes(),
                ))),
            };
            engine.handle_command(Instant::ZERO, Ticket(1), Command::Add(Box::new(addition)));
            let disk = if at == 0 { data.to_vec() } else { vec![0; len] };
            let length = len as u64;
            let seen = if at == 0 { FileSeen::Final { length } } else { FileSeen::Missing };
            let alerts = Vec::new();
            Host { engine, disk, seen, fails_to_name: false, alerts, replies: 0 }
        });
        Pair {
            now: Instant::ZERO,
            hosts,
            wire: VecDeque::new(),
            conns: [None, None],
            reads: Vec::new(),
        }
    }

    /// One turn of both hosts, then 1 ms passes.
    fn step(&mut self) {
        for at in 0..2 {
            while let Some(output) = self.hosts[at].engine.poll_output() {
                self.obey(at, output);
            }
            while hash(&mut self.hosts[at].engine, self.now) {}
        }
        for _ in 0..self.wire.len() {
            let Some((from, bytes)) = self.wire.pop_front() else { break };
            let to = 1 - from;
            if let Some(conn) = self.conns[to] {
                bytes.chunks(1000).for_each(|part| {
                    self.hosts[to].engine.handle_bytes(self.now, conn, part);
                });
            }
            if let Some(conn) = self.conns[from] {
                self.hosts[from].engine.handle_sent(self.now, conn, bytes.len());
                self.send(from, conn);
            }
        }
        self.now = self.now + Duration::from_millis(1);
        for host in &mut self.hosts {
            if host.engine.poll_timeout().is_some_and(|at| at <= self.now) {
                host.engine.handle_timeout(self.now);
            }
        }
    }

    fn send(&mut self, at: usize, conn: ConnId) {
        if self.wire.iter().any(|(from, _)| *from == at) {
            return;
        }
        let mut batch = SendBatch::default();
        self.hosts[at].engine.poll_send(self.now, conn, &mut batch);
        if !batch.is_empty() {
            self.wire.push_back((at, batch.to_bytes()));
        }
    }

    fn obey(&mut self, at: usize, output: Output) {
        match output {
            Output::Connect { conn, .. } => {
                let stranger = SocketAddr::from(([10, 0, 0, 2], 5000));
                self.conns = [self.hosts[0].engine.handle_accepted(self.now, stranger), Some(conn)];
                self.hosts[at].engine.handle_connected(self.now, conn);
            }
            Output::Send { conn } => self.send(at, conn),
            Output::Close { conn } => {
                assert_eq!(self.conns[at], Some(conn));
                self.conns[at] = None;
                if let Some(other) = self.conns[1 - at].take() {
                    let reason = CloseReason::EndOfStream;
                    self.hosts[1 - at].engine.handle_closed(self.now, other, reason);
                }
            }
            Output::Disk(job) => {
                let reply = self.hosts[at].disk(job.op);
                self.hosts[at].engine.handle_disk(self.now, job.id, reply);
            }
            Output::Alert(alert) => self.hosts[at].alerts.push(alert.kind),
            Output::Reply { .. } => self.hosts[at].replies += 1,
            _ => {}
        }
    }

    fn run(&mut self, step_max: usize, is_over: impl Fn(&Pair) -> bool) {
        for _ in 0..step_max {
            self.step();
            if is_over(self) {
                return;
            }
        }
        panic!("not over after {step_max} steps; alerts {:?}", self.hosts[1].alerts);
    }
}

impl Host {
    fn disk(&mut self, op: DiskOp) -> DiskReply {
        match op {
            DiskOp::Open { .. } => DiskReply::Opened(vec![self.seen]),
            DiskOp::Read { offset, length } => {
                let mut buf = PageBuf::zeroed(length as usize);
                let start = offset as usize;
                buf.bytes_mut().copy_from_slice(&self.disk[start..start + length as usize]);
                DiskReply::Read(buf.freeze())
            }
            DiskOp::Serve { offset, length } => match self.disk(DiskOp::Read { offset, length }) {
                DiskReply::Read(bytes) => DiskReply::Served(bytes.into()),
                other => other,
            },
            DiskOp::Write { offset, data, .. } => {
                let start = offset as usize;
                self.disk[start..start + data.len()].copy_from_slice(data.bytes());
                DiskReply::Done
            }
            DiskOp::Finish { .. } if self.fails_to_name => DiskReply::Failed(StorageError {
                operation: StorageOperation::Rename,
                file: "data".to_owned(),
                piece: None,
                errno: Some(17),
                message: "planted".to_owned(),
            }),
            _ => DiskReply::Done,
        }
    }

    fn is_finished(&self) -> bool {
        self.alerts.contains(&AlertKind::Finished)
    }
}

#[test]
fn a_leech_gets_every_byte_from_a_seed_and_both_part() {
    let mut pair = Pair::new(1_000_003, 32_768, &Settings::default());
    pair.run(5_000, |pair| pair.hosts[1].is_finished());
    assert!(pair.hosts[0].disk == pair.hosts[1].disk);
    assert_eq!(pair.hosts[1].engine.stats().assembly_used, 0);
    pair.run(5_000, |pair| pair.conns == [None, None]);
}

#[test]
fn a_budget_of_four_pieces_is_enough_and_never_exceeded() {
    let settings = Settings { assembly_budget: 4 * 32_768, ..Settings::default() };
    let mut pair = Pair::new(1_000_003, 32_768, &settings);
    pair.run(5_000, |pair| {
        assert!(pair.hosts[1].engine.stats().assembly_used <= 4 * 32_768);
        pair.hosts[1].is_finished()
    });
    assert!(pair.hosts[0].disk == pair.hosts[1].disk);
}

#[test]
fn a_piece_larger_than_its_share_of_the_budget_is_written_through() {
    let settings = Settings { assembly_budget: 1 << 18, ..Settings::default() };
    let mut pair = Pair::new(3_000_000, 1 << 20, &settings);
    pair.run(20_000, |pair| {
        assert!(pair.hosts[1].engine.stats().assembly_used <= 1 << 18);
        pair.hosts[1].is_finished()
    });
    let downloaded = pair.hosts[1].engine.stats().downloaded;
    assert_eq!(downloaded, 3_000_000, "no block was asked for without room for it");
    assert!(pair.hosts[0].disk == pair.hosts[1].disk);
    assert_eq!(pair.hosts[1].engine.stats().assembly_used, 0);
}

#[test]
fn shutdown_leaves_nothing_and_is_told_once() {
    let mut pair = Pair::new(1_000_003, 32_768, &Settings::default());
    pair.run(100, |pair| pair.hosts[1].engine.stats().downloaded > 100_000);
    let before = pair.hosts[1].replies;
    pair.hosts[1].engine.handle_command(pair.now, Ticket(9), Command::Shutdown);
    pair.run(6_000, |pair| pair.hosts[1].engine.is_drained());
    pair.step();
    assert_eq!(pair.hosts[1].replies, before + 1);
    let stats = pair.hosts[1].engine.stats();
    assert_eq!((stats.connection_count, stats.torrent_count, stats.assembly_used), (0, 0, 0));
}

#[test]
fn a_panic_breaks_its_torrent_and_neither_the_shard_nor_the_others() {
    let mut pair = Pair::new(1_000_003, 32_768, &Settings::default());
    pair.run(100, |pair| pair.hosts[1].engine.stats().downloaded > 100_000);
    let engine = &mut pair.hosts[1].engine;
    let slot = engine.swarms.by_id(TorrentId(1)).expect("it was added");
    let result = engine.contain(slot, |_, _| panic!("planted: this panic is part of a test"));
    assert!(result.is_none());
    pair.step();
    let host = &mut pair.hosts[1];
    assert!(host.alerts.iter().any(|alert| matches!(alert, AlertKind::Error { .. })));
    let stats = host.engine.stats();
    assert_eq!((stats.connection_count, stats.assembly_used), (0, 0), "all is given back");
    host.seen = FileSeen::Final { length: 1_000_003 };
    host.engine.handle_command(pair.now, Ticket(5), Command::Resume(TorrentId(1)));
    pair.run(60_000, |pair| pair.hosts[1].is_finished());
    assert!(pair.hosts[0].disk == pair.hosts[1].disk);
}

#[test]
fn what_the_kernel_cannot_read_while_it_sends_stops_the_torrent_and_says_why() {
    let mut pair = Pair::new(1_000_003, 32_768, &Settings::default());
    pair.run(5_000, |pair| pair.hosts[1].engine.stats().downloaded > 100_000);
    let conn = pair.conns[0].take().expect("they are connected");
    let error = StorageError {
        operation: StorageOperation::Read,
        file: "data".to_owned(),
        piece: Some(3),
        errno: None,
        message: "planted".to_owned(),
    };
    let reason = CloseReason::Unreadable(error.clone());
    pair.hosts[0].engine.handle_closed(pair.now, conn, reason);
    pair.run(100, |pair| pair.hosts[0].alerts.contains(&AlertKind::Storage(error.clone())));
    let alerts = &pair.hosts[0].alerts;
    assert!(alerts.contains(&AlertKind::Error { message: error.to_string() }), "{alerts:?}");
    assert_eq!(pair.hosts[0].engine.stats().connection_count, 0);
}

#[test]
fn a_strangers_handshake_may_come_byte_by_byte() {
    let mut pair = Pair::new(100_000, 32_768, &Settings::default());
    pair.run(20, |pair| pair.hosts[0].alerts.contains(&AlertKind::Finished));
    let engine = &mut pair.hosts[0].engine;
    let slot = engine.swarms.by_id(TorrentId(1)).expect("it was added");
    let info_hash = engine.swarms.awake(slot).expect("it is there").names().primary();
    let stranger = SocketAddr::from(([10, 0, 0, 9], 9));
    let conn = engine.handle_accepted(pair.now, stranger).expect("there is room");
    for byte in Handshake::ours(info_hash, [7; 20]).encode() {
        engine.handle_bytes(pair.now, conn, &[byte]);
    }
    let mut batch = SendBatch::default();
    engine.poll_send(pair.now, conn, &mut batch);
    let sent: Vec<u8> = batch.to_bytes();
    assert_eq!(sent[28..48], *info_hash.as_bytes());
}

#[test]
fn a_connection_for_another_shards_torrent_is_handed_over_with_its_bytes() {
    let mut pair = Pair::new(100_000, 32_768, &Settings::default());
    let elsewhere = Sha1::of(b"elsewhere");
    let engine = &mut pair.hosts[0].engine;
    engine.turn.directory.set(elsewhere, Some(ShardId(3)));
    let stranger = SocketAddr::from(([10, 0, 0, 9], 9));
    let conn = engine.handle_accepted(pair.now, stranger).expect("there is room");
    let bytes = Handshake::ours(elsewhere, [7; 20]).encode();
    engine.handle_bytes(pair.now, conn, &bytes[..60]);
    let outputs: Vec<Output> = std::iter::from_fn(|| engine.poll_output()).collect();
    let is_right = |output: &Output| match output {
        Output::HandOver { to, bytes: handed, .. } => *to == ShardId(3) && *handed == bytes[..60],
        _ => false,
    };
    assert!(outputs.iter().any(is_right), "{outputs:?}");
    let unknown = Handshake::ours(Sha1::of(b"nowhere"), [7; 20]).encode();
    let conn = engine.handle_accepted(pair.now, stranger).expect("there is room");
    engine.handle_bytes(pair.now, conn, &unknown);
    assert!(matches!(engine.poll_output(), Some(Output::Close { .. })));
}

#[test]
fn a_file_that_could_not_be_named_is_named_after_a_resume() {
    let mut pair = Pair::new(100_000, 32_768, &Settings::default());
    pair.hosts[1].fails_to_name = true;
    let is_broken = |alert: &AlertKind| matches!(alert, AlertKind::Error { .. });
    pair.run(5_000, |pair| pair.hosts[1].alerts.iter().any(is_broken));
    let host = &mut pair.hosts[1];
    assert!(!host.is_finished());
    (host.fails_to_name, host.seen) = (false, FileSeen::Part { length: 100_000 });
    host.engine.handle_command(pair.now, Ticket(5), Command::Resume(TorrentId(1)));
    pair.run(5_000, |pair| pair.hosts[1].is_finished());
}

mod asleep;
mod bounds;
mod crowd;
mod versions;
