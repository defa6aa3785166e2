//! The outer ring: sockets, files, pinning and the clock. The only place for `await` and system
//! calls.

pub(crate) mod alert_queue;
pub(crate) mod beneath;
pub(crate) mod blocking;
pub(crate) mod clock;
pub(crate) mod cpus;
pub(crate) mod doorbell;
pub(crate) mod heap;
pub(crate) mod interfaces;
pub(crate) mod link;
pub(crate) mod mapping;
pub(crate) mod preflight;
pub(crate) mod ring;
pub(crate) mod scan;
pub(crate) mod sockets;
pub(crate) mod store;
pub(crate) mod torrent_file;
pub(crate) mod trackers;
pub(crate) mod turn;
pub(crate) mod walk;

use std::fs;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::Receiver;
use crossbeam::channel::RecvTimeoutError;
use crossbeam::channel::Sender;
use crossbeam::channel::bounded;
use glommio::ExecutorJoinHandle;
use glommio::LocalExecutorBuilder;
use glommio::Placement;

use crate::base::buffer::Pool as Buffers;
use crate::base::digest_lanes::Lanes;
use crate::base::ids::ShardId;
use crate::base::instant::Instant;
use crate::base::limits::OUTWORK_LEN_MIN;
use crate::base::published::Published;
use crate::base::status::ShardStats;
use crate::engine::Engine;
use crate::engine::alert::AlertKind;
use crate::engine::command::Command;
use crate::engine::directory::Directory;
use crate::engine::settings::SendMode;
use crate::engine::settings::Settings;
use crate::engine::shard_config::EngineConfig;
use crate::io::alert_queue::AlertReader;
use crate::io::alert_queue::AlertSender;
use crate::io::alert_queue::alert_queue;
use crate::io::clock::Clock;
use crate::io::link::Inbox;
use crate::io::link::ShardLink;
use crate::io::link::link;
use crate::io::preflight::StartError;
use crate::io::ring::Ring;
use crate::io::sockets::listeners::Listeners;
use crate::io::sockets::splice::Splicer;
use crate::io::sockets::state::Sockets;
use crate::io::sockets::udp::Udp;
use crate::io::store::mapped::WINDOW_MAX;
use crate::io::store::state::Store;
use crate::io::trackers::HttpPool;
use crate::io::trackers::PoolConfig;
use crate::io::turn::state::Parts;
use crate::io::turn::state::Pump;

/// Memory that glommio registers per shard: its smallest, for nothing of ours is read through it.
const GLOMMIO_MEMORY: usize = 64 * 1024;
const GLOMMIO_DEPTH: usize = 128;
/// Idle payload buffers kept per shard: what a busy one needs between two turns.
const BUFFER_POOL: usize = 64 * 1024 * 1024;
/// Threads and waiting jobs of the pool for file names and space.
const BLOCKING_THREADS: usize = 4;
const BLOCKING_DEPTH: usize = 1024;
/// Alerts that wait per shard: a reader that comes by once a second keeps up with 16,000 per
/// second.
const ALERT_DEPTH: usize = 16 * 1024;
/// Time for questions to trackers that are under way when everything else has ended.
const HTTP_END_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for all shards to come up.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// What shards are made of.
#[derive(Debug)]
pub(crate) struct ShardsConfig {
    /// For the whole session.
    pub(crate) settings: Settings,
    /// Addresses to listen at; ports given as 0 become the same free port.
    pub(crate) listen: Vec<SocketAddr>,
    /// One per processor of the affinity mask when not given.
    pub(crate) shard_count: Option<usize>,
    /// A PEM file of roots trusted beside the usual ones.
    pub(crate) tracker_ca: Option<PathBuf>,
    pub(crate) directory: Arc<Directory>,
}

/// Running shards, as their session holds them.
#[derive(Debug)]
pub(crate) struct Shards {
    links: Vec<ShardLink>,
    alerts: Vec<AlertReader>,
    stats: Vec<Arc<Published<ShardStats>>>,
    listening: Vec<SocketAddr>,
    seed: u64,
    threads: Vec<Thread>,
    http: Arc<HttpPool>,
}

/// A shard's thread.
#[derive(Debug)]
struct Thread {
    /// Disconnected when its work has ended.
    ended: Receiver<()>,
    handle: Option<ExecutorJoinHandle<()>>,
}

/// What goes into a shard's thread.
struct Seedling {
    shard: ShardId,
    cpu: usize,
    settings: Settings,
    directory: Arc<Directory>,
    seed: u64,
    listeners: Vec<OwnedFd>,
    inbox: Inbox,
    links: Vec<ShardLink>,
    http: Arc<HttpPool>,
    blocking: Arc<blocking::Pool>,
    alerts: AlertSender,
    stats: Vec<Arc<Published<ShardStats>>>,
    clock: Clock,
    open_file_max: usize,
    addresses: Vec<SocketAddr>,
}

