//! Sockets over loopback: what the kernel does becomes events, and what is asked is done.

#![expect(clippy::disallowed_methods, reason = "the other end of a socket is another thread")]

mod splicing;

use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::thread;

use super::*;
use crate::base::buffer::PageBuf;
use crate::base::payload::Mapped;
use crate::base::payload::Payload;
use crate::base::slots::SlotId;
use crate::io::clock::Clock;
use crate::io::cpus::Provision;
use crate::io::mapping::Mapping;
use crate::io::ring::batch::Sending;
use crate::io::sockets::listeners::Listeners;
use crate::io::sockets::splice::Splicer;
use crate::io::sockets::step_send::Sent;

const LIMIT: Duration = Duration::from_secs(10);

struct World {
    ring: Ring,
    sockets: Sockets,
    clock: Clock,
}

fn id(slot: u32) -> ConnId {
    ConnId(SlotId { slot, generation: 0 })
}

impl World {
    fn new() -> World {
        let ring = Ring::new(Provision { count: 32, len: 16 * 1024 }).unwrap();
        World { ring, sockets: Sockets::default(), clock: Clock::start() }
    }

    fn next(&mut self) -> SocketEvent {
        self.next_within(LIMIT).expect("an event")
    }

    fn next_within(&mut self, limit: Duration) -> Option<SocketEvent> {
        let end = self.clock.now() + limit;
        while self.clock.now() < end {
            let now = self.clock.now();
            while let Some(completion) = self.ring.next_completion() {
                let event = self.sockets.handle_completion(&mut self.ring, now, completion);
                if event.is_some() {
                    return event;
                }
            }
            self.sockets.handle_turn_end(&mut self.ring, now);
            self.ring.enter(Duration::from_millis(5)).unwrap();
        }
        None
    }

    /// A connection under `id`, and its other end.
    fn connection(&mut self, id: ConnId) -> TcpStream {
        let listeners = Listeners::bind(&["127.0.0.1:0".parse().unwrap()], 1).unwrap();
        let fd = listeners.per_shard.into_iter().flatten().next().unwrap();
        self.sockets.listen(&mut self.ring, fd);
        self.ring.enter(Duration::ZERO).unwrap();
        let theirs = TcpStream::connect(listeners.addresses[0]).unwrap();
        let SocketEvent::Accepted { fd, remote } = self.next() else { panic!() };
        assert_eq!(remote, theirs.local_addr().unwrap());
        self.sockets.adopt(&mut self.ring, id, fd);
        theirs
    }

    fn bytes(&mut self, id: ConnId) -> Vec<u8> {
        match self.next() {
            SocketEvent::Bytes { conn, filled } if conn == id => {
                let bytes = self.ring.bytes(&filled).to_vec();
                self.ring.give_back(filled);
                bytes
            }
            other => panic!("{other:?}"),
        }
    }

    fn send(&mut self, id: ConnId, payload_len: usize) {
        let mut sending = self.sockets.spare();
        sending.batch.push_block(&[7; 13], PageBuf::zeroed(payload_len).freeze().into());
        self.sockets.send(&mut self.ring, id, sending);
    }
}

#[test]
fn an_inbound_connection_talks_first_bytewise_then_in_bulk() {
    let mut world = World::new();
    let mut theirs = world.connection(id(2));
    for word in [&b"hand"[..], b"shake"] {
        theirs.write_all(word).unwrap();
        assert_eq!(world.bytes(id(2)), word);
    }
    world.sockets.set_established(&mut world.ring, id(2));
    for round in 0..20 {
        theirs.write_all(&[round; 1000]).unwrap();
        assert_eq!(world.bytes(id(2)), [round; 1000]);
    }
    world.send(id(2), 100);
    let event = world.next();
    assert!(matches!(event, SocketEvent::Sent { count: 113, is_done: true, .. }), "{event:?}");
    let mut answer = [0; 113];
    theirs.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..13], [7; 13]);
    drop(theirs);
    let event = world.next();
    let reason = CloseReason::EndOfStream;
    assert!(
        matches!(event, SocketEvent::Closed { reason: ref r, .. } if *r == reason),
        "{event:?}"
    );
    assert_eq!(world.sockets.len(), 0);
}

/// All of them were armed again at once, and all but a few failed again, round after round.
#[test]
fn connections_that_find_no_buffer_take_turns() {
    let (mut world, count) = (World::new(), 100);
    world.ring = Ring::new(Provision { count: 4, len: 4096 }).unwrap();
    let mut theirs: Vec<TcpStream> = (0..count).map(|slot| world.connection(id(slot))).collect();
    theirs.iter_mut().for_each(|theirs| theirs.write_all(&[9; 1000]).unwrap());
    let (mut failed, mut fed) = (0, Vec::new());
    let end = world.clock.now() + LIMIT;
    while fed.len() < theirs.len() && world.clock.now() < end {
        let now = world.clock.now();
        while let Some(completion) = world.ring.next_completion() {
            let is_starved = matches!(completion.outcome, Outcome::Received(Err(Errno::NOBUFS)));
            failed += usize::from(is_starved);
            let event = world.sockets.handle_completion(&mut world.ring, now, completion);
            if let Some(SocketEvent::Bytes { conn, filled }) = event {
                assert_eq!(filled.len(), 1000);
                world.ring.give_back(filled);
                fed.push(conn);
            }
        }
        world.sockets.handle_turn_end(&mut world.ring, now);
        world.ring.enter(Duration::ZERO).unwrap();
    }
    fed.sort_unstable();
    assert_eq!(fed, (0..count).map(id).collect::<Vec<_>>());
    assert!(failed < 2 * theirs.len(), "{failed} receives without a buffer");
}

