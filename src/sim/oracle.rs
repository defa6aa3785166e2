//! What every engine must keep to on the wire, and the liveness of every download (D12).
//!
//! A tap listens to one end of a connection that an engine owns: to what the engine sends, and to
//! what it was given. It knows the torrent and the engine's disk, and nothing of the engine's
//! inside.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::bitfield::Bitfield;
use crate::base::digest::Sha1;
use crate::base::instant::Instant;
use crate::base::limits::REQUEST_QUEUE_MAX;
use crate::codec::handshake::HANDSHAKE_LEN;
use crate::codec::handshake::Handshake;
use crate::codec::message::Message;
use crate::codec::message_decoder::Decoder;
use crate::codec::message_decoder::MessageLimits;
use crate::codec::message_decoder::Token;
use crate::sim::bundle::Bundle;
use crate::sim::contents::Contents;

/// `(piece, begin, length)` as on the wire.
pub(crate) type Block = (u32, u32, u32);

/// How long a connection on which something could be asked for, and on which nothing is being sent,
/// may be asked for nothing: some hundred turns, and less than any timer of the engine's (D9).
const IDLE_MAX: Duration = Duration::from_millis(400);

/// A request this old may be repeated: the peer forgot it.
const LOST: Duration = Duration::from_secs(50);

/// A request this old is no reason not to ask somebody else.
const GIVEN_UP: Duration = Duration::from_secs(35);

/// One direction of a connection.
#[derive(Debug, Default)]
struct Stream {
    head: Vec<u8>,
    handshake: Option<Handshake>,
    decoder: Option<Decoder>,
    message_count: u64,
}

/// Listens to one end.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    out: Stream,
    inward: Stream,
    /// The peer broke the protocol: nothing it sends means anything from here on.
    is_lost: bool,
    /// The peer sent a block that it did not owe: which request is answered is anybody's guess.
    is_unasked: bool,
    bundle: Option<Bundle>,
    /// What the peer said that it has.
    theirs: Bitfield,
    is_unchoked: bool,
    is_interested: bool,
    /// The engine's requests that are not answered, and when they were sent.
    asked: BTreeMap<Block, Instant>,
    /// Requests that the engine has not answered.
    owed: BTreeMap<Block, u32>,
    /// The block that the engine is sending, and how much of it went.
    sending: (Block, usize),
    idle_since: Option<Instant>,
    /// When the peer last refused something: it may be left alone for a while.
    refused_at: Option<Instant>,
}

impl Stream {
    /// Takes the handshake off the front of `bytes`; whether it is complete.
    fn greet(&mut self, bytes: &mut &[u8]) -> bool {
        if self.handshake.is_some() {
            return true;
        }
        let (head, rest) = bytes.split_at(bytes.len().min(HANDSHAKE_LEN - self.head.len()));
        self.head.extend_from_slice(head);
        *bytes = rest;
        let wire: Option<[u8; HANDSHAKE_LEN]> = self.head.as_slice().try_into().ok();
        self.handshake = wire.and_then(|wire| Handshake::decode(&wire).ok());
        self.handshake.is_some()
    }
}

impl Tap {
    /// The torrent that the engine's handshake named.
    pub(crate) fn info_hash(&self) -> Option<Sha1> {
        self.out.handshake.map(|handshake| handshake.info_hash)
    }

    /// The engine's requests on this connection that are not answered, and not long given up.
    pub(crate) fn asked(&self, now: Instant) -> impl Iterator<Item = &Block> {
        let is_fresh = move |at: &Instant| now.since(*at) < GIVEN_UP;
        self.asked.iter().filter(move |(_, at)| is_fresh(at)).map(|(block, _)| block)
    }

