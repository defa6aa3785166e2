//! Batches that leave without a copy: the same bytes in the same order, whatever the peer does.

use super::*;

/// What the byte at `at` of a mapped file is: see `mapped_file`.
fn file_byte(at: usize) -> u8 {
    (at / 7 % 251) as u8
}

impl World {
    fn splicing() -> World {
        let mut world = World::new();
        world.sockets.set_splicer(Splicer::open().unwrap());
        world
    }

    /// A batch of small bytes and blocks, each the next ones of the file that `payload` is.
    fn batch(&mut self, payload: &Payload, number: usize, small_len: usize) -> Box<Sending> {
        let mut sending = self.sockets.spare();
        sending.batch.push_small(&vec![number as u8; small_len]);
        for block in 0..8 {
            let start = BLOCK * (8 * number + block);
            let part = payload.slice(start..start + BLOCK).unwrap();
            sending.batch.push_block(&[(number * 31 + block) as u8; 13], part);
        }
        sending
    }

    /// Sends it, and waits until all of it has left.
    fn send_all(&mut self, id: ConnId, sending: Box<Sending>) -> usize {
        let mut sent = 0;
        let mut event = match self.sockets.send(&mut self.ring, id, sending) {
            Sent::Now(event) => event,
            Sent::Later => None,
        };
        loop {
            match event.take().unwrap_or_else(|| self.next()) {
                SocketEvent::Sent { count, is_done, .. } => {
                    sent += count;
                    if is_done {
                        return sent;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Neither a multiple of a page nor of anything else.
const BLOCK: usize = 5_001;

/// What `World::batch` holds.
fn expected(number: usize, small_len: usize) -> Vec<u8> {
    let mut bytes = vec![number as u8; small_len];
    for block in 0..8 {
        let start = BLOCK * (8 * number + block);
        bytes.extend([(number * 31 + block) as u8; 13]);
        bytes.extend((start..start + BLOCK).map(file_byte));
    }
    bytes
}

/// Reads all in another thread, so much at a time: little makes it slow.
fn reader(mut theirs: TcpStream, len: usize, step: usize) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = vec![0; len];
        for part in bytes.chunks_mut(step) {
            theirs.read_exact(part).unwrap();
        }
        bytes
    })
}

#[test]
fn headers_are_as_they_were_written_however_late_the_peer_reads_them() {
    // 60 batches with 20,000 small bytes each fill five mappings of headers, and all of them are in
    // the kernel's queues before the first is read.
    let mut world = World::splicing();
    let theirs = world.connection(id(0));
    let (_file, payload) = mapped_file(60 * 8 * BLOCK);
    let mut sent = 0;
    for number in 0..60 {
        let sending = world.batch(&payload, number, 20_000);
        sent += world.send_all(id(0), sending);
    }
    drop(payload);
    let bytes: Vec<u8> = (0..60).flat_map(|number| expected(number, 20_000)).collect();
    assert_eq!((sent, world.sockets.spliced()), (bytes.len(), bytes.len() as u64));
    assert!(reader(theirs, bytes.len(), 150_000).join().unwrap() == bytes);
}

#[test]
fn a_slow_peer_gets_every_byte_although_batches_stop_anywhere() {
    let mut world = World::splicing();
    let theirs = world.connection(id(0));
    let (_file, payload) = mapped_file(400 * 8 * BLOCK);
    let bytes: Vec<u8> = (0..400).flat_map(|number| expected(number, 3)).collect();
    let reader = reader(theirs, bytes.len(), 500);
    let mut sent = 0;
    for number in 0..400 {
        let sending = world.batch(&payload, number, 3);
        sent += world.send_all(id(0), sending);
    }
    assert_eq!(sent, bytes.len());
    assert!(world.sockets.spliced() > sent as u64 * 9 / 10, "{}", world.sockets.spliced());
    assert!(reader.join().unwrap() == bytes);
}

#[test]
fn payload_in_memory_keeps_its_place_between_spliced_batches() {
    let mut world = World::splicing();
    let theirs = world.connection(id(0));
    let (_file, payload) = mapped_file(8 * 2 * BLOCK);
    let mut mixed = world.batch(&payload, 0, 5);
    mixed.batch.push_block(&[9; 13], PageBuf::zeroed(700).freeze().into());
    let mut small = world.sockets.spare();
    small.batch.push_small(b"have");
    let batches = [world.batch(&payload, 1, 0), mixed, small, world.batch(&payload, 0, 40_000)];
    let spliced = batches.map(|sending| {
        let before = world.sockets.spliced();
        let sent = world.send_all(id(0), sending);
        (sent, world.sockets.spliced() > before)
    });
    let zeros = [&[9; 13][..], &[0; 700]].concat();
    let all = [expected(1, 0), expected(0, 5), zeros, b"have".to_vec(), expected(0, 40_000)];
    let bytes = all.concat();
    assert_eq!(spliced.map(|(_, was_spliced)| was_spliced), [true, false, false, false]);
    assert_eq!(spliced.iter().map(|(sent, _)| sent).sum::<usize>(), bytes.len());
    assert!(reader(theirs, bytes.len(), 150_000).join().unwrap() == bytes);
}

#[test]
fn a_peer_that_reads_nothing_is_waited_for_by_one_poll_which_ends_with_the_connection() {
    let mut world = World::splicing();
    let _theirs = world.connection(id(0));
    let (_file, payload) = mapped_file(8 * BLOCK);
    let idle = world.ring.in_flight_count();
    let event = loop {
        let sending = world.batch(&payload, 0, 0);
        match world.sockets.send(&mut world.ring, id(0), sending) {
            Sent::Now(Some(SocketEvent::Sent { is_done: true, .. })) => {}
            Sent::Now(event) => break event,
            Sent::Later => panic!("it suits"),
        }
    };
    assert!(matches!(event, None | Some(SocketEvent::Sent { is_done: false, .. })), "{event:?}");
    assert!(world.next_within(Duration::from_millis(50)).is_none(), "there is no room");
    assert_eq!(world.ring.in_flight_count(), idle + 1);
    assert!(!world.sockets.can_send(id(0)));
    world.sockets.close(&mut world.ring, id(0));
    world.sockets.stop_listening(&mut world.ring);
    assert!(world.next_within(Duration::from_millis(50)).is_none());
    assert_eq!(world.ring.in_flight_count(), 0);
}

#[test]
fn a_peer_that_is_gone_closes_the_connection_and_its_signal_kills_nobody() {
    let mut world = World::splicing();
    let theirs = world.connection(id(0));
    SockRef::from(&theirs).set_linger(Some(Duration::ZERO)).unwrap();
    drop(theirs);
    let (_file, payload) = mapped_file(8 * BLOCK);
    let mut closed = None;
    while closed.is_none() {
        let sending = world.batch(&payload, 0, 0);
        closed = match world.sockets.send(&mut world.ring, id(0), sending) {
            Sent::Now(Some(SocketEvent::Closed { reason, .. })) => Some(reason),
            Sent::Now(Some(SocketEvent::Sent { .. })) => None,
            other => panic!("{other:?}"),
        };
    }
    let gone = [libc::EPIPE, libc::ECONNRESET].map(CloseReason::Errno);
    assert!(gone.contains(closed.as_ref().unwrap()), "{closed:?}");
    assert_eq!(world.sockets.len(), 0);
}

#[test]
fn mapped_bytes_that_are_cut_off_end_a_spliced_batch_and_are_named() {
    let mut world = World::splicing();
    let _theirs = world.connection(id(0));
    let (file, payload) = mapped_file(1_000_000);
    file.set_len(100_000).unwrap();
    let mut sending = world.sockets.spare();
    for start in [50_000, 60_000, 300_000, 400_000, 500_000] {
        sending.batch.push_block(&[7; 13], payload.slice(start..start + 9_000).unwrap());
    }
    let event = match world.sockets.send(&mut world.ring, id(0), sending) {
        Sent::Now(Some(SocketEvent::Sent { count, is_done: false, .. })) => {
            assert!(count <= 3 * 13 + 2 * 9_000);
            world.next()
        }
        Sent::Now(Some(event)) => event,
        other => panic!("{other:?}"),
    };
    let SocketEvent::Unreadable { conn, mapped } = event else { panic!("{event:?}") };
    let Payload::Mapped(whole) = payload else { panic!() };
    assert_eq!((conn, mapped.address() - whole.address()), (id(0), 300_000));
    assert_eq!(world.sockets.len(), 0);
}

#[test]
fn a_connection_that_may_not_block_is_still_waited_for_by_the_ring() {
    let mut world = World::splicing();
    let mut theirs = world.connection(id(0));
    world.sockets.set_established(&mut world.ring, id(0));
    let (_file, payload) = mapped_file(8 * BLOCK);
    let sending = world.batch(&payload, 0, 0);
    world.send_all(id(0), sending);
    let before = world.ring.in_flight_count();
    assert!(world.next_within(Duration::from_millis(50)).is_none(), "nothing ends by itself");
    assert_eq!(world.ring.in_flight_count(), before);
    theirs.write_all(b"hello").unwrap();
    assert_eq!(world.bytes(id(0)), b"hello");
}

#[test]
fn what_we_lack_ourselves_costs_a_copy_and_no_peer() {
    // A refusal to the pipe, or no memory for headers, closed the connection.
    let mut world = World::splicing();
    let theirs = world.connection(id(0));
    let (_file, payload) = mapped_file(8 * BLOCK);
    world.sockets.splicer.as_mut().unwrap().lose_pipe();
    let sending = world.batch(&payload, 0, 3);
    let sent = world.send_all(id(0), sending);
    let bytes = expected(0, 3);
    assert_eq!((sent, world.sockets.spliced()), (bytes.len(), 0));
    assert!(reader(theirs, bytes.len(), 150_000).join().unwrap() == bytes);
}
