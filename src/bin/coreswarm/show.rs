//! `show`: what a .torrent file or a magnet link says, as text or JSON.

use std::io;
use std::io::Write;

use coreswarm::FileEntry;
use coreswarm::InfoHashes;
use coreswarm::Magnet;
use coreswarm::Torrent;

use crate::args_file::ShowArgs;
use crate::escape::escape;
use crate::show_json;
use crate::source;
use crate::source::Found;
use crate::source::Means;
use crate::units::bytes;
use crate::utc;

pub(crate) fn show(args: &ShowArgs) -> anyhow::Result<()> {
    let found = source::find(&args.source, Means::new(args.limit))?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    match (found, args.json) {
        (Found::File(file), true) => writeln!(out, "{}", show_json::torrent(&file.torrent))?,
        (Found::File(file), false) => write_torrent(&mut out, &file.torrent)?,
        (Found::Magnet(magnet), true) => writeln!(out, "{}", show_json::magnet(&magnet))?,
        (Found::Magnet(magnet), false) => write_magnet(&mut out, &magnet)?,
    }
    Ok(out.flush()?)
}

/// Which versions of the protocol a torrent speaks.
pub(crate) fn version(hashes: InfoHashes) -> &'static str {
    match (hashes.v1(), hashes.v2()) {
        (Some(_), Some(_)) => "hybrid",
        (None, Some(_)) => "v2",
        (_, None) => "v1",
    }
}

/// The entries that stand in the .torrent file: v2 has no pads, there they are our own arithmetic.
pub(crate) fn listed(torrent: &Torrent) -> impl Iterator<Item = (usize, &FileEntry)> {
    let has_pads = torrent.info_hashes().v1().is_some();
    torrent.files().iter().enumerate().filter(move |(_, file)| has_pads || !file.is_pad())
}

/// Bytes of the files without padding.
pub(crate) fn payload_length(torrent: &Torrent) -> u64 {
    torrent.files().iter().filter(|file| !file.is_pad()).map(FileEntry::length).sum()
}

fn write_hashes(out: &mut impl Write, hashes: InfoHashes) -> io::Result<()> {
    writeln!(out, "version:    {}", version(hashes))?;
    if let Some(v1) = hashes.v1() {
        writeln!(out, "info hash:  {v1}")?;
    }
    match hashes.v2() {
        Some(v2) => writeln!(out, "v2 hash:    {v2}"),
        None => Ok(()),
    }
}

fn write_torrent(out: &mut impl Write, torrent: &Torrent) -> io::Result<()> {
    writeln!(out, "name:       {}", escape(torrent.name()))?;
    write_hashes(out, torrent.info_hashes())?;
    let total = payload_length(torrent);
    writeln!(out, "size:       {total} bytes ({})", bytes(total))?;
    let (count, length) = (torrent.piece_count(), torrent.piece_length());
    writeln!(out, "pieces:     {count} of {}", bytes(length.into()))?;
    let missing = torrent.missing_layer_count();
    if missing > 0 {
        writeln!(out, "layers:     missing for {missing} files; `get` asks peers of v2 for them")?;
    }
    writeln!(out, "private:    {}", if torrent.is_private() { "yes" } else { "no" })?;
    write_words(out, "source:     ", torrent.source())?;
    write_words(out, "comment:    ", torrent.comment())?;
    write_words(out, "created by: ", torrent.created_by())?;
    if let Some(seconds) = torrent.creation_date() {
        writeln!(out, "created:    {}", utc::date_time(seconds))?;
    }
    for (tier, urls) in torrent.trackers().iter().enumerate() {
        for url in urls {
            writeln!(out, "tracker:    {} (tier {tier})", escape(url))?;
        }
    }
    write_words(out, "web seed:   ", torrent.url_list())?;
    for (host, port) in torrent.nodes() {
        writeln!(out, "DHT node:   {} {port}", escape(host))?;
    }
    for hash in torrent.similar() {
        writeln!(out, "similar:    {hash}")?;
    }
    write_words(out, "collection: ", torrent.collections())?;
    writeln!(out, "files:      {}", listed(torrent).count())?;
    listed(torrent).try_for_each(|(_, file)| write_file(out, file))
}

