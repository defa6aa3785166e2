//! What every swarm of a shard works with during a turn: budgets, chance, connections, jobs,
//! outputs.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use crate::base::budget::Budget;
use crate::base::buffer::Pool;
use crate::base::digest::Sha1;
use crate::base::ids::BlockIndex;
use crate::base::ids::FileIndex;
use crate::base::ids::PieceIndex;
use crate::base::ids::ShardId;
use crate::base::ids::TorrentId;
use crate::base::info_hashes::InfoHashes;
use crate::base::instant::Instant;
use crate::base::limits::BLOCK_LEN;
use crate::base::limits::CONNECT_TIMEOUT;
use crate::base::limits::HANDSHAKE_TIMEOUT;
use crate::base::limits::LEAVES_BURST_MAX;
use crate::base::limits::LEAVES_INTERVAL;
use crate::base::limits::OUTWORK_LEN_MAX;
use crate::base::limits::SEND_BLOCK_MAX;
use crate::base::rng::Rng;
use crate::base::slots::SlotId;
use crate::base::slots::Slots;
use crate::base::status::ShardStats;
use crate::codec::hash_request::HashRequest;
use crate::engine::alert::Alert;
use crate::engine::alert::AlertKind;
use crate::engine::conn::Conn;
use crate::engine::conn::Stage;
use crate::engine::directory::Directory;
use crate::engine::disk::DiskJob;
use crate::engine::disk::DiskOp;
use crate::engine::disk::JobId;
use crate::engine::gate::Gate;
use crate::engine::hasher::HashJob;
use crate::engine::hasher::Hasher;
use crate::engine::hasher::Origin;
use crate::engine::outwork::Outwork;
use crate::engine::settings::Settings;
use crate::engine::shard_config::EngineConfig;
use crate::engine::spare_time::SpareTime;
use crate::engine::to_ring::ConnId;
use crate::engine::to_ring::Output;
use crate::engine::to_ring::QueryId;

/// Bytes being read for checks at once per shard: keeps a disk at its good depth (32 reads of 1
/// MiB).
const CHECK_BUDGET: u64 = 32 * 1024 * 1024;
/// And so many more for what other shards hash meanwhile: two batches.
const CHECK_BUDGET_OUTWORK: u64 = 2 * OUTWORK_LEN_MAX as u64;

/// One batch of one peer.
const READ_BUDGET_MIN: u64 = (SEND_BLOCK_MAX * BLOCK_LEN as usize) as u64;

/// The shard's common goods. Swarms borrow it for the length of a call.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) shard: ShardId,
    pub(crate) settings: Settings,
    pub(crate) rng: Rng,
    pub(crate) pool: Pool,
    pub(crate) assembly: Budget,
    pub(crate) reads: Budget,
    pub(crate) checks: Budget,
    pub(crate) gate: Gate,
    pub(crate) hasher: Hasher,
    /// Hash jobs that others do for this shard.
    pub(crate) outwork: Outwork,
    /// And those that it does for others.
    pub(crate) spare_time: SpareTime,
    pub(crate) outwork_len_min: usize,
    /// Swarms that received what may be hashed.
    pub(crate) hashing: VecDeque<SlotId>,
    /// Swarms with work in slices that is no hashing.
    pub(crate) chores: VecDeque<SlotId>,
    /// Swarms with a full piece that waits for company, and until when.
    pub(crate) hash_waits: BTreeSet<(Instant, SlotId)>,
    pub(crate) directory: Arc<Directory>,
    /// The shard was told to end.
    pub(crate) is_ending: bool,
    /// Loads of all shards as of the last second, as `heat` has them; empty before the first.
    pub(crate) loads: Vec<u16>,
    /// Swarms that other shards help to serve.
    pub(crate) lent: BTreeSet<SlotId>,
    pub(crate) conns: Slots<Conn>,
    pub(crate) deadlines: BTreeSet<(Instant, ConnId)>,
    pub(crate) outputs: VecDeque<Output>,
    /// Something came back to another budget than that of reads: whoever was refused may ask
    /// again.
    pub(crate) has_freed: bool,
    /// The same for the budget of reads.
    pub(crate) has_freed_reads: bool,
    /// Peers that found no room to be read for, as (swarm, peer): served in this order, each at
    /// most once in it.
    pub(crate) readers: VecDeque<(SlotId, SlotId)>,
    pub(crate) downloaded: u64,
    pub(crate) uploaded: u64,
    jobs: Slots<JobOwner>,
    /// Until when the work for leaves of others is paid: see [`Turn::take_leaves`].
    leaves_paid: Instant,
    queries: HashMap<QueryId, Asker>,
    next_query: u64,
    alert_count: u64,
}