impl Shards {
    /// Checks what the system grants, binds, and starts one pinned thread per shard. Blocks until
    /// all are up.
    pub(crate) fn start(config: ShardsConfig) -> Result<Shards, StartError> {
        preflight::raise_limits()?;
        let cpus = preflight::choose_cpus(config.shard_count)?;
        ring::probe::probe(cpus.len())?;
        let listeners = Listeners::bind(&config.listen, cpus.len())
            .map_err(|error| StartError::Listen { message: error.to_string() })?;
        let listening = listeners.addresses.clone();
        let (http, blocking) = pools(&config)?;
        let mut shards = Shards {
            links: Vec::new(),
            alerts: Vec::new(),
            stats: cpus.iter().map(|_| Arc::new(Published::new(ShardStats::default()))).collect(),
            listening: listening.clone(),
            seed: chance(),
            threads: Vec::new(),
            http: Arc::clone(&http),
        };
        let clock = Clock::start();
        let settings = share(&config.settings, cpus.len(), &listening);
        let boxes = cpus.iter().map(|_| link()).collect::<io::Result<Vec<_>>>();
        let boxes = boxes.map_err(|source| StartError::System { what: "an eventfd", source })?;
        shards.links = boxes.iter().map(|(link, _)| link.clone()).collect();
        let mut seedlings = Vec::new();
        let places = cpus.iter().zip(boxes).zip(listeners.per_shard).enumerate();
        for (at, ((cpu, (_, inbox)), listeners)) in places {
            let shard = ShardId(at as u16);
            let (sink, source) = alert_queue(shard, ALERT_DEPTH, 1);
            shards.alerts.push(source);
            seedlings.push(Seedling {
                shard,
                cpu: *cpu,
                settings: settings.clone(),
                directory: Arc::clone(&config.directory),
                seed: chance(),
                listeners,
                inbox,
                links: shards.links.clone(),
                http: Arc::clone(&http),
                blocking: Arc::clone(&blocking),
                alerts: sink,
                stats: shards.stats.clone(),
                clock,
                open_file_max: open_file_max(cpus.len(), &config.settings),
                addresses: listening.clone(),
            });
        }
        if let Err(error) = shards.plant(seedlings) {
            // Those that came up must not keep the port and their memory.
            for link in shards.links() {
                let _ = link.send(Command::Shutdown, bounded(1).0);
            }
            shards.join(START_TIMEOUT);
            return Err(error);
        }
        Ok(shards)
    }

    /// Starts the threads and waits until each says that it is up.
    fn plant(&mut self, seedlings: Vec<Seedling>) -> Result<(), StartError> {
        let (up, is_up) = bounded(seedlings.len());
        for seedling in seedlings {
            let (alive, ended) = bounded(0);
            let shard = seedling.shard.0;
            let failed = |error: String| StartError::Shard { shard, message: error };
            let up = up.clone();
            let handle = LocalExecutorBuilder::new(Placement::Fixed(seedling.cpu))
                .name(&format!("shard-{shard}"))
                .io_memory(GLOMMIO_MEMORY)
                .ring_depth(GLOMMIO_DEPTH)
                .spawn(move || live(seedling, up, alive))
                .map_err(|error| failed(error.to_string()))?;
            self.threads.push(Thread { ended, handle: Some(handle) });
        }
        drop(up);
        for _ in 0..self.threads.len() {
            match is_up.recv_timeout(START_TIMEOUT) {
                Ok(Ok(())) => {}
                Ok(Err((shard, error))) => return Err(preflight::shard_refused(shard, &error)),
                // A shard's thread ended before it was up: glommio refused its memory.
                Err(RecvTimeoutError::Disconnected) => return Err(preflight::memlock_refused()),
                Err(RecvTimeoutError::Timeout) => {
                    let message = format!("it did not come up within {START_TIMEOUT:?}");
                    return Err(StartError::Shard { shard: 0, message });
                }
            }
        }
        Ok(())
    }

    /// The ways into the shards.
    pub(crate) fn links(&self) -> &[ShardLink] {
        &self.links
    }

    pub(crate) fn alerts(&self) -> &[AlertReader] {
        &self.alerts
    }

    pub(crate) fn stats(&self) -> &[Arc<Published<ShardStats>>] {
        &self.stats
    }

