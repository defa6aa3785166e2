//! One connection of a scripted peer: raw wire on one side, a [`Conduct`] on the other.
//!
//! It shares nothing with the engine but the codec, so that it can be wrong in ways of its own.

use std::collections::BTreeSet;
use std::collections::VecDeque;

use crate::base::bitfield::Bitfield;
use crate::base::digest::Sha1;
use crate::base::instant::Instant;
use crate::base::rng::Rng;
use crate::codec::handshake::HANDSHAKE_LEN;
use crate::codec::handshake::Handshake;
use crate::codec::hash_request::HashRequest;
use crate::codec::message::Message;
use crate::codec::message::piece_header;
use crate::codec::message_decoder::Decoder;
use crate::codec::message_decoder::MessageLimits;
use crate::codec::message_decoder::Token;
use crate::sim::bundle::Bundle;
use crate::sim::conduct::Claim;
use crate::sim::conduct::Conduct;
use crate::sim::conduct::Greeting;
use crate::sim::conduct::Serving;
use crate::sim::conduct::Speaks;
use crate::sim::facts::PeerFacts;
use crate::sim::librarian;
use crate::sim::names;

/// Requests under way of a scripted leech.
const WINDOW: usize = 8;

/// `(piece, begin, length)` as on the wire.
type Block = (u32, u32, u32);

/// A connection of a scripted peer.
#[derive(Debug)]
pub(crate) struct Peer {
    conduct: Conduct,
    bundle: Bundle,
    rng: Rng,
    peer_id: [u8; 20],
    facts: PeerFacts,
    head: Vec<u8>,
    decoder: Decoder,
    is_fast: bool,
    /// The id under which the other side takes metadata messages.
    metadata_id: Option<u8>,
    /// Bytes to send, and whether a send is under way.
    out: VecDeque<u8>,
    is_sending: bool,
    wants_close: bool,
    /// Bytes of `out` that may go, for trickles.
    next_at: Option<Instant>,
    // As a seed.
    is_unchoking: bool,
    asked: VecDeque<Block>,
    wants_us: bool,
    // As a leech.
    theirs: Bitfield,
    chokes_us: bool,
    said_interested: bool,
    wanted: VecDeque<Block>,
    under_way: BTreeSet<Block>,
    block: Option<(Block, Vec<u8>)>,
    got: BTreeSet<Block>,
}

impl Peer {
    pub(crate) fn new(conduct: Conduct, bundle: Bundle, mut rng: Rng) -> Peer {
        let pieces = bundle.piece_count();
        let mut peer_id = *b"-SI0001-000000000000";
        for byte in &mut peer_id[8..] {
            *byte = b'a' + rng.below(26) as u8;
        }
        let wanted = if conduct.is_leech { bundle.blocks(0..pieces).into() } else { [].into() };
        Peer {
            conduct,
            bundle,
            rng,
            peer_id,
            facts: PeerFacts::default(),
            head: Vec::new(),
            decoder: Decoder::new(MessageLimits::new(pieces)),
            is_fast: false,
            metadata_id: None,
            out: VecDeque::new(),
            is_sending: false,
            wants_close: false,
            next_at: None,
            is_unchoking: false,
            asked: VecDeque::new(),
            wants_us: false,
            theirs: Bitfield::zeros(pieces),
            chokes_us: true,
            said_interested: false,
            wanted,
            under_way: BTreeSet::new(),
            block: None,
            got: BTreeSet::new(),
        }
    }

    pub(crate) fn facts(&self) -> &PeerFacts {
        &self.facts
    }

    /// As a leech: everything is here, and every byte was right.
    pub(crate) fn is_complete(&self) -> bool {
        self.got.len() == self.bundle.blocks(0..self.bundle.piece_count()).len()
    }

    pub(crate) fn is_deaf(&self) -> bool {
        self.conduct.is_deaf
    }

