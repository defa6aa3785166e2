//! `create`: a .torrent file of what lies at a path.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use anyhow::bail;
use coreswarm::CreateError;
use coreswarm::Creator;
use coreswarm::LeftOut;
use coreswarm::Torrent;
use coreswarm::TorrentMaker;
use coreswarm::TorrentVersion;

use crate::args_scan::CreateArgs;
use crate::args_scan::PieceLength;
use crate::clock;
use crate::escape::escape;
use crate::failure::EXIT_SIGNAL;
use crate::failure::EXIT_STORAGE;
use crate::failure::Failure;
use crate::scan_bar::ScanBar;
use crate::signals::StopFlag;
use crate::units::bytes;
use crate::write_file::write_file;

/// Paths left out that are told one by one.
const LEFT_OUT_TOLD_MAX: usize = 20;

pub(crate) fn create(args: &CreateArgs) -> anyhow::Result<()> {
    let output = output(args)?;
    if !args.force && output != Path::new("-") && fs::symlink_metadata(&output).is_ok() {
        bail!("expected no file at {output:?}, found one; --force replaces it");
    }
    let stop = StopFlag::install()?;
    let own = own_place(&args.path, &output);
    let excludes = args.exclude.iter().chain(&own);
    let creator = Creator::new(&args.path, excludes).map_err(classify)?.mapping(true);
    tell_left_out(&creator);
    let maker = describe(creator.maker(), args);
    let mut bar = ScanBar::new(&name_of(&args.path), maker.total_length()?, &stop);
    let made = creator.run(&maker, |progress| bar.look(progress));
    let took = bar.finish();
    let made = made.map_err(classify)?;
    // What we cannot read ourselves is not worth giving away.
    let torrent = Torrent::parse(&made).context("the torrent made cannot be read")?;
    tell_renamed(&creator, &torrent);
    if output == Path::new("-") {
        return Ok(io::stdout().lock().write_all(&made)?);
    }
    write_file(&output, &made)?;
    let mut out = io::stdout().lock();
    writeln!(out, "wrote:      {}", escape(&output.to_string_lossy()))?;
    for (name, hash) in hashes(&torrent) {
        writeln!(out, "info hash:  {hash} ({name})")?;
    }
    let (total, count) = (maker.total_length()?, creator.file_count());
    writeln!(out, "content:    {} in {count} {}", bytes(total), plural("file", count))?;
    let (pieces, length) = (torrent.piece_count(), bytes(torrent.piece_length().into()));
    writeln!(out, "pieces:     {pieces} of {length}, hashed in {:.1} s", took.as_secs_f64())?;
    Ok(())
}

/// As asked for, or beside us with the name of what it is of.
fn output(args: &CreateArgs) -> anyhow::Result<PathBuf> {
    if let Some(output) = &args.output {
        return Ok(output.clone());
    }
    let named = args.path.file_name().map(OsStr::to_owned);
    let named = named.or_else(|| fs::canonicalize(&args.path).ok()?.file_name().map(Into::into));
    let Some(mut name) = named else {
        bail!("expected a path with a name, got {:?}; say with -o where to write", args.path);
    };
    name.push(".torrent");
    Ok(name.into())
}

/// The pattern of a .torrent file that stands inside of what it describes: it would change itself.
fn own_place(path: &Path, output: &Path) -> Option<String> {
    let inside = fs::canonicalize(output).ok()?;
    let inside = inside.strip_prefix(fs::canonicalize(path).ok()?).ok()?;
    let mut pattern = String::from("/");
    for c in inside.to_str().filter(|inside| !inside.is_empty())?.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    Some(pattern)
}

fn describe(mut maker: TorrentMaker, args: &CreateArgs) -> TorrentMaker {
    maker = maker.version(match (args.v2, args.hybrid) {
        (true, _) => TorrentVersion::V2,
        (_, true) => TorrentVersion::Hybrid,
        // What all trackers and programs take: many still refuse the others.
        _ => TorrentVersion::V1,
    });
    if let PieceLength::Bytes(length) = args.piece_length {
        maker = maker.with_piece_length(length);
    }
    maker = args.announce.iter().fold(maker, |maker, url| maker.tier([url]));
    maker = args.web_seed.iter().fold(maker, TorrentMaker::web_seed);
    maker = args.source.iter().fold(maker, TorrentMaker::source);
    maker = args.comment.iter().fold(maker, TorrentMaker::comment);
    if !args.no_date {
        let program = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
        maker = maker.created_by(program);
        let since = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        maker = maker.creation_date(since.as_secs().cast_signed());
    }
    maker.private(args.private)
}

fn classify(error: CreateError) -> anyhow::Error {
    let exit = match &error {
        CreateError::Interrupted => EXIT_SIGNAL,
        CreateError::Io { .. } | CreateError::Changed { .. } => EXIT_STORAGE,
        _ => return error.into(),
    };
    Failure::new(exit, error.to_string()).into()
}

fn tell_left_out(creator: &Creator) {
    let why = |why: &LeftOut| match why {
        LeftOut::Link => Some("a symbolic link"),
        LeftOut::Special => Some("neither a file nor a directory"),
        // As asked for.
        _ => None,
    };
    let told = creator.left_out().iter().filter_map(|(path, left)| Some((path, why(left)?)));
    for (path, why) in told.clone().take(LEFT_OUT_TOLD_MAX) {
        eprintln!("left out: {}, {why}", escape(&path.to_string_lossy()));
    }
    let more = told.count().saturating_sub(LEFT_OUT_TOLD_MAX);
    if more > 0 {
        eprintln!("left out: {more} more of that kind");
    }
}

/// Names that downloads change to be safe everywhere: `verify` here would look for those.
fn tell_renamed(creator: &Creator, torrent: &Torrent) {
    let files = torrent.files().iter().filter(|file| file.is_on_disk());
    for (found, file) in creator.paths().zip(files) {
        if found != file.path() {
            let (found, path) = (found.to_string_lossy(), file.path().to_string_lossy());
            eprintln!("note: {} will be saved as {}", escape(&found), escape(&path));
        }
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn hashes(torrent: &Torrent) -> impl Iterator<Item = (&'static str, String)> {
    let hashes = torrent.info_hashes();
    let v1 = hashes.v1().map(|hash| ("v1", hash.to_string()));
    v1.into_iter().chain(hashes.v2().map(|hash| ("v2", hash.to_string())))
}

fn plural(word: &str, count: usize) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}
