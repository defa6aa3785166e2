//! The peer protocol, as far as a floor speaks it.

/// Bytes of a handshake.
const HANDSHAKE: usize = 68;
/// The unit of requests.
pub(crate) const BLOCK: u32 = 16 * 1024;

/// A handshake without extensions.
pub(crate) fn handshake(info_hash: &[u8; 20]) -> Vec<u8> {
    [b"\x13BitTorrent protocol", [0; 8].as_slice(), info_hash, b"-FL0001-000000000000"].concat()
}

/// A message with a body.
pub(crate) fn message(id: u8, body: &[u8]) -> Vec<u8> {
    let length = (1 + body.len() as u32).to_be_bytes();
    [length.as_slice(), &[id], body].concat()
}

/// A bitfield that has all pieces.
pub(crate) fn bitfield(piece_count: u32) -> Vec<u8> {
    let mut bits = vec![0xff; piece_count.div_ceil(8) as usize];
    if let Some(last) = bits.last_mut() {
        *last <<= (8 - piece_count % 8) % 8;
    }
    message(5, &bits)
}

/// A request; also what it says of a block.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) piece: u32,
    pub(crate) begin: u32,
    pub(crate) length: u32,
}

impl Request {
    pub(crate) fn encode(self) -> [u8; 17] {
        let mut out = [0, 0, 0, 13, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        out[5..9].copy_from_slice(&self.piece.to_be_bytes());
        out[9..13].copy_from_slice(&self.begin.to_be_bytes());
        out[13..].copy_from_slice(&self.length.to_be_bytes());
        out
    }

    /// What stands before the block.
    pub(crate) fn header(self) -> [u8; 13] {
        let mut out = [0; 13];
        out[..4].copy_from_slice(&(9 + self.length).to_be_bytes());
        out[4] = 7;
        out[5..9].copy_from_slice(&self.piece.to_be_bytes());
        out[9..].copy_from_slice(&self.begin.to_be_bytes());
        out
    }
}

/// What a stream holds.
pub(crate) enum Token<'a> {
    Handshake,
    Unchoke,
    Request(Request),
    /// The next bytes of a block: `begin` is where they lie in the piece.
    Block {
        piece: u32,
        begin: u32,
        bytes: &'a [u8],
    },
}

/// Cuts a stream wherever its reads were cut.
#[derive(Default)]
pub(crate) struct Parser {
    is_open: bool,
    head: Vec<u8>,
    /// Bytes to come of a block at a place, or of what nobody reads.
    block: (u32, u32),
    block_left: u32,
    ignored_left: u32,
}

impl Parser {
    /// The next token; what it takes of `input` is gone from it.
    pub(crate) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Option<Token<'a>> {
        while !input.is_empty() {
            if self.block_left > 0 {
                let bytes = split(input, self.block_left);
                let (piece, begin) = self.block;
                self.block.1 += bytes.len() as u32;
                self.block_left -= bytes.len() as u32;
                return Some(Token::Block { piece, begin, bytes });
            }
            if self.ignored_left > 0 {
                self.ignored_left -= split(input, self.ignored_left).len() as u32;
                continue;
            }
            let missing = self.head_length() - self.head.len();
            self.head.extend_from_slice(split(input, missing as u32));
            if self.head.len() == self.head_length()
                && let Some(token) = self.token()
            {
                return Some(token);
            }
        }
        None
    }

    /// As far as it is known.
    fn head_length(&self) -> usize {
        match self.head.as_slice() {
            _ if !self.is_open => HANDSHAKE,
            [0, 0, 0, 0] => 4,
            [_, _, _, _, 6, ..] => 17,
            [_, _, _, _, 7, ..] => 13,
            [_, _, _, _, ..] => 5,
            _ => 4,
        }
    }

    fn token(&mut self) -> Option<Token<'static>> {
        let number = |at: usize| {
            self.head[at..at + 4].iter().fold(0, |sum: u32, byte| sum << 8 | u32::from(*byte))
        };
        let token = match self.head.get(4) {
            _ if !self.is_open => {
                self.is_open = true;
                Some(Token::Handshake)
            }
            Some(6) => {
                let (piece, begin, length) = (number(5), number(9), number(13));
                Some(Token::Request(Request { piece, begin, length }))
            }
            Some(7) => {
                self.block = (number(5), number(9));
                self.block_left = number(0).saturating_sub(9);
                None
            }
            Some(id) => {
                self.ignored_left = number(0).saturating_sub(1);
                (*id == 1).then_some(Token::Unchoke)
            }
            None => None,
        };
        self.head.clear();
        token
    }
}

fn split<'a>(input: &mut &'a [u8], most: u32) -> &'a [u8] {
    let (first, rest) = input.split_at(input.len().min(most as usize));
    *input = rest;
    first
}
