//! Torrents asleep: what they cost, and that nobody notices.

use super::*;
use crate::base::status::TorrentStatus;
use crate::codec::message::Message;

const SIZE: usize = 100_000;

fn is_asleep(engine: &Engine, id: u64) -> bool {
    let slot = engine.swarms.by_id(TorrentId(id)).expect("it was added");
    engine.swarms.awake(slot).is_none()
}

/// Rates fall to nothing; until then they are news to readers.
fn forget_rates(pair: &mut Pair) {
    for _ in 0..2 {
        pair.now = pair.now + Duration::from_secs(90);
        pair.run(1_500, |pair| pair.now.since(Instant::ZERO).subsec_millis() == 999);
    }
}

/// A seed and a leech that have ended their business and slept since.
fn sleeping_pair() -> Pair {
    let mut pair = Pair::new(SIZE, 32_768, &Settings::default());
    pair.run(5_000, |pair| pair.hosts[1].is_finished() && pair.conns == [None, None]);
    forget_rates(&mut pair);
    pair.run(10_000, |pair| pair.hosts.iter().all(|host| is_asleep(&host.engine, 1)));
    pair
}

fn status(pair: &mut Pair, at: usize) -> TorrentStatus {
    let engine = &mut pair.hosts[at].engine;
    engine.handle_command(pair.now, Ticket(7), Command::Status(TorrentId(1)));
    let outputs: Vec<Output> = std::iter::from_fn(|| engine.poll_output()).collect();
    let rises = outputs.iter().filter(|output| matches!(output, Output::Rise { .. }));
    assert_eq!(rises.count(), 1, "the store knows it again");
    let status = outputs.into_iter().find_map(|output| match output {
        Output::Reply { reply: Reply::Status(status), .. } => Some(*status),
        _ => None,
    });
    status.expect("it is answered")
}

#[test]
fn who_asks_a_sleeper_hears_what_it_knew_before_and_it_sleeps_again() {
    let mut pair = sleeping_pair();
    let [seed, leech] = [0, 1].map(|at| status(&mut pair, at).stats);
    assert_eq!((seed.uploaded, leech.downloaded), (SIZE as u64, SIZE as u64));
    for stats in [seed, leech] {
        assert_eq!(stats.state, crate::base::status::TorrentState::Seeding);
        assert_eq!((stats.have_count, stats.have_bytes), (4, SIZE as u64));
        assert_eq!((stats.wanted_bytes, stats.wanted_have_bytes), (SIZE as u64, SIZE as u64));
    }
    pair.run(10_000, |pair| pair.hosts.iter().all(|host| is_asleep(&host.engine, 1)));
}

#[test]
fn a_sleeper_wakes_for_a_stranger_and_serves_it() {
    let mut pair = sleeping_pair();
    let (info_hash, now) = (torrent(SIZE, 32_768).0.info_hash(), pair.now);
    let host = &mut pair.hosts[0];
    let stranger = SocketAddr::from(([10, 0, 0, 9], 9));
    let conn = host.engine.handle_accepted(now, stranger).expect("there is room");
    let mut said = Handshake::ours(info_hash, [7; 20]).encode().to_vec();
    Message::HaveNone.encode(&mut said);
    Message::Interested.encode(&mut said);
    host.engine.handle_bytes(now, conn, &said);
    let mut heard = Vec::new();
    for round in 0..20 {
        if round == 5 {
            let mut request = Vec::new();
            Message::Request { piece: 3, begin: 0, length: 1_000 }.encode(&mut request);
            host.engine.handle_bytes(now, conn, &request);
        }
        while let Some(output) = host.engine.poll_output() {
            if let Output::Disk(job) = output {
                let reply = host.disk(job.op);
                host.engine.handle_disk(now, job.id, reply);
            }
        }
        let mut batch = SendBatch::default();
        host.engine.poll_send(now, conn, &mut batch);
        heard.extend(batch.to_bytes());
        host.engine.handle_sent(now, conn, batch.len());
    }
    let block = &host.disk[3 * 32_768..3 * 32_768 + 1_000];
    assert!(heard.windows(block.len()).any(|part| part == block), "it got what it asked for");
    host.engine.handle_closed(now, conn, CloseReason::EndOfStream);
    forget_rates(&mut pair);
    pair.run(10_000, |pair| is_asleep(&pair.hosts[0].engine, 1));
}

