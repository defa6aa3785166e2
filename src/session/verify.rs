//! Verifying what lies on disk against a torrent, piece by piece and file by file.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::bitfield::Bitfield;
use crate::base::digest::Sha1;
use crate::base::digest::Sha256;
use crate::content::torrent::Torrent;
use crate::io::beneath;
use crate::io::scan::Found;
use crate::io::scan::Manner;
use crate::io::scan::control::Control;
use crate::io::scan::look::Look;
use crate::io::scan::look::Seen;
use crate::io::scan::plan::Plan;
use crate::io::scan::progress::ScanProgress;
use crate::io::scan::scan;
use crate::session::checkpoint;
use crate::session::findings::PieceState;
use crate::session::findings::VerifyReport;

/// Reads and hashes the files of a torrent and says what is good. Changes nothing on disk. Files
/// are looked for as the torrent calls them, and with `.part` behind the name; symbolic links are
/// not followed. Hybrids are verified by both kinds of hashes; without all of their piece layers,
/// by those of v1 alone.
///
/// ```no_run
/// use std::ops::ControlFlow;
///
/// use coreswarm::Torrent;
/// use coreswarm::Verifier;
/// use coreswarm::read_torrent_file;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let torrent = Torrent::parse(&read_torrent_file("debian.torrent")?)?;
/// let verifier = Verifier::new(torrent, "downloads");
/// let report = verifier.run(|_| ControlFlow::Continue(()))?;
/// for file in report.files() {
///     println!("{:?}: {:?}", file.path, file.state);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Verifier {
    torrent: Arc<Torrent>,
    directory: PathBuf,
    manner: Manner,
    checkpoint: Option<Vec<u8>>,
}

/// Why nothing could be verified. What is wrong with single files is in the [`VerifyReport`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The directory could not be opened. One that is not there is no error: all files are missing.
    #[error("expected a directory at {path:?}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A magnet without metadata.
    #[error("expected a hash for each piece, got a torrent without; verify with its .torrent file")]
    NoHashes,
    /// A torrent of v2 only without piece layers: what its pieces must hash to is not known.
    #[error(
        "expected the piece layers of all files (BEP 52), {count} files come without; peers of v2 \
         have them: `coreswarm get --save-torrent` keeps the torrent with all of them"
    )]
    NoLayers {
        /// Files whose layer is missing.
        count: usize,
    },
    /// No thread could be started.
    #[error("expected to start a thread: {source}; raise the limit of processes (`ulimit -u`)")]
    Threads {
        /// What the system said.
        source: io::Error,
    },
}

impl Verifier {
    /// Of `torrent`, whose files lie below `directory`.
    pub fn new(torrent: impl Into<Arc<Torrent>>, directory: impl Into<PathBuf>) -> Verifier {
        let (torrent, directory) = (torrent.into(), directory.into());
        Verifier { torrent, directory, manner: Manner::default(), checkpoint: None }
    }

    /// Hashes on at most `count` threads. Default: one on each processor that the process may use.
    #[must_use]
    pub fn threads(mut self, count: usize) -> Verifier {
        self.manner.thread_max = count;
        self
    }

    /// Whether large files may be mapped instead of copied, which saves about a third of the time.
    /// Default: no, because it needs a handler of SIGBUS in the process, which stays once it is
    /// there; it concerns itself with nothing but these mappings and passes everything else on.
    #[must_use]
    pub fn mapping(mut self, is_allowed: bool) -> Verifier {
        self.manner.may_map = is_allowed;
        self
    }

    /// Goes on where an interrupted verification stopped: bytes of [`VerifyReport::checkpoint`].
    /// Pieces in files whose size, times or inode have changed are looked at again. Bytes that are
    /// no checkpoint of this torrent have no effect.
    #[must_use]
    pub fn resume(mut self, checkpoint: impl Into<Vec<u8>>) -> Verifier {
        self.checkpoint = Some(checkpoint.into());
        self
    }