    /// The engine sends this; `find` gives the torrents and what the engine's disk holds of them.
    ///
    /// # Panics
    /// When no correct engine would.
    pub(crate) fn handle_sent<'c>(
        &mut self,
        now: Instant,
        mut bytes: &[u8],
        bundles: &BTreeMap<Sha1, Bundle>,
        find: impl FnOnce(&Sha1) -> Option<&'c mut Contents>,
    ) {
        assert!(self.out.greet(&mut bytes), "the first send holds less than a handshake");
        let Some(hash) = self.info_hash() else { return };
        let bundle = bundles.get(&hash).expect("engines speak of torrents that they were given");
        let contents =
            find(&bundle.info_hash()).expect("a torrent's files are opened before it has peers");
        self.bundle.get_or_insert_with(|| bundle.clone());
        let limits = MessageLimits::new(bundle.piece_count());
        let mut decoder = self.out.decoder.take().unwrap_or_else(|| Decoder::new(limits));
        loop {
            match decoder.next(&mut bytes) {
                Ok(None) => break,
                Ok(Some(token)) => self.check_token(now, &token, contents),
                Err(fault) => panic!("the engine sends a faulty message: {fault}"),
            }
        }
        self.out.decoder = Some(decoder);
    }

    fn check_token(&mut self, now: Instant, token: &Token<'_>, contents: &mut Contents) {
        match token {
            Token::Message(message) => self.check_message(now, message, contents),
            Token::Held(held) => self.check_message(now, &held.message(), contents),
            Token::BlockStart { piece, begin, length } => {
                self.settle((*piece, *begin, *length), "a block");
                self.sending = ((*piece, *begin, *length), 0);
            }
            Token::BlockBytes(bytes) => {
                let ((piece, begin, length), at) = self.sending;
                let bundle = self.bundle.as_ref().expect("the handshake named it");
                let right =
                    bundle.part(piece, begin, length).and_then(|b| b.get(at..at + bytes.len()));
                let is_right = right == Some(*bytes);
                assert!(
                    is_right,
                    "the engine sends wrong bytes of piece {piece} from {begin}+{at}"
                );
                self.sending.1 += bytes.len();
            }
            Token::BlockEnd => {}
            Token::Skipped { id, .. } => {
                panic!("the engine sends message {id}, which nobody knows")
            }
        }
        if matches!(token, Token::BlockEnd | Token::Message(_) | Token::Held(_)) {
            self.out.message_count += 1;
        }
    }

    fn check_message(&mut self, now: Instant, message: &Message<'_>, contents: &mut Contents) {
        let bundle = self.bundle.clone().expect("the handshake named it");
        let layout = bundle.torrent.layout();
        let pieces = layout.piece_count();
        self.check_place(message);
        let mut claim = |raw: u32| {
            let piece = layout.piece(raw).expect("the engine announces pieces of its torrent");
            assert!(contents.is_piece_right(piece), "piece {raw} is announced and not on the disk");
        };
        match *message {
            Message::Have(piece) => claim(piece),
            Message::HaveAll => (0..pieces).for_each(claim),
            Message::Bitfield(wire) => {
                let field = Bitfield::from_wire(wire, pieces).expect("no spare bits");
                field.iter_ones().for_each(claim);
            }
            Message::Interested => self.is_interested = true,
            Message::NotInterested => self.is_interested = false,
            Message::Choke if !self.is_fast() => self.owed.clear(),
            Message::Request { piece, begin, length } => {
                let index = layout.piece(piece).expect("requests name pieces of the torrent");
                let is_block = layout.block(index, begin, length).is_ok();
                assert!(is_block, "a request off the grid: {message:?}");
                assert!(self.theirs.get(piece) || self.is_lost, "{message:?} and they lack it");
                let before = self.asked.insert((piece, begin, length), now);
                let is_new = before.is_none_or(|at| now.since(at) >= LOST) || self.is_unasked;
                assert!(is_new, "{message:?} is already under way on this connection");
                assert!(
                    self.asked.len() <= REQUEST_QUEUE_MAX,
                    "more requests than any queue holds"
                );
            }
            Message::Cancel { piece, begin, length } => {
                self.asked.remove(&(piece, begin, length));
            }
            Message::Reject { piece, begin, length } => {
                self.settle((piece, begin, length), "a rejection");
            }
            _ => {}
        }
    }

    /// What may come only first, and what only between peers of the fast extension.
    fn check_place(&self, message: &Message<'_>) {
        let is_claim =
            matches!(message, Message::Bitfield(_) | Message::HaveAll | Message::HaveNone);
        let is_first = self.out.message_count == 0;
        assert!(is_first || !is_claim, "{message:?} comes late");
        let is_fast_message = matches!(
            message,
            Message::HaveAll
                | Message::HaveNone
                | Message::Reject { .. }
                | Message::AllowedFast(_)
                | Message::Suggest(_)
        );
        assert!(self.is_fast() || !is_fast_message, "{message:?} to a peer who does not know it");
        // BEP 6: one of the three claims must come first.
        assert!(!self.is_fast() || !is_first || is_claim, "{message:?} comes before the claim");
    }

    fn settle(&mut self, block: Block, what: &str) {
        let count = self.owed.get_mut(&block);
        let count = count.unwrap_or_else(|| panic!("{what} that was not asked for: {block:?}"));
        *count -= 1;
        if *count == 0 {
            self.owed.remove(&block);
        }
    }

    fn is_fast(&self) -> bool {
        let fast = |stream: &Stream| stream.handshake.is_some_and(|h| h.has_fast());
        fast(&self.out) && fast(&self.inward)
    }

    /// The engine was given this; the blocks that it asked for and got.
    pub(crate) fn handle_received(
        &mut self,
        now: Instant,
        mut bytes: &[u8],
        bundles: &BTreeMap<Sha1, Bundle>,
    ) -> Vec<Block> {
        let mut got = Vec::new();
        if self.is_lost || !self.inward.greet(&mut bytes) {
            return got;
        }
        let hash = self.inward.handshake.map(|handshake| handshake.info_hash);
        let Some(bundle) = hash.and_then(|hash| bundles.get(&hash)) else {
            self.is_lost = true;
            return got;
        };
        let pieces = bundle.piece_count();
        if self.theirs.len() != pieces {
            self.theirs = Bitfield::zeros(pieces);
        }
        let limits = MessageLimits::new(pieces);
        let mut decoder = self.inward.decoder.take().unwrap_or_else(|| Decoder::new(limits));
        loop {
            match decoder.next(&mut bytes) {
                Ok(None) => break,
                Ok(Some(Token::Message(message))) => self.note(now, &message),
                Ok(Some(Token::Held(held))) => self.note(now, &held.message()),
                Ok(Some(Token::BlockStart { piece, begin, length })) => {
                    if self.asked.remove(&(piece, begin, length)).is_some() {
                        got.push((piece, begin, length));
                    } else {
                        self.is_unasked = true;
                    }
                }
                Ok(Some(_)) => {}
                Err(_) => {
                    self.is_lost = true;
                    break;
                }
            }
        }
        self.inward.decoder = Some(decoder);
        got
    }

    fn note(&mut self, now: Instant, message: &Message<'_>) {
        let pieces = self.theirs.len();
        match *message {
            Message::Choke => {
                self.is_unchoked = false;
                if !self.is_fast() {
                    self.asked.clear();
                }
            }
            Message::Unchoke => self.is_unchoked = true,
            Message::Have(piece) => _ = self.theirs.set(piece),
            Message::HaveAll => self.theirs = Bitfield::ones(pieces),
            Message::Bitfield(wire) => match Bitfield::from_wire(wire, pieces) {
                Some(field) => self.theirs = field,
                None => self.is_lost = true,
            },
            Message::Request { piece, begin, length } => {
                *self.owed.entry((piece, begin, length)).or_default() += 1;
            }
            Message::Reject { piece, begin, length } => {
                self.asked.remove(&(piece, begin, length));
                self.refused_at = Some(now);
            }
            _ => {}
        }
    }

    /// Looks whether the engine could ask for something here and does not (D12). `taken`: blocks
    /// that it has or asked others for; `has_room`: its budget would allow another piece.
    ///
    /// # Panics
    /// When that has been so for too long.
    pub(crate) fn check_liveness(
        &mut self,
        now: Instant,
        taken: &BTreeSet<Block>,
        has_room: bool,
        contents: &mut Contents,
    ) {
        // What cannot be verified yet is asked of nobody.
        let lacks_roots = self.bundle.as_ref().is_some_and(Bundle::lacks_roots);
        let is_stuck = has_room
            && !lacks_roots
            && !self.is_lost
            && self.refused_at.is_none_or(|at| now.since(at) >= LOST)
            && self.asked.is_empty()
            && (self.is_unchoked || !self.is_interested)
            && self.has_free_block(taken, contents);
        if !is_stuck {
            self.idle_since = None;
            return;
        }
        let since = *self.idle_since.get_or_insert(now);
        let (interested, unchoked) = (self.is_interested, self.is_unchoked);
        assert!(
            now.since(since) < IDLE_MAX,
            "a peer who has what we want was asked for nothing since {since:?} \
             (interested: {interested}, unchoked: {unchoked})",
        );
    }

    fn has_free_block(&self, taken: &BTreeSet<Block>, contents: &mut Contents) -> bool {
        let Some(bundle) = &self.bundle else { return false };
        let layout = bundle.torrent.layout();
        self.theirs.iter_ones().any(|raw| {
            let is_free = |block: &Block| !taken.contains(block);
            bundle.blocks(raw..raw + 1).iter().any(is_free)
                && layout.piece(raw).is_ok_and(|piece| !contents.is_piece_right(piece))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tap on an engine that has nothing of a torrent, after both handshakes.
    fn tap(bundle: &Bundle, contents: &mut Contents) -> (Tap, BTreeMap<Sha1, Bundle>) {
        let bundles = BTreeMap::from([(bundle.info_hash(), bundle.clone())]);
        let hello = Handshake::ours(bundle.info_hash(), [7; 20]).encode();
        let mut tap = Tap::default();
        tap.handle_received(Instant::ZERO, &hello, &bundles);
        tap.handle_sent(Instant::ZERO, &hello, &bundles, |_| Some(contents));
        (tap, bundles)
    }

    fn wire(messages: &[Message<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        messages.iter().for_each(|message| message.encode(&mut out));
        out
    }

    #[test]
    #[should_panic(expected = "piece 1 is announced and not on the disk")]
    fn a_have_before_the_write_is_seen() {
        let bundle = Bundle::single(1, 100_000);
        let mut contents = Contents::empty(&bundle.torrent);
        let (mut tap, bundles) = tap(&bundle, &mut contents);
        let sent = wire(&[Message::HaveNone, Message::Have(1)]);
        tap.handle_sent(Instant::ZERO, &sent, &bundles, |_| Some(&mut contents));
    }

    #[test]
    #[should_panic(expected = "a block that was not asked for")]
    fn a_block_that_nobody_asked_for_is_seen() {
        let bundle = Bundle::single(1, 100_000);
        let mut contents = Contents::complete(&bundle.torrent, &bundle.bytes);
        let (mut tap, bundles) = tap(&bundle, &mut contents);
        tap.handle_sent(Instant::ZERO, &wire(&[Message::HaveAll]), &bundles, |_| {
            Some(&mut contents)
        });
        let header = crate::codec::message::piece_header(0, 0, 16_384);
        tap.handle_sent(Instant::ZERO, &header, &bundles, |_| Some(&mut contents));
    }

    #[test]
    #[should_panic(expected = "was asked for nothing since")]
    fn a_download_that_sits_still_is_seen() {
        let bundle = Bundle::single(1, 100_000);
        let mut contents = Contents::empty(&bundle.torrent);
        let (mut tap, bundles) = tap(&bundle, &mut contents);
        tap.handle_received(Instant::ZERO, &wire(&[Message::HaveAll, Message::Unchoke]), &bundles);
        for second in 0..10 {
            let now = Instant::from_millis(second * 1000);
            tap.check_liveness(now, &BTreeSet::new(), true, &mut contents);
        }
    }

    #[test]
    fn a_request_that_is_answered_is_got_and_no_sit_still() {
        let bundle = Bundle::single(1, 16_384);
        let mut contents = Contents::empty(&bundle.torrent);
        let (mut tap, bundles) = tap(&bundle, &mut contents);
        tap.handle_received(Instant::ZERO, &wire(&[Message::HaveAll, Message::Unchoke]), &bundles);
        let request = Message::Request { piece: 0, begin: 0, length: 16_384 };
        let sent = wire(&[Message::HaveNone, Message::Interested, request]);
        tap.handle_sent(Instant::ZERO, &sent, &bundles, |_| Some(&mut contents));
        assert_eq!(tap.asked(Instant::ZERO).count(), 1);
        let header = crate::codec::message::piece_header(0, 0, 16_384);
        let got = tap.handle_received(Instant::ZERO, &header, &bundles);
        assert_eq!(got, [(0, 0, 16_384)]);
        let taken = BTreeSet::from_iter(got);
        for second in 0..10 {
            tap.check_liveness(Instant::from_millis(second * 1000), &taken, true, &mut contents);
        }
    }
}
