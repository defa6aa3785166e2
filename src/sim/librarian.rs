//! A scripted peer's side of BEP 9: what metadata it says it has, and what it sends of it.

use crate::codec::extension::ExtensionHandshake;
use crate::codec::extension::ExtensionIds;
use crate::codec::message::Message;
use crate::codec::ut_metadata::MetadataMessage;
use crate::codec::ut_metadata::part_len;
use crate::sim::bundle::Bundle;
use crate::sim::conduct::Metadata;
use crate::sim::facts::PeerFacts;

/// The id under which scripted peers take metadata messages.
pub(crate) const OWN_ID: u8 = 9;

/// The bytes that it passes for the torrent's metadata have this size.
fn size(manner: Metadata, honest: u32) -> u32 {
    match manner {
        Metadata::Huge => 32 * 1024 * 1024,
        Metadata::OtherSize => honest + 7,
        _ => honest,
    }
}

/// Its extension handshake; none if it does not speak of metadata.
pub(crate) fn introduction(bundle: &Bundle, manner: Metadata) -> Vec<u8> {
    if manner == Metadata::Unspoken {
        return Vec::new();
    }
    let honest = bundle.torrent.info_bytes().len() as u32;
    let handshake = ExtensionHandshake {
        ids: ExtensionIds { ut_metadata: Some(OWN_ID), ..ExtensionIds::default() },
        metadata_size: Some(size(manner, honest)),
        ..ExtensionHandshake::default()
    };
    wire(0, &handshake.encode())
}

/// The id under which the other side takes metadata messages, by its extension handshake.
pub(crate) fn their_id(payload: &[u8]) -> Option<u8> {
    ExtensionHandshake::decode(payload).ok()?.ids.ut_metadata
}

/// What it answers to a message to it, which must be a request.
pub(crate) fn handle(
    bundle: &Bundle,
    manner: Metadata,
    to: Option<u8>,
    payload: &[u8],
    facts: &mut PeerFacts,
) -> Vec<u8> {
    match (MetadataMessage::decode(payload), to) {
        (Ok(MetadataMessage::Request { part }), Some(to)) => {
            let (answer, is_lie) = answer(bundle, manner, to, part);
            facts.metadata_request_count += 1;
            facts.metadata_lie_count += u32::from(is_lie);
            answer
        }
        (other, _) => {
            facts.complaint = Some(format!("a wrong request for metadata: {other:?}"));
            Vec::new()
        }
    }
}

/// What it answers to a request for a part, to the other side's id; and whether that is a lie.
fn answer(bundle: &Bundle, manner: Metadata, to: u8, part: u32) -> (Vec<u8>, bool) {
    let info = bundle.torrent.info_bytes();
    let total = size(manner, info.len() as u32);
    let Some(len) = part_len(total, part) else { return (Vec::new(), false) };
    let start = part as usize * 16_384;
    let mut bytes = info.get(start..).unwrap_or_default().to_vec();
    bytes.resize(len as usize, b'x');
    let is_lie = match manner {
        Metadata::Unspoken | Metadata::Stalls => return (Vec::new(), false),
        Metadata::Rejects => {
            return (wire(to, &MetadataMessage::Reject { part }.encode()), false);
        }
        Metadata::Spoils { part: spoilt } => spoilt == part,
        Metadata::Garbage | Metadata::Huge | Metadata::OtherSize => true,
        Metadata::Honest => false,
    };
    if is_lie {
        bytes[0] ^= 0x55;
    }
    let message = MetadataMessage::Data { part, total_size: Some(total), bytes: &bytes };
    (wire(to, &message.encode()), is_lie)
}

fn wire(id: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Message::Extended { id, payload }.encode(&mut bytes);
    bytes
}
