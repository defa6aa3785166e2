//! Where a torrent comes from: a file, stdin, the web, or a magnet link.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use anyhow::Context;
use coreswarm::FetchTorrent;
use coreswarm::Magnet;
use coreswarm::Torrent;
use coreswarm::read_torrent;
use coreswarm::read_torrent_file;

/// How a URL is fetched.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Web<'a> {
    pub(crate) tracker_ca: Option<&'a Path>,
    pub(crate) allow_private: bool,
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
pub(crate) fn find(source: &OsStr, web: Web<'_>) -> anyhow::Result<Found> {
    match source.to_str() {
        Some("-") => find_in(read_torrent(io::stdin().lock()).context("stdin")?),
        Some(link) if is_magnet(link.as_bytes()) => {
            Ok(Found::Magnet(Box::new(Magnet::parse(link)?)))
        }
        Some(url) if FetchTorrent::understands(url) => {
            let mut fetch = FetchTorrent::new(url).allow_private(web.allow_private);
            if let Some(path) = web.tracker_ca {
                fetch = fetch.tracker_ca(path);
            }
            let got = "what the server sent is no torrent; copy the link of the download itself";
            Ok(Found::File(Box::new(parse(fetch.fetch()?).context(got)?)))
        }
        _ => Ok(Found::File(Box::new(parse_file(Path::new(source))?))),
    }
}

/// The same, but of a .torrent file at `path`, or of stdin when that is `-`.
pub(crate) fn read_file(path: &Path) -> anyhow::Result<TorrentFile> {
    match path.as_os_str() == "-" {
        true => parse(read_torrent(io::stdin().lock()).context("stdin")?).context("stdin"),
        false => parse_file(path),
    }
}

fn find_in(bytes: Vec<u8>) -> anyhow::Result<Found> {
    if is_magnet(bytes.trim_ascii_start()) {
        return Ok(Found::Magnet(Box::new(Magnet::parse(&String::from_utf8_lossy(&bytes))?)));
    }
    Ok(Found::File(Box::new(parse(bytes).context("stdin")?)))
}

fn parse_file(path: &Path) -> anyhow::Result<TorrentFile> {
    parse(read_torrent_file(path)?).with_context(|| format!("{path:?}"))
}

fn parse(bytes: Vec<u8>) -> anyhow::Result<TorrentFile> {
    Ok(TorrentFile { torrent: Torrent::parse(&bytes)?, bytes })
}

fn is_magnet(text: &[u8]) -> bool {
    text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"magnet:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_a_link_and_all_else_is_a_file() {
        let link = "MAGNET:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a";
        assert!(matches!(find(OsStr::new(link), Web::default()), Ok(Found::Magnet(_))));
        let piped = format!("\n{link}\n").into_bytes();
        assert!(matches!(find_in(piped), Ok(Found::Magnet(_))));
        let cut = find(OsStr::new("magnet:?xt=urn:btih:c12f"), Web::default()).unwrap_err();
        assert!(cut.to_string().contains("40 hex digits"), "{cut}");
        let missing = find(OsStr::new("/nowhere/magnet"), Web::default()).unwrap_err();
        assert!(missing.to_string().contains("readable .torrent file"), "{missing}");
    }
}
