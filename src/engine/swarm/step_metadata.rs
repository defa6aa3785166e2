//! Metadata: served to peers that know the torrent by its hash alone (BEP 9).

use crate::base::limits::METADATA_PART_LEN;
use crate::base::slots::SlotId;
use crate::codec::ut_metadata::MetadataMessage;
use crate::codec::ut_metadata::part_count;
use crate::engine::swarm::state::Swarm;

impl Swarm {
    /// Bytes of our metadata; `None` while we have none.
    pub(crate) fn metadata_size(&self) -> Option<u32> {
        u32::try_from(self.torrent.info_bytes().len()).ok().filter(|size| *size > 0)
    }

    /// A peer asks for a part of the metadata.
    pub(crate) fn handle_metadata_wanted(&mut self, id: SlotId, part: u32) {
        let count = part_count(self.metadata_size().unwrap_or(0));
        if let Some(peer) = self.peers.get_mut(id) {
            peer.queue_metadata(part, count);
        }
    }

    /// Sends the parts that a peer waits for, as far as it reads.
    pub(crate) fn serve_metadata(&mut self, id: SlotId) {
        let total_size = self.metadata_size();
        let Some(peer) = self.peers.get_mut(id) else { return };
        while let Some(part) = peer.next_metadata() {
            let start = part as usize * METADATA_PART_LEN as usize;
            let rest = self.torrent.info_bytes().get(start..).unwrap_or_default();
            let bytes = rest.get(..METADATA_PART_LEN as usize).unwrap_or(rest);
            peer.say_metadata(&MetadataMessage::Data { part, total_size, bytes });
        }
    }
}
