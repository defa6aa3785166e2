//! A load generator for any BitTorrent engine: many raw peers on one thread, measured from outside.
//!
//! It shares no code with the engine, so that a mistake cannot hide on both sides. See README.md.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a tool, not the engine")]

mod arguments;
mod cpu;
mod make;
mod metainfo;
mod poller;
mod puller;
mod report;
mod server;
mod wire;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;

use crate::arguments::Arguments;
use crate::metainfo::Metainfo;
use crate::puller::Goal;
use crate::puller::Plan;
use crate::server::Role;

const USAGE: &str = "\
load make DIR SIZE PIECE_LENGTH [--count N]
    writes DIR/data/load.bin and DIR/torrents/load.torrent (with --count: load-0000 and so on).
    SIZE and PIECE_LENGTH take the suffixes K, M, G (powers of 1024).
load seed ADDRESS FILE.torrent [--connections 50] [--depth 32] [--seconds 10 | --bytes N]
          [--pid PID] [--verify]
    acts as leeching peers and measures the engine that seeds at ADDRESS.
load leech ADDRESS FILE.torrent DATA [--connections 10] [--pid PID] [--seconds 600]
    connects seeding peers to the engine at ADDRESS, which leeches, and measures it.
load serve ADDRESS FILE.torrent DATA [--connections N] [--seconds 600]
    the same, but waits for N peers at ADDRESS: with `load seed` it shows its own ceiling.
load many ADDRESS DIR_OF_TORRENTS [--connections 2000] [--interval 1000] [--seconds 30] [--pid PID]
    spreads peers over all torrents; each asks for one block every --interval milliseconds.";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    // `cargo bench` adds `--bench` to what it is given.
    let mut arguments = Arguments::new(std::env::args().skip(1).filter(|word| word != "--bench"))?;
    let Some(command) = arguments.word() else {
        println!("{USAGE}");
        return Ok(());
    };
    poller::raise_descriptor_limit()?;
    match command.as_str() {
        "make" => make(arguments),
        "seed" => seed(arguments),
        "leech" => serve(arguments, false),
        "serve" => serve(arguments, true),
        "many" => many(arguments),
        other => bail!("no command {other:?}\n{USAGE}"),
    }
}

fn make(mut arguments: Arguments) -> Result<()> {
    let folder = arguments.required("DIR")?;
    let size = arguments::bytes(&arguments.required("SIZE")?)?;
    let piece_length = arguments::bytes(&arguments.required("PIECE_LENGTH")?)?;
    let count = arguments.number("--count")?;
    arguments.end()?;
    make::make(Path::new(&folder), size, piece_length, count)
}

fn seed(mut arguments: Arguments) -> Result<()> {
    let address = arguments.address()?;
    let torrent = Arc::new(Metainfo::read(Path::new(&arguments.required("FILE.torrent")?))?);
    let connections = arguments.number("--connections")?.unwrap_or(50);
    let bytes = arguments.take("--bytes")?.map(|text| arguments::bytes(&text)).transpose()?;
    let seconds = arguments.number("--seconds")?.unwrap_or(10);
    let plan = Plan {
        address,
        torrents: vec![torrent; connections],
        depth: arguments.number("--depth")?.unwrap_or(32),
        interval: None,
        goal: bytes.map_or(Goal::Time(Duration::from_secs(seconds as u64)), Goal::Bytes),
        verify: arguments.flag("--verify"),
        pid: arguments.number("--pid")?,
    };
    arguments.end()?;
    puller::run(&plan)
}

fn many(mut arguments: Arguments) -> Result<()> {
    let address = arguments.address()?;
    let folder = arguments.required("DIR_OF_TORRENTS")?;
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.clone())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "torrent") {
            files.push(path);
        }
    }
    files.sort();
    ensure!(!files.is_empty(), "expected .torrent files in {folder}, got none");
    let torrents: Vec<_> =
        files.iter().map(|file| Metainfo::read(file).map(Arc::new)).collect::<Result<_>>()?;
    let connections = arguments.number("--connections")?.unwrap_or(2000);
    let seconds = arguments.number("--seconds")?.unwrap_or(30);
    let interval = arguments.number("--interval")?.unwrap_or(1000);
    let plan = Plan {
        address,
        torrents: torrents.iter().cycle().take(connections).cloned().collect(),
        depth: 1,
        interval: Some(Duration::from_millis(interval as u64)),
        goal: Goal::Time(Duration::from_secs(seconds as u64)),
        verify: arguments.flag("--verify"),
        pid: arguments.number("--pid")?,
    };
    arguments.end()?;
    puller::run(&plan)
}

fn serve(mut arguments: Arguments, accepts: bool) -> Result<()> {
    let address = arguments.address()?;
    let torrent = Metainfo::read(Path::new(&arguments.required("FILE.torrent")?))?;
    let path = arguments.required("DATA")?;
    let seconds = arguments.number("--seconds")?.unwrap_or(600);
    let plan = server::Plan {
        role: if accepts { Role::Accepts } else { Role::Connects },
        address,
        connections: arguments.number("--connections")?.unwrap_or(10),
        data: fs::read(&path).with_context(|| path.clone())?,
        torrent,
        limit: Duration::from_secs(seconds),
        pid: arguments.number("--pid")?,
    };
    arguments.end()?;
    let (want, got) = (plan.torrent.size, plan.data.len() as u64);
    ensure!(want == got, "expected {want} bytes in {path} as the torrent says, got {got}");
    server::run(&plan)
}
