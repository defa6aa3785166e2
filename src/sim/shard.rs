//! The ring's understudy for one shard: turns, sends and the engine's contract, to the letter.
//!
//! A turn takes what came in, tells the engine, drains it, hashes a slice and fills the sends of
//! idle connections. Whether outputs are drained after each input or once is left to chance: both
//! are legal.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::base::buffer::Pool;
use crate::base::digest_lanes::Lanes;
use crate::base::ids::ShardId;
use crate::base::instant::Instant;
use crate::base::rng::Rng;
use crate::base::status::ShardStats;
use crate::engine::Engine;
use crate::engine::directory::Directory;
use crate::engine::hasher::HashingLeft;
use crate::engine::settings::Settings;
use crate::engine::shard_config::EngineConfig;
use crate::engine::to_ring::ConnId;
use crate::engine::to_ring::Output;
use crate::engine::to_ring::SendBatch;
use crate::sim::net::EndId;
use crate::sim::post::Effect;
use crate::sim::post::Input;

/// What a turn costs, and what each input adds.
const TURN_TIME: Duration = Duration::from_micros(20);
const INPUT_TIME: Duration = Duration::from_micros(2);
/// What a slice of hashing costs.
const HASH_TIME: Duration = Duration::from_micros(60);
/// Bytes of one receive before the handshake is over.
const GREETING_MAX: usize = 512;
/// Inputs of one turn at most, as completions on the ring.
const INPUT_MAX: u64 = 256;
/// Calls of `handle_timeout` at one instant before it counts as a busy loop, beside one for each
/// torrent and connection that may be due.
const TIMEOUT_CALL_MAX: u32 = 8;

#[derive(Debug)]
struct Socket {
    /// `None` until the world has begun the connect.
    end: Option<EndId>,
    is_sending: bool,
    is_established: bool,
    is_leaving: bool,
}

/// One engine and the ring that it believes to run on.
#[derive(Debug)]
pub(crate) struct Shard {
    id: ShardId,
    engine: Engine,
    assembly_max: u64,
    sockets: BTreeMap<ConnId, Socket>,
    conns: BTreeMap<EndId, ConnId>,
    inbox: VecDeque<Input>,
    wants_send: BTreeSet<ConnId>,
    batch: SendBatch,
    effects: Vec<Effect>,
    busy_until: Instant,
    next_turn: Option<Instant>,
    hashes_more: bool,
}

impl Shard {
    pub(crate) fn new(
        (id, shard_count): (ShardId, usize),
        settings: Settings,
        directory: Arc<Directory>,
        seed: u64,
        now: Instant,
    ) -> Shard {
        let assembly_max = settings.assembly_budget;
        let pool = Pool::new(1 << 20);
        // A trace must not depend on the CPU.
        let lanes = Lanes::PORTABLE;
        let config = EngineConfig {
            shard: id,
            shard_count,
            settings,
            directory,
            pool,
            lanes,
            outwork_len_min: 1,
            seed,
        };
        Shard {
            id,
            engine: Engine::new(config, now),
            assembly_max,
            sockets: BTreeMap::new(),
            conns: BTreeMap::new(),
            inbox: VecDeque::new(),
            wants_send: BTreeSet::new(),
            batch: SendBatch::default(),
            effects: Vec::new(),
            busy_until: now,
            next_turn: Some(now),
            hashes_more: false,
        }
    }

    /// Something for the next turn.
    pub(crate) fn push(&mut self, now: Instant, input: Input) {
        self.inbox.push_back(input);
        let at = now.max(self.busy_until);
        self.next_turn = Some(self.next_turn.map_or(at, |planned| planned.min(at)));
    }

    /// The world has begun the connect that the engine asked for.
    pub(crate) fn bind(&mut self, conn: ConnId, end: EndId) -> bool {
        let Some(socket) = self.sockets.get_mut(&conn) else { return false };
        socket.end = Some(end);
        self.conns.insert(end, conn);
        true
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.next_turn
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.engine.is_drained()
    }

