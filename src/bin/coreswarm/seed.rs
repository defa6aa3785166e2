//! `seed`: serve torrents whose data is there.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use anyhow::bail;
use coreswarm::AddTorrent;
use coreswarm::AlertKind;
use coreswarm::Session;
use coreswarm::Torrent;
use coreswarm::TorrentHandle;
use coreswarm::TorrentState;
use coreswarm::TorrentStats;

use crate::args::SeedArgs;
use crate::clock::now;
use crate::json;
use crate::look;
use crate::look::STATS_INTERVAL;
use crate::report::Report;
use crate::signals::StopFlag;
use crate::source;
use crate::start;
use crate::units::bytes;
use crate::units::rate;

pub(crate) fn seed(args: &SeedArgs) -> anyhow::Result<()> {
    let stop = StopFlag::install()?;
    let mut additions = Vec::new();
    for file in torrent_files(&args.torrents)? {
        let torrent = source::read_file(&file, args.limit.torrent_file_limit)?.torrent;
        check_layers(&torrent).with_context(|| format!("{file:?}"))?;
        let add = AddTorrent::from_torrent(torrent).directory(&args.directory);
        check_files(&args.directory, &add)?;
        additions.push(add.peers(args.session.peer.iter().copied()));
    }
    let session = start::session(&args.session)?;
    let total = additions.iter().map(|add| add.torrent().total_length()).sum();
    let report = Report::new(args.output_mode, "seeding", total);
    let mut handles = Vec::new();
    for add in additions {
        let name = add.torrent().name().to_owned();
        handles.push(session.add(add).with_context(|| name)?);
    }
    report.listening(session.listen_addresses())?;
    let result = Seeding::new(&session, report, handles).run(&stop);
    let ended = start::shutdown(session);
    result.and(ended)
}

/// The files named, and those ending in `.torrent` of the directories named, in order.
fn torrent_files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).with_context(|| format!("cannot list {path:?}"))?;
        let mut inside = Vec::new();
        for entry in entries {
            let file = entry.with_context(|| format!("cannot list {path:?}"))?.path();
            if file.extension() == Some(OsStr::new("torrent")) && file.is_file() {
                inside.push(file);
            }
        }
        if inside.is_empty() {
            bail!("expected .torrent files in {path:?}, found none; name the files themselves");
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

/// Without its piece layers, nothing on the disk can be checked by v2, and peers may never have
/// them.
fn check_layers(torrent: &Torrent) -> anyhow::Result<()> {
    let count = torrent.missing_layer_count();
    if count > 0 && torrent.info_hashes().v1().is_none() {
        bail!(
            "expected the piece layers of all files (BEP 52), {count} files come without: what is \
             on disk cannot be checked; `coreswarm get` asks peers for them, and keeps them with \
             --save-torrent"
        );
    }
    Ok(())
}

/// Seeding never writes: whatever is missing is an error before anything starts.
fn check_files(directory: &Path, add: &AddTorrent) -> anyhow::Result<()> {
    for file in add.torrent().files().iter().filter(|file| file.is_on_disk()) {
        let path = directory.join(file.path());
        let found = fs::metadata(&path).ok().filter(|found| found.is_file());
        let length = found.map(|found| found.len());
        if length != Some(file.length()) {
            let got = length.map_or("nothing".to_owned(), |length| format!("{length} bytes"));
            bail!(
                "expected {} bytes at {path:?}, got {got}; `coreswarm get` fetches what is missing",
                file.length()
            );
        }
    }
    Ok(())
}

struct Seeding<'a> {
    session: &'a Session,
    report: Report,
    torrents: Vec<Seeded>,
    has_untold: bool,
    /// The figures are not at rest yet.
    is_moving: bool,
    /// See [`traffic`].
    traffic: (u64, u64),
    next_stats: Instant,
}

struct Seeded {
    handle: TorrentHandle,
    is_told: bool,
    /// The figures that were shown last: they are not shown again while they are the newest.
    shown: Option<Arc<TorrentStats>>,
}

