//! Events as JSON lines on stdout: what `--json` promises to scripts.

use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use coreswarm::InfoHashes;
use coreswarm::ShardShare;
use coreswarm::ShardStats;
use coreswarm::ShardTurns;
use coreswarm::Torrent;
use coreswarm::TorrentState;
use coreswarm::TorrentStats;
use coreswarm::TurnPart;
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
        "shards": stats.shards.iter().map(share).collect::<Vec<_>>(),
    });
    with_names(event, &stats.info_hashes)
}

/// What one of the shards that serve a torrent does for it.
fn share(share: &ShardShare) -> Value {
    json!({
        "shard": share.shard.as_usize(),
        "peer_count": share.peer_count,
        "uploaded": share.uploaded,
        "upload_rate": share.upload_rate,
    })
}

/// The figures of each shard, in their order.
pub(crate) fn shards<'a>(shards: impl Iterator<Item = &'a ShardStats>) -> Value {
    let one = |stats: &ShardStats| {
        json!({
            "torrent_count": stats.torrent_count,
            "annex_count": stats.annex_count,
            "busy_permille": stats.busy_permille,
            "connection_count": stats.connection_count,
            "downloaded": stats.downloaded,
            "uploaded": stats.uploaded,
            "upload_read": stats.upload_read,
            "upload_spliced": stats.upload_spliced,
            "assembly_used": stats.assembly_used,
            "hashed_by_others": stats.hashed_by_others,
            "hashed_for_others": stats.hashed_for_others,
            "turns": turns(&stats.turns),
        })
    };
    json!({ "event": "shards", "shards": shards.map(one).collect::<Vec<_>>() })
}

/// How long turns took, in microseconds, and slow ones by the part that took longest.
fn turns(turns: &ShardTurns) -> Value {
    let us = |length: Duration| length.as_micros() as u64;
    let slow = TurnPart::ALL.map(|part| (part.name().to_owned(), turns.slow_count(part).into()));
    json!({
        "count": turns.count(),
        "p50_us": us(turns.quantile(0.5)),
        "p99_us": us(turns.quantile(0.99)),
        "p999_us": us(turns.quantile(0.999)),
        "max_us": us(turns.max()),
        "slow": Value::Object(slow.into_iter().collect()),
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
        TorrentState::Metadata => "metadata",
        TorrentState::Opening => "opening",
        TorrentState::Checking => "checking",
        TorrentState::Downloading => "downloading",
        TorrentState::Seeding => "seeding",
        TorrentState::Paused => "paused",
        TorrentState::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_without_turns_yet_has_all_its_figures() {
        let event = shards([ShardStats::default()].iter());
        let turns = &event["shards"][0]["turns"];
        assert_eq!((&event["event"], &turns["count"]), (&"shards".into(), &0.into()));
        let figures = ["p50_us", "p99_us", "p999_us", "max_us"].map(|name| turns[name].as_u64());
        assert_eq!(figures, [Some(0); 4]);
        assert_eq!(turns["slow"]["submission"], 0);
    }
}
