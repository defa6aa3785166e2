//! Two engines of which each knows the torrent in its own way: by v1, by v2, by both, as a magnet.

use super::*;
use crate::base::digest::Sha256;
use crate::base::limits::BLOCK_LEN;
use crate::base::limits::LEAVES_BURST_MAX;
use crate::base::limits::LEAVES_INTERVAL;
use crate::base::limits::LEAVES_SERVED_MAX;
use crate::codec::hash_request::HashRequest;
use crate::codec::message::Message;
use crate::content::make::TorrentVersion;
use crate::content::merkle;

const LEN: usize = 700_001;
const PIECE_LEN: u32 = 32_768;

/// The same file in this version.
fn versioned(version: TorrentVersion) -> (Torrent, Vec<u8>) {
    let (_, data) = torrent(LEN, PIECE_LEN);
    let pieces = || data.chunks(PIECE_LEN as usize);
    let width = PIECE_LEN / BLOCK_LEN;
    let root = |piece: &[u8]| {
        let leaves: Vec<_> = piece.chunks(BLOCK_LEN as usize).map(Sha256::of).collect();
        merkle::root(&leaves, width)
    };
    let hashes: Vec<Sha1> = pieces().map(Sha1::of).filter(|_| version.has_v1()).collect();
    let roots: Vec<Sha256> = pieces().map(root).filter(|_| version.has_v2()).collect();
    let maker = TorrentMaker::single("data", LEN as u64).with_piece_length(PIECE_LEN);
    let bytes = maker.version(version).finish_with(&hashes, &roots).expect("it can be made");
    (Torrent::parse(&bytes).expect("what the maker makes loads"), data)
}

/// As a magnet gets it: without the layers, which stand outside of `info`.
fn bare(torrent: &Torrent) -> Torrent {
    Torrent::from_info(torrent.info_bytes(), &[], &[]).expect("it was part of a torrent")
}

/// A seeding engine alone.
fn seeding(torrent: &Torrent, data: &[u8]) -> Pair {
    let torrent = Arc::new(torrent.clone());
    let mut pair = Pair::of([Arc::clone(&torrent), torrent], data, &Settings::default());
    pair.run(20, |pair| pair.hosts[0].alerts.contains(&AlertKind::Finished));
    pair
}

/// A stranger says these bytes to the seed; what is answered, and the stranger's connection.
fn talk(pair: &mut Pair, bytes: &[u8]) -> (Vec<u8>, ConnId) {
    let engine = &mut pair.hosts[0].engine;
    let stranger = SocketAddr::from(([10, 0, 0, 9], 9));
    let conn = engine.handle_accepted(pair.now, stranger).expect("there is room");
    engine.handle_bytes(pair.now, conn, bytes);
    (hear(pair, conn), conn)
}

/// What the seed sends on this connection; nothing if it closes it.
fn hear(pair: &mut Pair, conn: ConnId) -> Vec<u8> {
    let engine = &mut pair.hosts[0].engine;
    let mut heard = Vec::new();
    while let Some(output) = engine.poll_output() {
        match output {
            Output::Send { conn: to } if to == conn => {
                let mut batch = SendBatch::default();
                engine.poll_send(pair.now, conn, &mut batch);
                heard.extend(batch.to_bytes());
                engine.handle_sent(pair.now, conn, batch.len());
            }
            Output::Close { conn: closed } if closed == conn => return Vec::new(),
            Output::Disk(job) => pair.reads.push(job),
            _ => {}
        }
    }
    heard
}

fn message(message: &Message<'_>) -> Vec<u8> {
    let mut wire = Vec::new();
    message.encode(&mut wire);
    wire
}

#[test]
fn every_pair_of_versions_that_shares_a_name_downloads_every_byte() {
    let (hybrid, data) = versioned(TorrentVersion::Hybrid);
    let (second, _) = versioned(TorrentVersion::V2);
    let pairs = [
        (hybrid.clone(), hybrid.clone()),
        (hybrid.clone(), bare(&hybrid)),
        (second.clone(), second.clone()),
        (second.clone(), bare(&second)),
    ];
    for (seed, leech) in pairs {
        let torrents = [Arc::new(seed), Arc::new(leech)];
        let mut pair = Pair::of(torrents, &data, &Settings::default());
        pair.run(5_000, |pair| pair.hosts[1].is_finished());
        assert!(pair.hosts[0].disk == pair.hosts[1].disk);
        assert_eq!(pair.hosts[1].engine.stats().downloaded, LEN as u64, "nothing twice");
    }
}

