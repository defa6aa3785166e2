//! Events as JSON lines on stdout: what `--json` promises to scripts.

use std::io;
use std::io::Write;
use std::net::SocketAddr;

use coreswarm::TorrentState;
use coreswarm::TorrentStats;
use serde_json::Value;
use serde_json::json;

/// Writes one line and flushes it, so that a reader of a pipe sees it at once.
pub(crate) fn print(event: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{event}")?;
    out.flush()
}

pub(crate) fn listening(address: &SocketAddr) -> Value {
    json!({ "event": "listening", "address": address.to_string() })
}

pub(crate) fn seeding(stats: &TorrentStats) -> Value {
    json!({ "event": "seeding", "torrent": stats.info_hash.to_string() })
}

pub(crate) fn finished(stats: &TorrentStats, seconds: f64) -> Value {
    json!({
        "event": "finished",
        "torrent": stats.info_hash.to_string(),
        "total_bytes": stats.total_bytes,
        "downloaded": stats.downloaded,
        "wasted": stats.wasted,
        "seconds": seconds,
    })
}

pub(crate) fn stats(stats: &TorrentStats) -> Value {
    json!({
        "event": "stats",
        "torrent": stats.info_hash.to_string(),
        "state": state_name(stats.state),
        "piece_count": stats.piece_count,
        "have_count": stats.have_count,
        "checked_count": stats.checked_count,
        "have_bytes": stats.have_bytes,
        "total_bytes": stats.total_bytes,
        "downloaded": stats.downloaded,
        "uploaded": stats.uploaded,
        "wasted": stats.wasted,
        "download_rate": stats.download_rate,
        "upload_rate": stats.upload_rate,
        "peer_count": stats.peer_count,
        "seed_count": stats.seed_count,
        "candidate_count": stats.candidate_count,
    })
}

pub(crate) fn error(torrent: Option<String>, message: &str) -> Value {
    json!({ "event": "error", "torrent": torrent, "message": message })
}

pub(crate) fn alert(torrent: Option<String>, text: &str) -> Value {
    json!({ "event": "alert", "torrent": torrent, "message": text })
}

pub(crate) fn state_name(state: TorrentState) -> &'static str {
    match state {
        TorrentState::Opening => "opening",
        TorrentState::Checking => "checking",
        TorrentState::Downloading => "downloading",
        TorrentState::Seeding => "seeding",
        TorrentState::Paused => "paused",
        TorrentState::Error => "error",
    }
}