#[test]
fn a_socket_changes_shards_between_two_receives_and_loses_no_byte() {
    let (mut first, mut second) = (World::new(), World::new());
    let mut theirs = first.connection(id(0));
    theirs.write_all(b"before").unwrap();
    assert_eq!(first.bytes(id(0)), b"before");
    theirs.write_all(b"after").unwrap();
    let fd = first.sockets.take(&mut first.ring, id(0)).expect("nothing is in flight");
    second.sockets.adopt(&mut second.ring, id(9), fd);
    assert_eq!(second.bytes(id(9)), b"after");
    assert_eq!((first.sockets.len(), second.sockets.len()), (0, 1));
}

#[test]
fn who_listens_at_one_address_dials_from_it() {
    let mut world = World::new();
    let listeners = Listeners::bind(&["127.0.0.5:0".parse().unwrap()], 1).unwrap();
    let fd = listeners.per_shard.into_iter().flatten().next().unwrap();
    world.sockets.listen(&mut world.ring, fd);
    let theirs = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    world.sockets.connect(&mut world.ring, id(0), theirs.local_addr().unwrap()).unwrap();
    world.ring.enter(Duration::ZERO).unwrap();
    let (_, remote) = theirs.accept().unwrap();
    assert_eq!(remote.ip(), listeners.addresses[0].ip());
}

#[test]
fn a_connect_ends_in_connected_or_closed() {
    let mut world = World::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    world.sockets.connect(&mut world.ring, id(0), address).unwrap();
    world.ring.enter(Duration::ZERO).unwrap();
    let (mut theirs, _) = listener.accept().unwrap();
    assert!(matches!(world.next(), SocketEvent::Connected { conn } if conn == id(0)));
    theirs.write_all(b"hello").unwrap();
    assert_eq!(world.bytes(id(0)), b"hello");
    drop(listener);
    world.sockets.connect(&mut world.ring, id(1), address).unwrap();
    let reason = CloseReason::ConnectFailed;
    let event = world.next();
    assert!(
        matches!(event, SocketEvent::Closed { conn, reason: r } if conn == id(1) && r == reason)
    );
    assert_eq!(world.sockets.len(), 1);
}

#[test]
fn a_send_larger_than_the_socket_buffer_is_reported_in_parts() {
    let mut world = World::new();
    let mut theirs = world.connection(id(0));
    world.send(id(0), 20_000_000);
    assert!(!world.sockets.can_send(id(0)));
    let reader = thread::spawn(move || {
        let mut bytes = vec![0; 20_000_013];
        theirs.read_exact(&mut bytes).map(|()| theirs)
    });
    let (mut total, mut part_count) = (0, 0);
    while total < 20_000_013 {
        let SocketEvent::Sent { count, is_done, .. } = world.next() else { panic!() };
        total += count;
        part_count += 1;
        assert_eq!(is_done, total == 20_000_013);
    }
    assert!(part_count > 1 && world.sockets.can_send(id(0)));
    drop(reader.join().unwrap().unwrap());
}

/// A file of this many bytes on the disk, and all of it mapped.
fn mapped_file(len: usize) -> (File, Payload) {
    let mut file = tempfile::tempfile_in(".").unwrap();
    let bytes: Vec<u8> = (0..len).map(|at| (at / 7 % 251) as u8).collect();
    file.write_all(&bytes).unwrap();
    file.sync_all().unwrap();
    let mapping = Mapping::new(file.as_fd(), 0, len).unwrap();
    let address = mapping.address();
    (file, Payload::Mapped(Mapped::new(Rc::new(mapping), address, len)))
}

#[test]
fn mapped_bytes_that_left_memory_while_the_peer_did_not_read_are_brought_back_first() {
    const LEN: usize = 20_000_000;
    let mut world = World::new();
    let mut theirs = world.connection(id(0));
    let (file, payload) = mapped_file(LEN);
    let mut sending = world.sockets.spare();
    sending.batch.push_block(&[7; 13], payload);
    world.sockets.send(&mut world.ring, id(0), sending);
    let SocketEvent::Sent { count, is_done: false, .. } = world.next() else { panic!() };
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let reader = thread::spawn(move || {
        let mut bytes = vec![0; LEN + 13];
        theirs.read_exact(&mut bytes).map(|()| bytes)
    });
    let mut total = count;
    while total < LEN + 13 {
        let SocketEvent::Sent { count, .. } = world.next() else { panic!() };
        total += count;
    }
    let bytes = reader.join().unwrap().unwrap();
    assert!((0..LEN).all(|at| bytes[13 + at] == (at / 7 % 251) as u8));
    assert!(world.sockets.can_send(id(0)));
}

