//! What the user sees of a running session: a bar and lines, or JSON events.

use std::net::SocketAddr;

use coreswarm::Alert;
use coreswarm::AlertKind;
use coreswarm::Session;
use coreswarm::Torrent;
use coreswarm::TorrentStats;

use crate::args::OutputArgs;
use crate::escape::escape;
use crate::json;
use crate::progress::Progress;
use crate::tell;
use crate::units::bytes;

/// Where news goes.
pub(crate) struct Report {
    mode: OutputArgs,
    progress: Progress,
}

impl Report {
    /// With a bar of `total_bytes` for `name`, unless JSON is wanted.
    pub(crate) fn new(mode: OutputArgs, name: &str, total_bytes: u64) -> Report {
        let progress =
            if mode.json { Progress::hidden() } else { Progress::new(name, total_bytes) };
        Report { mode, progress }
    }

    pub(crate) fn listening(&self, addresses: &[SocketAddr]) -> anyhow::Result<()> {
        for address in addresses {
            if self.mode.json {
                json::print(&json::listening(address))?;
            } else if self.mode.verbose {
                self.progress.print(&format!("accepting peers at {address}"));
            }
        }
        Ok(())
    }

    pub(crate) fn stats(&self, stats: &TorrentStats) -> anyhow::Result<()> {
        if self.mode.json {
            json::print(&json::stats(stats))?;
        }
        Ok(())
    }

    /// The figures of the shards, as published lately.
    pub(crate) fn shards(&self, session: &Session) -> anyhow::Result<()> {
        if self.mode.json {
            json::print(&json::shards(session.stats().iter().map(|stats| &**stats)))?;
        }
        Ok(())
    }

    /// What is worth telling of the shards at the end.
    pub(crate) fn last_shards(&self, session: &Session) -> anyhow::Result<()> {
        self.shards(session)?;
        for (shard, stats) in session.stats().iter().enumerate() {
            let (turns, at) = (&stats.turns, |share| stats.turns.quantile(share));
            if self.mode.verbose && !self.mode.json {
                self.progress.print(&format!(
                    "shard {shard}: {} turns, half of them within {:?}, 99.9 % within {:?}, the \
                     longest took {:?}",
                    turns.count(),
                    at(0.5),
                    at(0.999),
                    turns.max()
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn bar(&self, stats: &TorrentStats) {
        self.progress.show(stats);
    }

    pub(crate) fn bar_text(&self, done: u64, text: String) {
        self.progress.show_text(done, text);
    }

    /// What a magnet link leads to is known.
    pub(crate) fn metadata(&self, torrent: &Torrent) -> anyhow::Result<()> {
        if self.mode.json {
            json::print(&json::metadata(torrent))?;
        } else {
            let (name, total) = (escape(torrent.name()), bytes(torrent.total_length()));
            self.progress.rename(torrent.name());
            self.progress.print(&format!("metadata received: {name}, {total}"));
        }
        Ok(())
    }

    pub(crate) fn finished(&self, stats: &TorrentStats, seconds: f64) -> anyhow::Result<()> {
        if self.mode.json {
            json::print(&json::finished(stats, seconds))?;
        } else {
            let (total, fetched) = (bytes(stats.wanted_bytes), bytes(stats.downloaded));
            let text = format!("finished: {total}, {fetched} of it fetched in {seconds:.1} s");
            self.progress.print(&text);
        }
        Ok(())
    }

    pub(crate) fn seeding(&self, name: &str, stats: &TorrentStats) -> anyhow::Result<()> {
        if self.mode.json {
            json::print(&json::seeding(stats))?;
        } else {
            self.progress.print(&format!("seeding {}", escape(name)));
        }
        Ok(())
    }

    pub(crate) fn note(&self, text: &str) {
        if !self.mode.json {
            self.progress.print(&escape(text));
        }
    }

    pub(crate) fn alert(&self, alert: &Alert) -> anyhow::Result<()> {
        let is_error = matches!(alert.kind, AlertKind::Error { .. });
        let is_important = tell::is_important(alert);
        if !is_important && !self.mode.verbose {
            return Ok(());
        }
        let torrent = alert.torrent.map(|(_, names)| json::name(&names));
        let text = tell::words(alert);
        match self.mode.json {
            true if is_error => json::print(&json::error(torrent, &text))?,
            true => json::print(&json::alert(torrent, &text))?,
            false => self.progress.print(&escape(&text)),
        }
        Ok(())
    }

    pub(crate) fn error(&self, torrent: Option<String>, text: &str) -> anyhow::Result<()> {
        if self.mode.json {
            json::print(&json::error(torrent, text))?;
        } else {
            self.progress.print(&escape(text));
        }
        Ok(())
    }

    pub(crate) fn finish(&self) {
        self.progress.finish();
    }
}