    pub(crate) fn handle_connected(&mut self, now: Instant) {
        if self.conduct.speaks != Speaks::First {
            // Who knows one name waits for it.
            return;
        }
        let plain = Handshake { reserved: [0; 8], ..Handshake::ours(self.hash(), self.peer_id) };
        match self.conduct.greeting.clone() {
            Greeting::Fast => self.say(&Handshake::ours(self.hash(), self.peer_id).encode()),
            Greeting::Plain => self.say(&plain.encode()),
            Greeting::StrangeTorrent => {
                let strange = Handshake::ours(Sha1::of(b"strange"), self.peer_id);
                self.say(&strange.encode());
            }
            Greeting::Raw(bytes) => self.say(&bytes),
            Greeting::Silence => {}
            Greeting::Dribble(every) => {
                self.say(&Handshake::ours(self.hash(), self.peer_id).encode());
                self.next_at = Some(now + every);
            }
        }
        let is_proper = matches!(self.conduct.greeting, Greeting::Fast | Greeting::Plain);
        if is_proper || matches!(self.conduct.greeting, Greeting::Raw(_)) {
            self.open(now);
        }
    }

    pub(crate) fn handle_bytes(&mut self, now: Instant, mut bytes: &[u8]) {
        if self.head.len() < HANDSHAKE_LEN {
            let (head, rest) = bytes.split_at(bytes.len().min(HANDSHAKE_LEN - self.head.len()));
            self.head.extend_from_slice(head);
            bytes = rest;
            let Some(Ok(wire)) = self.head.get(..HANDSHAKE_LEN).map(TryInto::try_into) else {
                return;
            };
            match Handshake::decode(wire) {
                Ok(theirs)
                    if !names::takes(&self.bundle, self.conduct.speaks, &theirs.info_hash) =>
                {
                    self.facts.is_misnamed = true;
                    self.wants_close = true;
                    return;
                }
                Ok(handshake) => {
                    self.facts.has_shaken_hands = true;
                    if self.conduct.speaks != Speaks::First {
                        let knows_v2 = self.conduct.speaks == Speaks::V2;
                        let ours = Handshake::ours(self.hash(), self.peer_id).with_v2(knows_v2);
                        self.say(&ours.encode());
                        self.open(now);
                    }
                    let ours = self.conduct.greeting != Greeting::Plain;
                    self.is_fast = ours && handshake.has_fast();
                }
                other => self.facts.complaint = Some(format!("a wrong handshake: {other:?}")),
            }
        }
        loop {
            match self.decoder.next(&mut bytes) {
                Ok(None) => break,
                Ok(Some(token)) => self.handle_token(now, &token),
                Err(fault) => {
                    self.facts.complaint = Some(format!("a faulty message: {fault}"));
                    break;
                }
            }
        }
        self.answer(now);
        self.ask();
        self.note_idleness(now);
    }

    pub(crate) fn handle_sent(&mut self) {
        self.is_sending = false;
    }

    pub(crate) fn handle_closed(&mut self) {
        self.facts.is_closed = true;
        self.facts.idle_since = None;
        self.out.clear();
        self.next_at = None;
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.is_sending { None } else { self.next_at }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.next_at.is_none_or(|at| at > now) {
            return;
        }
        self.next_at = None;
        if let Serving::ChokeAfter { .. } = self.conduct.serving
            && !self.is_unchoking
        {
            self.is_unchoking = true;
            self.tell(Message::Unchoke);
        }
        if let Some((bytes, every)) = self.conduct.refrain.clone() {
            self.say(&bytes);
            self.next_at = Some(now + every);
        }
        self.note_idleness(now);
    }

    /// What shall be sent next, when no send is under way.
    pub(crate) fn poll_send(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.is_sending || self.out.is_empty() || self.facts.is_closed {
            return None;
        }
        let (most, pause) = match (&self.conduct.greeting, self.conduct.serving) {
            (Greeting::Dribble(every), _) => (1, Some(*every)),
            (_, Serving::Trickle { bytes, every }) => (bytes, Some(every)),
            _ => (usize::MAX, None),
        };
        if let Some(pause) = pause {
            if self.next_at.is_some_and(|at| at > now) {
                return None;
            }
            self.next_at = Some(now + pause);
        }
        let len = most.min(self.out.len());
        self.is_sending = true;
        Some(self.out.drain(..len).collect())
    }

