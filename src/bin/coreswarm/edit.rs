//! `edit`: change what a .torrent file says, in place or into another file.

use std::io;
use std::io::Write;

use anyhow::Context;
use anyhow::bail;
use coreswarm::EditedTorrent;
use coreswarm::TorrentEdit;

use crate::args_file::EditArgs;
use crate::args_file::YesNo;
use crate::escape::escape;
use crate::source;
use crate::write_file::write_file;

pub(crate) fn edit(args: &EditArgs) -> anyhow::Result<()> {
    if args.output.is_none() && args.file.as_os_str() == "-" {
        bail!("expected -o OUT with a .torrent file on stdin, got none; name the file to write");
    }
    let bytes = source::read_file(&args.file, args.limit.torrent_file_limit)?.bytes;
    let edited = wanted(args).apply(&bytes).with_context(|| format!("{:?}", args.file))?;
    let output = args.output.as_ref().unwrap_or(&args.file);
    let mut out = io::stdout().lock();
    if args.output.is_none() && edited.bytes == bytes {
        return Ok(writeln!(out, "nothing to change")?);
    }
    write_file(output, &edited.bytes)?;
    writeln!(out, "wrote:          {}", escape(&output.to_string_lossy()))?;
    tell_hashes(&mut out, &edited)?;
    Ok(())
}

fn wanted(args: &EditArgs) -> TorrentEdit {
    let mut edit = TorrentEdit::new().file_len_max(args.limit.torrent_file_limit);
    if args.no_trackers || !args.tracker.is_empty() {
        edit = edit.trackers(args.tracker.iter().map(|url| vec![url.clone()]).collect());
    }
    if args.no_web_seeds || !args.web_seed.is_empty() {
        edit = edit.web_seeds(args.web_seed.clone());
    }
    edit = args.remove_tracker.iter().fold(edit, TorrentEdit::remove_tracker);
    edit = args.add_tracker.iter().fold(edit, TorrentEdit::add_tracker);
    edit = args.remove_web_seed.iter().fold(edit, TorrentEdit::remove_web_seed);
    edit = args.add_web_seed.iter().fold(edit, TorrentEdit::add_web_seed);
    edit = args.comment.iter().fold(edit, TorrentEdit::comment);
    edit = args.source.iter().fold(edit, TorrentEdit::source);
    args.private.iter().fold(edit, |edit, private| edit.private(*private == YesNo::Yes))
}

fn tell_hashes(out: &mut impl Write, edited: &EditedTorrent) -> io::Result<()> {
    if edited.before == edited.after {
        return writeln!(out, "info hash:      {} (as before)", edited.after);
    }
    writeln!(out, "info hash:      {}", edited.after)?;
    writeln!(out, "info hash was:  {}", edited.before)?;
    writeln!(out, "this is another torrent now: peers and trackers of the old one do not know it")
}