/// Who waits for a disk job, and for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobOwner {
    pub(crate) swarm: SlotId,
    pub(crate) purpose: Purpose,
}

/// What a disk job is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    Open,
    Create,
    /// Part of a piece, for its digest.
    Check {
        piece: PieceIndex,
        length: u32,
    },
    /// For a peer.
    Upload {
        peer: SlotId,
        length: u32,
    },
    /// A piece for whose leaves a peer asked.
    Leaves {
        peer: SlotId,
        file: FileIndex,
        request: HashRequest,
        length: u32,
    },
    /// A verified piece.
    Piece {
        piece: PieceIndex,
        length: u32,
    },
    /// A block of a piece that is too large for memory.
    Block {
        piece: PieceIndex,
        block: BlockIndex,
        length: u32,
    },
    Finish {
        file: FileIndex,
    },
    Sync,
    Close,
}

/// Who waits for the answer to a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asker {
    /// A torrent's announcer, under its own token.
    Announcer { swarm: SlotId, token: u32 },
    /// A magnet that names a peer by its host's name.
    Hint { swarm: SlotId },
    /// The shard's UDP trackers.
    Udp { lookup: u32 },
}

impl Turn {
    pub(crate) fn new(config: EngineConfig) -> Turn {
        let EngineConfig { shard, shard_count, settings, directory, pool, lanes, .. } = config;
        let more = if shard_count > 1 { CHECK_BUDGET_OUTWORK } else { 0 };
        Turn {
            shard,
            rng: Rng::new(config.seed),
            pool,
            assembly: Budget::new(settings.assembly_budget),
            // With less, a read of the usual size would wait for ever.
            reads: Budget::new(settings.read_budget.max(READ_BUDGET_MIN)),
            checks: Budget::new(CHECK_BUDGET + more),
            gate: Gate::new(settings.connections_max, settings.half_open_max),
            settings,
            hasher: Hasher::new(lanes),
            outwork: Outwork::new(shard, shard_count),
            spare_time: SpareTime::new(lanes),
            outwork_len_min: config.outwork_len_min,
            hashing: VecDeque::new(),
            chores: VecDeque::new(),
            hash_waits: BTreeSet::new(),
            directory,
            is_ending: false,
            loads: Vec::new(),
            lent: BTreeSet::new(),
            conns: Slots::default(),
            deadlines: BTreeSet::new(),
            outputs: VecDeque::new(),
            has_freed: false,
            has_freed_reads: false,
            readers: VecDeque::new(),
            downloaded: 0,
            uploaded: 0,
            jobs: Slots::default(),
            leaves_paid: Instant::ZERO,
            queries: HashMap::new(),
            next_query: 0,
            alert_count: 0,
        }
    }

    /// Its figures, without the torrents.
    pub(crate) fn stats(&self) -> ShardStats {
        ShardStats {
            connection_count: self.gate.connection_count(),
            downloaded: self.downloaded,
            uploaded: self.uploaded,
            assembly_used: self.assembly.used(),
            hashed_by_others: self.outwork.hashed(),
            hashed_for_others: self.spare_time.hashed(),
            ..ShardStats::default()
        }
    }

    /// Raises an alert.
    pub(crate) fn alert(&mut self, torrent: Option<(TorrentId, InfoHashes)>, kind: AlertKind) {
        self.alert_count += 1;
        let alert = Alert { sequence: self.alert_count, shard: self.shard, torrent, kind };
        self.outputs.push_back(Output::Alert(alert));
    }

