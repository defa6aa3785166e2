//! The command line: what may be written.

use std::ffi::OsString;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;

use crate::args_file::EditArgs;
use crate::args_file::LimitArgs;
use crate::args_file::MagnetArgs;
use crate::args_file::ShowArgs;
use crate::args_scan::CreateArgs;
use crate::args_scan::VerifyArgs;
use crate::bench::BenchArgs;
use crate::failure::EXIT_CODES;
use crate::select::Pick;
use crate::select::parse_pick;
use crate::units::parse_duration;
use crate::units::parse_ratio;
use crate::units::parse_size;

/// The port that is tried first, as BitTorrent programs always did.
pub(crate) const PORT: u16 = 6881;

/// A synchronous thread-per-core BitTorrent engine on io_uring.
#[derive(Parser, Debug)]
#[command(version, after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Download a torrent; existing data is checked first and kept
    #[command(after_help = EXIT_CODES)]
    Get(GetArgs),
    /// Seed torrents whose data is there
    #[command(after_help = EXIT_CODES)]
    Seed(SeedArgs),
    /// Show what a .torrent file or a magnet link says
    #[command(after_help = EXIT_CODES)]
    Show(ShowArgs),
    /// Print the magnet link of a .torrent file
    #[command(after_help = EXIT_CODES)]
    Magnet(MagnetArgs),
    /// Change trackers, web seeds, comment, source or private flag of a .torrent file
    #[command(after_help = EXIT_CODES)]
    Edit(EditArgs),
    /// Make a .torrent file of a file or directory
    #[command(after_help = EXIT_CODES)]
    Create(CreateArgs),
    /// Say which pieces and files of a torrent are good, missing, short or corrupt
    #[command(after_help = EXIT_CODES)]
    Verify(VerifyArgs),
    /// Make a payload, seed it, download it twice over loopback, compare every byte
    #[command(after_help = EXIT_CODES)]
    Demo(DemoArgs),
    /// Load an engine with raw peers and measure it: any engine that speaks BitTorrent
    #[command(after_help = EXIT_CODES)]
    Bench(BenchArgs),
}

#[derive(Args, Debug)]
pub(crate) struct GetArgs {
    /// A .torrent file, a magnet link, the URL of a .torrent file, or `-` for stdin
    #[arg(value_name = "FILE|MAGNET|URL")]
    pub(crate) source: OsString,
    /// Where the torrent's files shall lie
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) output: PathBuf,
    /// Keep the .torrent file here; a magnet link's, once peers have sent what it is
    #[arg(long, value_name = "FILE")]
    pub(crate) save_torrent: Option<PathBuf>,
    /// Download these files only: numbers from 0 and ranges, as 0,2,4-6, or names and ends of
    /// paths, with * and ?
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_pick)]
    pub(crate) select: Vec<Pick>,
    /// Seed until so many times the torrent's size was sent
    #[arg(long, value_name = "RATIO", value_parser = parse_ratio)]
    pub(crate) seed_ratio: Option<f64>,
    /// Seed for so long after the download; with --seed-ratio, until the first of both
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) seed_time: Option<Duration>,
    /// Fetch pieces in order instead of rarest first
    #[arg(long)]
    pub(crate) sequential: bool,
    /// Take file space as pieces arrive instead of reserving it at the start
    #[arg(long)]
    pub(crate) sparse: bool,
    /// Write past the page cache (default: while no connected peer lacks what was downloaded)
    #[arg(long)]
    pub(crate) direct: bool,
    /// Write everything through the page cache
    #[arg(long, conflicts_with = "direct")]
    pub(crate) cached: bool,
    #[command(flatten)]
    pub(crate) limit: LimitArgs,
    #[command(flatten)]
    pub(crate) session: SessionArgs,
    #[command(flatten)]
    pub(crate) output_mode: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SeedArgs {
    /// The directory in which the torrents' files lie
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// .torrent files, directories of them, or `-` for one on stdin
    #[arg(value_name = "TORRENT", required = true)]
    pub(crate) torrents: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) limit: LimitArgs,
    #[command(flatten)]
    pub(crate) session: SessionArgs,
    #[command(flatten)]
    pub(crate) output_mode: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Bytes of the payload
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    pub(crate) size: u64,
    /// Where to make the temporary directory; needs three times the size (default: the system's)
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Shards per session (default: one per core of the affinity mask)
    #[arg(long, value_name = "N")]
    pub(crate) shards: Option<usize>,
    /// Give up after this time
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    pub(crate) deadline: Duration,
    /// Tell more about what happens
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// How to say what happens.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutputArgs {
    /// JSON lines on stdout instead of a progress bar
    #[arg(long)]
    pub(crate) json: bool,
    /// Tell about peers, trackers and pieces as well
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// The session's knobs.
#[derive(Args, Debug)]
#[command(next_help_heading = "Session")]
pub(crate) struct SessionArgs {
    /// A peer to try, beside those that trackers name; more than once for more
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    pub(crate) peer: Vec<SocketAddr>,
    /// Where to accept peers, by address or interface; more than once for more (default: port 6881
    /// of every address, any free port if that is taken)
    #[arg(long, value_name = "ADDR|INTERFACE[:PORT]", value_parser = parse_listen)]
    pub(crate) listen: Vec<Listen>,
    /// Shards, each pinned to a core (default: one per core of the affinity mask)
    #[arg(long, value_name = "N")]
    pub(crate) shards: Option<usize>,
    /// Connections in all
    #[arg(long, value_name = "N")]
    pub(crate) connections: Option<u32>,
    /// Connections per torrent
    #[arg(long, value_name = "N")]
    pub(crate) connections_per_torrent: Option<u32>,
    /// Connections being made at once, per shard
    #[arg(long, value_name = "N")]
    pub(crate) half_open: Option<u32>,
    /// Peers served at once per torrent [default: 64, and up to 500 while seeding]
    #[arg(long, value_name = "N")]
    pub(crate) upload_slots: Option<u32>,
    /// Memory for pieces that are received, hashed or written
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) assembly_budget: Option<u64>,
    /// How payload leaves: copied into the socket, or pages of files by reference, which saves the
    /// copy on real network cards
    #[arg(long, value_name = "HOW", value_enum, default_value = "copy")]
    pub(crate) send: SendArg,
    /// The address that trackers are told
    #[arg(long, value_name = "IP")]
    pub(crate) announce_ip: Option<IpAddr>,
    /// Root certificates (PEM) to trust for HTTPS trackers, beside Mozilla's
    #[arg(long, value_name = "FILE")]
    pub(crate) tracker_ca: Option<PathBuf>,
    /// Let trackers be in private networks and on this machine
    #[arg(long)]
    pub(crate) allow_private_trackers: bool,
}

