//! Events as JSON lines on stdout: what `--json` promises to scripts.

use std::io;
use std::io::Write;
use std::net::SocketAddr;

use coreswarm::InfoHashes;
use coreswarm::Torrent;
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

/// What a torrent is called in events: its v1 info hash, or the v2 one where there is no other.
pub(crate) fn name(hashes: &InfoHashes) -> String {
    let second = || hashes.v2().map(|v2| v2.to_string()).unwrap_or_default();
    hashes.v1().map_or_else(second, |v1| v1.to_string())
}

/// Adds all of a torrent's names to an event about it.
fn with_names(mut event: Value, hashes: &InfoHashes) -> Value {
    event["torrent"] = name(hashes).into();
    event["info_hash_v1"] = hashes.v1().map(|v1| v1.to_string()).into();
    event["info_hash_v2"] = hashes.v2().map(|v2| v2.to_string()).into();
    event
}

pub(crate) fn seeding(stats: &TorrentStats) -> Value {
    with_names(json!({ "event": "seeding" }), &stats.info_hashes)
}

pub(crate) fn metadata(torrent: &Torrent) -> Value {
    let event = json!({
        "event": "metadata",
        "name": torrent.name(),
        "total_bytes": torrent.total_length(),
        "piece_count": torrent.piece_count(),
        "private": torrent.is_private(),
    });
    with_names(event, &torrent.info_hashes())
}

pub(crate) fn finished(stats: &TorrentStats, seconds: f64) -> Value {
    let event = json!({
        "event": "finished",
        "total_bytes": stats.total_bytes,
        "wanted_bytes": stats.wanted_bytes,
        "downloaded": stats.downloaded,
        "wasted": stats.wasted,
        "seconds": seconds,
    });
    with_names(event, &stats.info_hashes)
}

pub(crate) fn stats(stats: &TorrentStats) -> Value {
    let event = json!({
        "event": "stats",
        "state": state_name(stats.state),
        "piece_count": stats.piece_count,
        "have_count": stats.have_count,
        "checked_count": stats.checked_count,
        "have_bytes": stats.have_bytes,
        "total_bytes": stats.total_bytes,
        "wanted_bytes": stats.wanted_bytes,
        "wanted_have_bytes": stats.wanted_have_bytes,
        "downloaded": stats.downloaded,
        "uploaded": stats.uploaded,
        "wasted": stats.wasted,
        "download_rate": stats.download_rate,
        "upload_rate": stats.upload_rate,
        "peer_count": stats.peer_count,
        "seed_count": stats.seed_count,
        "candidate_count": stats.candidate_count,
    });
    with_names(event, &stats.info_hashes)
}

pub(crate) fn error(torrent: Option<String>, message: &str) -> Value {
    json!({ "event": "error", "torrent": torrent, "message": message })
}

pub(crate) fn alert(torrent: Option<String>, text: &str) -> Value {
    json!({ "event": "alert", "torrent": torrent, "message": text })
}

pub(crate) fn state_name(state: TorrentState) -> &'static str {
    match state {
        TorrentState::Metadata => "metadata",
        TorrentState::Opening => "opening",
        TorrentState::Checking => "checking",
        TorrentState::Downloading => "downloading",
        TorrentState::Seeding => "seeding",
        TorrentState::Paused => "paused",
        TorrentState::Error => "error",
    }
}
