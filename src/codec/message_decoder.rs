//! The decoder of the receive path: a peer's stream of bytes becomes messages and blocks.
//!
//! The decoder never copies payload: a block comes out as [`Token::BlockStart`], borrowed slices of
//! the input and [`Token::BlockEnd`]. Tokens borrow from the input alone, never from the decoder,
//! so that the owner of the decoder can act on a token while the loop goes on:
//! `while let Some(token) = decoder.next(&mut input)? { self.handle(token) }`.
//! The price is [`Token::Held`]: a message with a payload that was split over inputs moves out of
//! the decoder as an owned value. Everything else is borrowed or plain numbers.

use crate::base::limits::EXTENSION_HANDSHAKE_LEN_MAX;
use crate::base::limits::PIECE_COUNT_MAX;
use crate::base::limits::REQUEST_LEN_MAX;
use crate::base::limits::UNKNOWN_MESSAGE_LEN_MAX;
use crate::codec::hash_request::HASH_COUNT_MAX;
use crate::codec::hash_request::HASH_LEN;
use crate::codec::hash_request::HASH_REQUEST_LEN;
use crate::codec::hash_request::HashRequest;
use crate::codec::message::ALLOWED_FAST;
use crate::codec::message::BITFIELD;
use crate::codec::message::CANCEL;
use crate::codec::message::CHOKE;
use crate::codec::message::EXTENDED;
use crate::codec::message::HASH_REJECT;
use crate::codec::message::HASH_REQUEST;
use crate::codec::message::HASHES;
use crate::codec::message::HAVE;
use crate::codec::message::HAVE_ALL;
use crate::codec::message::HAVE_NONE;
use crate::codec::message::INTERESTED;
use crate::codec::message::Message;
use crate::codec::message::NOT_INTERESTED;
use crate::codec::message::PIECE;
use crate::codec::message::PIECE_HEADER_LEN;
use crate::codec::message::PORT;
use crate::codec::message::REJECT;
use crate::codec::message::REQUEST;
use crate::codec::message::SUGGEST;
use crate::codec::message::UNCHOKE;

/// The longest message without a payload: `request` and its kin with their length prefix.
const SMALL_MAX: usize = 17;
/// The length in front of a hash request or reject.
const HASH_REQUEST_LENGTH: u32 = HASH_REQUEST_LEN as u32 + 1;

/// What a peer may send us; checked before a byte is buffered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageLimits {
    /// Exact bytes of a bitfield: the piece count over eight, rounded up. `None`: any that a
    /// torrent may have, because nobody knows the piece count yet (BEP 9).
    pub(crate) bitfield_len: Option<u32>,
    /// Most bytes of payload in a `piece` message.
    pub(crate) request_len_max: u32,
    /// Most bytes of payload in an extended message.
    pub(crate) extended_len_max: u32,
}

impl MessageLimits {
    /// The defaults for a torrent of `piece_count` pieces.
    pub(crate) fn new(piece_count: u32) -> MessageLimits {
        MessageLimits {
            bitfield_len: Some(piece_count.div_ceil(8)),
            request_len_max: REQUEST_LEN_MAX,
            extended_len_max: EXTENSION_HANDSHAKE_LEN_MAX,
        }
    }

    /// For a torrent whose metadata is not known.
    pub(crate) fn without_layout() -> MessageLimits {
        MessageLimits { bitfield_len: None, ..MessageLimits::new(0) }
    }
}

/// A message that no correct peer sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum MessageFault {
    #[error("expected {expected} bytes in message {id}, got a length of {got}")]
    WrongLength { id: u8, expected: u32, got: u32 },
    #[error("expected at most {max} bytes in message {id}, got a length of {got}")]
    TooLong { id: u8, max: u32, got: u32 },
    #[error("expected payload in message {id}, got a length of {got}")]
    Empty { id: u8, got: u32 },
}

/// One step of the stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Token<'a> {
    Message(Message<'a>),
    /// A message with a payload that was split over inputs; see [`HeldMessage::message`].
    Held(HeldMessage),
    /// A `piece` message begins: `length` bytes of payload follow as `BlockBytes`, then `BlockEnd`.
    BlockStart {
        piece: u32,
        begin: u32,
        length: u32,
    },
    /// Payload, borrowed from the input; never empty.
    BlockBytes(&'a [u8]),
    BlockEnd,
    /// A message of unknown `id` passes by; none of its `length` bytes is kept.
    Skipped {
        id: u8,
        length: u32,
    },
}

/// A message with payload, put together from several inputs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct HeldMessage {
    id: u8,
    body: Vec<u8>,
}

