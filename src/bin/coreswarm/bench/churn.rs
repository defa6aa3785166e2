//! `bench churn`: peers that connect, greet, and reset the connection as soon as they are greeted.

use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use anyhow::bail;

use crate::bench::args::ChurnArgs;
use crate::bench::call::Call;
use crate::bench::call::Progress;
use crate::bench::latencies::Latencies;
use crate::bench::metainfo::Metainfo;
use crate::bench::meter::Meter;
use crate::bench::poller;
use crate::bench::poller::Poller;
use crate::bench::poller::Ready;
use crate::bench::process::ProcessTree;
use crate::bench::process::Snapshot;
use crate::bench::report::Report;
use crate::bench::settle::settled;
use crate::clock::now;

/// A call that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often deadlines are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What came of the calls.
struct Tally {
    begun: u64,
    greeted: u64,
    failed: u64,
    /// From the connect to their handshake.
    latencies: Latencies,
}

/// `bench churn`.
pub(crate) fn churn(args: &ChurnArgs) -> Result<()> {
    poller::room_for(args.concurrency.into())?;
    let torrent = Metainfo::read(&args.torrent)?;
    let mut tree = args.engine.pid.map(ProcessTree::of).transpose()?;
    let before = tree.as_mut().map(ProcessTree::snapshot);
    let began = now();
    let mut meter = Meter::start(args.engine.pid, began)?;
    let tally = run(args, &torrent, &mut meter)?;
    let took = now().duration_since(began);
    meter.finish(now());
    let mut report = Report::new("churn");
    report.count("cycles", tally.greeted);
    report.count("cycles_failed", tally.failed);
    report.number("seconds", Some(took.as_secs_f64()));
    report.number("cycles_per_s", Some(tally.greeted as f64 / took.as_secs_f64()));
    let cpu = meter.engine().map(|engine| engine.cpu.as_secs_f64() * 1e6);
    report.number("engine_cpu_us_per_cycle", cpu.map(|cpu| cpu / tally.greeted as f64));
    report.latencies(&tally.latencies);
    report.costs(took, &meter);
    let after = tree.as_mut().zip(before).map(|(tree, before)| settled(tree, &before));
    tell(&mut report, before, after.transpose()?);
    report.print()?;
    if tally.greeted == 0 {
        bail!("expected the engine to greet peers, got no handshake from {}", args.address);
    }
    Ok(())
}

fn run(args: &ChurnArgs, torrent: &Metainfo, meter: &mut Meter) -> Result<Tally> {
    let mut poller = Poller::new()?;
    let mut tally = Tally { begun: 0, greeted: 0, failed: 0, latencies: Latencies::new()? };
    let mut slots: Vec<Option<Call>> = Vec::new();
    slots.resize_with(args.concurrency.into(), || None);
    for (token, slot) in slots.iter_mut().enumerate() {
        *slot = next(args, torrent, &mut tally, (&poller, token))?;
    }
    let mut looked = now();
    while tally.greeted + tally.failed < args.cycles {
        let ready: Vec<Ready> = poller.wait(LOOK)?.collect();
        for event in ready {
            let slot = &mut slots[event.token];
            let Some(call) = slot else { continue };
            if call.handle_ready() == Progress::Waiting {
                continue;
            }
            slot.take().into_iter().for_each(|call| end(call, &mut tally));
            *slot = next(args, torrent, &mut tally, (&poller, event.token))?;
        }
        let now = now();
        if now.duration_since(looked) >= LOOK {
            looked = now;
            meter.sample(now);
            for (token, slot) in slots.iter_mut().enumerate() {
                if slot.as_ref().is_some_and(|call| is_late(call, now)) {
                    slot.take().into_iter().for_each(|call| end(call, &mut tally));
                    *slot = next(args, torrent, &mut tally, (&poller, token))?;
                }
            }
        }
    }
    Ok(tally)
}

fn is_late(call: &Call, now: Instant) -> bool {
    now.duration_since(call.began) > PATIENCE
}

/// Begins another call, unless all have begun.
fn next(
    args: &ChurnArgs,
    torrent: &Metainfo,
    tally: &mut Tally,
    place: (&Poller, usize),
) -> Result<Option<Call>> {
    if tally.begun == args.cycles {
        return Ok(None);
    }
    let number = usize::try_from(tally.begun)?;
    tally.begun += 1;
    Call::begin(args.address, &torrent.info_hash, number, place, now()).map(Some)
}

fn end(call: Call, tally: &mut Tally) {
    if call.progress() == Progress::Greeted {
        tally.greeted += 1;
        tally.latencies.record(now().duration_since(call.began));
    } else {
        tally.failed += 1;
    }
    call.reset();
}

fn tell(report: &mut Report, before: Option<Snapshot>, after: Option<Snapshot>) {
    for (key, at) in [("before", before), ("after", after)] {
        report.maybe(&format!("engine_private_bytes_{key}"), at.map(|at| at.private_bytes));
        let descriptors = at.and_then(|at| at.descriptors);
        report.maybe(&format!("engine_descriptors_{key}"), descriptors);
    }
}
