//! Reporting: the swarm's figures, published and on demand.

use crate::base::instant::Instant;
use crate::base::status::PeerStatus;
use crate::base::status::ShardShare;
use crate::base::status::TorrentStats;
use crate::base::status::TorrentStatus;
use crate::engine::peer::speech::state::Peer;
use crate::engine::swarm::lending::Lending;
use crate::engine::swarm::readings::Check;
use crate::engine::swarm::state::PUBLISH_INTERVAL;
use crate::engine::swarm::state::Swarm;

impl Swarm {
    /// Publishes the figures if they changed and the last time was long enough ago.
    pub(crate) fn publish_if_due(&mut self, now: Instant) {
        if self.publish_at.is_some_and(|at| now >= at) {
            let stats = self.figures(now);
            let is_moving = stats.download_rate > 0 || stats.upload_rate > 0;
            self.stats.publish(stats);
            self.published_at = now;
            // Rates fall while nothing happens: readers should see that too.
            self.publish_at = is_moving.then(|| now + PUBLISH_INTERVAL * 5);
        }
    }

    pub(crate) fn figures(&mut self, now: Instant) -> TorrentStats {
        let peers = || self.peers.iter().map(|(_, peer)| peer);
        let seed_count = peers().filter(|peer| peer.is_seed()).count() as u32;
        let outstanding_count = peers().map(|peer| peer.pipeline.len() as u32).sum();
        let mut stats = TorrentStats {
            id: self.id,
            info_hashes: self.names(),
            state: self.state(),
            piece_count: self.layout.piece_count(),
            have_count: self.have.count_ones(),
            have_bytes: self.have_bytes(),
            total_bytes: self.layout.wire_total(),
            wanted_bytes: self.files.wanted,
            wanted_have_bytes: self.files.wanted.saturating_sub(self.files.wanted_left),
            checked_count: self.check.as_ref().map_or(0, Check::checked_count),
            downloaded: self.received.total(),
            uploaded: self.sent.total(),
            wasted: self.wasted,
            download_rate: self.received.per_second(now),
            upload_rate: self.sent.per_second(now),
            peer_count: self.peers.len() as u32,
            seed_count,
            candidate_count: self.candidates.waiting_count() as u32,
            outstanding_count,
            shards: Vec::new(),
        };
        self.add_helpers(&mut stats);
        stats
    }

    /// Adds what other shards do for the torrent to what this one does.
    fn add_helpers(&self, stats: &mut TorrentStats) {
        let Some(lending) = self.lending.as_deref() else { return };
        if !lending.is_empty() {
            stats.shards.push(ShardShare {
                shard: lending.owner(),
                peer_count: stats.peer_count,
                uploaded: stats.uploaded,
                upload_rate: stats.upload_rate,
            });
            stats.shards.extend(lending.shares());
        }
        for helper in lending.helpers() {
            stats.peer_count += helper.report.peer_count;
            stats.seed_count += helper.report.seed_count;
            stats.upload_rate += helper.report.upload_rate;
        }
        stats.uploaded += lending.uploaded();
    }

    /// Payload sent, by helpers too.
    pub(crate) fn uploaded(&self) -> u64 {
        self.sent.total() + self.lending.as_deref().map_or(0, Lending::uploaded)
    }

    pub(crate) fn peer_statuses(&mut self, now: Instant) -> Vec<PeerStatus> {
        self.peers.iter_mut().map(|(_, peer)| peer_status(now, peer)).collect()
    }

    pub(crate) fn status(&mut self, now: Instant) -> TorrentStatus {
        let mut peers = self.peer_statuses(now);
        let helpers = self.lending.as_deref().map_or(&[][..], Lending::helpers);
        peers.extend(helpers.iter().filter_map(|helper| helper.report.peers.clone()).flatten());
        TorrentStatus {
            stats: self.figures(now),
            error: self.error.clone(),
            trackers: self.announcer.status(now),
            peers,
        }
    }
}

fn peer_status(now: Instant, peer: &mut Peer) -> PeerStatus {
    let prefix = || String::from_utf8_lossy(&peer.peer_id[..8]).into_owned();
    PeerStatus {
        address: peer.address,
        client: peer.client.clone().unwrap_or_else(prefix),
        is_inbound: peer.is_inbound,
        have_count: peer.pieces.count(),
        download_rate: peer.received.per_second(now),
        upload_rate: peer.sent.per_second(now),
        downloaded: peer.received.total(),
        uploaded: peer.sent.total(),
        is_choked: peer.unchoked_since.is_none(),
        chokes_us: peer.chokes_us(),
        is_interested: peer.is_interested(),
        wants_us: peer.wants_us(),
        is_snubbed: peer.pipeline.is_snubbed(),
        outstanding_count: peer.pipeline.len() as u32,
    }
}
