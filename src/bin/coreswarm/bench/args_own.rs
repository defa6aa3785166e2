//! The command line of the benches that run sessions of their own.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::ValueEnum;

use crate::units::parse_duration;
use crate::units::parse_size;

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// A .torrent file
    #[arg(value_name = "FILE")]
    pub(crate) torrent: PathBuf,
    /// The directory that holds its complete data
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Shards (default: first one, then one per core)
    #[arg(long, value_name = "N")]
    pub(crate) shards: Option<usize>,
    /// Check so often with each number of shards; the fastest counts
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) runs: u16,
}

/// Where payloads of a bench's own making lie.
#[derive(Args, Debug)]
pub(crate) struct PlaceArgs {
    /// Work below this directory (default: the first usual place with room)
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct ScaleArgs {
    /// Torrents, all different
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) torrents: u32,
    /// Bytes of each
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = parse_size)]
    pub(crate) size: u64,
    /// Bytes of a piece
    #[arg(long, value_name = "SIZE", default_value = "16KiB", value_parser = parse_size)]
    pub(crate) piece_length: u64,
    /// Count the CPU time of so long a time without anything to do
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(crate) seconds: Duration,
    /// Shards (default: one per core)
    #[arg(long, value_name = "N")]
    pub(crate) shards: Option<usize>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SwarmArgs {
    /// Sessions that have everything
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) seeders: u8,
    /// Sessions that have nothing; each knows all others
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) leechers: u8,
    /// Bytes of the torrent
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_size)]
    pub(crate) size: u64,
    /// Bytes of a piece
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_size)]
    pub(crate) piece_length: u64,
    /// Seeders on the first core, leechers on the others (default: over all cores in turn)
    #[arg(long)]
    pub(crate) pin: bool,
    /// Give up after this time
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    pub(crate) seconds: Duration,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct TurnArgs {
    /// What the session does while its turns are measured
    #[arg(long, value_enum, default_value_t = Work::Seed)]
    pub(crate) work: Work,
    /// Raw peers
    #[arg(long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) connections: u16,
    /// Requests in flight per connection, when the session seeds
    #[arg(long, value_name = "N", default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=4_096))]
    pub(crate) depth: u16,
    /// Load it for so long, or until it has downloaded everything
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(crate) seconds: Duration,
    /// Bytes of the torrent
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    pub(crate) size: u64,
    /// Bytes of a piece
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_size)]
    pub(crate) piece_length: u64,
    /// Shards; where there are more cores, the peers stay away from theirs
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) shards: usize,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// What keeps a session busy.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    /// It seeds to raw peers.
    Seed,
    /// It downloads from raw peers.
    Download,
}
