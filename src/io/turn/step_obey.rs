//! Doing what the engine wants: sends, disk jobs, connections, questions and replies.

use crate::base::ids::ShardId;
use crate::base::instant::Instant;
use crate::base::limits::BLOCK_LEN;
use crate::base::limits::TRACKER_TIMEOUT;
use crate::base::status::TrackerErrorClass;
use crate::engine::hasher::HashJob;
use crate::engine::note::Note;
use crate::engine::outwork::BatchId;
use crate::engine::outwork::Busy;
use crate::engine::parcel::Parcel;
use crate::engine::to_ring::ConnId;
use crate::engine::to_ring::Output;
use crate::engine::to_ring::QueryError;
use crate::engine::to_ring::QueryId;
use crate::io::link::Letter;
use crate::io::sockets::step_send::Sent;
use crate::io::store::place::Place;
use crate::io::trackers::Answer;
use crate::io::trackers::Job;
use crate::io::turn::pace::BLOCK_MAX;
use crate::io::turn::pace::obeying;
use crate::io::turn::state::Parts;
use crate::io::turn::state::Pump;

/// The engine or the store worked for as long as moving so many blocks takes.
const NOTHING: usize = 15;

impl Pump {
    /// Does what the engine wants until it wants nothing more or the turn must end: by the clock,
    /// or because so much goes out. Cached reads are answered on the way.
    pub(super) fn obey(&mut self, now: Instant) {
        self.is_behind = true;
        while self.sent_blocks < self.pace.block_max() && self.outgoing() < BLOCK_MAX {
            while let Some((job, reply)) = self.parts.store.poll_reply() {
                self.has_news = true;
                self.parts.engine.handle_disk(now, job, reply);
            }
            let Parts { engine, ring, store, .. } = &mut self.parts;
            let blocks = if store.may_go_on(ring) {
                store.begin_waiting(ring);
                NOTHING
            } else if let Some(output) = engine.poll_output() {
                self.obey_one(now, output)
            } else {
                self.is_behind = false;
                return;
            };
            if self.pace.worked(blocks + 1) && self.age() >= obeying(self.hashing) {
                return;
            }
        }
    }

    /// Blocks that the next submission sends, reads or writes.
    pub(super) fn outgoing(&self) -> usize {
        self.sent_blocks + self.parts.ring.file_bytes() / BLOCK_LEN as usize
    }

    /// Returns how many blocks were moved, or how many could have been in the same time.
    fn obey_one(&mut self, now: Instant, output: Output) -> usize {
        let Parts { engine, ring, sockets, udp, store, alerts, .. } = &mut self.parts;
        match output {
            Output::Nothing => return NOTHING,
            Output::Send { conn } => {
                return self.send(now, conn);
            }
            Output::Disk(job) => {
                let length = job.op.length();
                store.submit(ring, job);
                return length.div_ceil(BLOCK_LEN as usize);
            }
            Output::Rest { torrent } => store.rest(torrent),
            Output::Rise { torrent, description, directory, allocation, write_mode } => {
                let place = Place { torrent: description, directory, allocation, write_mode };
                store.rise(torrent, place);
            }
            Output::Alert(alert) => alerts.offer(alert),
            Output::Connect { conn, address } => {
                if let Err(reason) = sockets.connect(ring, conn, address) {
                    engine.handle_closed(now, conn, reason);
                }
            }
            Output::Established { conn } => {
                self.remotes.remove(&conn);
                sockets.set_established(ring, conn);
            }
            Output::Close { conn } => {
                self.remotes.remove(&conn);
                sockets.close(ring, conn);
            }
            Output::HandOver { conn, to, bytes } => self.hand_over(conn, to, bytes),
            Output::Detach { conn } => sockets.detach(ring, conn),
            Output::Move { conn, to, parcel } => self.move_peer(conn, to, parcel),
            Output::Note { to, note } => self.post(to, note),
            Output::GiveOut { to, batch, jobs } => self.give_out(now, to, batch, jobs),
            Output::GiveBack { to, batch, back } => {
                // Who does not hear of it hashes by itself, after a while.
                if let Some(link) = self.parts.links.get(to.as_usize()) {
                    let _ = link.post(Letter::GiveBack { batch, back });
                }
            }
            Output::Http { query, url } => {
                self.ask(now, query, Job::Http { url, timeout: TRACKER_TIMEOUT });
            }
            Output::Resolve { query, host, port } => {
                self.ask(now, query, Job::Resolve { host, port });
            }
            Output::Datagram { to, bytes } => udp.send(ring, to, bytes),
            Output::Reply { ticket, reply } => {
                if let Some(asker) = self.tickets.remove(&ticket) {
                    // One place per question: it cannot be full. Who stopped waiting is gone.
                    let _ = asker.try_send(reply);
                }
            }
        }
        0
    }