    /// As bound: no port is 0.
    pub(crate) fn listen_addresses(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// Chance for the session's own decisions.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Waits up to `limit` for the shards to end, after each was told to. Returns how many have
    /// not; they end by themselves when what they wait for does.
    pub(crate) fn join(&mut self, limit: Duration) -> usize {
        let clock = Clock::start();
        let left = || limit.saturating_sub(clock.now().since(Instant::ZERO));
        let mut late_count = 0;
        for thread in &mut self.threads {
            // Nothing is ever sent: a wait ends when the shard's thread drops its end.
            let end = thread.ended.recv_timeout(left());
            if end != Err(RecvTimeoutError::Disconnected) {
                late_count += 1;
            } else if let Some(handle) = thread.handle.take() {
                // What is left is glommio's own end, which waits for nobody.
                let _ = handle.join();
            }
        }
        self.http.shutdown(left().min(HTTP_END_TIMEOUT));
        late_count
    }
}

/// The life of a shard's thread.
async fn live(seedling: Seedling, up: Sender<Result<(), (u16, io::Error)>>, alive: Sender<()>) {
    let shard = seedling.shard.0;
    match build(seedling) {
        Ok(pump) => {
            let _ = up.send(Ok(()));
            pump.run().await;
        }
        Err(error) => {
            let _ = up.send(Err((shard, error)));
        }
    }
    drop(alive);
}

fn build(seedling: Seedling) -> io::Result<Pump> {
    let buffers = Buffers::new(BUFFER_POOL);
    let mut ring = Ring::new(cpus::provision(seedling.cpu))?;
    let mut sockets = Sockets::default();
    for fd in seedling.listeners {
        sockets.listen(&mut ring, fd);
    }
    let is_splicing = seedling.settings.send_mode == SendMode::Splice;
    let lanes = Lanes::detect();
    let config = EngineConfig {
        shard: seedling.shard,
        shard_count: seedling.links.len(),
        settings: seedling.settings,
        directory: seedling.directory,
        pool: buffers.clone(),
        lanes,
        outwork_len_min: OUTWORK_LEN_MIN,
        seed: seedling.seed,
    };
    let mut engine = Engine::new(config, seedling.clock.now());
    let left_out = lanes.left_out();
    if !left_out.is_empty() {
        engine.report(AlertKind::HashingFellBack { left_out });
    }
    if seedling.shard.0 == 0 {
        for address in seedling.addresses {
            engine.report(AlertKind::Listening { address });
        }
    }
    if is_splicing {
        match Splicer::open() {
            Ok(splicer) => sockets.set_splicer(splicer),
            Err(message) => engine.report(AlertKind::SendingFellBack { message }),
        }
    }
    let bell = Arc::clone(seedling.inbox.bell());
    let udp = Udp::open(&mut ring);
    let window_max = WINDOW_MAX / seedling.links.len().max(1);
    let file_limits = (seedling.open_file_max, window_max);
    Pump::new(Parts {
        shard: seedling.shard,
        engine,
        sockets,
        udp,
        ring,
        store: Store::new(seedling.blocking, buffers, bell, file_limits),
        inbox: seedling.inbox,
        links: seedling.links,
        http: seedling.http,
        alerts: seedling.alerts,
        stats: seedling.stats,
        clock: seedling.clock,
    })
}

fn pools(config: &ShardsConfig) -> Result<(Arc<HttpPool>, Arc<blocking::Pool>), StartError> {
    let roots = config.tracker_ca.as_ref().map(fs::read).transpose();
    let roots = roots.map_err(|error| StartError::Roots { message: error.to_string() })?;
    let http = HttpPool::start(&PoolConfig {
        user_agent: config.settings.user_agent.clone(),
        allow_private: config.settings.allow_private_trackers,
        extra_roots: roots,
        ..PoolConfig::default()
    })
    .map_err(|error| StartError::Roots { message: error.to_string() })?;
    let blocking = blocking::Pool::start("files", BLOCKING_THREADS, BLOCKING_DEPTH)
        .map_err(|source| StartError::System { what: "a thread", source })?;
    Ok((Arc::new(http), blocking))
}

/// A random number from the system's randomness, as the standard library keys its maps with it.
fn chance() -> u64 {
    RandomState::new().hash_one(0)
}

/// One shard's share of what the session allows itself.
fn share(settings: &Settings, shard_count: usize, listening: &[SocketAddr]) -> Settings {
    let count = shard_count as u64;
    let bound_port = listening.first().map_or(0, SocketAddr::port);
    Settings {
        connections_max: (connection_max(settings) / shard_count as u32).max(1),
        assembly_budget: settings.assembly_budget / count,
        read_budget: settings.read_budget / count,
        announce_port: match settings.announce_port {
            0 => bound_port,
            given => given,
        },
        ..settings.clone()
    }
}

/// Connections that descriptors allow: a quarter of those is left for files and the rest.
fn connection_max(settings: &Settings) -> u32 {
    let affordable = preflight::descriptor_max() / 4 * 3;
    settings.connections_max.min(u32::try_from(affordable).unwrap_or(u32::MAX))
}

/// Half of the descriptors that connections leave, shared by the shards.
fn open_file_max(shard_count: usize, settings: &Settings) -> usize {
    let rest = preflight::descriptor_max().saturating_sub(u64::from(connection_max(settings)));
    let share = rest / 2 / shard_count as u64;
    share.clamp(16, 4096) as usize
}

#[cfg(test)]
mod tests;