#[test]
fn mapped_bytes_of_a_file_that_was_cut_end_the_connection_and_are_named() {
    let mut world = World::new();
    let _theirs = world.connection(id(0));
    let (file, payload) = mapped_file(1_000_000);
    file.set_len(100_000).unwrap();
    let mut sending = world.sockets.spare();
    sending.batch.push_block(&[7; 13], payload.slice(50_000..66_384).unwrap());
    sending.batch.push_block(&[7; 13], payload.slice(200_000..216_384).unwrap());
    world.sockets.send(&mut world.ring, id(0), sending);
    let mut event = world.next();
    if let SocketEvent::Sent { count, is_done: false, .. } = event {
        assert!(count <= 16_384 + 26);
        event = world.next();
    }
    let SocketEvent::Unreadable { conn, mapped } = event else { panic!("{event:?}") };
    let Payload::Mapped(whole) = payload else { panic!() };
    assert_eq!((conn, mapped.len()), (id(0), 16_384));
    assert!([50_000, 200_000].contains(&(mapped.address() - whole.address())));
    assert_eq!(world.sockets.len(), 0);
}

#[test]
fn closing_ends_everything_in_flight_and_frees_the_payload() {
    let mut world = World::new();
    let mut theirs = world.connection(id(0));
    let payload = PageBuf::zeroed(20_000_000).freeze();
    let mut sending = world.sockets.spare();
    sending.batch.push_block(&[7; 13], payload.clone().into());
    world.sockets.send(&mut world.ring, id(0), sending);
    world.ring.enter(Duration::ZERO).unwrap();
    world.sockets.close(&mut world.ring, id(0));
    world.sockets.stop_listening(&mut world.ring);
    assert!(world.next_within(Duration::from_millis(50)).is_none(), "nothing more is told");
    assert_eq!((world.ring.in_flight_count(), world.sockets.len()), (0, 0));
    let mut rest = Vec::new();
    // End of the stream or a reset: either way the descriptor is closed.
    let _ = theirs.read_to_end(&mut rest);
    assert!(rest.len() < 20_000_000);
    assert!(world.sockets.spare().batch.is_empty());
}

#[test]
fn an_id_that_outlived_its_connection_does_nothing() {
    let mut world = World::new();
    let _theirs = world.connection(id(0));
    let stale = ConnId(SlotId { slot: 0, generation: 9 });
    world.sockets.close(&mut world.ring, stale);
    world.send(stale, 10);
    assert!(world.sockets.take(&mut world.ring, stale).is_none());
    assert!(!world.sockets.can_send(stale) && world.sockets.can_send(id(0)));
    assert_eq!(world.sockets.len(), 1);
}

#[test]
fn a_listener_out_of_descriptors_pauses_and_tries_again() {
    let mut world = World::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    world.sockets.listen(&mut world.ring, listener.into());
    let accept = world.sockets.listeners[0].accept;
    world.ring.cancel(accept);
    assert!(world.next_within(Duration::from_millis(20)).is_none());
    let now = world.clock.now();
    let retry_at = world.sockets.listeners[0].retry_at;
    assert!(retry_at.is_some_and(|at| at <= now + ACCEPT_PAUSE));
    let _theirs = TcpStream::connect(address).unwrap();
    assert!(matches!(world.next(), SocketEvent::Accepted { .. }));
    assert_eq!(world.sockets.listeners[0].retry_at, None);
}

#[test]
fn a_send_that_a_signal_interrupted_goes_again() {
    let mut world = World::new();
    let mut theirs = world.connection(id(0));
    let mut sending = world.sockets.spare();
    sending.batch.push_small(b"hello");
    let outcome = Outcome::Sent(sending, Err(Errno::INTR));
    let completion = Completion { asker: Asker::Conn(id(0)), is_last: true, outcome };
    let now = world.clock.now();
    assert!(world.sockets.handle_completion(&mut world.ring, now, completion).is_none());
    assert!(matches!(world.next(), SocketEvent::Sent { count: 5, is_done: true, .. }));
    let mut bytes = [0; 5];
    theirs.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
}

#[test]
fn a_connection_whose_slot_was_given_away_can_still_change_shards() {
    let mut world = World::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let _new = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (fd, _) = listener.accept().unwrap();
    let mut old = world.connection(id(0));
    old.write_all(b"handshake").unwrap();
    assert_eq!(world.bytes(id(0)), b"handshake");
    let newer = ConnId(SlotId { slot: 0, generation: 1 });
    world.sockets.adopt(&mut world.ring, newer, fd.into());
    assert_eq!(world.sockets.len(), 2);
    let fd = world.sockets.take(&mut world.ring, id(0));
    assert!(fd.is_some(), "the slot is the newer one's, the socket is not");
    assert!(world.sockets.can_send(newer) && !world.sockets.can_send(id(0)));
    world.sockets.close(&mut world.ring, newer);
    assert_eq!(world.sockets.len(), 0);
}
