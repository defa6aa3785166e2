//! Making torrents: names, sizes and piece hashes to the bytes of a .torrent file (v1).

use bendy::encoding::Encoder;
use bendy::encoding::SingleItemEncoder;
use bendy::encoding::UnsortedDictEncoder;

use crate::base::digest::Sha1;
use crate::base::limits::PIECE_LEN_MAX;
use crate::base::limits::PIECE_LEN_MIN;
use crate::content::layout::Layout;
use crate::content::layout::LayoutError;

/// Pieces aimed at when the piece length is ours to choose: keeps the .torrent below about 40 KiB
/// while a piece stays small enough to be shared soon.
const PIECE_COUNT_AIM: u64 = 2048;
/// Longest piece chosen by ourselves; longer ones only where the piece count would exceed its
/// limit.
const PIECE_LEN_CHOICE_MAX: u64 = 16 * 1024 * 1024;
/// Levels of a v1 .torrent: root, info, files, file, path.
const DEPTH: usize = 6;

/// Collects what a v1 .torrent file says; [`TorrentMaker::finish`] encodes it. Does no I/O: the
/// caller hashes the pieces of [`TorrentMaker::piece_length`] bytes over all files in order.
///
/// Defaults: no trackers, not private, piece length chosen for about 2,000 pieces (16 KiB to 16
/// MiB).
#[derive(Clone, Debug)]
pub struct TorrentMaker {
    name: String,
    content: Content,
    piece_length: Option<u32>,
    trackers: Vec<Vec<String>>,
    web_seeds: Vec<String>,
    is_private: bool,
    comment: Option<String>,
    created_by: Option<String>,
    creation_date: Option<i64>,
}

#[derive(Clone, Debug)]
enum Content {
    File(u64),
    Directory(Vec<(Vec<String>, u64)>),
}

/// Why a torrent cannot be made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// A piece length outside 16 KiB to 256 MiB.
    #[error(
        "expected a piece length of 16 KiB to 256 MiB, got {got} bytes; leave it out to choose"
    )]
    PieceLength {
        /// Bytes per piece, as asked for.
        got: u32,
    },
    /// The sizes make no piece grid.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// File sizes that add up to more than 64 bits.
    #[error("expected file sizes that add up to less than 2^64, got more")]
    TotalTooLarge,
    /// As many hashes as pieces are needed.
    #[error("expected {expected} piece hashes, got {got}")]
    HashCount {
        /// Pieces of the torrent.
        expected: u32,
        /// Hashes given.
        got: usize,
    },
    /// A directory without files.
    #[error("expected at least one file, got none; add one with `file`")]
    NoFiles,
    /// The encoder refused.
    #[error("the .torrent file could not be encoded: {0}")]
    Encode(String),
}

impl TorrentMaker {
    /// A torrent of one file called `name` with `length` bytes.
    pub fn single(name: impl Into<String>, length: u64) -> TorrentMaker {
        TorrentMaker::new(name.into(), Content::File(length))
    }

    /// A torrent of files below a directory called `name`; add them with [`TorrentMaker::file`].
    pub fn directory(name: impl Into<String>) -> TorrentMaker {
        TorrentMaker::new(name.into(), Content::Directory(Vec::new()))
    }

    fn new(name: String, content: Content) -> TorrentMaker {
        TorrentMaker {
            name,
            content,
            piece_length: None,
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            is_private: false,
            comment: None,
            created_by: None,
            creation_date: None,
        }
    }

    /// Appends a file of `length` bytes at `path`, its elements below the torrent's directory. On a
    /// maker of a single file it replaces that file's length.
    #[must_use]
    pub fn file<S: Into<String>>(
        mut self,
        path: impl IntoIterator<Item = S>,
        length: u64,
    ) -> TorrentMaker {
        match &mut self.content {
            Content::File(only) => *only = length,
            Content::Directory(files) => {
                files.push((path.into_iter().map(Into::into).collect(), length));
            }
        }
        self
    }

    /// Bytes per piece, 16 KiB to 256 MiB; by convention a power of two.
    #[must_use]
    pub fn with_piece_length(mut self, bytes: u32) -> TorrentMaker {
        self.piece_length = Some(bytes);
        self
    }

    /// Appends a tier of tracker URLs, tried before later tiers (BEP 12).
    #[must_use]
    pub fn tier<S: Into<String>>(mut self, urls: impl IntoIterator<Item = S>) -> TorrentMaker {
        self.trackers.push(urls.into_iter().map(Into::into).collect());
        self
    }

