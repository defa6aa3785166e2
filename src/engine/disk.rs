//! Disk jobs: what the engine wants done to a torrent's files, and what became of it.
//!
//! A job speaks of torrent bytes (offset and length); the store knows in which files they lie. Jobs
//! of one torrent may finish in any order; the engine never has two writes of the same bytes under
//! way.

use std::path::Path;
use std::sync::Arc;

use crate::base::buffer::SharedBuf;
use crate::base::ids::FileIndex;
use crate::base::ids::TorrentId;
use crate::base::limits::BLOCK_LEN;
use crate::base::limits::SEND_BLOCK_MAX;
use crate::base::payload::Payload;
use crate::base::storage_error::StorageError;
use crate::content::torrent::Torrent;
use crate::engine::add::Allocation;
use crate::engine::add::WriteMode;

/// Bytes asked for in one `Serve`: a full batch.
pub(crate) const SERVE_MAX: usize = SEND_BLOCK_MAX * BLOCK_LEN as usize;

/// Names a job of this shard; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct JobId(pub(crate) u64);

/// One thing to do. Exactly one [`DiskReply`] answers it.
#[derive(Clone, Debug)]
pub(crate) struct DiskJob {
    pub(crate) id: JobId,
    pub(crate) torrent: TorrentId,
    pub(crate) op: DiskOp,
}

/// What to do.
#[derive(Clone, Debug)]
pub(crate) enum DiskOp {
    /// Look at the torrent's files (creating none): answered by `Opened`. First job of a torrent.
    Open {
        torrent: Arc<Torrent>,
        directory: Arc<Path>,
        allocation: Allocation,
        write_mode: WriteMode,
    },
    /// Create directories and those of these files that are missing (as `.part`, zero-length files
    /// complete), reserve their space after checking that it is there, and move to them what lies
    /// aside for them: answered by `Done`. Before the first write. It begins after the reads and
    /// writes of the torrent that were given before it, and those given after it begin when it has
    /// ended.
    Create { files: Arc<[FileIndex]> },
    /// Answered by `Read` with exactly `length` bytes, or an error: a file that ends early is an
    /// error. Pad files read as zeros. `length` is 1 byte to one piece.
    Read { offset: u64, length: u32 },
    /// The same for bytes that go to a peer, at most `SERVE_MAX`: answered by `Served`, which may
    /// be bytes that nobody here can read.
    Serve { offset: u64, length: u32 },
    /// Answered by `Done` once all of `data` is written. Bytes of pad files are left out; bytes of
    /// files that were not created go aside, from where reads take them. `is_wanted`: peers that
    /// are connected lack these bytes and may ask for them soon.
    Write { offset: u64, data: SharedBuf, is_wanted: bool },
    /// `fdatasync` of every file written since the last sync: answered by `Done`.
    Sync,
    /// Every piece of `file` is verified and written: give it its final name (`.part` goes), never
    /// over a foreign file: answered by `Done`.
    Finish { file: FileIndex },
    /// Close descriptors and forget the torrent, after its other jobs: answered by `Done`. Last
    /// job.
    Close,
}

impl DiskOp {
    /// Bytes that it moves.
    pub(crate) fn length(&self) -> usize {
        match self {
            DiskOp::Read { length, .. } | DiskOp::Serve { length, .. } => *length as usize,
            DiskOp::Write { data, .. } => data.len(),
            DiskOp::Open { .. } | DiskOp::Create { .. } | DiskOp::Finish { .. } => 0,
            DiskOp::Sync | DiskOp::Close => 0,
        }
    }
}

/// How a job ended.
#[derive(Clone, Debug)]
pub(crate) enum DiskReply {
    /// One entry per file of the torrent, in order.
    Opened(Vec<FileSeen>),
    Read(SharedBuf),
    Served(Payload),
    Done,
    Failed(StorageError),
}

/// What `Open` saw of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FileSeen {
    /// Neither the file nor its `.part` is there.
    Missing,
    /// The same, but some of its bytes lie aside: of pieces that it shares with other files.
    Aside,
    /// The `.part` is there, with this many bytes.
    Part { length: u64 },
    /// The file is there under its final name, with this many bytes.
    Final { length: u64 },
}