/// How payload leaves.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SendArg {
    Copy,
    Splice,
}

/// A place to accept peers at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Listen {
    Address(SocketAddr),
    /// All addresses of a network interface.
    Interface {
        name: String,
        port: u16,
    },
}

/// `127.0.0.1`, `127.0.0.1:6881`, `::1`, `[::1]:6881`, `eth0`, `eth0:6881`; without a port it is
/// 6881.
fn parse_listen(text: &str) -> Result<Listen, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let alone = text.parse::<IpAddr>().ok();
    let alone = alone.or_else(|| bare?.parse::<Ipv6Addr>().ok().map(IpAddr::V6));
    let address = alone.map(|ip| SocketAddr::new(ip, PORT)).or_else(|| text.parse().ok());
    if let Some(address) = address {
        return Ok(Listen::Address(address));
    }
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, port.parse().ok()),
        None => (text, Some(PORT)),
    };
    // Names of interfaces have at most 15 bytes; one that begins with a digit is a mistyped
    // address.
    let is_name = (1..=15).contains(&name.len()) && !name.starts_with(|c: char| !c.is_alphabetic());
    match port {
        Some(port) if is_name => Ok(Listen::Interface { name: name.to_owned(), port }),
        _ => Err(format!(
            "expected an address or interface, got `{text}`; write it as 0.0.0.0:6881, [::1]:6881 \
             or eth0:6881"
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_listen_address_needs_no_port() {
        for (text, address) in [
            ("127.0.0.1", "127.0.0.1:6881"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("::1", "[::1]:6881"),
            ("[::1]", "[::1]:6881"),
            ("[::1]:9", "[::1]:9"),
        ] {
            let address = Listen::Address(address.parse().unwrap());
            assert_eq!(parse_listen(text), Ok(address), "{text}");
        }
        let eth0 = |port| Listen::Interface { name: "eth0".to_owned(), port };
        assert_eq!(parse_listen("eth0"), Ok(eth0(6881)));
        assert_eq!(parse_listen("eth0:9"), Ok(eth0(9)));
        for text in ["1.2.3.4:70000", "eth0:x", "1.2.3", "", "a-name-that-is-too-long"] {
            assert!(parse_listen(text).is_err(), "{text}");
        }
    }

    #[test]
    fn many_peers_and_flags_are_understood() {
        let line = "coreswarm get x.torrent -o out --peer 127.0.0.1:1 --peer [::1]:2,10.0.0.1:3 \
                    --assembly-budget 64MiB --seed-time 30s --seed-ratio 1.5 --json";
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Get(get) = cli.command else { panic!("not get: {:?}", cli.command) };
        assert_eq!(get.session.peer.len(), 3);
        assert_eq!(get.session.assembly_budget, Some(64 << 20));
        assert_eq!((get.seed_time, get.seed_ratio), (Some(Duration::from_secs(30)), Some(1.5)));
    }

    #[test]
    fn seed_wants_at_least_one_torrent() {
        assert!(Cli::try_parse_from(["coreswarm", "seed", "dir"]).is_err());
        assert!(Cli::try_parse_from(["coreswarm", "seed", "dir", "a", "b"]).is_ok());
    }
}
