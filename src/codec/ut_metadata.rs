//! Messages of `ut_metadata`: a torrent's `info` dictionary in parts of 16 KiB (BEP 9).
//!
//! Each is a bencoded head; behind the head of a `data` message stand the part's bytes.

use bendy::encoding::Encoder;

use crate::base::limits::BENCODE_DEPTH_MESSAGE_MAX;
use crate::base::limits::METADATA_PART_LEN;
use crate::codec::bencode::BencodeError;
use crate::codec::bencode::Document;
use crate::codec::bencode::Limits;

/// The id under which peers send these messages to us: what we announce (BEP 10).
pub(crate) const OUR_UT_METADATA: u8 = 1;

/// A head has three keys; the rest is room for keys that we do not know.
const LIMITS: Limits = Limits { depth: BENCODE_DEPTH_MESSAGE_MAX, tokens: 128 };

const REQUEST: u64 = 0;
const DATA: u64 = 1;
const REJECT: u64 = 2;

/// One message; numbers are as on the wire and not yet checked against the metadata's size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MetadataMessage<'a> {
    /// Asks for a part, numbered from 0.
    Request { part: u32 },
    /// A part: 1 to 16,384 bytes. `total_size` is that of the whole metadata; some leave it out.
    Data { part: u32, total_size: Option<u32>, bytes: &'a [u8] },
    /// The part is not to be had here, or not now.
    Reject { part: u32 },
    /// Of a type that BEP 9 reserves: to be passed over.
    Unknown,
}

/// A `ut_metadata` message that no correct peer sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum MetadataFault {
    #[error("metadata message: {0}")]
    Bencode(#[from] BencodeError),
    #[error("expected `msg_type` and `piece` in a metadata message, got neither or one")]
    NoHead,
    #[error("expected 1 to {max} bytes of metadata in a part, got {got}")]
    PartLength { got: usize, max: u32 },
}

impl<'a> MetadataMessage<'a> {
    /// From the payload of an extended message. Bytes behind the head of a message that has none
    /// are passed over.
    pub(crate) fn decode(payload: &'a [u8]) -> Result<MetadataMessage<'a>, MetadataFault> {
        let (document, used) = Document::parse_prefix(payload, LIMITS)?;
        let root = document.root();
        let int = |key: &[u8]| root.get(key).and_then(|value| value.as_u64());
        let kind = int(b"msg_type").ok_or(MetadataFault::NoHead)?;
        if kind > REJECT {
            return Ok(MetadataMessage::Unknown);
        }
        let part = int(b"piece").and_then(|part| u32::try_from(part).ok());
        let part = part.ok_or(MetadataFault::NoHead)?;
        match kind {
            REQUEST => Ok(MetadataMessage::Request { part }),
            REJECT => Ok(MetadataMessage::Reject { part }),
            _ => {
                let total_size = int(b"total_size").and_then(|size| u32::try_from(size).ok());
                let bytes = payload.get(used..).unwrap_or_default();
                let (got, max) = (bytes.len(), METADATA_PART_LEN);
                if got == 0 || got > max as usize {
                    return Err(MetadataFault::PartLength { got, max });
                }
                Ok(MetadataMessage::Data { part, total_size, bytes })
            }
        }
    }

    /// The payload of an extended message.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match *self {
            MetadataMessage::Request { part } => head(REQUEST, part, None),
            MetadataMessage::Reject { part } => head(REJECT, part, None),
            // Never sent; the first type that BEP 9 leaves free.
            MetadataMessage::Unknown => head(REJECT + 1, 0, None),
            MetadataMessage::Data { part, total_size, bytes } => {
                let mut payload = head(DATA, part, total_size);
                payload.extend_from_slice(bytes);
                payload
            }
        }
    }
}

/// Parts of `size` bytes of metadata.
pub(crate) fn part_count(size: u32) -> u32 {
    size.div_ceil(METADATA_PART_LEN)
}

/// Bytes of one part of `size` bytes; `None` if there is no such part.
pub(crate) fn part_len(size: u32, part: u32) -> Option<u32> {
    let rest = size.checked_sub(part.checked_mul(METADATA_PART_LEN)?)?;
    (rest > 0).then_some(rest.min(METADATA_PART_LEN))
}

