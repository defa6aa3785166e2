//! Interoperation: the real programs exchange torrents with coreswarm, and every byte is compared.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a harness, not the engine"
)]

mod aria2;
mod case;
mod coreswarm;
mod engine;
mod formats;
mod libtorrent;
mod namespace;
mod payload;
mod program;
mod run;
mod table;
mod tools;
mod tracker;
mod transmission;

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use crate::case::Case;
use crate::formats::Format;

/// Cases that run at the same time. Most of a case is waiting, so this is above the core count.
const JOBS_DEFAULT: usize = 4;

/// One line of the report.
enum Job {
    Exchange(Case),
    Format(Format),
}

impl Job {
    fn name(&self) -> &str {
        match self {
            Job::Exchange(case) => &case.name,
            Job::Format(format) => &format.name,
        }
    }

    /// `number` tells its addresses and bytes from those of others.
    fn run(&self, number: usize) -> anyhow::Result<()> {
        match self {
            Job::Exchange(case) => run::run(number, case),
            Job::Format(format) => formats::run(number, format),
        }
    }
}

struct Options {
    filters: Vec<String>,
    jobs: usize,
    list: bool,
}

/// Reads our arguments and lets pass those that `cargo test` hands to every target.
fn options() -> Options {
    let mut options = Options { filters: Vec::new(), jobs: JOBS_DEFAULT, list: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--list" => options.list = true,
            "--jobs" | "--test-threads" => {
                options.jobs = words.next().and_then(|n| n.parse().ok()).unwrap_or(JOBS_DEFAULT);
            }
            flag if flag.starts_with('-') => {}
            filter => options.filters.push(filter.to_owned()),
        }
    }
    options
}

fn main() -> ExitCode {
    let options = options();
    let mut cases: Vec<Job> = table::cases().into_iter().map(Job::Exchange).collect();
    cases.extend(formats::formats().into_iter().map(Job::Format));
    if !options.filters.is_empty() {
        cases.retain(|case| options.filters.iter().any(|filter| case.name().contains(filter)));
    }
    if options.list {
        cases.iter().for_each(|case| println!("{}", case.name()));
        return ExitCode::SUCCESS;
    }
    if let Err(error) = tools::check() {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    if let Some(code) = namespace::enter() {
        return code;
    }
    run_all(cases, options.jobs)
}

fn run_all(cases: Vec<Job>, jobs: usize) -> ExitCode {
    let started = Instant::now();
    let queue = Mutex::new(cases.into_iter().enumerate().collect::<VecDeque<_>>());
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let Some((number, case)) = queue.lock().unwrap().pop_front() else { break };
                    let passed = run_one(number, &case);
                    results.lock().unwrap().push(passed);
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    let passed = results.iter().filter(|passed| **passed).count();
    let failed = results.len() - passed;
    println!("{passed} passed, {failed} failed ({:.0} s)", started.elapsed().as_secs_f64());
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_one(number: usize, case: &Job) -> bool {
    let started = Instant::now();
    let result = case.run(number);
    let took = started.elapsed().max(Duration::from_millis(1)).as_secs_f64();
    match result {
        Ok(()) => println!("pass {:44} {took:5.1} s", case.name()),
        Err(ref error) => println!("FAIL {:44} {took:5.1} s\n{error:#}", case.name()),
    }
    result.is_ok()
}
