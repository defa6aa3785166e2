//! The command line of what hashes whole torrents: `create`, `verify`.

use std::path::PathBuf;

use clap::ArgGroup;
use clap::Args;

use crate::args_file::LimitArgs;
use crate::units::parse_size;

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("version").required(false).multiple(false))]
pub(crate) struct CreateArgs {
    /// The file or directory that the torrent is of
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// Where to write the .torrent file; `-` for stdout (default: the name of PATH with .torrent
    /// behind, in this directory); a file that is there is left alone without --force
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the .torrent file if it is there
    #[arg(short, long)]
    pub(crate) force: bool,
    /// For version 1 of the protocol alone, as every tracker and program takes it (default)
    #[arg(long, group = "version")]
    pub(crate) v1: bool,
    /// For version 2 alone: a hash tree per file, equal files are known everywhere
    #[arg(long, group = "version")]
    pub(crate) v2: bool,
    /// For both versions, with pads between files
    #[arg(long, group = "version")]
    pub(crate) hybrid: bool,
    /// Bytes per piece, from 16KiB to 256MiB, or `auto`: the power of two from 16 KiB to 16 MiB
    /// that makes 1,024 to 2,048 pieces
    #[arg(long, value_name = "SIZE|auto", default_value = "auto")]
    #[arg(value_parser = parse_piece_length)]
    pub(crate) piece_length: PieceLength,
    /// A tracker; more than once for more, each in a tier of its own, tried in this order
    #[arg(short = 'a', long, value_name = "URL")]
    pub(crate) announce: Vec<String>,
    /// A web seed; more than once for more
    #[arg(short = 'w', long, value_name = "URL")]
    pub(crate) web_seed: Vec<String>,
    /// Peers come from trackers only
    #[arg(short, long)]
    pub(crate) private: bool,
    /// The tracker's mark that keeps the same files apart from those of others
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) source: Option<String>,
    /// A comment for people
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// Leave out what matches: `*.tmp` anywhere, `cache/**` from PATH on; more than once for more
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Leave date and program out, so that the same content makes the same file
    #[arg(long)]
    pub(crate) no_date: bool,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// The .torrent file, or `-` for stdin
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The directory that the torrent's files lie in, as for `get -o`
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Begin anew, even if an earlier call was interrupted
    #[arg(long)]
    pub(crate) restart: bool,
    #[command(flatten)]
    pub(crate) limit: LimitArgs,
}

/// Bytes per piece, or as many as suit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PieceLength {
    Auto,
    Bytes(u32),
}

fn parse_piece_length(text: &str) -> Result<PieceLength, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(PieceLength::Auto);
    }
    let bytes = parse_size(text)?;
    u32::try_from(bytes).map(PieceLength::Bytes).map_err(|_| format!("{text} is above 256MiB"))
}
