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
pub(crate) mod outwork;
pub(crate) mod parcel;
pub(crate) mod peer;
pub(crate) mod pick;
pub(crate) mod settings;
pub(crate) mod shard_config;
pub(crate) mod slot_count;
pub(crate) mod spare_time;
pub(crate) mod swarm;
pub(crate) mod swarms;
pub(crate) mod to_ring;
pub(crate) mod turn;
pub(crate) mod whole;

use std::net::SocketAddr;

use crate::base::ids::ShardId;
use crate::base::instant::Instant;
use crate::base::limits::HASH_SLICE;
use crate::base::status::ShardStats;
use crate::engine::alert::AlertKind;
use crate::engine::announce::event::UdpKey;
use crate::engine::announce::udp::UdpEvent;
use crate::engine::conn::Stage;
use crate::engine::disk::DiskReply;
use crate::engine::disk::JobId;
use crate::engine::hasher::HashingLeft;
use crate::engine::note::Note;
use crate::engine::parcel::Parcel;
use crate::engine::swarm::state::Leave;
use crate::engine::to_ring::ConnId;
use crate::engine::to_ring::HttpAnswer;
use crate::engine::to_ring::Output;
use crate::engine::to_ring::QueryError;
use crate::engine::to_ring::QueryId;
use crate::engine::to_ring::SendBatch;
use crate::engine::turn::Asker;
pub(crate) use crate::engine::whole::state::Engine;

/// Connections per call whose handshake is late: each takes a microsecond or two.
const LATE_MAX: usize = 32;
/// Flushes without any output before the ring may look at its clock: some 10 us each where torrents
/// begin or end, and up to 50.
const FLUSH_MAX: usize = 4;

impl Engine {
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

    /// Call when `now` has reached [`Engine::poll_timeout`], and `hash_slice` after it. Does some
    /// of what is due: what is left keeps `poll_timeout` in the past.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        for _ in 0..LATE_MAX {
            let first = self.turn.deadlines.first().copied();
            let Some((at, conn)) = first.filter(|(at, _)| *at <= now) else { break };
            self.conn_failed(now, conn, true);
            self.turn.deadlines.remove(&(at, conn));
        }
        self.turn.end_hash_waits(now);
        self.end_late_outwork(now);
        self.swarms.handle_timeout(now, &mut self.turn);
        self.swarms.doze(now, &mut self.turn);
        if self.udp.poll_timeout().is_some_and(|at| at <= now) {
            self.udp.handle_timeout(now, &mut self.turn.rng);
            self.drain_udp(now);
        }
    }

    /// Hashes for as long as `HASH_SLICE` bytes of one piece take; for others when nothing of its
    /// own is left and the turn has time for it.
    pub(crate) fn hash_slice(&mut self, now: Instant, has_time: bool) -> HashingLeft {
        self.now = now;
        if !self.is_done_hashing() {
            self.hash_own(now);
        } else if has_time {
            self.turn.spare_time.work(HASH_SLICE);
        }
        let is_ending = self.go_on_ending(now);
        self.give_back(now);
        match self.is_done_hashing() && !is_ending {
            false => HashingLeft::Own,
            true if self.turn.spare_time.is_idle() => HashingLeft::Nothing,
            true => HashingLeft::OfOthers,
        }
    }

    fn hash_own(&mut self, now: Instant) {
        self.turn.hasher.work(HASH_SLICE);
        while let Some(job) = self.turn.hasher.poll_done() {
            self.contain(job.swarm, |swarm, turn| swarm.handle_hashed(now, turn, job));
        }
        if let Some(slot) = self.turn.hashing.pop_front() {
            self.contain(slot, |swarm, turn| swarm.hash_received(now, turn, HASH_SLICE));
        }
        if let Some(slot) = self.turn.chores.pop_front()
            && self.contain(slot, |swarm, turn| swarm.do_chores(now, turn)) == Some(true)
        {
            self.turn.chores.push_back(slot);
        }
    }

    /// The next thing to do; drained until `None` after every `handle_*`.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        for _ in 0..FLUSH_MAX {
            if let Some(output) = self.turn.outputs.pop_front() {
                return Some(output);
            }
            if !self.flush() {
                return None;
            }
        }
        Some(Output::Nothing)
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

    /// Bytes in memory that are to be hashed because they were on the disk.
    #[cfg(feature = "sim")]
    pub(crate) fn held_for_checks(&self) -> u64 {
        self.turn.checks.used()
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
}

#[cfg(test)]
mod tests;
