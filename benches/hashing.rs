//! SHA-1 and SHA-256 by every way that this CPU has: `cargo bench --bench hashing`.
//!
//! Digests are not public, so the bench includes the files that hold them. Rates are of one core by
//! the time that it was ours, over memory larger than its caches for pieces and inside them for
//! leaves; on a shared machine only the ratios within one run mean something.
//!
//! What can be hoped for on an Intel Xeon with both kinds of instructions at 3.8 GHz (2026-11-21):
//! - Loops of eight independent copies of one instruction take 3.0 cycles for each `sha1rnds4` and
//!   `sha256rnds2`, however many inputs they belong to. A block needs 20 or 32 of them, so no
//!   interleaving hashes SHA-1 above 64 bytes in 60 cycles, 4.05 GB/s, nor SHA-256 above 96 cycles,
//!   2.5 GB/s; `sha1msg2`, 16 of 4.1 cycles that overlap by half, leaves 89 cycles, 2.7 GB/s. The
//!   crates take the same instructions for one input and reach 2.05 and 1.88: twice the crate is
//!   beyond the SHA instructions here, and vectors of eight do better.
//! - Sixteen SHA-1 inputs in AVX-512 are 837 operations on two units (7 per round, 3 per further
//!   word of the schedule, 80 to read the block): 418 cycles for 1 KiB, 9.3 GB/s, are the floor. A
//!   loop of the same mix in which nothing waits for anything ran at 8.9 to 9.2, and ours at 7.3 to
//!   7.7: 80 % of it. That floor is 4.5 times what the crate does with data in the cache, 2.04.
//!   Asking for lines ahead costs 2 to 10 %; reading the next block between the rounds of this one
//!   gains 3 to 4 %, which we left for simplicity.
//!   Sixteen of SHA-256 are 1,704: 852 cycles, 4.6 GB/s.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "a part of the crate by itself")]

use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use rustix::time::ClockId;
use rustix::time::clock_gettime;

#[path = "../src/base"]
pub(crate) mod base {
    pub(crate) mod digest;
    pub(crate) mod digest_lanes;
}

use base::digest::Algorithm;
use base::digest::DigestStream;
use base::digest::Sha1;
use base::digest::Sha1Stream;
use base::digest::Sha256;
use base::digest::Sha256Stream;
use base::digest_lanes::Lanes;
use base::digest_lanes::ways::Way;

/// Runs per figure; the best one counts, because others only add what the machine did meanwhile.
const RUNS: usize = 25;
/// Bytes hashed per run: more than the caches of a core hold.
const RUN_BYTES: usize = 16 << 20;
/// Bytes of a piece that the engine hands to a digest at a time.
const SLICE: usize = 64 << 10;

/// Time that this thread has had a core.
fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        // `cargo test --all-targets` runs benches too, unoptimised: minutes for figures of no use.
        println!("figures only under `cargo bench --bench hashing`");
        return;
    }
    println!("what this CPU has but gets wrong: {:?}", Lanes::detect().left_out());
    // Pieces lie apart by what assembly gives them; leaves are those of one piece.
    for (name, length, memory) in
        [("1 MiB pieces", 1 << 20, 32 << 20), ("16 KiB leaves", 1 << 14, 1 << 20)]
    {
        let data: Vec<u8> = (0..memory).map(|at| (at * 31 + at / 4093) as u8).collect();
        let inputs: Vec<&[u8]> = data.chunks_exact(length).collect();
        section::<Sha1Stream>(&format!("SHA-1, {name}"), &inputs, |input| {
            black_box(Sha1::of(input));
        });
        section::<Sha256Stream>(&format!("SHA-256, {name}"), &inputs, |input| {
            black_box(Sha256::of(input));
        });
    }
    openssl("sha1");
    openssl("sha256");
}

/// Everything about one algorithm over some inputs: all figures take turns, so that what else the
/// machine does befalls all of them.
fn section<S: DigestStream>(title: &str, inputs: &[&[u8]], crates: fn(&[u8])) {
    let mut figures: Vec<(String, Work<'_>)> = Vec::new();
    figures.push(("crate".into(), Box::new(move || one_by_one(inputs, crates))));
    let mut add = |name: String, lanes: Lanes, count: usize| {
        let work = Box::new(move || together::<S>(lanes, inputs, count));
        figures.push((format!("{name}, {count} waiting"), work));
    };
    for way in Way::all() {
        counts(way.lanes()).iter().for_each(|count| add(way.to_string(), Lanes::only(way), *count));
    }
    for count in [1, 2, 3, 4, 6, 8, 10, 12, 16] {
        add("detected".into(), Lanes::detect(), count);
    }
    let mut best = vec![0.0; figures.len()];
    for _ in 0..RUNS {
        for (best, (_, work)) in best.iter_mut().zip(&figures) {
            *best = f64::max(*best, rate(work));
        }
    }
    println!("{title}: GB/s, and how many times what the crate does");
    for ((name, _), rate) in figures.iter().zip(&best) {
        println!("  {name:<28} {rate:>6.2} {:>6.2}", rate / best[0]);
    }
}

/// Hashes about [`RUN_BYTES`] and returns how many it were.
type Work<'a> = Box<dyn Fn() -> usize + 'a>;

/// Vectors are worth what they hold: also look at those that are not full.
fn counts(full: usize) -> Vec<usize> {
    match full {
        0..8 => vec![full],
        8 => vec![4, full],
        _ => vec![12, full],
    }
}

/// GB/s.
fn rate(work: &dyn Fn() -> usize) -> f64 {
    let start = now();
    let bytes = work();
    bytes as f64 / (now() - start).max(Duration::from_nanos(1)).as_secs_f64() / 1e9
}

fn one_by_one(inputs: &[&[u8]], digest: impl Fn(&[u8])) -> usize {
    let mut bytes = 0;
    for input in inputs.iter().cycle() {
        digest(input);
        bytes += input.len();
        if bytes >= RUN_BYTES {
            break;
        }
    }
    bytes
}

/// Hashes `count` inputs at a time, slice by slice, as the engine does.
fn together<S: DigestStream>(lanes: Lanes, inputs: &[&[u8]], count: usize) -> usize {
    let mut bytes = 0;
    for start in (0..inputs.len()).step_by(count).cycle() {
        let group: Vec<&[u8]> = inputs.iter().cycle().skip(start).take(count).copied().collect();
        let mut streams = vec![S::default(); count];
        let length = group.first().map_or(0, |input| input.len());
        for at in (0..length).step_by(SLICE) {
            let parts = group.iter().map(|input| &input[at..length.min(at + SLICE)]);
            lanes.update_many(streams.iter_mut().zip(parts));
        }
        lanes.finish_many(&mut streams, |digest| {
            black_box(digest);
        });
        bytes += length * count;
        if bytes >= RUN_BYTES {
            break;
        }
    }
    bytes
}

/// What `openssl speed` says of one core for 16 KiB inputs, where it is installed.
fn openssl(name: &str) {
    let arguments = ["speed", "-seconds", "1", "-bytes", "16384", "-evp", name];
    match Command::new("openssl").args(arguments).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            let line = text.lines().last().unwrap_or("openssl said nothing");
            println!("openssl speed -evp {name}, 16 KiB: {line}");
        }
        Err(error) => println!("openssl speed -evp {name}: not measured, {error}"),
    }
}
