//! What happens next: every state machine, without I/O, clock or randomness of its own.
//!
//! An [`Engine`] is everything that one shard owns. The ring and the simulator drive it the same
//! way: tell it what happened (`handle_*`), then drain what it wants (`poll_*`).

pub(crate) mod add;
pub(crate) mod alert;
pub(crate) mod announce;
pub(crate) mod blame;
pub(crate) mod candidates;
pub(crate) mod choke;
pub(crate) mod command;
pub(crate) mod conn;
pub(crate) mod digesting;
pub(crate) mod directory;
pub(crate) mod disk;
pub(crate) mod gate;
pub(crate) mod hasher;
pub(crate) mod heat;
pub(crate) mod layers;
pub(crate) mod metadata;
pub(crate) mod note;
pub(crate) mod parcel;
pub(crate) mod peer;
pub(crate) mod pick;
pub(crate) mod settings;
pub(crate) mod shard_config;
pub(crate) mod slot_count;
pub(crate) mod swarm;
pub(crate) mod swarms;
pub(crate) mod to_ring;
pub(crate) mod turn;

use std::net::SocketAddr;

use crate::base::digest::Sha1;
use crate::base::ids::ShardId;
use crate::base::ids::TorrentId;
use crate::base::instant::Instant;
use crate::base::limits::HASH_SLICE;
use crate::base::slots::SlotId;
use crate::base::status::ShardStats;
use crate::codec::handshake::Handshake;
use crate::engine::add::Addition;
use crate::engine::alert::AlertKind;
use crate::engine::announce::event::UdpKey;
use crate::engine::announce::udp::UdpEvent;
use crate::engine::announce::udp::UdpTrackers;
use crate::engine::command::Command;
use crate::engine::command::Ticket;
use crate::engine::conn::Heard;
use crate::engine::conn::Stage;
use crate::engine::conn::Step;
use crate::engine::disk::DiskReply;
use crate::engine::disk::JobId;
use crate::engine::note::Note;
use crate::engine::parcel::Parcel;
use crate::engine::shard_config::EngineConfig;
use crate::engine::swarm::state::Leave;
use crate::engine::swarm::state::Swarm;
use crate::engine::swarm::step_handshake::Refusal;
use crate::engine::swarms::Swarms;
use crate::engine::to_ring::CloseReason;
use crate::engine::to_ring::ConnId;
use crate::engine::to_ring::HttpAnswer;
use crate::engine::to_ring::Output;
use crate::engine::to_ring::QueryError;
use crate::engine::to_ring::QueryId;
use crate::engine::to_ring::Reply;
use crate::engine::to_ring::SendBatch;
use crate::engine::turn::Asker;
use crate::engine::turn::Turn;

/// Everything that one shard owns.
#[derive(Debug)]
pub(crate) struct Engine {
    turn: Turn,
    swarms: Swarms,
    udp: UdpTrackers,
    /// When the shard was told to end, and by which command.
    shutdown: Option<Ticket>,
    now: Instant,
}

impl Engine {
    pub(crate) fn new(config: EngineConfig, now: Instant) -> Engine {
        let udp = UdpTrackers::new(config.settings.allow_private_trackers);
        Engine { turn: Turn::new(config), swarms: Swarms::default(), udp, shutdown: None, now }
    }

    pub(crate) fn handle_command(&mut self, now: Instant, ticket: Ticket, command: Command) {
        self.now = now;
        let id = command.torrent();
        let reply = match command {
            Command::Add(addition) => self.add(now, *addition),
            Command::Shutdown => return self.shut_down(now, ticket),
            Command::Remove(id) => {
                let why = Leave::Removed(ticket);
                if self.tell(id, |swarm, turn| swarm.leave(now, turn, why)).is_some() {
                    return;
                }
                Reply::NoSuchTorrent
            }
            command => {
                let obey = |id| self.tell(id, |swarm, turn| swarm.obey(now, turn, command));
                id.and_then(obey).unwrap_or(Reply::NoSuchTorrent)
            }
        };
        self.turn.outputs.push_back(Output::Reply { ticket, reply });
    }

