//! Who has what: bitfields, have messages and their short forms (BEP 3, BEP 6).

use crate::base::bitfield::Bitfield;
use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::base::limits::CONTROL_BACKLOG_MAX;
use crate::codec::message::Message;
use crate::engine::peer::fault::PeerFault;
use crate::engine::peer::pieces::PIECES_PER_CHARGE;
use crate::engine::peer::pieces::Pieces;
use crate::engine::peer::speech::state::Peer;
use crate::engine::peer::words::PeerEvent;

impl Peer {
    /// Tells what we have, as the first message (BEP 3 bitfield; BEP 6 have all and have none).
    pub(crate) fn tell_pieces(&mut self, have: &Bitfield) {
        if self.has_fast && have.is_full() {
            self.say(&Message::HaveAll);
        } else if have.count_ones() > 0 {
            self.say(&Message::Bitfield(have.as_wire()));
        } else if self.has_fast {
            self.say(&Message::HaveNone);
        }
    }

    /// Tells of a new piece. A peer that does not read loses these first: it can ask again by
    /// connecting again.
    pub(crate) fn tell_have(&mut self, piece: PieceIndex) {
        if self.outbox.len() < CONTROL_BACKLOG_MAX / 2 && !self.pieces.has(piece) {
            self.say(&Message::Have(piece.as_u32()));
        }
    }

    pub(in crate::engine::peer) fn handle_have(
        &mut self,
        piece: u32,
    ) -> Result<PeerEvent<'static>, PeerFault> {
        let piece = self.layout.piece(piece)?;
        self.has_told_pieces = true;
        Ok(if self.pieces.set(piece) { PeerEvent::Has(piece) } else { PeerEvent::Nothing })
    }

    pub(in crate::engine::peer) fn handle_have_all_or_none(
        &mut self,
        now: Instant,
        message: Message<'_>,
    ) -> Result<PeerEvent<'static>, PeerFault> {
        self.agreed("have all or have none")?;
        let piece_count = self.layout.piece_count();
        let pieces = match message {
            Message::HaveAll => Pieces::All { piece_count },
            _ => Pieces::none(piece_count),
        };
        self.handle_pieces(now, pieces)
    }

    /// BEP 3 wants it first and once. aria2 sends it again where that is shorter than its have
    /// messages: what it adds counts, what it takes back does not. It costs us a pass over all
    /// pieces, so it is charged by its length.
    pub(in crate::engine::peer) fn handle_pieces(
        &mut self,
        now: Instant,
        pieces: Pieces,
    ) -> Result<PeerEvent<'static>, PeerFault> {
        if !std::mem::replace(&mut self.has_told_pieces, true) {
            self.pieces = pieces;
            return Ok(PeerEvent::HasSet);
        }
        for _ in 0..=self.layout.piece_count() / PIECES_PER_CHARGE {
            self.take_control(now)?;
        }
        Ok(self.pieces.grow(pieces).map_or(PeerEvent::Nothing, PeerEvent::HasMore))
    }
}
