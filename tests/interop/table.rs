//! The table of all cases.

use std::time::Duration;

use crate::case::Case;
use crate::case::Kind;
use crate::case::Kind::Hybrid;
use crate::case::Kind::V1;
use crate::case::Kind::V2;
use crate::case::Link;
use crate::case::Link::Both;
use crate::case::Link::Btih;
use crate::case::Link::Btmh;
use crate::case::Link::File;
use crate::case::Meet;
use crate::case::Meet::HttpTracker;
use crate::case::Meet::HttpsTracker;
use crate::case::Meet::LeechDials;
use crate::case::Meet::SeedDials;
use crate::case::Meet::UdpTracker;
use crate::case::Plot;
use crate::engine::Engine;
use crate::engine::Engine::Aria2;
use crate::engine::Engine::Lt20;
use crate::engine::Engine::Lt21;
use crate::engine::Engine::Lt21Encrypts;
use crate::engine::Engine::Ours;
use crate::engine::Engine::OursTwoShards;
use crate::engine::Engine::Transmission;
use crate::engine::Engine::TransmissionEncrypts;
use crate::payload::Shape;
use crate::payload::Shape::Large;
use crate::payload::Shape::Multi;
use crate::payload::Shape::Single;

/// Generous against a machine that also compiles; a healthy pair takes two to ten seconds.
const PAIR: Duration = Duration::from_secs(60);
/// Seven programs share the cores.
const SWARM: Duration = Duration::from_secs(120);

/// Every case, in the order in which they start: the long ones first, so that the end is not spent
/// waiting for one of them.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = swarms();
    cases.extend(restarts());
    cases.extend(pairs());
    cases.extend(versions());
    cases.extend(controls());
    cases
}

/// One seed, everyone else leeches, coreswarm on both sides.
fn swarms() -> Vec<Case> {
    let others = [Transmission, Aria2, Lt20, Lt21, Ours];
    vec![
        mixed("mixed/from-libtorrent-2.1", Lt21, &[Transmission, Aria2, Lt20, Ours, OursTwoShards]),
        mixed("mixed/from-coreswarm", OursTwoShards, &others),
    ]
}

/// SIGTERM half-way, start again, end identical.
fn restarts() -> Vec<Case> {
    vec![
        restart("restart/libtorrent-2.1/single", Lt21, Ours, Large),
        restart("restart/libtorrent-2.1/two-shards/multi", Lt21, OursTwoShards, Multi),
    ]
}

/// Each engine with coreswarm, both ways, each way to meet, each shape.
fn pairs() -> Vec<Case> {
    #[rustfmt::skip]
    let rows: &[(Engine, Engine, Meet, Shape)] = &[
        // seed         leech         meet          shape
        (Transmission,  Ours,         HttpTracker,  Single),
        (Transmission,  Ours,         HttpTracker,  Multi),
        (Transmission,  Ours,         LeechDials,   Single),
        (Transmission,  Ours,         LeechDials,   Multi),
        (Aria2,         Ours,         HttpTracker,  Single),
        (Aria2,         Ours,         HttpTracker,  Multi),
        (Aria2,         Ours,         LeechDials,   Single),
        (Aria2,         Ours,         LeechDials,   Multi),
        (Lt20,          Ours,         HttpTracker,  Single),
        (Lt20,          Ours,         HttpTracker,  Multi),
        (Lt20,          Ours,         LeechDials,   Single),
        (Lt20,          Ours,         LeechDials,   Multi),
        (Lt21,          Ours,         HttpTracker,  Single),
        (Lt21,          Ours,         HttpTracker,  Multi),
        (Lt21,          Ours,         LeechDials,   Single),
        (Lt21,          Ours,         LeechDials,   Multi),
        // transmission and aria2 cannot be given a peer's address, so coreswarm is given theirs
        (Ours,          Transmission, HttpTracker,  Single),
        (Ours,          Transmission, HttpTracker,  Multi),
        (Ours,          Transmission, SeedDials,    Single),
        (Ours,          Transmission, SeedDials,    Multi),
        (Ours,          Aria2,        HttpTracker,  Single),
        (Ours,          Aria2,        HttpTracker,  Multi),
        (Ours,          Aria2,        SeedDials,    Single),
        (Ours,          Aria2,        SeedDials,    Multi),
        (Ours,          Lt20,         HttpTracker,  Single),
        (Ours,          Lt20,         HttpTracker,  Multi),
        (Ours,          Lt20,         LeechDials,   Single),
        (Ours,          Lt20,         LeechDials,   Multi),
        (Ours,          Lt21,         HttpTracker,  Single),
        (Ours,          Lt21,         HttpTracker,  Multi),
        (Ours,          Lt21,         LeechDials,   Single),
        (Ours,          Lt21,         LeechDials,   Multi),
        // the other ways to meet, two shards, and coreswarm with itself
        (Lt21,          Ours,         SeedDials,    Multi),
        (Ours,          Lt21,         SeedDials,    Multi),
        (Lt21,          Ours,         UdpTracker,   Multi),
        (Ours,          Lt20,         UdpTracker,   Single),
        (Lt21,          Ours,         HttpsTracker, Single),
        (Lt21,          OursTwoShards, LeechDials,  Multi),
        (OursTwoShards, Lt21,         LeechDials,   Multi),
        (Ours,          Ours,         HttpTracker,  Multi),
        // peers that try encryption first, and have to fall back
        (Ours,          Lt21Encrypts, LeechDials,  Single),
        (Lt21Encrypts, Ours,         HttpTracker,  Single),
        (Ours,          TransmissionEncrypts, HttpTracker, Single),
        (TransmissionEncrypts, Ours, HttpTracker,  Single),
    ];
    rows.iter().map(|&row| pair("", row)).collect()
}