#[test]
fn who_dials_a_hybrid_by_v1_and_knows_v2_is_answered_by_v2() {
    let (hybrid, data) = versioned(TorrentVersion::Hybrid);
    let names = hybrid.info_hashes();
    let (v1, v2) = (names.v1().unwrap(), names.v2().unwrap().truncated());
    // Dialled by, knows v2, answered by.
    for (name, knows_v2, answer) in
        [(v1, false, v1), (v1, true, v2), (v2, false, v2), (v2, true, v2)]
    {
        let mut pair = seeding(&hybrid, &data);
        let hello = Handshake::ours(name, [7; 20]).with_v2(knows_v2);
        let (heard, _) = talk(&mut pair, &hello.encode());
        let theirs = Handshake::decode(heard[..68].try_into().unwrap()).unwrap();
        assert_eq!((theirs.info_hash, theirs.has_v2()), (answer, true), "{name} {knows_v2}");
    }
}

#[test]
fn a_torrent_of_one_version_answers_by_its_name_whatever_the_peer_knows() {
    for version in [TorrentVersion::V1, TorrentVersion::V2] {
        let (torrent, data) = versioned(version);
        let mut pair = seeding(&torrent, &data);
        let hello = Handshake::ours(torrent.info_hash(), [7; 20]).with_v2(true);
        let (heard, _) = talk(&mut pair, &hello.encode());
        let theirs = Handshake::decode(heard[..68].try_into().unwrap()).unwrap();
        assert_eq!(theirs.info_hash, torrent.info_hash());
        assert_eq!(theirs.has_v2(), version == TorrentVersion::V2);
    }
}

#[test]
fn hashes_are_served_where_v2_was_agreed_and_asking_elsewhere_is_a_fault() {
    let (hybrid, data) = versioned(TorrentVersion::Hybrid);
    let names = hybrid.info_hashes();
    let root = hybrid.file_root(crate::base::ids::FileIndex(0)).unwrap();
    let request = HashRequest { root, base: 1, index: 0, length: 32, proof_layers: 4 };
    let wrong = HashRequest { base: 2, ..request };
    let asking = [message(&Message::HashRequest(request)), message(&Message::HashRequest(wrong))];
    let asking = asking.concat();
    let hello = Handshake::ours(names.v1().unwrap(), [7; 20]);

    let mut pair = seeding(&hybrid, &data);
    let (_, conn) = talk(&mut pair, &hello.with_v2(true).encode());
    let now = pair.now;
    pair.hosts[0].engine.handle_bytes(now, conn, &asking);
    let layer = hybrid.layer(crate::base::ids::FileIndex(0)).unwrap();
    assert_eq!(layer.len(), 22);
    let mut hashes: Vec<u8> = layer.iter().flat_map(|hash| *hash.as_bytes()).collect();
    (22..32).for_each(|_| hashes.extend(merkle::pad(1).as_bytes()));
    let answer = message(&Message::Hashes { request, hashes: &hashes });
    let reject = message(&Message::HashReject(wrong));
    assert_eq!(hear(&mut pair, conn), [answer, reject].concat());

    let mut pair = seeding(&hybrid, &data);
    let (_, conn) = talk(&mut pair, &hello.encode());
    let before = pair.hosts[0].engine.stats().connection_count;
    pair.hosts[0].engine.handle_bytes(pair.now, conn, &asking);
    assert_eq!(hear(&mut pair, conn), [0; 0]);
    let after = pair.hosts[0].engine.stats().connection_count;
    assert_eq!(after + 1, before, "it was sent away");
}