#[test]
fn a_sleeper_obeys_and_leaves() {
    let mut pair = sleeping_pair();
    let before = pair.hosts[0].replies;
    pair.hosts[0].engine.handle_command(pair.now, Ticket(5), Command::Recheck(TorrentId(1)));
    pair.step();
    assert!(!is_asleep(&pair.hosts[0].engine, 1));
    pair.run(10_000, |pair| is_asleep(&pair.hosts[0].engine, 1));
    pair.hosts[0].engine.handle_command(pair.now, Ticket(6), Command::Remove(TorrentId(1)));
    pair.run(10_000, |pair| pair.hosts[0].replies == before + 2);
    assert_eq!(pair.hosts[0].engine.stats().torrent_count, 0);
    pair.hosts[1].engine.handle_command(pair.now, Ticket(9), Command::Shutdown);
    pair.run(10_000, |pair| pair.hosts[1].engine.is_drained());
}

#[test]
fn ten_thousand_idle_torrents_are_small_and_have_nothing_due_ever() {
    const COUNT: u64 = 10_000;
    let config = EngineConfig {
        shard: ShardId(0),
        shard_count: 1,
        settings: Settings::default(),
        directory: Directory::new(),
        pool: Pool::new(1 << 20),
        lanes: Lanes::detect(),
        outwork_len_min: 0,
        seed: 1,
    };
    let mut now = Instant::ZERO;
    let mut engine = Engine::new(config, now);
    let data = [5; 300];
    for id in 0..COUNT {
        let maker = TorrentMaker::single(format!("{id}"), data.len() as u64);
        let bytes = maker.with_piece_length(16_384).finish(&[Sha1::of(&data)]).expect("it fits");
        let torrent = Arc::new(Torrent::parse(&bytes).expect("what the maker makes loads"));
        let first = TorrentStats::new(TorrentId(id), torrent.info_hashes());
        let addition = Addition {
            id: TorrentId(id),
            torrent,
            directory: Path::new("").into(),
            allocation: Allocation::Full,
            write_mode: WriteMode::Cached,
            order: PieceOrder::RarestFirst,
            is_paused: false,
            choice: FileChoice::All,
            magnet: None,
            known: Arc::new(Published::new(None)),
            peers: Vec::new(),
            stats: Arc::new(Published::new(first)),
        };
        engine.handle_command(now, Ticket(id), Command::Add(Box::new(addition)));
    }
    let mut rest_count = 0;
    loop {
        while let Some(output) = engine.poll_output() {
            if let Output::Rest { .. } = output {
                rest_count += 1;
            }
            let Output::Disk(job) = output else { continue };
            let reply = match job.op {
                DiskOp::Read { length, .. } => {
                    let mut buf = PageBuf::zeroed(length as usize);
                    buf.bytes_mut().copy_from_slice(&data[..length as usize]);
                    DiskReply::Read(buf.freeze())
                }
                _ => DiskReply::Opened(vec![FileSeen::Final { length: data.len() as u64 }]),
            };
            engine.handle_disk(now, job.id, reply);
        }
        if hash(&mut engine, now) {
            continue;
        }
        let Some(at) = engine.poll_timeout() else { break };
        assert!(at < Instant::from_millis(10_000), "everything is over soon, this is not: {at:?}");
        now = now.max(at);
        engine.handle_timeout(now);
    }
    assert_eq!(rest_count, COUNT, "no torrent keeps a descriptor");
    assert!((0..COUNT).all(|id| is_asleep(&engine, id)));
}