    /// Reads and hashes all files. Blocks; `look` is called on this thread about twenty times a
    /// second, and may end it: the report then has pieces that are [`PieceState::Pending`].
    ///
    /// # Errors
    /// A directory that cannot be opened, a torrent without hashes, no threads.
    pub fn run(
        &self,
        mut look: impl FnMut(ScanProgress) -> ControlFlow<()>,
    ) -> Result<VerifyReport, VerifyError> {
        let torrent = &*self.torrent;
        let versions = torrent.info_hashes();
        let count = torrent.missing_layer_count();
        match versions.v1() {
            _ if !torrent.has_metadata() => return Err(VerifyError::NoHashes),
            None if count > 0 => return Err(VerifyError::NoLayers { count }),
            _ => {}
        }
        let looks = self.look()?;
        let mut pieces = self.known(&looks);
        let plan = Plan {
            files: torrent.file_list(),
            piece_len: torrent.piece_length(),
            wants_v1: versions.v1().is_some(),
            wants_v2: self.by_v2(),
            root: beneath::root(&self.directory).ok(),
            looks,
            known: Some(done(&pieces)),
        };
        let total_bytes = plan.files.total();
        let resumed_count = plan.known.as_ref().map_or(0, Bitfield::count_ones);
        let resumed = plan.known.iter().flat_map(Bitfield::iter_ones);
        let resumed_bytes: u64 = resumed.map(|piece| plan.len(piece) as u64).sum();
        let control = Control::default();
        let mut errors = BTreeMap::new();
        let each = |piece, found| {
            if let Found::Unreadable(errno) = found {
                errors.insert(piece, errno);
            }
            if let Some(state) = pieces.get_mut(piece as usize) {
                *state = self.judge(piece, found);
            }
        };
        let tick = || {
            let done_bytes = resumed_bytes.saturating_add(control.done());
            if look(ScanProgress { done_bytes, total_bytes }).is_break() {
                control.stop();
            }
        };
        scan(&plan, self.manner, &control, each, tick)
            .map_err(|source| VerifyError::Threads { source })?;
        let error = |piece| errors.get(&piece).copied();
        Ok(VerifyReport::new(torrent, &plan.looks, pieces, resumed_count, error))
    }

    /// What is there now.
    fn look(&self) -> Result<Vec<Look>, VerifyError> {
        let files = self.torrent.files();
        match beneath::root(&self.directory) {
            Ok(root) => Ok(files.iter().map(|entry| Look::at(&root, entry)).collect()),
            Err(errno) if io::Error::from(errno).kind() == io::ErrorKind::NotFound => {
                let missing = |is_on_disk| if is_on_disk { Seen::Missing } else { Seen::Nowhere };
                let look = |is_on_disk| Look { seen: missing(is_on_disk), ..Look::nowhere() };
                Ok(files.iter().map(|entry| look(entry.is_on_disk())).collect())
            }
            Err(errno) => {
                let (path, source) = (self.directory.clone(), errno.into());
                Err(VerifyError::Directory { path, source })
            }
        }
    }

    /// What the checkpoint says, where that still holds.
    fn known(&self, looks: &[Look]) -> Vec<PieceState> {
        let kept = self.checkpoint.as_ref();
        let kept = kept.and_then(|bytes| checkpoint::decode(bytes, &self.torrent, looks));
        let kept = kept.unwrap_or_default().into_iter().map(|piece| match piece {
            checkpoint::GOOD => PieceState::Good,
            checkpoint::CORRUPT => PieceState::Corrupt,
            _ => PieceState::Pending,
        });
        let mut pieces: Vec<PieceState> = kept.collect();
        pieces.resize(self.torrent.piece_count() as usize, PieceState::Pending);
        pieces
    }

    fn judge(&self, piece: u32, found: Found) -> PieceState {
        match found {
            Found::Missing => PieceState::Missing,
            Found::Short => PieceState::Short,
            Found::Unreadable(_) => PieceState::Unreadable,
            Found::Hashed { v1, v2 } if self.is_right(piece, v1, v2) => PieceState::Good,
            Found::Hashed { .. } => PieceState::Corrupt,
        }
    }

    /// Whether v2 has a hash for each piece.
    fn by_v2(&self) -> bool {
        self.torrent.info_hashes().v2().is_some() && self.torrent.has_piece_layers()
    }

    /// Every hash that the torrent has for the piece must agree, and it has one at least.
    fn is_right(&self, piece: u32, v1: Option<Sha1>, v2: Option<Sha256>) -> bool {
        let Ok(piece) = self.torrent.layout().piece(piece) else { return false };
        let root = self.torrent.piece_root(piece).filter(|_| self.by_v2());
        let expected = (self.torrent.piece_hash_v1(piece), root);
        expected != (None, None) && expected == (v1, v2)
    }
}

fn done(pieces: &[PieceState]) -> Bitfield {
    let mut known = Bitfield::zeros(pieces.len() as u32);
    for (piece, state) in (0..).zip(pieces) {
        if *state != PieceState::Pending {
            known.set(piece);
        }
    }
    known
}
