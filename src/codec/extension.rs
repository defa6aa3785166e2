//! The extension handshake: what a peer can do beyond BEP 3, under which message ids (BEP 10).

use std::net::IpAddr;

use bendy::encoding::Encoder;
use bendy::encoding::UnsortedDictEncoder;

use crate::base::limits::BENCODE_DEPTH_MESSAGE_MAX;
use crate::base::limits::EXTENSION_HANDSHAKE_LEN_MAX;
use crate::base::limits::EXTENSION_NAME_MAX;
use crate::codec::announce::read_ip;
use crate::codec::bencode::BencodeError;
use crate::codec::bencode::Document;
use crate::codec::bencode::Limits;
use crate::codec::bencode::Value;

/// 64 names and their ids are 128 tokens; the rest is room for keys that we do not know.
const LIMITS: Limits = Limits { depth: BENCODE_DEPTH_MESSAGE_MAX, tokens: 1024 };
/// Characters kept of a client's name.
const CLIENT_LEN_MAX: usize = 100;

/// Message ids by extension. `None`: not mentioned, so an earlier handshake still counts;
/// `Some(0)`: switched off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ExtensionIds {
    /// Metadata from peers (BEP 9).
    pub(crate) ut_metadata: Option<u8>,
    /// Peer exchange (BEP 11).
    pub(crate) ut_pex: Option<u8>,
    /// Withdrawal of a piece (BEP 54).
    pub(crate) lt_donthave: Option<u8>,
}

/// What the handshake said; everything is optional.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ExtensionHandshake {
    pub(crate) ids: ExtensionIds,
    /// Client name and version: unchecked text, at most 100 characters.
    pub(crate) client: Option<String>,
    /// Requests the peer queues before it drops some.
    pub(crate) reqq: Option<u32>,
    /// Our address as the peer sees it.
    pub(crate) yourip: Option<IpAddr>,
    /// The peer will not download (BEP 21). `None`: not mentioned, so what an earlier handshake
    /// said still counts.
    pub(crate) upload_only: Option<bool>,
    /// Bytes of the `info` dictionary (BEP 9); a claim.
    pub(crate) metadata_size: Option<u32>,
    /// TCP port on which the peer listens.
    pub(crate) port: Option<u16>,
}

/// An extension handshake that no correct peer sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ExtensionFault {
    #[error("expected an extension handshake of at most {max} bytes, got {got}")]
    TooLong { got: usize, max: u32 },
    #[error("extension handshake: {0}")]
    Bencode(#[from] BencodeError),
    #[error("expected a dictionary as extension handshake")]
    NotADictionary,
    #[error("expected at most {max} extension names, got more")]
    TooManyNames { max: usize },
}

impl ExtensionHandshake {
    /// From the payload of extended message 0. Values of the wrong type count as absent, because
    /// clients disagree about them; bytes after the dictionary are passed over.
    pub(crate) fn decode(payload: &[u8]) -> Result<ExtensionHandshake, ExtensionFault> {
        if payload.len() > EXTENSION_HANDSHAKE_LEN_MAX as usize {
            let max = EXTENSION_HANDSHAKE_LEN_MAX;
            return Err(ExtensionFault::TooLong { got: payload.len(), max });
        }
        let (document, _) = Document::parse_prefix(payload, LIMITS)?;
        let root = document.root();
        if !root.is_dict() {
            return Err(ExtensionFault::NotADictionary);
        }
        let int = |key: &[u8]| root.get(key).and_then(|value| value.as_u64());
        Ok(ExtensionHandshake {
            ids: read_ids(root)?,
            client: root.get(b"v").and_then(|v| v.as_bytes()).map(read_client),
            reqq: int(b"reqq").and_then(|n| u32::try_from(n).ok()),
            yourip: root.get(b"yourip").and_then(|v| read_ip(v.as_bytes()?)),
            upload_only: int(b"upload_only").map(|n| n != 0),
            metadata_size: int(b"metadata_size").and_then(|n| u32::try_from(n).ok()),
            port: int(b"p").and_then(|n| u16::try_from(n).ok()).filter(|port| *port != 0),
        })
    }

    /// The payload of extended message 0.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new().with_max_depth(3);
        encoder
            .emit_and_sort_dict(|root| self.emit(root))
            .and_then(|()| encoder.get_output())
            .expect("two levels of distinct keys are always encoded")
    }

    fn emit(&self, root: &mut UnsortedDictEncoder) -> Result<(), bendy::encoding::Error> {
        root.emit_pair_with(b"m", |m| {
            m.emit_unsorted_dict(|m| {
                let ExtensionIds { ut_metadata, ut_pex, lt_donthave } = self.ids;
                emit_some(m, b"ut_metadata", ut_metadata)?;
                emit_some(m, b"ut_pex", ut_pex)?;
                emit_some(m, b"lt_donthave", lt_donthave)
            })
        })?;
        if let Some(client) = &self.client {
            root.emit_pair(b"v", client)?;
        }
        match self.yourip {
            Some(IpAddr::V4(ip)) => {
                root.emit_pair_with(b"yourip", |e| e.emit_bytes(&ip.octets()))?
            }
            Some(IpAddr::V6(ip)) => {
                root.emit_pair_with(b"yourip", |e| e.emit_bytes(&ip.octets()))?
            }
            None => {}
        }
        emit_some(root, b"upload_only", self.upload_only.map(u8::from))?;
        emit_some(root, b"reqq", self.reqq)?;
        emit_some(root, b"metadata_size", self.metadata_size)?;
        emit_some(root, b"p", self.port)
    }
}

