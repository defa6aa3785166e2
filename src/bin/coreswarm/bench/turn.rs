//! `bench turn`: how long a session's turns and answers take while it is busy.

use std::fs;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;
use anyhow::ensure;
use coreswarm::Session;
use coreswarm::TorrentHandle;

use crate::bench::args_own::TurnArgs;
use crate::bench::args_own::Work;
use crate::bench::latencies::Latencies;
use crate::bench::metainfo::Metainfo;
use crate::bench::own;
use crate::bench::own::Checks;
use crate::bench::own::Payload;
use crate::bench::own::seconds_since;
use crate::bench::puller;
use crate::bench::report::Report;
use crate::bench::server;
use crate::bench::turn_lengths;
use crate::clock::now;
use crate::start;

/// A question is asked so often.
const ASK_EVERY: Duration = Duration::from_millis(5);
/// Figures of shards are published at least so often.
const PUBLISHED: Duration = Duration::from_millis(300);

/// What was answered meanwhile.
struct Answers {
    /// From asking for a torrent's status to having it.
    latencies: Latencies,
    count: u64,
}

/// `bench turn`.
pub(crate) fn turn(args: &TurnArgs) -> Result<()> {
    let copies = u64::from(args.work == Work::Download);
    let payload = Payload::make(&args.place, (1, args.size, args.piece_length), copies)?;
    let torrent = payload.torrent(0)?;
    let directory = match args.work {
        Work::Seed => payload.data(),
        Work::Download => payload.target("target")?,
    };
    own::warm(&torrent, &payload.data())?;
    let session = own::session(Some(args.shards), Ipv4Addr::LOCALHOST)?;
    let mut checks = Checks::of(&session);
    let handle = session.add(own::add(&torrent, &directory))?;
    checks.wait(1)?;
    let address = *session.listen_addresses().first().context("a session that listens")?;
    own::hold(PUBLISHED);
    let before = session.stats();
    let began = now();
    let (bytes, answers) = under_load(args, &payload, address, &handle)?;
    let took = seconds_since(began);
    own::hold(PUBLISHED);
    let after = session.stats();
    let mut report = Report::new("turn");
    report.text("work", if args.work == Work::Seed { "seed" } else { "download" });
    report.count("shards", args.shards as u64);
    report.count("connections", args.connections.into());
    report.count("bytes", bytes);
    report.number("seconds", Some(took));
    report.number("MB_per_s", Some(bytes as f64 / 1e6 / took));
    turn_lengths::tell(&mut report, &before, &after);
    for (key, share) in [("p50", 0.5), ("p99", 0.99), ("p99_9", 0.999), ("max", 1.0)] {
        report.number(&format!("answer_{key}_ms"), answers.latencies.millis_at(share));
    }
    report.count("answers", answers.count);
    drop(handle);
    finish(session, &report, bytes)
}

fn finish(session: Session, report: &Report, bytes: u64) -> Result<()> {
    start::shutdown(session)?;
    report.print()?;
    ensure!(bytes > 0, "expected load, no payload was moved");
    Ok(())
}

/// Raw peers load the session from a thread of their own; questions are asked from this one. Gives
/// the payload that was moved.
#[expect(clippy::disallowed_methods, reason = "peers run beside what they load")]
fn under_load(
    args: &TurnArgs,
    payload: &Payload,
    address: SocketAddr,
    handle: &TorrentHandle,
) -> Result<(u64, Answers)> {
    let metainfo = Metainfo::read(&payload.torrent_path(0))?;
    let data = match args.work {
        Work::Seed => Vec::new(),
        Work::Download => fs::read(payload.data().join("load-0000.bin"))?,
    };
    let cores = own::cores()?;
    // The session's shards have the first ones.
    let others = if cores.len() > args.shards { &cores[args.shards..] } else { &cores[..] };
    thread::scope(|scope| {
        let load =
            scope.spawn(move || own::on_cores(others, || load(args, metainfo, data, address))?);
        let answers = own::on_cores(others, || ask(handle, || load.is_finished()))??;
        let bytes = load.join().map_err(|_| anyhow!("the load panicked"))??;
        Ok((bytes, answers))
    })
}

fn load(args: &TurnArgs, metainfo: Metainfo, data: Vec<u8>, address: SocketAddr) -> Result<u64> {
    // Who asks shares a core with us where there are two: it must not wait for us.
    rustix::process::nice(10)?;
    let count = usize::from(args.connections);
    match args.work {
        Work::Seed => {
            let torrent = Arc::new(metainfo);
            let torrents = vec![torrent; count];
            let pulled = puller::pull(address, torrents, args.depth.into(), args.seconds)?;
            ensure!(pulled.served == count, "expected {count} peers served, {}", pulled.served);
            Ok(pulled.bytes)
        }
        Work::Download => server::feed(address, count, metainfo, data, args.seconds),
    }
}

/// Asks for a torrent's status again and again until the load is over.
fn ask(handle: &TorrentHandle, is_over: impl Fn() -> bool) -> Result<Answers> {
    let mut answers = Answers { latencies: Latencies::new()?, count: 0 };
    let mut due: Instant = now();
    while !is_over() {
        handle.status()?;
        // From when it was due: a slow answer must not hide those behind it.
        answers.latencies.record(now().duration_since(due));
        answers.count += 1;
        due += ASK_EVERY;
        own::hold(due.saturating_duration_since(now()));
    }
    Ok(answers)
}