    /// Gives a connection to the shard that owns its torrent. A full mailbox there closes it: the
    /// peer comes again.
    fn hand_over(&mut self, conn: ConnId, to: ShardId, bytes: Vec<u8>) {
        let remote = self.remotes.remove(&conn);
        let fd = self.parts.sockets.take(&mut self.parts.ring, conn);
        if let (Some(fd), Some(remote), Some(link)) =
            (fd, remote, self.parts.links.get(to.as_usize()))
        {
            let _ = link.post(Letter::Adopt { fd, remote, bytes });
        }
    }

    /// Gives a peer to another shard. A full mailbox there closes it: the peer comes again.
    fn move_peer(&mut self, conn: ConnId, to: ShardId, parcel: Box<Parcel>) {
        let fd = self.parts.sockets.take(&mut self.parts.ring, conn);
        if let (Some(fd), Some(link)) = (fd, self.parts.links.get(to.as_usize())) {
            let _ = link.post(Letter::Peer { fd, parcel });
        }
    }

    /// Tells another shard. What a full mailbox refuses is said again, or missed in time.
    fn post(&self, to: ShardId, note: Note) {
        let from = self.parts.shard;
        if let Some(link) = self.parts.links.get(to.as_usize()) {
            let _ = link.post(Letter::Note { from, note });
        }
    }

    /// Gives hash jobs to another shard. From a full mailbox they come back at once.
    fn give_out(&mut self, now: Instant, to: ShardId, batch: BatchId, jobs: Vec<HashJob>) {
        let letter = Letter::GiveOut { from: self.parts.shard, batch, jobs };
        let link = self.parts.links.get(to.as_usize());
        if link.is_none_or(|link| link.post(letter).is_err()) {
            self.parts.engine.handle_jobs_back(now, batch, Err(Busy));
        }
    }

    /// Asks the pool for HTTP and DNS. A full queue answers at once: the announcer backs off.
    fn ask(&mut self, now: Instant, query: QueryId, job: Job) {
        let is_http = matches!(job, Job::Http { .. });
        let Some(link) = self.parts.links.get(self.parts.shard.as_usize()).cloned() else { return };
        let done = Box::new(move |answer| {
            // A shard that has ended waits for no answer.
            let _ = link.post(match answer {
                Answer::Http(answer) => Letter::Http { query, answer },
                Answer::Resolved(answer) => Letter::Resolved { query, answer },
            });
        });
        if self.parts.http.submit(job, done).is_ok() {
            return;
        }
        let class = TrackerErrorClass::Timeout;
        let message = "too many questions to trackers wait already".to_owned();
        let refusal = QueryError { class, message };
        if is_http {
            self.parts.engine.handle_http(now, query, Err(refusal));
        } else {
            self.parts.engine.handle_resolved(now, query, Err(refusal));
        }
    }

    /// Sends what a connection has, unless a batch of it is under way: then the end of that one
    /// asks again. Returns how many blocks go out; those that do with the next submission are
    /// counted.
    fn send(&mut self, now: Instant, conn: ConnId) -> usize {
        let Parts { engine, ring, sockets, .. } = &mut self.parts;
        if !sockets.can_send(conn) {
            return 0;
        }
        let mut sending = sockets.spare();
        engine.poll_send(now, conn, &mut sending.batch);
        let block_count = sending.batch.block_count();
        match sockets.send(ring, conn, sending) {
            Sent::Later => self.sent_blocks += block_count,
            Sent::Now(event) => {
                event.into_iter().for_each(|event| self.take_socket_event(now, event));
            }
        }
        block_count
    }
}