/// Torrents of the second version and hybrids, and magnet links of all kinds.
fn versions() -> Vec<Case> {
    #[rustfmt::skip]
    let rows: &[(Engine, Engine, Meet, Shape, Kind, Link)] = &[
        // seed         leech         meet          shape   kind    link
        (Lt21,          Ours,         LeechDials,   Multi,  V2,     File),
        (Ours,          Lt21,         LeechDials,   Multi,  V2,     File),
        (Lt21,          Ours,         HttpTracker,  Single, V2,     File),
        (Lt21,          Ours,         LeechDials,   Multi,  Hybrid, File),
        (Ours,          Lt21,         LeechDials,   Multi,  Hybrid, File),
        (Lt20,          Ours,         HttpTracker,  Multi,  Hybrid, File),
        (Ours,          OursTwoShards, HttpTracker, Multi,  V2,     File),
        (Lt21,          Ours,         LeechDials,   Multi,  V1,     Btih),
        (Lt21,          Ours,         HttpTracker,  Single, V1,     Btih),
        (Lt20,          Ours,         UdpTracker,   Multi,  V1,     Btih),
        (Transmission,  Ours,         HttpTracker,  Multi,  V1,     Btih),
        (Aria2,         Ours,         HttpTracker,  Multi,  V1,     Btih),
        (Ours,          Lt21,         LeechDials,   Multi,  V1,     Btih),
        (Ours,          Transmission, HttpTracker,  Multi,  V1,     Btih),
        (Ours,          Aria2,        HttpTracker,  Multi,  V1,     Btih),
        (Ours,          OursTwoShards, LeechDials,  Multi,  V1,     Btih),
        (Lt21,          Ours,         LeechDials,   Multi,  V2,     Btmh),
        (Lt21,          Ours,         HttpTracker,  Multi,  V2,     Btmh),
        (Ours,          Lt21,         LeechDials,   Multi,  V2,     Btmh),
        (Ours,          OursTwoShards, LeechDials,  Multi,  V2,     Btmh),
        (Lt21,          Ours,         LeechDials,   Multi,  Hybrid, Btmh),
        (Lt21,          Ours,         LeechDials,   Multi,  Hybrid, Btih),
        (Lt21,          Ours,         HttpTracker,  Multi,  Hybrid, Both),
        (Ours,          Lt21,         LeechDials,   Multi,  Hybrid, Btmh),
        (Ours,          Lt21,         HttpTracker,  Multi,  Hybrid, Both),
    ];
    let mut cases: Vec<Case> = rows.iter().map(|&row| of_version("", row)).collect();
    cases.extend([
        two_versions("two-versions/from-libtorrent-2.1", Lt21, OursTwoShards),
        two_versions("two-versions/from-coreswarm", OursTwoShards, Ours),
    ]);
    cases
}

