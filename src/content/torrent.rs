//! A torrent's immutable description: metainfo that was checked once and is trusted ever after.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::digest::Sha1;
use crate::base::digest::Sha256;
use crate::base::ids::FileIndex;
use crate::base::ids::PieceIndex;
use crate::base::info_hashes::InfoHashes;
use crate::base::limits::PIECE_LEN_MAX;
use crate::base::limits::PIECE_LEN_MIN;
use crate::base::limits::TORRENT_FILE_LEN_MAX;
use crate::base::limits::TRACKER_MAX;
use crate::codec::bencode::BencodeError;
use crate::codec::bencode::Document;
use crate::codec::metainfo;
use crate::codec::metainfo::Content;
use crate::codec::metainfo::Info;
use crate::codec::metainfo::Metainfo;
use crate::codec::metainfo::MetainfoError;
use crate::content::clean_path::PathError;
use crate::content::clean_path::PathSet;
use crate::content::clean_path::clean_element;
use crate::content::files::FileEntry;
use crate::content::files::FileKind;
use crate::content::files::FileList;
use crate::content::layout::Layout;
use crate::content::layout::LayoutError;
use crate::content::piece_roots::PieceRoots;

/// Bytes of a tracker or web seed URL; longer ones are left out. Real ones stay below 500.
const URL_LEN_MAX: usize = 2048;
/// Web seeds kept per torrent; further ones are left out.
const WEB_SEED_MAX: usize = 100;

/// What a torrent is: names, sizes, hashes, trackers. Immutable; share it in an `Arc`.
///
/// Made from a .torrent file by [`Torrent::parse`]. All paths are safe to create below a directory,
/// all sizes agree with each other, and there is one hash for each piece.
#[derive(Clone)]
pub struct Torrent {
    info_hashes: InfoHashes,
    name: String,
    layout: Layout,
    files: FileList,
    /// The raw `info` dictionary; the piece hashes are read out of it.
    info: Arc<[u8]>,
    /// Where in `info` the v1 hashes start; `None` without any.
    hashes_at: Option<usize>,
    roots: PieceRoots,
    is_private: bool,
    trackers: Vec<Vec<String>>,
    url_list: Vec<String>,
    comment: Option<String>,
    created_by: Option<String>,
    creation_date: Option<i64>,
}