fn emit_some(
    dict: &mut UnsortedDictEncoder,
    key: &[u8],
    number: Option<impl Into<u32>>,
) -> Result<(), bendy::encoding::Error> {
    match number {
        Some(number) => dict.emit_pair(key, number.into()),
        None => Ok(()),
    }
}

fn read_ids(root: Value<'_>) -> Result<ExtensionIds, ExtensionFault> {
    let mut ids = ExtensionIds::default();
    let names = root.get(b"m").and_then(|m| m.as_dict()).into_iter().flatten();
    for (count, (name, value)) in names.enumerate() {
        if count == EXTENSION_NAME_MAX {
            return Err(ExtensionFault::TooManyNames { max: EXTENSION_NAME_MAX });
        }
        let id = value.as_u64().and_then(|id| u8::try_from(id).ok());
        match name {
            b"ut_metadata" => ids.ut_metadata = id,
            b"ut_pex" => ids.ut_pex = id,
            b"lt_donthave" => ids.lt_donthave = id,
            _ => {}
        }
    }
    Ok(ids)
}

fn read_client(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(CLIENT_LEN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::any;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::*;

    #[test]
    fn ours_is_sorted_bencode_with_only_what_we_said() {
        let handshake = ExtensionHandshake {
            ids: ExtensionIds { lt_donthave: Some(7), ..ExtensionIds::default() },
            client: Some("coreswarm".into()),
            reqq: Some(500),
            yourip: Some(IpAddr::from([1, 2, 3, 4])),
            ..ExtensionHandshake::default()
        };
        let expected =
            b"d1:md11:lt_donthavei7ee4:reqqi500e1:v9:coreswarm6:yourip4:\x01\x02\x03\x04e";
        assert_eq!(handshake.encode(), expected);
    }

    #[test]
    fn values_of_the_wrong_type_count_as_absent() {
        for payload in [
            &b"de"[..],
            b"d1:mi1ee",
            b"d1:md6:ut_pex1:xee",
            b"d1:md6:ut_pexi256eee",
            b"d4:reqqi-1ee",
            b"d4:reqqi4294967296ee",
            b"d1:pi0ee",
            b"d1:pi65536ee",
            b"d1:v1:xe",
            b"d6:yourip5:xxxxxe",
            b"d13:metadata_sizei-5ee",
            b"d11:upload_only1:xe",
            b"detrailing bytes",
        ] {
            let mut decoded = ExtensionHandshake::decode(payload).unwrap();
            decoded.client = None;
            assert_eq!(decoded, ExtensionHandshake::default(), "{}", payload.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_dictionary_or_too_much_is_a_fault() {
        assert_eq!(ExtensionHandshake::decode(b"le"), Err(ExtensionFault::NotADictionary));
        assert!(matches!(ExtensionHandshake::decode(b""), Err(ExtensionFault::Bencode(_))));
        assert!(matches!(ExtensionHandshake::decode(b"d1:m"), Err(ExtensionFault::Bencode(_))));
        let long = vec![b'd'; 65_537];
        assert!(matches!(ExtensionHandshake::decode(&long), Err(ExtensionFault::TooLong { .. })));
        let names = |count: usize| {
            let names: String = (0..count).map(|n| format!("3:{n:03}i1e")).collect();
            ExtensionHandshake::decode(format!("d1:md{names}ee").as_bytes())
        };
        assert!(names(64).is_ok());
        assert_eq!(names(65), Err(ExtensionFault::TooManyNames { max: 64 }));
    }

    #[test]
    fn a_client_name_is_cut_and_made_text() {
        let payload = [b"d1:v300:", &[0xff; 300][..], b"e"].concat();
        let client = ExtensionHandshake::decode(&payload).unwrap().client.unwrap();
        assert_eq!(client.chars().count(), 100);
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_ipv4() {
        let payload = b"d6:yourip16:\0\0\0\0\0\0\0\0\0\0\xff\xff\x01\x02\x03\x04e";
        let decoded = ExtensionHandshake::decode(payload).unwrap();
        assert_eq!(decoded.yourip, Some(IpAddr::from([1, 2, 3, 4])));
    }

    proptest! {
        #[test]
        fn every_handshake_round_trips(
            ids in (any::<Option<u8>>(), any::<Option<u8>>(), any::<Option<u8>>()),
            client in option::of("[ -~]{0,100}"), reqq: Option<u32>, ip: Option<[u8; 4]>,
            upload_only: Option<bool>, metadata_size: Option<u32>, port in option::of(1..u16::MAX),
        ) {
            let (ut_metadata, ut_pex, lt_donthave) = ids;
            let handshake = ExtensionHandshake {
                ids: ExtensionIds { ut_metadata, ut_pex, lt_donthave },
                client, reqq, yourip: ip.map(IpAddr::from), upload_only, metadata_size, port,
            };
            prop_assert_eq!(ExtensionHandshake::decode(&handshake.encode()), Ok(handshake));
        }
    }
}
