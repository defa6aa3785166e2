//! The peer protocol as raw peers speak it: handshake out, frames in, without keeping payload.

/// Bytes of a handshake.
pub(crate) const HANDSHAKE: usize = 68;
/// Its first 20 bytes.
const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";
/// Ids of the messages that are understood.
pub(crate) const CHOKE: u8 = 0;
pub(crate) const UNCHOKE: u8 = 1;
pub(crate) const INTERESTED: u8 = 2;
pub(crate) const NOT_INTERESTED: u8 = 3;
pub(crate) const BITFIELD: u8 = 5;
pub(crate) const REQUEST: u8 = 6;
pub(crate) const PIECE: u8 = 7;

/// A handshake without extensions: no fast messages, no extended ones, so little to answer.
pub(crate) fn handshake(info_hash: &[u8; 20], number: usize) -> [u8; HANDSHAKE] {
    let mut out = [0; HANDSHAKE];
    out[..20].copy_from_slice(PROTOCOL);
    out[28..48].copy_from_slice(info_hash);
    let digits = format!("-LG0001-{:012}", number % 1_000_000_000_000);
    out[48..].copy_from_slice(digits.as_bytes());
    out
}

/// The info hash of a handshake; `None` when it is none of BitTorrent.
pub(crate) fn info_hash_of(handshake: &[u8; HANDSHAKE]) -> Option<[u8; 20]> {
    let (head, rest) = handshake.split_at(28);
    head.starts_with(PROTOCOL).then(|| rest.first_chunk().copied())?
}

/// A message without payload.
pub(crate) fn simple(id: u8) -> [u8; 5] {
    [0, 0, 0, 1, id]
}

/// A request.
pub(crate) fn request(piece: u32, begin: u32, length: u32) -> [u8; 17] {
    let mut out = [0; 17];
    out[3] = 13;
    out[4] = REQUEST;
    out[5..9].copy_from_slice(&piece.to_be_bytes());
    out[9..13].copy_from_slice(&begin.to_be_bytes());
    out[13..].copy_from_slice(&length.to_be_bytes());
    out
}

/// The 13 bytes before a block.
pub(crate) fn piece_header(piece: u32, begin: u32, length: u32) -> [u8; 13] {
    let mut out = [0; 13];
    out[..4].copy_from_slice(&(9 + length).to_be_bytes());
    out[4] = PIECE;
    out[5..9].copy_from_slice(&piece.to_be_bytes());
    out[9..].copy_from_slice(&begin.to_be_bytes());
    out
}

/// A bitfield that has everything.
pub(crate) fn bitfield(piece_count: u32) -> Vec<u8> {
    let mut field = vec![0xff; piece_count.div_ceil(8) as usize];
    if let (Some(last), spare @ 1..) = (field.last_mut(), (8 - piece_count % 8) % 8) {
        *last <<= spare;
    }
    let mut out = (1 + field.len() as u32).to_be_bytes().to_vec();
    out.push(BITFIELD);
    out.extend(field);
    out
}

/// What came in.
pub(crate) enum Incoming<'a> {
    /// The other's handshake, with its info hash.
    Handshake([u8; 20]),
    /// Any message but those below.
    Message(u8),
    Request {
        piece: u32,
        begin: u32,
        length: u32,
    },
    /// Bytes of a block; `is_end` with the last of them.
    Block {
        piece: u32,
        begin: u32,
        offset: u32,
        bytes: &'a [u8],
        is_end: bool,
    },
}

/// Cuts one connection's stream into messages, whatever the borders of its reads.
#[derive(Default)]
pub(crate) struct Parser {
    is_open: bool,
    head: Vec<u8>,
    /// Of the block or the ignored payload that is being read.
    body_left: u32,
    body_read: u32,
}

impl Parser {
    /// Takes the next bytes and calls `on` for everything in them.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut on: impl FnMut(Incoming<'_>)) {
        while !bytes.is_empty() {
            if self.body_left > 0 {
                self.body(&mut bytes, &mut on);
                continue;
            }
            let need = self.head_length() - self.head.len();
            let (now, rest) = bytes.split_at(need.min(bytes.len()));
            self.head.extend_from_slice(now);
            bytes = rest;
            if self.head.len() == self.head_length() {
                self.message(&mut on);
            }
        }
    }

    /// How long the head is, as far as it is known: length, id, and the fixed part of some
    /// messages.
    fn head_length(&self) -> usize {
        match self.head.as_slice() {
            _ if !self.is_open => HANDSHAKE,
            [_, _, _, _, REQUEST, ..] => 17,
            [_, _, _, _, PIECE, ..] => 13,
            [0, 0, 0, 0] => 4,
            [_, _, _, _, ..] => 5,
            _ => 4,
        }
    }

    fn message(&mut self, on: &mut impl FnMut(Incoming<'_>)) {
        if !self.is_open {
            self.is_open = true;
            let mut info_hash = [0; 20];
            info_hash.copy_from_slice(&self.head[28..48]);
            on(Incoming::Handshake(info_hash));
            self.head.clear();
            return;
        }
        let Some(&id) = self.head.get(4) else {
            // Four bytes: a keep-alive if they are zero, otherwise the id is still to come.
            if self.number(0) == 0 {
                self.head.clear();
            }
            return;
        };
        match (id, self.head.len()) {
            (REQUEST, 17) => {
                let (piece, begin, length) = (self.number(5), self.number(9), self.number(13));
                on(Incoming::Request { piece, begin, length });
                self.head.clear();
            }
            (PIECE, 13) => {
                self.body_left = self.number(0).saturating_sub(9);
                self.body_read = 0;
                if self.body_left == 0 {
                    self.head.clear();
                }
            }
            (REQUEST | PIECE, _) => {}
            (id, _) => {
                on(Incoming::Message(id));
                self.body_left = self.number(0).saturating_sub(1);
                self.body_read = 0;
                if self.body_left == 0 {
                    self.head.clear();
                }
            }
        }
    }

    fn body(&mut self, bytes: &mut &[u8], on: &mut impl FnMut(Incoming<'_>)) {
        let (now, rest) = bytes.split_at(bytes.len().min(self.body_left as usize));
        *bytes = rest;
        let offset = self.body_read;
        self.body_read += now.len() as u32;
        self.body_left -= now.len() as u32;
        let is_end = self.body_left == 0;
        if self.head[4] == PIECE {
            let (piece, begin) = (self.number(5), self.number(9));
            on(Incoming::Block { piece, begin, offset, bytes: now, is_end });
        }
        if is_end {
            self.head.clear();
        }
    }

    fn number(&self, at: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.head[at..at + 4]);
        u32::from_be_bytes(bytes)
    }
}