    pub(crate) fn socket_count(&self) -> usize {
        self.sockets.len()
    }

    pub(crate) fn stats(&self) -> ShardStats {
        self.engine.stats()
    }

    /// Bytes in memory that are to be hashed because they were on the disk.
    pub(crate) fn held_for_checks(&self) -> u64 {
        self.engine.held_for_checks()
    }

    /// Whether the assembly budget would allow another `len` bytes.
    pub(crate) fn has_room(&self, len: u64) -> bool {
        self.engine.stats().assembly_used + len <= self.assembly_max
    }

    /// One turn of the ring; what it leads to.
    pub(crate) fn turn(&mut self, now: Instant, rng: &mut Rng) -> Vec<Effect> {
        let drains_each = rng.below(2) == 0;
        let count = (1 + rng.below(INPUT_MAX)).min(self.inbox.len() as u64);
        for _ in 0..count {
            let Some(input) = self.inbox.pop_front() else { break };
            let must_drain = self.handle(now, input);
            if drains_each || must_drain {
                self.drain();
            }
        }
        self.drain();
        self.handle_timeouts(now);
        if rng.below(4) == 0 {
            // As if the turn before had been too long already.
            self.engine.handle_overrun(now);
        }
        // As if the turn before had left no time for others.
        let has_time = rng.below(4) != 0;
        let more = self.engine.hash_slice(now, has_time) != HashingLeft::Nothing;
        self.drain();
        self.fill_sends(now);
        self.check_promises(now);
        let mut took = TURN_TIME + INPUT_TIME * count as u32;
        if more || self.hashes_more {
            took += HASH_TIME;
        }
        self.hashes_more = more;
        self.busy_until = now + took;
        self.next_turn = match more || !self.inbox.is_empty() {
            true => Some(self.busy_until),
            false => self.engine.poll_timeout().map(|at| at.max(self.busy_until)),
        };
        std::mem::take(&mut self.effects)
    }

    /// Tells the engine; whether outputs must be drained before the next input.
    fn handle(&mut self, now: Instant, input: Input) -> bool {
        match input {
            Input::Accepted { end, from } => {
                let conn = self.engine.handle_accepted(now, from);
                self.welcome(end, conn);
            }
            Input::Adopted { end, from, bytes } => {
                let conn = self.engine.handle_adopted(now, from, &bytes);
                self.welcome(end, conn);
                return true;
            }
            Input::Arrived { end, parcel } => {
                let conn = self.engine.handle_parcel(now, *parcel);
                self.welcome(end, conn);
                if let Some(socket) = conn.and_then(|conn| self.sockets.get_mut(&conn)) {
                    socket.is_established = true;
                }
                return true;
            }
            Input::Detached { end } => {
                // It may have been taken back.
                let conn = self.conns.get(&end).copied();
                let is_meant = |conn: &ConnId| self.sockets.get(conn).is_some_and(|s| s.is_leaving);
                if let Some(conn) = conn.filter(is_meant) {
                    self.engine.handle_detached(now, conn);
                    return true;
                }
            }
            Input::Connected { end } => {
                if let Some(conn) = self.conns.get(&end) {
                    self.engine.handle_connected(now, *conn);
                }
            }
            Input::Bytes { end, bytes } => return self.handle_bytes(now, end, bytes),
            Input::Sent { end, byte_count } => {
                if let Some(conn) = self.conns.get(&end).copied() {
                    self.engine.handle_sent(now, conn, byte_count);
                    self.wants_send.insert(conn);
                    if let Some(socket) = self.sockets.get_mut(&conn) {
                        socket.is_sending = false;
                        if socket.is_leaving {
                            self.inbox.push_back(Input::Detached { end });
                        }
                    }
                }
            }
            Input::Closed { end, reason } => {
                // The engine may have closed it this turn already.
                self.drain();
                if let Some(conn) = self.conns.remove(&end) {
                    self.sockets.remove(&conn);
                    self.wants_send.remove(&conn);
                    self.engine.handle_closed(now, conn, reason);
                    return true;
                }
            }
            Input::Disk { job, reply } => self.engine.handle_disk(now, job, reply),
            Input::Http { query, answer } => self.engine.handle_http(now, query, answer),
            Input::Resolved { query, answer } => self.engine.handle_resolved(now, query, answer),
            Input::Datagram { from, bytes } => self.engine.handle_datagram(now, from, &bytes),
            Input::Note { from, note } => self.engine.handle_note(now, from, note),
            Input::Jobs { from, batch, jobs } => self.engine.handle_jobs(now, from, batch, jobs),
            Input::JobsBack { batch, back } => self.engine.handle_jobs_back(now, batch, back),
            Input::Loads(loads) => self.engine.handle_loads(now, &loads),
            Input::Command { ticket, command } => self.engine.handle_command(now, ticket, command),
        }
        false
    }