    /// Appends a web seed URL (BEP 19).
    #[must_use]
    pub fn web_seed(mut self, url: impl Into<String>) -> TorrentMaker {
        self.web_seeds.push(url.into());
        self
    }

    /// Peers may come from trackers only (BEP 27).
    #[must_use]
    pub fn private(mut self, is_private: bool) -> TorrentMaker {
        self.is_private = is_private;
        self
    }

    /// A comment for people.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> TorrentMaker {
        self.comment = Some(comment.into());
        self
    }

    /// The program that makes the torrent.
    #[must_use]
    pub fn created_by(mut self, program: impl Into<String>) -> TorrentMaker {
        self.created_by = Some(program.into());
        self
    }

    /// When it is made, in seconds since 1970. Left out, equal input makes equal bytes.
    #[must_use]
    pub fn creation_date(mut self, seconds: i64) -> TorrentMaker {
        self.creation_date = Some(seconds);
        self
    }

    /// Bytes of all files.
    ///
    /// # Errors
    /// [`MakeError::TotalTooLarge`].
    pub fn total_length(&self) -> Result<u64, MakeError> {
        match &self.content {
            Content::File(length) => Ok(*length),
            Content::Directory(files) => files
                .iter()
                .try_fold(0u64, |sum, (_, length)| sum.checked_add(*length))
                .ok_or(MakeError::TotalTooLarge),
        }
    }

    /// Bytes per piece, chosen or given: what the caller must hash by.
    ///
    /// # Errors
    /// [`MakeError::PieceLength`] or [`MakeError::TotalTooLarge`].
    pub fn piece_length(&self) -> Result<u32, MakeError> {
        match self.piece_length {
            Some(got) if !(PIECE_LEN_MIN..=PIECE_LEN_MAX).contains(&got) => {
                Err(MakeError::PieceLength { got })
            }
            Some(given) => Ok(given),
            None => Ok(choose_piece_length(self.total_length()?)),
        }
    }

    /// The bytes of the .torrent file. `hashes`: SHA-1 of each piece, in order.
    ///
    /// # Errors
    /// Sizes that make no torrent, or another number of hashes than pieces.
    pub fn finish(&self, hashes: &[Sha1]) -> Result<Vec<u8>, MakeError> {
        let layout = Layout::new(self.total_length()?, self.piece_length()?)?;
        if hashes.len() != layout.piece_count() as usize {
            let expected = layout.piece_count();
            return Err(MakeError::HashCount { expected, got: hashes.len() });
        }
        if matches!(&self.content, Content::Directory(files) if files.is_empty()) {
            return Err(MakeError::NoFiles);
        }
        let mut encoder = Encoder::new().with_max_depth(DEPTH);
        let pieces: Vec<u8> = hashes.iter().flat_map(Sha1::as_bytes).copied().collect();
        encoder
            .emit_and_sort_dict(|root| self.emit_root(root, &layout, &pieces))
            .and_then(|()| encoder.get_output())
            .map_err(|error| MakeError::Encode(error.to_string()))
    }

    fn emit_root(&self, root: &mut UnsortedDictEncoder, layout: &Layout, pieces: &[u8]) -> Emitted {
        if let Some(first) = self.trackers.iter().flatten().next() {
            root.emit_pair(b"announce", first)?;
        }
        if self.trackers.iter().flatten().count() > 1 {
            root.emit_pair(b"announce-list", &self.trackers)?;
        }
        if !self.web_seeds.is_empty() {
            root.emit_pair(b"url-list", &self.web_seeds)?;
        }
        if let Some(comment) = &self.comment {
            root.emit_pair(b"comment", comment)?;
        }
        if let Some(program) = &self.created_by {
            root.emit_pair(b"created by", program)?;
        }
        if let Some(seconds) = self.creation_date {
            root.emit_pair(b"creation date", seconds)?;
        }
        root.emit_pair_with(b"info", |info| {
            info.emit_unsorted_dict(|info| self.emit_info(info, layout, pieces))
        })
    }

    fn emit_info(&self, info: &mut UnsortedDictEncoder, layout: &Layout, pieces: &[u8]) -> Emitted {
        info.emit_pair(b"name", &self.name)?;
        info.emit_pair(b"piece length", layout.piece_len_max())?;
        info.emit_pair_with(b"pieces", |e| e.emit_bytes(pieces))?;
        if self.is_private {
            info.emit_pair(b"private", 1)?;
        }
        match &self.content {
            Content::File(length) => info.emit_pair(b"length", length),
            Content::Directory(files) => info.emit_pair_with(b"files", |list| {
                list.emit_list(|list| {
                    files.iter().try_for_each(|f| list.emit_with(|e| emit_file(e, f)))
                })
            }),
        }
    }
}