fn write_file(out: &mut impl Write, file: &FileEntry) -> io::Result<()> {
    let mut marks = String::new();
    if file.is_pad() {
        marks.push_str(" (pad: zeros, never on disk)");
    }
    if file.is_symlink() {
        let target = file.symlink_target().map(|target| target.to_string_lossy());
        let target = target.map_or("nowhere".to_owned(), |target| escape(&target));
        marks.push_str(&format!(" -> {target} (symbolic link: not made)"));
    }
    if file.is_executable() {
        marks.push_str(" (executable)");
    }
    if file.is_hidden() {
        marks.push_str(" (hidden)");
    }
    let path = escape(&file.path().to_string_lossy());
    writeln!(out, "  {:>14}  {path}{marks}", file.length())
}

fn write_magnet(out: &mut impl Write, magnet: &Magnet) -> io::Result<()> {
    write_words(out, "name:       ", magnet.name.as_deref())?;
    write_hashes(out, magnet.info_hashes)?;
    if let Some(length) = magnet.length {
        writeln!(out, "size:       {length} bytes ({}), as claimed", bytes(length))?;
    }
    write_words(out, "tracker:    ", &magnet.trackers)?;
    write_words(out, "web seed:   ", &magnet.web_seeds)?;
    write_words(out, "source:     ", &magnet.sources)?;
    write_words(out, "fallback:   ", &magnet.acceptable_sources)?;
    for peer in &magnet.peers {
        writeln!(out, "peer:       {peer}")?;
    }
    for range in magnet.select.iter().flatten() {
        let (first, last) = (range.start(), range.end());
        match first == last {
            true => writeln!(out, "selected:   file {first}")?,
            false => writeln!(out, "selected:   files {first} to {last}")?,
        }
    }
    Ok(())
}

/// A line for each text, escaped.
fn write_words<S: AsRef<str>>(
    out: &mut impl Write,
    label: &str,
    words: impl IntoIterator<Item = S>,
) -> io::Result<()> {
    words.into_iter().try_for_each(|word| writeln!(out, "{label}{}", escape(word.as_ref())))
}

#[cfg(test)]
mod tests {
    use coreswarm::Sha1;
    use coreswarm::TorrentMaker;

    use super::*;

    #[test]
    fn a_hostile_comment_reaches_the_terminal_escaped() {
        let made = TorrentMaker::single("one", 5).comment("\x1b[2J").creation_date(0);
        let torrent = Torrent::parse(&made.finish(&[Sha1::of(b"12345")]).unwrap()).unwrap();
        let mut out = Vec::new();
        write_torrent(&mut out, &torrent).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("comment:    \\u{1b}[2J\n"), "{text}");
        assert!(text.contains("created:    1970-01-01 00:00:00 UTC"), "{text}");
        assert!(text.contains("version:    v1\n"), "{text}");
        assert!(text.contains("             5  one\n"), "{text}");
    }

    #[test]
    fn a_magnet_shows_all_its_hints_escaped() {
        let hash = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a";
        let more = "dn=%1B%5B2J&tr=http://t/&ws=http://w/&xs=http://x/&as=http://y/\
                    &x.pe=[::1]:7&so=1,3-4&xl=2048";
        let magnet = Magnet::parse(&format!("magnet:?xt=urn:btih:{hash}&{more}")).unwrap();
        let mut out = Vec::new();
        write_magnet(&mut out, &magnet).unwrap();
        let lines = [
            "name:       \\u{1b}[2J",
            "version:    v1",
            &format!("info hash:  {hash}"),
            "size:       2048 bytes (2.0 KiB), as claimed",
            "tracker:    http://t/",
            "web seed:   http://w/",
            "source:     http://x/",
            "fallback:   http://y/",
            "peer:       [::1]:7",
            "selected:   file 1",
            "selected:   files 3 to 4",
        ];
        assert_eq!(String::from_utf8(out).unwrap().lines().collect::<Vec<_>>(), lines);
    }
}