    /// When a handshake is late, a piece need not wait for company any more, or jobs are not back
    /// from another shard.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let conn = self.deadlines.first().map(|(at, _)| *at);
        let hash = self.hash_waits.first().map(|(at, _)| *at);
        conn.into_iter().chain(hash).chain(self.outwork.poll_timeout()).min()
    }

    /// Pieces that waited for company long enough may be hashed.
    pub(crate) fn end_hash_waits(&mut self, now: Instant) {
        while let Some((_, slot)) = self.hash_waits.first().copied().filter(|(at, _)| *at <= now) {
            self.hash_waits.pop_first();
            self.hashing.push_back(slot);
        }
    }

    /// Where else than here the torrent with this name is served: the shard with the least to do.
    pub(crate) fn home_of(&self, info_hash: &Sha1) -> Option<ShardId> {
        let homes = self.directory.homes(info_hash).into_iter();
        let load = |shard: &ShardId| self.loads.get(shard.as_usize()).copied().unwrap_or(0);
        homes.filter(|shard| *shard != self.shard).min_by_key(load)
    }

    /// Asks the disk.
    pub(crate) fn disk(
        &mut self,
        swarm: SlotId,
        torrent: TorrentId,
        purpose: Purpose,
        op: DiskOp,
    ) -> JobId {
        let slot = self.jobs.insert(JobOwner { swarm, purpose });
        let id = JobId(u64::from(slot.slot) << 32 | u64::from(slot.generation));
        self.outputs.push_back(Output::Disk(DiskJob { id, torrent, op }));
        id
    }

    /// The disk answered: who waits for it. `None` if it answers twice.
    pub(crate) fn job_done(&mut self, id: JobId) -> Option<JobOwner> {
        self.jobs.remove(SlotId { slot: (id.0 >> 32) as u32, generation: id.0 as u32 })
    }

    /// A job ended that nobody waits for: only now are its bytes on no budget any more.
    pub(crate) fn settle_job(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Check { length, .. } | Purpose::Leaves { length, .. } => {
                self.free_checks(length);
            }
            Purpose::Upload { length, .. } => self.free_reads(length as usize),
            Purpose::Block { length, .. } | Purpose::Piece { length, .. } => {
                self.free_assembly(u64::from(length));
            }
            Purpose::Open | Purpose::Create | Purpose::Finish { .. } => {}
            Purpose::Sync | Purpose::Close => {}
        }
    }

    /// Allows to hash the leaves of one more piece for a peer, if there were not too many lately.
    pub(crate) fn take_leaves(&mut self, now: Instant) -> bool {
        let paid = self.leaves_paid.max(now) + LEAVES_INTERVAL;
        let is_fair = paid.since(now) <= LEAVES_INTERVAL * LEAVES_BURST_MAX;
        if is_fair {
            self.leaves_paid = paid;
        }
        is_fair
    }

    /// A new question to the outside.
    pub(crate) fn query(&mut self, asker: Asker) -> QueryId {
        self.next_query += 1;
        let id = QueryId(self.next_query);
        self.queries.insert(id, asker);
        id
    }

    pub(crate) fn query_done(&mut self, id: QueryId) -> Option<Asker> {
        self.queries.remove(&id)
    }

    /// Dials `address` for `swarm`, if the gate has room.
    pub(crate) fn dial(&mut self, now: Instant, swarm: SlotId, address: SocketAddr) -> bool {
        if !self.gate.dial() {
            return false;
        }
        let conn = self.insert_conn(now, address, false, Stage::Dialling { swarm });
        self.outputs.push_back(Output::Connect { conn, address });
        true
    }

    pub(crate) fn insert_conn(
        &mut self,
        now: Instant,
        address: SocketAddr,
        is_inbound: bool,
        stage: Stage,
    ) -> ConnId {
        let connecting = if is_inbound { Duration::ZERO } else { CONNECT_TIMEOUT };
        let deadline = now + HANDSHAKE_TIMEOUT + connecting;
        let greeting = smallvec::SmallVec::new();
        let conn = Conn { address, is_inbound, stage, deadline, greeting };
        let id = ConnId(self.conns.insert(conn));
        self.deadlines.insert((deadline, id));
        id
    }

    /// A connection of a peer that comes from another shard; the gate has counted it.
    pub(crate) fn adopt_conn(
        &mut self,
        now: Instant,
        (address, is_inbound): (SocketAddr, bool),
        (swarm, peer): (SlotId, SlotId),
    ) -> ConnId {
        let (stage, greeting) = (Stage::Peer { swarm, peer }, smallvec::SmallVec::new());
        let conn = Conn { address, is_inbound, stage, deadline: now, greeting };
        ConnId(self.conns.insert(conn))
    }

    /// The swarm and the peer whose connection this is, if it is one's.
    pub(crate) fn peer_of(&self, conn: ConnId) -> Option<(SlotId, SlotId)> {
        match self.conns.get(conn.0)?.stage {
            Stage::Peer { swarm, peer } => Some((swarm, peer)),
            _ => None,
        }
    }

    /// The handshake is over: the connection belongs to a peer from here on.
    pub(crate) fn settle(&mut self, id: ConnId, swarm: SlotId, peer: SlotId) {
        let Some(conn) = self.conns.get_mut(id.0) else { return };
        self.deadlines.remove(&(conn.deadline, id));
        if matches!(conn.stage, Stage::Stranger { .. }) {
            self.gate.stranger_known(conn.address);
        }
        conn.stage = Stage::Peer { swarm, peer };
        self.outputs.push_back(Output::Established { conn: id });
    }

    /// Forgets a connection: its counts, its deadline. The ring is not told.
    pub(crate) fn forget_conn(&mut self, id: ConnId) -> Option<Conn> {
        let conn = self.conns.remove(id.0)?;
        self.deadlines.remove(&(conn.deadline, id));
        match conn.stage {
            Stage::Stranger { .. } => self.gate.stranger_known(conn.address),
            Stage::Dialling { .. } => self.gate.dialled(),
            Stage::Greeted { .. } | Stage::Peer { .. } => {}
        }
        self.gate.left();
        Some(conn)
    }

    /// Forgets a connection and tells the ring to close it.
    pub(crate) fn close_conn(&mut self, id: ConnId) -> Option<Conn> {
        let conn = self.forget_conn(id)?;
        self.outputs.push_back(Output::Close { conn: id });
        Some(conn)
    }

    /// Closes all connections that `is_meant` names.
    pub(crate) fn close_conns(&mut self, is_meant: impl Fn(&Conn) -> bool) {
        let meant = self.conns.iter().filter(|(_, conn)| is_meant(conn));
        for id in meant.map(|(id, _)| id).collect::<Vec<SlotId>>() {
            self.close_conn(ConnId(id));
        }
    }

    /// Bytes of pieces went out of memory.
    pub(crate) fn free_assembly(&mut self, bytes: u64) {
        self.assembly.give_back(bytes);
        self.has_freed = true;
    }

    /// Bytes for a peer were sent or dropped.
    pub(crate) fn free_reads(&mut self, bytes: usize) {
        self.reads.give_back(bytes as u64);
        self.has_freed_reads |= bytes > 0;
    }

    /// Forgets what a swarm wanted hashed; `is_held` says whether a job's bytes are on a budget
    /// because of it. What is with another shard stays there until it is back.
    pub(crate) fn forget_hashes(&mut self, swarm: SlotId, is_held: impl Fn(&HashJob) -> bool) {
        self.outwork.forget(swarm, &is_held);
        for job in self.hasher.forget(swarm).iter().filter(|job| is_held(job)) {
            self.settle_hash(job);
        }
    }

    /// Gives back what a hash job held that nobody waits for.
    pub(crate) fn settle_hash(&mut self, job: &HashJob) {
        match job.origin {
            Origin::Disk { held } => self.free_checks(held),
            Origin::Peers => self.free_assembly(job.data.len() as u64),
        }
    }

    /// Bytes of a check were hashed or dropped.
    pub(crate) fn free_checks(&mut self, bytes: u32) {
        self.checks.give_back(u64::from(bytes));
        self.has_freed = true;
    }
}
