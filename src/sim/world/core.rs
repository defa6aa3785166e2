//! What the world is made of: its machines, who owns which connection, and what is planned.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::digest::Sha1;
use crate::base::ids::ShardId;
use crate::base::instant::Instant;
use crate::base::rng::Rng;
use crate::engine::note::Note;
use crate::engine::parcel::Parcel;
use crate::engine::settings::Settings;
use crate::engine::to_ring::HttpAnswer;
use crate::engine::to_ring::QueryError;
use crate::engine::to_ring::QueryId;
use crate::sim::bundle::Bundle;
use crate::sim::clock::Clock;
use crate::sim::conduct::Conduct;
use crate::sim::net::EndId;
use crate::sim::net::Line;
use crate::sim::net::Net;
use crate::sim::net::Weather;
use crate::sim::oracle::Tap;
use crate::sim::post::Input;
use crate::sim::site::PORT;
use crate::sim::site::Site;
use crate::sim::stranger::Stranger;
use crate::sim::trace::Trace;
use crate::sim::tracker::Trackers;

/// How often liveness is looked at.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// How long a socket is on its way between two shards.
pub(super) const HAND_OVER_TIME: Duration = Duration::from_micros(50);
/// How long a name takes to resolve.
pub(super) const RESOLVE_TIME: Duration = Duration::from_millis(30);
/// Steps of one run: a world that needs more is in a loop.
pub(super) const STEP_MAX: u64 = 20_000_000;
/// The first port from which shards send datagrams.
pub(super) const DATAGRAM_PORT: u16 = 20_000;

/// An ordinary line: 4 MB/s up, 8 MB/s down, 15 ms.
pub(crate) const LINE: Line =
    Line { up: 4_000_000, down: 8_000_000, latency: Duration::from_millis(15) };

/// Who holds an end of a connection.
#[derive(Debug)]
pub(super) enum Owner {
    Shard {
        site: usize,
        shard: ShardId,
    },
    /// On its way between two shards; what arrives waits.
    Moving(Vec<Input>),
    Stranger(usize),
}

#[derive(Debug)]
pub(super) enum Later {
    Adopt {
        site: usize,
        epoch: u32,
        to: ShardId,
        end: EndId,
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    Arrive {
        site: usize,
        epoch: u32,
        to: ShardId,
        end: EndId,
        parcel: Box<Parcel>,
    },
    Note {
        site: usize,
        epoch: u32,
        from: ShardId,
        to: ShardId,
        note: Note,
    },
    /// Hash jobs on their way to another shard, or back.
    Jobs {
        site: usize,
        epoch: u32,
        to: ShardId,
        input: Input,
    },
    Http {
        site: usize,
        epoch: u32,
        shard: ShardId,
        query: QueryId,
        answer: Result<HttpAnswer, QueryError>,
    },
    Resolved {
        site: usize,
        epoch: u32,
        shard: ShardId,
        query: QueryId,
        answer: Result<Vec<SocketAddr>, QueryError>,
    },
    CheckLiveness,
}

/// Everything there is.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) now: Instant,
    pub(crate) net: Net,
    pub(crate) trackers: Trackers,
    pub(crate) sites: Vec<Site>,
    pub(crate) strangers: Vec<Stranger>,
    /// Names that resolve; all others fail.
    pub(crate) names: BTreeMap<String, IpAddr>,
    /// Addresses at which a UDP tracker answers.
    pub(crate) udp_trackers: BTreeSet<SocketAddr>,
    /// Peers that no session may ever ban.
    pub(crate) honest: BTreeSet<IpAddr>,
    /// Of a hundred batches of hash jobs between shards, so many are lost on each way.
    pub(crate) outwork_loss: u64,
    pub(super) rng: Rng,
    pub(super) trace: Trace,
    pub(super) owners: BTreeMap<EndId, Owner>,
    pub(super) taps: BTreeMap<EndId, (usize, Tap)>,
    pub(super) bundles: BTreeMap<Sha1, Bundle>,
    pub(super) later: Clock<Later>,
    pub(super) step_count: u64,
    pub(super) hand_over_count: u64,
    pub(super) move_count: u64,
}

impl World {
    pub(super) fn new(seed: u64, weather: Weather) -> World {
        let mut rng = Rng::new(seed);
        let mut later = Clock::default();
        // Not zero: a machine that starts at zero might take zero for "never".
        let now = Instant::from_millis(1_000);
        later.plan(now, Later::CheckLiveness);
        World {
            seed,
            now,
            net: Net::new(Rng::new(rng.next_u64()), weather),
            trackers: Trackers::default(),
            sites: Vec::new(),
            strangers: Vec::new(),
            names: BTreeMap::new(),
            udp_trackers: BTreeSet::new(),
            honest: BTreeSet::new(),
            outwork_loss: 0,
            rng,
            trace: Trace::new(seed),
            owners: BTreeMap::new(),
            taps: BTreeMap::new(),
            bundles: BTreeMap::new(),
            later,
            step_count: 0,
            hand_over_count: 0,
            move_count: 0,
        }
    }

    pub(crate) fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Connections that went from one shard to another.
    pub(crate) fn hand_over_count(&self) -> u64 {
        self.hand_over_count
    }

    /// Peers that went from one shard to another.
    pub(crate) fn move_count(&self) -> u64 {
        self.move_count
    }

    pub(crate) fn trace(&self) -> &Trace {
        &self.trace
    }

    /// A torrent that engines may be given.
    pub(crate) fn know(&mut self, bundle: &Bundle) {
        let names = bundle.torrent.info_hashes();
        self.bundles.extend(names.swarms().map(|name| (name, bundle.clone())));
    }

    /// A new session; its number. `settings` are per shard.
    pub(crate) fn add_site(&mut self, settings: Settings, shard_count: u16, line: Line) -> usize {
        let index = self.sites.len();
        let ip = IpAddr::from([10, 1, index as u8, 1]);
        let rng = Rng::new(self.rng.next_u64());
        let site = Site::new(ip, settings, shard_count, rng, self.now);
        self.net.add_host(ip, line);
        self.net.listen(site.address());
        self.honest.insert(ip);
        self.sites.push(site);
        index
    }

    /// A scripted peer that listens; its number. It dials when told to.
    pub(crate) fn add_stranger(&mut self, conduct: Conduct, bundle: &Bundle) -> usize {
        let index = self.strangers.len();
        let ip = IpAddr::from([10, 2, index as u8, 1]);
        let address = SocketAddr::new(ip, PORT);
        self.net.add_host(ip, LINE);
        self.net.listen(address);
        let rng = Rng::new(self.rng.next_u64());
        self.strangers.push(Stranger::new(address, conduct, bundle.clone(), rng));
        index
    }

    /// As [`World::add_stranger`], and no session may ban it.
    pub(crate) fn add_honest(&mut self, conduct: Conduct, bundle: &Bundle) -> usize {
        let index = self.add_stranger(conduct, bundle);
        self.honest.insert(self.strangers[index].ip());
        index
    }
}
