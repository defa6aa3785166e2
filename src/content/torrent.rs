//! A torrent's immutable description: metainfo that was checked once and is trusted ever after.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::base::digest::Sha1;
use crate::base::digest::Sha256;
use crate::base::digest_lanes::Lanes;
use crate::base::ids::FileIndex;
use crate::base::ids::PieceIndex;
use crate::base::info_hashes::InfoHashes;
use crate::base::limits::TORRENT_FILE_LEN_MAX;
use crate::codec::bencode::Document;
use crate::codec::metainfo;
use crate::codec::metainfo::Metainfo;
use crate::content::clean_path::clean_element;
use crate::content::extras;
use crate::content::extras::Extras;
use crate::content::files::FileEntry;
use crate::content::files::FileList;
use crate::content::layout::Layout;
use crate::content::merkle::HashRange;
use crate::content::refusal::TorrentError;
use crate::content::shape;
use crate::content::shape::Shape;

/// What a torrent is: names, sizes, hashes, trackers. Immutable; share it in an `Arc`.
///
/// Made from a .torrent file by [`Torrent::parse`]. All paths are safe to create below a directory,
/// all sizes agree with each other, and there is one hash for each piece.
#[derive(Clone)]
pub struct Torrent {
    info_hashes: InfoHashes,
    name: String,
    shape: Shape,
    /// The raw `info` dictionary; the v1 piece hashes are read out of it. Empty without metadata.
    info: Arc<[u8]>,
    /// Where in `info` the v1 hashes start; `None` without any.
    hashes_at: Option<usize>,
    is_private: bool,
    /// `None` when the file says nothing more.
    extras: Option<Box<Extras>>,
}

impl Torrent {
    /// From the bytes of a .torrent file of at most 64 MiB: of v1, of v2, or a hybrid. Does not
    /// block. White space after the data is tolerated, because some tools append a line end. Piece
    /// layers may be missing; those that are there must be right.
    pub fn parse(bytes: &[u8]) -> Result<Torrent, TorrentError> {
        Torrent::parse_with(bytes, TORRENT_FILE_LEN_MAX)
    }

    /// The same for files of at most `max` bytes. From 4 GiB on they are refused in any case.
    pub fn parse_with(bytes: &[u8], max: u64) -> Result<Torrent, TorrentError> {
        let got = bytes.len() as u64;
        if got > max {
            return Err(TorrentError::FileTooLong { got, max });
        }
        let document = Document::parse(bytes.trim_ascii_end(), metainfo::LIMITS)?;
        let metainfo = Metainfo::read(document.root())?;
        let mut torrent = Torrent::from_metainfo(&metainfo)?;
        torrent.shape.roots.read(metainfo.layers)?;
        Ok(torrent)
    }

    /// From a raw `info` dictionary alone, as peers send it (BEP 9), and what a magnet link knew
    /// besides. Layers of v2 files are not known: see [`Torrent::missing_layers`].
    pub(crate) fn from_info(
        info: &[u8],
        trackers: &[Vec<String>],
        url_list: &[String],
    ) -> Result<Torrent, TorrentError> {
        let document = Document::parse(info, metainfo::LIMITS)?;
        let urls = url_list.iter().map(String::as_str).collect();
        let metainfo = Metainfo::read_info(document.root(), borrow_tiers(trackers), urls)?;
        Torrent::from_metainfo(&metainfo)
    }

    /// What is known of a magnet before its metadata: names and trackers in tiers, no pieces and no
    /// files. Without a name, the first info hash is it.
    pub(crate) fn nameless(
        info_hashes: InfoHashes,
        name: Option<&str>,
        trackers: &[Vec<String>],
    ) -> Torrent {
        let name = name.map(|name| clean_element(name.as_bytes()));
        let trackers = extras::read_trackers(&borrow_tiers(trackers), None);
        Torrent {
            info_hashes,
            name: name.unwrap_or_else(|| info_hashes.primary().to_string()),
            shape: Shape::default(),
            info: Arc::default(),
            hashes_at: None,
            is_private: false,
            extras: Extras { trackers, ..Extras::default() }.boxed(),
        }
    }