    /// Whether the script wants to break off now.
    pub(crate) fn poll_close(&mut self) -> bool {
        let is_over = self.wants_close && self.out.is_empty() && !self.is_sending;
        is_over && !self.facts.is_closed
    }

    fn hash(&self) -> Sha1 {
        names::own_name(&self.bundle, self.conduct.speaks)
    }

    fn say(&mut self, bytes: &[u8]) {
        self.out.extend(bytes);
    }

    fn tell(&mut self, message: Message<'_>) {
        let mut wire = Vec::new();
        message.encode(&mut wire);
        self.say(&wire);
    }

    /// Everything after the handshake that waits for nothing.
    fn open(&mut self, now: Instant) {
        let pieces = self.bundle.piece_count();
        match self.conduct.claim.clone() {
            Claim::All => self.tell(Message::Bitfield(Bitfield::ones(pieces).as_wire())),
            Claim::Nothing => self.tell(Message::Bitfield(Bitfield::zeros(pieces).as_wire())),
            Claim::Pieces(own) => {
                let mut field = Bitfield::zeros(pieces);
                own.iter().for_each(|piece| _ = field.set(*piece));
                self.tell(Message::Bitfield(field.as_wire()));
            }
            Claim::Unsaid => {}
        }
        self.say(&librarian::introduction(&self.bundle, self.conduct.metadata));
        let opening = std::mem::take(&mut self.conduct.opening);
        self.say(&opening);
        if self.conduct.serving != Serving::Choked {
            self.is_unchoking = true;
            self.tell(Message::Unchoke);
        }
        if let Some((_, every)) = &self.conduct.refrain {
            self.next_at = Some(now + *every);
        }
        self.wants_close = self.conduct.leaves;
    }

    fn handle_token(&mut self, now: Instant, token: &Token<'_>) {
        match token {
            Token::Message(message) => self.handle_message(now, message),
            Token::Held(held) => self.handle_message(now, &held.message()),
            Token::BlockStart { piece, begin, length } => {
                self.block = Some(((*piece, *begin, *length), Vec::new()));
            }
            Token::BlockBytes(bytes) => {
                if let Some((_, body)) = &mut self.block {
                    body.extend_from_slice(bytes);
                }
            }
            Token::BlockEnd => self.handle_block(),
            Token::Skipped { id, .. } => {
                self.facts.complaint = Some(format!("message {id} is unknown"));
            }
        }
    }

    fn handle_message(&mut self, now: Instant, message: &Message<'_>) {
        match *message {
            Message::Choke => {
                self.chokes_us = true;
                if !self.is_fast {
                    let lost = std::mem::take(&mut self.under_way);
                    self.wanted.extend(lost);
                }
            }
            Message::Unchoke => self.chokes_us = false,
            Message::Interested => self.wants_us = true,
            Message::NotInterested => self.wants_us = false,
            Message::Have(piece) => _ = self.theirs.set(piece),
            Message::HaveAll => self.theirs = Bitfield::ones(self.theirs.len()),
            Message::Bitfield(wire) => match Bitfield::from_wire(wire, self.theirs.len()) {
                Some(field) => self.theirs = field,
                None => self.facts.complaint = Some("a bitfield with spare bits".to_owned()),
            },
            Message::Request { piece, begin, length } => {
                self.facts.request_count += 1;
                self.handle_request(now, (piece, begin, length));
            }
            Message::Cancel { piece, begin, length } => {
                self.asked.retain(|block| *block != (piece, begin, length));
            }
            Message::Reject { piece, begin, length } => self.handle_reject((piece, begin, length)),
            Message::HashRequest(request) => self.handle_hash_request(request),
            Message::Extended { id: 0, payload } => self.metadata_id = librarian::their_id(payload),
            Message::Extended { id: librarian::OWN_ID, payload } => self.handle_metadata(payload),
            _ => {}
        }
    }