#[test]
fn leaves_of_a_piece_that_we_have_are_hashed_for_whoever_asks_but_not_without_end() {
    let (second, data) = versioned(TorrentVersion::V2);
    let mut pair = seeding(&second, &data);
    let root = second.file_root(crate::base::ids::FileIndex(0)).unwrap();
    let leaves: Vec<Sha256> = data.chunks(16_384).map(Sha256::of).collect();
    let (_, conn) = talk(&mut pair, &Handshake::ours(second.info_hash(), [7; 20]).encode());
    // The last piece has one block, its second leaf is padding; then one behind the last.
    for (index, proof_layers) in [(4, 0), (4, 5), (42, 5), (44, 0), (1 << 20, 0)] {
        let request = HashRequest { root, base: 0, index, length: 2, proof_layers };
        let asking = message(&Message::HashRequest(request));
        pair.hosts[0].engine.handle_bytes(pair.now, conn, &asking);
        let mut heard = hear(&mut pair, conn);
        while let Some(read) = pair.reads.pop() {
            pair.obey(0, Output::Disk(read));
            heard.extend(hear(&mut pair, conn));
        }
        let range = merkle::HashRange { base: 0, index, length: 2, proof_layers };
        let proof = merkle::prove(&leaves, 6, range).filter(|_| index < 44);
        let bytes = |proof: Vec<Sha256>| -> Vec<u8> {
            proof.iter().flat_map(|hash| *hash.as_bytes()).collect()
        };
        let expected = match proof.map(bytes) {
            Some(hashes) => message(&Message::Hashes { request, hashes: &hashes }),
            None => message(&Message::HashReject(request)),
        };
        assert!(heard == expected, "{request:?}");
    }
    let request = HashRequest { root, base: 0, index: 0, length: 2, proof_layers: 0 };
    let asking = message(&Message::HashRequest(request));
    let mut reads = 3;
    for _ in 0..2 * LEAVES_SERVED_MAX {
        pair.hosts[0].engine.handle_bytes(pair.now, conn, &asking);
        hear(&mut pair, conn);
        while let Some(read) = pair.reads.pop() {
            reads += 1;
            pair.obey(0, Output::Disk(read));
            hear(&mut pair, conn);
        }
    }
    assert_eq!(reads, LEAVES_SERVED_MAX);
}

#[test]
fn strangers_that_come_again_and_again_get_no_more_leaves_than_a_shard_can_bear() {
    let (second, data) = versioned(TorrentVersion::V2);
    let mut pair = seeding(&second, &data);
    let root = second.file_root(crate::base::ids::FileIndex(0)).unwrap();
    let request = HashRequest { root, base: 0, index: 0, length: 2, proof_layers: 0 };
    let asking = message(&Message::HashRequest(request));
    let mut reads = 0;
    for stranger in 0..10 {
        let hello = Handshake::ours(second.info_hash(), [stranger; 20]).encode();
        let (_, conn) = talk(&mut pair, &hello);
        for _ in 0..LEAVES_SERVED_MAX {
            pair.hosts[0].engine.handle_bytes(pair.now, conn, &asking);
            hear(&mut pair, conn);
            while let Some(read) = pair.reads.pop() {
                reads += 1;
                pair.obey(0, Output::Disk(read));
                hear(&mut pair, conn);
            }
        }
        if stranger == 8 {
            assert_eq!(reads, LEAVES_BURST_MAX);
            pair.now = pair.now + 3 * LEAVES_INTERVAL;
        }
    }
    assert_eq!(reads, LEAVES_BURST_MAX + 3, "more after a while");
}

#[test]
fn more_hash_requests_than_any_peer_sends_at_once_are_rejected_and_none_is_forgotten() {
    let (second, data) = versioned(TorrentVersion::V2);
    let mut pair = seeding(&second, &data);
    let root = second.file_root(crate::base::ids::FileIndex(0)).unwrap();
    let request = HashRequest { root, base: 1, index: 0, length: 32, proof_layers: 4 };
    let hello = Handshake::ours(second.info_hash(), [7; 20]).encode();
    let (_, conn) = talk(&mut pair, &hello);
    let now = pair.now;
    let flood = message(&Message::HashRequest(request)).repeat(500);
    pair.hosts[0].engine.handle_bytes(now, conn, &flood);
    let heard = hear(&mut pair, conn);
    let (answer, reject) = (4 + 49 + 32 * 32, 4 + 49);
    let answers = crate::base::limits::HASH_QUEUE_MAX;
    assert_eq!(heard.len(), answers * answer + (500 - answers) * reject);
}
