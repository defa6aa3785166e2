//! Nanoseconds of what is read from and written to peers: `cargo bench --bench codec`.
//!
//! The codec is not public, so the bench includes the files that hold it. Each line is the best of
//! several runs, by the time that this thread had a core; what is decoded is counted, and wrong
//! counts end the run. Without `--bench` everything runs once and no figure is printed.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "a part of the crate by itself")]

use std::hint::black_box;
use std::time::Duration;

use rustix::time::ClockId;
use rustix::time::clock_gettime;

#[path = "../src/base"]
pub(crate) mod base {
    pub(crate) mod digest;
    pub(crate) mod limits;
}
#[path = "../src/codec"]
pub(crate) mod codec {
    pub(crate) mod bencode;
    pub(crate) mod handshake;
    pub(crate) mod hash_request;
    pub(crate) mod message;
    pub(crate) mod message_decoder;
}

use base::digest::Sha1;
use codec::bencode::Document;
use codec::bencode::Limits;
use codec::handshake::HANDSHAKE_LEN;
use codec::handshake::Handshake;
use codec::message::Message;
use codec::message::piece_header;
use codec::message_decoder::Decoder;
use codec::message_decoder::MessageLimits;
use codec::message_decoder::Token;

const BLOCK: u32 = 16 * 1024;
/// Bytes per receive: a buffer of the ring.
const INPUT: usize = 16 * 1024;
const PIECES: u32 = 4096;
const RUNS: usize = 25;
/// Items per run: enough to be far above the clock.
const ITEMS: u32 = 4096;

/// Runs each case and prints what an item of it costs.
struct Bench {
    has_figures: bool,
}

impl Bench {
    /// `work` returns how many items it did; always `items`.
    fn case(&self, name: &str, items: u32, mut work: impl FnMut() -> u32) {
        assert_eq!(work(), items, "{name}");
        if !self.has_figures {
            return;
        }
        let mut best = Duration::MAX;
        for _ in 0..RUNS {
            let start = now();
            black_box(work());
            best = best.min(now() - start);
        }
        println!("{name:<56} {:>9.1} ns", best.as_nanos() as f64 / f64::from(items));
    }
}

/// Time that this thread has had a core.
fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

fn main() {
    let bench = Bench { has_figures: std::env::args().any(|argument| argument == "--bench") };
    streams(&bench);
    encoding(&bench);
    bencoded(&bench);
    metainfo(&bench);
}

/// Messages of one kind, decoded in inputs of the size of a receive.
fn streams(bench: &Bench) {
    let requests = stream(|at| Message::Request { piece: at, begin: BLOCK, length: BLOCK });
    bench.case("decode a request", ITEMS, || messages(&requests, INPUT));
    bench.case("decode a request, stream cut every 100 bytes", ITEMS, || messages(&requests, 100));
    let haves = stream(Message::Have);
    bench.case("decode a have", ITEMS, || messages(&haves, INPUT));
    let bits = vec![0xff; PIECES as usize / 8];
    let mut field = Vec::new();
    Message::Bitfield(&bits).encode(&mut field);
    bench.case("decode a bitfield of 4,096 pieces", 1, || messages(&field, INPUT));
    // Blocks of 16 KiB with 13 bytes in front never fit the receives: each is cut in two.
    let count = 256;
    let block = vec![7; BLOCK as usize];
    let mut blocks = Vec::new();
    for at in 0..count {
        blocks.extend_from_slice(&piece_header(at, 0, BLOCK));
        blocks.extend_from_slice(&block);
    }
    bench.case("decode a block of 16 KiB, which is not copied", count, || payload(&blocks, count));
}

fn stream(message: impl Fn(u32) -> Message<'static>) -> Vec<u8> {
    let mut out = Vec::new();
    (0..ITEMS).for_each(|at| message(at % PIECES).encode(&mut out));
    out
}

