//! Requests both ways: what we ask of the peer, what it asks of us, and refusals (BEP 3, BEP 6).

use crate::base::bitfield::Bitfield;
use crate::base::ids::BlockIndex;
use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::base::limits::REJECT_MAX;
use crate::base::limits::REQUEST_QUEUE_MAX;
use crate::codec::message::Message;
use crate::engine::peer::fault::PeerFault;
use crate::engine::peer::speech::state::Peer;
use crate::engine::peer::uploads::Wanted;
use crate::engine::peer::words::PeerEvent;

impl Peer {
    pub(crate) fn request(&mut self, now: Instant, piece: PieceIndex, block: BlockIndex) {
        if self.pipeline.ask(now, piece, block) {
            let (begin, length) = self.layout.block_range(piece, block);
            self.say(&Message::Request { piece: piece.as_u32(), begin, length });
        }
    }

    /// Another peer delivered the block: this one need not (BEP 3, end game).
    pub(crate) fn cancel(&mut self, piece: PieceIndex, block: BlockIndex) {
        if self.pipeline.withdraw(piece, block) {
            let (begin, length) = self.layout.block_range(piece, block);
            self.say(&Message::Cancel { piece: piece.as_u32(), begin, length });
        }
    }

    pub(in crate::engine::peer) fn handle_block_start(
        &mut self,
        piece: u32,
        begin: u32,
        length: u32,
    ) -> Result<PeerEvent<'static>, PeerFault> {
        let piece = self.layout.piece(piece)?;
        let block = self.layout.block(piece, begin, length)?;
        let was_asked = self.pipeline.arrived(piece, block);
        Ok(PeerEvent::BlockStart { piece, block, was_asked })
    }

    pub(in crate::engine::peer) fn handle_request(
        &mut self,
        piece: u32,
        begin: u32,
        length: u32,
    ) -> Result<PeerEvent<'static>, PeerFault> {
        let piece = self.layout.request(piece, begin, length)?;
        let wanted = Wanted { piece, begin, length };
        if self.unchoked_since.is_some() && self.uploads.request(wanted) {
            return Ok(PeerEvent::Requested);
        }
        self.refuse(wanted)?;
        Ok(PeerEvent::Nothing)
    }

    /// Refuses the request that came last if we do not have its piece: what is on the disk there
    /// was never verified.
    pub(crate) fn refuse_missing(&mut self, have: &Bitfield) -> Result<(), PeerFault> {
        self.uploads.take_missing(have).map_or(Ok(()), |wanted| self.refuse(wanted))
    }

    fn refuse(&mut self, wanted: Wanted) -> Result<(), PeerFault> {
        self.count_refusal()?;
        self.reject(wanted);
        Ok(())
    }

    /// Refuses a request as it stands on the wire, while the layout is not known.
    pub(in crate::engine::peer) fn refuse_raw(
        &mut self,
        (piece, begin, length): (u32, u32, u32),
    ) -> Result<(), PeerFault> {
        self.count_refusal()?;
        if self.has_fast {
            self.say(&Message::Reject { piece, begin, length });
        }
        Ok(())
    }

    fn count_refusal(&mut self) -> Result<(), PeerFault> {
        // A window of requests may cross our choke on the wire: that is no fault.
        let crossing = if self.unchoked_since.is_none() { REQUEST_QUEUE_MAX as u32 } else { 0 };
        self.reject_count += 1;
        if self.reject_count > REJECT_MAX + crossing {
            return Err(PeerFault::Rejects);
        }
        Ok(())
    }

    pub(in crate::engine::peer) fn handle_reject(
        &mut self,
        piece: u32,
        begin: u32,
        length: u32,
    ) -> Result<PeerEvent<'static>, PeerFault> {
        self.agreed("reject request")?;
        let piece = self.layout.piece(piece)?;
        let block = self.layout.block(piece, begin, length)?;
        self.allowed_fast.retain(|allowed| *allowed != piece);
        let was_asked = self.pipeline.rejected(piece, block);
        Ok(if was_asked { PeerEvent::Rejected(piece, block) } else { PeerEvent::Nothing })
    }

    /// BEP 6: every request is answered, by a block or a reject.
    pub(in crate::engine::peer) fn reject(&mut self, wanted: Wanted) {
        if self.has_fast {
            let Wanted { piece, begin, length } = wanted;
            self.say(&Message::Reject { piece: piece.as_u32(), begin, length });
        }
    }
}
