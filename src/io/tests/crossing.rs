//! Many torrents between two sessions of several shards, with questions asked meanwhile.

use std::collections::BTreeMap;
use std::path::Path;

use glommio::LocalExecutorBuilder;
use glommio::Placement;
use glommio::timer::Timer;

use crate::base::digest::Sha1;
use crate::base::ids::TorrentId;
use crate::base::status::TorrentState;
use crate::base::status::TorrentStats;
use crate::content::make::TorrentMaker;
use crate::content::torrent::Torrent;
use crate::content::wanted::FileChoice;
use crate::engine::add::Addition;
use crate::engine::add::Allocation;
use crate::engine::add::PieceOrder;
use crate::engine::add::WriteMode;
use crate::engine::command::Command;
use crate::engine::to_ring::Reply;
use crate::io::*;

const LIMIT: Duration = Duration::from_secs(60);
/// What a control task or a question may wait on a shard.
const PROMPT: Duration = Duration::from_millis(50);
const PIECE_LEN: u32 = 64 * 1024;

/// A session's shards without the session.
struct World {
    shards: Shards,
    directory: Arc<Directory>,
    stats: BTreeMap<TorrentId, Arc<Published<TorrentStats>>>,
    clock: Clock,
}

fn config(directory: &Arc<Directory>, shard_count: usize) -> ShardsConfig {
    ShardsConfig {
        settings: Settings::default(),
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        shard_count: Some(shard_count),
        tracker_ca: None,
        directory: Arc::clone(directory),
    }
}

impl World {
    fn start() -> World {
        let directory = Directory::new();
        let shard_count = cpus::allowed().len().min(2);
        let shards = Shards::start(config(&directory, shard_count)).unwrap();
        World { shards, directory, stats: BTreeMap::new(), clock: Clock::start() }
    }

    /// Torrents go to the shards in turn.
    fn shard_of(&self, id: TorrentId) -> ShardId {
        ShardId((id.as_u64() % self.shards.links().len() as u64) as u16)
    }

    fn ask(&self, shard: ShardId, command: Command) -> Reply {
        let (to_us, answer) = bounded(1);
        self.shards.links()[shard.as_usize()].send(command, to_us).unwrap();
        answer.recv_timeout(LIMIT).unwrap()
    }

    fn add(&mut self, id: u64, torrent: &Arc<Torrent>, directory: &Path, peers: &[SocketAddr]) {
        let id = TorrentId(id);
        let stats = Arc::new(Published::new(TorrentStats::new(id, torrent.info_hashes())));
        self.stats.insert(id, Arc::clone(&stats));
        self.directory.set(torrent.info_hash(), Some(self.shard_of(id)));
        let addition = Addition {
            id,
            torrent: Arc::clone(torrent),
            directory: directory.into(),
            allocation: Allocation::Full,
            write_mode: WriteMode::Cached,
            order: PieceOrder::RarestFirst,
            is_paused: false,
            choice: FileChoice::All,
            magnet: None,
            known: Arc::new(Published::new(None)),
            peers: peers.to_vec(),
            stats,
        };
        let reply = self.ask(self.shard_of(id), Command::Add(Box::new(addition)));
        assert!(matches!(reply, Reply::Done), "{reply:?}");
    }

    fn are_all_seeding(&self) -> bool {
        self.stats.values().all(|stats| stats.read().state == TorrentState::Seeding)
    }

    fn wait_until_seeding(&self) {
        let (_hold, never) = bounded::<()>(0);
        while !self.are_all_seeding() {
            assert!(self.clock.now() < Instant::ZERO + LIMIT, "{:?}", self.stats.values());
            let _ = never.recv_timeout(Duration::from_millis(10));
        }
    }

    /// How long shards take to answer one question each.
    fn answer_times(&self) -> Vec<Duration> {
        let shards = (0..self.shards.links().len()).map(|at| ShardId(at as u16));
        shards
            .map(|shard| {
                let asked = self.clock.now();
                let reply = self.ask(shard, Command::Status(TorrentId(u64::MAX)));
                assert!(matches!(reply, Reply::NoSuchTorrent));
                self.clock.now().since(asked)
            })
            .collect()
    }