    /// Owns a torrent from here on. A second one of the same hash is refused by the session
    /// already.
    fn add(&mut self, now: Instant, addition: Addition) -> Reply {
        if self.shutdown.is_some() {
            return Reply::NoSuchTorrent;
        }
        let slot = self.swarms.insert(now, &mut self.turn, addition);
        self.contain(slot, |swarm, turn| swarm.begin(now, turn));
        Reply::Done
    }

    fn shut_down(&mut self, now: Instant, ticket: Ticket) {
        self.shutdown = Some(ticket);
        self.turn.is_ending = true;
        for slot in self.swarms.slots() {
            self.contain(slot, |swarm, turn| swarm.leave(now, turn, Leave::Shutdown));
        }
        self.turn.close_conns(|_| true);
        self.end_if_drained();
    }

    fn tell<R>(
        &mut self,
        id: TorrentId,
        what: impl FnOnce(&mut Swarm, &mut Turn) -> R,
    ) -> Option<R> {
        let slot = self.swarms.by_id(id)?;
        self.contain(slot, what)
    }

    /// A stranger connected. `None`: there is no room, the ring closes the socket at once.
    pub(crate) fn handle_accepted(&mut self, now: Instant, remote: SocketAddr) -> Option<ConnId> {
        self.now = now;
        if self.shutdown.is_some() || !self.turn.gate.admit(remote) {
            return None;
        }
        let stage = Stage::Stranger { heard: Heard::new() };
        Some(self.turn.insert_conn(now, remote, true, stage))
    }

    /// Another shard hands a connection over, with the bytes that it has read.
    pub(crate) fn handle_adopted(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        bytes: &[u8],
    ) -> Option<ConnId> {
        let conn = self.handle_accepted(now, remote)?;
        self.handle_bytes(now, conn, bytes);
        Some(conn)
    }

    /// Our connect succeeded: greet first (BEP 3).
    pub(crate) fn handle_connected(&mut self, now: Instant, conn: ConnId) {
        self.now = now;
        let Some(state) = self.turn.conns.get_mut(conn.0) else { return };
        let Stage::Dialling { swarm } = state.stage else { return };
        let Some(owner) = self.swarms.awake(swarm) else { return };
        state.greeting = owner.greeting(state.address).encode().into();
        state.stage = Stage::Greeted { swarm, heard: Heard::new() };
        self.turn.gate.dialled();
        self.turn.outputs.push_back(Output::Send { conn });
    }

    pub(crate) fn handle_bytes(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) {
        self.now = now;
        if let Some((slot, peer)) = self.turn.peer_of(conn) {
            self.contain(slot, |swarm, turn| swarm.handle_bytes(now, turn, peer, bytes));
        } else {
            self.listen(now, conn, bytes);
        }
    }

    /// Bytes of a handshake.
    fn listen(&mut self, now: Instant, conn: ConnId, mut bytes: &[u8]) {
        let Some(state) = self.turn.conns.get_mut(conn.0) else { return };
        match state.listen(&mut bytes) {
            Ok(Step::More) => {}
            Ok(Step::Named(info_hash)) => self.route(now, conn, info_hash, bytes),
            Ok(Step::Whole(theirs)) => self.introduce(now, conn, &theirs, bytes),
            Err(_) => self.conn_failed(now, conn, true),
        }
    }

    /// A stranger named a torrent before its handshake was whole, or with the end of it: if it
    /// lives on another shard, so does the connection from here on.
    fn route(&mut self, now: Instant, conn: ConnId, info_hash: Sha1, rest: &[u8]) {
        if self.swarms.serves(&info_hash) {
            // Ours: the rest of the handshake is awaited.
            return self.listen(now, conn, rest);
        }
        let home = self.turn.home_of(&info_hash);
        let Some(to) = home else { return self.conn_failed(now, conn, true) };
        let Some(state) = self.turn.forget_conn(conn) else { return };
        let Stage::Stranger { heard } = state.stage else { return };
        let mut bytes = heard.to_vec();
        bytes.extend_from_slice(rest);
        self.turn.outputs.push_back(Output::HandOver { conn, to, bytes });
    }

