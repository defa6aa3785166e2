//! One connected peer: its side of the protocol, checked at the door (BEP 3, 6, 10).
//!
//! The peer turns bytes into [`PeerEvent`]s whose numbers are valid, keeps what each side told the
//! other, and gathers what is to be sent. What to ask for, whom to unchoke and whom to ban is its
//! swarm's business.

pub(crate) mod control;
pub(crate) mod desk;
pub(crate) mod fault;
pub(crate) mod pieces;
pub(crate) mod pipeline;
pub(crate) mod premature;
pub(crate) mod pulse;
pub(crate) mod speech;
pub(crate) mod uploads;
pub(crate) mod words;

use crate::base::bitfield::Bitfield;
use crate::base::instant::Instant;
use crate::codec::message::Message;
use crate::codec::message_decoder::Token;
use crate::codec::ut_metadata::OUR_UT_METADATA;
use crate::engine::peer::fault::PeerFault;
use crate::engine::peer::pieces::Pieces;
use crate::engine::peer::speech::state::Peer;
use crate::engine::peer::words::PeerEvent;
use crate::engine::to_ring::SendBatch;

impl Peer {
    /// The next event in `input`, which advances; `None` when it is used up.
    pub(crate) fn next_event<'i>(
        &mut self,
        now: Instant,
        input: &mut &'i [u8],
    ) -> Result<Option<PeerEvent<'i>>, PeerFault> {
        self.pulse.heard(now);
        let Some(token) = self.decoder.next(input)? else { return Ok(None) };
        let event = match token {
            Token::Message(message) => self.handle_message(now, message)?,
            Token::Held(held) => self.handle_message(now, held.message())?,
            Token::BlockStart { piece, begin, length } => {
                self.handle_block_start(piece, begin, length)?
            }
            Token::BlockBytes(bytes) => {
                self.received.add(now, bytes.len() as u64);
                PeerEvent::BlockBytes(bytes)
            }
            Token::BlockEnd => PeerEvent::BlockEnd,
            Token::Skipped { .. } => {
                self.take_control(now)?;
                PeerEvent::Nothing
            }
        };
        self.has_spoken = true;
        Ok(Some(event))
    }

    fn handle_message(
        &mut self,
        now: Instant,
        message: Message<'_>,
    ) -> Result<PeerEvent<'static>, PeerFault> {
        if let Some(event) = self.handle_early(now, &message)? {
            return Ok(event);
        }
        match message {
            Message::Have(piece) => self.handle_have(piece),
            Message::Request { piece, begin, length } => self.handle_request(piece, begin, length),
            Message::Reject { piece, begin, length } => self.handle_reject(piece, begin, length),
            Message::Bitfield(wire) => {
                let piece_count = self.layout.piece_count();
                let field = Bitfield::from_wire(wire, piece_count).ok_or(PeerFault::SpareBits)?;
                self.handle_pieces(now, Pieces::Some(field))
            }
            Message::HaveAll | Message::HaveNone => self.handle_have_all_or_none(now, message),
            Message::Extended { id: OUR_UT_METADATA, payload } => {
                self.handle_metadata(now, payload)
            }
            Message::HashRequest(_) | Message::Hashes { .. } | Message::HashReject(_) => {
                self.handle_hashes(now, message)
            }
            _ => {
                self.take_control(now)?;
                self.handle_control(message)
            }
        }
    }

    /// A batch left.
    pub(crate) fn handle_sent(&mut self, now: Instant) -> usize {
        self.pulse.sent(now);
        let payload = self.uploads.sent();
        self.sent.add(now, payload as u64);
        payload
    }

    /// Says a keep-alive when we were silent. A peer that is late is at fault.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), PeerFault> {
        if self.pulse.handle_timeout(now)? {
            self.say(&Message::KeepAlive);
        }
        Ok(())
    }

    /// Moves everything that can be sent now into `batch`: messages first, then blocks.
    pub(crate) fn poll_send(&mut self, now: Instant, batch: &mut SendBatch) {
        batch.push_small(&self.outbox);
        self.outbox.clear();
        self.uploads.fill(batch);
        self.pulse.sending(now, batch.is_empty());
    }
}

#[cfg(test)]
mod tests;