    /// All but the piece layers, which stand outside of `info`.
    fn from_metainfo(metainfo: &Metainfo<'_>) -> Result<Torrent, TorrentError> {
        let info = &metainfo.info;
        let name = clean_element(info.name);
        let shape = shape::read(&name, info)?;
        let v1 = info.v1.as_ref().map(|_| Sha1::of(info.raw));
        let v2 = info.tree.map(|_| Sha256::of(info.raw));
        Ok(Torrent {
            info_hashes: InfoHashes::new(v1, v2).ok_or(TorrentError::NoFiles)?,
            name,
            shape,
            info: info.raw.into(),
            hashes_at: info.v1.as_ref().map(|v1| v1.pieces_at),
            is_private: info.is_private,
            extras: Extras::read(metainfo).boxed(),
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

    /// Bytes of all pieces, as they come from peers: those of all files, and of pad files where v1
    /// hashes cover them.
    pub fn total_length(&self) -> u64 {
        self.shape.layout.wire_total()
    }

    /// Bytes per piece; the last piece may be shorter, and in a torrent of v2 only the last one of
    /// each file. 16 KiB to 256 MiB.
    pub fn piece_length(&self) -> u32 {
        self.shape.layout.piece_len_max()
    }

    /// Pieces; 0 if all files are empty.
    pub fn piece_count(&self) -> u32 {
        self.shape.layout.piece_count()
    }

    /// The files in the torrent's order, pad files and links included; at least one.
    pub fn files(&self) -> &[FileEntry] {
        self.shape.files.entries()
    }

    /// Whether peers may come from trackers only (BEP 27).
    pub fn is_private(&self) -> bool {
        self.is_private
    }

    /// Tracker URLs in tiers (BEP 12), at most 200, each once. Not checked beyond being one word of
    /// text.
    pub fn trackers(&self) -> &[Vec<String>] {
        &self.extras().trackers
    }

    /// Web seed URLs (BEP 19) as they stand in the file, at most 100.
    pub fn url_list(&self) -> &[String] {
        &self.extras().url_list
    }

    /// The maker's comment, unchecked text: escape it before showing it.
    pub fn comment(&self) -> Option<&str> {
        self.extras().comment.as_deref()
    }

    /// The program that made the torrent, unchecked text: escape it before showing it.
    pub fn created_by(&self) -> Option<&str> {
        self.extras().created_by.as_deref()
    }

    /// When the torrent was made, in seconds since 1970, as claimed.
    pub fn creation_date(&self) -> Option<i64> {
        self.extras().creation_date
    }

    /// Hosts and ports of DHT nodes to start from (BEP 5), as claimed, at most 200.
    pub fn nodes(&self) -> &[(String, u16)] {
        &self.extras().nodes
    }

    /// Info hashes (v1) of torrents that share files with this one, as claimed (BEP 38), from
    /// inside and outside of `info`, at most 200.
    pub fn similar(&self) -> &[Sha1] {
        &self.extras().similar
    }

    /// Names of sets of torrents that share files, unchecked text (BEP 38), from inside and outside
    /// of `info`, at most 200: escape them before showing them.
    pub fn collections(&self) -> &[String] {
        &self.extras().collections
    }

    /// The tracker or site that the torrent was made for, unchecked text: escape it before showing
    /// it. Part of `info`: the same files with another source are another torrent.
    pub fn source(&self) -> Option<&str> {
        self.extras().source.as_deref()
    }

    /// The character set that names claim to be in, unchecked text; they are read as UTF-8 whatever
    /// it says.
    pub fn encoding(&self) -> Option<&str> {
        self.extras().encoding.as_deref()
    }

    /// The root of the hash tree over the file at this place of [`Torrent::files`] (BEP 52):
    /// files with equal roots have equal bytes, in any torrent. `None` for empty files, pads and
    /// links, and in a torrent of v1 only.
    pub fn root_of_file(&self, index: usize) -> Option<Sha256> {
        self.file_root(FileIndex(u32::try_from(index).ok()?))
    }

    /// Whether the hashes of all pieces are known. False for a v2 torrent that came without its
    /// piece layers, as from a magnet link, until peers have sent them, and without metadata.
    pub fn has_piece_layers(&self) -> bool {
        self.has_metadata() && self.missing_layer_count() == 0
    }

    /// Files of v2 that are longer than a piece and whose piece layer is not known (BEP 52): a
    /// session asks peers for them.
    pub fn missing_layer_count(&self) -> usize {
        self.missing_layers().count()
    }

    /// The raw `info` dictionary, as other peers may ask for it (BEP 9).
    pub fn info_bytes(&self) -> &[u8] {
        &self.info
    }

    fn extras(&self) -> &Extras {
        self.extras.as_deref().unwrap_or(&extras::NONE)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.shape.layout
    }

    pub(crate) fn file_list(&self) -> &FileList {
        &self.shape.files
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
        self.shape.roots.piece_root(piece)
    }

    /// Leaves of the piece's subtree, padding included, a power of two: those of a whole piece in a
    /// file longer than that, else those of the file. 0 in a torrent of v1 only.
    pub(crate) fn piece_tree_width(&self, piece: PieceIndex) -> u32 {
        self.shape.roots.piece_tree_width(piece)
    }

    /// The file's root (BEP 52); `None` for empty files, pads, links, and in torrents of v1 only.
    pub(crate) fn file_root(&self, file: FileIndex) -> Option<Sha256> {
        self.shape.roots.file_root(file)
    }

    /// A file with this root: all of them have the same bytes.
    pub(crate) fn file_with_root(&self, root: &Sha256) -> Option<FileIndex> {
        self.shape.roots.file_with_root(root)
    }

    /// The roots of all pieces of a file that is longer than one piece; `None` for all others and
    /// where the layer is not known yet.
    pub(crate) fn layer(&self, file: FileIndex) -> Option<&[Sha256]> {
        self.shape.roots.layer(file)
    }

    /// The answer to a hash request for piece roots of a file (BEP 52): `None` where it must be
    /// rejected, because they are not known here or the range is no part of that layer. Costs about
    /// as many hashes as it holds.
    pub(crate) fn prove_pieces(&self, file: FileIndex, range: HashRange) -> Option<Vec<Sha256>> {
        self.shape.roots.prove_pieces(file, range)
    }

    /// The answer to a hash request for leaves, out of all leaves of the one piece they lie in, the
    /// one with the number `range.index / leaves per piece` in its file; `None` as above.
    pub(crate) fn prove_leaves(
        &self,
        file: FileIndex,
        range: HashRange,
        leaves: &[Sha256],
    ) -> Option<Vec<Sha256>> {
        self.shape.roots.prove_leaves(file, range, leaves)
    }

    /// Files longer than one piece whose layer is not known: after [`Torrent::from_info`], because
    /// layers stand outside of `info`, and where a .torrent file leaves them out.
    pub(crate) fn missing_layers(&self) -> impl Iterator<Item = FileIndex> + '_ {
        self.shape.roots.missing_layers()
    }

    /// The same torrent that also knows the layers of these files; whatever is no layer of its file
    /// is left out. Copies the roots: not for every layer that comes in.
    pub(crate) fn with_layers<'a>(
        &self,
        layers: impl Iterator<Item = (FileIndex, &'a [Sha256])>,
        lanes: Lanes,
    ) -> Torrent {
        let mut torrent = self.clone();
        layers.for_each(|(file, layer)| torrent.shape.roots.learn(file, layer, lanes));
        torrent
    }

    /// Numbers of the pieces that hold a byte of `file`; empty for an empty file.
    pub(crate) fn pieces_of(&self, file: FileIndex) -> Range<u32> {
        match self.shape.files.get(file) {
            Some(entry) => self.shape.layout.pieces_of(entry.offset(), entry.length()),
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

fn borrow_tiers(tiers: &[Vec<String>]) -> Vec<Vec<&str>> {
    tiers.iter().map(|tier| tier.iter().map(String::as_str).collect()).collect()
}

#[cfg(test)]
mod extras_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod v2_tests;