    fn handle_metadata(&mut self, payload: &[u8]) {
        let (manner, to) = (self.conduct.metadata, self.metadata_id);
        let answer = librarian::handle(&self.bundle, manner, to, payload, &mut self.facts);
        self.say(&answer);
    }

    fn handle_hash_request(&mut self, request: HashRequest) {
        self.facts.hash_request_count += 1;
        if self.conduct.speaks == Speaks::V1 {
            self.facts.complaint = Some("a hash request to a peer that speaks v1".to_owned());
        }
        let answer = names::answer(&self.bundle, request, self.conduct.hashes);
        self.say(&answer);
    }

    fn handle_reject(&mut self, block: Block) {
        if self.under_way.remove(&block) {
            self.wanted.push_back(block);
        }
    }

    fn handle_request(&mut self, now: Instant, block: Block) {
        if self.wants_close {
            return;
        }
        if self.bundle.part(block.0, block.1, block.2).is_none() {
            self.facts.complaint = Some(format!("a request outside the torrent: {block:?}"));
            return;
        }
        if !self.is_unchoking {
            return self.reject(block);
        }
        self.asked.push_back(block);
        if let Serving::ChokeAfter { blocks, pause } = self.conduct.serving
            && self.facts.block_count > 0
            && self.facts.block_count.is_multiple_of(blocks)
        {
            self.is_unchoking = false;
            self.tell(Message::Choke);
            for block in std::mem::take(&mut self.asked) {
                self.reject(block);
            }
            self.facts.block_count += 1;
            self.next_at = Some(now + pause);
        }
    }

    fn reject(&mut self, (piece, begin, length): Block) {
        if self.is_fast {
            self.tell(Message::Reject { piece, begin, length });
        }
    }

    fn handle_block(&mut self) {
        let Some((block, body)) = self.block.take() else { return };
        if !self.under_way.remove(&block) {
            self.facts.complaint = Some(format!("a block that was not asked for: {block:?}"));
        }
        if self.bundle.part(block.0, block.1, block.2) != Some(&body) {
            self.facts.complaint = Some(format!("wrong bytes in block {block:?}"));
            return;
        }
        self.got.insert(block);
        let piece = self.bundle.blocks(block.0..block.0 + 1);
        if piece.iter().all(|other| self.got.contains(other)) {
            self.tell(Message::Have(block.0));
        }
    }

    /// Answers what was asked, each in the script's manner.
    fn answer(&mut self, now: Instant) {
        while let Some(block) = self.asked.pop_front() {
            match self.conduct.serving {
                Serving::Choked | Serving::Stall => {}
                Serving::RejectAll => self.reject(block),
                Serving::Forget { one_in } if self.rng.below(one_in) == 0 => {}
                Serving::Corrupt { one_in } => {
                    let is_lie = self.rng.below(one_in) == 0;
                    self.facts.lie_count += u32::from(is_lie);
                    self.serve(block, is_lie);
                }
                Serving::Twice => {
                    self.serve(block, false);
                    self.serve(block, false);
                }
                Serving::Unasked => {
                    let other = self.bundle.blocks(block.0..self.bundle.piece_count());
                    let at = other.iter().position(|b| *b == block).unwrap_or(0);
                    self.serve(other.get(at + 1).copied().unwrap_or((0, 0, block.2)), false);
                }
                Serving::Half => self.serve((block.0, block.1, (block.2 / 2).max(1)), false),
                Serving::CutAfter { bytes } => {
                    self.serve(block, false);
                    let sent = self.facts.block_count as usize * block.2 as usize;
                    if sent >= bytes {
                        let half = block.2 as usize / 2;
                        self.out.truncate(self.out.len().saturating_sub(half));
                        self.wants_close = true;
                        self.asked.clear();
                    }
                }
                _ => self.serve(block, false),
            }
        }
        self.note_idleness(now);
    }

    fn serve(&mut self, (piece, begin, length): Block, is_lie: bool) {
        let Some(bytes) = self.bundle.part(piece, begin, length) else { return };
        let mut body = bytes.to_vec();
        if is_lie {
            let at = self.rng.below(length.into()) as usize;
            body[at] ^= 0x10;
        }
        self.facts.block_count += 1;
        self.say(&piece_header(piece, begin, length));
        self.say(&body);
    }

