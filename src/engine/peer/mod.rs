//! One connected peer: its side of the protocol, checked at the door (BEP 3, 6, 10).
//!
//! The peer turns bytes into [`PeerEvent`]s whose numbers are valid, keeps what each side told the
//! other, and gathers what is to be sent. What to ask for, whom to unchoke and whom to ban is its
//! swarm's business.

pub(crate) mod control;
pub(crate) mod fault;
pub(crate) mod pieces;
pub(crate) mod pipeline;
pub(crate) mod pulse;
pub(crate) mod uploads;
pub(crate) mod words;

use std::net::SocketAddr;

use smallvec::SmallVec;

use crate::base::bitfield::Bitfield;
use crate::base::ids::BlockIndex;
use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::base::limits::CONTROL_BACKLOG_MAX;
use crate::base::limits::EXTENSION_HANDSHAKE_MAX;
use crate::base::limits::REJECT_MAX;
use crate::base::limits::REQUEST_QUEUE_MAX;
use crate::base::limits::SUGGEST_MAX;
use crate::base::rate::Rate;
use crate::codec::extension::ExtensionHandshake;
use crate::codec::handshake::Handshake;
use crate::codec::message::Decoder;
use crate::codec::message::Message;
use crate::codec::message::MessageLimits;
use crate::codec::message::Token;
use crate::content::layout::Layout;
use crate::engine::peer::control::Allowance;
use crate::engine::peer::fault::PeerFault;
use crate::engine::peer::pieces::PIECES_PER_CHARGE;
use crate::engine::peer::pieces::Pieces;
use crate::engine::peer::pipeline::Pipeline;
use crate::engine::peer::pulse::Pulse;
use crate::engine::peer::uploads::Uploads;
use crate::engine::peer::uploads::Wanted;
use crate::engine::peer::words::PeerEvent;
use crate::engine::peer::words::Receiving;
use crate::engine::to_ring::ConnId;
use crate::engine::to_ring::SendBatch;

/// A connected peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) conn: ConnId,
    pub(crate) address: SocketAddr,
    pub(crate) is_inbound: bool,
    pub(crate) peer_id: [u8; 20],
    pub(crate) pieces: Pieces,
    pub(crate) pipeline: Pipeline,
    pub(crate) uploads: Uploads,
    pub(crate) received: Rate,
    pub(crate) sent: Rate,
    /// Pieces it has and we want.
    pub(crate) wanted_count: u32,
    pub(crate) allowed_fast: SmallVec<[PieceIndex; 4]>,
    pub(crate) client: Option<String>,
    pub(crate) is_upload_only: bool,
    pub(crate) connected_since: Instant,
    pub(crate) unchoked_since: Option<Instant>,
    /// When it was choked last; `None` if it was never unchoked.
    pub(crate) choked_since: Option<Instant>,
    /// Payload sent since it was unchoked: what round robin turns on.
    pub(crate) sent_at_unchoke: u64,
    /// The block whose bytes are arriving.
    pub(crate) receiving: Option<Receiving>,
    /// On its swarm's list of peers with something due this turn.
    pub(crate) is_due: bool,
    has_fast: bool,
    has_extensions: bool,
    chokes_us: bool,
    is_interested: bool,
    wants_us: bool,
    has_told_pieces: bool,
    has_spoken: bool,
    decoder: Decoder,
    layout: Layout,
    outbox: Vec<u8>,
    control: Allowance,
    reject_count: u32,
    extension_handshakes: u32,
    pulse: Pulse,
}