impl HeldMessage {
    pub(crate) fn message(&self) -> Message<'_> {
        payload_message(self.id, &self.body)
    }
}

/// The receive side of one connection. Holds at most one split message.
#[derive(Debug)]
pub(crate) struct Decoder {
    limits: MessageLimits,
    state: State,
    /// The start of a message that was split inside its first bytes.
    small: [u8; SMALL_MAX],
    small_len: usize,
}

#[derive(Debug)]
enum State {
    /// Between messages, or inside the first bytes of one.
    Head,
    /// Inside a payload that must be whole; `body` grows with what arrived, never from the claim.
    Payload { id: u8, body: Vec<u8>, missing: usize },
    /// Inside the payload of a `piece` message.
    Block { missing: usize },
    /// Inside a message that passes by.
    Skip { missing: usize },
}

/// How the bytes at hand go on.
enum Shape {
    /// This many bytes from the start of the message are needed to know more.
    Needs(usize),
    /// A message of this many bytes, prefix included, without payload.
    Small(usize),
    /// Payload of `len` bytes follows the first five.
    Payload { id: u8, len: usize },
    /// `len` bytes follow the piece header.
    Block { len: u32 },
    /// `len` bytes follow the first five.
    Skip { id: u8, len: u32 },
}

impl Decoder {
    pub(crate) fn new(limits: MessageLimits) -> Decoder {
        Decoder { limits, state: State::Head, small: [0; SMALL_MAX], small_len: 0 }
    }

    /// From the next message on. One whose head has come already is held to the old ones.
    pub(crate) fn set_limits(&mut self, limits: MessageLimits) {
        self.limits = limits;
    }