fn head(kind: u64, part: u32, total_size: Option<u32>) -> Vec<u8> {
    let mut encoder = Encoder::new().with_max_depth(2);
    encoder
        .emit_dict(|mut head| {
            head.emit_pair(b"msg_type", kind)?;
            head.emit_pair(b"piece", part)?;
            total_size.map_or(Ok(()), |size| head.emit_pair(b"total_size", size))
        })
        .and_then(|()| encoder.get_output())
        .expect("three sorted keys are always encoded")
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::*;

    fn data(bytes: &[u8]) -> Vec<u8> {
        [b"d8:msg_typei1e5:piecei0e10:total_sizei34256ee", bytes].concat()
    }

    /// The examples of BEP 9.
    #[test]
    fn messages_are_as_the_bep_shows_them() {
        let request = MetadataMessage::Request { part: 0 };
        assert_eq!(request.encode(), b"d8:msg_typei0e5:piecei0ee");
        let reject = MetadataMessage::Reject { part: 0 };
        assert_eq!(reject.encode(), b"d8:msg_typei2e5:piecei0ee");
        let part = MetadataMessage::Data { part: 0, total_size: Some(34_256), bytes: b"xxxx" };
        assert_eq!(part.encode(), data(b"xxxx"));
    }

    #[test]
    fn a_part_has_a_byte_at_least_and_16_kib_at_most() {
        assert!(MetadataMessage::decode(&data(&[b'x'; 16_384])).is_ok());
        for got in [0, 16_385] {
            let fault = MetadataFault::PartLength { got, max: 16_384 };
            assert_eq!(MetadataMessage::decode(&data(&vec![b'x'; got])), Err(fault));
        }
    }

    #[test]
    fn the_last_part_may_be_shorter() {
        assert_eq!((part_count(0), part_count(16_384), part_count(16_385)), (0, 1, 2));
        assert_eq!((part_len(16_385, 0), part_len(16_385, 1)), (Some(16_384), Some(1)));
        assert_eq!(
            (part_len(16_384, 1), part_len(0, 0), part_len(5, u32::MAX)),
            (None, None, None)
        );
    }

    #[test]
    fn the_size_of_the_whole_may_be_missing_or_nonsense() {
        for head in [
            &b"d8:msg_typei1e5:piecei7ee"[..],
            b"d8:msg_typei1e5:piecei7e10:total_sizei-1ee",
            b"d5:piecei7e8:msg_typei1e10:total_size3:bige",
        ] {
            let wire = [head, b"x"].concat();
            let part = MetadataMessage::Data { part: 7, total_size: None, bytes: b"x" };
            assert_eq!(MetadataMessage::decode(&wire), Ok(part));
        }
    }

    #[test]
    fn what_is_behind_a_request_is_passed_over_and_unknown_types_are_told() {
        let request = MetadataMessage::decode(b"d8:msg_typei0e5:piecei3eexyz");
        assert_eq!(request, Ok(MetadataMessage::Request { part: 3 }));
        let unknown = MetadataMessage::decode(b"d8:msg_typei7ee");
        assert_eq!(unknown, Ok(MetadataMessage::Unknown));
    }

    #[test]
    fn a_message_without_a_proper_head_is_a_fault() {
        for wire in [
            &b"de"[..],
            b"i1e",
            b"d5:piecei0ee",
            b"d8:msg_typei0ee",
            b"d8:msg_typei0e5:piecei-1ee",
            b"d8:msg_typei0e5:piecei4294967296ee",
            b"d8:msg_type1:05:piecei0ee",
        ] {
            let decoded = MetadataMessage::decode(wire);
            assert_eq!(decoded, Err(MetadataFault::NoHead), "{}", wire.escape_ascii());
        }
        let deep = [b"d1:x", &b"l".repeat(1_000)[..], &b"e".repeat(1_001)].concat();
        for wire in [&b""[..], b"d8:msg_typei0e", b"xyz", &deep] {
            let decoded = MetadataMessage::decode(wire);
            assert!(matches!(decoded, Err(MetadataFault::Bencode(_))), "{decoded:?}");
        }
    }

    proptest! {
        #[test]
        fn every_message_round_trips(
            part: u32, total_size: Option<u32>, bytes in vec(any::<u8>(), 1..100),
        ) {
            for message in [
                MetadataMessage::Request { part },
                MetadataMessage::Reject { part },
                MetadataMessage::Data { part, total_size, bytes: &bytes },
            ] {
                let wire = message.encode();
                prop_assert_eq!(MetadataMessage::decode(&wire), Ok(message));
            }
        }
    }
}
