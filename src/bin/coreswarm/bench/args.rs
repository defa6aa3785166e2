//! The command line of `bench`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;

use crate::bench::args_own::CheckArgs;
use crate::bench::args_own::ScaleArgs;
use crate::bench::args_own::SwarmArgs;
use crate::bench::args_own::TurnArgs;
use crate::failure::EXIT_CODES;
use crate::units::parse_duration;
use crate::units::parse_size;

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) command: BenchCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum BenchCommand {
    /// Be leeching peers of an engine that seeds: rate, latency, what it costs the engine
    #[command(after_help = EXIT_CODES)]
    Seed(SeedArgs),
    /// Be seeding peers of an engine that downloads; some may corrupt or stall
    #[command(after_help = EXIT_CODES)]
    Leech(LeechArgs),
    /// Be peers that only stay connected: memory of each, CPU time while nothing happens
    #[command(after_help = EXIT_CODES)]
    Idle(IdleArgs),
    /// Be peers that come and go: connect, handshake, reset
    #[command(after_help = EXIT_CODES)]
    Churn(ChurnArgs),
    /// Be mostly idle leeching peers, spread over many torrents
    #[command(after_help = EXIT_CODES)]
    Many(ManyArgs),
    /// Run a session of our own: how fast it checks what is on disk
    #[command(after_help = EXIT_CODES)]
    Check(CheckArgs),
    /// Run a session of our own with many small torrents: memory and CPU time of each
    #[command(after_help = EXIT_CODES)]
    Scale(ScaleArgs),
    /// Run seeders and leechers of our own until everybody has everything
    #[command(after_help = EXIT_CODES)]
    Swarm(SwarmArgs),
    /// Run a session of our own under load: how long its turns and its answers take
    #[command(after_help = EXIT_CODES)]
    Turn(TurnArgs),
    /// Write payloads of pseudo-random bytes and their .torrent files
    #[command(after_help = EXIT_CODES)]
    Make(MakeArgs),
}

/// Whom to measure.
#[derive(Args, Debug)]
pub(crate) struct EngineArgs {
    /// The engine's process: adds CPU time, private memory and switches of it and its descendants
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
}

#[derive(Args, Debug)]
pub(crate) struct SeedArgs {
    /// Where the engine accepts peers
    #[arg(value_name = "ADDR")]
    pub(crate) address: SocketAddr,
    /// A .torrent file of version 1, or a hybrid
    #[arg(value_name = "FILE")]
    pub(crate) torrent: PathBuf,
    /// Peers; to a loopback address each comes from an address of its own, 127.1.x.y
    #[arg(long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=60_000))]
    pub(crate) connections: u16,
    /// Requests in flight per connection
    #[arg(long, value_name = "N", default_value_t = 32)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=4_096))]
    pub(crate) depth: u16,
    /// Ask for so long
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(crate) seconds: Duration,
    /// Ask for so many bytes instead
    #[arg(long, value_name = "SIZE", conflicts_with = "seconds", value_parser = parse_size)]
    pub(crate) bytes: Option<u64>,
    /// Open loop: so many requests per second in total, whatever the engine does; latency then
    /// counts from the moment that a request was due
    #[arg(long, value_name = "PER_SECOND")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) rate: Option<u32>,
    /// What each connection asks for
    #[arg(long, value_enum, default_value_t = Pattern::RandomPieces)]
    pub(crate) pattern: Pattern,
    /// Compare the hash of the first and then of every 64th piece of each connection
    #[arg(long)]
    pub(crate) verify: bool,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// The order of requests of one connection.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pattern {
    /// Pieces drawn at random, the blocks of each in order.
    RandomPieces,
    /// All blocks in order, round and round; connections begin at places of their own.
    Sequential,
    /// Blocks drawn at random.
    RandomBlocks,
}

#[derive(Args, Debug)]
pub(crate) struct LeechArgs {
    /// Where the engine accepts peers; with --listen, where it shall find ours
    #[arg(value_name = "ADDR")]
    pub(crate) address: SocketAddr,
    /// A .torrent file of version 1, or a hybrid
    #[arg(value_name = "FILE")]
    pub(crate) torrent: PathBuf,
    /// The torrent's payload, as one file; it is held in memory
    #[arg(value_name = "DATA")]
    pub(crate) data: PathBuf,
    /// Peers (default: 10; with --listen 1, and more may come)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=60_000))]
    pub(crate) connections: Option<u16>,
    /// Wait at ADDR to be called instead of calling
    #[arg(long)]
    pub(crate) listen: bool,
    /// The share of peers, 0 to 1, whose every block has a wrong byte
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share)]
    pub(crate) corrupt: f64,
    /// The share of peers, 0 to 1, that take requests and never answer
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share)]
    pub(crate) stall: f64,
    /// Give up after this time
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    pub(crate) seconds: Duration,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

#[derive(Args, Debug)]
pub(crate) struct IdleArgs {
    /// Where the engine accepts peers
    #[arg(value_name = "ADDR")]
    pub(crate) address: SocketAddr,
    /// A .torrent file of version 1, or a hybrid
    #[arg(value_name = "FILE")]
    pub(crate) torrent: PathBuf,
    /// Peers
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=60_000))]
    pub(crate) connections: u16,
    /// Count the CPU time of so long a time without anything to do
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(crate) seconds: Duration,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ChurnArgs {
    /// Where the engine accepts peers
    #[arg(value_name = "ADDR")]
    pub(crate) address: SocketAddr,
    /// A .torrent file of version 1, or a hybrid
    #[arg(value_name = "FILE")]
    pub(crate) torrent: PathBuf,
    /// Connect, handshake and reset so often
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) cycles: u64,
    /// So many at the same time
    #[arg(long, value_name = "N", default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) concurrency: u16,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ManyArgs {
    /// Where the engine accepts peers
    #[arg(value_name = "ADDR")]
    pub(crate) address: SocketAddr,
    /// A directory of .torrent files, all of which the engine seeds
    #[arg(value_name = "DIR")]
    pub(crate) torrents: PathBuf,
    /// Peers in all
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=60_000))]
    pub(crate) connections: u16,
    /// Each asks for a block so often
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub(crate) interval: Duration,
    /// Ask for so long
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(crate) seconds: Duration,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

#[derive(Args, Debug)]
pub(crate) struct MakeArgs {
    /// Where to put data/load.bin and torrents/load.torrent
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Bytes of each payload
    #[arg(value_name = "SIZE", value_parser = parse_size)]
    pub(crate) size: u64,
    /// Bytes of a piece
    #[arg(value_name = "PIECE_LENGTH", value_parser = parse_size)]
    pub(crate) piece_length: u64,
    /// So many payloads, called load-0000 and so on
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
}

/// A share: a number from 0 to 1.
fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("expected a share from 0 to 1, got `{text}`; write it as 0.1"))
}
