//! Peer messages after the handshake and their wire form (BEP 3, BEP 6, BEP 10, BEP 52).

use crate::codec::hash_request::HASH_REQUEST_LEN;
use crate::codec::hash_request::HashRequest;

pub(crate) const CHOKE: u8 = 0;
pub(crate) const UNCHOKE: u8 = 1;
pub(crate) const INTERESTED: u8 = 2;
pub(crate) const NOT_INTERESTED: u8 = 3;
pub(crate) const HAVE: u8 = 4;
pub(crate) const BITFIELD: u8 = 5;
pub(crate) const REQUEST: u8 = 6;
pub(crate) const PIECE: u8 = 7;
pub(crate) const CANCEL: u8 = 8;
pub(crate) const PORT: u8 = 9;
pub(crate) const SUGGEST: u8 = 13;
pub(crate) const HAVE_ALL: u8 = 14;
pub(crate) const HAVE_NONE: u8 = 15;
pub(crate) const REJECT: u8 = 16;
pub(crate) const ALLOWED_FAST: u8 = 17;
pub(crate) const EXTENDED: u8 = 20;
pub(crate) const HASH_REQUEST: u8 = 21;
pub(crate) const HASHES: u8 = 22;
pub(crate) const HASH_REJECT: u8 = 23;

/// Bytes before the payload of a `piece` message: length, id, piece, begin.
pub(crate) const PIECE_HEADER_LEN: usize = 13;

/// One message; numbers are as on the wire and not yet checked against the torrent's layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Message<'a> {
    KeepAlive,
    Choke,
    Unchoke,
    Interested,
    NotInterested,
    Have(u32),
    Bitfield(&'a [u8]),
    Request {
        piece: u32,
        begin: u32,
        length: u32,
    },
    Cancel {
        piece: u32,
        begin: u32,
        length: u32,
    },
    /// The DHT port of the peer (BEP 5).
    Port(u16),
    Suggest(u32),
    HaveAll,
    HaveNone,
    Reject {
        piece: u32,
        begin: u32,
        length: u32,
    },
    AllowedFast(u32),
    /// `id` 0 is the extension handshake (BEP 10); others are as we announced them.
    Extended {
        id: u8,
        payload: &'a [u8],
    },
    /// Asks for nodes of a file's hash tree (BEP 52, as the next two).
    HashRequest(HashRequest),
    /// The answer: the nodes, then uncles upwards, 32 bytes each.
    Hashes {
        request: HashRequest,
        hashes: &'a [u8],
    },
    /// The answer of who will not serve a hash request.
    HashReject(HashRequest),
}

impl Message<'_> {
    /// Appends the message with its length prefix.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Message::KeepAlive => out.extend_from_slice(&[0; 4]),
            Message::Choke => put(out, CHOKE, &[]),
            Message::Unchoke => put(out, UNCHOKE, &[]),
            Message::Interested => put(out, INTERESTED, &[]),
            Message::NotInterested => put(out, NOT_INTERESTED, &[]),
            Message::Have(piece) => put(out, HAVE, &piece.to_be_bytes()),
            Message::Bitfield(bits) => put(out, BITFIELD, bits),
            Message::Request { piece, begin, length } => {
                put(out, REQUEST, &triple(piece, begin, length));
            }
            Message::Cancel { piece, begin, length } => {
                put(out, CANCEL, &triple(piece, begin, length));
            }
            Message::Port(port) => put(out, PORT, &port.to_be_bytes()),
            Message::Suggest(piece) => put(out, SUGGEST, &piece.to_be_bytes()),
            Message::HaveAll => put(out, HAVE_ALL, &[]),
            Message::HaveNone => put(out, HAVE_NONE, &[]),
            Message::Reject { piece, begin, length } => {
                put(out, REJECT, &triple(piece, begin, length));
            }
            Message::AllowedFast(piece) => put(out, ALLOWED_FAST, &piece.to_be_bytes()),
            Message::Extended { id, payload } => {
                out.extend_from_slice(&(payload.len() as u32 + 2).to_be_bytes());
                out.extend_from_slice(&[EXTENDED, id]);
                out.extend_from_slice(payload);
            }
            Message::HashRequest(request) => put(out, HASH_REQUEST, &request.encode()),
            Message::Hashes { request, hashes } => {
                let length = 1 + HASH_REQUEST_LEN + hashes.len();
                out.extend_from_slice(&(length as u32).to_be_bytes());
                out.push(HASHES);
                out.extend_from_slice(&request.encode());
                out.extend_from_slice(hashes);
            }
            Message::HashReject(request) => put(out, HASH_REJECT, &request.encode()),
        }
    }
}

fn put(out: &mut Vec<u8>, id: u8, body: &[u8]) {
    out.extend_from_slice(&(body.len() as u32 + 1).to_be_bytes());
    out.push(id);
    out.extend_from_slice(body);
}

fn triple(piece: u32, begin: u32, length: u32) -> [u8; 12] {
    let mut wire = [0; 12];
    wire[..4].copy_from_slice(&piece.to_be_bytes());
    wire[4..8].copy_from_slice(&begin.to_be_bytes());
    wire[8..].copy_from_slice(&length.to_be_bytes());
    wire
}

/// What stands before `length` bytes of payload on the wire; the payload itself is sent from its
/// buffer.
pub(crate) fn piece_header(piece: u32, begin: u32, length: u32) -> [u8; PIECE_HEADER_LEN] {
    let mut wire = [0; PIECE_HEADER_LEN];
    wire[..4].copy_from_slice(&(length + 9).to_be_bytes());
    wire[4] = PIECE;
    wire[5..9].copy_from_slice(&piece.to_be_bytes());
    wire[9..].copy_from_slice(&begin.to_be_bytes());
    wire
}
