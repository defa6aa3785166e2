//! Layers of a torrent that came without them, asked of made-up peers that have them.

use super::*;
use crate::base::limits::HASH_FLIGHT_MAX;
use crate::base::limits::HASH_FLIGHT_PEER_MAX;
use crate::base::limits::HASH_PATIENCE;
use crate::base::limits::HASH_RETRY;
use crate::base::limits::HASH_TIMEOUT;
use crate::codec::hash_request::HASH_LEN;
use crate::content::make::TorrentMaker;
use crate::content::make::TorrentVersion;
use crate::content::merkle;

const PIECE: u64 = 32_768;

/// A v2 torrent of files of these pieces, as its maker has it and as a magnet gets it.
fn torrents(piece_counts: &[u64]) -> (Torrent, Torrent) {
    let maker = TorrentMaker::directory("d").version(TorrentVersion::V2);
    let maker = maker.with_piece_length(PIECE as u32);
    let add = |maker: TorrentMaker, (n, count): (usize, &u64)| {
        maker.file([format!("{n:04}")], count * PIECE)
    };
    let maker = piece_counts.iter().enumerate().fold(maker, add);
    let count = piece_counts.iter().sum::<u64>() as u32;
    let roots: Vec<_> = (0..count).map(|number| Sha256::of(&number.to_be_bytes())).collect();
    let whole = Torrent::parse(&maker.finish_with(&[], &roots).unwrap()).unwrap();
    let bare = Torrent::from_info(whole.info_bytes(), &[], &[]).unwrap();
    (whole, bare)
}

fn peer(slot: u32) -> SlotId {
    SlotId { slot, generation: 0 }
}

fn wire(hashes: &[Sha256]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Asks peer 0, who has everything, until nothing is left to ask.
fn fetch_all(layers: &mut Layers, bare: &Torrent, whole: &Torrent) -> usize {
    let mut count = 0;
    while let Some(request) = layers.poll_request(Instant::ZERO, peer(0), |_| true, bare) {
        let answer = answer(&request, whole).expect("a seed has what it is asked for");
        let learnt = layers.handle_hashes(peer(0), &request, &wire(&answer));
        assert_eq!(learnt, Ok(Learnt::Roots));
        count += 1;
    }
    count
}

#[test]
fn a_magnet_fetches_all_layers_and_then_knows_what_the_file_said() {
    let (whole, bare) = torrents(&[1, 2, 600, 1, 1025]);
    let mut layers = Layers::new(&bare);
    let known = layers.verifiable().expect("something is missing");
    assert_eq!(known.iter_ones().collect::<Vec<_>>(), [0, 603], "files of one piece");
    assert!(layers.hand_over(&bare, Lanes::PORTABLE).is_none());
    assert_eq!(fetch_all(&mut layers, &bare, &whole), 1 + 2 + 3);
    assert!(layers.verifiable().is_none());
    for piece in whole.layout().pieces() {
        assert_eq!(layers.root(piece, &bare), whole.piece_root(piece));
        assert!(layers.root(piece, &bare).is_some());
    }
    let learnt = layers.hand_over(&bare, Lanes::PORTABLE).expect("all are there");
    assert_eq!(learnt.missing_layers().count(), 0);
    for piece in whole.layout().pieces() {
        assert_eq!(layers.root(piece, &learnt), whole.piece_root(piece));
    }
    assert!(layers.hand_over(&learnt, Lanes::PORTABLE).is_none(), "once is enough");
}

#[test]
fn what_was_fetched_is_served_on() {
    let (whole, bare) = torrents(&[600]);
    let mut layers = Layers::new(&bare);
    let file = bare.missing_layers().next().expect("it is missing");
    let root = bare.file_root(file).expect("the file has bytes");
    let request = HashRequest { root, base: 1, index: 512, length: 128, proof_layers: 9 };
    assert_eq!(answer(&request, &bare), None, "not yet");
    fetch_all(&mut layers, &bare, &whole);
    let learnt = layers.hand_over(&bare, Lanes::PORTABLE).expect("all are there");
    assert!(answer(&request, &learnt).is_some());
    assert_eq!(answer(&request, &learnt), answer(&request, &whole));
}

#[test]
fn requests_that_nobody_must_serve_are_rejected() {
    let (whole, _) = torrents(&[1, 600]);
    let root = whole.file_root(FileIndex(1)).or(whole.file_root(FileIndex(2))).unwrap();
    let good = HashRequest { root, base: 1, index: 0, length: 512, proof_layers: 9 };
    assert_eq!(answer(&good, &whole).map(|hashes| hashes.len()), Some(513));
    let small = whole.file_root(FileIndex(0)).unwrap();
    let bad = [
        HashRequest { root: Sha256([0; 32]), ..good },
        HashRequest { root: small, length: 1, ..good },
        HashRequest { base: 0, ..good },
        HashRequest { base: 2, ..good },
        HashRequest { index: 1024, ..good },
        HashRequest { index: 1, ..good },
        HashRequest { length: 1024, ..good },
        HashRequest { length: 3, ..good },
        HashRequest { proof_layers: 10, ..good },
        HashRequest { index: u32::MAX - 511, ..good },
    ];
    for request in bad {
        assert_eq!(answer(&request, &whole), None, "{request:?}");
    }
    let v1 = TorrentMaker::single("x", PIECE).with_piece_length(PIECE as u32);
    let v1 = v1.finish(&[crate::base::digest::Sha1([0; 20])]).unwrap();
    let v1 = Torrent::parse(&v1).unwrap();
    assert!(Layers::new(&v1).verifiable().is_none());
    assert_eq!(answer(&good, &v1), None);
}

#[test]
fn a_liar_is_known_at_once_and_another_peer_is_asked() {
    let (whole, bare) = torrents(&[600]);
    let lies: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes[40] ^= 1,
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |bytes| bytes.truncate(HASH_LEN),
        |bytes| bytes.extend([0; HASH_LEN]),
    ];
    for lie in lies {
        let mut layers = Layers::new(&bare);
        let ask = |layers: &mut Layers, who| {
            layers.poll_request(Instant::ZERO, peer(who), |_| true, &bare)
        };
        let request = ask(&mut layers, 0).unwrap();
        let other = ask(&mut layers, 1).unwrap();
        assert_ne!(request, other, "one thing is asked of one peer");
        let mut bytes = wire(&answer(&request, &whole).unwrap());
        lie(&mut bytes);
        assert_eq!(layers.handle_hashes(peer(0), &request, &bytes), Err(HashLie));
        assert_eq!(layers.verifiable().map(Bitfield::count_ones), Some(0));
        assert_eq!(ask(&mut layers, 1), Some(request));
        let good = wire(&answer(&request, &whole).unwrap());
        assert_eq!(layers.handle_hashes(peer(1), &request, &good), Ok(Learnt::Roots));
        let again = layers.handle_hashes(peer(1), &request, &good);
        assert_eq!(again, Ok(Learnt::Nothing), "nobody waits for it any more");
    }
}

