//! SHA-1 by every way that this CPU has: `cargo bench --bench hashing`.
//!
//! Digests are not public, so the bench includes the files that hold them. Rates are of one core,
//! over memory larger than its caches for pieces and inside them for leaves; on a shared machine
//! only the ratios within one run mean something.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "a part of the crate by itself")]

use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

#[path = "../src/base"]
pub(crate) mod base {
    pub(crate) mod digest;
    pub(crate) mod digest_lanes;
}

use base::digest::Sha1Stream;
use base::digest_lanes::Lanes;

/// Runs per figure; the best one counts, because others only add what the machine did meanwhile.
const RUNS: usize = 9;
/// Bytes hashed per run.
const RUN_BYTES: usize = 64 << 20;
/// Bytes of a piece that the engine hands to a digest at a time.
const SLICE: usize = 64 << 10;

#[allow(clippy::disallowed_methods, reason = "a bench is about time")]
fn now() -> Instant {
    Instant::now()
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        // `cargo test --all-targets` runs benches too, unoptimised: minutes for figures of no use.
        println!("figures only under `cargo bench --bench hashing`");
        return;
    }
    // Pieces lie apart by what assembly gives them; leaves are those of one piece.
    for (name, length, memory) in
        [("1 MiB pieces", 1 << 20, 32 << 20), ("16 KiB leaves", 1 << 14, 1 << 20)]
    {
        println!("{name}, GB/s");
        let data: Vec<u8> = (0..memory).map(|at| (at * 31 + at / 4093) as u8).collect();
        let inputs: Vec<&[u8]> = data.chunks_exact(length).collect();
        report("crate sha1", best(|| alone(&inputs)));
        for (name, lanes, count) in Lanes::each() {
            for count in counts(count) {
                let label = format!("{name}, {count} waiting");
                report(&label, best(|| together(lanes, &inputs, count)));
            }
        }
        let lanes = Lanes::detect();
        for count in [1, 2, 3, 4, 6, 8, 10, 12, 16] {
            report(&format!("detected, {count} waiting"), best(|| together(lanes, &inputs, count)));
        }
    }
}

/// Vectors are worth what they hold: also look at those that are not full.
fn counts(full: usize) -> Vec<usize> {
    match full {
        0..8 => vec![full],
        8 => (3..=8).collect(),
        _ => vec![12, 14, full],
    }
}

fn report(name: &str, took: Duration) {
    println!("  {name:<28} {:>6.2}", RUN_BYTES as f64 / took.as_secs_f64() / 1e9);
}

fn best(mut work: impl FnMut() -> usize) -> Duration {
    let run = |_| {
        let start = now();
        let bytes = work();
        start.elapsed().mul_f64(RUN_BYTES as f64 / bytes as f64)
    };
    (0..RUNS).map(run).min().unwrap_or_default()
}

fn alone(inputs: &[&[u8]]) -> usize {
    let mut bytes = 0;
    for input in inputs.iter().cycle() {
        black_box(<sha1::Sha1 as sha1::Digest>::digest(input));
        bytes += input.len();
        if bytes >= RUN_BYTES {
            break;
        }
    }
    bytes
}

/// Hashes `count` inputs at a time, slice by slice, as the engine does.
fn together(lanes: Lanes, inputs: &[&[u8]], count: usize) -> usize {
    let mut bytes = 0;
    for start in (0..inputs.len()).step_by(count).cycle() {
        let group: Vec<&[u8]> = inputs.iter().cycle().skip(start).take(count).copied().collect();
        let mut streams = vec![Sha1Stream::default(); count];
        let length = group.first().map_or(0, |input| input.len());
        for at in (0..length).step_by(SLICE) {
            let parts = group.iter().map(|input| &input[at..length.min(at + SLICE)]);
            lanes.update_many(streams.iter_mut().zip(parts));
        }
        streams.into_iter().for_each(|stream| {
            black_box(stream.finish());
        });
        bytes += length * count;
        if bytes >= RUN_BYTES {
            break;
        }
    }
    bytes
}