impl Peer {
    pub(crate) fn new(
        conn: ConnId,
        address: SocketAddr,
        is_inbound: bool,
        theirs: &Handshake,
        layout: Layout,
        now: Instant,
    ) -> Peer {
        Peer {
            conn,
            address,
            is_inbound,
            peer_id: theirs.peer_id,
            pieces: Pieces::none(layout.piece_count()),
            pipeline: Pipeline::new(now),
            uploads: Uploads::default(),
            received: Rate::default(),
            sent: Rate::default(),
            wanted_count: 0,
            allowed_fast: SmallVec::new(),
            client: None,
            is_upload_only: false,
            connected_since: now,
            unchoked_since: None,
            choked_since: None,
            sent_at_unchoke: 0,
            receiving: None,
            is_due: false,
            has_fast: theirs.has_fast(),
            has_extensions: theirs.has_extensions(),
            chokes_us: true,
            is_interested: false,
            wants_us: false,
            has_told_pieces: false,
            has_spoken: false,
            decoder: Decoder::new(MessageLimits::new(layout.piece_count())),
            layout,
            outbox: Vec::new(),
            control: Allowance::new(now),
            reject_count: 0,
            extension_handshakes: 0,
            pulse: Pulse::new(now),
        }
    }

    // Verbs: what the swarm wants.

    /// Answers a stranger's handshake.
    pub(crate) fn greet(&mut self, ours: &Handshake) {
        self.outbox.extend_from_slice(&ours.encode());
    }

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

    /// Sends our extension handshake (BEP 10), if the peer speaks extensions.
    pub(crate) fn introduce(&mut self, ours: &ExtensionHandshake) {
        if self.has_extensions {
            self.say(&Message::Extended { id: 0, payload: &ours.encode() });
        }
    }

    /// Tells of a new piece. A peer that does not read loses these first: it can ask again by
    /// connecting again.
    pub(crate) fn tell_have(&mut self, piece: PieceIndex) {
        if self.outbox.len() < CONTROL_BACKLOG_MAX / 2 && !self.pieces.has(piece) {
            self.say(&Message::Have(piece.as_u32()));
        }
    }

    /// Says interested or not interested, if that is news.
    pub(crate) fn set_interest(&mut self, wanted: bool) {
        if self.wants_us != wanted {
            self.wants_us = wanted;
            self.say(if wanted { &Message::Interested } else { &Message::NotInterested });
        }
    }

    /// Chokes: what it asked for is dropped, but with the fast extension, where each request is
    /// answered: what is not being read is rejected, the rest still goes out (BEP 6). Returns the
    /// bytes that were read for it in vain.
    pub(crate) fn choke(&mut self, now: Instant) -> usize {
        if self.unchoked_since.take().is_none() {
            return 0;
        }
        self.choked_since = Some(now);
        self.say(&Message::Choke);
        for wanted in self.uploads.take_queue() {
            self.reject(wanted);
        }
        if self.has_fast { 0 } else { self.uploads.drop_runs() }
    }

    pub(crate) fn unchoke(&mut self, now: Instant) {
        if self.unchoked_since.is_none() {
            self.unchoked_since = Some(now);
            self.sent_at_unchoke = self.sent.total();
            self.reject_count = 0;
            self.say(&Message::Unchoke);
        }
    }

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

    // handle_*: what the world did.

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

