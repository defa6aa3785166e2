//! Changing shards: a peer becomes a parcel, and a parcel a peer.

use crate::base::digest::Sha1;
use crate::base::ids::TorrentId;
use crate::base::instant::Instant;
use crate::codec::handshake::Handshake;
use crate::content::layout::Layout;
use crate::engine::parcel::Parcel;
use crate::engine::peer::desk::Desk;
use crate::engine::peer::pieces::Pieces;
use crate::engine::peer::speech::state::Peer;
use crate::engine::peer::uploads::Wanted;
use crate::engine::to_ring::ConnId;

impl Peer {
    /// Whether all that is between us fits into a parcel: nothing was asked of it, and of what it
    /// asked only blocks are owed.
    pub(crate) fn can_travel(&self) -> bool {
        self.early.is_none()
            && self.pipeline.len() == 0
            && self.receiving.is_none()
            && self.hash_queue.is_empty()
            && self.hashes_owed == 0
            && self.desk.is_quiet()
            && !self.uploads.is_sending()
    }

    /// The peer without its connection. Give back what its uploads hold before.
    pub(crate) fn pack(mut self, torrent: TorrentId) -> Parcel {
        let requests = self.uploads.take_all();
        let requests = requests.map(|wanted| (wanted.piece, wanted.begin, wanted.length));
        Parcel {
            torrent,
            address: self.address,
            is_inbound: self.is_inbound,
            peer_id: self.peer_id,
            client: self.client,
            requests: requests.collect(),
            pieces: match self.pieces {
                Pieces::All { .. } => None,
                Pieces::Some(field) => Some(field),
            },
            decoder: self.decoder,
            outbox: self.outbox,
            received: self.received,
            sent: self.sent,
            sent_at_unchoke: self.sent_at_unchoke,
            connected_since: self.connected_since,
            unchoked_since: self.unchoked_since,
            choked_since: self.choked_since,
            is_upload_only: self.is_upload_only,
            is_v2: self.is_v2,
            has_fast: self.has_fast,
            has_extensions: self.has_extensions,
            chokes_us: self.chokes_us,
            is_interested: self.is_interested,
            wants_us: self.wants_us,
            has_told_pieces: self.has_told_pieces,
            reject_count: self.reject_count,
            extension_handshakes: self.extension_handshakes,
            introductions: self.introductions,
            leaves_served: self.leaves_served,
            metadata: self.desk.pack(),
        }
    }

    /// The peer on its new shard. It counts as heard just now.
    pub(crate) fn unpack(parcel: Parcel, conn: ConnId, layout: Layout, now: Instant) -> Peer {
        let piece_count = layout.piece_count();
        // Its word counts for what it can, its name and flags are set below.
        let theirs = Handshake::ours(Sha1([0; 20]), parcel.peer_id);
        let (address, is_inbound) = (parcel.address, parcel.is_inbound);
        let mut peer = Peer::new(conn, address, is_inbound, &theirs, layout, now);
        for (piece, begin, length) in parcel.requests {
            // No more than it had: all of them have room.
            let _ = peer.uploads.request(Wanted { piece, begin, length });
        }
        Peer {
            client: parcel.client,
            pieces: parcel.pieces.map_or(Pieces::All { piece_count }, Pieces::Some),
            decoder: parcel.decoder,
            outbox: parcel.outbox,
            received: parcel.received,
            sent: parcel.sent,
            sent_at_unchoke: parcel.sent_at_unchoke,
            connected_since: parcel.connected_since,
            unchoked_since: parcel.unchoked_since,
            choked_since: parcel.choked_since,
            is_upload_only: parcel.is_upload_only,
            is_v2: parcel.is_v2,
            has_fast: parcel.has_fast,
            has_extensions: parcel.has_extensions,
            chokes_us: parcel.chokes_us,
            is_interested: parcel.is_interested,
            wants_us: parcel.wants_us,
            has_told_pieces: parcel.has_told_pieces,
            has_spoken: true,
            reject_count: parcel.reject_count,
            extension_handshakes: parcel.extension_handshakes,
            introductions: parcel.introductions,
            leaves_served: parcel.leaves_served,
            desk: Desk::unpack(parcel.metadata),
            ..peer
        }
    }
}
