//! Where a torrent comes from: a file, stdin, the web, or a magnet link.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use anyhow::Context;
use anyhow::anyhow;
use coreswarm::FetchTorrent;
use coreswarm::Magnet;
use coreswarm::ReadError;
use coreswarm::Torrent;
use coreswarm::TorrentError;
use coreswarm::read_torrent_file_with;
use coreswarm::read_torrent_with;

use crate::args_file::LimitArgs;

/// What it may take to get there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Means<'a> {
    /// Bytes of the largest file that is taken.
    pub(crate) len_max: u64,
    pub(crate) tracker_ca: Option<&'a Path>,
    /// Whether any name may lead to private networks.
    pub(crate) allow_private: bool,
}

impl Means<'_> {
    /// Without a word about the web.
    pub(crate) fn new(limit: LimitArgs) -> Means<'static> {
        let len_max = limit.torrent_file_limit;
        Means { len_max, tracker_ca: None, allow_private: false }
    }
}

/// What was found there.
#[derive(Debug)]
pub(crate) enum Found {
    File(Box<TorrentFile>),
    Magnet(Box<Magnet>),
}

/// A .torrent file that is one.
#[derive(Debug)]
pub(crate) struct TorrentFile {
    pub(crate) bytes: Vec<u8>,
    pub(crate) torrent: Torrent,
}

/// Reads whatever `source` names: `-` is stdin, which may hold a link as well as a file.
pub(crate) fn find(source: &OsStr, means: Means<'_>) -> anyhow::Result<Found> {
    match source.to_str() {
        Some("-") => find_in(read_stdin(means.len_max)?, means.len_max),
        Some(link) if is_magnet(link.as_bytes()) => {
            Ok(Found::Magnet(Box::new(Magnet::parse(link)?)))
        }
        Some(url) if FetchTorrent::understands(url) => {
            let fetch = FetchTorrent::new(url).len_max(means.len_max);
            let fetch = fetch.allow_private(means.allow_private);
            let fetch = means.tracker_ca.into_iter().fold(fetch, FetchTorrent::tracker_ca);
            let got = "what the server sent is no torrent; copy the link of the download itself";
            Ok(Found::File(Box::new(parse(fetch.fetch()?, means.len_max).context(got)?)))
        }
        _ => Ok(Found::File(Box::new(read_file(Path::new(source), means.len_max)?))),
    }
}

/// The same, but of a .torrent file at `path`, or of stdin when that is `-`.
pub(crate) fn read_file(path: &Path, len_max: u64) -> anyhow::Result<TorrentFile> {
    if path.as_os_str() == "-" {
        return parse(read_stdin(len_max)?, len_max).context("stdin");
    }
    let bytes = read_torrent_file_with(path, len_max).map_err(|error| match error {
        ReadError::Torrent { source, .. } => refused(source, len_max).context(format!("{path:?}")),
        error => error.into(),
    })?;
    parse(bytes, len_max).with_context(|| format!("{path:?}"))
}

fn read_stdin(len_max: u64) -> anyhow::Result<Vec<u8>> {
    read_torrent_with(io::stdin().lock(), len_max).context("stdin")
}

fn find_in(bytes: Vec<u8>, len_max: u64) -> anyhow::Result<Found> {
    if is_magnet(bytes.trim_ascii_start()) {
        return Ok(Found::Magnet(Box::new(Magnet::parse(&String::from_utf8_lossy(&bytes))?)));
    }
    Ok(Found::File(Box::new(parse(bytes, len_max).context("stdin")?)))
}

fn parse(bytes: Vec<u8>, len_max: u64) -> anyhow::Result<TorrentFile> {
    let torrent = Torrent::parse_with(&bytes, len_max).map_err(|error| refused(error, len_max))?;
    Ok(TorrentFile { bytes, torrent })
}

fn refused(error: TorrentError, len_max: u64) -> anyhow::Error {
    match error {
        TorrentError::FileTooLong { .. } => anyhow!(
            "expected a .torrent file of at most {len_max} bytes, got more; raise \
             --torrent-file-limit if you trust it"
        ),
        error => error.into(),
    }
}

fn is_magnet(text: &[u8]) -> bool {
    text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"magnet:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEANS: Means<'static> = Means { len_max: 1000, tracker_ca: None, allow_private: false };

    #[test]
    fn a_link_is_a_link_and_all_else_is_a_file() {
        let link = "MAGNET:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a";
        assert!(matches!(find(OsStr::new(link), MEANS), Ok(Found::Magnet(_))));
        let piped = format!("\n{link}\n").into_bytes();
        assert!(matches!(find_in(piped, 1000), Ok(Found::Magnet(_))));
        let cut = find(OsStr::new("magnet:?xt=urn:btih:c12f"), MEANS).unwrap_err();
        assert!(cut.to_string().contains("40 hex digits"), "{cut}");
        let missing = find(OsStr::new("/nowhere/magnet"), MEANS).unwrap_err();
        assert!(missing.to_string().contains("readable .torrent file"), "{missing}");
        let long = find_in(vec![b'd'; 1001], 1000).unwrap_err();
        assert!(format!("{long:#}").contains("raise --torrent-file-limit"), "{long:#}");
    }
}
