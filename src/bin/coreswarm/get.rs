//! `get`: download one torrent, and seed it afterwards if asked to.

use std::time::Instant;

use anyhow::bail;
use coreswarm::AddTorrent;
use coreswarm::AlertKind;
use coreswarm::Alerts;
use coreswarm::Allocation;
use coreswarm::TorrentHandle;
use coreswarm::TorrentState;
use coreswarm::TorrentStats;

use crate::args::GetArgs;
use crate::clock::now;
use crate::failure::EXIT_ERROR;
use crate::failure::EXIT_STORAGE;
use crate::failure::Failure;
use crate::look;
use crate::look::STATS_INTERVAL;
use crate::report::Report;
use crate::select;
use crate::signals::StopFlag;
use crate::source;
use crate::source::Found;
use crate::source::Means;
use crate::start;
use crate::write_file::write_file;

pub(crate) fn get(args: &GetArgs) -> anyhow::Result<()> {
    let stop = StopFlag::install()?;
    let add = addition(args)?;
    let (name, total) = (add.torrent().name().to_owned(), add.torrent().total_length());
    let is_lonely = add.torrent().trackers().is_empty() && args.session.peer.is_empty();
    let session = start::session(&args.session)?;
    let report = Report::new(args.output_mode, &name, total);
    let alerts = session.alerts();
    let handle = session.add(add)?;
    report.listening(session.listen_addresses())?;
    if is_lonely {
        report.note("no tracker and no --peer: waiting for peers to connect to us");
    }
    let mut download = Download::new(args, report, alerts, handle);
    let result = download.run(&stop);
    download.report.finish();
    let ended = start::shutdown(session);
    result.and(ended)
}

fn addition(args: &GetArgs) -> anyhow::Result<AddTorrent> {
    let session = &args.session;
    let means = Means {
        tracker_ca: session.tracker_ca.as_deref(),
        allow_private: session.allow_private_trackers,
        ..Means::new(args.limit)
    };
    let add = match source::find(&args.source, means)? {
        Found::File(file) => {
            if let Some(path) = &args.save_torrent {
                write_file(path, &file.bytes)?;
            }
            AddTorrent::from_torrent(file.torrent)
        }
        Found::Magnet(_) if args.save_torrent.is_some() => {
            bail!("expected a .torrent file or the URL of one to save, got a magnet link")
        }
        Found::Magnet(magnet) => AddTorrent::from_magnet(*magnet),
    };
    let allocation = if args.sparse { Allocation::Sparse } else { Allocation::Full };
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
        .allocation(allocation))
}

struct Download<'a> {
    args: &'a GetArgs,
    report: Report,
    alerts: Alerts,
    handle: TorrentHandle,
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
        alerts: Alerts,
        handle: TorrentHandle,
    ) -> Download<'a> {
        let started = now();
        Download {
            args,
            report,
            alerts,
            handle,
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
            self.report.bar(&stats);
            if now() >= self.next_stats {
                self.next_stats = now() + STATS_INTERVAL;
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
