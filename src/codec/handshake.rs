//! The handshake: the first 68 bytes of a peer connection (BEP 3, peer protocol; BEP 52).

use crate::base::digest::Sha1;

/// Bytes of a handshake: 1 + 19 protocol string, 8 reserved, 20 info hash, 20 peer id.
pub(crate) const HANDSHAKE_LEN: usize = 68;
/// Bytes after which the info hash is known, and with it the shard that owns the torrent.
pub(crate) const INFO_HASH_END: usize = 48;

const PROTOCOL: [u8; 20] = *b"\x13BitTorrent protocol";
/// Reserved byte 5, bit 0x10: extension protocol (BEP 10).
const EXTENSIONS: (usize, u8) = (5, 0x10);
/// Reserved byte 7, bit 0x04: fast extension (BEP 6).
const FAST: (usize, u8) = (7, 0x04);
/// Reserved byte 7, bit 0x10: the torrent is known in its second version too (BEP 52).
const V2: (usize, u8) = (7, 0x10);

/// What a peer says about itself before its first message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Handshake {
    pub(crate) reserved: [u8; 8],
    pub(crate) info_hash: Sha1,
    pub(crate) peer_id: [u8; 20],
}

/// The bytes are not the start of a BitTorrent connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum HandshakeFault {
    #[error(
        "expected the BitTorrent protocol string, got another byte at offset {offset}; \
         the peer speaks another protocol or an encrypted one"
    )]
    NotBitTorrent { offset: usize },
}

impl Handshake {
    /// Ours: extension protocol and fast extension are offered, nothing else; see
    /// [`Handshake::with_v2`].
    pub(crate) fn ours(info_hash: Sha1, peer_id: [u8; 20]) -> Handshake {
        let mut reserved = [0; 8];
        reserved[EXTENSIONS.0] |= EXTENSIONS.1;
        reserved[FAST.0] |= FAST.1;
        Handshake { reserved, info_hash, peer_id }
    }

    /// Says whether we know the torrent in its second version: who is dialled by the v1 hash may
    /// then answer with the v2 hash, and both speak v2 from there on (BEP 52, upgrade path).
    pub(crate) fn with_v2(mut self, knows_v2: bool) -> Handshake {
        if knows_v2 {
            self.reserved[V2.0] |= V2.1;
        }
        self
    }

    pub(crate) fn encode(&self) -> [u8; HANDSHAKE_LEN] {
        let mut wire = [0; HANDSHAKE_LEN];
        wire[..20].copy_from_slice(&PROTOCOL);
        wire[20..28].copy_from_slice(&self.reserved);
        wire[28..48].copy_from_slice(self.info_hash.as_bytes());
        wire[48..].copy_from_slice(&self.peer_id);
        wire
    }

    pub(crate) fn decode(wire: &[u8; HANDSHAKE_LEN]) -> Result<Handshake, HandshakeFault> {
        check_protocol(wire)?;
        let mut handshake =
            Handshake { reserved: [0; 8], info_hash: Sha1([0; 20]), peer_id: [0; 20] };
        handshake.reserved.copy_from_slice(&wire[20..28]);
        handshake.info_hash.0.copy_from_slice(&wire[28..48]);
        handshake.peer_id.copy_from_slice(&wire[48..]);
        Ok(handshake)
    }

    /// Whether the peer speaks the extension protocol (BEP 10).
    pub(crate) fn has_extensions(&self) -> bool {
        self.reserved[EXTENSIONS.0] & EXTENSIONS.1 != 0
    }

    /// Whether the peer speaks the fast extension (BEP 6).
    pub(crate) fn has_fast(&self) -> bool {
        self.reserved[FAST.0] & FAST.1 != 0
    }

    /// Whether the peer knows the torrent in its second version (BEP 52).
    pub(crate) fn has_v2(&self) -> bool {
        self.reserved[V2.0] & V2.1 != 0
    }
}

/// The info hash once its last byte has arrived, for routing; `None` means more bytes are needed.
/// A wrong first byte is a fault at once, so that strangers cannot hold a slot with noise.
pub(crate) fn info_hash_at(received: &[u8]) -> Result<Option<Sha1>, HandshakeFault> {
    check_protocol(received)?;
    let hash = received.get(28..INFO_HASH_END).and_then(|hash| <[u8; 20]>::try_from(hash).ok());
    Ok(hash.map(Sha1))
}

fn check_protocol(received: &[u8]) -> Result<(), HandshakeFault> {
    match received.iter().zip(&PROTOCOL).position(|(got, expected)| got != expected) {
        Some(offset) => Err(HandshakeFault::NotBitTorrent { offset }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::*;

    #[test]
    fn ours_offers_extensions_and_fast_and_nothing_else() {
        let ours = Handshake::ours(Sha1([1; 20]), [2; 20]);
        assert!(ours.has_extensions() && ours.has_fast());
        assert_eq!(ours.reserved, [0, 0, 0, 0, 0, 0x10, 0, 0x04]);
        assert_eq!(&ours.encode()[..20], b"\x13BitTorrent protocol");
    }

    #[test]
    fn the_second_version_is_offered_where_there_is_one() {
        let ours = Handshake::ours(Sha1([1; 20]), [2; 20]);
        assert!(!ours.has_v2() && !ours.with_v2(false).has_v2());
        assert!(ours.with_v2(true).has_v2());
        assert_eq!(ours.with_v2(true).reserved, [0, 0, 0, 0, 0, 0x10, 0, 0x14]);
    }

    #[test]
    fn the_info_hash_is_known_after_48_bytes_and_not_before() {
        let wire = Handshake::ours(Sha1([7; 20]), [2; 20]).encode();
        for len in 0..48 {
            assert_eq!(info_hash_at(&wire[..len]), Ok(None), "{len} bytes");
        }
        assert_eq!(info_hash_at(&wire[..48]), Ok(Some(Sha1([7; 20]))));
        assert_eq!(info_hash_at(&wire), Ok(Some(Sha1([7; 20]))));
    }

    #[test]
    fn another_protocol_fails_at_its_first_wrong_byte() {
        assert_eq!(info_hash_at(b"GET /"), Err(HandshakeFault::NotBitTorrent { offset: 0 }));
        assert_eq!(info_hash_at(b"\x13Bitt"), Err(HandshakeFault::NotBitTorrent { offset: 4 }));
        let mut wire = Handshake::ours(Sha1([7; 20]), [2; 20]).encode();
        wire[19] = b'L';
        assert_eq!(Handshake::decode(&wire), Err(HandshakeFault::NotBitTorrent { offset: 19 }));
    }

    proptest! {
        #[test]
        fn every_handshake_round_trips(reserved: [u8; 8], hash: [u8; 20], peer_id: [u8; 20]) {
            let handshake = Handshake { reserved, info_hash: Sha1(hash), peer_id };
            prop_assert_eq!(Handshake::decode(&handshake.encode()), Ok(handshake));
        }

        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..100)) {
            let hash = info_hash_at(&noise);
            prop_assert_eq!(hash.is_err(), noise.iter().zip(&PROTOCOL).any(|(a, b)| a != b));
        }
    }
}
