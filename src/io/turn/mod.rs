//! The pump: one turn after the other, the only driver of a shard's engine.
//!
//! A turn takes completions, letters and timers, hands them to the engine, and turns what the
//! engine wants into sends, reads, writes and replies. It waits in the hot ring and nowhere else,
//! until something is due; glommio gets its passes by the way.

pub(crate) mod load;
pub(crate) mod meter;
mod pace;
pub(crate) mod passes;
pub(crate) mod quiet;
pub(crate) mod state;
mod step_obey;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::base::instant::Instant;
use crate::base::limits::BLOCK_LEN;
use crate::base::limits::COMPLETION_MAX;
use crate::base::limits::TURN_BUDGET;
use crate::base::shard_turns::TurnPart;
use crate::base::status::ShardStats;
use crate::engine::alert::AlertKind;
use crate::engine::command::Command;
use crate::engine::command::Ticket;
use crate::engine::hasher::HashingLeft;
use crate::engine::swarm::state::PUBLISH_INTERVAL;
use crate::engine::to_ring::CloseReason;
use crate::engine::to_ring::Output;
use crate::io::link::Letter;
use crate::io::ring::asker::Asker;
use crate::io::ring::outcome::Completion;
use crate::io::ring::outcome::Outcome;
use crate::io::sockets::state::SocketEvent;
use crate::io::turn::pace::STEP;
use crate::io::turn::pace::has_time;
use crate::io::turn::pace::hashes_on;
use crate::io::turn::pace::taking;
use crate::io::turn::passes::Passes;
use crate::io::turn::state::Parts;
use crate::io::turn::state::Pump;

/// The longest wait while the pool for files is full of other shards' errands: nobody rings when
/// it has room again.
const POOL_WAIT: Duration = Duration::from_millis(10);
/// Writes under way before the shard makes way for them. Of 1 MiB each they take some 0.5 ms; for
/// fewer the change of hands costs more (measured, see benches/README.md).
const WRITES_TOGETHER: usize = 4;
/// Letters taken per turn.
const LETTER_MAX: usize = 64;
/// Time for the last completions when a shard ends.
const END_TIMEOUT: Duration = Duration::from_secs(5);

impl Pump {
    /// Turns until the engine is drained and nothing is in flight. A ring that fails ends the
    /// shard.
    pub(crate) async fn run(mut self) {
        if let Err(error) = self.go_round().await {
            let message = format!("the ring failed: {error}; restart the session");
            self.parts.engine.report(AlertKind::ShardFailed { message });
            while let Some(output) = self.parts.engine.poll_output() {
                if let Output::Alert(alert) = output {
                    self.parts.alerts.offer(alert);
                }
            }
        }
        self.publish(self.parts.clock.now());
        self.parts.ring.cancel_and_wait(END_TIMEOUT);
    }