impl<'a> Seeding<'a> {
    fn new(session: &'a Session, report: Report, handles: Vec<TorrentHandle>) -> Seeding<'a> {
        let fresh = |handle| Seeded { handle, is_told: false, shown: None };
        let torrents = handles.into_iter().map(fresh).collect();
        Seeding {
            session,
            report,
            torrents,
            has_untold: true,
            is_moving: true,
            traffic: (0, 0),
            next_stats: now(),
        }
    }

    /// Until a signal, or until nothing is left to seed.
    fn run(&mut self, stop: &StopFlag) -> anyhow::Result<()> {
        let alerts = self.session.alerts();
        while !stop.is_raised() {
            for alert in look::news(&alerts) {
                self.is_moving = true;
                self.report.alert(&alert)?;
                let torrent = alert.torrent.map(|(id, _)| id);
                if let AlertKind::Checked { have_count, piece_count } = alert.kind
                    && let Some(id) = torrent.filter(|_| have_count < piece_count)
                {
                    self.drop_torrent(id.as_u64(), have_count, piece_count)?;
                }
            }
            self.look()?;
            let stopped = |seeded: &Seeded| seeded.handle.stats().state == TorrentState::Error;
            if self.torrents.iter().all(stopped) {
                bail!("expected data to seed, none is complete and readable; see the lines above");
            }
        }
        self.report.finish();
        self.report.last_shards(self.session)
    }

    /// Incomplete data: it is taken out before it could fetch what is missing.
    fn drop_torrent(&mut self, id: u64, have: u32, count: u32) -> anyhow::Result<()> {
        let at = self.torrents.iter().position(|seeded| seeded.handle.id().as_u64() == id);
        let Some(seeded) = at.map(|at| self.torrents.remove(at)) else { return Ok(()) };
        let handle = seeded.handle;
        // Gone already is as good.
        let _ = handle.remove();
        let name = handle.name();
        let text = format!(
            "{name}: expected {count} good pieces, got {have}; `coreswarm get` fetches the others"
        );
        self.report.error(Some(json::name(&handle.info_hashes())), &text)
    }

    /// Looks at all figures once a second if anything can have changed, and with every round until
    /// all torrents were told of: thousands that only wait cost next to nothing.
    fn look(&mut self) -> anyhow::Result<()> {
        let is_due = now() >= self.next_stats;
        if !is_due && !self.has_untold {
            return Ok(());
        }
        if is_due {
            self.next_stats = now() + STATS_INTERVAL;
            self.report.shards(self.session)?;
            let traffic = traffic(self.session);
            if std::mem::replace(&mut self.traffic, traffic) == traffic && !self.is_moving {
                return Ok(());
            }
        }
        self.has_untold = false;
        let (mut done, mut sent, mut up, mut peers) = (0u64, 0u64, 0u64, 0u32);
        let mut is_new = false;
        for seeded in &mut self.torrents {
            let stats = seeded.handle.stats();
            if stats.state == TorrentState::Seeding && !seeded.is_told {
                seeded.is_told = true;
                self.report.seeding(&seeded.handle.name(), &stats)?;
            }
            self.has_untold |= !seeded.is_told;
            done += stats.have_bytes;
            sent += stats.uploaded;
            up += stats.upload_rate;
            peers += stats.peer_count;
            if is_due && !seeded.shown.as_ref().is_some_and(|shown| Arc::ptr_eq(shown, &stats)) {
                self.report.stats(&stats)?;
                seeded.shown = Some(stats);
                is_new = true;
            }
        }
        // Rates fall while nothing happens: that is news too.
        self.is_moving = self.has_untold || up > 0 || is_new;
        let (up, sent) = (rate(up), bytes(sent));
        let text = format!("{} torrents, up {up}, {sent} sent, {peers} peers", self.torrents.len());
        self.report.bar_text(done, text);
        Ok(())
    }
}

/// Bytes that went either way and connections, of all torrents together: while they stay the same,
/// so do the figures of each.
fn traffic(session: &Session) -> (u64, u64) {
    session.stats().iter().fold((0, 0), |(bytes, connections), shard| {
        (bytes + shard.downloaded + shard.uploaded, connections + u64::from(shard.connection_count))
    })
}
