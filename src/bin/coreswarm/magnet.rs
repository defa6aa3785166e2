//! `magnet`: a .torrent file as a magnet link.

use std::io;
use std::io::Write;

use crate::args_file::MagnetArgs;
use crate::source;

pub(crate) fn magnet(args: &MagnetArgs) -> anyhow::Result<()> {
    let link = source::read_file(&args.file, args.limit.torrent_file_limit)?.torrent.magnet();
    Ok(writeln!(io::stdout().lock(), "{link}")?)
}
