//! Making torrents: names, sizes and piece hashes to the bytes of a .torrent file.

mod cannot;
mod draft;
mod encode;

use crate::base::digest::Sha1;
use crate::base::digest::Sha256;
use crate::base::limits::BLOCK_LEN;
use crate::content::files::FileList;
use crate::content::layout::Layout;
pub use crate::content::make::cannot::MakeError;
use crate::content::make::draft::Draft;
pub use crate::content::make::draft::TorrentVersion;
use crate::content::make::encode::Parts;
use crate::content::make::encode::Tree;
use crate::content::merkle;

/// Collects what a .torrent file says; [`TorrentMaker::finish`] encodes it. Does no I/O: the
/// caller hashes the pieces of [`TorrentMaker::piece_length`] bytes over all files in order.
/// [`Creator`](crate::Creator) does all of that for a path.
///
/// Defaults: v1, no trackers, not private, and a piece length that makes 1,024 to 2,048 pieces: the
/// power of two from 16 KiB to 16 MiB for that, and a longer one only where there would be more
/// than 2^21 pieces.
#[derive(Clone, Debug)]
pub struct TorrentMaker {
    draft: Draft,
}

impl TorrentMaker {
    /// A torrent of one file called `name` with `length` bytes.
    pub fn single(name: impl Into<Vec<u8>>, length: u64) -> TorrentMaker {
        TorrentMaker::new(name.into(), true, vec![(Vec::new(), length)])
    }

    /// A torrent of files below a directory called `name`; add them with [`TorrentMaker::file`].
    pub fn directory(name: impl Into<Vec<u8>>) -> TorrentMaker {
        TorrentMaker::new(name.into(), false, Vec::new())
    }

    fn new(name: Vec<u8>, is_single: bool, files: Vec<(Vec<Vec<u8>>, u64)>) -> TorrentMaker {
        let draft = Draft {
            name,
            files,
            is_single,
            version: TorrentVersion::default(),
            piece_length: None,
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            is_private: false,
            source: None,
            comment: None,
            created_by: None,
            creation_date: None,
        };
        TorrentMaker { draft }
    }

    /// Which versions of the protocol the torrent is for.
    #[must_use]
    pub fn version(mut self, version: TorrentVersion) -> TorrentMaker {
        self.draft.version = version;
        self
    }

    /// Appends a file of `length` bytes at `path`, its elements below the torrent's directory; v2
    /// wants them in the order of the bytes of their elements. On a maker of a single file it
    /// replaces that file's length.
    #[must_use]
    pub fn file<S: Into<Vec<u8>>>(
        mut self,
        path: impl IntoIterator<Item = S>,
        length: u64,
    ) -> TorrentMaker {
        match self.draft.files.first_mut() {
            Some(only) if self.draft.is_single => only.1 = length,
            _ => self.draft.files.push((path.into_iter().map(Into::into).collect(), length)),
        }
        self
    }

    /// Bytes per piece, 16 KiB to 256 MiB; a power of two, which v1 asks for only by convention.
    #[must_use]
    pub fn with_piece_length(mut self, bytes: u32) -> TorrentMaker {
        self.draft.piece_length = Some(bytes);
        self
    }

    /// Appends a tier of tracker URLs, tried before later tiers (BEP 12).
    #[must_use]
    pub fn tier<S: Into<String>>(mut self, urls: impl IntoIterator<Item = S>) -> TorrentMaker {
        self.draft.trackers.push(urls.into_iter().map(Into::into).collect());
        self
    }

    /// Appends a web seed URL (BEP 19).
    #[must_use]
    pub fn web_seed(mut self, url: impl Into<String>) -> TorrentMaker {
        self.draft.web_seeds.push(url.into());
        self
    }

    /// Peers may come from trackers only (BEP 27).
    #[must_use]
    pub fn private(mut self, is_private: bool) -> TorrentMaker {
        self.draft.is_private = is_private;
        self
    }