    fn end(mut self) {
        for link in self.shards.links() {
            let _ = link.send(Command::Shutdown, bounded(1).0);
        }
        assert_eq!(self.shards.join(LIMIT), 0, "every shard ends");
    }
}

/// A payload of `len` bytes as one file below `directory`, and its torrent.
fn payload(directory: &Path, name: &str, len: usize) -> Arc<Torrent> {
    let mut rng = crate::base::rng::Rng::new(len as u64);
    let bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
    let bytes = &bytes[..len];
    fs::write(directory.join(name), bytes).unwrap();
    let hashes: Vec<Sha1> = bytes.chunks(PIECE_LEN as usize).map(Sha1::of).collect();
    let maker = TorrentMaker::single(name, len as u64).with_piece_length(PIECE_LEN);
    Arc::new(Torrent::parse(&maker.finish(&hashes).unwrap()).unwrap())
}

/// All but one in ten: the machine that runs this may be busy with other things.
fn is_prompt(mut times: Vec<Duration>) -> bool {
    times.sort();
    times[times.len() * 9 / 10] < PROMPT
}

#[test]
fn torrents_travel_between_shards_and_questions_are_answered_meanwhile() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut seeds, mut leeches) = (World::start(), World::start());
    let sizes = [1, 100_000, 3_000_000, 5_000_001, 12_345_678, 16_384];
    let torrents: Vec<Arc<Torrent>> = sizes
        .iter()
        .enumerate()
        .map(|(at, len)| payload(here.path(), &format!("file-{at}"), *len))
        .collect();
    for (at, torrent) in torrents.iter().enumerate() {
        seeds.add(at as u64, torrent, here.path(), &[]);
    }
    seeds.wait_until_seeding();
    let peers = seeds.shards.listen_addresses().to_vec();
    for (at, torrent) in torrents.iter().enumerate() {
        leeches.add(at as u64, torrent, there.path(), &peers);
    }
    let mut times = Vec::new();
    while times.len() < 20 || !leeches.are_all_seeding() {
        times.extend(leeches.answer_times());
        times.extend(seeds.answer_times());
        assert!(leeches.clock.now() < Instant::ZERO + LIMIT, "{:?}", leeches.stats.values());
    }
    assert!(is_prompt(times));
    for at in 0..sizes.len() {
        let name = format!("file-{at}");
        let (sent, got) = (here.path().join(&name), there.path().join(&name));
        assert!(fs::read(sent).unwrap() == fs::read(got).unwrap(), "{name}");
    }
    leeches.end();
    seeds.end();
}

#[test]
fn control_tasks_get_their_turn_beside_the_pump() {
    let directory = Directory::new();
    let config = config(&directory, 1);
    let (link, inbox) = link().unwrap();
    let (http, blocking) = pools(&config).unwrap();
    let clock = Clock::start();
    let seedling = Seedling {
        shard: ShardId(0),
        cpu: 0,
        settings: config.settings,
        directory,
        seed: 1,
        listeners: Vec::new(),
        inbox,
        links: vec![link.clone()],
        http,
        blocking,
        alerts: alert_queue(ShardId(0), 16, 1).0,
        stats: vec![Arc::new(Published::new(ShardStats::default()))],
        clock,
        open_file_max: 16,
        addresses: Vec::new(),
    };
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .io_memory(GLOMMIO_MEMORY)
        .ring_depth(GLOMMIO_DEPTH)
        .make()
        .unwrap();
    let times = executor.run(async move {
        let pump = build(seedling).unwrap();
        let control = glommio::spawn_local(async move {
            let mut times = Vec::new();
            for _ in 0..20 {
                let asleep = clock.now();
                Timer::new(Duration::from_millis(1)).await;
                times.push(clock.now().since(asleep));
            }
            link.send(Command::Shutdown, bounded(1).0).unwrap();
            times
        });
        pump.run().await;
        control.await
    });
    assert!(is_prompt(times));
}

#[test]
fn a_taken_port_is_an_error_of_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = vec![taken.local_addr().unwrap()];
    let config = ShardsConfig { listen, ..config(&Directory::new(), 1) };
    let message = Shards::start(config).unwrap_err().to_string();
    assert!(message.contains("choose another") && !message.contains('\n'), "{message}");
}
