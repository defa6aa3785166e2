//! `get`: download one torrent, and seed it afterwards if asked to.

use std::time::Instant;

use anyhow::bail;
use coreswarm::AddTorrent;
use coreswarm::AlertKind;
use coreswarm::Alerts;
use coreswarm::Allocation;
use coreswarm::Session;
use coreswarm::TorrentHandle;
use coreswarm::TorrentState;
use coreswarm::TorrentStats;
use coreswarm::WriteMode;

use crate::args::GetArgs;
use crate::arrival::Arrival;
use crate::clock::now;
use crate::failure::EXIT_ERROR;
use crate::failure::EXIT_STORAGE;
use crate::failure::Failure;
use crate::look;
use crate::look::STATS_INTERVAL;
use crate::report::Report;
use crate::select;
use crate::select::Pick;
use crate::signals::StopFlag;
use crate::source;
use crate::source::Found;
use crate::source::Means;
use crate::start;
use crate::write_file::write_file;

pub(crate) fn get(args: &GetArgs) -> anyhow::Result<()> {
    let stop = StopFlag::install()?;
    let found = found(args)?;
    let is_lonely = args.session.peer.is_empty() && names_nobody(&found);
    let arrival = match &found {
        Found::File(file) if file.torrent.has_piece_layers() => Arrival::over(),
        Found::File(_) => Arrival::of_layers(args.save_torrent.as_deref()),
        Found::Magnet(_) => Arrival::awaited(args.save_torrent.as_deref()),
    };
    let add = addition(args, found)?;
    let (name, total) = (add.torrent().name().to_owned(), add.torrent().total_length());
    let session = start::session(&args.session)?;
    let report = Report::new(args.output_mode, &name, total);
    let handle = session.add(add)?;
    report.listening(session.listen_addresses())?;
    if is_lonely {
        report.note("no tracker and no --peer: waiting for peers to connect to us");
    }
    let mut download = Download::new(args, report, (&session, handle), arrival);
    let result = download.run(&stop);
    download.report.finish();
    let result = result.and(download.report.last_shards(&session));
    let ended = start::shutdown(session);
    result.and(ended)
}

/// What is to be downloaded; a .torrent file that is whole is saved if asked to.
fn found(args: &GetArgs) -> anyhow::Result<Found> {
    let session = &args.session;
    let means = Means {
        tracker_ca: session.tracker_ca.as_deref(),
        allow_private: session.allow_private_trackers,
        ..Means::new(args.limit)
    };
    let found = source::find(&args.source, means)?;
    if let (Found::File(file), Some(path)) = (&found, &args.save_torrent)
        && file.torrent.has_piece_layers()
    {
        write_file(path, &file.bytes)?;
    }
    Ok(found)
}

/// Whether peers can only come to us.
fn names_nobody(found: &Found) -> bool {
    match found {
        Found::File(file) => file.torrent.trackers().is_empty(),
        Found::Magnet(magnet) => magnet.trackers.is_empty() && magnet.peers.is_empty(),
    }
}

fn addition(args: &GetArgs, found: Found) -> anyhow::Result<AddTorrent> {
    let has_names = args.select.iter().any(|pick| matches!(pick, Pick::Name(_)));
    let add = match found {
        Found::File(file) => AddTorrent::from_torrent(file.torrent),
        Found::Magnet(_) if has_names => bail!(
            "expected file numbers for --select, got names; what a magnet link leads to has no \
             names yet"
        ),
        Found::Magnet(magnet) => AddTorrent::from_magnet(*magnet),
    };
    let allocation = if args.sparse { Allocation::Sparse } else { Allocation::Full };
    let write_mode = match (args.direct, args.cached) {
        (true, _) => WriteMode::Direct,
        (false, true) => WriteMode::Cached,
        (false, false) => WriteMode::Auto,
    };
    let add = match args.select.is_empty() {
        true => add,
        false => {
            let files = select::resolve(&args.select, add.torrent().files())?;
            add.select(files)
        }
    };
    Ok(add
        .directory(&args.output)
        .peers(args.session.peer.iter().copied())
        .sequential(args.sequential)
        .allocation(allocation)
        .write_mode(write_mode))
}

struct Download<'a> {
    args: &'a GetArgs,
    report: Report,
    session: &'a Session,
    alerts: Alerts,
    handle: TorrentHandle,
    arrival: Arrival<'a>,
    started: Instant,
    finished: Option<Instant>,
    next_stats: Instant,
    /// The last storage error, which decides the exit code.
    has_storage_error: bool,
    error: Option<String>,
}

impl<'a> Download<'a> {
    fn new(
        args: &'a GetArgs,
        report: Report,
        (session, handle): (&'a Session, TorrentHandle),
        arrival: Arrival<'a>,
    ) -> Download<'a> {
        let started = now();
        Download {
            args,
            report,
            session,
            alerts: session.alerts(),
            handle,
            arrival,
            started,
            finished: None,
            next_stats: started,
            has_storage_error: false,
            error: None,
        }
    }

    /// Until it is done, has failed, or was told to stop.
    fn run(&mut self, stop: &StopFlag) -> anyhow::Result<()> {
        while !stop.is_raised() {
            self.read_alerts()?;
            let stats = self.handle.stats();
            self.arrival.look(&self.handle, &self.report)?;
            self.report.bar(&stats);
            if now() >= self.next_stats {
                self.next_stats = now() + STATS_INTERVAL;
                self.report.shards(self.session)?;
                self.report.stats(&stats)?;
            }
            match stats.state {
                TorrentState::Error => return Err(self.failure().into()),
                TorrentState::Seeding if self.is_done(&stats)? => return Ok(()),
                _ => {}
            }
        }
        self.report.note("stopping");
        Ok(())
    }

    fn read_alerts(&mut self) -> anyhow::Result<()> {
        for alert in look::news(&self.alerts) {
            match &alert.kind {
                // Told once, at the end.
                AlertKind::Error { message } => self.error = Some(message.clone()),
                AlertKind::Storage(_) => self.has_storage_error = true,
                _ => self.report.alert(&alert)?,
            }
        }
        Ok(())
    }

    fn failure(&self) -> Failure {
        let told = self.error.clone().or_else(|| self.handle.status().ok()?.error);
        let message = told.unwrap_or_else(|| "the torrent stopped by itself; see -v".to_owned());
        let exit = if self.has_storage_error { EXIT_STORAGE } else { EXIT_ERROR };
        Failure::new(exit, message)
    }

    /// Everything is there: whether enough was seeded, too.
    fn is_done(&mut self, stats: &TorrentStats) -> anyhow::Result<bool> {
        let args = self.args;
        let wants_seeding = args.seed_ratio.is_some() || args.seed_time.is_some();
        let Some(finished) = self.finished else {
            self.finished = Some(now());
            self.report.finished(stats, self.started.elapsed().as_secs_f64())?;
            if let Some(path) = self.arrival.unsaved() {
                let why = "no peer had all of its piece layers";
                self.report.error(None, &format!("{path:?} was not written: {why}"))?;
            }
            if wants_seeding {
                self.report.seeding(&self.handle.name(), stats)?;
            }
            return Ok(!wants_seeding);
        };
        let enough_time = args.seed_time.is_some_and(|time| now().duration_since(finished) >= time);
        let sent = stats.uploaded as f64;
        let enough_sent =
            args.seed_ratio.is_some_and(|ratio| sent >= ratio * stats.total_bytes as f64);
        Ok(enough_time || enough_sent)
    }
}
