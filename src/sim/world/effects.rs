//! What shards want of the world, and what the oracle hears of it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::base::ids::ShardId;
use crate::base::status::TrackerErrorClass;
use crate::engine::alert::AlertKind;
use crate::engine::to_ring::QueryError;
use crate::sim::bundle::Bundle;
use crate::sim::net::EndId;
use crate::sim::oracle::Block;
use crate::sim::oracle::Tap;
use crate::sim::post::Effect;
use crate::sim::post::Input;
use crate::sim::world::core::DATAGRAM_PORT;
use crate::sim::world::core::HAND_OVER_TIME;
use crate::sim::world::core::Later;
use crate::sim::world::core::Owner;
use crate::sim::world::core::RESOLVE_TIME;
use crate::sim::world::core::World;

impl World {
    /// A turn of one shard, and what it leads to.
    pub(super) fn turn(&mut self, site: usize, shard: usize) {
        let effects = self.sites[site].shards[shard].turn(self.now, &mut self.rng);
        for effect in effects {
            self.take_effect(site, ShardId(shard as u16), effect);
        }
    }

    fn take_effect(&mut self, site: usize, shard: ShardId, effect: Effect) {
        let (now, ip) = (self.now, self.sites[site].ip);
        let epoch = self.sites[site].epoch;
        match effect {
            Effect::Connect { conn, address } => {
                let end = self.net.connect(now, ip, address);
                self.trace.note(now, format_args!("{site}.{shard} connect {end:?} {address}"));
                self.sites[site].shards[shard.as_usize()].bind(conn, end);
                self.owners.insert(end, Owner::Shard { site, shard });
                self.taps.insert(end, (site, Tap::default()));
            }
            Effect::Handled { end, bytes } => self.note_received(site, end, &bytes),
            Effect::Send { end, bytes } => self.send(site, shard, end, &bytes),
            Effect::Close { end } => {
                self.trace.note(now, format_args!("{site}.{shard} close {end:?}"));
                self.net.close(now, end);
                self.owners.remove(&end);
                self.taps.remove(&end);
            }
            Effect::HandOver { end, to, bytes, rest } => {
                self.trace.note(now, format_args!("{site}.{shard} gives {end:?} to {to}"));
                self.hand_over_count += 1;
                self.owners.insert(end, Owner::Moving(rest));
                let from = self.net.address(end.other());
                let adopt = Later::Adopt { site, epoch, to, end, from, bytes };
                self.later.plan(now + HAND_OVER_TIME, adopt);
            }
            Effect::Disk(job) => {
                self.trace
                    .note(now, format_args!("{site}.{shard} disk {:?} {}", job.id, job.torrent));
                self.sites[site].disk.submit(now, shard, job);
            }
            Effect::Http { query, url } => {
                self.trace.note(now, format_args!("{site}.{shard} get {url}"));
                let (took, answer) = self.trackers.get(ip, &url);
                self.later.plan(now + took, Later::Http { site, epoch, shard, query, answer });
            }
            Effect::Resolve { query, host, port } => {
                let answer = self.resolve(&host, port);
                let resolved = Later::Resolved { site, epoch, shard, query, answer };
                self.later.plan(now + RESOLVE_TIME, resolved);
            }
            Effect::Datagram { to, bytes } => {
                let from = SocketAddr::new(ip, DATAGRAM_PORT + shard.0);
                self.net.send_datagram(now, from, to, bytes);
            }
            Effect::Move { end, to, parcel, rest } => {
                self.trace.note(now, format_args!("{site}.{shard} moves {end:?} to {to}"));
                self.move_count += 1;
                self.owners.insert(end, Owner::Moving(rest));
                let arrive = Later::Arrive { site, epoch, to, end, parcel };
                self.later.plan(now + HAND_OVER_TIME, arrive);
            }
            Effect::Note { to, note } => {
                self.trace.note(now, format_args!("{site}.{shard} tells {to} {:?}", note.term));
                let note = Later::Note { site, epoch, from: shard, to, note };
                self.later.plan(now + HAND_OVER_TIME, note);
            }
            Effect::Give { to, jobs } => self.give((site, shard), to, jobs),
            Effect::Alert(alert) => {
                self.trace.note(now, format_args!("{site}.{shard} {:?}", alert.kind));
                if let AlertKind::PeerBanned { address, reason } = &alert.kind {
                    let is_honest = self.honest.contains(&address.ip());
                    assert!(!is_honest, "site {site} banned honest {address}: {reason}");
                }
                self.sites[site].handle_alert(alert);
            }
            Effect::Reply { ticket, reply } => self.sites[site].handle_reply(ticket, reply),
        }
    }

