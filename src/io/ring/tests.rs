//! The ring against real sockets, files and threads.

#![expect(clippy::disallowed_methods, reason = "the other end of a socket is another thread")]

use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::os::unix::fs::FileExt;
use std::thread;

use rustix::event::EventfdFlags;
use rustix::event::eventfd;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use super::*;
use crate::base::slots::SlotId;
use crate::engine::to_ring::ConnId;
use crate::io::cpus::Provision;

const PROVISION: Provision = Provision { count: 32, len: 16 * 1024 };
const ASKER: Asker = Asker::Conn(ConnId(SlotId { slot: 7, generation: 1 }));
const LIMIT: Duration = Duration::from_secs(10);

/// A connected pair over loopback: ours, theirs.
fn tcp_pair() -> (Rc<OwnedFd>, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    (Rc::new(ours.into()), theirs)
}

fn next(ring: &mut Ring) -> Completion {
    let clock = Clock::start();
    loop {
        if let Some(completion) = ring.next_completion() {
            return completion;
        }
        assert!(clock.now() < Instant::ZERO + LIMIT, "no completion");
        ring.enter(Duration::from_millis(100)).unwrap();
    }
}

fn received(ring: &mut Ring) -> Vec<u8> {
    let completion = next(ring);
    assert_eq!(completion.asker, ASKER);
    let Outcome::Received(Ok(filled)) = completion.outcome else { panic!("{completion:?}") };
    let Some(filled) = filled else { return Vec::new() };
    let bytes = ring.bytes(&filled).to_vec();
    ring.give_back(filled);
    bytes
}

/// A batch of blocks, their headers filled with the number of the block.
fn batch_of(block_lens: &[usize]) -> Box<Sending> {
    let mut sending = Sending::empty();
    for (at, len) in block_lens.iter().enumerate() {
        let mut payload = PageBuf::zeroed(*len);
        payload.bytes_mut().fill(at as u8 + 100);
        sending.batch.push_block(&[at as u8; 13], payload.freeze().into());
    }
    sending
}

#[test]
fn a_multishot_receive_goes_on_until_the_end_of_the_stream() {
    let mut ring = Ring::new(PROVISION).unwrap();
    let (ours, mut theirs) = tcp_pair();
    ring.receive(ASKER, ours);
    for round in 0..100u8 {
        theirs.write_all(&[round; 100]).unwrap();
        assert_eq!(received(&mut ring), [round; 100]);
    }
    drop(theirs);
    assert!(received(&mut ring).is_empty());
    assert_eq!(ring.in_flight_count(), 0);
}

#[test]
fn after_a_single_receive_nothing_is_in_flight() {
    let mut ring = Ring::new(PROVISION).unwrap();
    let (ours, mut theirs) = tcp_pair();
    ring.receive_once(ASKER, Rc::clone(&ours));
    ring.enter(Duration::ZERO).unwrap();
    theirs.write_all(b"first").unwrap();
    assert_eq!(received(&mut ring), b"first");
    assert_eq!((ring.in_flight_count(), Rc::strong_count(&ours)), (0, 1));
}