type Emitted = Result<(), bendy::encoding::Error>;

fn emit_file(entry: SingleItemEncoder<'_>, (path, length): &(Vec<String>, u64)) -> Emitted {
    entry.emit_dict(|mut file| {
        file.emit_pair(b"length", length)?;
        file.emit_pair(b"path", path)
    })
}

/// A power of two: about [`PIECE_COUNT_AIM`] pieces, 16 KiB to 16 MiB, more only where pieces would
/// be too many.
fn choose_piece_length(total: u64) -> u32 {
    let aim = (total / PIECE_COUNT_AIM).clamp(PIECE_LEN_MIN.into(), PIECE_LEN_CHOICE_MAX);
    let least = total.div_ceil(crate::base::limits::PIECE_COUNT_MAX.into());
    let chosen = aim.next_power_of_two().max(least.checked_next_power_of_two().unwrap_or(u64::MAX));
    chosen.min(PIECE_LEN_MAX.into()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::torrent::Torrent;

    #[test]
    fn the_piece_length_follows_the_size() {
        let kib = |total: u64| choose_piece_length(total) / 1024;
        assert_eq!(kib(0), 16);
        assert_eq!(kib(32 << 20), 16);
        assert_eq!(kib(1 << 30), 512);
        assert_eq!(kib(1 << 40), 16 * 1024);
        assert_eq!(kib(1 << 46), 32 * 1024, "beyond 2^21 pieces of 16 MiB");
        assert_eq!(kib(u64::MAX), 256 * 1024);
    }

    #[test]
    fn what_is_made_is_read_back() {
        let hashes = [Sha1([1; 20]), Sha1([2; 20])];
        let bytes = TorrentMaker::directory("dir")
            .file(["sub", "a"], 20_000)
            .file(["empty"], 0)
            .with_piece_length(16_384)
            .tier(["http://one/a", "udp://two:1/a"])
            .tier(["http://three/a"])
            .web_seed("http://seed/")
            .private(true)
            .comment("hello")
            .created_by("coreswarm")
            .creation_date(7)
            .finish(&hashes)
            .unwrap();
        let torrent = Torrent::parse(&bytes).unwrap();
        let paths: Vec<_> = torrent.files().iter().map(|f| f.path().to_str().unwrap()).collect();
        assert_eq!(paths, ["dir/sub/a", "dir/empty"]);
        assert_eq!(
            torrent.trackers(),
            [vec!["http://one/a", "udp://two:1/a"], vec!["http://three/a"]]
        );
        assert_eq!(torrent.url_list(), ["http://seed/"]);
        assert!(torrent.is_private());
        assert_eq!(torrent.comment(), Some("hello"));
        assert_eq!(torrent.created_by(), Some("coreswarm"));
        assert_eq!(torrent.creation_date(), Some(7));
        let read: Vec<_> =
            torrent.layout().pieces().map(|p| torrent.piece_hash_v1(p).unwrap()).collect();
        assert_eq!(read, hashes);
    }

    #[test]
    fn a_single_file_torrent_is_just_that_file() {
        let maker = TorrentMaker::single("a.iso", 10).tier(["http://t/a"]);
        let bytes = maker.finish(&[Sha1([9; 20])]).unwrap();
        assert!(!bytes.windows(13).any(|w| w == b"announce-list"), "one tracker needs no list");
        let torrent = Torrent::parse(&bytes).unwrap();
        assert_eq!(torrent.files()[0].path().to_str(), Some("a.iso"));
        assert_eq!((torrent.total_length(), torrent.piece_length()), (10, 16_384));
        assert_eq!(torrent.trackers(), [["http://t/a"]]);
    }

    #[test]
    fn what_makes_no_torrent_is_refused() {
        let hash = Sha1([0; 20]);
        let wrong_count = TorrentMaker::single("a", 10).finish(&[]);
        assert_eq!(wrong_count, Err(MakeError::HashCount { expected: 1, got: 0 }));
        let short = TorrentMaker::single("a", 10).with_piece_length(10).finish(&[hash]);
        assert_eq!(short, Err(MakeError::PieceLength { got: 10 }));
        assert_eq!(TorrentMaker::directory("a").finish(&[]), Err(MakeError::NoFiles));
        let huge = TorrentMaker::directory("a").file(["x"], u64::MAX).file(["y"], 1);
        assert_eq!(huge.finish(&[]), Err(MakeError::TotalTooLarge));
        assert!(matches!(
            TorrentMaker::single("a", u64::MAX).finish(&[]),
            Err(MakeError::Layout(_))
        ));
    }
}
