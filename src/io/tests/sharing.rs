//! One hot torrent on two shards, over real sockets.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;

use super::*;
use crate::codec::handshake::HANDSHAKE_LEN;
use crate::codec::handshake::Handshake;
use crate::codec::message::Message;
use crate::io::link::Letter;

const BLOCK: usize = 16 * 1024;
/// Requests that each connection has under way.
const DEPTH: usize = 32;

/// A plain blocking leecher, which reads what it asked for and nothing else.
struct Leecher {
    stream: TcpStream,
    /// Bytes read and not understood yet.
    held: Vec<u8>,
    is_unchoked: bool,
}

impl Leecher {
    fn connect(to: SocketAddr, torrent: &Torrent, number: u8) -> Leecher {
        let mut stream = TcpStream::connect(to).expect("somebody listens");
        stream.set_read_timeout(Some(LIMIT)).expect("it can be set");
        let mut hello = Handshake::ours(torrent.info_hash(), [number; 20]).encode().to_vec();
        Message::HaveNone.encode(&mut hello);
        Message::Interested.encode(&mut hello);
        stream.write_all(&hello).expect("the shard reads");
        let mut theirs = [0; HANDSHAKE_LEN];
        stream.read_exact(&mut theirs).expect("it answers");
        Leecher { stream, held: Vec::new(), is_unchoked: false }
    }

    fn ask(&mut self, blocks: &[usize]) {
        let mut bytes = Vec::new();
        for block in blocks {
            let (piece, begin) = (block / 4, block % 4 * BLOCK);
            let (piece, begin, length) = (piece as u32, begin as u32, BLOCK as u32);
            Message::Request { piece, begin, length }.encode(&mut bytes);
        }
        self.stream.write_all(&bytes).expect("the shard reads");
    }

    /// The body of the next message, id first.
    fn message(&mut self) -> Vec<u8> {
        loop {
            if let Some((head, rest)) = self.held.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*head) as usize;
                if rest.len() >= length {
                    let body = rest[..length].to_vec();
                    self.held.drain(..4 + length);
                    return body;
                }
            }
            let mut bytes = [0; 64 * 1024];
            let count = self.stream.read(&mut bytes).expect("it is served in time");
            assert!(count > 0, "the connection was closed");
            self.held.extend_from_slice(&bytes[..count]);
        }
    }

    fn await_unchoke(&mut self) {
        while !self.is_unchoked {
            self.is_unchoked = self.message().first() == Some(&1);
        }
    }

    /// Takes blocks until all of these have come, each right and in its order.
    fn take(&mut self, blocks: &[usize], data: &[u8]) {
        for block in blocks {
            let body = loop {
                let body = self.message();
                assert_ne!(body.first(), Some(&0), "it was choked");
                if body.first() == Some(&7) {
                    break body;
                }
            };
            let number = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().unwrap());
            assert_eq!((number(1) as usize) * 4 + number(5) as usize / BLOCK, *block);
            assert!(body[9..] == data[block * BLOCK..][..BLOCK], "block {block} is wrong");
        }
    }
}

#[test]
fn connections_that_were_open_before_are_served_by_both_shards_and_lose_no_block() {
    if cpus::allowed().len() < 2 {
        // One core has one shard: there is nobody to help.
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (torrent, data) = torrent(dir.path(), 4 << 20);
    let house = House::start(2);
    let stats = house.add(0, &torrent, dir.path(), vec![]);
    wait_until("the seed is checked", || stats.read().state == TorrentState::Seeding);
    let address = house.shards.listen_addresses()[0];
    let mut leechers: Vec<Leecher> =
        (1..=8).map(|number| Leecher::connect(address, &torrent, number)).collect();
    leechers.iter_mut().for_each(Leecher::await_unchoke);
    let blocks: Vec<usize> = (0..data.len() / BLOCK).collect();
    let mut rounds = blocks.chunks(DEPTH);
    let first = rounds.next().expect("there are blocks");
    // Nobody reads while peers travel: some have batches in flight, all have requests queued.
    leechers.iter_mut().for_each(|leecher| leecher.ask(first));
    let link = &house.shards.links()[0];
    link.post(Letter::Loads(vec![900, 0])).expect("the shard lives");
    let mut shown = first;
    for round in rounds {
        leechers.iter_mut().for_each(|leecher| leecher.ask(round));
        leechers.iter_mut().for_each(|leecher| leecher.take(shown, &data));
        shown = round;
        let _ = after(Duration::from_millis(150)).recv();
    }
    leechers.iter_mut().for_each(|leecher| leecher.take(shown, &data));
    wait_until("all is counted", || stats.read().uploaded == 8 * data.len() as u64);
    let now = stats.read();
    let peers: Vec<u32> = now.shards.iter().map(|share| share.peer_count).collect();
    assert_eq!(peers, [4, 4], "{:?}", now.shards);
    assert!(now.shards.iter().all(|share| share.uploaded > 0), "{:?}", now.shards);
    let mut late = Leecher::connect(address, &torrent, 9);
    late.await_unchoke();
    late.ask(first);
    late.take(first, &data);
    house.end();
}
