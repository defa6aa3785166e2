//! The progress bar: on stderr, and only on a terminal.

use std::time::Duration;

use coreswarm::TorrentState;
use coreswarm::TorrentStats;
use indicatif::HumanDuration;
use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;

use crate::escape::escape;
use crate::json::state_name;
use crate::units::bytes;
use crate::units::rate;

/// Characters of a torrent's name in front of the bar.
const NAME_LEN_MAX: usize = 24;

/// A bar without colours, for one torrent or several together.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new(name: &str, total_bytes: u64) -> Progress {
        // Hidden by itself when stderr is no terminal.
        let bar = ProgressBar::with_draw_target(Some(total_bytes), ProgressDrawTarget::stderr());
        if let Ok(style) =
            ProgressStyle::with_template("{prefix} [{bar:24}] {percent:>3}% {wide_msg}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(short(&escape(name)));
        Progress { bar }
    }

    /// The name is known only now.
    pub(crate) fn rename(&self, name: &str) {
        self.bar.set_prefix(short(&escape(name)));
    }

    pub(crate) fn hidden() -> Progress {
        Progress { bar: ProgressBar::hidden() }
    }

    /// Shows one torrent's figures.
    pub(crate) fn show(&self, stats: &TorrentStats) {
        self.bar.set_length(stats.wanted_bytes);
        self.bar.set_position(position(stats));
        self.bar.set_message(line(stats));
    }

    /// Shows `done` bytes and a line of text.
    pub(crate) fn show_text(&self, done: u64, text: String) {
        self.bar.set_position(done);
        self.bar.set_message(text);
    }

    /// Prints above the bar; on stderr where there is none.
    pub(crate) fn print(&self, text: &str) {
        if self.bar.is_hidden() {
            eprintln!("{text}");
        } else {
            self.bar.println(text);
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn short(name: &str) -> String {
    if name.chars().count() <= NAME_LEN_MAX {
        return name.to_owned();
    }
    name.chars().take(NAME_LEN_MAX - 2).chain("..".chars()).collect()
}

/// Bytes on the bar: a check walks it once before the download does.
fn position(stats: &TorrentStats) -> u64 {
    if stats.state != TorrentState::Checking {
        return stats.wanted_have_bytes;
    }
    let share = u128::from(stats.wanted_bytes) * u128::from(stats.checked_count);
    (share / u128::from(stats.piece_count.max(1))) as u64
}

fn line(stats: &TorrentStats) -> String {
    let pieces = format!("{}/{} pieces", stats.have_count, stats.piece_count);
    let peers = format!("{} peers ({} seeds)", stats.peer_count, stats.seed_count);
    match stats.state {
        TorrentState::Metadata => format!("fetching metadata, {peers}"),
        TorrentState::Checking => format!("checking, {pieces} there"),
        TorrentState::Downloading => {
            let (down, up) = (rate(stats.download_rate), rate(stats.upload_rate));
            format!("down {down}, up {up}, ETA {}, {peers}, {pieces}", eta(stats))
        }
        TorrentState::Seeding => {
            let (up, sent) = (rate(stats.upload_rate), bytes(stats.uploaded));
            format!("seeding, up {up}, {sent} sent, {peers}")
        }
        state => format!("{}, {pieces}", state_name(state)),
    }
}

fn eta(stats: &TorrentStats) -> String {
    let left = stats.wanted_bytes.saturating_sub(stats.wanted_have_bytes);
    match left.checked_div(stats.download_rate) {
        Some(seconds) => format!("{:#}", HumanDuration(Duration::from_secs(seconds))),
        None => "unknown".to_owned(),
    }
}