/// Bytes that are not a torrent we can use.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TorrentError {
    /// The file is larger than any real one.
    #[error("expected a .torrent file of at most {max} bytes, got {got}")]
    FileTooLong {
        /// Bytes of the file.
        got: u64,
        /// The most we accept.
        max: u64,
    },
    /// The data is not bencoded.
    #[error("not a .torrent file: {0}")]
    Bencode(#[from] BencodeError),
    /// A value is missing or of the wrong type.
    #[error(transparent)]
    Metainfo(#[from] MetainfoError),
    /// A piece length outside 16 KiB to 256 MiB.
    #[error("expected a piece length of {min} to {max} bytes, got {got}; make the torrent anew")]
    PieceLength {
        /// Bytes per piece, as claimed.
        got: u64,
        /// The least we accept.
        min: u32,
        /// The most we accept.
        max: u32,
    },
    /// Sizes that make no piece grid.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Hashes and sizes disagree.
    #[error(
        "expected {expected} piece hashes for the sizes given, got {got}; make the torrent anew"
    )]
    HashCount {
        /// Pieces that sizes and piece length amount to.
        expected: u32,
        /// Hashes in the file.
        got: usize,
    },
    /// A list of files without files.
    #[error("expected at least one file, got an empty list")]
    NoFiles,
    /// The sizes add up to more than 64 bits.
    #[error("expected file sizes that add up to less than 2^64, got more")]
    TotalTooLarge,
    /// Paths without a safe place.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Torrent {
    /// From the bytes of a .torrent file: a v1 torrent, or the v1 part of a hybrid. Does not block.
    /// White space after the data is tolerated, because some tools append a line end.
    pub fn parse(bytes: &[u8]) -> Result<Torrent, TorrentError> {
        let got = bytes.len() as u64;
        if got > TORRENT_FILE_LEN_MAX {
            return Err(TorrentError::FileTooLong { got, max: TORRENT_FILE_LEN_MAX });
        }
        let document = Document::parse(bytes.trim_ascii_end(), metainfo::LIMITS)?;
        Torrent::from_metainfo(&Metainfo::read(document.root())?)
    }

    /// From a raw `info` dictionary alone, as peers send it (BEP 9), and what a magnet link knew
    /// besides. Layers of v2 files are not known: see [`Torrent::missing_layers`].
    pub(crate) fn from_info(
        info: &[u8],
        trackers: &[Vec<String>],
        url_list: &[String],
    ) -> Result<Torrent, TorrentError> {
        let document = Document::parse(info, metainfo::LIMITS)?;
        let metainfo = Metainfo {
            info: Info::read(document.root())?,
            announce: None,
            tiers: trackers.iter().map(|tier| tier.iter().map(String::as_str).collect()).collect(),
            url_list: url_list.iter().map(String::as_str).collect(),
            comment: None,
            created_by: None,
            creation_date: None,
        };
        Torrent::from_metainfo(&metainfo)
    }

    /// What is known of a magnet before its metadata: names and trackers in tiers, no pieces and no
    /// files. Without a name, the first info hash is it.
    pub(crate) fn nameless(
        info_hashes: InfoHashes,
        name: Option<&str>,
        trackers: &[Vec<String>],
    ) -> Torrent {
        let tiers = trackers.iter().map(|tier| tier.iter().map(String::as_str).collect()).collect();
        let name = name.map(|name| clean_element(name.as_bytes()));
        Torrent {
            info_hashes,
            name: name.unwrap_or_else(|| info_hashes.primary().to_string()),
            layout: Layout::default(),
            files: FileList::default(),
            info: Arc::default(),
            hashes_at: None,
            roots: PieceRoots::default(),
            is_private: false,
            trackers: read_trackers(tiers, None),
            url_list: Vec::new(),
            comment: None,
            created_by: None,
            creation_date: None,
        }
    }

    pub(crate) fn from_metainfo(metainfo: &Metainfo<'_>) -> Result<Torrent, TorrentError> {
        let info = &metainfo.info;
        let name = clean_element(info.name);
        let files = read_files(&name, &info.content)?;
        let layout = read_layout(info, files.total())?;
        Ok(Torrent {
            info_hashes: InfoHashes::from_v1(Sha1::of(info.raw)),
            name,
            layout,
            files,
            info: info.raw.into(),
            hashes_at: Some(info.pieces_at),
            roots: PieceRoots::default(),
            is_private: info.is_private,
            trackers: read_trackers(metainfo.tiers.clone(), metainfo.announce),
            url_list: read_urls(&metainfo.url_list).take(WEB_SEED_MAX).collect(),
            comment: metainfo.comment.map(lossy),
            created_by: metainfo.created_by.map(lossy),
            creation_date: metainfo.creation_date,
        })
    }

    /// The torrent's names: SHA-1 over the raw `info` dictionary for v1 (BEP 3), SHA-256 over the
    /// same bytes for v2 (BEP 52), both for a hybrid.
    pub fn info_hashes(&self) -> InfoHashes {
        self.info_hashes
    }

    /// The 20 bytes that name the torrent first: v1, or v2 truncated where there is no v1.
    pub fn info_hash(&self) -> Sha1 {
        self.info_hashes.primary()
    }

    /// Whether this is more than a name: false for a magnet whose metadata has not come yet, which
    /// has neither files nor pieces.
    pub fn has_metadata(&self) -> bool {
        !self.info.is_empty()
    }

    /// The torrent's name, made safe: the file of a single-file torrent, else the directory of all
    /// files.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of all files, padding included.
    pub fn total_length(&self) -> u64 {
        self.layout.total()
    }

    /// Bytes per piece; the last piece may be shorter. 16 KiB to 256 MiB.
    pub fn piece_length(&self) -> u32 {
        self.layout.piece_len_max()
    }

    /// Pieces; 0 if all files are empty.
    pub fn piece_count(&self) -> u32 {
        self.layout.piece_count()
    }

    /// The files in the torrent's order; at least one.
    pub fn files(&self) -> &[FileEntry] {
        self.files.entries()
    }

    /// Whether peers may come from trackers only (BEP 27).
    pub fn is_private(&self) -> bool {
        self.is_private
    }

    /// Tracker URLs in tiers (BEP 12), at most 200, each once. Not checked beyond being one word of
    /// text.
    pub fn trackers(&self) -> &[Vec<String>] {
        &self.trackers
    }

    /// Web seed URLs (BEP 19) as they stand in the file, at most 100.
    pub fn url_list(&self) -> &[String] {
        &self.url_list
    }

    /// The maker's comment, unchecked text: escape it before showing it.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// The program that made the torrent, unchecked text: escape it before showing it.
    pub fn created_by(&self) -> Option<&str> {
        self.created_by.as_deref()
    }

    /// When the torrent was made, in seconds since 1970, as claimed.
    pub fn creation_date(&self) -> Option<i64> {
        self.creation_date
    }

    /// The raw `info` dictionary, as other peers may ask for it (BEP 9).
    pub fn info_bytes(&self) -> &[u8] {
        &self.info
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn file_list(&self) -> &FileList {
        &self.files
    }

    /// What SHA-1 over the piece, pads included, must be; `None` in a torrent of v2 only.
    pub(crate) fn piece_hash_v1(&self, piece: PieceIndex) -> Option<Sha1> {
        let start = self.hashes_at? + piece.as_usize() * 20;
        let bytes = self.info.get(start..start + 20)?;
        Some(Sha1(bytes.try_into().ok()?))
    }

    /// The root that the leaves of the piece must have (BEP 52), over the file's bytes without
    /// pads: from the file's piece layer, or the file's own root if the file is at most one piece
    /// long. `None` in a torrent of v1 only, and where the layer is not known yet.
    pub(crate) fn piece_root(&self, piece: PieceIndex) -> Option<Sha256> {
        self.roots.piece_root(piece)
    }

    /// Leaves of the piece's subtree, padding included, a power of two: those of a whole piece in a
    /// file longer than that, else those of the file. 0 in a torrent of v1 only.
    pub(crate) fn piece_tree_width(&self, piece: PieceIndex) -> u32 {
        self.roots.piece_tree_width(piece)
    }

    /// The file's root (BEP 52); `None` for empty files, pads, links, and in torrents of v1 only.
    pub(crate) fn file_root(&self, file: FileIndex) -> Option<Sha256> {
        self.roots.file_root(file)
    }

    /// A file with this root: all of them have the same bytes.
    pub(crate) fn file_with_root(&self, root: &Sha256) -> Option<FileIndex> {
        self.roots.file_with_root(root)
    }

    /// The roots of all pieces of a file that is longer than one piece; `None` for all others and
    /// where the layer is not known yet.
    pub(crate) fn layer(&self, file: FileIndex) -> Option<&[Sha256]> {
        self.roots.layer(file)
    }

    /// Files longer than one piece whose layer is not known: after [`Torrent::from_info`], because
    /// layers stand outside of `info`.
    pub(crate) fn missing_layers(&self) -> impl Iterator<Item = FileIndex> + '_ {
        self.roots.missing_layers()
    }

    /// Whether `layer` is the file's: one root per piece, and the file's root above them.
    pub(crate) fn is_layer(&self, file: FileIndex, layer: &[Sha256]) -> bool {
        self.roots.is_layer(file, layer)
    }

    /// The same torrent that also knows the layers of these files; whatever is no layer of its file
    /// is left out. Copies the roots: not for every layer that comes in.
    pub(crate) fn with_layers<'a>(
        &self,
        layers: impl Iterator<Item = (FileIndex, &'a [Sha256])>,
    ) -> Torrent {
        let mut torrent = self.clone();
        layers.for_each(|(file, layer)| torrent.roots.learn(file, layer));
        torrent
    }

    /// Numbers of the pieces that hold a byte of `file`; empty for an empty file.
    pub(crate) fn pieces_of(&self, file: FileIndex) -> Range<u32> {
        match self.files.get(file) {
            Some(entry) => self.layout.pieces_of(entry.offset(), entry.length()),
            None => 0..0,
        }
    }
}

