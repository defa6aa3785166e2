//! `show`: what a .torrent file says, as text or JSON.

use std::io;
use std::io::Write;

use coreswarm::AddTorrent;
use coreswarm::FileEntry;
use coreswarm::Torrent;
use serde_json::Value;
use serde_json::json;

use crate::args::ShowArgs;
use crate::escape::escape;
use crate::units::bytes;
use crate::utc;

pub(crate) fn show(args: &ShowArgs) -> anyhow::Result<()> {
    let add = AddTorrent::from_file(&args.file)?;
    let torrent = add.torrent();
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", to_json(torrent))?;
    } else {
        write_text(&mut out, torrent)?;
    }
    Ok(())
}

fn to_json(torrent: &Torrent) -> Value {
    let files: Vec<Value> = torrent.files().iter().map(file_to_json).collect();
    json!({
        "name": torrent.name(),
        "info_hash": torrent.info_hash().to_string(),
        "total_bytes": torrent.total_length(),
        "piece_length": torrent.piece_length(),
        "piece_count": torrent.piece_count(),
        "private": torrent.is_private(),
        "files": files,
        "trackers": torrent.trackers(),
        "web_seeds": torrent.url_list(),
        "comment": torrent.comment(),
        "created_by": torrent.created_by(),
        "created": torrent.creation_date(),
    })
}

fn file_to_json(file: &FileEntry) -> Value {
    json!({
        "path": file.path().to_string_lossy(),
        "length": file.length(),
        "offset": file.offset(),
        "pad": file.is_pad(),
        "symlink": file.is_symlink(),
    })
}

fn write_text(out: &mut impl Write, torrent: &Torrent) -> io::Result<()> {
    writeln!(out, "name:       {}", escape(torrent.name()))?;
    writeln!(out, "info hash:  {}", torrent.info_hash())?;
    let total = torrent.total_length();
    writeln!(out, "size:       {total} bytes ({})", bytes(total))?;
    let (count, length) = (torrent.piece_count(), torrent.piece_length());
    writeln!(out, "pieces:     {count} of {}", bytes(length.into()))?;
    writeln!(out, "private:    {}", if torrent.is_private() { "yes" } else { "no" })?;
    if let Some(comment) = torrent.comment() {
        writeln!(out, "comment:    {}", escape(comment))?;
    }
    if let Some(program) = torrent.created_by() {
        writeln!(out, "created by: {}", escape(program))?;
    }
    if let Some(seconds) = torrent.creation_date() {
        writeln!(out, "created:    {}", utc::date_time(seconds))?;
    }
    for (tier, urls) in torrent.trackers().iter().enumerate() {
        for url in urls {
            writeln!(out, "tracker:    {} (tier {tier})", escape(url))?;
        }
    }
    for url in torrent.url_list() {
        writeln!(out, "web seed:   {}", escape(url))?;
    }
    writeln!(out, "files:      {}", torrent.files().len())?;
    torrent.files().iter().try_for_each(|file| write_file(out, file))
}

fn write_file(out: &mut impl Write, file: &FileEntry) -> io::Result<()> {
    let mark = match file {
        file if file.is_pad() => " (pad: zeros, never on disk)",
        file if file.is_symlink() => " (symbolic link: not made)",
        _ => "",
    };
    let path = escape(&file.path().to_string_lossy());
    writeln!(out, "  {:>14}  {path}{mark}", file.length())
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
        write_text(&mut out, &torrent).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("comment:    \\u{1b}[2J\n"), "{text}");
        assert!(text.contains("created:    1970-01-01 00:00:00 UTC"), "{text}");
        assert!(text.contains("             5  one\n"), "{text}");
    }
}
