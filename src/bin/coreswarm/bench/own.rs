//! Sessions of our own, for the benches that measure nobody else's engine.

use std::fs;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use coreswarm::AddTorrent;
use coreswarm::AlertKind;
use coreswarm::Alerts;
use coreswarm::Session;
use coreswarm::Settings;
use coreswarm::Torrent;
use coreswarm::read_torrent_file;
use rustix::thread::CpuSet;
use rustix::thread::sched_getaffinity;
use rustix::thread::sched_setaffinity;

use crate::bench::args_own::PlaceArgs;
use crate::bench::make;
use crate::bench::process::ProcessTree;
use crate::bench::process::Snapshot;
use crate::clock::now;
use crate::demo::place::Place;
use crate::start;

/// What a torrent waits for may take so long.
const PATIENCE: Duration = Duration::from_secs(600);
/// Room beside the payload: directories, rounding of blocks.
const SPARE: u64 = 16 << 20;

/// Payloads of pseudo-random bytes and their torrents; gone when it is dropped.
pub(crate) struct Payload {
    place: Place,
}

impl Payload {
    /// `count` payloads of `size` bytes, with room for `copies` of them beside.
    pub(crate) fn make(
        place: &PlaceArgs,
        (count, size, piece_length): (u32, u64, u64),
        copies: u64,
    ) -> Result<Payload> {
        let needed = size.saturating_mul(copies + 1).saturating_mul(count.into());
        let place = Place::make(place.directory.as_deref(), needed.saturating_add(SPARE))?;
        make::write(place.path(), size, piece_length, Some(count.into()))?;
        Ok(Payload { place })
    }

    pub(crate) fn torrent(&self, number: u32) -> Result<Arc<Torrent>> {
        Ok(Arc::new(Torrent::parse(&read_torrent_file(self.torrent_path(number))?)?))
    }

    pub(crate) fn torrent_path(&self, number: u32) -> PathBuf {
        self.place.path().join(format!("torrents/load-{number:04}.torrent"))
    }

    /// What holds the files.
    pub(crate) fn data(&self) -> PathBuf {
        self.place.path().join("data")
    }

    /// An empty directory of this name, for a download.
    pub(crate) fn target(&self, name: &str) -> Result<PathBuf> {
        let path = self.place.path().join(name);
        fs::create_dir(&path).with_context(|| format!("cannot make {path:?}"))?;
        Ok(path)
    }
}

/// A session that listens on a free port of `ip`, with a slot for everybody.
pub(crate) fn session(shards: Option<usize>, ip: Ipv4Addr) -> Result<Session> {
    let mut settings = Settings::default();
    settings.upload_slots_max = settings.connections_per_torrent_max;
    let address = SocketAddr::new(IpAddr::V4(ip), 0);
    start::start(Session::builder().settings(settings).listen([address]), shards)
}

pub(crate) fn add(torrent: &Arc<Torrent>, directory: &Path) -> AddTorrent {
    AddTorrent::from_torrent(Arc::clone(torrent)).directory(directory)
}

/// Counts the torrents of a session that were checked.
pub(crate) struct Checks {
    alerts: Alerts,
    torrents: u32,
    /// Pieces that they have.
    pub(crate) have: u64,
    /// Pieces that there are.
    pub(crate) all: u64,
}

impl Checks {
    pub(crate) fn of(session: &Session) -> Checks {
        Checks { alerts: session.alerts(), torrents: 0, have: 0, all: 0 }
    }

    /// Takes what has come.
    pub(crate) fn look(&mut self) -> Result<()> {
        while let Some(alert) = self.alerts.try_next() {
            self.take(alert.kind)?;
        }
        Ok(())
    }

    /// Until so many were checked since the beginning.
    pub(crate) fn wait(&mut self, count: u32) -> Result<()> {
        let until = now() + PATIENCE;
        while self.torrents < count {
            let left = until.saturating_duration_since(now());
            let Some(alert) = self.alerts.next(left) else {
                let (checked, seconds) = (self.torrents, PATIENCE.as_secs());
                bail!("expected {count} torrents to be checked within {seconds} s, {checked} were");
            };
            self.take(alert.kind)?;
        }
        Ok(())
    }

    fn take(&mut self, kind: AlertKind) -> Result<()> {
        match kind {
            AlertKind::Checked { have_count, piece_count } => {
                self.torrents += 1;
                self.have += u64::from(have_count);
                self.all += u64::from(piece_count);
            }
            AlertKind::Error { message } => bail!("{message}"),
            AlertKind::Lost { .. } => bail!("alerts were lost: what was checked is not known"),
            _ => {}
        }
        Ok(())
    }
}

/// CPU time of this process; a difference of two is what happened in between.
pub(crate) fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// This process, as it is now.
pub(crate) fn snapshot() -> Result<Snapshot> {
    Ok(ProcessTree::of(std::process::id())?.snapshot())
}

/// Reads files, so that the page cache has them.
pub(crate) fn warm(torrent: &Torrent, directory: &Path) -> Result<()> {
    for file in torrent.files().iter().filter(|file| file.is_on_disk()) {
        let path = directory.join(file.path());
        let mut file = fs::File::open(&path).with_context(|| format!("cannot read {path:?}"))?;
        std::io::copy(&mut file, &mut std::io::sink())?;
    }
    Ok(())
}

/// The cores that the process may use, in order.
pub(crate) fn cores() -> Result<Vec<usize>> {
    let mask = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| mask.is_set(*core)).collect())
}

/// Does `what` with this thread, and those that it starts meanwhile, on these cores alone.
pub(crate) fn on_cores<T>(cores: &[usize], what: impl FnOnce() -> T) -> Result<T> {
    let before = sched_getaffinity(None)?;
    let mut mask = CpuSet::new();
    cores.iter().for_each(|core| mask.set(*core));
    sched_setaffinity(None, &mask)?;
    let result = what();
    sched_setaffinity(None, &before)?;
    Ok(result)
}

/// Seconds since.
pub(crate) fn seconds_since(began: Instant) -> f64 {
    now().duration_since(began).as_secs_f64()
}

/// Nothing happens.
#[expect(clippy::disallowed_methods, reason = "a measurement of nothing happening")]
pub(crate) fn hold(time: Duration) {
    std::thread::sleep(time);
}