impl fmt::Debug for Torrent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (files, pieces) = (self.files().len(), self.piece_count());
        write!(f, "Torrent({} {:?}, {files} files, {pieces} pieces)", self.info_hashes, self.name)
    }
}

fn read_layout(info: &Info<'_>, total: u64) -> Result<Layout, TorrentError> {
    let (min, max) = (PIECE_LEN_MIN, PIECE_LEN_MAX);
    let piece_len = u32::try_from(info.piece_length).ok().filter(|len| (min..=max).contains(len));
    let piece_len =
        piece_len.ok_or(TorrentError::PieceLength { got: info.piece_length, min, max })?;
    let layout = Layout::new(total, piece_len)?;
    let got = info.pieces.len() / 20;
    if got != layout.piece_count() as usize {
        return Err(TorrentError::HashCount { expected: layout.piece_count(), got });
    }
    Ok(layout)
}

/// Many files stand below a directory with the torrent's name; one file is named like the torrent.
fn read_files(name: &str, content: &Content<'_>) -> Result<FileList, TorrentError> {
    let mut files = FileList::default();
    let raw_files = match content {
        Content::Single { length } => {
            files.push(name.into(), *length, FileKind::Data).ok_or(TorrentError::TotalTooLarge)?;
            return Ok(files);
        }
        Content::Multi(raw_files) => raw_files,
    };
    let mut places = PathSet::default();
    for raw in raw_files {
        let kind = match raw {
            _ if raw.is_symlink => FileKind::Symlink,
            _ if raw.is_pad => FileKind::Pad,
            _ => FileKind::Data,
        };
        let path = match kind {
            FileKind::Pad => pad_path(name, raw.length),
            FileKind::Data | FileKind::Symlink => places.place(Some(name), raw.elements())?,
        };
        files.push(path, raw.length, kind).ok_or(TorrentError::TotalTooLarge)?;
    }
    if files.entries().is_empty() {
        return Err(TorrentError::NoFiles);
    }
    Ok(files)
}

