//! Whole engines in simulated worlds: what a user would see, and what every seed must bring.

mod annexes;
mod bad_peers;
mod chaos;
mod files;
mod librarians;
mod life;
mod magnets;
mod names;
mod network;
mod outwork;
mod peers;
mod routing;
mod selection;
mod swarm;
mod versions;

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::ids::TorrentId;
use crate::content::make::TorrentVersion;
use crate::engine::add::PieceOrder;
use crate::engine::alert::AlertKind;
use crate::engine::settings::Settings;
use crate::sim::bundle::Bundle;
use crate::sim::world::core::LINE;
use crate::sim::world::core::World;

const MINUTE: Duration = Duration::from_secs(60);

/// All kinds of torrents.
const VERSIONS: [TorrentVersion; 3] =
    [TorrentVersion::V1, TorrentVersion::V2, TorrentVersion::Hybrid];

/// Seeds to run: `CORESWARM_SEED` alone, or `COUNT` of them from 1.
fn seeds(count: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("CORESWARM_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("COUNT").unwrap_or(count)).collect(),
    }
}

/// A session of one shard with these files already there.
fn add_seed(world: &mut World, bundle: &Bundle) -> usize {
    let site = world.add_site(Settings::default(), 1, LINE);
    world.know(bundle);
    world.sites[site].disk.put(&bundle.torrent, &bundle.bytes);
    add_torrent(world, site, bundle, &[]);
    site
}

/// A session of one shard without files that knows these peers.
fn add_leech(world: &mut World, bundle: &Bundle, peers: &[SocketAddr]) -> usize {
    let site = world.add_site(Settings::default(), 1, LINE);
    add_torrent(world, site, bundle, peers);
    site
}

fn add_torrent(world: &mut World, site: usize, bundle: &Bundle, peers: &[SocketAddr]) -> TorrentId {
    world.know(bundle);
    let now = world.now;
    world.sites[site].add(now, bundle, 0, PieceOrder::RarestFirst, peers.to_vec())
}

/// Addresses that the site banned.
fn banned(world: &World, site: usize) -> Vec<SocketAddr> {
    let alerts = world.sites[site].alerts().iter();
    let banned = alerts.filter_map(|alert| match &alert.kind {
        AlertKind::PeerBanned { address, .. } => Some(*address),
        _ => None,
    });
    banned.collect()
}
