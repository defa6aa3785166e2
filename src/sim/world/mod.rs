//! The world: sessions, strangers and trackers on one network under one clock.
//!
//! Everything happens in the order of `(time, sequence)` and by chances from one seed, so that a
//! seed is a run.

pub(crate) mod core;
pub(crate) mod effects;

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::time::Duration;

use crate::base::ids::ShardId;
use crate::base::ids::TorrentId;
use crate::base::instant::Instant;
use crate::engine::command::Command;
use crate::sim::net::EndId;
use crate::sim::net::NetEvent;
use crate::sim::net::Weather;
use crate::sim::oracle::Tap;
use crate::sim::post::Input;
use crate::sim::site::Site;
use crate::sim::stranger::Stranger;
use crate::sim::world::core::CHECK_INTERVAL;
use crate::sim::world::core::DATAGRAM_PORT;
use crate::sim::world::core::Later;
use crate::sim::world::core::Owner;
use crate::sim::world::core::STEP_MAX;
use crate::sim::world::core::World;

impl World {
    /// Lets a story happen in a world of its own; what the story came to.
    ///
    /// # Panics
    /// When the story does, with the seed and the end of the trace in the message.
    pub(crate) fn tell<R>(seed: u64, weather: Weather, story: impl FnOnce(&mut World) -> R) -> R {
        let mut world = World::new(seed, weather);
        match catch_unwind(AssertUnwindSafe(|| story(&mut world))) {
            Ok(result) => result,
            Err(payload) => {
                let text = payload.downcast_ref::<String>().map(String::as_str);
                let text = text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("a panic");
                let tail: Vec<&str> = world.trace.tail().collect();
                let tail = tail.join("\n");
                panic!("{tail}\n{text}\nonce more: CORESWARM_SEED={seed}");
            }
        }
    }

    /// The process of a session dies and starts again; its peers see resets.
    pub(crate) fn crash(&mut self, site: usize) {
        self.trace.note(self.now, format_args!("crash of {site}"));
        let own: Vec<EndId> =
            self.taps.iter().filter(|(_, (s, _))| *s == site).map(|(e, _)| *e).collect();
        for end in own {
            self.net.reset(self.now, end);
            self.owners.remove(&end);
            self.taps.remove(&end);
        }
        self.sites[site].crash(self.now);
    }

    /// Runs until `is_done`.
    ///
    /// # Panics
    /// When that takes longer than `limit` of virtual time.
    pub(crate) fn run_until(
        &mut self,
        limit: Duration,
        what: &str,
        is_done: impl Fn(&World) -> bool,
    ) {
        let deadline = self.now + limit;
        while !is_done(self) {
            self.step();
            assert!(self.now <= deadline, "expected within {limit:?}: {what}");
        }
    }

