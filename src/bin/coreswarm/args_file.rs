//! The command line of what only looks at .torrent files or changes them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgGroup;
use clap::Args;
use clap::ValueEnum;

use crate::units::parse_size;

/// What a .torrent file may cost.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct LimitArgs {
    /// Bytes of the largest .torrent file that is taken
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    pub(crate) torrent_file_limit: u64,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// A .torrent file, a magnet link, the URL of a .torrent file, or `-` for stdin
    #[arg(value_name = "FILE|MAGNET|URL")]
    pub(crate) source: OsString,
    /// One JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) limit: LimitArgs,
}

#[derive(Args, Debug)]
pub(crate) struct MagnetArgs {
    /// The .torrent file, or `-` for stdin
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) limit: LimitArgs,
}

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("change").required(true).multiple(true))]
pub(crate) struct EditArgs {
    /// The .torrent file, replaced in one step unless -o says otherwise; `-` for stdin
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Write here and leave FILE alone
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
    /// Replace all trackers; more than once for more, tried in this order
    #[arg(long, value_name = "URL", group = "change")]
    pub(crate) tracker: Vec<String>,
    /// Append a tracker
    #[arg(long, value_name = "URL", group = "change")]
    pub(crate) add_tracker: Vec<String>,
    /// Remove a tracker
    #[arg(long, value_name = "URL", group = "change")]
    pub(crate) remove_tracker: Vec<String>,
    /// Remove all trackers
    #[arg(long, group = "change", conflicts_with_all = ["tracker", "remove_tracker"])]
    pub(crate) no_trackers: bool,
    /// Replace all web seeds; more than once for more
    #[arg(long, value_name = "URL", group = "change")]
    pub(crate) web_seed: Vec<String>,
    /// Append a web seed
    #[arg(long, value_name = "URL", group = "change")]
    pub(crate) add_web_seed: Vec<String>,
    /// Remove a web seed
    #[arg(long, value_name = "URL", group = "change")]
    pub(crate) remove_web_seed: Vec<String>,
    /// Remove all web seeds
    #[arg(long, group = "change", conflicts_with_all = ["web_seed", "remove_web_seed"])]
    pub(crate) no_web_seeds: bool,
    /// The comment; an empty one is removed
    #[arg(long, value_name = "TEXT", group = "change")]
    pub(crate) comment: Option<String>,
    /// The tracker's mark that keeps the same files apart; changes the info hash; an empty one is
    /// removed
    #[arg(long, value_name = "TEXT", group = "change")]
    pub(crate) source: Option<String>,
    /// Whether peers may come from trackers only; changes the info hash
    #[arg(long, value_name = "YES|NO", group = "change")]
    pub(crate) private: Option<YesNo>,
    #[command(flatten)]
    pub(crate) limit: LimitArgs,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum YesNo {
    Yes,
    No,
}
