//! A peer's side of the protocol: what each message means, and which ones are faults.

use std::net::SocketAddr;

use super::*;
use crate::base::digest::Sha1;
use crate::base::digest::Sha256;
use crate::base::ids::BlockIndex;
use crate::base::limits::BLOCK_LEN;
use crate::base::limits::CONTROL_BURST_MAX;
use crate::base::limits::REJECT_MAX;
use crate::base::limits::REQUEST_QUEUE_MAX;
use crate::base::slots::SlotId;
use crate::codec::extension::ExtensionHandshake;
use crate::codec::handshake::Handshake;
use crate::codec::hash_request::HashRequest;
use crate::codec::ut_metadata::MetadataMessage;
use crate::content::layout::Layout;
use crate::engine::to_ring::ConnId;

const PIECES: u32 = 10;

fn layout() -> Layout {
    Layout::new(u64::from(PIECES) * 65_536 - 100, 65_536).unwrap()
}

fn peer_with(has_fast: bool) -> Peer {
    let mut theirs = Handshake::ours(Sha1::of(b"t"), *b"-XX0000-abcdefghijkl");
    if !has_fast {
        theirs.reserved[7] = 0;
    }
    let conn = ConnId(SlotId { slot: 0, generation: 0 });
    let address = SocketAddr::from(([10, 0, 0, 1], 1));
    Peer::new(conn, address, true, &theirs, layout(), Instant::ZERO)
}

