//! `demo`: a payload, its torrent, a tracker, one seed and two downloads, all in this process.

pub(crate) mod compare;
mod payload;
pub(crate) mod place;
mod tracker;

use std::fs;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
use coreswarm::AddTorrent;
use coreswarm::AlertKind;
use coreswarm::Session;
use coreswarm::Torrent;
use coreswarm::TorrentHandle;
use coreswarm::TorrentState;
use rustix::time::ClockId;

use crate::args::DemoArgs;
use crate::args::OutputArgs;
use crate::clock::now;
use crate::demo::place::Place;
use crate::demo::tracker::Tracker;
use crate::look;
use crate::report::Report;
use crate::signals::StopFlag;
use crate::start;
use crate::units::bytes;
use crate::units::rate;

/// Payload in the seed and in two downloads.
const COPIES: u64 = 3;
/// Room beside the payload: directories, rounding of blocks.
const SPARE: u64 = 16 << 20;

pub(crate) fn demo(args: &DemoArgs) -> anyhow::Result<()> {
    let stop = StopFlag::install()?;
    let demo = Demo::prepare(args, &stop)?;
    demo.run()
}

struct Demo<'a> {
    args: &'a DemoArgs,
    stop: &'a StopFlag,
    deadline: Instant,
    tracker: Tracker,
    torrent: Arc<Torrent>,
    /// Last: what lies in it is deleted after everything else has ended.
    place: Place,
}

/// One session of the demo, and its torrent.
struct Member {
    name: &'static str,
    directory: PathBuf,
    session: Session,
    handle: TorrentHandle,
}

impl<'a> Demo<'a> {
    fn prepare(args: &'a DemoArgs, stop: &'a StopFlag) -> anyhow::Result<Demo<'a>> {
        let needed = args.size.saturating_mul(COPIES).saturating_add(SPARE);
        let place = Place::make(args.directory.as_deref(), needed)?;
        let tracker = Tracker::start()?;
        println!("making a payload of {} in {:?}", bytes(args.size), place.path());
        let made = payload::make(&place.path().join("seed"), args.size, &tracker.url())?;
        fs::write(place.path().join("demo.torrent"), &made)?;
        let torrent = Arc::new(Torrent::parse(&made)?);
        let (count, length) = (torrent.piece_count(), bytes(torrent.piece_length().into()));
        println!("torrent {}: {count} pieces of {length}", torrent.info_hashes());
        Ok(Demo { args, stop, deadline: now() + args.deadline, tracker, torrent, place })
    }

    fn run(&self) -> anyhow::Result<()> {
        println!("tracker at {}", self.tracker.url());
        let seed = self.join("seed")?;
        self.wait(&[&seed], "checking the seed")?;
        self.wait_announced(&seed)?;
        let (started, cpu_before) = (now(), cpu_time());
        let downloads = [self.join("download 1")?, self.join("download 2")?];
        self.wait(&downloads.each_ref(), "downloading")?;
        let (took, cpu) = (started.elapsed(), cpu_time().saturating_sub(cpu_before));
        let uploads = [&seed, &downloads[0], &downloads[1]].map(Member::sent);
        let directories =
            downloads.each_ref().map(|member| (member.name, member.directory.clone()));
        for member in downloads.into_iter().chain([seed]) {
            start::shutdown(member.session)?;
        }
        for (name, directory) in &directories {
            self.verify(name, directory)?;
        }
        self.print_figures(took, cpu, uploads);
        Ok(())
    }

    /// Starts a session on loopback with the demo's torrent in a directory of its own.
    fn join(&self, name: &'static str) -> anyhow::Result<Member> {
        let builder = Session::builder()
            .listen([SocketAddr::from((Ipv4Addr::LOCALHOST, 0))])
            .allow_private_trackers(true);
        let session = start::start(builder, self.args.shards)?;
        let directory = self.place.path().join(name.replace(' ', "-"));
        let add = AddTorrent::from_torrent(Arc::clone(&self.torrent)).directory(&directory);
        let handle = session.add(add)?;
        Ok(Member { name, directory, session, handle })
    }

    /// Until all of them have everything.
    fn wait(&self, members: &[&Member], what: &str) -> anyhow::Result<()> {
        let mode = OutputArgs { json: false, verbose: self.args.verbose };
        let total = self.torrent.total_length() * members.len() as u64;
        let report = Report::new(mode, what, total);
        let started = now();
        while !members.iter().all(|member| member.is_complete()) {
            self.check()?;
            for member in members {
                member.look(&report)?;
            }
            let have: u64 = members.iter().map(|member| member.handle.stats().have_bytes).sum();
            let down: u64 = members.iter().map(|member| member.handle.stats().download_rate).sum();
            report.bar_text(have, format!("{} of {}, {}", bytes(have), bytes(total), rate(down)));
        }
        report.finish();
        println!("{what}: done in {:.2} s", started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Until the tracker knows the seed: downloads that ask earlier would hear of nobody.
    fn wait_announced(&self, seed: &Member) -> anyhow::Result<()> {
        loop {
            self.check()?;
            let trackers = seed.handle.status()?.trackers;
            if trackers.iter().any(|tracker| tracker.last_announce.is_some()) {
                return Ok(());
            }
            look::news(&seed.session.alerts()).take(1).for_each(drop);
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.stop.is_raised() {
            bail!("stopped by a signal before the demo was over");
        }
        if now() >= self.deadline {
            let limit = self.args.deadline.as_secs();
            bail!(
                "expected the demo to end within {limit} s; run it with -v, or a longer --deadline"
            );
        }
        Ok(())
    }

    fn verify(&self, name: &str, directory: &Path) -> anyhow::Result<()> {
        let compared = compare::compare(&self.torrent, &self.place.path().join("seed"), directory)?;
        if compared != self.torrent.total_length() {
            let expected = self.torrent.total_length();
            bail!("expected to compare {expected} bytes of {name}, compared {compared}");
        }
        println!("{name}: verified, {compared} bytes compared");
        Ok(())
    }

    fn print_figures(&self, took: Duration, cpu: Duration, uploads: [u64; 3]) {
        let moved = 2 * self.torrent.total_length();
        let gib = moved as f64 / f64::from(1 << 30);
        let seconds = took.as_secs_f64();
        let cpu = cpu.as_secs_f64();
        println!(
            "moved {} in {seconds:.2} s: {}",
            bytes(moved),
            rate((moved as f64 / seconds) as u64)
        );
        println!(
            "CPU: {cpu:.2} s, {:.2} s per GiB (sending and receiving side together)",
            cpu / gib
        );
        let [seed, first, second] = uploads.map(bytes);
        println!("sent by the seed {seed}, by the downloads {first} and {second}");
    }
}

impl Member {
    fn is_complete(&self) -> bool {
        self.handle.stats().state == TorrentState::Seeding
    }

    fn sent(&self) -> u64 {
        self.handle.stats().uploaded
    }

    /// Reads what happened, for a moment at most; a torrent that stopped ends the demo.
    fn look(&self, report: &Report) -> anyhow::Result<()> {
        let alerts = self.session.alerts();
        for alert in look::news(&alerts) {
            report.alert(&alert)?;
            if let AlertKind::Error { message } = alert.kind {
                bail!("{}: {message}", self.name);
            }
        }
        Ok(())
    }
}

/// CPU time of this process, all threads and the kernel's work for them.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
