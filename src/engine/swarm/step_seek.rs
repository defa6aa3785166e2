//! Seeking: a magnet's metadata is fetched from peers, and what becomes of the swarm with it
//! (BEP 9).

use std::net::SocketAddr;
use std::sync::Arc;

use crate::base::bitfield::Bitfield;
use crate::base::instant::Instant;
use crate::base::limits::EARLY_HELD_MAX;
use crate::base::slots::SlotId;
use crate::content::torrent::Torrent;
use crate::engine::add::PieceOrder;
use crate::engine::alert::AlertKind;
use crate::engine::layers::Layers;
use crate::engine::metadata::MetadataEvent;
use crate::engine::metadata::MetadataFetch;
use crate::engine::pick::Picker;
use crate::engine::swarm::file_progress::FileProgress;
use crate::engine::swarm::state::Phase;
use crate::engine::swarm::state::Swarm;
use crate::engine::to_ring::Output;
use crate::engine::turn::Asker;
use crate::engine::turn::Turn;

/// Have messages with which a peer that came early may be told what we have; with more it comes
/// again and gets a bitfield, which only the first message may be (BEP 3).
const TELL_MAX: u32 = 4_096;

impl Swarm {
    /// Asks peers for the metadata from here on.
    pub(crate) fn seek(&mut self, now: Instant, turn: &mut Turn) {
        self.phase = Phase::Metadata;
        self.next_tick = now;
        self.candidates.retry_all(now);
        self.announcer.start(now);
        self.changed();
        let Some(seeking) = &mut self.seeking else { return };
        for (host, port) in std::mem::take(&mut seeking.hints.hosts) {
            let query = turn.query(Asker::Hint { swarm: self.slot });
            turn.outputs.push_back(Output::Resolve { query, host, port });
        }
    }

    /// Peers that the magnet named.
    pub(crate) fn handle_hints(&mut self, now: Instant, addresses: &[SocketAddr]) {
        if let Some(seeking) = &mut self.seeking {
            seeking.hints.peers.extend(addresses);
            addresses.iter().for_each(|address| self.candidates.add(now, *address));
            self.next_tick = now;
        }
    }

    /// A peer told what it can do: it may have the metadata.
    pub(crate) fn handle_claim(&mut self, now: Instant, id: SlotId) {
        let Some(seeking) = &mut self.seeking else { return };
        let Some(peer) = self.peers.get(id) else { return };
        match peer.desk.claim() {
            Some(size) => seeking.fetch.handle_claim(now, id.slot, peer.address, size),
            None => seeking.fetch.handle_left(now, id.slot),
        }
    }

    /// A peer sent a part of the metadata.
    pub(crate) fn handle_metadata(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        id: SlotId,
        (part, total_size, bytes): (u32, Option<u32>, Box<[u8]>),
    ) {
        let Some(seeking) = &mut self.seeking else { return };
        let taken = seeking.fetch.handle_part(now, id.slot, (part, total_size), bytes);
        if let Err(fault) = taken {
            self.drop_peer(now, turn, id, &fault.to_string());
        }
    }

    pub(crate) fn handle_metadata_rejected(&mut self, now: Instant, id: SlotId, part: u32) {
        if let Some(seeking) = &mut self.seeking {
            seeking.fetch.handle_reject(now, id.slot, part);
        }
    }

