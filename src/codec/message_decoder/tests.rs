//! Message codec: every cut of the stream, every wrong length.

use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;

use super::*;
use crate::base::digest::Sha256;
use crate::codec::message::piece_header;

/// A message without a lifetime, so that tests can collect what came out.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Seen {
    Message(Vec<u8>),
    Block { piece: u32, begin: u32, bytes: Vec<u8> },
    Skipped { id: u8, length: u32 },
}

fn limits() -> MessageLimits {
    MessageLimits::new(80)
}

fn feed(decoder: &mut Decoder, mut input: &[u8], seen: &mut Vec<Seen>) -> Result<(), MessageFault> {
    while let Some(token) = decoder.next(&mut input)? {
        match token {
            Token::Message(message) => seen.push(Seen::Message(wire(&message))),
            Token::Held(held) => seen.push(Seen::Message(wire(&held.message()))),
            Token::BlockStart { piece, begin, .. } => {
                assert!(decoder.is_mid_block());
                seen.push(Seen::Block { piece, begin, bytes: Vec::new() });
            }
            Token::BlockBytes(more) => match seen.last_mut() {
                Some(Seen::Block { bytes, .. }) => bytes.extend_from_slice(more),
                other => panic!("payload after {other:?}"),
            },
            Token::BlockEnd => assert!(!decoder.is_mid_block()),
            Token::Skipped { id, length } => seen.push(Seen::Skipped { id, length }),
        }
    }
    assert!(input.is_empty(), "the input is used up when more is needed");
    Ok(())
}

fn decode(chunks: &[&[u8]]) -> Result<Vec<Seen>, MessageFault> {
    let mut decoder = Decoder::new(limits());
    let mut seen = Vec::new();
    chunks.iter().try_for_each(|chunk| feed(&mut decoder, chunk, &mut seen))?;
    Ok(seen)
}

