//! What is due for many torrents at once is done some at a time, and nobody is passed over.

use super::*;
use crate::base::buffer::SharedBuf;
use crate::base::limits::SPARE_TIME_MAX;
use crate::engine::spare_time::tests::FROM;

/// Bytes of a torrent, all of the same value: one piece.
const LEN: u32 = 1 << 20;

struct Many {
    engine: Engine,
    now: Instant,
    figures: Vec<Arc<Published<TorrentStats>>>,
    outputs: Vec<Output>,
}

impl Many {
    /// So many torrents of one piece, all of them there.
    fn new(count: u64) -> Many {
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
        let (now, figures) = (Instant::from_millis(1_000), Vec::new());
        let mut many = Many { engine: Engine::new(config, now), now, figures, outputs: Vec::new() };
        let digest = Sha1::of(&[5; LEN as usize]);
        (0..count).for_each(|id| many.add(id, digest));
        many
    }

    fn add(&mut self, id: u64, digest: Sha1) {
        let maker = TorrentMaker::single(format!("{id}"), LEN.into()).with_piece_length(LEN);
        let bytes = maker.finish(&[digest]).expect("it fits");
        let torrent = Arc::new(Torrent::parse(&bytes).expect("what the maker makes loads"));
        let first = TorrentStats::new(TorrentId(id), torrent.info_hashes());
        let stats = Arc::new(Published::new(first));
        self.figures.push(Arc::clone(&stats));
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
            stats,
        };
        self.engine.handle_command(self.now, Ticket(id), Command::Add(Box::new(addition)));
    }

    fn drain(&mut self) {
        self.outputs.extend(std::iter::from_fn(|| self.engine.poll_output()));
    }

    /// The jobs among what was wanted so far.
    fn jobs(&mut self) -> Vec<DiskJob> {
        let jobs =
            std::mem::take(&mut self.outputs).into_iter().filter_map(|output| match output {
                Output::Disk(job) => Some(job),
                _ => None,
            });
        jobs.collect()
    }

    /// Alerts of a kind among what came since.
    fn alert_count(&self, is_meant: impl Fn(&AlertKind) -> bool) -> usize {
        let alerts = self.outputs.iter().filter_map(|output| match output {
            Output::Alert(alert) => Some(&alert.kind),
            _ => None,
        });
        alerts.filter(|kind| is_meant(kind)).count()
    }

    /// Their state, as it was published.
    fn checking_count(&self) -> usize {
        let state = |figures: &Arc<Published<TorrentStats>>| figures.read().state;
        let checking = crate::base::status::TorrentState::Checking;
        self.figures.iter().filter(|figures| state(figures) == checking).count()
    }
}

#[test]
fn timers_of_many_torrents_are_handled_some_per_call_and_all_of_them_without_a_drain() {
    let mut many = Many::new(100);
    many.drain();
    for job in many.jobs() {
        let seen = vec![FileSeen::Final { length: LEN.into() }];
        many.engine.handle_disk(many.now, job.id, DiskReply::Opened(seen));
    }
    many.drain();
    many.now = many.now + Duration::from_secs(1);
    let mut published = Vec::new();
    while many.engine.poll_timeout().is_some_and(|at| at <= many.now) {
        many.engine.handle_timeout(many.now);
        published.push(many.checking_count());
    }
    let steps = published.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(steps.max().is_some_and(|most| most <= 8), "{published:?}");
    assert_eq!(published.last(), Some(&100), "each told its figures: {published:?}");
}

#[test]
fn whoever_a_budget_refuses_is_called_in_its_turn_until_nobody_waits() {
    let mut many = Many::new(100);
    many.drain();
    for job in many.jobs() {
        let seen = vec![FileSeen::Final { length: LEN.into() }];
        many.engine.handle_disk(many.now, job.id, DiskReply::Opened(seen));
    }
    let data: SharedBuf = {
        let mut buf = PageBuf::zeroed(LEN as usize);
        buf.bytes_mut().fill(5);
        buf.freeze()
    };
    let mut checked = 0;
    let mut waiting: VecDeque<DiskJob> = VecDeque::new();
    for round in 0..100 {
        many.drain();
        checked += many.alert_count(|kind| matches!(kind, AlertKind::Checked { .. }));
        assert_eq!(checked, round, "each read that is answered lets one torrent go on");
        waiting.extend(many.jobs());
        let job = waiting.pop_front().expect("somebody reads until all were checked");
        let DiskOp::Read { .. } = job.op else { panic!("{job:?}") };
        many.engine.handle_disk(many.now, job.id, DiskReply::Read(data.clone()));
        while hash(&mut many.engine, many.now) {}
    }
    many.drain();
    assert!(waiting.is_empty(), "{waiting:?}");
    assert_eq!(many.alert_count(|kind| *kind == AlertKind::Finished), 1, "the last one, too");
}

#[test]
fn a_shard_whose_turns_are_full_hashes_nothing_for_others_and_says_so_in_time() {
    let mut many = Many::new(0);
    let (mut id, given) = (spare_time::tests::ids(), many.now);
    let jobs = |fill| vec![spare_time::tests::job(fill, 1_000)];
    let batches = [id(), id()];
    many.engine.handle_jobs(given, FROM, batches[0], jobs(1));
    assert_eq!(many.engine.hash_slice(given, false), HashingLeft::OfOthers);
    many.drain();
    assert!(many.outputs.is_empty(), "{:?}", many.outputs);
    let late = given + SPARE_TIME_MAX;
    assert_eq!(many.engine.hash_slice(late, false), HashingLeft::Nothing);
    many.engine.handle_jobs(late, FROM, batches[1], jobs(2));
    assert_eq!(many.engine.hash_slice(late, true), HashingLeft::Nothing);
    many.drain();
    let back = many.outputs.iter().map(|output| match output {
        Output::GiveBack { to: FROM, batch, back } => (*batch, back.is_ok()),
        other => panic!("{other:?}"),
    });
    assert_eq!(back.collect::<Vec<_>>(), [(batches[0], false), (batches[1], true)]);
}

#[test]
fn the_ring_may_look_at_its_clock_while_many_torrents_have_nothing_to_say() {
    let mut many = Many::new(100);
    many.drain();
    many.engine.swarms.slots().into_iter().for_each(|slot| many.engine.swarms.mark(slot));
    many.outputs.clear();
    many.drain();
    let looks = many.outputs.iter().filter(|output| matches!(output, Output::Nothing)).count();
    assert!(looks >= 100 / 4 - 1, "{looks}");
}

#[test]
fn many_torrents_are_told_of_the_end_some_per_call() {
    let mut many = Many::new(100);
    many.drain();
    many.jobs();
    many.engine.handle_command(many.now, Ticket(1_000), Command::Shutdown);
    let told = |many: &Many| {
        let swarms = &many.engine.swarms;
        let awake = swarms.slots().into_iter().filter_map(|slot| swarms.awake(slot));
        awake.filter(|swarm| swarm.leave.is_some()).count()
    };
    let mut counts = vec![told(&many)];
    while hash(&mut many.engine, many.now) {
        counts.push(told(&many));
        assert!(!many.engine.is_drained());
    }
    counts.push(told(&many));
    assert!(counts.windows(2).all(|pair| pair[1] - pair[0] <= 16), "{counts:?}");
    assert_eq!((counts.first(), counts.last()), (Some(&0), Some(&100)));
}