    /// Runs for this long.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let deadline = self.now + time;
        while self.poll_timeout() <= deadline {
            self.step();
        }
        self.now = deadline;
    }

    /// Runs until every torrent of every session is complete, under its final names, byte for byte.
    pub(crate) fn run_until_complete(&mut self, limit: Duration) {
        self.run_until(limit, "every download is complete", |world| {
            world.sites.iter().all(|site| site.torrents.keys().all(|id| site.is_complete(*id)))
        });
    }

    /// Ends all sessions in good order and looks for leftovers.
    pub(crate) fn shut_down(&mut self) {
        for site in 0..self.sites.len() {
            for shard in 0..self.sites[site].shards.len() as u16 {
                self.sites[site].order(self.now, ShardId(shard), Command::Shutdown);
            }
        }
        self.run_until(Duration::from_secs(60), "every shard is drained", |world| {
            world.sites.iter().all(|site| site.shards.iter().all(|shard| shard.is_drained()))
        });
        // Replies and closes of the last turn.
        self.run_for(Duration::from_secs(1));
        self.sites.iter().for_each(Site::check_end);
    }

    fn poll_timeout(&self) -> Instant {
        let shards = self.sites.iter().flat_map(|site| &site.shards);
        let disks = self.sites.iter().filter_map(|site| site.disk.poll_timeout());
        let own = [self.net.poll_timeout(), self.later.poll_timeout()];
        let times = own.into_iter().flatten().chain(disks);
        let times = times.chain(self.strangers.iter().filter_map(Stranger::poll_timeout));
        times.chain(shards.filter_map(|shard| shard.poll_timeout())).min().unwrap_or(Instant::FAR)
    }

    /// Goes to the next instant at which something happens, and lets it happen.
    pub(crate) fn step(&mut self) {
        self.step_count += 1;
        assert!(self.step_count < STEP_MAX, "a run of {STEP_MAX} steps is in a loop");
        self.now = self.now.max(self.poll_timeout());
        self.net.handle_timeout(self.now);
        self.drain_net();
        self.drain_disks();
        while let Some(later) = self.later.poll_due(self.now) {
            self.happen(later);
        }
        self.wake_strangers();
        for site in 0..self.sites.len() {
            for shard in 0..self.sites[site].shards.len() {
                let due = self.sites[site].shards[shard].poll_timeout();
                if due.is_some_and(|at| at <= self.now) {
                    self.turn(site, shard);
                }
            }
        }
    }

    fn drain_net(&mut self) {
        while let Some(event) = self.net.poll_event() {
            match event {
                NetEvent::Incoming { to, from, end } => self.accept(to, from, end),
                NetEvent::Datagram { to, from, bytes } => self.deliver_datagram(to, from, bytes),
                NetEvent::Connected { end } => self.inform(end, Input::Connected { end }),
                NetEvent::Bytes { end, bytes } => self.inform(end, Input::Bytes { end, bytes }),
                NetEvent::Sent { end, byte_count } => {
                    self.inform(end, Input::Sent { end, byte_count });
                }
                NetEvent::Closed { end, reason } => {
                    self.trace.note(self.now, format_args!("closed {end:?} {reason:?}"));
                    self.inform(end, Input::Closed { end, reason });
                }
            }
        }
    }

    fn accept(&mut self, to: SocketAddr, from: SocketAddr, end: EndId) {
        self.trace.note(self.now, format_args!("accept {end:?} {from} at {to}"));
        if let Some(site) = self.sites.iter().position(|site| site.ip == to.ip()) {
            // SO_REUSEPORT: any shard may get it.
            let shard = self.rng.below(self.sites[site].shards.len() as u64) as u16;
            self.owners.insert(end, Owner::Shard { site, shard: ShardId(shard) });
            self.taps.insert(end, (site, Tap::default()));
            self.push(site, ShardId(shard), Input::Accepted { end, from });
        } else if let Some(at) = self.strangers.iter().position(|own| own.ip() == to.ip()) {
            self.owners.insert(end, Owner::Stranger(at));
            self.strangers[at].handle_incoming(self.now, end, &mut self.net);
        }
    }

    /// Tells the owner of an end.
    fn inform(&mut self, end: EndId, input: Input) {
        let now = self.now;
        match self.owners.get_mut(&end) {
            None => {}
            Some(Owner::Shard { site, shard }) => {
                let (site, shard) = (*site, *shard);
                self.push(site, shard, input);
            }
            Some(Owner::Moving(waiting)) => waiting.push(input),
            Some(Owner::Stranger(at)) => {
                let stranger = &mut self.strangers[*at];
                match input {
                    Input::Connected { .. } => stranger.handle_connected(now, end, &mut self.net),
                    Input::Bytes { bytes, .. } => {
                        stranger.handle_bytes(now, end, &bytes, &mut self.net);
                    }
                    Input::Sent { .. } => stranger.handle_sent(now, end, &mut self.net),
                    Input::Closed { .. } => stranger.handle_closed(now, end),
                    _ => {}
                }
            }
        }
    }

    fn push(&mut self, site: usize, shard: ShardId, input: Input) {
        self.sites[site].shards[shard.as_usize()].push(self.now, input);
    }

    fn deliver_datagram(&mut self, to: SocketAddr, from: SocketAddr, bytes: Vec<u8>) {
        if self.udp_trackers.contains(&to) {
            if let Some(answer) = self.trackers.handle_datagram(from, &bytes) {
                self.net.send_datagram(self.now, to, from, answer);
            }
        } else if let Some(site) = self.sites.iter().position(|site| site.ip == to.ip())
            && let Some(shard) = to.port().checked_sub(DATAGRAM_PORT)
            && usize::from(shard) < self.sites[site].shards.len()
        {
            self.push(site, ShardId(shard), Input::Datagram { from, bytes });
        }
    }

    fn drain_disks(&mut self) {
        for site in 0..self.sites.len() {
            self.sites[site].disk.handle_timeout(self.now);
            while let Some(done) = self.sites[site].disk.poll_completion() {
                self.trace.note(self.now, format_args!("{site} disk {:?} done", done.job));
                self.push(site, done.shard, Input::Disk { job: done.job, reply: done.reply });
            }
        }
    }

    fn wake_strangers(&mut self) {
        for at in 0..self.strangers.len() {
            if self.strangers[at].poll_timeout().is_some_and(|due| due <= self.now)
                && let Some(end) = self.strangers[at].handle_timeout(self.now, &mut self.net)
            {
                self.owners.insert(end, Owner::Stranger(at));
            }
        }
    }

    /// A connection has come to a shard; what arrived meanwhile comes behind it.
    fn settle(&mut self, (site, shard): (usize, ShardId), end: EndId, input: Input) {
        let before = self.owners.insert(end, Owner::Shard { site, shard });
        self.push(site, shard, input);
        if let Some(Owner::Moving(waiting)) = before {
            waiting.into_iter().for_each(|input| self.push(site, shard, input));
        }
    }

    fn happen(&mut self, later: Later) {
        let is_past = |site: usize, epoch: u32| self.sites[site].epoch != epoch;
        match later {
            Later::Adopt { site, epoch, to, end, from, bytes } if !is_past(site, epoch) => {
                self.settle((site, to), end, Input::Adopted { end, from, bytes });
            }
            Later::Arrive { site, epoch, to, end, parcel } if !is_past(site, epoch) => {
                self.settle((site, to), end, Input::Arrived { end, parcel });
            }
            Later::Note { site, epoch, from, to, note } if !is_past(site, epoch) => {
                self.push(site, to, Input::Note { from, note });
            }
            Later::Jobs { site, epoch, to, input } if !is_past(site, epoch) => {
                self.push(site, to, input);
            }
            Later::Http { site, epoch, shard, query, answer } if !is_past(site, epoch) => {
                self.push(site, shard, Input::Http { query, answer });
            }
            Later::Resolved { site, epoch, shard, query, answer } if !is_past(site, epoch) => {
                self.push(site, shard, Input::Resolved { query, answer });
            }
            Later::CheckLiveness => {
                self.check_liveness();
                self.later.plan(self.now + CHECK_INTERVAL, Later::CheckLiveness);
            }
            _ => {}
        }
    }

    /// A torrent's site and number, where there is only one of each.
    pub(crate) fn only_torrent(&self, site: usize) -> TorrentId {
        *self.sites[site].torrents.keys().next().expect("a torrent was added")
    }
}
