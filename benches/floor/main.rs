//! What the machine takes for the work of an engine without an engine: see README.md.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a tool, not the engine")]
#![allow(dead_code, unreachable_pub, unused_imports, reason = "the digests are the engine's")]

#[path = "../../src/base"]
pub(crate) mod base {
    pub(crate) mod digest;
    pub(crate) mod digest_lanes;
}
mod leecher;
mod memory;
mod ring;
mod seeder;
mod splicer;
mod torrent;
mod trial;
mod wire;

use std::fs::File;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use rustix::time::ClockId;
use rustix::time::clock_gettime;

use crate::leecher::Hashing;
use crate::leecher::Writing;
use crate::seeder::Source;
use crate::torrent::Torrent;

/// A minimal seeder and a minimal leecher on io_uring.
#[derive(Parser)]
#[command(name = "floor")]
struct Command {
    #[command(subcommand)]
    what: What,
    /// What `cargo bench` adds.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum What {
    /// Seeds DATA at ADDRESS to all who come, until they have left.
    Seed {
        #[command(flatten)]
        common: Common,
        /// Where bytes come from.
        #[arg(long, value_enum, default_value = "buffer")]
        source: Source,
        /// Blocks in one send at most.
        #[arg(long, default_value_t = seeder::BLOCKS_MAX)]
        blocks: usize,
    },
    /// Fetches into DATA, which exists, from all who come to ADDRESS.
    Leech {
        #[command(flatten)]
        common: Common,
        #[arg(long, value_enum, default_value = "lanes")]
        hashing: Hashing,
        #[arg(long, value_enum, default_value = "ring")]
        writing: Writing,
        /// Writes past the page cache; what it holds of DATA is dropped before.
        #[arg(long)]
        direct: bool,
        /// Requests in flight per connection.
        #[arg(long, default_value_t = 64)]
        depth: usize,
        /// Calls ADDRESS so many times, instead of listening there.
        #[arg(long, default_value_t = 0)]
        connect: usize,
    },
}

#[derive(Args)]
struct Common {
    address: SocketAddr,
    torrent: PathBuf,
    data: PathBuf,
}

fn main() -> Result<()> {
    if !std::env::args().any(|word| word == "--bench") {
        // `cargo test` comes without.
        trial::run()?;
        println!("both floors moved a torrent; figures: see benches/floor/README.md");
        return Ok(());
    }
    let used = match Command::parse().what {
        What::Seed { common, source, blocks } => {
            let plan = seeder::Plan { source, blocks: blocks.clamp(1, seeder::BLOCKS_MAX) };
            seed(&common, &plan)?
        }
        What::Leech { common, hashing, writing, direct, depth, connect } => {
            leech(&common, &leecher::Plan { hashing, writing, depth }, direct, connect)?
        }
    };
    println!("{used} CPU-seconds per GiB, from start to end");
    Ok(())
}

/// CPU-seconds that this process has used, the kernel's threads for it included, per GiB.
fn used_per_gib(bytes: u64) -> String {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32).as_secs_f64();
    format!("{:.3}", seconds / (bytes as f64 / f64::from(1 << 30)))
}

fn seed(common: &Common, plan: &seeder::Plan) -> Result<String> {
    let torrent = Torrent::read(&common.torrent)?;
    let file = File::open(&common.data).with_context(|| common.data.display().to_string())?;
    let listener = TcpListener::bind(common.address)?;
    println!("listening on {}", listener.local_addr()?);
    let sent = seeder::run(plan, &torrent, &file, listener)?;
    Ok(used_per_gib(sent))
}

fn leech(common: &Common, plan: &leecher::Plan, is_direct: bool, connect: usize) -> Result<String> {
    let torrent = Torrent::read(&common.torrent)?;
    let file = open(&common.data, is_direct)?;
    let mut listener = None;
    let mut callees = Vec::new();
    for _ in 0..connect {
        callees.push(TcpStream::connect(common.address)?);
    }
    if connect == 0 {
        let socket = TcpListener::bind(common.address)?;
        println!("listening on {}", socket.local_addr()?);
        listener = Some(socket);
    }
    let wrong = leecher::run(plan, &torrent, &file, listener, callees)?;
    if plan.hashing == Hashing::Lanes {
        println!("{wrong} pieces did not have their hash");
    }
    Ok(used_per_gib(torrent.size))
}

fn open(path: &Path, is_direct: bool) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    if is_direct {
        let file = options.open(path).with_context(|| path.display().to_string())?;
        file.sync_all()?;
        // SAFETY: an advice about an open file.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        options.custom_flags(libc::O_DIRECT);
    }
    options.open(path).with_context(|| path.display().to_string())
}
