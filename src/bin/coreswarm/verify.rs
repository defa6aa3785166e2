//! `verify`: which pieces and files of a torrent are good.

use std::io;
use std::io::Write;
use std::sync::Arc;

use coreswarm::FileReport;
use coreswarm::FileState;
use coreswarm::PieceState;
use coreswarm::Torrent;
use coreswarm::Verifier;
use coreswarm::VerifyError;
use coreswarm::VerifyReport;
use serde_json::Value;
use serde_json::json;

use crate::args_scan::VerifyArgs;
use crate::escape::escape;
use crate::failure::EXIT_DAMAGE;
use crate::failure::EXIT_SIGNAL;
use crate::failure::EXIT_STORAGE;
use crate::failure::Failure;
use crate::scan_bar::ScanBar;
use crate::signals::StopFlag;
use crate::source;
use crate::verify_state::SavedState;

/// Runs of pieces told per state; the rest is counted.
const RUN_TOLD_MAX: usize = 100;
/// Every state with its name.
const STATES: [(PieceState, &str); 6] = [
    (PieceState::Good, "good"),
    (PieceState::Corrupt, "corrupt"),
    (PieceState::Missing, "missing"),
    (PieceState::Short, "short"),
    (PieceState::Unreadable, "unreadable"),
    (PieceState::Pending, "pending"),
];

pub(crate) fn verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let torrent = Arc::new(source::read_file(&args.file, args.limit.torrent_file_limit)?.torrent);
    let stop = StopFlag::install()?;
    let saved = SavedState::of(&torrent, &args.directory);
    let mut verifier = Verifier::new(Arc::clone(&torrent), &args.directory).mapping(true);
    if let Some(kept) = saved.as_ref().filter(|_| !args.restart).and_then(SavedState::read) {
        verifier = verifier.resume(kept);
    }
    let missing = torrent.missing_layer_count();
    if missing > 0 && torrent.info_hashes().v1().is_some() {
        eprintln!("piece layers of {missing} files are missing: verified by v1 hashes alone");
    }
    let mut bar = ScanBar::new(torrent.name(), torrent.total_length(), &stop);
    let report = verifier.run(|progress| bar.look(progress));
    bar.finish();
    let report = report.map_err(|error| match error {
        VerifyError::Directory { .. } => Failure::new(EXIT_STORAGE, error.to_string()).into(),
        error => anyhow::Error::from(error),
    })?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", to_json(&torrent, &report))?;
    } else {
        write_text(&mut out, &report)?;
    }
    out.flush()?;
    conclude(&report, saved)
}

/// The exit code, and what is kept for the next call.
fn conclude(report: &VerifyReport, saved: Option<SavedState>) -> anyhow::Result<()> {
    if let Some(checkpoint) = report.checkpoint() {
        let kept = saved.ok_or_else(|| anyhow::anyhow!("neither XDG_STATE_HOME nor HOME is set"));
        let message = match kept.and_then(|saved| saved.write(checkpoint)) {
            Ok(()) => "interrupted; the same command goes on from here".to_owned(),
            Err(error) => format!("interrupted; the next call begins anew: {error:#}"),
        };
        return Err(Failure::new(EXIT_SIGNAL, message).into());
    }
    if let Some(saved) = saved {
        saved.remove();
    }
    if report.is_unreadable() {
        let message = "expected to read every file, some refused; see above";
        return Err(Failure::new(EXIT_STORAGE, message).into());
    }
    if !report.is_good() {
        let message = "expected every piece and file to be good, found damage; see above";
        return Err(Failure::new(EXIT_DAMAGE, message).into());
    }
    Ok(())
}