    fn handle_block_start(
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

    fn handle_message(
        &mut self,
        now: Instant,
        message: Message<'_>,
    ) -> Result<PeerEvent<'static>, PeerFault> {
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
            _ => {
                self.take_control(now)?;
                self.handle_control(message)
            }
        }
    }

    fn handle_control(&mut self, message: Message<'_>) -> Result<PeerEvent<'static>, PeerFault> {
        match message {
            Message::Choke => Ok(self.handle_choke()),
            Message::Unchoke => {
                self.chokes_us = false;
                Ok(PeerEvent::Unchoked)
            }
            Message::Interested | Message::NotInterested => {
                self.is_interested = message == Message::Interested;
                Ok(PeerEvent::InterestChanged)
            }
            Message::Cancel { piece, begin, length } => {
                let piece = self.layout.request(piece, begin, length)?;
                let wanted = Wanted { piece, begin, length };
                if self.uploads.cancel(wanted) {
                    self.reject(wanted);
                }
                Ok(PeerEvent::Nothing)
            }
            Message::AllowedFast(piece) => self.handle_allowed_fast(piece),
            Message::Suggest(piece) => {
                self.agreed("suggest piece")?;
                self.layout.piece(piece)?;
                Ok(PeerEvent::Nothing)
            }
            Message::Extended { id: 0, payload } => self.handle_introduction(payload),
            // Extensions that we did not announce, DHT ports and keep-alives: nothing to do.
            _ => Ok(PeerEvent::Nothing),
        }
    }

    /// BEP 6: a choke does not reject requests; without it, it drops them all.
    fn handle_choke(&mut self) -> PeerEvent<'static> {
        self.chokes_us = true;
        if self.has_fast {
            return PeerEvent::Choked(Vec::new());
        }
        PeerEvent::Choked(self.pipeline.take_all())
    }

    fn handle_have(&mut self, piece: u32) -> Result<PeerEvent<'static>, PeerFault> {
        let piece = self.layout.piece(piece)?;
        self.has_told_pieces = true;
        Ok(if self.pieces.set(piece) { PeerEvent::Has(piece) } else { PeerEvent::Nothing })
    }

    fn handle_have_all_or_none(
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
    fn handle_pieces(
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

    fn handle_request(
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
        // A window of requests may cross our choke on the wire: that is no fault.
        let crossing = if self.unchoked_since.is_none() { REQUEST_QUEUE_MAX as u32 } else { 0 };
        self.reject_count += 1;
        if self.reject_count > REJECT_MAX + crossing {
            return Err(PeerFault::Rejects);
        }
        self.reject(wanted);
        Ok(())
    }

    fn handle_reject(
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

    fn handle_allowed_fast(&mut self, piece: u32) -> Result<PeerEvent<'static>, PeerFault> {
        self.agreed("allowed fast")?;
        let piece = self.layout.piece(piece)?;
        if self.allowed_fast.len() < SUGGEST_MAX && !self.allowed_fast.contains(&piece) {
            self.allowed_fast.push(piece);
        }
        Ok(PeerEvent::AllowedFast)
    }

    fn handle_introduction(&mut self, payload: &[u8]) -> Result<PeerEvent<'static>, PeerFault> {
        self.extension_handshakes += 1;
        if self.extension_handshakes > EXTENSION_HANDSHAKE_MAX {
            return Err(PeerFault::Extension("sent too many times".to_owned()));
        }
        let theirs = ExtensionHandshake::decode(payload)
            .map_err(|fault| PeerFault::Extension(fault.to_string()))?;
        if let Some(reqq) = theirs.reqq {
            self.pipeline.set_queue_max(reqq);
        }
        self.is_upload_only = theirs.is_upload_only;
        self.client = theirs.client.or_else(|| self.client.take());
        Ok(PeerEvent::Introduced)
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

    // poll_*: what the world should do.

    /// Moves everything that can be sent now into `batch`: messages first, then blocks.
    pub(crate) fn poll_send(&mut self, now: Instant, batch: &mut SendBatch) {
        batch.push_small(&self.outbox);
        self.outbox.clear();
        self.uploads.fill(batch);
        self.pulse.sending(now, batch.is_empty());
    }

    pub(crate) fn has_output(&self) -> bool {
        !self.outbox.is_empty() || self.uploads.is_ready()
    }

    /// The peer does not read and too much waits for it.
    pub(crate) fn is_backlogged(&self) -> bool {
        self.outbox.len() > CONTROL_BACKLOG_MAX
    }

    pub(crate) fn chokes_us(&self) -> bool {
        self.chokes_us
    }

    pub(crate) fn is_interested(&self) -> bool {
        self.is_interested
    }

    pub(crate) fn wants_us(&self) -> bool {
        self.wants_us
    }

    fn say(&mut self, message: &Message<'_>) {
        message.encode(&mut self.outbox);
    }

    /// BEP 6: every request is answered, by a block or a reject.
    fn reject(&mut self, wanted: Wanted) {
        if self.has_fast {
            let Wanted { piece, begin, length } = wanted;
            self.say(&Message::Reject { piece: piece.as_u32(), begin, length });
        }
    }

    fn agreed(&self, what: &'static str) -> Result<(), PeerFault> {
        if self.has_fast { Ok(()) } else { Err(PeerFault::NotAgreed(what)) }
    }

    fn take_control(&mut self, now: Instant) -> Result<(), PeerFault> {
        if self.control.take(now) { Ok(()) } else { Err(PeerFault::Flood) }
    }
}

#[cfg(test)]
mod tests;
