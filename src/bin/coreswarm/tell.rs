//! Alerts in words, for `-v` and for errors.

use coreswarm::Alert;
use coreswarm::AlertKind;

/// One line about what happened, unescaped.
pub(crate) fn words(alert: &Alert) -> String {
    match &alert.kind {
        AlertKind::Added => "added".to_owned(),
        AlertKind::Removed => "removed".to_owned(),
        AlertKind::Checked { have_count, piece_count } => {
            format!("checked: {have_count} of {piece_count} pieces are there")
        }
        AlertKind::Finished => "finished".to_owned(),
        AlertKind::Paused => "paused".to_owned(),
        AlertKind::Resumed => "resumed".to_owned(),
        AlertKind::Error { message } => format!("stopped: {message}"),
        AlertKind::PieceVerified { piece } => format!("piece {piece} verified"),
        AlertKind::PieceFailed { piece } => format!("piece {piece} failed its hash"),
        AlertKind::BlockFailed { piece, block } => {
            format!("block {block} of piece {piece} failed its hash")
        }
        AlertKind::FileCompleted { file } => format!("file {file} completed"),
        AlertKind::PeerConnected { address, is_inbound } => {
            let way = if *is_inbound { "from" } else { "to" };
            format!("connected {way} peer {address}")
        }
        AlertKind::PeerDisconnected { address, reason } => {
            format!("peer {address} left: {reason}")
        }
        AlertKind::PeerBanned { address, reason } => format!("peer {address} banned: {reason}"),
        AlertKind::TrackerAnnounced { url, peer_count } => {
            format!("tracker {url}: {peer_count} peers")
        }
        AlertKind::TrackerWarning { url, message } => format!("tracker {url} warns: {message}"),
        AlertKind::TrackerError { url, message } => format!("tracker {url}: {message}"),
        AlertKind::Listening { address } => format!("accepting peers at {address}"),
        AlertKind::HashingFellBack { left_out } => {
            let left_out = left_out.join(", ");
            format!(
                "shard {}: its core is faulty, it computed wrong digests in {left_out}; hashing \
                 goes on without, slower: test or replace the CPU",
                alert.shard
            )
        }
        AlertKind::SendingFellBack { message } => {
            format!("shard {}: payload is copied: {message}", alert.shard)
        }
        AlertKind::Storage(error) => error.to_string(),
        AlertKind::ShardEnlisted { shard } => format!("shard {shard} serves it too from here on"),
        AlertKind::ShardReleased { shard, reason } => {
            format!("shard {shard} serves it no more: {reason}")
        }
        AlertKind::SlowTurn { took, part } => {
            format!("shard {}: a turn took {took:?}, most of it in {}", alert.shard, part.name())
        }
        AlertKind::Lost { count } => format!("{count} alerts were lost: this reader is too slow"),
        other => format!("{other:?}"),
    }
}

/// Whether it is worth a line without `-v`: something is wrong that the user may mend. Storage
/// errors are not: the torrent stops and says so in the same words.
pub(crate) fn is_important(alert: &Alert) -> bool {
    matches!(
        alert.kind,
        AlertKind::Error { .. }
            | AlertKind::TrackerError { .. }
            | AlertKind::TrackerWarning { .. }
            | AlertKind::PeerBanned { .. }
            | AlertKind::HashingFellBack { .. }
            | AlertKind::SendingFellBack { .. }
    )
}