    /// Before the handshake is over the ring reads little at a time, and acts on each part.
    fn handle_bytes(&mut self, now: Instant, end: EndId, mut bytes: Vec<u8>) -> bool {
        let Some(conn) = self.conns.get(&end).copied() else { return false };
        let is_established = self.sockets.get(&conn).is_some_and(|socket| socket.is_established);
        if !is_established && bytes.len() > GREETING_MAX {
            let rest = bytes.split_off(GREETING_MAX);
            self.inbox.push_front(Input::Bytes { end, bytes: rest });
        }
        self.engine.handle_bytes(now, conn, &bytes);
        self.effects.push(Effect::Handled { end, bytes });
        !is_established
    }

    fn welcome(&mut self, end: EndId, conn: Option<ConnId>) {
        let Some(conn) = conn else {
            self.effects.push(Effect::Close { end });
            return;
        };
        self.insert_socket(conn, Some(end));
        self.conns.insert(end, conn);
    }

    fn insert_socket(&mut self, conn: ConnId, end: Option<EndId>) {
        let socket = Socket { end, is_sending: false, is_established: false, is_leaving: false };
        let before = self.sockets.insert(conn, socket);
        assert!(before.is_none(), "shard {}: {conn:?} names two connections", self.id);
    }

    /// Until nothing is due: a deadline that stays in the past would keep a real ring busy for
    /// ever.
    fn handle_timeouts(&mut self, now: Instant) {
        let stats = self.engine.stats();
        for _ in 0..TIMEOUT_CALL_MAX + stats.torrent_count + stats.connection_count {
            if self.engine.poll_timeout().is_none_or(|at| at > now) {
                return;
            }
            self.engine.handle_timeout(now);
            self.drain();
        }
        let at = self.engine.poll_timeout();
        panic!("shard {}: busy loop: handle_timeout at {now:?} leaves a deadline {at:?}", self.id);
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            self.take_output(output);
        }
    }

    fn take_output(&mut self, output: Output) {
        let effect = match output {
            Output::Connect { conn, address } => {
                self.insert_socket(conn, None);
                Effect::Connect { conn, address }
            }
            Output::Established { conn } => {
                let socket = self.socket(conn, "established");
                (socket.is_established, socket.is_leaving) = (true, false);
                return;
            }
            Output::Send { conn } => {
                self.socket(conn, "sent on");
                self.wants_send.insert(conn);
                return;
            }
            Output::Close { conn } => match self.forget(conn, "closed") {
                Some(end) => Effect::Close { end },
                None => return self.take_back_connect(conn),
            },
            Output::HandOver { conn, to, bytes } => {
                let is_sending = self.socket(conn, "handed over").is_sending;
                assert!(!is_sending, "{conn:?} is handed over in the middle of a send");
                let Some(end) = self.forget(conn, "handed over") else {
                    panic!("{conn:?} is handed over before it is connected");
                };
                Effect::HandOver { end, to, bytes, rest: self.take_inputs(end) }
            }
            // A simulated disk forgets nothing of a torrent that sleeps, and no turn is too long.
            Output::Nothing | Output::Rest { .. } | Output::Rise { .. } => return,
            Output::Disk(job) => Effect::Disk(job),
            Output::Http { query, url } => Effect::Http { query, url },
            Output::Resolve { query, host, port } => Effect::Resolve { query, host, port },
            Output::Datagram { to, bytes } => Effect::Datagram { to, bytes },
            Output::Detach { conn } => {
                let socket = self.socket(conn, "detached");
                socket.is_leaving = true;
                if let Some(end) = socket.end.filter(|_| !socket.is_sending) {
                    self.inbox.push_back(Input::Detached { end });
                }
                return;
            }
            Output::Move { conn, to, parcel } => {
                let is_sending = self.socket(conn, "moved").is_sending;
                assert!(!is_sending, "{conn:?} is moved in the middle of a send");
                let Some(end) = self.forget(conn, "moved") else {
                    panic!("{conn:?} is moved before it is connected");
                };
                Effect::Move { end, to, parcel, rest: self.take_inputs(end) }
            }
            Output::Note { to, note } => Effect::Note { to, note },
            Output::GiveOut { to, batch, jobs } => {
                Effect::Give { to, jobs: Input::Jobs { from: self.id, batch, jobs } }
            }
            Output::GiveBack { to, batch, back } => {
                Effect::Give { to, jobs: Input::JobsBack { batch, back } }
            }
            Output::Alert(alert) => Effect::Alert(alert),
            Output::Reply { ticket, reply } => Effect::Reply { ticket, reply },
        };
        self.effects.push(effect);
    }

    /// What waits for a connection that leaves.
    fn take_inputs(&mut self, end: EndId) -> Vec<Input> {
        let inbox: Vec<Input> = std::mem::take(&mut self.inbox).into();
        let (rest, own): (Vec<Input>, Vec<Input>) =
            inbox.into_iter().partition(|input| input.end() == Some(end));
        self.inbox = own.into();
        rest
    }

    /// Closed in the turn in which it was asked for: the connect never begins.
    fn take_back_connect(&mut self, conn: ConnId) {
        let count = self.effects.len();
        self.effects.retain(|effect| match effect {
            Effect::Connect { conn: asked, .. } => *asked != conn,
            _ => true,
        });
        assert!(self.effects.len() < count, "{conn:?} has no end and was not just asked for");
    }

    fn socket(&mut self, conn: ConnId, what: &str) -> &mut Socket {
        let id = self.id;
        let socket = self.sockets.get_mut(&conn);
        socket.unwrap_or_else(|| panic!("shard {id}: {conn:?} is {what} and does not live"))
    }

    fn forget(&mut self, conn: ConnId, what: &str) -> Option<EndId> {
        let end = self.socket(conn, what).end;
        self.sockets.remove(&conn);
        self.wants_send.remove(&conn);
        if let Some(end) = end {
            self.conns.remove(&end);
        }
        end
    }

    /// Fills a batch for each connection that has something to send and none under way.
    fn fill_sends(&mut self, now: Instant) {
        for conn in std::mem::take(&mut self.wants_send) {
            let Some(socket) = self.sockets.get_mut(&conn) else { continue };
            let Some(end) = socket.end else { continue };
            if socket.is_sending || socket.is_leaving {
                continue;
            }
            self.batch.clear();
            self.engine.poll_send(now, conn, &mut self.batch);
            if !self.batch.is_empty() {
                socket.is_sending = true;
                let bytes = self.batch.to_bytes();
                assert_eq!(bytes.len(), self.batch.len(), "a batch knows its length");
                self.effects.push(Effect::Send { end, bytes });
            }
            self.drain();
        }
        self.batch.clear();
    }

    fn check_promises(&self, now: Instant) {
        let used = self.engine.stats().assembly_used;
        let max = self.assembly_max;
        assert!(used <= max, "shard {} at {now:?}: assembly {used} over its share {max}", self.id);
    }
}
