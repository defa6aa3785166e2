//! Entrances for the fuzz targets in `fuzz/`, each with the property that must hold for any bytes.
//!
//! Feature `fuzzing`, hidden, no part of the public API.

use bendy::decoding::Decoder as Oracle;
use bendy::state_tracker::Token as OracleToken;

use crate::base::digest::Sha256;
use crate::codec::bencode::Document;
use crate::codec::bencode::Limits;
use crate::codec::bencode::Value;
use crate::codec::extension::ExtensionHandshake;
use crate::codec::handshake::info_hash_at;
use crate::codec::hash_request::HASH_COUNT_MAX;
use crate::codec::hash_request::HASH_LEN;
use crate::codec::hash_request::HASH_REQUEST_LEN;
use crate::codec::hash_request::HashRequest;
use crate::codec::hash_request::hashes;
use crate::codec::magnet::Magnet;
use crate::codec::message_decoder::Decoder;
use crate::codec::message_decoder::MessageFault;
use crate::codec::message_decoder::MessageLimits;
use crate::codec::message_decoder::Token;
use crate::codec::tracker_http;
use crate::codec::tracker_udp::Family;
use crate::codec::tracker_udp::UdpReply;
use crate::codec::tracker_udp::UdpRequest;
use crate::codec::ut_metadata::MetadataMessage;
use crate::content::merkle;
use crate::content::merkle::HashRange;
use crate::content::torrent::Torrent;

/// Values lie inside the document, siblings inside their parent; parsing a value's own bytes
/// agrees. What bendy, which takes canonical data alone, accepts, we accept, and the other way
/// round where all keys are sorted.
pub fn bencode(data: &[u8]) {
    let limits = Limits { depth: 50, tokens: 10_000 };
    let is_canonical = oracle_accepts(data, limits);
    let Ok((document, used)) = Document::parse_prefix(data, limits) else {
        assert!(!is_canonical, "bendy reads this");
        return;
    };
    assert_eq!(document.root().span(), 0..used);
    let is_whole = used == data.len();
    assert_eq!(is_canonical, is_whole && is_sorted(document.root()), "bendy judges otherwise");
    let _ = document.root().duplicate_key();
    let mut open = vec![document.root()];
    while let Some(value) = open.pop() {
        let again = Document::parse(value.raw(), limits).expect("a part of a document is one");
        assert_eq!(again.root().raw(), value.raw());
        let children = children(value);
        let inside = |child: &Value<'_>| {
            child.span().start > value.span().start && child.span().end < value.span().end
        };
        assert!(children.iter().all(inside));
        // Every level is parsed again, so wide and deep documents are looked at in part.
        open.extend(children.into_iter().take(20));
        open.truncate(200);
    }
}

/// Whether bendy reads all of `data` as one value within the limits and with integers of 64 bits.
fn oracle_accepts(data: &[u8], limits: Limits) -> bool {
    let (mut depth, mut values, mut tokens) = (0, 0, 0);
    // bendy counts the innermost scalar as a level of its own.
    for token in Oracle::new(data).with_max_depth(limits.depth as usize).tokens() {
        match token {
            Ok(OracleToken::List | OracleToken::Dict) => depth += 1,
            Ok(OracleToken::End) => depth -= 1,
            Ok(OracleToken::Num(text)) if text.parse::<i64>().is_err() => return false,
            Ok(_) => {}
            Err(_) => return false,
        }
        tokens += 1;
        values += i32::from(depth == 0);
    }
    depth == 0 && values == 1 && tokens <= limits.tokens
}

/// Whether the keys of all dictionaries rise strictly.
fn is_sorted(root: Value<'_>) -> bool {
    let mut open = vec![root];
    while let Some(value) = open.pop() {
        let keys = value.as_dict().into_iter().flatten().map(|(key, _)| key);
        if !keys.is_sorted_by(|a, b| a < b) {
            return false;
        }
        open.extend(children(value));
    }
    true
}