    /// Hash jobs go from shard to shard, or are lost.
    fn give(&mut self, (site, from): (usize, ShardId), to: ShardId, input: Input) {
        let is_lost = self.rng.below(100) < self.outwork_loss;
        self.trace.note(self.now, format_args!("{site}.{from} gives {to} jobs, lost: {is_lost}"));
        if is_lost {
            return;
        }
        let epoch = self.sites[site].epoch;
        self.later.plan(self.now + HAND_OVER_TIME, Later::Jobs { site, epoch, to, input });
    }

    fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, QueryError> {
        match self.names.get(host) {
            Some(ip) => Ok(vec![SocketAddr::new(*ip, port)]),
            None => {
                let message = format!("no such name: {host}");
                Err(QueryError { class: TrackerErrorClass::Dns, message })
            }
        }
    }

    fn send(&mut self, site: usize, shard: ShardId, end: EndId, bytes: &[u8]) {
        self.trace.note(self.now, format_args!("{site}.{shard} send {end:?} {}", bytes.len()));
        let disk = &mut self.sites[site].disk;
        if let Some((_, tap)) = self.taps.get_mut(&end) {
            tap.handle_sent(self.now, bytes, &self.bundles, |hash| disk.contents_mut(hash));
        }
        if self.net.is_open(end) {
            self.net.send(self.now, end, bytes);
        }
    }

    fn note_received(&mut self, site: usize, end: EndId, bytes: &[u8]) {
        self.trace.note(self.now, format_args!("{site} got {end:?} {}", bytes.len()));
        let Some((_, tap)) = self.taps.get_mut(&end) else { return };
        let blocks = tap.handle_received(self.now, bytes, &self.bundles);
        let Some(hash) = tap.info_hash() else { return };
        let torrents = self.sites[site].torrents.values_mut();
        for placed in torrents.filter(|placed| placed.bundle.is_called(&hash)) {
            placed.got.extend(&blocks);
        }
    }

    /// Looks at every download: is there somebody to ask, and nobody asks (D12)?
    pub(super) fn check_liveness(&mut self) {
        for at in 0..self.sites.len() {
            let site = &mut self.sites[at];
            for placed in site.torrents.values().filter(|placed| placed.is_running) {
                let hash = placed.bundle.info_hash();
                let mine =
                    |(owner, tap): &&(usize, Tap)| *owner == at && is_about(tap, &placed.bundle);
                let mut taken: BTreeSet<Block> = placed.got.clone();
                taken.extend(placed.unwanted());
                self.taps
                    .values()
                    .filter(mine)
                    .for_each(|(_, tap)| taken.extend(tap.asked(self.now)));
                let room = u64::from(placed.bundle.torrent.piece_length());
                let has_room = site.shards[placed.shard.as_usize()].has_room(room);
                let Some(contents) = site.disk.contents_mut(&hash) else { continue };
                for (end, (_, tap)) in self.taps.iter_mut() {
                    let is_mine = match self.owners.get(end) {
                        Some(Owner::Shard { site, .. }) => *site == at,
                        _ => false,
                    };
                    if is_mine && is_about(tap, &placed.bundle) && self.net.is_open(*end) {
                        let has_room = has_room && !self.net.is_sending(*end);
                        tap.check_liveness(self.now, &taken, has_room, contents);
                    }
                }
            }
        }
    }
}

/// Whether the engine's handshake on this connection named the torrent.
fn is_about(tap: &Tap, bundle: &Bundle) -> bool {
    tap.info_hash().is_some_and(|name| bundle.is_called(&name))
}
