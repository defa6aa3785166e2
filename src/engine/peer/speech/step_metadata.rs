//! Metadata messages both ways (BEP 9).

use crate::base::instant::Instant;
use crate::base::limits::METADATA_BACKLOG_MAX;
use crate::codec::message::Message;
use crate::codec::ut_metadata::MetadataMessage;
use crate::engine::peer::fault::PeerFault;
use crate::engine::peer::speech::state::Peer;
use crate::engine::peer::words::PeerEvent;

impl Peer {
    /// Asks for a part.
    pub(crate) fn ask_metadata(&mut self, part: u32) {
        self.desk.asked();
        self.say_metadata(&MetadataMessage::Request { part });
    }

    /// Queues the part that it asked for, one of `count`, or rejects it.
    pub(crate) fn queue_metadata(&mut self, part: u32, count: u32) {
        if !self.desk.ask(part, count) {
            self.say_metadata(&MetadataMessage::Reject { part });
        }
    }

    /// The next part to be sent to it, while little waits for it: parts are copied into what waits,
    /// so a peer that does not read must not gather them.
    pub(crate) fn next_metadata(&mut self) -> Option<u32> {
        if self.outbox.len() < METADATA_BACKLOG_MAX { self.desk.pop() } else { None }
    }

    pub(crate) fn say_metadata(&mut self, message: &MetadataMessage<'_>) {
        if let Some(id) = self.desk.their_id() {
            self.say(&Message::Extended { id, payload: &message.encode() });
        }
    }

    pub(in crate::engine::peer) fn handle_metadata(
        &mut self,
        now: Instant,
        payload: &[u8],
    ) -> Result<PeerEvent<'static>, PeerFault> {
        let message = MetadataMessage::decode(payload)?;
        let is_answer =
            matches!(message, MetadataMessage::Data { .. } | MetadataMessage::Reject { .. });
        if !(is_answer && self.desk.answered()) {
            self.take_control(now)?;
        }
        Ok(match message {
            MetadataMessage::Request { part } => PeerEvent::MetadataWanted(part),
            MetadataMessage::Reject { part } => PeerEvent::MetadataRejected(part),
            MetadataMessage::Data { part, total_size, bytes } => {
                PeerEvent::Metadata { part, total_size, bytes: bytes.into() }
            }
            MetadataMessage::Unknown => PeerEvent::Nothing,
        })
    }
}