fn children(value: Value<'_>) -> Vec<Value<'_>> {
    let values = value.as_dict().into_iter().flatten().map(|(_, value)| value);
    value.as_list().into_iter().flatten().chain(values).collect()
}

/// A torrent that loads is sound: sizes add up, hashes are there, paths stay below the directory.
pub fn metainfo(data: &[u8]) {
    let Ok(torrent) = Torrent::parse(data) else { return };
    let total: u64 = torrent.files().iter().map(|file| file.length()).sum();
    assert_eq!(total, torrent.layout().total());
    let pads = torrent.files().iter().filter(|file| file.is_pad()).map(|file| file.length());
    let pads: u64 = pads.sum();
    assert!((total - pads..=total).contains(&torrent.total_length()));
    let pieces = total.div_ceil(torrent.piece_length().into());
    assert_eq!(pieces, u64::from(torrent.piece_count()));
    for file in torrent.files() {
        let is_name = |part| matches!(part, std::path::Component::Normal(_));
        assert!(file.path().components().all(is_name), "{:?}", file.path());
    }
    let covered: u64 = torrent.file_list().spans(0, total).map(|span| u64::from(span.length)).sum();
    assert_eq!(covered, total);
    for piece in torrent.layout().pieces().take(100) {
        let _ = (torrent.piece_hash_v1(piece), torrent.piece_root(piece));
    }
}

/// Any text is refused or makes a link that, written out, means the same again.
pub fn magnet(data: &[u8]) {
    let Ok(magnet) = Magnet::parse(&String::from_utf8_lossy(data)) else { return };
    let link = magnet.to_string();
    assert!(link.is_ascii(), "{link}");
    assert_eq!(Magnet::parse(&link), Ok(magnet));
}

/// A stream decodes the same in one input and cut by the lengths in front, and little is held.
pub fn peer_message(data: &[u8]) {
    let Some((count, rest)) = data.split_first() else { return };
    let (cuts, stream) = rest.split_at(rest.len().min(usize::from(*count % 32)));
    let _ = info_hash_at(stream);
    let mut whole = Vec::new();
    let first = decode(&mut Decoder::new(MessageLimits::new(100)), stream, &mut whole);
    let mut decoder = Decoder::new(MessageLimits::new(100));
    let mut parts = Vec::new();
    let mut left = stream;
    let mut second = Ok(());
    for cut in cuts {
        let (part, more) = left.split_at(left.len().min(usize::from(*cut)));
        left = more;
        second = second.and_then(|()| decode(&mut decoder, part, &mut parts));
    }
    second = second.and_then(|()| decode(&mut decoder, left, &mut parts));
    assert_eq!((first, whole), (second, parts));
}

/// Any 48 bytes are a hash request; a sound one has a bounded answer of one length, and the rest of
/// the input is that answer or is not.
pub fn hash_request(data: &[u8]) {
    let Some((wire, answer)) = data.split_first_chunk::<HASH_REQUEST_LEN>() else { return };
    let request = HashRequest::decode(wire);
    assert_eq!(request.encode(), *wire);
    if request.is_sound() {
        assert!((1..=HASH_COUNT_MAX).contains(&request.hash_count()));
    }
    let is_answer = request.is_answered_by(answer.len());
    let count = hashes(answer).count();
    assert!(!is_answer || (request.is_sound() && count == request.hash_count() as usize));
    assert_eq!(count, answer.len() / HASH_LEN);
}

/// Tokens as text, blocks byte by byte, so that cuts do not show.
fn decode(
    decoder: &mut Decoder,
    mut input: &[u8],
    seen: &mut Vec<String>,
) -> Result<(), MessageFault> {
    while let Some(token) = decoder.next(&mut input)? {
        match token {
            Token::BlockBytes(bytes) => seen.extend(bytes.iter().map(|byte| byte.to_string())),
            Token::Held(held) => seen.push(format!("{:?}", Token::Message(held.message()))),
            other => seen.push(format!("{other:?}")),
        }
    }
    assert!(input.is_empty() && decoder.held_len() <= 65_537);
    Ok(())
}

/// Requests of any numbers for a small tree are refused or answered by what proves itself, and by
/// nothing else.
pub fn merkle(data: &[u8]) {
    let Some((numbers, rest)) = data.split_first_chunk::<20>() else { return };
    let number = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| numbers[4 * at + byte]));
    let leaves: Vec<Sha256> = (0..1 + number(0) % 300).map(leaf).collect();
    let (height, base) = (merkle::height(leaves.len()), number(1) % 40);
    let (index, length, proof_layers) = (number(2), number(3), number(4));
    let range = HashRange { base, index, length, proof_layers };
    let width = 1usize << base.min(height);
    let layer: Vec<Sha256> = leaves.chunks(width).map(|c| merkle::root(c, width as u32)).collect();
    let root = merkle::root(&leaves, 1);
    let noise: Vec<Sha256> = rest.as_chunks().0.iter().map(|bytes| Sha256(*bytes)).collect();
    let answer = merkle::prove(&layer, height, range);
    let is_true = |hashes: &[Sha256]| merkle::verify(hashes, root, height, range);
    assert!(!is_true(&noise), "nobody finds this by chance");
    let Some(mut hashes) = answer else { return };
    assert!(hashes.len() <= 2 * leaves.len().next_power_of_two());
    let reaches_the_root = base + length.ilog2() + range.uncle_count() == height;
    assert_eq!(is_true(&hashes), reaches_the_root);
    let spoilt = index as usize % hashes.len();
    hashes[spoilt] = leaf(u32::MAX);
    assert!(!is_true(&hashes));
}

fn leaf(number: u32) -> Sha256 {
    Sha256::of(&number.to_be_bytes())
}

/// Whatever a tracker or a peer's extension handshake says, the answer is bounded.
pub fn tracker_answer(data: &[u8]) {
    let _ = tracker_http::decode_announce(data);
    let _ = tracker_http::decode_scrape(data);
    if let Ok(handshake) = ExtensionHandshake::decode(data) {
        assert_eq!(ExtensionHandshake::decode(&handshake.encode()), Ok(handshake));
    }
    for family in [Family::V4, Family::V6] {
        if let Ok((transaction, reply)) = UdpReply::decode(data, family) {
            let again = UdpReply::decode(&reply.encode(transaction, family), family);
            assert!(matches!(again, Ok((same, _)) if same == transaction));
        }
    }
    if let Ok((transaction, request)) = UdpRequest::decode(data) {
        assert_eq!(UdpRequest::decode(&request.encode(transaction)), Ok((transaction, request)));
    }
}

/// A metadata message is read the same again, and holds a part of 16 KiB at most.
pub fn ut_metadata(data: &[u8]) {
    let Ok(message) = MetadataMessage::decode(data) else { return };
    if let MetadataMessage::Data { bytes, .. } = message {
        assert!((1..=16_384).contains(&bytes.len()) && data.ends_with(bytes));
    }
    assert_eq!(MetadataMessage::decode(&message.encode()), Ok(message));
}