#[test]
fn without_free_buffers_a_receive_ends_and_armed_again_it_misses_nothing() {
    let mut ring = Ring::new(PROVISION).unwrap();
    let (ours, mut theirs) = tcp_pair();
    let total = PROVISION.len * (usize::from(PROVISION.count) + 8);
    let sent: Vec<u8> = (0..total).map(|at| (at / 251) as u8).collect();
    let copy = sent.clone();
    let writer = thread::spawn(move || theirs.write_all(&copy).map(|()| theirs));
    ring.receive(ASKER, Rc::clone(&ours));
    let mut held = Vec::new();
    loop {
        match next(&mut ring).outcome {
            Outcome::Received(Ok(Some(filled))) => held.push(filled),
            Outcome::Received(Err(Errno::NOBUFS)) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(held.len(), usize::from(PROVISION.count));
    let mut bytes = Vec::new();
    for filled in held {
        bytes.extend_from_slice(ring.bytes(&filled));
        ring.give_back(filled);
    }
    ring.receive(ASKER, ours);
    while bytes.len() < total {
        bytes.extend(received(&mut ring));
    }
    assert!(bytes == sent);
    drop(writer.join().unwrap().unwrap());
}

#[test]
fn segments_leave_in_order_and_short_sends_are_continued() {
    let mut ring = Ring::new(PROVISION).unwrap();
    let (ours, mut theirs) = tcp_pair();
    let sending = batch_of(&[100_000; 64]);
    let expected: Vec<u8> = sending.batch.to_bytes();
    assert_eq!(expected.len(), 64 * 100_013);
    let reader = thread::spawn(move || {
        let mut bytes = vec![0; 64 * 100_013];
        theirs.read_exact(&mut bytes).map(|()| bytes)
    });
    ring.send(ASKER, Rc::clone(&ours), sending);
    let mut completion_count = 0;
    loop {
        let Outcome::Sent(mut sending, Ok(count)) = next(&mut ring).outcome else { panic!() };
        completion_count += 1;
        if sending.advance(count) {
            break;
        }
        ring.send(ASKER, Rc::clone(&ours), sending);
    }
    assert!(completion_count > 1, "6.4 MB do not fit a socket buffer at once");
    assert!(reader.join().unwrap().unwrap() == expected);
}

#[test]
fn a_stale_completion_for_a_reused_slot_is_ignored() {
    let mut ring = Ring::new(PROVISION).unwrap();
    let (ours, mut theirs) = tcp_pair();
    let first = ring.receive_once(ASKER, Rc::clone(&ours));
    theirs.write_all(b"x").unwrap();
    received(&mut ring);
    let second = ring.receive_once(ASKER, ours);
    assert_eq!(first.0.slot, second.0.slot, "the slot is used again");
    assert!(ring.complete(first.as_user_data(), -libc::ECANCELED, 0).is_none());
    assert_eq!((ring.stale_count(), ring.in_flight_count()), (1, 1));
    theirs.write_all(b"y").unwrap();
    assert_eq!(received(&mut ring), b"y");
}

#[test]
fn accepted_sockets_close_on_exec() {
    let mut ring = Ring::new(PROVISION).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    ring.accept(Asker::Listener(3), Rc::new(listener.into()));
    ring.enter(Duration::ZERO).unwrap();
    for _ in 0..3 {
        let theirs = TcpStream::connect(address).unwrap();
        let completion = next(&mut ring);
        assert!(completion.asker == Asker::Listener(3) && !completion.is_last);
        let Outcome::Accepted(Ok(fd)) = completion.outcome else { panic!() };
        assert!(rustix::io::fcntl_getfd(&fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        let peer: SocketAddr = rustix::net::getpeername(&fd).unwrap().unwrap().try_into().unwrap();
        assert_eq!(peer, theirs.local_addr().unwrap());
    }
}

#[test]
fn a_connect_succeeds_is_refused_or_times_out() {
    let mut ring = Ring::new(PROVISION).unwrap();
    let socket = |ring: &mut Ring, to: SocketAddr, timeout: u64| {
        let fd = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        ring.connect(ASKER, Rc::new(fd.into()), to.into(), Duration::from_millis(timeout));
        let Outcome::Connected(result) = next(ring).outcome else { panic!() };
        result
    };
    let open = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = open.local_addr().unwrap();
    assert_eq!(socket(&mut ring, address, 5_000), Ok(()));
    drop(open);
    assert_eq!(socket(&mut ring, address, 5_000), Err(Errno::CONNREFUSED));

    let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    let _queued = TcpStream::connect(address).unwrap();
    assert_eq!(socket(&mut ring, address, 50), Err(Errno::CANCELED));
    ring.enter(Duration::from_millis(10)).unwrap();
    assert!(ring.next_completion().is_none());
    assert_eq!(ring.in_flight_count(), 0, "time-outs leave with their operations");
}

#[test]
fn datagrams_come_with_their_sender_and_cut_ones_without_bytes() {
    let mut ring = Ring::new(PROVISION).unwrap();
    let ours = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let theirs = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (here, there) = (ours.local_addr().unwrap(), theirs.local_addr().unwrap());
    let fd: Rc<OwnedFd> = Rc::new(ours.into());
    ring.send_datagram(Asker::Udp(0), Rc::clone(&fd), Datagram::addressed(there, b"ping".to_vec()));
    assert!(matches!(next(&mut ring).outcome, Outcome::DatagramSent));
    let mut bytes = [0; 16];
    assert_eq!(theirs.recv_from(&mut bytes).unwrap(), (4, here));

    theirs.send_to(b"pong!", here).unwrap();
    theirs.send_to(&[0; 5000], here).unwrap();
    ring.receive_datagram(Asker::Udp(0), Rc::clone(&fd), Datagram::empty());
    let Outcome::DatagramReceived(datagram, Ok(())) = next(&mut ring).outcome else { panic!() };
    assert_eq!((datagram.bytes(), datagram.sender()), (Some(&b"pong!"[..]), Some(there)));
    ring.receive_datagram(Asker::Udp(0), fd, datagram);
    let Outcome::DatagramReceived(datagram, Ok(())) = next(&mut ring).outcome else { panic!() };
    assert_eq!(datagram.bytes(), None);
}

#[test]
fn files_are_written_read_and_synced() {
    let mut ring = Ring::new(PROVISION).unwrap();
    let file = tempfile::tempfile().unwrap();
    let fd: Rc<OwnedFd> = Rc::new(file.try_clone().unwrap().into());
    let mut buf = PageBuf::zeroed(10_000);
    buf.bytes_mut().fill(9);
    ring.write(ASKER, Rc::clone(&fd), buf.freeze(), 5);
    assert!(matches!(next(&mut ring).outcome, Outcome::Written(Ok(10_000))));
    ring.sync(ASKER, Rc::clone(&fd));
    assert!(matches!(next(&mut ring).outcome, Outcome::Synced(Ok(()))));
    let mut byte = [0];
    file.read_exact_at(&mut byte, 5).unwrap();
    assert_eq!(byte, [9]);
    ring.read(ASKER, fd, PageBuf::zeroed(20_000), (100, 15_000), 4);
    let Outcome::Read(buf, Ok(10_001)) = next(&mut ring).outcome else { panic!() };
    assert_eq!(buf.bytes()[99..103], [0, 0, 9, 9]);
}

#[test]
fn an_eventfd_wakes_a_waiting_ring_from_another_thread() {
    let mut ring = Ring::new(PROVISION).unwrap();
    let fd = Rc::new(eventfd(0, EventfdFlags::CLOEXEC).unwrap());
    ring.wake(Rc::clone(&fd));
    let theirs = fd.try_clone().unwrap();
    let clock = Clock::start();
    let waker = thread::spawn(move || {
        rustix::io::write(&theirs, &1u64.to_ne_bytes()).unwrap();
    });
    ring.enter(LIMIT).unwrap();
    assert!(matches!(next(&mut ring).outcome, Outcome::Woken));
    assert!(clock.now() < Instant::ZERO + LIMIT / 2, "woken, not timed out");
    waker.join().unwrap();
}

#[test]
fn a_full_submission_queue_delays_but_loses_nothing() {
    let mut ring = Ring::new(PROVISION).unwrap();
    let file: Rc<OwnedFd> = Rc::new(tempfile::tempfile().unwrap().into());
    for _ in 0..5000 {
        ring.read(ASKER, Rc::clone(&file), PageBuf::zeroed(0), (0, 0), 0);
    }
    let done = (0..5000).filter(|_| matches!(next(&mut ring).outcome, Outcome::Read(_, Ok(0))));
    assert_eq!(done.count(), 5000);
}

#[test]
fn closing_cancels_and_waits_for_everything_in_flight() {
    let mut ring = Ring::new(PROVISION).unwrap();
    let pairs: Vec<_> = (0..50).map(|_| tcp_pair()).collect();
    let wake = Rc::new(eventfd(0, EventfdFlags::CLOEXEC).unwrap());
    ring.wake(Rc::clone(&wake));
    for (ours, _) in &pairs {
        ring.receive(ASKER, Rc::clone(ours));
        ring.send(ASKER, Rc::clone(ours), batch_of(&[9_000_000]));
    }
    ring.enter(Duration::ZERO).unwrap();
    assert!(ring.cancel_and_wait(LIMIT), "nothing is left");
    assert!(pairs.iter().all(|(ours, _)| Rc::strong_count(ours) == 1));
    assert_eq!(Rc::strong_count(&wake), 1);
}