fn wire(messages: &[Message<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    messages.iter().for_each(|message| message.encode(&mut bytes));
    bytes
}

/// Feeds messages; the events in words, or the fault.
fn feed(peer: &mut Peer, messages: &[Message<'_>]) -> Result<Vec<String>, PeerFault> {
    let bytes = wire(messages);
    let mut input = &bytes[..];
    let mut events = Vec::new();
    while let Some(event) = peer.next_event(Instant::ZERO, &mut input)? {
        events.push(format!("{event:?}"));
    }
    Ok(events)
}

fn sent(peer: &mut Peer) -> Vec<u8> {
    let mut batch = SendBatch::default();
    peer.poll_send(Instant::ZERO, &mut batch);
    peer.handle_sent(Instant::ZERO);
    batch.to_bytes()
}

fn request(piece: u32, begin: u32) -> Message<'static> {
    Message::Request { piece, begin, length: BLOCK_LEN }
}

#[test]
fn a_bitfield_has_its_length_and_no_spare_bits() {
    let good = Message::Bitfield(&[0xff, 0xc0]);
    assert_eq!(feed(&mut peer_with(true), &[good]), Ok(vec!["HasSet".to_owned()]));
    let spare = feed(&mut peer_with(true), &[Message::Bitfield(&[0xff, 0xe0])]);
    assert_eq!(spare, Err(PeerFault::SpareBits));
    let short = feed(&mut peer_with(true), &[Message::Bitfield(&[0xff])]);
    assert!(matches!(short, Err(PeerFault::Message(_))));
}

#[test]
fn a_late_bitfield_adds_as_aria2_sends_it_and_takes_nothing_back() {
    let late = [Message::Bitfield(&[0x10, 0]), Message::HaveAll];
    let first = [Message::Bitfield(&[0x20, 0]), Message::Have(2)];
    for (first, late) in first.iter().flat_map(|first| late.iter().map(move |late| (first, late))) {
        let mut peer = peer_with(true);
        let events = feed(&mut peer, &[*first, *late, *late]).unwrap();
        assert!(events[1].starts_with("HasMore(Some("), "after {first:?}: {events:?}");
        assert_eq!(events[2], "Nothing", "{late:?} twice");
        let piece = |raw| peer.layout.piece(raw).unwrap();
        assert!(peer.pieces.has(piece(2)) && peer.pieces.has(piece(3)), "{first:?}, {late:?}");
    }
    let mut seed = peer_with(true);
    let events =
        feed(&mut seed, &[Message::HaveAll, Message::Bitfield(&[0, 0]), Message::HaveNone]);
    assert_eq!(events.unwrap()[1..], ["Nothing", "Nothing"]);
    assert!(seed.pieces.is_all());
}

#[test]
fn a_flood_of_late_bitfields_closes() {
    let flood = [Message::Bitfield(&[0x10, 0]); CONTROL_BURST_MAX as usize + 2];
    assert_eq!(feed(&mut peer_with(true), &flood), Err(PeerFault::Flood));
    assert!(feed(&mut peer_with(true), &flood[1..]).is_ok(), "the first one is free");
}

#[test]
fn fast_messages_need_the_fast_extension() {
    let fast = [
        Message::HaveAll,
        Message::HaveNone,
        Message::Suggest(1),
        Message::AllowedFast(1),
        Message::Reject { piece: 1, begin: 0, length: BLOCK_LEN },
    ];
    for message in fast {
        assert!(feed(&mut peer_with(true), &[message]).is_ok(), "{message:?}");
        let fault = feed(&mut peer_with(false), &[message]);
        assert!(matches!(fault, Err(PeerFault::NotAgreed(_))), "{message:?}");
    }
}

#[test]
fn numbers_outside_the_torrent_are_faults() {
    let last = PIECES - 1;
    let outside = [
        Message::Have(PIECES),
        request(PIECES, 0),
        request(0, 65_536),
        request(0, 65_535),
        request(last, 65_536 - BLOCK_LEN),
        Message::Request { piece: 0, begin: 0, length: 0 },
        Message::Request { piece: 0, begin: 0, length: BLOCK_LEN + 1 },
        Message::Request { piece: 0, begin: u32::MAX, length: 2 },
        Message::Cancel { piece: PIECES, begin: 0, length: 1 },
        Message::AllowedFast(PIECES),
        Message::Suggest(u32::MAX),
        Message::Reject { piece: 0, begin: 1, length: BLOCK_LEN },
    ];
    for message in outside {
        let fault = feed(&mut peer_with(true), &[message]);
        assert!(matches!(fault, Err(PeerFault::Layout(_))), "{message:?} gave {fault:?}");
    }
}

#[test]
fn a_request_while_choked_is_rejected_and_a_flood_of_them_ends_the_connection() {
    let mut peer = peer_with(true);
    assert_eq!(feed(&mut peer, &[request(3, 0)]), Ok(vec!["Nothing".to_owned()]));
    let reject = Message::Reject { piece: 3, begin: 0, length: BLOCK_LEN };
    assert_eq!(sent(&mut peer), wire(&[reject]));
    let flood = vec![request(3, 0); REQUEST_QUEUE_MAX + REJECT_MAX as usize];
    assert_eq!(feed(&mut peer, &flood), Err(PeerFault::Rejects));
}

#[test]
fn unchoked_requests_are_queued_up_to_the_bound_then_rejected() {
    let mut peer = peer_with(true);
    peer.unchoke(Instant::ZERO);
    let window = vec![request(3, 0); REQUEST_QUEUE_MAX];
    assert!(feed(&mut peer, &window).is_ok_and(|events| events.iter().all(|e| e == "Requested")));
    assert!(feed(&mut peer, &vec![request(3, 0); REJECT_MAX as usize]).is_ok());
    assert_eq!(feed(&mut peer, &[request(3, 0)]), Err(PeerFault::Rejects));
}

/// Whatever lay on the disk of a piece that we did not have was served: zeros, or a stranger's
/// bytes.
#[test]
fn a_request_for_a_piece_that_we_do_not_have_is_rejected() {
    let mut peer = peer_with(true);
    peer.unchoke(Instant::ZERO);
    sent(&mut peer);
    let mut have = Bitfield::zeros(10);
    have.set(2);
    for (piece, rest) in [(2, 1), (3, 1)] {
        feed(&mut peer, &[request(piece, 0)]).unwrap();
        assert_eq!(peer.refuse_missing(&have), Ok(()));
        assert_eq!(peer.uploads.len(), rest, "piece {piece}");
    }
    let reject = Message::Reject { piece: 3, begin: 0, length: BLOCK_LEN };
    assert_eq!(sent(&mut peer), wire(&[reject]));
}

#[test]
fn choking_answers_every_request_that_is_not_being_read() {
    let mut peer = peer_with(true);
    peer.unchoke(Instant::ZERO);
    feed(&mut peer, &[request(1, 0), request(2, 0)]).unwrap();
    sent(&mut peer);
    peer.choke(Instant::ZERO);
    let rejects = [1, 2].map(|piece| Message::Reject { piece, begin: 0, length: BLOCK_LEN });
    assert_eq!(sent(&mut peer), wire(&[Message::Choke, rejects[0], rejects[1]]));
    peer.choke(Instant::ZERO);
    assert!(sent(&mut peer).is_empty(), "choked already");
}

#[test]
fn a_choke_drops_our_requests_without_the_fast_extension_and_keeps_them_with_it() {
    for (has_fast, kept) in [(true, 1), (false, 0)] {
        let mut peer = peer_with(has_fast);
        feed(&mut peer, &[Message::Unchoke]).unwrap();
        let piece = layout().piece(4).unwrap();
        peer.request(Instant::ZERO, piece, BlockIndex(0));
        feed(&mut peer, &[Message::Choke]).unwrap();
        assert_eq!((peer.pipeline.len(), peer.chokes_us()), (kept, true));
    }
}

#[test]
fn what_we_have_is_told_in_the_shortest_way() {
    let mut some = Bitfield::zeros(PIECES);
    some.set(3);
    let cases: [(bool, Bitfield, Vec<u8>); 6] = [
        (true, Bitfield::ones(PIECES), wire(&[Message::HaveAll])),
        (true, Bitfield::zeros(PIECES), wire(&[Message::HaveNone])),
        (true, some.clone(), wire(&[Message::Bitfield(&[0x10, 0])])),
        (false, Bitfield::ones(PIECES), wire(&[Message::Bitfield(&[0xff, 0xc0])])),
        (false, Bitfield::zeros(PIECES), vec![]),
        (false, some, wire(&[Message::Bitfield(&[0x10, 0])])),
    ];
    for (has_fast, have, expected) in cases {
        let mut peer = peer_with(has_fast);
        peer.tell_pieces(&have);
        assert_eq!(sent(&mut peer), expected, "fast {has_fast}, have {have:?}");
    }
}

#[test]
fn interest_is_told_only_when_it_changes() {
    let mut peer = peer_with(true);
    peer.set_interest(false);
    peer.set_interest(true);
    peer.set_interest(true);
    peer.set_interest(false);
    assert_eq!(sent(&mut peer), wire(&[Message::Interested, Message::NotInterested]));
}

#[test]
fn a_block_nobody_asked_for_is_known_as_such() {
    let mut peer = peer_with(true);
    let piece = layout().piece(4).unwrap();
    peer.request(Instant::ZERO, piece, BlockIndex(1));
    for (block, was_asked) in [(1, true), (1, false), (2, false)] {
        let header = crate::codec::message::piece_header(4, block * BLOCK_LEN, BLOCK_LEN);
        let mut bytes = header.to_vec();
        bytes.resize(13 + BLOCK_LEN as usize, 0);
        let mut input = &bytes[..];
        let event = peer.next_event(Instant::ZERO, &mut input).unwrap().unwrap();
        let expected = PeerEvent::BlockStart { piece, block: BlockIndex(block), was_asked };
        assert_eq!(format!("{event:?}"), format!("{expected:?}"));
        while peer.next_event(Instant::ZERO, &mut input).unwrap().is_some() {}
    }
}

#[test]
fn control_messages_are_bounded_and_requests_are_not_among_them() {
    let flood = vec![Message::Interested; CONTROL_BURST_MAX as usize + 1];
    assert_eq!(feed(&mut peer_with(true), &flood), Err(PeerFault::Flood));
    let mut peer = peer_with(true);
    let haves: Vec<Message<'_>> = (0..5000).map(|n| Message::Have(n % PIECES)).collect();
    assert!(feed(&mut peer, &haves).is_ok(), "have is bounded by the piece count instead");
}

#[test]
fn silence_is_answered_with_keep_alives_and_ended_after_two_minutes() {
    let mut peer = peer_with(true);
    assert_eq!(peer.handle_timeout(Instant::from_millis(89_999)), Ok(()));
    assert!(sent(&mut peer).is_empty());
    assert_eq!(peer.handle_timeout(Instant::from_millis(90_000)), Ok(()));
    assert_eq!(sent(&mut peer), wire(&[Message::KeepAlive]));
    let late = Instant::from_millis(120_000);
    assert_eq!(peer.handle_timeout(late), Err(PeerFault::Silent));
}

#[test]
fn an_extension_handshake_sets_the_window_and_may_come_four_times() {
    let mut peer = peer_with(true);
    let theirs = ExtensionHandshake {
        reqq: Some(5),
        client: Some("Other 1.0".to_owned()),
        upload_only: Some(true),
        ..ExtensionHandshake::default()
    };
    let payload = theirs.encode();
    let message = Message::Extended { id: 0, payload: &payload };
    assert_eq!(feed(&mut peer, &[message]), Ok(vec!["Introduced".to_owned()]));
    assert_eq!((peer.pipeline.room(), peer.is_upload_only), (5, true));
    assert_eq!(peer.client.as_deref(), Some("Other 1.0"));
    let again = feed(&mut peer, &[message, message, message, message]);
    assert!(matches!(again, Err(PeerFault::Extension(_))));
    let garbage = Message::Extended { id: 0, payload: b"garbage" };
    assert!(matches!(feed(&mut peer_with(true), &[garbage]), Err(PeerFault::Extension(_))));
}

#[test]
fn a_peer_that_does_not_read_its_batch_is_given_up() {
    let mut peer = peer_with(true);
    peer.set_interest(true);
    peer.poll_send(Instant::ZERO, &mut SendBatch::default());
    let at = |ms: u64| Instant::from_millis(ms);
    let alive = wire(&[Message::KeepAlive]);
    assert!(peer.next_event(at(239_000), &mut &alive[..]).is_ok());
    assert_eq!(peer.handle_timeout(at(239_999)), Ok(()));
    assert_eq!(peer.handle_timeout(at(240_000)), Err(PeerFault::Stuck));
    peer.handle_sent(at(240_000));
    assert_eq!(peer.handle_timeout(at(240_000)), Ok(()));
}

#[test]
fn a_choke_without_the_fast_extension_takes_back_what_was_read_too() {
    for (has_fast, sent_len) in [(true, 5 + 13 + BLOCK_LEN as usize), (false, 5)] {
        let mut peer = peer_with(has_fast);
        peer.unchoke(Instant::ZERO);
        feed(&mut peer, &[request(1, 0)]).unwrap();
        sent(&mut peer);
        let job = crate::engine::disk::JobId(1);
        peer.uploads.read_started(1, job);
        let data = crate::base::buffer::PageBuf::zeroed(BLOCK_LEN as usize).freeze();
        assert!(peer.uploads.read_done(job, data.into()));
        let freed = peer.choke(Instant::ZERO);
        assert_eq!(freed, if has_fast { 0 } else { BLOCK_LEN as usize });
        assert_eq!(sent(&mut peer).len(), sent_len);
        assert_eq!(peer.uploads.held(), 0);
    }
}

/// Asks or answers as a peer that takes our metadata messages under id 3.
fn introduced_for_metadata() -> Peer {
    let mut peer = peer_with(true);
    let theirs = Message::Extended { id: 0, payload: b"d1:md11:ut_metadatai3eee" };
    feed(&mut peer, &[theirs]).unwrap();
    peer
}

fn for_us(message: MetadataMessage<'_>) -> Vec<u8> {
    let payload = message.encode();
    wire(&[Message::Extended { id: OUR_UT_METADATA, payload: &payload }])
}

fn for_them(message: MetadataMessage<'_>) -> Vec<u8> {
    let payload = message.encode();
    wire(&[Message::Extended { id: 3, payload: &payload }])
}

#[test]
fn metadata_is_sent_under_the_peers_own_id_and_what_it_may_not_have_is_rejected() {
    let mut peer = introduced_for_metadata();
    peer.queue_metadata(1, 2);
    peer.queue_metadata(2, 2);
    assert_eq!(sent(&mut peer), for_them(MetadataMessage::Reject { part: 2 }));
    assert_eq!((peer.next_metadata(), peer.next_metadata()), (Some(1), None));
    let mut mute = peer_with(true);
    mute.queue_metadata(2, 2);
    assert!(sent(&mut mute).is_empty(), "it takes no such messages");
}

#[test]
fn a_peer_that_does_not_read_gathers_few_parts_of_metadata() {
    let mut peer = introduced_for_metadata();
    (0..60).for_each(|part| peer.queue_metadata(part, 60));
    let part = [7; 16_384];
    let mut count = 0;
    while let Some(part_index) = peer.next_metadata() {
        let total_size = Some(60 * 16_384);
        peer.say_metadata(&MetadataMessage::Data { part: part_index, total_size, bytes: &part });
        count += 1;
    }
    assert_eq!(count, 4);
    assert!(sent(&mut peer).len() > 4 * part.len());
    assert_eq!(peer.next_metadata(), Some(4), "it read: on with it");
}

#[test]
fn answers_that_we_asked_for_are_no_flood_and_others_are() {
    let data = MetadataMessage::Data { part: 0, total_size: None, bytes: b"x" };
    let one = for_us(data);
    let many = one.repeat(CONTROL_BURST_MAX as usize + 1);
    let mut peer = introduced_for_metadata();
    (0..=CONTROL_BURST_MAX).for_each(|_| peer.ask_metadata(0));
    let drain = |peer: &mut Peer, mut input: &[u8]| loop {
        match peer.next_event(Instant::ZERO, &mut input) {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(fault) => return Err(fault),
        }
    };
    assert_eq!(drain(&mut peer, &many), Ok(()));
    assert_eq!(drain(&mut peer, &many), Err(PeerFault::Flood));
}

fn hash_request(length: u32, proof_layers: u32) -> HashRequest {
    HashRequest { root: Sha256([7; 32]), base: 2, index: 0, length, proof_layers }
}

/// Asks for hashes and gets them, or a reject, over and over.
fn ask_hashes(request: HashRequest, is_known: bool) -> Result<(), PeerFault> {
    let mut peer = peer_with(true);
    peer.is_v2 = true;
    for _ in 0..2 * CONTROL_BURST_MAX {
        feed(&mut peer, &[Message::HashRequest(request)])?;
        assert_eq!(peer.next_hash_request(), Some(request));
        peer.answer_hashes(request, is_known.then_some(&[Sha256([1; 32])]));
        sent(&mut peer);
    }
    Ok(())
}

#[test]
fn layers_of_thousands_of_files_may_be_asked_for_at_once_and_proofs_that_cost_may_not() {
    assert_eq!(ask_hashes(hash_request(8, 2), true), Ok(()), "a small file's layer");
    assert_eq!(ask_hashes(hash_request(512, 12), true), Ok(()), "a part of a large one");
    assert_eq!(ask_hashes(hash_request(2, 12), true), Err(PeerFault::Flood));
    assert_eq!(ask_hashes(hash_request(8, 2), false), Err(PeerFault::Flood), "in vain");
    assert_eq!(ask_hashes(hash_request(3, 0), false), Err(PeerFault::Flood));
}

#[test]
fn hashes_that_we_asked_for_are_no_flood() {
    let request = hash_request(2, 0);
    let hashes = Message::Hashes { request, hashes: &[1; 64] };
    let mut peer = peer_with(true);
    peer.is_v2 = true;
    for answer in [hashes, Message::HashReject(request)] {
        for _ in 0..2 * CONTROL_BURST_MAX {
            peer.ask_hashes(request);
            assert_eq!(feed(&mut peer, &[answer]).map(|events| events.len()), Ok(1));
        }
    }
    let unasked = (0..2 * CONTROL_BURST_MAX).find_map(|_| feed(&mut peer, &[hashes]).err());
    assert_eq!(unasked, Some(PeerFault::Flood));
}