    /// The next token, and `input` advanced past it. `None`: the input is used up, more is needed.
    /// After a fault the stream is lost and the connection must be closed.
    #[inline]
    pub(crate) fn next<'i>(
        &mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Token<'i>>, MessageFault> {
        loop {
            match &mut self.state {
                State::Head => match self.head(input)? {
                    Head::Token(token) => return Ok(Some(token)),
                    Head::Starved => return Ok(None),
                    Head::Again => {}
                },
                State::Block { missing: 0 } => {
                    self.state = State::Head;
                    return Ok(Some(Token::BlockEnd));
                }
                State::Block { missing } => {
                    let bytes = take(input, *missing);
                    *missing -= bytes.len();
                    return Ok((!bytes.is_empty()).then_some(Token::BlockBytes(bytes)));
                }
                State::Skip { missing } => {
                    *missing -= take(input, *missing).len();
                    if *missing > 0 {
                        return Ok(None);
                    }
                    self.state = State::Head;
                }
                State::Payload { id, body, missing } => {
                    let bytes = take(input, *missing);
                    body.extend_from_slice(bytes);
                    *missing -= bytes.len();
                    if *missing > 0 {
                        return Ok(None);
                    }
                    let held = HeldMessage { id: *id, body: std::mem::take(body) };
                    self.state = State::Head;
                    return Ok(Some(Token::Held(held)));
                }
            }
        }
    }

    /// Whether a block has started and its end has not been told.
    #[cfg(test)]
    pub(crate) fn is_mid_block(&self) -> bool {
        matches!(self.state, State::Block { .. })
    }

    /// Bytes kept in memory for a split message.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn held_len(&self) -> usize {
        match &self.state {
            State::Payload { body, .. } => body.len(),
            _ => self.small_len,
        }
    }

    /// The start of a message: from the input where it is whole, else through `small`.
    fn head<'i>(&mut self, input: &mut &'i [u8]) -> Result<Head<'i>, MessageFault> {
        if self.small_len == 0 {
            return self.head_in_place(input);
        }
        let shape = self.shape(&self.small[..self.small_len])?;
        let needed = match shape {
            Shape::Needs(needed) | Shape::Small(needed) => needed,
            Shape::Block { .. } => PIECE_HEADER_LEN,
            Shape::Payload { .. } | Shape::Skip { .. } => 5,
        };
        let more = take(input, needed.saturating_sub(self.small_len));
        self.small[self.small_len..self.small_len + more.len()].copy_from_slice(more);
        self.small_len += more.len();
        if self.small_len < needed {
            return Ok(Head::Starved);
        }
        if matches!(shape, Shape::Needs(_)) {
            return Ok(Head::Again);
        }
        self.small_len = 0;
        let small = self.small;
        match shape {
            Shape::Small(len) => Ok(Head::Token(Token::Message(small_message(&small[..len])))),
            Shape::Payload { id, len } => {
                self.state = State::Payload { id, body: Vec::new(), missing: len };
                Ok(Head::Again)
            }
            _ => Ok(self.enter(shape, &small)),
        }
    }

    /// The hot path: nothing is split yet. Keeps the rest in `small` if the head is not whole.
    #[inline]
    fn head_in_place<'i>(&mut self, input: &mut &'i [u8]) -> Result<Head<'i>, MessageFault> {
        let bytes = *input;
        let shape = self.shape(bytes)?;
        match shape {
            Shape::Small(len) if len <= bytes.len() => {
                *input = &bytes[len..];
                Ok(Head::Token(Token::Message(small_message(&bytes[..len]))))
            }
            Shape::Payload { id, len } => {
                *input = &bytes[5..];
                if input.len() < len {
                    self.state = State::Payload { id, body: Vec::new(), missing: len };
                    return Ok(Head::Again);
                }
                Ok(Head::Token(Token::Message(payload_message(id, take(input, len)))))
            }
            Shape::Block { .. } if bytes.len() >= PIECE_HEADER_LEN => {
                *input = &bytes[PIECE_HEADER_LEN..];
                Ok(self.enter(shape, bytes))
            }
            Shape::Skip { .. } => {
                *input = &bytes[5..];
                Ok(self.enter(shape, bytes))
            }
            Shape::Needs(_) | Shape::Small(_) | Shape::Block { .. } => {
                // Fewer bytes than any head needs, so they fit.
                self.small[..bytes.len()].copy_from_slice(bytes);
                self.small_len = bytes.len();
                *input = &[];
                Ok(Head::Starved)
            }
        }
    }

    /// Begins a block or a message that passes by, whose head stands whole in `head`.
    fn enter<'i>(&mut self, shape: Shape, head: &[u8]) -> Head<'i> {
        match shape {
            Shape::Block { len } => {
                self.state = State::Block { missing: len as usize };
                let (piece, begin) = (word(head, 5), word(head, 9));
                Head::Token(Token::BlockStart { piece, begin, length: len })
            }
            Shape::Skip { id, len } => {
                self.state = State::Skip { missing: len as usize };
                Head::Token(Token::Skipped { id, length: len })
            }
            Shape::Needs(_) | Shape::Small(_) | Shape::Payload { .. } => Head::Again,
        }
    }

    /// What the bytes at the start of a message say; lengths are checked here, before anything is
    /// kept.
    #[inline]
    fn shape(&self, bytes: &[u8]) -> Result<Shape, MessageFault> {
        if bytes.len() < 4 {
            return Ok(Shape::Needs(4));
        }
        let length = word(bytes, 0);
        if length == 0 {
            return Ok(Shape::Small(4));
        }
        let Some(&id) = bytes.get(4) else { return Ok(Shape::Needs(5)) };
        let exact = match id {
            CHOKE | UNCHOKE | INTERESTED | NOT_INTERESTED | HAVE_ALL | HAVE_NONE => 1,
            HAVE | SUGGEST | ALLOWED_FAST => 5,
            REQUEST | CANCEL | REJECT => 13,
            PORT => 3,
            BITFIELD => match self.limits.bitfield_len {
                Some(len) => len.saturating_add(1),
                None => length.min(PIECE_COUNT_MAX / 8 + 1),
            },
            HASH_REQUEST | HASH_REJECT => HASH_REQUEST_LENGTH,
            HASHES => return hashes_shape(length),
            PIECE => return self.block_shape(length),
            EXTENDED => return self.extended_shape(length),
            _ if length > UNKNOWN_MESSAGE_LEN_MAX => {
                let max = UNKNOWN_MESSAGE_LEN_MAX;
                return Err(MessageFault::TooLong { id, max, got: length });
            }
            _ => return Ok(Shape::Skip { id, len: length - 1 }),
        };
        if length != exact {
            return Err(MessageFault::WrongLength { id, expected: exact, got: length });
        }
        match id {
            BITFIELD | HASH_REQUEST | HASH_REJECT => {
                Ok(Shape::Payload { id, len: length as usize - 1 })
            }
            _ => Ok(Shape::Small(length as usize + 4)),
        }
    }

    fn block_shape(&self, length: u32) -> Result<Shape, MessageFault> {
        let max = self.limits.request_len_max.saturating_add(9);
        match length {
            ..=9 => Err(MessageFault::Empty { id: PIECE, got: length }),
            _ if length > max => Err(MessageFault::TooLong { id: PIECE, max, got: length }),
            _ => Ok(Shape::Block { len: length - 9 }),
        }
    }

    fn extended_shape(&self, length: u32) -> Result<Shape, MessageFault> {
        let max = self.limits.extended_len_max.saturating_add(2);
        match length {
            ..=1 => Err(MessageFault::Empty { id: EXTENDED, got: length }),
            _ if length > max => Err(MessageFault::TooLong { id: EXTENDED, max, got: length }),
            _ => Ok(Shape::Payload { id: EXTENDED, len: length as usize - 1 }),
        }
    }
}

