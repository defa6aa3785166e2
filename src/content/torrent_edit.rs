//! Changing what a .torrent file says about its torrent, byte for byte where nothing was asked for.

use crate::base::info_hashes::InfoHashes;
use crate::base::limits::TORRENT_FILE_LEN_MAX;
use crate::base::limits::TRACKER_MAX;
use crate::base::limits::WEB_SEED_MAX;
use crate::codec::bencode::Document;
use crate::codec::bencode::Value;
use crate::codec::link::is_link;
use crate::codec::metainfo::LIMITS;
use crate::content::pairs::Pairs;
use crate::content::refusal::TorrentError;
use crate::content::torrent::Torrent;

/// What to change in a .torrent file: collect it, then [`TorrentEdit::apply`] it to the bytes of
/// one. Does no I/O.
///
/// Trackers, web seeds and the comment stand outside of `info`: changing them keeps the info hash.
/// `source` and `private` stand inside: changing them makes another torrent, with other peers.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TorrentEdit {
    trackers: Edit<Vec<Vec<String>>>,
    web_seeds: Edit<Vec<String>>,
    comment: Option<String>,
    source: Option<String>,
    is_private: Option<bool>,
    file_len_max: Option<u64>,
}

/// A list that may be set anew first; then URLs leave, then others come.
#[derive(Clone, Debug, Default)]
struct Edit<T> {
    set: Option<T>,
    removed: Vec<String>,
    added: Vec<String>,
}

impl<T> Edit<T> {
    fn is_wanted(&self) -> bool {
        self.set.is_some() || !self.removed.is_empty() || !self.added.is_empty()
    }
}

/// A .torrent file after an edit.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct EditedTorrent {
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// The torrent's names before.
    pub before: InfoHashes,
    /// The torrent's names now; others than before when `source` or `private` changed.
    pub after: InfoHashes,
}

/// Why a .torrent file cannot be edited.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The bytes are no torrent, or would be none after the edit.
    #[error(transparent)]
    Torrent(#[from] TorrentError),
    /// Text that is no URL.
    #[error("expected a URL like `udp://host:port/` without spaces, got `{got}`")]
    Url {
        /// What was given.
        got: String,
    },
    /// A tracker or web seed to be removed that is not there.
    #[error("expected the {what} `{url}` in the file, found no such; `coreswarm show` lists them")]
    NotThere {
        /// `tracker` or `web seed`.
        what: &'static str,
        /// What was to be removed.
        url: String,
    },
    /// More URLs than a torrent keeps.
    #[error("expected at most {max} URLs, got more {what}s; remove some")]
    TooMany {
        /// `tracker` or `web seed`.
        what: &'static str,
        /// The most that are kept.
        max: usize,
    },
    /// The encoder refused.
    #[error("the .torrent file could not be encoded: {0}")]
    Encode(String),
}

impl From<bendy::encoding::Error> for EditError {
    fn from(error: bendy::encoding::Error) -> EditError {
        EditError::Encode(error.to_string())
    }
}

impl TorrentEdit {
    /// Nothing to change yet.
    pub fn new() -> TorrentEdit {
        TorrentEdit::default()
    }

    /// Sets all trackers, in tiers (BEP 12); none leaves the torrent to other sources of peers.
    pub fn trackers(mut self, tiers: Vec<Vec<String>>) -> TorrentEdit {
        self.trackers.set = Some(tiers);
        self
    }

    /// Appends a tracker as a tier of its own, unless it is there.
    pub fn add_tracker(mut self, url: impl Into<String>) -> TorrentEdit {
        self.trackers.added.push(url.into());
        self
    }

    /// Removes a tracker; it must be there.
    pub fn remove_tracker(mut self, url: impl Into<String>) -> TorrentEdit {
        self.trackers.removed.push(url.into());
        self
    }

    /// Sets all web seeds (BEP 19).
    pub fn web_seeds(mut self, urls: Vec<String>) -> TorrentEdit {
        self.web_seeds.set = Some(urls);
        self
    }

    /// Appends a web seed, unless it is there.
    pub fn add_web_seed(mut self, url: impl Into<String>) -> TorrentEdit {
        self.web_seeds.added.push(url.into());
        self
    }

    /// Removes a web seed; it must be there.
    pub fn remove_web_seed(mut self, url: impl Into<String>) -> TorrentEdit {
        self.web_seeds.removed.push(url.into());
        self
    }

    /// Sets the comment; an empty one removes it.
    pub fn comment(mut self, text: impl Into<String>) -> TorrentEdit {
        self.comment = Some(text.into());
        self
    }

    /// Sets `source`, which keeps the same files apart on different trackers; an empty one removes
    /// it. Changes the info hash, unless the file says so already.
    pub fn source(mut self, text: impl Into<String>) -> TorrentEdit {
        self.source = Some(text.into());
        self
    }

    /// Sets whether peers may come from trackers only (BEP 27). Changes the info hash, unless the
    /// file says so already.
    pub fn private(mut self, is_private: bool) -> TorrentEdit {
        self.is_private = Some(is_private);
        self
    }