fn write_text(out: &mut impl Write, report: &VerifyReport) -> io::Result<()> {
    if report.resumed_count() > 0 {
        writeln!(out, "{:<11} {} pieces known from before", "resumed:", report.resumed_count())?;
    }
    let all = report.pieces().len();
    for (state, name) in STATES {
        let count = report.count(state);
        if count == 0 && state != PieceState::Good {
            continue;
        }
        let runs = match state {
            PieceState::Good if count as usize == all => String::new(),
            state => format!(": {}", runs_text(report, state)),
        };
        let runs = if count == 0 { "" } else { &runs };
        writeln!(out, "{:<11} {count} of {all} pieces{runs}", format!("{name}:"))?;
    }
    let good = |file: &&FileReport| file.state == FileState::Good;
    let on_disk = report.files().iter().filter(|file| file.state != FileState::NotOnDisk);
    let (good, count) = (on_disk.clone().filter(good).count(), on_disk.clone().count());
    writeln!(out, "{:<11} {good} of {count} good", "files:")?;
    on_disk.filter(|file| file.state != FileState::Good).try_for_each(|file| {
        writeln!(out, "  {}: {}", escape(&file.path.to_string_lossy()), words(file))
    })
}

fn runs_text(report: &VerifyReport, state: PieceState) -> String {
    let mut runs = report.runs(state);
    let told = runs.by_ref().take(RUN_TOLD_MAX).map(|run| match run.start() == run.end() {
        true => run.start().to_string(),
        false => format!("{}-{}", run.start(), run.end()),
    });
    let mut text = told.collect::<Vec<_>>().join(", ");
    let more = runs.count();
    if more > 0 {
        text.push_str(&format!(" and {more} more runs"));
    }
    text
}

fn words(file: &FileReport) -> String {
    let (good, count) = (file.good_count, file.piece_count);
    let pieces = format!("{good} of {count} pieces are good");
    let expected = file.length;
    match &file.state {
        FileState::Corrupt => format!("corrupt, {pieces}"),
        FileState::Missing => "missing".to_owned(),
        FileState::NotAFile => "something else stands in its place".to_owned(),
        FileState::Short { length } => {
            format!("short, expected {expected} bytes, got {length}; {pieces}")
        }
        FileState::Long { length } => {
            format!("long, expected {expected} bytes, got {length}; {pieces}")
        }
        FileState::Unreadable { message } => format!("unreadable: {message}; {pieces}"),
        FileState::Pending => "not looked at to its end".to_owned(),
        _ => "good".to_owned(),
    }
}

fn to_json(torrent: &Torrent, report: &VerifyReport) -> Value {
    let mut pieces = serde_json::Map::new();
    for (state, name) in STATES {
        let runs: Vec<_> = report.runs(state).map(|run| [*run.start(), *run.end()]).collect();
        pieces.insert(name.to_owned(), json!({ "count": report.count(state), "runs": runs }));
    }
    let hashes = torrent.info_hashes();
    let on_disk = report.files().iter().filter(|file| file.state != FileState::NotOnDisk);
    json!({
        "info_hash_v1": hashes.v1().map(|hash| hash.to_string()),
        "info_hash_v2": hashes.v2().map(|hash| hash.to_string()),
        "good": report.is_good(),
        "interrupted": report.is_interrupted(),
        "piece_count": report.pieces().len(),
        "resumed_count": report.resumed_count(),
        "pieces": pieces,
        "files": on_disk.map(file_to_json).collect::<Vec<_>>(),
    })
}

fn file_to_json(file: &FileReport) -> Value {
    let (state, found, message) = match &file.state {
        FileState::Corrupt => ("corrupt", Some(file.length), None),
        FileState::Missing => ("missing", None, None),
        FileState::NotAFile => ("not a file", None, None),
        FileState::Short { length } => ("short", Some(*length), None),
        FileState::Long { length } => ("long", Some(*length), None),
        FileState::Unreadable { message } => ("unreadable", None, Some(message)),
        FileState::Pending => ("pending", Some(file.length), None),
        _ => ("good", Some(file.length), None),
    };
    json!({
        "path": file.path.to_string_lossy(),
        "state": state,
        "length": file.length,
        "found_length": found,
        "message": message,
        "piece_count": file.piece_count,
        "good_count": file.good_count,
        "part": file.is_part,
    })
}