    /// The handshake is whole: the connection becomes a peer, or ends.
    fn introduce(&mut self, now: Instant, conn: ConnId, theirs: &Handshake, rest: &[u8]) {
        let Some(state) = self.turn.conns.get(conn.0) else { return };
        let (address, is_inbound) = (state.address, state.is_inbound);
        let slot = state.swarm().or_else(|| self.swarms.by_hash(&theirs.info_hash));
        let Some(slot) = slot else { return self.conn_failed(now, conn, true) };
        let introduced = self.contain(slot, |swarm, turn| {
            swarm.introduce(now, turn, conn, (address, is_inbound), theirs)
        });
        match introduced {
            Some(Ok(())) => self.handle_bytes(now, conn, rest),
            Some(Err(refusal)) => self.refuse(now, conn, slot, refusal),
            None => self.conn_failed(now, conn, true),
        }
    }

    fn refuse(&mut self, now: Instant, conn: ConnId, slot: SlotId, refusal: Refusal) {
        let Some(state) = self.turn.close_conn(conn) else { return };
        if !state.is_inbound {
            self.contain(slot, |swarm, _| swarm.refused(now, &state, refusal));
        }
    }

    /// All of a batch left.
    pub(crate) fn handle_sent(&mut self, now: Instant, conn: ConnId, _byte_count: usize) {
        self.now = now;
        if let Some((slot, peer)) = self.turn.peer_of(conn) {
            self.contain(slot, |swarm, turn| swarm.handle_sent(now, turn, peer));
        }
    }

    /// The ring closed the connection, or could not make it.
    pub(crate) fn handle_closed(&mut self, now: Instant, conn: ConnId, reason: CloseReason) {
        self.now = now;
        if let Some((slot, peer)) = self.turn.peer_of(conn) {
            self.turn.forget_conn(conn);
            self.contain(slot, |swarm, turn| swarm.peer_closed(now, turn, peer, reason));
        } else {
            self.conn_failed(now, conn, false);
        }
    }

    /// A connection ended before it was a peer.
    fn conn_failed(&mut self, now: Instant, conn: ConnId, must_close: bool) {
        let state =
            if must_close { self.turn.close_conn(conn) } else { self.turn.forget_conn(conn) };
        let Some(state) = state else { return };
        let Some(slot) = state.swarm() else { return };
        self.contain(slot, |swarm, _| swarm.dial_failed(now, &state));
    }

    pub(crate) fn handle_disk(&mut self, now: Instant, job: JobId, reply: DiskReply) {
        self.now = now;
        let Some(owner) = self.turn.job_done(job) else { return };
        if !self.swarms.has(owner.swarm) {
            return self.turn.settle_job(owner.purpose);
        }
        self.contain(owner.swarm, |swarm, turn| {
            swarm.handle_disk(now, turn, (job, owner.purpose), reply);
        });
    }

    pub(crate) fn handle_http(
        &mut self,
        now: Instant,
        query: QueryId,
        answer: Result<HttpAnswer, QueryError>,
    ) {
        self.now = now;
        if let Some(Asker::Announcer { swarm, token }) = self.turn.query_done(query) {
            self.contain(swarm, |swarm, turn| swarm.handle_http(now, turn, token, answer));
        }
    }

