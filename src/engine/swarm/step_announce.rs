//! Announcing: what the torrent tells its trackers, and what they tell it.

use crate::base::instant::Instant;
use crate::base::limits::BLOCK_LEN;
use crate::engine::alert::AlertKind;
use crate::engine::announce::ask::Facts;
use crate::engine::announce::event::AnnounceEvent;
use crate::engine::announce::event::UdpAsk;
use crate::engine::swarm::state::Swarm;
use crate::engine::to_ring::HttpAnswer;
use crate::engine::to_ring::Output;
use crate::engine::to_ring::QueryError;
use crate::engine::turn::Asker;
use crate::engine::turn::Turn;

/// A question for the shard's UDP trackers.
#[derive(Debug)]
pub(crate) struct UdpQuestion {
    pub(crate) token: u32,
    pub(crate) ask: UdpAsk,
}

impl Swarm {
    /// What trackers are told.
    pub(crate) fn facts(&self, turn: &Turn) -> Facts {
        let has_enough = self.peers.len() as u32 >= turn.settings.connections_per_torrent_max;
        Facts {
            peer_id: self.peer_id,
            port: turn.settings.announce_port,
            ip: turn.settings.announce_ip,
            uploaded: self.uploaded(),
            downloaded: self.received.total(),
            left: match self.seeking {
                // Nobody knows; a leecher has something left all the same.
                Some(_) => u64::from(BLOCK_LEN),
                None => self.layout.wire_total() - self.have_bytes(),
            },
            is_partial_seed: self.is_done() && !self.is_complete(),
            numwant: if has_enough { 0 } else { turn.settings.numwant },
        }
    }

    /// Bytes of the pieces that we have.
    pub(crate) fn have_bytes(&self) -> u64 {
        let count = self.have.count_ones();
        let whole = u64::from(count) * u64::from(self.layout.piece_len_max());
        let short = self.layout.short_pieces().filter(|(piece, _)| self.have.get(piece.as_u32()));
        whole - short.map(|(_, lacks)| u64::from(lacks)).sum::<u64>()
    }

    pub(crate) fn handle_http(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        token: u32,
        answer: Result<HttpAnswer, QueryError>,
    ) {
        self.announcer.handle_http(now, token, answer, &mut turn.rng);
    }

    /// Drains the announcer; returns a question for the shard's UDP trackers, if there is one.
    pub(crate) fn next_udp(&mut self, now: Instant, turn: &mut Turn) -> Option<UdpQuestion> {
        while let Some(event) = self.announcer.poll_event() {
            match event {
                AnnounceEvent::Http { token, url } => {
                    let query = turn.query(Asker::Announcer { swarm: self.slot, token });
                    turn.outputs.push_back(Output::Http { query, url });
                }
                AnnounceEvent::Udp { token, ask } => return Some(UdpQuestion { token, ask }),
                AnnounceEvent::Peers(swarm, peers) => {
                    let version = self.version_of(swarm);
                    let candidates = &mut self.candidates;
                    peers.into_iter().for_each(|peer| candidates.add_by(now, peer, version));
                    self.next_tick = now;
                }
                AnnounceEvent::ExternalIp(_) => {}
                AnnounceEvent::Announced { url, peer_count } => {
                    self.alert(turn, AlertKind::TrackerAnnounced { url, peer_count });
                }
                AnnounceEvent::Warning { url, message } => {
                    self.alert(turn, AlertKind::TrackerWarning { url, message });
                }
                AnnounceEvent::Error { url, message } => {
                    self.alert(turn, AlertKind::TrackerError { url, message });
                }
                AnnounceEvent::Stopped => self.has_announced_stop = true,
            }
        }
        None
    }
}