    /// A leech asks for what it wants and they have.
    fn ask(&mut self) {
        if !self.conduct.is_leech {
            return;
        }
        let wants = self.wanted.iter().any(|block| self.theirs.get(block.0));
        if wants && !self.said_interested {
            self.said_interested = true;
            self.tell(Message::Interested);
        }
        if self.chokes_us {
            return;
        }
        for _ in 0..self.wanted.len() {
            if self.under_way.len() >= WINDOW {
                break;
            }
            let Some(block) = self.wanted.pop_front() else { break };
            if self.theirs.get(block.0) {
                self.under_way.insert(block);
                let (piece, begin, length) = block;
                self.tell(Message::Request { piece, begin, length });
            } else {
                self.wanted.push_back(block);
            }
        }
    }

    fn note_idleness(&mut self, now: Instant) {
        let is_idle = self.is_unchoking && self.wants_us && self.asked.is_empty();
        self.facts.idle_since = match (is_idle && self.out.is_empty(), self.facts.idle_since) {
            (false, _) => None,
            (true, since) => since.or(Some(now)),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pass(from: &mut Peer, to: &mut Peer, now: Instant) -> bool {
        from.handle_timeout(now);
        let Some(bytes) = from.poll_send(now) else { return false };
        to.handle_bytes(now, &bytes);
        from.handle_sent();
        true
    }

    /// Lets two peers talk until neither has more to say; returns the steps it took.
    fn talk(a: &mut Peer, b: &mut Peer) -> u32 {
        let mut now = Instant::ZERO;
        a.handle_connected(now);
        b.handle_connected(now);
        for step in 0..20_000 {
            let is_quiet = !pass(a, b, now) & !pass(b, a, now);
            if is_quiet && a.poll_timeout().or(b.poll_timeout()).is_none() {
                return step;
            }
            now = now + Duration::from_millis(1);
        }
        panic!("they still talk after 20,000 steps");
    }

    fn peers(conduct: Conduct) -> (Peer, Peer) {
        let bundle = Bundle::single(9, 150_001);
        let leech = Peer::new(Conduct::leech(), bundle.clone(), Rng::new(1));
        (leech, Peer::new(conduct, bundle, Rng::new(2)))
    }

    #[test]
    fn a_scripted_leech_downloads_everything_from_a_scripted_seed() {
        for greeting in [Greeting::Fast, Greeting::Plain] {
            let (mut leech, mut seed) = peers(Conduct { greeting, ..Conduct::default() });
            talk(&mut leech, &mut seed);
            assert!(leech.is_complete() && leech.facts().complaint.is_none());
            assert_eq!((seed.facts().request_count, seed.facts().block_count), (10, 10));
        }
    }

    #[test]
    fn a_choker_and_a_trickler_are_slow_but_honest() {
        let pause = Duration::from_millis(50);
        for serving in [
            Serving::ChokeAfter { blocks: 3, pause },
            Serving::Trickle { bytes: 2_000, every: pause },
            Serving::Twice,
        ] {
            let (mut leech, mut seed) = peers(Conduct::serving(serving));
            talk(&mut leech, &mut seed);
            assert!(leech.is_complete(), "{serving:?}");
        }
    }

    #[test]
    fn liars_are_seen_by_their_bytes() {
        for serving in [Serving::Corrupt { one_in: 1 }, Serving::Unasked, Serving::Half] {
            let (mut leech, mut seed) = peers(Conduct::serving(serving));
            talk(&mut leech, &mut seed);
            assert!(leech.facts().complaint.is_some(), "{serving:?}");
        }
    }

    #[test]
    fn a_cutter_wants_to_close_in_the_middle_of_a_block() {
        let (mut leech, mut seed) = peers(Conduct::serving(Serving::CutAfter { bytes: 40_000 }));
        talk(&mut leech, &mut seed);
        assert!(seed.poll_close() && leech.decoder.is_mid_block());
    }
}