/// The answer to a hash request: one hash at least, whole hashes only.
fn hashes_shape(length: u32) -> Result<Shape, MessageFault> {
    let max = HASH_REQUEST_LENGTH + HASH_COUNT_MAX * HASH_LEN as u32;
    match length.checked_sub(HASH_REQUEST_LENGTH) {
        None | Some(0) => Err(MessageFault::Empty { id: HASHES, got: length }),
        Some(_) if length > max => Err(MessageFault::TooLong { id: HASHES, max, got: length }),
        Some(bytes) if bytes % HASH_LEN as u32 != 0 => {
            let expected = length - bytes % HASH_LEN as u32;
            Err(MessageFault::WrongLength { id: HASHES, expected, got: length })
        }
        Some(_) => Ok(Shape::Payload { id: HASHES, len: length as usize - 1 }),
    }
}

enum Head<'i> {
    Token(Token<'i>),
    Again,
    Starved,
}

/// Up to `len` bytes from the front of `input`.
fn take<'i>(input: &mut &'i [u8], len: usize) -> &'i [u8] {
    let (taken, rest) = input.split_at(len.min(input.len()));
    *input = rest;
    taken
}

/// The number at `at`; the callers have checked that it is there.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// A whole message without payload; `shape` has checked its id and length.
#[inline]
fn small_message<'a>(wire: &[u8]) -> Message<'a> {
    let numbers = |wire: &[u8]| (word(wire, 5), word(wire, 9), word(wire, 13));
    match wire.get(4) {
        None => Message::KeepAlive,
        Some(&CHOKE) => Message::Choke,
        Some(&UNCHOKE) => Message::Unchoke,
        Some(&INTERESTED) => Message::Interested,
        Some(&NOT_INTERESTED) => Message::NotInterested,
        Some(&HAVE) => Message::Have(word(wire, 5)),
        Some(&REQUEST) => {
            let (piece, begin, length) = numbers(wire);
            Message::Request { piece, begin, length }
        }
        Some(&CANCEL) => {
            let (piece, begin, length) = numbers(wire);
            Message::Cancel { piece, begin, length }
        }
        Some(&REJECT) => {
            let (piece, begin, length) = numbers(wire);
            Message::Reject { piece, begin, length }
        }
        Some(&PORT) => Message::Port(u16::from_be_bytes([wire[5], wire[6]])),
        Some(&SUGGEST) => Message::Suggest(word(wire, 5)),
        Some(&HAVE_ALL) => Message::HaveAll,
        Some(&HAVE_NONE) => Message::HaveNone,
        Some(&ALLOWED_FAST) => Message::AllowedFast(word(wire, 5)),
        Some(id) => unreachable!("message {id} has payload or no shape"),
    }
}

/// A message of everything after its id; `shape` has checked id and length.
fn payload_message(id: u8, body: &[u8]) -> Message<'_> {
    match (id, body, body.split_first_chunk()) {
        (EXTENDED, [id, payload @ ..], _) => Message::Extended { id: *id, payload },
        (HASH_REQUEST, _, Some((request, _))) => Message::HashRequest(HashRequest::decode(request)),
        (HASH_REJECT, _, Some((request, _))) => Message::HashReject(HashRequest::decode(request)),
        (HASHES, _, Some((request, hashes))) => {
            Message::Hashes { request: HashRequest::decode(request), hashes }
        }
        _ => Message::Bitfield(body),
    }
}

#[cfg(test)]
mod tests;
