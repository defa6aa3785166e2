//! What it takes to cross from one thread to a shard, and between shards: `cargo bench --bench
//! crossing`.
//!
//! Questions and connections go through a session's public API; a queue with the shards' doorbell,
//! which a shard hears only after it has slept, is measured by itself. Without `--bench` everything
//! runs a few times and no figure is printed.

#![allow(clippy::disallowed_methods, reason = "a bench runs threads and reads the clock")]

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use coreswarm::AddTorrent;
use coreswarm::Session;
use coreswarm::Torrent;
use coreswarm::TorrentHandle;
use crossbeam::queue::ArrayQueue;
use hdrhistogram::Histogram;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;

#[allow(dead_code, unreachable_pub, reason = "a part of the crate by itself")]
#[path = "../src/io/doorbell.rs"]
mod doorbell;

use doorbell::Doorbell;

/// A shard that has nothing to do sleeps between questions that are so far apart.
const PAUSE: Duration = Duration::from_millis(2);
/// As deep as a shard's mailbox.
const DEPTH: usize = 4096;
/// The bytes of a letter, about.
type Letter = [u64; 16];

/// How often things are done.
struct Counts {
    questions: usize,
    connections: usize,
    letters: usize,
    has_figures: bool,
}

fn main() -> Result<()> {
    let counts = if std::env::args().any(|argument| argument == "--bench") {
        Counts { questions: 2_000, connections: 2_000, letters: 4_000_000, has_figures: true }
    } else {
        Counts { questions: 3, connections: 3, letters: 10_000, has_figures: false }
    };
    mailbox(&counts)?;
    let cores = thread::available_parallelism()?.get();
    for shards in [1, 2] {
        if shards <= cores {
            session(&counts, shards)?;
        }
    }
    Ok(())
}

/// Nanoseconds, as percentiles in microseconds.
fn tell(counts: &Counts, name: &str, times: &Histogram<u64>) {
    let micros = |share| times.value_at_quantile(share) as f64 / 1000.0;
    if counts.has_figures {
        let (usual, rare, most) = (micros(0.5), micros(0.99), micros(1.0));
        println!("{name:<64} p50 {usual:>8.1}  p99 {rare:>8.1}  max {most:>8.1} us");
    }
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}

fn record(times: &mut Histogram<u64>, began: Instant) {
    let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    times.saturating_record(nanos.max(1));
}

/// A bounded queue and its doorbell, from one thread to another that does not sleep.
fn mailbox(counts: &Counts) -> Result<()> {
    let queue: ArrayQueue<Letter> = ArrayQueue::new(DEPTH);
    let bell = Doorbell::new()?;
    let began = Instant::now();
    let sum = thread::scope(|scope| {
        let taker = scope.spawn(|| {
            let (mut taken, mut sum) = (0, 0);
            while taken < counts.letters {
                let Some(letter) = queue.pop() else {
                    thread::yield_now();
                    continue;
                };
                taken += 1;
                sum += letter[0];
            }
            sum
        });
        for number in 0..counts.letters {
            let mut letter = [0; 16];
            letter[0] = number as u64;
            while queue.push(letter).is_err() {
                thread::yield_now();
            }
            bell.ring();
        }
        taker.join().unwrap_or(0)
    });
    let last = counts.letters as u64;
    ensure!(sum == last * (last - 1) / 2, "letters were lost");
    if counts.has_figures {
        let nanos = began.elapsed().as_nanos() as f64 / counts.letters as f64;
        println!(
            "{:<64} {nanos:>12.1} ns",
            "a letter to a thread that is awake, doorbell included"
        );
    }
    Ok(())
}

fn session(counts: &Counts, shards: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let session = Session::builder()
        .shards(shards)
        .listen([SocketAddr::from(([127, 0, 0, 1], 0))])
        .start()?;
    let torrent = Arc::new(torrent()?);
    let handle =
        session.add(AddTorrent::from_torrent(Arc::clone(&torrent)).directory(folder.path()))?;
    let address = *session.listen_addresses().first().context("a session that listens")?;
    questions(counts, shards, &handle)?;
    connections(counts, shards, address, torrent.info_hash().as_bytes())?;
    let report = session.shutdown(Duration::from_secs(10));
    ensure!(report.is_clean(), "a shard did not end");
    Ok(())
}

/// One piece of one block, of which we have nothing.
fn torrent() -> Result<Torrent> {
    let info = "d6:lengthi16384e4:name4:none12:piece lengthi16384e6:pieces20:";
    Ok(Torrent::parse(format!("d4:info{info}hhhhhhhhhhhhhhhhhhhhee").as_bytes())?)
}

fn questions(counts: &Counts, shards: usize, handle: &TorrentHandle) -> Result<()> {
    let (mut asleep, mut awake) = (histogram()?, histogram()?);
    for _ in 0..counts.questions {
        thread::sleep(PAUSE);
        let began = Instant::now();
        handle.status()?;
        record(&mut asleep, began);
    }
    for _ in 0..counts.questions {
        let began = Instant::now();
        handle.status()?;
        record(&mut awake, began);
    }
    let name = |state| format!("a question and its answer, {shards} shard(s), {state}");
    tell(counts, &name("asleep"), &asleep);
    tell(counts, &name("one after the other"), &awake);
    Ok(())
}

/// From connecting to having the handshake: with two shards, half of them land on the one that
/// does not own the torrent and are handed over.
fn connections(counts: &Counts, shards: usize, to: SocketAddr, info_hash: &[u8]) -> Result<()> {
    let hello = [b"\x13BitTorrent protocol".as_slice(), &[0; 8], info_hash].concat();
    let mut times = histogram()?;
    for number in 0..counts.connections {
        // An address and an id of its own: those of the last one may still be there.
        let [.., high, low] = (number as u32 + 1).to_be_bytes();
        let from = SocketAddr::from(([127, 1, high, low], 0));
        let peer_id = format!("-XX0000-{number:012}");
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&from.into())?;
        let began = Instant::now();
        socket.connect(&to.into())?;
        let mut socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        socket.write_all(&[&hello, peer_id.as_bytes()].concat())?;
        let mut answer = [0; 68];
        socket.read_exact(&mut answer).context("expected a handshake")?;
        record(&mut times, began);
        ensure!(answer[28..48] == *info_hash, "an answer for another torrent");
    }
    tell(counts, &format!("connected and greeted, {shards} shard(s)"), &times);
    Ok(())
}