    pub(crate) fn handle_resolved(
        &mut self,
        now: Instant,
        query: QueryId,
        answer: Result<Vec<SocketAddr>, QueryError>,
    ) {
        self.now = now;
        match self.turn.query_done(query) {
            Some(Asker::Udp { lookup }) => {
                self.udp.handle_resolved(now, lookup, answer, &mut self.turn.rng);
                self.drain_udp(now);
            }
            Some(Asker::Hint { swarm }) => {
                let found = answer.unwrap_or_default();
                self.contain(swarm, |swarm, _| swarm.handle_hints(now, &found));
            }
            _ => {}
        }
    }

    /// A UDP packet: only answers of trackers mean anything yet.
    pub(crate) fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        self.now = now;
        self.udp.handle_datagram(now, from, bytes, &mut self.turn.rng);
        self.drain_udp(now);
    }

    /// Another shard says something about a torrent that both serve, or shall serve.
    pub(crate) fn handle_note(&mut self, now: Instant, from: ShardId, note: Note) {
        self.now = now;
        self.swarms.handle_note(now, &mut self.turn, from, note);
    }

    /// Nothing is in flight on the connection any more: the answer to [`Output::Detach`].
    pub(crate) fn handle_detached(&mut self, now: Instant, conn: ConnId) {
        self.now = now;
        if let Some((slot, peer)) = self.turn.peer_of(conn) {
            self.contain(slot, |swarm, turn| swarm.handle_detached(now, turn, peer));
        }
    }

    /// A peer comes from another shard. `None`: its connection closes.
    pub(crate) fn handle_parcel(&mut self, now: Instant, parcel: Parcel) -> Option<ConnId> {
        self.now = now;
        self.tell(parcel.torrent, |swarm, turn| swarm.handle_parcel(now, turn, parcel)).flatten()
    }

    /// A second went by in which the shards had these loads, see `heat`.
    pub(crate) fn handle_loads(&mut self, now: Instant, loads: &[u16]) {
        self.now = now;
        loads.clone_into(&mut self.turn.loads);
        self.swarms.handle_loads(now, &mut self.turn);
    }

    /// Call when `now` has reached [`Engine::poll_timeout`], and `hash_slice` after it.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        while let Some((at, conn)) = self.turn.deadlines.first().copied() {
            if at > now {
                break;
            }
            self.conn_failed(now, conn, true);
            self.turn.deadlines.remove(&(at, conn));
        }
        self.turn.end_hash_waits(now);
        for slot in self.swarms.timed_out(now) {
            self.contain(slot, |swarm, turn| swarm.handle_timeout(now, turn));
        }
        self.swarms.doze(now, &mut self.turn);
        if self.udp.poll_timeout().is_some_and(|at| at <= now) {
            self.udp.handle_timeout(now, &mut self.turn.rng);
            self.drain_udp(now);
        }
    }

    /// Hashes for as long as `HASH_SLICE` bytes of one piece take; true while more waits.
    pub(crate) fn hash_slice(&mut self, now: Instant) -> bool {
        self.now = now;
        self.turn.hasher.work(HASH_SLICE);
        while let Some(job) = self.turn.hasher.poll_done() {
            self.contain(job.swarm, |swarm, turn| swarm.handle_disk_hashed(now, turn, job));
        }
        if let Some(slot) = self.turn.hashing.pop_front() {
            self.contain(slot, |swarm, turn| swarm.hash_received(now, turn, HASH_SLICE));
        }
        if let Some(slot) = self.turn.chores.pop_front()
            && self.contain(slot, |swarm, turn| swarm.do_chores(now, turn)) == Some(true)
        {
            self.turn.chores.push_back(slot);
        }
        !(self.turn.hasher.is_idle() && self.turn.hashing.is_empty() && self.turn.chores.is_empty())
    }

    /// The next thing to do; drained until `None` after every `handle_*`.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        loop {
            if let Some(output) = self.turn.outputs.pop_front() {
                return Some(output);
            }
            if !self.flush() {
                return None;
            }
        }
    }

    /// What the connection should send now. Fills an empty batch; it stays empty when there is
    /// nothing.
    pub(crate) fn poll_send(&mut self, now: Instant, conn: ConnId, batch: &mut SendBatch) {
        self.now = now;
        let Some(state) = self.turn.conns.get_mut(conn.0) else { return };
        if let Stage::Peer { swarm, peer } = state.stage {
            self.contain(swarm, |swarm, _| swarm.poll_send(now, peer, batch));
        } else {
            batch.push_small(&state.greeting);
            state.greeting.clear();
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let all = [self.turn.poll_timeout(), self.swarms.poll_timeout(), self.udp.poll_timeout()];
        all.into_iter().flatten().min()
    }

    /// Whether the engine was told to end and nothing is left.
    pub(crate) fn is_drained(&self) -> bool {
        self.shutdown.is_some() && self.swarms.len() == 0
    }

    /// Raises an alert about the shard itself.
    pub(crate) fn report(&mut self, kind: AlertKind) {
        self.turn.alert(None, kind);
    }

    /// The shard's figures; the ring adds those of its turns.
    pub(crate) fn stats(&self) -> ShardStats {
        let annex_count = self.swarms.annex_count() as u32;
        let torrent_count = self.swarms.len() as u32 - annex_count;
        ShardStats { torrent_count, annex_count, ..self.turn.stats() }
    }

    /// Lets one swarm do what became due; false when nothing is due any more.
    fn flush(&mut self) -> bool {
        let now = self.now;
        self.swarms.feed(now, &mut self.turn);
        let Some(slot) = self.swarms.pop_due() else { return false };
        let flushed = self.swarms.contain_quietly(now, &mut self.turn, slot, |swarm, turn| {
            let has_more = swarm.flush(now, turn);
            (has_more, swarm.next_udp(now, turn).map(|question| (swarm.id, question)))
        });
        let (has_more, question) = flushed.unwrap_or((false, None));
        if has_more {
            self.swarms.mark(slot);
        }
        if let Some((torrent, question)) = question {
            let key = UdpKey { torrent, token: question.token };
            self.udp.ask(now, key, question.ask, &mut self.turn.rng);
            self.drain_udp(now);
            // There may be more questions behind this one.
            self.swarms.mark(slot);
        }
        if let Some(left) = self.swarms.settle(now, slot, &self.turn) {
            if let Some(Leave::Removed(ticket)) = left.leave {
                self.reply_done(ticket);
            }
            if let Some((to, note)) = left.farewell() {
                self.turn.outputs.push_back(Output::Note { to, note });
            }
            self.end_if_drained();
        }
        true
    }

    fn end_if_drained(&mut self) {
        if let Some(ticket) = self.shutdown.filter(|_| self.swarms.len() == 0) {
            self.reply_done(ticket);
        }
    }

    fn reply_done(&mut self, ticket: Ticket) {
        self.turn.outputs.push_back(Output::Reply { ticket, reply: Reply::Done });
    }

    fn drain_udp(&mut self, now: Instant) {
        while let Some(event) = self.udp.poll_event() {
            match event {
                UdpEvent::Resolve { lookup, host, port } => {
                    let query = self.turn.query(Asker::Udp { lookup });
                    self.turn.outputs.push_back(Output::Resolve { query, host, port });
                }
                UdpEvent::Datagram { to, bytes } => {
                    self.turn.outputs.push_back(Output::Datagram { to, bytes });
                }
                UdpEvent::Answer { key, answer, is_last } => {
                    self.tell(key.torrent, |swarm, turn| {
                        let rng = &mut turn.rng;
                        swarm.announcer.handle_udp(now, key.token, answer, is_last, rng);
                    });
                }
            }
        }
    }

    /// Lets a swarm work, and has it flushed at the end of the turn.
    fn contain<R>(
        &mut self,
        slot: SlotId,
        work: impl FnOnce(&mut Swarm, &mut Turn) -> R,
    ) -> Option<R> {
        self.swarms.contain(self.now, &mut self.turn, slot, work)
    }
}

#[cfg(test)]
mod tests;