    /// Where the torrent is meant for: it stands in `info`, so that the same content gets another
    /// info hash at each private tracker.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> TorrentMaker {
        self.draft.source = Some(source.into());
        self
    }

    /// A comment for people.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> TorrentMaker {
        self.draft.comment = Some(comment.into());
        self
    }

    /// The program that makes the torrent.
    #[must_use]
    pub fn created_by(mut self, program: impl Into<String>) -> TorrentMaker {
        self.draft.created_by = Some(program.into());
        self
    }

    /// When it is made, in seconds since 1970. Left out, equal input makes equal bytes.
    #[must_use]
    pub fn creation_date(mut self, seconds: i64) -> TorrentMaker {
        self.draft.creation_date = Some(seconds);
        self
    }

    /// Bytes of all files, without the padding of hybrids.
    ///
    /// # Errors
    /// [`MakeError::TotalTooLarge`].
    pub fn total_length(&self) -> Result<u64, MakeError> {
        self.draft.total_length()
    }

    /// Bytes per piece, chosen or given: what the caller must hash by.
    ///
    /// # Errors
    /// [`MakeError::PieceLength`], [`MakeError::PieceLengthV2`] or [`MakeError::TotalTooLarge`].
    pub fn piece_length(&self) -> Result<u32, MakeError> {
        self.draft.piece_length()
    }

    /// The bytes of the .torrent file. `hashes`: SHA-1 of each piece, in order.
    ///
    /// # Errors
    /// Names or sizes that make no torrent, another number of hashes than pieces, or a torrent with
    /// v2: see [`TorrentMaker::finish_with`].
    pub fn finish(&self, hashes: &[Sha1]) -> Result<Vec<u8>, MakeError> {
        self.finish_with(hashes, &[])
    }

    /// The bytes of the .torrent file of any version. `hashes`: SHA-1 of each piece, in order, the
    /// zeros of pads behind each file of a hybrid included; none without v1. `roots`: for each
    /// piece, in order, the root of its leaves (BEP 52), as many as a whole piece has, filled up
    /// with zeros; as many as the file has, up to a power of two, where the file is not longer than
    /// a piece; none without v2.
    ///
    /// # Errors
    /// Names, order or sizes that make no torrent, another number of hashes than pieces.
    pub fn finish_with(&self, hashes: &[Sha1], roots: &[Sha256]) -> Result<Vec<u8>, MakeError> {
        let (files, layout) = self.grid()?;
        let version = self.draft.version;
        for (is_there, got) in [(version.has_v1(), hashes.len()), (version.has_v2(), roots.len())] {
            let expected = if is_there { layout.piece_count() } else { 0 };
            if got != expected as usize {
                return Err(MakeError::HashCount { expected, got });
            }
        }
        let piece_length = layout.piece_len_max();
        let trees = self.trees(roots, piece_length);
        Parts { draft: &self.draft, files: &files, piece_length, hashes, trees: &trees }.encode()
    }

    /// Which versions it is for.
    pub(crate) fn versions(&self) -> TorrentVersion {
        self.draft.version
    }

    /// The files in a row with the pads between them, and the pieces that they make.
    pub(crate) fn grid(&self) -> Result<(FileList, Layout), MakeError> {
        let files = self.draft.file_list()?;
        let layout = self.draft.layout(&files)?;
        Ok((files, layout))
    }

    /// Each file's tree; its pieces follow each other in `roots`, and every file begins a piece.
    fn trees(&self, roots: &[Sha256], piece_length: u32) -> Vec<Tree> {
        let level = (piece_length / BLOCK_LEN).max(1).ilog2();
        let mut rest = if self.draft.version.has_v2() { roots } else { &[] };
        let tree = |(_, length): &(Vec<Vec<u8>>, u64)| {
            let count = length.div_ceil(piece_length.into()) as usize;
            let Some((own, behind)) = rest.split_at_checked(count) else { return Tree::default() };
            rest = behind;
            match own {
                [] => Tree::default(),
                [only] => Tree { root: Some(*only), layer: Vec::new() },
                layer => {
                    let root = merkle::root_above(layer, level, 1);
                    Tree { root: Some(root), layer: layer.to_vec() }
                }
            }
        };
        self.draft.files.iter().map(tree).collect()
    }
}

#[cfg(test)]
mod tests;
