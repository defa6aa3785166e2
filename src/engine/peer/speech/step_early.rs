//! Messages about pieces while nobody knows how many there are (BEP 9).

use crate::base::instant::Instant;
use crate::codec::message::Message;
use crate::codec::message_decoder::MessageLimits;
use crate::content::layout::Layout;
use crate::engine::peer::fault::PeerFault;
use crate::engine::peer::pieces::PIECES_PER_CHARGE;
use crate::engine::peer::pieces::Pieces;
use crate::engine::peer::premature::Early;
use crate::engine::peer::speech::state::Peer;
use crate::engine::peer::words::PeerEvent;

impl Peer {
    /// From the handshake on: the layout is not known, and we have nothing.
    pub(crate) fn await_layout(&mut self) {
        self.early = Some(Box::default());
        self.decoder.set_limits(MessageLimits::without_layout());
        if self.has_fast {
            self.say(&Message::HaveNone);
        }
    }

    /// Whether the layout is still awaited.
    pub(crate) fn is_early(&self) -> bool {
        self.early.is_some()
    }

    /// Bytes of what it told early.
    pub(crate) fn early_held(&self) -> usize {
        self.early.as_ref().map_or(0, |early| early.held())
    }

    /// Bytes of what it told early: what its swarm counted before, and counts from now on.
    pub(crate) fn early_recount(&mut self) -> (usize, usize) {
        self.early.as_mut().map_or((0, 0), |early| early.recount())
    }

    /// The layout is known: what it told is checked. True if it told its pieces.
    pub(crate) fn learn_layout(&mut self, layout: Layout) -> Result<bool, PeerFault> {
        let Some(early) = self.early.take() else { return Ok(false) };
        self.decoder.set_limits(MessageLimits::new(layout.piece_count()));
        for piece in early.allowed_fast() {
            self.allowed_fast.push(layout.piece(*piece)?);
        }
        let pieces = early.into_pieces(&layout)?;
        self.has_told_pieces = pieces.is_some();
        self.pieces = pieces.unwrap_or_else(|| Pieces::none(layout.piece_count()));
        self.layout = layout;
        Ok(self.has_told_pieces)
    }

    /// Takes a message about pieces; `None` if it is about something else.
    pub(in crate::engine::peer) fn handle_early(
        &mut self,
        now: Instant,
        message: &Message<'_>,
    ) -> Result<Option<PeerEvent<'static>>, PeerFault> {
        let Some(early) = self.early.as_mut() else { return Ok(None) };
        let mut charges = 1;
        match *message {
            Message::Have(piece) => {
                early.handle_have(piece)?;
                charges = 0;
            }
            Message::Bitfield(wire) => {
                early.handle_field(wire);
                charges += wire.len() as u32 / (PIECES_PER_CHARGE / 8);
            }
            Message::HaveAll | Message::HaveNone => self.handle_early_word(message)?,
            Message::AllowedFast(piece) => {
                early.handle_allowed_fast(piece)?;
                self.agreed("allowed fast")?;
            }
            Message::Suggest(_) => self.agreed("suggest piece")?,
            // We never unchoked it: its requests are refused without a look at them.
            Message::Request { piece, begin, length } => self.refuse_raw((piece, begin, length))?,
            Message::Cancel { .. } => {}
            _ => return Ok(None),
        }
        for _ in 0..charges {
            self.take_control(now)?;
        }
        Ok(Some(PeerEvent::EarlyTold))
    }

    fn handle_early_word(&mut self, message: &Message<'_>) -> Result<(), PeerFault> {
        self.agreed("have all or have none")?;
        let Some(early) = self.early.as_deref_mut() else { return Ok(()) };
        match message {
            Message::HaveAll => Early::handle_all(early),
            _ => Early::handle_nothing(early),
        }
        Ok(())
    }
}
