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
/// Bytes of the longest message that is taken: a bitfield of 32 million pieces.
const MESSAGE_MAX: u32 = 4 << 20;

/// A handshake without extensions: no fast messages, no extended ones, so little to answer.
pub(crate) fn handshake(info_hash: &[u8; 20], number: usize) -> [u8; HANDSHAKE] {
    let mut out = [0; HANDSHAKE];
    out[..20].copy_from_slice(PROTOCOL);
    out[28..48].copy_from_slice(info_hash);
    let peer_id = format!("-LG0001-{:012}", number % 1_000_000_000_000);
    out[48..].copy_from_slice(peer_id.as_bytes());
    out
}

/// The info hash of a handshake; `None` when it is none of BitTorrent.
pub(crate) fn info_hash_of(handshake: &[u8]) -> Option<[u8; 20]> {
    let rest = handshake.strip_prefix(PROTOCOL)?;
    rest.get(8..28)?.first_chunk().copied()
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

/// Why a stream cannot be read on.
pub(crate) type Fault = &'static str;

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
    /// Takes the next bytes and calls `on` for everything in them; a fault ends the stream.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut on: impl FnMut(Incoming<'_>),
    ) -> Result<(), Fault> {
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
                self.message(&mut on)?;
            }
        }
        Ok(())
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

    fn message(&mut self, on: &mut impl FnMut(Incoming<'_>)) -> Result<(), Fault> {
        if !self.is_open {
            self.is_open = true;
            let info_hash = info_hash_of(&self.head).ok_or("not a handshake of BitTorrent")?;
            on(Incoming::Handshake(info_hash));
            self.head.clear();
            return Ok(());
        }
        let length = self.number(0);
        if length > MESSAGE_MAX {
            return Err("a message above 4 MiB");
        }
        let Some(&id) = self.head.get(4) else {
            // Four bytes: a keep-alive, because all others have an id.
            self.head.clear();
            return Ok(());
        };
        self.body_read = 0;
        self.body_left = match (id, length) {
            (REQUEST, 13) => {
                let (piece, begin, length) = (self.number(5), self.number(9), self.number(13));
                on(Incoming::Request { piece, begin, length });
                0
            }
            (REQUEST, _) => return Err("a request that is not 13 bytes long"),
            (PIECE, 10..) => length - 9,
            (PIECE, _) => return Err("a block without a byte"),
            (id, _) => {
                on(Incoming::Message(id));
                length - 1
            }
        };
        if self.body_left == 0 {
            self.head.clear();
        }
        Ok(())
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

    /// The head's four bytes from `at`, which are there.
    fn number(&self, at: usize) -> u32 {
        self.head[at..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What came in, with the bytes of blocks put together.
    #[derive(Default, PartialEq, Eq, Debug)]
    struct Heard {
        handshakes: Vec<[u8; 20]>,
        messages: Vec<u8>,
        requests: Vec<(u32, u32, u32)>,
        blocks: Vec<(u32, u32, Vec<u8>)>,
        partial: Vec<u8>,
    }

    impl Heard {
        fn take(&mut self, incoming: Incoming<'_>) {
            match incoming {
                Incoming::Handshake(hash) => self.handshakes.push(hash),
                Incoming::Message(id) => self.messages.push(id),
                Incoming::Request { piece, begin, length } => {
                    self.requests.push((piece, begin, length));
                }
                Incoming::Block { piece, begin, offset, bytes, is_end } => {
                    assert_eq!(offset as usize, self.partial.len());
                    self.partial.extend(bytes);
                    if is_end {
                        self.blocks.push((piece, begin, std::mem::take(&mut self.partial)));
                    }
                }
            }
        }
    }

    fn hear(parts: impl Iterator<Item = Vec<u8>>) -> Result<Heard, Fault> {
        let (mut parser, mut heard) = (Parser::default(), Heard::default());
        for part in parts {
            parser.feed(&part, |incoming| heard.take(incoming))?;
        }
        Ok(heard)
    }

    fn stream() -> Vec<u8> {
        let mut bytes = handshake(&[7; 20], 3).to_vec();
        bytes.extend(bitfield(10));
        bytes.extend([0; 4]);
        bytes.extend(simple(UNCHOKE));
        bytes.extend(request(1, 2, 3));
        bytes.extend(piece_header(4, 5, 600));
        bytes.extend((0..600_u32).map(|n| n as u8));
        bytes.extend(simple(CHOKE));
        bytes
    }

    #[test]
    fn a_stream_is_understood_wherever_reads_end() {
        let whole = hear([stream()].into_iter()).unwrap();
        assert_eq!(whole.handshakes, [[7; 20]]);
        assert_eq!(whole.messages, [BITFIELD, UNCHOKE, CHOKE]);
        assert_eq!(whole.requests, [(1, 2, 3)]);
        assert_eq!((whole.blocks.len(), whole.blocks[0].2.len()), (1, 600));
        for size in 1..100 {
            let parts = stream();
            let heard = hear(parts.chunks(size).map(<[u8]>::to_vec)).unwrap();
            assert_eq!(heard, whole, "reads of {size} bytes");
        }
    }

    #[test]
    fn what_is_not_the_protocol_is_a_fault() {
        let after = |message: &[u8]| {
            let mut bytes = handshake(&[7; 20], 3).to_vec();
            bytes.extend(message);
            hear([bytes].into_iter())
        };
        assert!(hear([vec![b'x'; HANDSHAKE]].into_iter()).is_err());
        let mut request = request(1, 2, 3);
        request[3] = 14;
        assert!(after(&request).is_err());
        assert!(after(&[0, 0, 0, 9, PIECE, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(after(&[1, 0, 0, 0, 20]).is_err(), "16 MiB are no message");
        assert!(after(&[0, 0, 0, 1, 20]).is_ok());
    }

    #[test]
    fn a_full_bitfield_has_no_spare_bits() {
        assert_eq!(bitfield(10), [0, 0, 0, 3, BITFIELD, 0xff, 0xc0]);
        assert_eq!(bitfield(8), [0, 0, 0, 2, BITFIELD, 0xff]);
    }

    #[test]
    fn peers_have_ids_of_their_own() {
        assert_ne!(handshake(&[7; 20], 1), handshake(&[7; 20], 2));
        assert_eq!(info_hash_of(&handshake(&[7; 20], usize::MAX)), Some([7; 20]));
    }
}