#[test]
fn who_refuses_or_is_silent_is_not_asked_the_same_for_a_while() {
    let (_, bare) = torrents(&[2]);
    let mut layers = Layers::new(&bare);
    let mut now = Instant::ZERO;
    let request = layers.poll_request(now, peer(0), |_| true, &bare).unwrap();
    layers.handle_reject(now, peer(1), &request);
    assert_eq!(layers.poll_timeout(), Some(now + HASH_TIMEOUT), "a stranger rejects nothing");
    layers.handle_reject(now, peer(0), &request);
    assert_eq!(layers.poll_request(now, peer(0), |_| true, &bare), None);
    assert_eq!(layers.poll_request(now, peer(1), |_| true, &bare), Some(request));
    now = now + HASH_TIMEOUT;
    assert_eq!(layers.poll_timeout(), Some(now));
    assert!(layers.handle_timeout(now), "others can be asked");
    assert_eq!(layers.poll_request(now, peer(1), |_| true, &bare), None);
    assert_eq!(layers.poll_request(now, peer(2), |_| true, &bare), Some(request));
    assert!(layers.handle_left(peer(2)) && !layers.handle_left(peer(2)));
    now = now + HASH_RETRY;
    assert_eq!(layers.poll_request(now, peer(1), |_| true, &bare), Some(request));
}

#[test]
fn one_other_peer_is_asked_for_what_is_slow_to_come_and_both_may_answer() {
    let (whole, bare) = torrents(&[2]);
    let mut layers = Layers::new(&bare);
    let start = Instant::ZERO;
    let mut ask = |now, who| layers.poll_request(now, peer(who), |_| true, &bare);
    let request = ask(start, 0).unwrap();
    assert_eq!(ask(start, 1), None);
    let later = start + HASH_PATIENCE;
    assert_eq!(ask(later, 0), None, "not twice of the same peer");
    assert_eq!(ask(later, 1), Some(request));
    assert_eq!(ask(later + HASH_PATIENCE, 2), None, "two are enough");
    let good = wire(&answer(&request, &whole).unwrap());
    for who in [1, 0] {
        assert_eq!(layers.handle_hashes(peer(who), &request, &good), Ok(Learnt::Roots));
        assert!(layers.verifiable().is_none());
    }
}