    /// Bytes of the largest file that is taken; default 64 MiB.
    pub fn file_len_max(mut self, max: u64) -> TorrentEdit {
        self.file_len_max = Some(max);
        self
    }

    /// The file with the edit. Values that the edit does not name keep their bytes, unknown ones
    /// too; keys of a dictionary that changes are sorted.
    ///
    /// # Errors
    /// A file that is no torrent, URLs that are none or are not there to be removed.
    pub fn apply(&self, file: &[u8]) -> Result<EditedTorrent, EditError> {
        let file = file.trim_ascii_end();
        let max = self.file_len_max.unwrap_or(TORRENT_FILE_LEN_MAX);
        let torrent = Torrent::parse_with(file, max)?;
        let document = Document::parse(file, LIMITS).map_err(TorrentError::from)?;
        let mut root = Pairs::read(document.root());
        if self.trackers.is_wanted() {
            self.set_trackers(&mut root, &torrent)?;
        }
        if self.web_seeds.is_wanted() {
            let urls = edited_list(&self.web_seeds, torrent.url_list(), "web seed", WEB_SEED_MAX)?;
            root.set(b"url-list", (!urls.is_empty()).then_some(urls))?;
        }
        if let Some(comment) = &self.comment {
            root.set(b"comment", (!comment.is_empty()).then_some(comment))?;
            // Readers prefer this one where both are there.
            root.set(b"comment.utf-8", None::<&str>)?;
        }
        if let Some(info) = document.root().get(b"info") {
            self.edit_info(&mut root, info, &torrent)?;
        }
        let bytes = root.write();
        let after = Torrent::parse_with(&bytes, max)?.info_hashes();
        Ok(EditedTorrent { bytes, before: torrent.info_hashes(), after })
    }

    fn set_trackers(&self, root: &mut Pairs<'_>, torrent: &Torrent) -> Result<(), EditError> {
        let tiers = edited_tiers(&self.trackers, torrent.trackers())?;
        root.set(b"announce", tiers.iter().flatten().next())?;
        let is_list = tiers.iter().flatten().count() > 1;
        Ok(root.set(b"announce-list", is_list.then_some(&tiers))?)
    }

    /// What stands already as it should is not touched, so that the info hash stays.
    fn edit_info(
        &self,
        root: &mut Pairs<'_>,
        info: Value<'_>,
        torrent: &Torrent,
    ) -> Result<(), EditError> {
        let stands = info.get(b"source").and_then(|value| value.as_bytes()).unwrap_or_default();
        let source = self.source.as_ref().filter(|source| source.as_bytes() != stands);
        let private = self.is_private.filter(|wanted| *wanted != torrent.is_private());
        if source.is_none() && private.is_none() {
            return Ok(());
        }
        let mut pairs = Pairs::read(info);
        if let Some(source) = source {
            pairs.set(b"source", (!source.is_empty()).then_some(source))?;
        }
        if let Some(is_private) = private {
            pairs.set(b"private", is_private.then_some(1))?;
        }
        root.put(b"info", Some(pairs.write()));
        Ok(())
    }
}

fn edited_tiers(
    edit: &Edit<Vec<Vec<String>>>,
    stands: &[Vec<String>],
) -> Result<Vec<Vec<String>>, EditError> {
    let mut tiers = edit.set.clone().unwrap_or_else(|| stands.to_vec());
    for url in &edit.removed {
        let count = tiers.iter().flatten().count();
        tiers.iter_mut().for_each(|tier| tier.retain(|there| there != url));
        was_there("tracker", url, count > tiers.iter().flatten().count())?;
    }
    for url in &edit.added {
        if !tiers.iter().flatten().any(|there| there == url) {
            tiers.push(vec![url.clone()]);
        }
    }
    tiers.retain(|tier| !tier.is_empty());
    check_urls("tracker", tiers.iter().flatten(), TRACKER_MAX)?;
    Ok(tiers)
}

fn edited_list(
    edit: &Edit<Vec<String>>,
    stands: &[String],
    what: &'static str,
    max: usize,
) -> Result<Vec<String>, EditError> {
    let mut urls = edit.set.clone().unwrap_or_else(|| stands.to_vec());
    for url in &edit.removed {
        let count = urls.len();
        urls.retain(|there| there != url);
        was_there(what, url, count > urls.len())?;
    }
    for url in &edit.added {
        if !urls.contains(url) {
            urls.push(url.clone());
        }
    }
    check_urls(what, urls.iter(), max)?;
    Ok(urls)
}

fn was_there(what: &'static str, url: &str, is_there: bool) -> Result<(), EditError> {
    if is_there { Ok(()) } else { Err(EditError::NotThere { what, url: url.to_owned() }) }
}

/// What readers would leave out is refused here, ours included.
fn check_urls<'a>(
    what: &'static str,
    urls: impl Iterator<Item = &'a String>,
    max: usize,
) -> Result<(), EditError> {
    let mut count = 0;
    for url in urls {
        count += 1;
        let has_scheme = url.split_once("://").is_some_and(|(scheme, _)| !scheme.is_empty());
        if !is_link(url) || !has_scheme {
            return Err(EditError::Url { got: url.clone() });
        }
    }
    if count > max { Err(EditError::TooMany { what, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