fn wire(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

fn block(piece: u32, begin: u32, payload: &[u8]) -> Vec<u8> {
    [&piece_header(piece, begin, payload.len() as u32)[..], payload].concat()
}

fn hash_request(length: u32) -> HashRequest {
    HashRequest { root: Sha256([9; 32]), base: 1, index: 1024, length, proof_layers: 1 }
}

/// One of each, with the wire bytes that a correct peer sends.
fn sampler() -> Vec<Vec<u8>> {
    let triple = (9, 16384, 100);
    let (piece, begin, length) = triple;
    let mut all: Vec<Vec<u8>> = [
        Message::KeepAlive,
        Message::Choke,
        Message::Unchoke,
        Message::Interested,
        Message::NotInterested,
        Message::Have(77),
        Message::Bitfield(&[0xaa; 10]),
        Message::Request { piece, begin, length },
        Message::Cancel { piece, begin, length },
        Message::Port(6881),
        Message::Suggest(5),
        Message::HaveAll,
        Message::HaveNone,
        Message::Reject { piece, begin, length },
        Message::AllowedFast(6),
        Message::Extended { id: 3, payload: b"" },
        Message::Extended { id: 0, payload: b"d1:md6:ut_pexi1eee" },
        Message::HashRequest(hash_request(512)),
        Message::Hashes { request: hash_request(2), hashes: &[5; 96] },
        Message::HashReject(hash_request(0)),
    ]
    .iter()
    .map(wire)
    .collect();
    all.push(block(2, 0, b"x"));
    all.push(block(3, 16384, &[7; 300]));
    all.push(vec![0, 0, 0, 3, 99, 1, 2]);
    all.push(vec![0, 0, 0, 1, 24]);
    all
}

#[test]
fn wire_bytes_are_those_of_the_specification() {
    assert_eq!(wire(&Message::Have(258)), [0, 0, 0, 5, 4, 0, 0, 1, 2]);
    let request = Message::Request { piece: 1, begin: 2, length: 3 };
    assert_eq!(wire(&request), [0, 0, 0, 13, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
    assert_eq!(wire(&Message::Extended { id: 1, payload: b"ab" }), [0, 0, 0, 4, 20, 1, 97, 98]);
    assert_eq!(piece_header(1, 2, 16384), [0, 0, 0x40, 9, 7, 0, 0, 0, 1, 0, 0, 0, 2]);
    assert_eq!(wire(&Message::Port(0x1ae1)), [0, 0, 0, 3, 9, 0x1a, 0xe1]);
}

#[test]
fn a_stream_cut_at_any_two_places_decodes_the_same() {
    let stream = sampler().concat();
    let whole = decode(&[&stream]).unwrap();
    assert_eq!(whole.len(), sampler().len());
    for first in 0..=stream.len() {
        for second in [first, first + 1, first + 4, first + 5, first + 16] {
            let second = second.min(stream.len());
            let cut = [&stream[..first], &stream[first..second], &stream[second..]];
            assert_eq!(decode(&cut).unwrap(), whole, "cut at {first} and {second}");
        }
    }
    let bytewise: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(decode(&bytewise).unwrap(), whole);
}

#[test]
fn whole_messages_are_borrowed_from_the_input() {
    let stream = [wire(&Message::Bitfield(&[1; 10])), block(0, 0, &[5; 50])].concat();
    let range = stream.as_ptr_range();
    let mut decoder = Decoder::new(limits());
    let mut input = &stream[..];
    let mut borrowed = 0;
    while let Some(token) = decoder.next(&mut input).unwrap() {
        if let Token::Message(Message::Bitfield(bytes)) | Token::BlockBytes(bytes) = token {
            assert!(range.contains(&bytes.as_ptr()));
            borrowed += 1;
        }
    }
    assert_eq!(borrowed, 2);
}

#[test]
fn what_is_held_is_what_arrived_not_what_was_claimed() {
    let mut decoder = Decoder::new(MessageLimits::new(1 << 21));
    let claim = [&(262_145u32).to_be_bytes()[..], &[BITFIELD, 0, 0]].concat();
    assert_eq!(decoder.next(&mut &claim[..]), Ok(None));
    assert_eq!(decoder.held_len(), 2);
    assert!(!decoder.is_mid_block());
}

#[test]
fn a_block_is_told_as_it_arrives() {
    let stream = block(4, 5, b"abcdef");
    let mut decoder = Decoder::new(limits());
    let mut input = &stream[..PIECE_HEADER_LEN + 2];
    let start = Token::BlockStart { piece: 4, begin: 5, length: 6 };
    assert_eq!(decoder.next(&mut input), Ok(Some(start)));
    assert_eq!(decoder.next(&mut input), Ok(Some(Token::BlockBytes(b"ab"))));
    assert_eq!(decoder.next(&mut input), Ok(None));
    assert!(decoder.is_mid_block());
    let mut input = &stream[PIECE_HEADER_LEN + 2..];
    assert_eq!(decoder.next(&mut input), Ok(Some(Token::BlockBytes(b"cdef"))));
    assert_eq!(decoder.next(&mut input), Ok(Some(Token::BlockEnd)), "even with no input left");
    assert_eq!(decoder.next(&mut input), Ok(None));
}

#[test]
fn wrong_lengths_are_faults_before_anything_is_buffered() {
    let head = |length: u32, id: u8| [&length.to_be_bytes()[..], &[id]].concat();
    let exact = [
        (CHOKE, 1),
        (UNCHOKE, 1),
        (INTERESTED, 1),
        (NOT_INTERESTED, 1),
        (HAVE, 5),
        (BITFIELD, 11),
        (REQUEST, 13),
        (CANCEL, 13),
        (PORT, 3),
        (SUGGEST, 5),
        (HAVE_ALL, 1),
        (HAVE_NONE, 1),
        (REJECT, 13),
        (ALLOWED_FAST, 5),
        (HASH_REQUEST, 49),
        (HASH_REJECT, 49),
    ];
    for (id, expected) in exact {
        for got in [expected - 1, expected + 1, 1 << 20, u32::MAX] {
            if got == 0 {
                continue;
            }
            let fault = MessageFault::WrongLength { id, expected, got };
            assert_eq!(decode(&[&head(got, id)]), Err(fault));
            assert_eq!(decode(&[&head(got, id)[..4], &[id]]), Err(fault), "split before the id");
        }
    }
    for got in 1..=9 {
        assert_eq!(decode(&[&head(got, PIECE)]), Err(MessageFault::Empty { id: PIECE, got }));
    }
    let max = 16384 + 9;
    for got in [max + 1, u32::MAX] {
        let fault = MessageFault::TooLong { id: PIECE, max, got };
        assert_eq!(decode(&[&head(got, PIECE)]), Err(fault));
    }
    assert_eq!(
        decode(&[&head(1, EXTENDED)]),
        Err(MessageFault::Empty { id: EXTENDED, got: 1 }),
        "an extended message has at least its own id"
    );
    let max = 65536 + 2;
    let fault = MessageFault::TooLong { id: EXTENDED, max, got: max + 1 };
    assert_eq!(decode(&[&head(max + 1, EXTENDED)]), Err(fault));
    for id in [10, 11, 12, 18, 19, 24, 0x7f, 0xff] {
        let fault = MessageFault::TooLong { id, max: 65536, got: 65537 };
        assert_eq!(decode(&[&head(65537, id)]), Err(fault));
        assert_eq!(decode(&[&head(65536, id)]), Ok(vec![Seen::Skipped { id, length: 65535 }]));
    }
}

#[test]
fn an_answer_to_a_hash_request_is_some_whole_hashes_and_not_more_than_one_may_ask_for() {
    let head = |length: u32| [&length.to_be_bytes()[..], &[HASHES]].concat();
    for got in [1, 48, 49] {
        assert_eq!(decode(&[&head(got)]), Err(MessageFault::Empty { id: HASHES, got }));
    }
    let fault = MessageFault::WrongLength { id: HASHES, expected: 81, got: 100 };
    assert_eq!(decode(&[&head(100)]), Err(fault));
    let max = 49 + (512 + 35) * 32;
    assert_eq!(decode(&[&head(max)]), Ok(vec![]), "the most there can be is waited for");
    for got in [max + 32, u32::MAX] {
        let fault = MessageFault::TooLong { id: HASHES, max, got };
        assert_eq!(decode(&[&head(got)]), Err(fault));
    }
}

#[test]
fn an_unknown_message_passes_by_without_being_kept() {
    let mut decoder = Decoder::new(limits());
    let mut stream = vec![0, 0, 0x40, 1, 99];
    stream.extend(vec![1; 0x4000]);
    stream.extend(wire(&Message::Choke));
    let mut seen = Vec::new();
    for chunk in stream.chunks(1000) {
        feed(&mut decoder, chunk, &mut seen).unwrap();
        assert!(decoder.held_len() < 17);
    }
    let choke = Seen::Message(wire(&Message::Choke));
    assert_eq!(seen, [Seen::Skipped { id: 99, length: 0x4000 }, choke]);
}

fn any_wire() -> impl Strategy<Value = Vec<u8>> {
    let number = any::<u32>();
    let triple = (any::<u32>(), any::<u32>(), any::<u32>(), 0..3u8);
    prop_oneof![
        (0..sampler().len()).prop_map(|at| sampler()[at].clone()),
        number.prop_map(|piece| wire(&Message::Have(piece))),
        triple.prop_map(|(piece, begin, length, which)| wire(&match which {
            0 => Message::Request { piece, begin, length },
            1 => Message::Cancel { piece, begin, length },
            _ => Message::Reject { piece, begin, length },
        })),
        (any::<u32>(), any::<u32>(), proptest::collection::vec(any::<u8>(), 1..600))
            .prop_map(|(piece, begin, bytes)| block(piece, begin, &bytes)),
        (any::<[u8; 48]>(), proptest::collection::vec(any::<u8>(), 1..20), 0..3u8).prop_map(
            |(request, first, which)| {
                let request = HashRequest::decode(&request);
                let hashes: Vec<u8> = first.iter().flat_map(|byte| [*byte; 32]).collect();
                wire(&match which {
                    0 => Message::HashRequest(request),
                    1 => Message::HashReject(request),
                    _ => Message::Hashes { request, hashes: &hashes },
                })
            },
        ),
        (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(id, payload)| wire(&Message::Extended { id, payload: &payload })),
    ]
}

proptest! {
    #[test]
    fn messages_round_trip_through_any_chunking(
        wires in proptest::collection::vec(any_wire(), 0..20),
        sizes in proptest::collection::vec(1..50usize, 1..40),
    ) {
        let stream = wires.concat();
        let whole = decode(&[&stream]).unwrap();
        prop_assert_eq!(whole.len(), wires.len());
        for (seen, wire) in whole.iter().zip(&wires) {
            match seen {
                Seen::Message(bytes) => prop_assert_eq!(bytes, wire),
                Seen::Block { piece, begin, bytes } => {
                    prop_assert_eq!(&block(*piece, *begin, bytes), wire);
                }
                Seen::Skipped { id, length } => {
                    prop_assert_eq!(*id, wire[4]);
                    prop_assert_eq!(*length as usize, wire.len() - 5);
                }
            }
        }
        let mut rest = &stream[..];
        let mut chunks = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            chunks.push(take(&mut rest, *size));
        }
        prop_assert_eq!(decode(&chunks).unwrap(), whole);
    }

    #[test]
    fn noise_ends_in_a_fault_or_in_waiting(
        noise in proptest::collection::vec(any::<u8>(), 0..300), cut in 0..300usize,
    ) {
        let cut = cut.min(noise.len());
        let whole = decode(&[&noise]);
        prop_assert_eq!(&decode(&[&noise[..cut], &noise[cut..]]), &whole);
        // Short lengths make noise look like messages.
        let tame: Vec<u8> = noise.iter().map(|b| b % 25).collect();
        let tame: Vec<u8> = tame.chunks(5).flat_map(|c| [&[0, 0, 0], c].concat()).collect();
        let cut = cut.min(tame.len());
        prop_assert!(decode(&[&tame[..cut], &tame[cut..]]) == decode(&[&tame]));
    }
}
