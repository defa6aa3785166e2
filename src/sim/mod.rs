//! The ring's understudy: virtual clock, network, disks, trackers and scripted peers.

#![cfg_attr(not(test), allow(dead_code, reason = "most of it serves scenarios written as tests"))]

pub(crate) mod bundle;
pub(crate) mod clock;
pub(crate) mod conduct;
pub(crate) mod contents;
pub(crate) mod disk;
pub(crate) mod facts;
pub(crate) mod librarian;
pub(crate) mod names;
pub(crate) mod net;
pub(crate) mod oracle;
pub(crate) mod peer;
pub(crate) mod post;
pub(crate) mod shard;
pub(crate) mod site;
pub(crate) mod stranger;
pub(crate) mod trace;
pub(crate) mod tracker;
pub(crate) mod world;

use std::time::Duration;

use crate::engine::add::PieceOrder;
use crate::engine::settings::Settings;
use crate::sim::bundle::Bundle;
use crate::sim::net::Line;
use crate::sim::net::Weather;
use crate::sim::tracker::TrackerConduct;
use crate::sim::world::core::World;

/// What a run came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The seed that makes this run again.
    pub seed: u64,
    /// Of everything that happened: two runs of one seed are equal when their digests are.
    pub digest: u64,
    /// How many things happened.
    pub event_count: u64,
    /// Virtual time from the first add to the end of the shutdown.
    pub took: Duration,
}

/// One seed and seven downloaders, of one or two shards each, over a tracker, on lines and in
/// weather that depend on the seed; to the last byte, and to an orderly end.
///
/// # Panics
/// When a download does not end, or an engine breaks a rule; the seed and the end of the trace are
/// printed.
pub fn run_swarm(seed: u64) -> Report {
    World::tell(seed, Weather::default(), tell_swarm)
}

fn tell_swarm(world: &mut World) -> Report {
    let seed = world.seed;
    let start = world.now;
    let len = 300_000 + world.rng().below(1_200_000) as usize;
    let bundle = Bundle::tracked(seed, len);
    world.know(&bundle);
    world.trackers.set("tracker.sim", TrackerConduct::Honest);
    let weather = Weather {
        refusal: world.rng().below(60),
        reset: world.rng().below(100),
        datagram_loss: world.rng().below(200),
    };
    world.net.set_weather(weather);
    for index in 0..8 {
        let up = 300_000 + world.rng().below(4_000_000);
        let latency = Duration::from_millis(1 + world.rng().below(80));
        let line = Line { up, down: 2 * up, latency };
        let shard_count = 1 + world.rng().below(2) as u16;
        let site = world.add_site(Settings::default(), shard_count, line);
        if index == 0 {
            world.sites[site].disk.put(&bundle.torrent, &bundle.bytes);
        }
        let shard = world.rng().below(shard_count.into()) as u16;
        let now = world.now;
        world.sites[site].add(now, &bundle, shard, PieceOrder::RarestFirst, Vec::new());
        let pause = Duration::from_millis(world.rng().below(2_000));
        world.run_for(pause);
    }
    world.run_until_complete(Duration::from_secs(900));
    world.shut_down();
    let (digest, event_count) = (world.trace().digest(), world.trace().count());
    Report { seed, digest, event_count, took: world.now.since(start) }
}

#[cfg(test)]
mod tests;
