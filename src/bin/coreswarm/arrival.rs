//! What happens when what a torrent lacked arrives, as the metadata of a magnet link: it is told,
//! and saved if asked to.

use std::path::Path;

use coreswarm::TorrentHandle;

use crate::report::Report;
use crate::write_file::write_file;

/// Looked at until there is nothing left to do.
pub(crate) struct Arrival<'a> {
    save_to: Option<&'a Path>,
    is_told: bool,
}

impl<'a> Arrival<'a> {
    /// Of a torrent that was known from the start, and saved.
    pub(crate) fn over() -> Arrival<'a> {
        Arrival { save_to: None, is_told: true }
    }

    /// Of a magnet link whose .torrent file goes to `save_to`.
    pub(crate) fn awaited(save_to: Option<&'a Path>) -> Arrival<'a> {
        Arrival { save_to, is_told: false }
    }

    /// Of a .torrent file without all of its piece layers; with them, it goes to `save_to`.
    pub(crate) fn of_layers(save_to: Option<&'a Path>) -> Arrival<'a> {
        Arrival { save_to, is_told: true }
    }

    /// Tells what the torrent is, and saves it as soon as all of it is known: with v2, the piece
    /// layers come after the metadata.
    pub(crate) fn look(&mut self, handle: &TorrentHandle, report: &Report) -> anyhow::Result<()> {
        if self.is_told && self.save_to.is_none() {
            return Ok(());
        }
        let Some(torrent) = handle.torrent() else { return Ok(()) };
        if !self.is_told {
            self.is_told = true;
            report.metadata(&torrent)?;
        }
        if let Some(path) = self.save_to
            && let Some(bytes) = torrent.to_torrent_file()
        {
            write_file(path, &bytes)?;
            self.save_to = None;
        }
        Ok(())
    }

    /// Where the .torrent file should have gone, if it has not.
    pub(crate) fn unsaved(&self) -> Option<&'a Path> {
        self.save_to
    }
}