/// How many messages come out.
fn messages(stream: &[u8], cut: usize) -> u32 {
    let mut decoder = Decoder::new(MessageLimits::new(PIECES));
    let mut count = 0;
    for mut input in stream.chunks(cut) {
        while let Some(token) = decoder.next(&mut input).expect("sound messages") {
            count += u32::from(matches!(black_box(token), Token::Message(_) | Token::Held(_)));
        }
    }
    count
}

/// How many blocks come out; none of their bytes may be missing.
fn payload(stream: &[u8], blocks: u32) -> u32 {
    let mut decoder = Decoder::new(MessageLimits::new(PIECES));
    let (mut count, mut bytes) = (0, 0);
    for mut input in stream.chunks(INPUT) {
        while let Some(token) = decoder.next(&mut input).expect("sound messages") {
            match token {
                Token::BlockBytes(part) => bytes += black_box(part).len(),
                Token::BlockEnd => count += 1,
                _ => {}
            }
        }
    }
    assert_eq!(bytes, (blocks * BLOCK) as usize);
    count
}

fn encoding(bench: &Bench) {
    let mut out = Vec::with_capacity(17 * ITEMS as usize);
    bench.case("encode a request", ITEMS, || {
        out.clear();
        for at in 0..ITEMS {
            Message::Request { piece: at, begin: 0, length: BLOCK }.encode(&mut out);
        }
        black_box(out.len() / 17) as u32
    });
    bench.case("encode the head of a block", ITEMS, || {
        let heads = (0..ITEMS).map(|at| black_box(piece_header(at, 0, BLOCK)));
        heads.map(|head| u32::from(head[4] == 7)).sum()
    });
    let wire: [u8; HANDSHAKE_LEN] = Handshake::ours(Sha1([7; 20]), [9; 20]).encode();
    bench.case("decode a handshake", ITEMS, || {
        let good = (0..ITEMS).filter(|_| Handshake::decode(black_box(&wire)).is_ok());
        good.count() as u32
    });
}

fn bencoded(bench: &Bench) {
    let limits = Limits { depth: 50, tokens: 10_000 };
    let hello = b"d1:md11:lt_donthavei7e6:ut_pexi1e11:ut_metadatai2e12:ut_holepunchi4ee\
                  13:metadata_sizei31235e1:pi6881e4:reqqi500e1:v15:coreswarm/0.1.0e";
    bench.case("parse an extension handshake, bencoded", ITEMS, || {
        let sizes = (0..ITEMS).map(|_| {
            let document = Document::parse(black_box(hello), limits).expect("sound bencoding");
            let size = document.root().get(b"metadata_size").and_then(|size| size.as_u64());
            u32::from(size == Some(31_235))
        });
        sizes.sum()
    });
    let entry = b"d2:ip13:192.168.100.17:peer id20:-CS0100-0123456789ab4:porti6881ee";
    let peers = [b"d8:intervali1800e5:peersl".as_slice(), &entry.repeat(200), b"ee"].concat();
    bench.case("parse 200 peers of a tracker, bencoded one by one", 200, || {
        let document = Document::parse(black_box(&peers), limits).expect("sound bencoding");
        let list = document.root().get(b"peers").and_then(|peers| peers.as_list());
        list.into_iter().flatten().filter(|peer| peer.get(b"port").is_some()).count() as u32
    });
}

/// Through the public API: what a .torrent of 4 GiB in 1 MiB pieces takes.
fn metainfo(bench: &Bench) {
    let hashes = vec![b'h'; 20 * PIECES as usize];
    let head = format!("d4:infod6:lengthi{}e4:name8:load.bin", u64::from(PIECES) << 20);
    let head = format!("{head}12:piece lengthi1048576e6:pieces{}:", hashes.len());
    let file = [head.as_bytes(), &hashes, b"ee"].concat();
    bench.case("load a .torrent of 4,096 pieces", 1, || {
        let torrent = coreswarm::Torrent::parse(black_box(&file)).expect("a sound torrent");
        u32::from(torrent.piece_count() == PIECES)
    });
}
