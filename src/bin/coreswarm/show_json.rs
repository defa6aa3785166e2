//! What `show --json` promises to scripts.

use coreswarm::FileEntry;
use coreswarm::InfoHashes;
use coreswarm::Magnet;
use coreswarm::Sha1;
use coreswarm::Torrent;
use serde_json::Value;
use serde_json::json;

use crate::show::listed;
use crate::show::payload_length;
use crate::show::version;

pub(crate) fn torrent(torrent: &Torrent) -> Value {
    let hashes = torrent.info_hashes();
    let files: Vec<Value> =
        listed(torrent).map(|(index, entry)| file(torrent, index, entry)).collect();
    let nodes: Vec<Value> =
        torrent.nodes().iter().map(|(host, port)| json!([host, port])).collect();
    json!({
        "kind": "torrent",
        "name": torrent.name(),
        "version": version(hashes),
        "info_hash": torrent.info_hash().to_string(),
        "info_hash_v1": hashes.v1().map(|hash| hash.to_string()),
        "info_hash_v2": hashes.v2().map(|hash| hash.to_string()),
        "total_bytes": torrent.total_length(),
        "payload_bytes": payload_length(torrent),
        "piece_length": torrent.piece_length(),
        "piece_count": torrent.piece_count(),
        "missing_layer_count": torrent.missing_layer_count(),
        "private": torrent.is_private(),
        "source": torrent.source(),
        "files": files,
        "trackers": torrent.trackers(),
        "web_seeds": torrent.url_list(),
        "nodes": nodes,
        "similar": torrent.similar().iter().map(Sha1::to_string).collect::<Vec<_>>(),
        "collections": torrent.collections(),
        "comment": torrent.comment(),
        "created_by": torrent.created_by(),
        "created": torrent.creation_date(),
        "magnet": torrent.magnet().to_string(),
    })
}

fn file(torrent: &Torrent, index: usize, file: &FileEntry) -> Value {
    json!({
        "path": file.path().to_string_lossy(),
        "length": file.length(),
        "offset": file.offset(),
        "pad": file.is_pad(),
        "symlink": file.is_symlink(),
        "symlink_target": file.symlink_target().map(|target| target.to_string_lossy()),
        "executable": file.is_executable(),
        "hidden": file.is_hidden(),
        "root": torrent.root_of_file(index).map(|root| root.to_string()),
    })
}

pub(crate) fn magnet(magnet: &Magnet) -> Value {
    let hashes: InfoHashes = magnet.info_hashes;
    let select = magnet.select.as_ref().map(|ranges| {
        ranges.iter().map(|range| json!([range.start(), range.end()])).collect::<Vec<_>>()
    });
    json!({
        "kind": "magnet",
        "name": magnet.name,
        "version": version(hashes),
        "info_hash": hashes.primary().to_string(),
        "info_hash_v1": hashes.v1().map(|hash| hash.to_string()),
        "info_hash_v2": hashes.v2().map(|hash| hash.to_string()),
        "total_bytes": magnet.length,
        "trackers": magnet.trackers,
        "web_seeds": magnet.web_seeds,
        "sources": magnet.sources,
        "acceptable_sources": magnet.acceptable_sources,
        "peers": magnet.peers.iter().map(|peer| peer.to_string()).collect::<Vec<_>>(),
        "select": select,
        "magnet": magnet.to_string(),
    })
}