    /// What peers tell of their pieces is kept raw meanwhile: not more than a bound in all. The one
    /// that takes most goes, so that liars with large bitfields cannot keep everybody else out.
    pub(crate) fn bound_early(&mut self, now: Instant, turn: &mut Turn, id: SlotId) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let (before, held) = peer.early_recount();
        self.early_held = self.early_held.saturating_sub(before) + held;
        if self.early_held <= EARLY_HELD_MAX {
            return;
        }
        // Looked for only now: whoever goes makes room for many messages of the others.
        let largest = self.peers.iter().max_by_key(|(_, peer)| peer.early_held());
        if let Some((id, _)) = largest {
            self.drop_peer(now, turn, id, "no room for its pieces before the metadata is here");
        }
    }

    /// Hashes what came, within a slice.
    pub(crate) fn hash_metadata(&mut self, now: Instant, turn: &mut Turn, slice: usize) {
        self.is_hashing = false;
        let Some(seeking) = self.seeking.as_mut().filter(|_| self.phase == Phase::Metadata) else {
            return;
        };
        if seeking.fetch.hash(now, turn.hasher.lanes(), slice) {
            self.is_hashing = true;
            turn.hashing.push_back(self.slot);
        }
    }

    /// Does what the fetch wants.
    pub(crate) fn go_on_seeking(&mut self, now: Instant, turn: &mut Turn) {
        while self.phase == Phase::Metadata
            && let Some(seeking) = &mut self.seeking
            && let Some(event) = seeking.fetch.poll_event()
        {
            match event {
                MetadataEvent::Ask { peer, part } => self.ask_metadata(peer, part),
                MetadataEvent::Guilty { address, reason } => self.ban(now, turn, address, reason),
                MetadataEvent::Done(info) => self.found(now, turn, &info),
                MetadataEvent::Contradiction => {
                    let message = "the magnet's two info hashes name different torrents; \
                                   use a link with one of them";
                    self.give_up(now, turn, message.to_owned());
                }
            }
        }
        let wants_hash = self.seeking.as_ref().is_some_and(|seeking| seeking.fetch.wants_hash());
        if wants_hash && self.phase == Phase::Metadata && !self.is_hashing {
            self.is_hashing = true;
            turn.hashing.push_back(self.slot);
        }
    }

    fn ask_metadata(&mut self, key: u32, part: u32) {
        let Some(id) = self.peers.id_at(key) else { return };
        if let Some(peer) = self.peers.get_mut(id) {
            peer.ask_metadata(part);
        }
        self.mark(id);
    }

    /// The metadata is what the magnet names and of no use: trying again begins anew.
    fn give_up(&mut self, now: Instant, turn: &mut Turn, message: String) {
        let names = self.names();
        if let Some(seeking) = &mut self.seeking {
            seeking.fetch = MetadataFetch::new(names, now);
        }
        self.fail(now, turn, message);
    }

    /// The metadata is here: from now on this is an ordinary torrent, once its files were looked
    /// at.
    fn found(&mut self, now: Instant, turn: &mut Turn, info: &[u8]) {
        let Some(seeking) = &self.seeking else { return };
        let made = Torrent::from_info(info, self.torrent.trackers(), &seeking.hints.web_seeds);
        let torrent = match made {
            Ok(torrent) => torrent,
            Err(error) => {
                let message = format!("the magnet's metadata is no torrent: {error}");
                return self.give_up(now, turn, message);
            }
        };
        let names: Vec<_> = torrent.info_hashes().swarms().collect();
        if !self.names().swarms().all(|name| names.contains(&name)) {
            let message = "expected metadata of the version that the magnet names, got another; \
                           use a link with the torrent's own info hash";
            return self.give_up(now, turn, message.to_owned());
        }
        self.become_torrent(Arc::new(torrent));
        self.announcer.join(self.names(), self.torrent.trackers(), &mut turn.rng);
        self.apply_choice(turn);
        self.leave_hints(now, turn);
        self.seeking = None;
        let name = self.torrent.name().to_owned();
        let (total_bytes, piece_count) = (self.torrent.total_length(), self.layout.piece_count());
        self.alert(turn, AlertKind::MetadataReceived { name, total_bytes, piece_count });
        self.changed();
        self.open(turn);
    }

    fn become_torrent(&mut self, torrent: Arc<Torrent>) {
        self.layout = torrent.layout().clone();
        self.have = Bitfield::zeros(self.layout.piece_count());
        self.picker = Picker::new(self.layout.clone());
        self.picker.set_sequential(self.order == PieceOrder::Sequential);
        self.files = FileProgress::default();
        self.layers = Layers::new(&torrent);
        self.known.publish(Some(Arc::clone(&torrent)));
        self.torrent = torrent;
        self.is_renamed = true;
    }

    /// A private torrent takes peers from its trackers only (BEP 27): those that the link named go.
    fn leave_hints(&mut self, now: Instant, turn: &mut Turn) {
        if !self.torrent.is_private() {
            return;
        }
        let hints = self.seeking.as_mut().map(|s| std::mem::take(&mut s.hints.peers));
        for address in hints.unwrap_or_default() {
            if let Some(id) = self.peer_at(address) {
                self.drop_peer(now, turn, id, "the torrent is private and a link named this peer");
            }
            self.candidates.forget(address);
        }
    }

    /// The swarm is active: what peers told early is checked and counts, and they hear what we
    /// have.
    pub(crate) fn end_earliness(&mut self, now: Instant, turn: &mut Turn) {
        let early = self.peers.iter().filter(|(_, peer)| peer.is_early()).map(|(id, _)| id);
        for id in early.collect::<Vec<SlotId>>() {
            if self.have.count_ones() > TELL_MAX {
                self.drop_peer(now, turn, id, "it shall hear in a bitfield what we have");
                continue;
            }
            let Some(peer) = self.peers.get_mut(id) else { continue };
            match peer.learn_layout(self.layout.clone()) {
                Ok(has_told) => {
                    let ip = peer.address.ip();
                    let introduction = self.introduction(turn, ip);
                    let Some(peer) = self.peers.get_mut(id) else { continue };
                    peer.introduce(&introduction);
                    let have = self.have.iter_ones().filter_map(|raw| self.layout.piece(raw).ok());
                    have.for_each(|piece| peer.tell_have(piece));
                    if has_told {
                        self.handle_has_set(now, turn, id);
                    }
                    self.mark(id);
                }
                Err(fault) => self.drop_peer(now, turn, id, &fault.to_string()),
            }
        }
        self.early_held = 0;
    }
}