/// Silent ones hold all requests that may be under way, and would again as soon as those are given
/// up, because they are asked first.
#[test]
fn many_silent_peers_do_not_keep_others_from_being_asked() {
    let (_, bare) = torrents(&[2; 2 * HASH_FLIGHT_MAX]);
    let mut layers = Layers::new(&bare);
    let silent = 0..(HASH_FLIGHT_MAX / HASH_FLIGHT_PEER_MAX) as u32;
    let ask = |layers: &mut Layers, now, who| layers.poll_request(now, peer(who), |_| true, &bare);
    for who in silent.clone().chain(silent.clone()) {
        assert!(ask(&mut layers, Instant::ZERO, who).is_some());
    }
    assert_eq!(ask(&mut layers, Instant::ZERO, 99), None, "no room");
    let late = Instant::ZERO + HASH_TIMEOUT;
    assert!(layers.handle_timeout(late));
    let again = silent.clone().chain(silent).filter(|who| ask(&mut layers, late, *who).is_some());
    assert_eq!(again.count(), HASH_FLIGHT_MAX / 2, "half of the room");
    assert!(ask(&mut layers, late, 99).is_some());
}

#[test]
fn a_peer_is_asked_for_what_it_has_and_two_things_at_once() {
    let (_, bare) = torrents(&[600, 600, 600]);
    let mut layers = Layers::new(&bare);
    let ask = |layers: &mut Layers, who: u32, from: u32| {
        layers.poll_request(Instant::ZERO, peer(who), |piece| piece.as_u32() >= from, &bare)
    };
    assert_eq!(ask(&mut layers, 0, 9_999), None, "it has nothing");
    let last = ask(&mut layers, 0, 1_799).expect("it has the last piece");
    assert_eq!((last.index, last.length), (512, 128));
    assert_eq!(ask(&mut layers, 0, 1_799), None, "it has nothing else");
    assert!(ask(&mut layers, 0, 0).is_some());
    assert_eq!(ask(&mut layers, 0, 0), None, "two are under way");
    assert_eq!((1..9).filter(|who| ask(&mut layers, *who, 0).is_some()).count(), 4);
}

#[test]
fn requests_under_way_are_bounded_however_many_peers_there_are() {
    let (_, bare) = torrents(&[2; 300]);
    let mut layers = Layers::new(&bare);
    let mut count = 0;
    for who in 0..500 {
        while layers.poll_request(Instant::ZERO, peer(who), |_| true, &bare).is_some() {
            count += 1;
        }
    }
    assert_eq!(count, HASH_FLIGHT_MAX);
}

#[test]
fn the_leaves_of_a_failed_piece_are_asked_for_first_and_proved() {
    let leaves = [Sha256([1; 32]), Sha256([2; 32])];
    let root = merkle::root(&leaves, 2);
    let maker = TorrentMaker::single("x", 3 * PIECE).version(TorrentVersion::V2);
    let roots = [Sha256([7; 32]), root, Sha256([8; 32])];
    let maker = maker.with_piece_length(PIECE as u32);
    let torrent = Torrent::parse(&maker.finish_with(&[], &roots).unwrap()).unwrap();
    let piece = torrent.layout().piece(1).unwrap();
    let mut layers = Layers::new(&torrent);
    let ask = |layers: &mut Layers| {
        layers.poll_request(Instant::ZERO, peer(0), |has| has == piece, &torrent)
    };
    assert_eq!(ask(&mut layers), None);
    assert!(layers.want_leaves(Instant::ZERO, piece, &torrent));
    assert!(!layers.want_leaves(Instant::ZERO, piece, &torrent), "they are wanted already");
    let request = ask(&mut layers).expect("it has the piece");
    assert_eq!((request.base, request.index, request.length), (0, 2, 2));
    assert_eq!(request.proof_layers, 0, "both leaves give the piece's root");
    let lie = wire(&[leaves[0], leaves[0]]);
    assert_eq!(layers.handle_hashes(peer(0), &request, &lie), Err(HashLie));
    assert_eq!(layers.leaves(piece), None);
    let request = ask(&mut layers).expect("they are still wanted");
    let learnt = layers.handle_hashes(peer(0), &request, &wire(&leaves));
    assert_eq!(learnt, Ok(Learnt::Leaves(piece)));
    assert_eq!(layers.leaves(piece), Some(&leaves[..]));
    layers.forget_leaves(piece);
    assert_eq!(layers.leaves(piece), None);
    assert_eq!(ask(&mut layers), None);
}