/// A hybrid's two swarms: one peer comes by the v1 hash, one by the v2 hash, and all share.
fn two_versions(name: &str, seed: Engine, ours: Engine) -> Case {
    let leeches = vec![(ours, File), (Lt20, Btih), (Lt21, Btmh)];
    Case { kind: Hybrid, leeches, ..mixed(name, seed, &[]) }
}

fn of_version(
    prefix: &str,
    (seed, leech, meet, shape, kind, link): (Engine, Engine, Meet, Shape, Kind, Link),
) -> Case {
    let case = pair(prefix, (seed, leech, meet, shape));
    let name = format!("{}/{}/{}", case.name, kind.name(), link.name());
    Case { name, kind, leeches: vec![(leech, link)], ..case }
}

/// The same without coreswarm: when these fail, the fault is the harness's or the machine's.
fn controls() -> Vec<Case> {
    #[rustfmt::skip]
    let rows: &[(Engine, Engine, Meet, Shape)] = &[
        (Transmission,  Aria2,        HttpTracker,  Multi),
        (Aria2,         Transmission, HttpTracker,  Single),
        (Lt20,          Transmission, SeedDials,    Multi),
        (Transmission,  Lt21,         LeechDials,   Multi),
        (Aria2,         Lt21,         LeechDials,   Multi),
        (Lt21,          Transmission, UdpTracker,   Multi),
        (Lt20,          Lt21,         HttpsTracker, Single),
        (Lt21,          Lt20,         LeechDials,   Single),
        (Lt20,          Lt21Encrypts, LeechDials,  Single),
        (Aria2,         TransmissionEncrypts, HttpTracker, Single),
    ];
    #[rustfmt::skip]
    let versions: &[(Engine, Engine, Meet, Shape, Kind, Link)] = &[
        (Lt21,          Lt21,         LeechDials,   Multi,  V2,     File),
        (Lt21,          Lt21,         LeechDials,   Multi,  V2,     Btmh),
        (Lt21,          Lt20,         LeechDials,   Multi,  Hybrid, Btmh),
        (Lt21,          Transmission, HttpTracker,  Multi,  V1,     Btih),
        (Lt21,          Aria2,        HttpTracker,  Multi,  V1,     Btih),
    ];
    let mut cases: Vec<Case> = rows.iter().map(|&row| pair("control/", row)).collect();
    cases.extend(versions.iter().map(|&row| of_version("control/", row)));
    cases.push(mixed("control/mixed", Lt21, &[Transmission, Aria2, Lt20]));
    cases
}

fn pair(prefix: &str, (seed, leech, meet, shape): (Engine, Engine, Meet, Shape)) -> Case {
    let way = match meet {
        HttpTracker => "http-tracker",
        UdpTracker => "udp-tracker",
        HttpsTracker => "https-tracker",
        LeechDials => "leech-dials",
        SeedDials => "seed-dials",
    };
    let name = format!("{prefix}{}-to-{}/{way}/{}", seed.name(), leech.name(), shape.name());
    Case {
        name,
        seed,
        leeches: vec![(leech, File)],
        kind: V1,
        meet,
        shape,
        plot: Plot::Straight,
        deadline: PAIR,
    }
}

fn mixed(name: &str, seed: Engine, leeches: &[Engine]) -> Case {
    Case {
        name: name.to_owned(),
        seed,
        leeches: leeches.iter().map(|engine| (*engine, File)).collect(),
        kind: V1,
        meet: HttpTracker,
        shape: Multi,
        plot: Plot::Straight,
        deadline: SWARM,
    }
}

fn restart(name: &str, seed: Engine, leech: Engine, shape: Shape) -> Case {
    Case {
        name: name.to_owned(),
        seed,
        leeches: vec![(leech, File)],
        kind: V1,
        meet: LeechDials,
        shape,
        plot: Plot::Restart,
        deadline: PAIR,
    }
}