/// Pads never reach the disk; all get the one conventional name, whatever the torrent calls them.
fn pad_path(name: &str, length: u64) -> PathBuf {
    [name, ".pad", &length.to_string()].iter().collect()
}

/// `announce-list` where it names a tracker, else `announce` (BEP 12); each URL once.
fn read_trackers(raw: Vec<Vec<&str>>, announce: Option<&str>) -> Vec<Vec<String>> {
    let mut seen = std::collections::BTreeSet::new();
    let mut tiers: Vec<Vec<String>> = Vec::new();
    for tier in &raw {
        let urls = read_urls(tier);
        let fresh = urls.filter(|url| seen.len() < TRACKER_MAX && seen.insert(url.clone()));
        let tier: Vec<String> = fresh.collect();
        if !tier.is_empty() {
            tiers.push(tier);
        }
    }
    if tiers.is_empty() {
        let announce: Vec<String> = read_urls(announce.as_slice()).collect();
        tiers.extend((!announce.is_empty()).then_some(announce));
    }
    tiers
}

/// One word of text each; anything else cannot be a URL.
fn read_urls<'a>(urls: &'a [&str]) -> impl Iterator<Item = String> + use<'a> {
    let urls = urls.iter().map(|url| url.trim());
    urls.filter(|url| !url.is_empty() && url.len() <= URL_LEN_MAX)
        .filter(|url| !url.chars().any(|c| c.is_control() || c.is_whitespace()))
        .map(str::to_owned)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