    async fn go_round(&mut self) -> io::Result<()> {
        while !self.is_over() {
            let now = self.parts.clock.now();
            self.meter.begin(now);
            self.enter(now)?;
            self.turn();
            if self.parts.clock.now() >= self.passes.next() {
                let has_company = Passes::pass().await;
                self.passes.handle_pass(self.parts.clock.now(), has_company);
            }
            self.end_turn();
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        let Parts { engine, sockets, store, .. } = &self.parts;
        engine.is_drained() && sockets.len() == 0 && store.job_count() == 0
    }

    /// Submits, and waits for the first completion if nothing else is to be done.
    fn enter(&mut self, now: Instant) -> io::Result<()> {
        let outgoing = self.outgoing();
        if outgoing > 0 {
            // Sends may run inside the submission, and pages of files are made or pinned there:
            // that is work, and apart from a wait it can be measured. Most sends are over then, and
            // there is nothing to wait for.
            let has_files = self.parts.ring.file_bytes() > 0;
            self.parts.ring.enter(Duration::ZERO)?;
            let took = self.lap(TurnPart::Submission);
            self.pace.submitted(outgoing, took);
            if has_files && self.parts.store.write_count() >= WRITES_TOGETHER {
                self.make_way();
            }
        }
        let left = self.next_due(now).since(now);
        let Parts { inbox, store, sockets, ring, .. } = &mut self.parts;
        let has_rest = self.is_behind || store.is_behind() || sockets.is_behind();
        let is_busy = has_rest || self.hashing != HashingLeft::Nothing || left.is_zero();
        let bell = Arc::clone(inbox.bell());
        let may_wait = !is_busy && bell.sleep(|| !inbox.is_empty() || store.has_findings());
        if !may_wait && outgoing > 0 {
            return Ok(());
        }
        ring.enter(if may_wait { left } else { Duration::ZERO })?;
        bell.wake();
        let after = self.parts.clock.now();
        if may_wait {
            self.meter.waited(after);
        } else {
            self.meter.lap(after, TurnPart::Submission);
        }
        Ok(())
    }

    /// Lets the kernel's worker write what has come together, between two turns: it shares the
    /// core, and would interrupt a later turn for all of it at once. That a write blocks is the
    /// worker's affair: then it sleeps, and the shard goes on.
    fn make_way(&mut self) {
        rustix::thread::sched_yield();
        self.meter.waited(self.parts.clock.now());
    }

    /// When something is due although nothing happens.
    fn next_due(&self, now: Instant) -> Instant {
        let Parts { engine, sockets, store, .. } = &self.parts;
        let pool = store.waits_for_pool().then(|| now + POOL_WAIT);
        let figures = self.has_news.then_some(self.publish_at);
        let load = self.load.poll_timeout();
        let release = self.trimmer.is_releasing().then_some(now);
        let all = [engine.poll_timeout(), sockets.poll_timeout(), pool, figures, load, release];
        all.into_iter().flatten().fold(self.passes.next(), Instant::min)
    }

    fn turn(&mut self) {
        let now = self.parts.clock.now();
        self.sent_blocks = 0;
        self.take_completions(now);
        self.lap(TurnPart::Completions);
        self.take_letters(now);
        self.lap(TurnPart::Letters);
        self.parts.store.handle_findings();
        while let Some(conn) = self.parts.sockets.poll_detached() {
            self.parts.engine.handle_detached(now, conn);
        }
        self.tell_loads(now);
        if self.trimmer.is_releasing() {
            self.parts.store.release_buffers(self.trimmer.next_step());
        }
        self.time_out(now);
        self.lap(TurnPart::Timers);
        self.obey(now);
        self.lap(TurnPart::Decisions);
        self.hash();
        self.lap(TurnPart::Hashing);
        if self.age() >= TURN_BUDGET {
            // What hashing led to goes first in the next turn.
            self.is_behind = true;
        } else if !self.is_behind {
            self.obey(now);
            self.lap(TurnPart::Decisions);
        }
        self.parts.sockets.handle_turn_end(&mut self.parts.ring, now);
    }

    /// Timers that are due, until the turn is too old: the others are due in the next one.
    fn time_out(&mut self, now: Instant) {
        while self.parts.engine.poll_timeout().is_some_and(|at| at <= now) {
            self.has_news = true;
            self.parts.engine.handle_timeout(now);
            if self.age() >= taking(self.hashing) {
                return;
            }
        }
    }

    fn end_turn(&mut self) {
        let now = self.parts.clock.now();
        if self.has_news && now >= self.publish_at {
            self.publish(now);
        }
        self.lap(TurnPart::Upkeep);
        if let Some((took, part)) = self.meter.end() {
            self.parts.engine.report(AlertKind::SlowTurn { took, part });
        }
        if let Some(message) = self.parts.sockets.take_splice_failure() {
            self.parts.engine.report(AlertKind::SendingFellBack { message });
        }
    }

    fn publish(&mut self, now: Instant) {
        self.publish_at = now + PUBLISH_INTERVAL;
        self.has_news = false;
        let stats = self.parts.engine.stats();
        let busy_permille = u32::from(self.load.last());
        let turns = self.meter.turns().clone();
        let upload_read = self.parts.store.upload_read();
        let upload_spliced = self.parts.sockets.spliced();
        let stats = ShardStats { turns, busy_permille, upload_read, upload_spliced, ..stats };
        if let Some(own) = self.parts.stats.get(self.parts.shard.as_usize()) {
            own.publish(stats);
        }
    }

    /// Tells the engine once a second how busy all shards are.
    fn tell_loads(&mut self, now: Instant) {
        let before = self.load.last();
        let Some(own) = self.load.handle_turn(now) else { return };
        self.has_news |= own != before;
        let store = &self.parts.store;
        if self.trimmer.handle_load(own, store.has_idle_buffers()) {
            store.trim_heap();
        }
        let all = self.parts.stats.iter().map(|stats| stats.read().busy_permille);
        let mut loads: Vec<u16> = all.map(|load| u16::try_from(load).unwrap_or(u16::MAX)).collect();
        if let Some(load) = loads.get_mut(self.parts.shard.as_usize()) {
            *load = own;
        }
        self.parts.engine.handle_loads(now, &loads);
    }

    fn take_completions(&mut self, now: Instant) {
        for _ in 0..COMPLETION_MAX {
            let Some(completion) = self.parts.ring.next_completion() else { return };
            self.has_news = true;
            let spliced = self.parts.sockets.spliced();
            let received = completion.outcome.received();
            self.take_completion(now, completion);
            let spliced = self.parts.sockets.spliced() - spliced;
            let blocks = (spliced / u64::from(BLOCK_LEN)) as usize;
            // What was received may be blocks, or thousands of requests.
            let effort = STEP / 4 * received.div_ceil(BLOCK_LEN as usize).max(1);
            if self.pace.worked(effort + blocks) && self.age() >= taking(self.hashing) {
                return;
            }
        }
    }

    fn take_completion(&mut self, now: Instant, completion: Completion) {
        let Parts { engine, ring, sockets, udp, store, .. } = &mut self.parts;
        match (completion.asker, completion.outcome) {
            (Asker::Wake, Outcome::Woken) => {
                ring.wake(Rc::clone(&self.bell));
            }
            (Asker::Wake, _) => {}
            (Asker::Disk(job), outcome) => store.handle_completion(ring, job, outcome),
            (Asker::Udp(at), Outcome::DatagramReceived(datagram, result)) => {
                if let (Ok(()), Some(from), Some(bytes)) =
                    (result, datagram.sender(), datagram.bytes())
                {
                    engine.handle_datagram(now, from, bytes);
                }
                udp.receive(ring, at, datagram, result.err());
            }
            (Asker::Udp(_), _) => udp.handle_sent(),
            (asker @ (Asker::Listener(_) | Asker::Conn(_)), outcome) => {
                let completion = Completion { asker, outcome, ..completion };
                if let Some(event) = sockets.handle_completion(ring, now, completion) {
                    self.take_socket_event(now, event);
                }
            }
        }
    }

    pub(super) fn take_socket_event(&mut self, now: Instant, event: SocketEvent) {
        let Parts { engine, ring, sockets, store, .. } = &mut self.parts;
        match event {
            SocketEvent::Accepted { fd, remote } => {
                if let Some(conn) = engine.handle_accepted(now, remote) {
                    sockets.adopt(ring, conn, fd);
                    self.remotes.insert(conn, remote);
                }
            }
            SocketEvent::Connected { conn } => engine.handle_connected(now, conn),
            SocketEvent::Bytes { conn, filled } => {
                engine.handle_bytes(now, conn, ring.bytes(&filled));
                ring.give_back(filled);
            }
            SocketEvent::Sent { conn, count, is_done: true } => {
                engine.handle_sent(now, conn, count);
            }
            SocketEvent::Sent { .. } => {}
            SocketEvent::Unreadable { conn, mapped } => {
                self.remotes.remove(&conn);
                let reason = CloseReason::Unreadable(store.unreadable(&mapped));
                engine.handle_closed(now, conn, reason);
            }
            SocketEvent::Closed { conn, reason } => {
                self.remotes.remove(&conn);
                engine.handle_closed(now, conn, reason);
            }
        }
    }

    fn take_letters(&mut self, now: Instant) {
        for _ in 0..LETTER_MAX {
            let Some(letter) = self.parts.inbox.take() else { return };
            self.has_news = true;
            let Parts { engine, ring, sockets, .. } = &mut self.parts;
            match letter {
                Letter::Request { command, reply } => {
                    if matches!(command, Command::Shutdown) {
                        sockets.stop_listening(ring);
                    }
                    self.next_ticket += 1;
                    let ticket = Ticket(self.next_ticket);
                    self.tickets.insert(ticket, reply);
                    engine.handle_command(now, ticket, command);
                }
                Letter::Adopt { fd, remote, bytes } => {
                    if let Some(conn) = engine.handle_adopted(now, remote, &bytes) {
                        sockets.adopt(ring, conn, fd);
                    }
                }
                Letter::Peer { fd, parcel } => {
                    if let Some(conn) = engine.handle_parcel(now, *parcel) {
                        sockets.adopt_peer(ring, conn, fd);
                    }
                }
                Letter::Note { from, note } => engine.handle_note(now, from, note),
                Letter::GiveOut { from, batch, jobs } => engine.handle_jobs(now, from, batch, jobs),
                Letter::GiveBack { batch, back } => engine.handle_jobs_back(now, batch, back),
                #[cfg(test)]
                Letter::Loads(loads) => engine.handle_loads(now, &loads),
                Letter::Http { query, answer } => engine.handle_http(now, query, answer),
                Letter::Resolved { query, answer } => engine.handle_resolved(now, query, answer),
            }
            // A letter may be a torrent of a million pieces.
            if self.age() >= TURN_BUDGET {
                return;
            }
        }
    }

    /// While the turn has time, and its own for their share of the turn in any case.
    fn hash(&mut self) {
        let began = self.parts.clock.now();
        let mut now = began;
        loop {
            let age = self.meter.elapsed(now);
            self.hashing = self.parts.engine.hash_slice(now, has_time(age));
            now = self.parts.clock.now();
            if !hashes_on(self.hashing, self.meter.elapsed(now), now.since(began)) {
                break;
            }
        }
        if self.hashing == HashingLeft::Own {
            self.parts.engine.handle_overrun(now);
        }
    }
}
