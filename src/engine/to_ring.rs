//! What the engine wants of the ring: connections, sends, jobs, replies.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::base::ids::ShardId;
use crate::base::ids::TorrentId;
use crate::base::payload::Mapped;
use crate::base::payload::Payload;
use crate::base::slots::SlotId;
use crate::base::status::FileStatus;
use crate::base::status::TorrentStatus;
use crate::base::status::TrackerErrorClass;
use crate::base::storage_error::StorageError;
use crate::content::torrent::Torrent;
use crate::content::wanted::ChoiceError;
use crate::engine::add::Allocation;
use crate::engine::add::WriteMode;
use crate::engine::alert::Alert;
use crate::engine::command::Ticket;
use crate::engine::disk::DiskJob;
use crate::engine::hasher::HashJob;
use crate::engine::note::Note;
use crate::engine::outwork::BatchId;
use crate::engine::outwork::Returned;
use crate::engine::parcel::Parcel;

/// A connection of this shard: a slot and its generation, so that an id that outlived its
/// connection names nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct ConnId(pub(crate) SlotId);

/// Names a question to the outside (HTTP, DNS); never used twice on a shard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct QueryId(pub(crate) u64);

/// One thing the ring should do. Drained after every `handle_*`.
#[derive(Debug)]
pub(crate) enum Output {
    /// Nothing just yet, after a while of work, and there is more: time to look at the clock.
    Nothing,
    /// Connect by TCP; answered by `handle_connected` or `handle_closed`, within `CONNECT_TIMEOUT`.
    Connect { conn: ConnId, address: SocketAddr },
    /// The handshake is over, or a journey: receive in bulk from here on (multishot).
    Established { conn: ConnId },
    /// There is something to send: call `poll_send` when nothing of this connection is in flight.
    Send { conn: ConnId },
    /// Close it. The engine has forgotten it already; nothing more is told about it.
    Close { conn: ConnId },
    /// The torrent lives on another shard: give the socket and the bytes read so far to it. The
    /// engine has forgotten the connection already.
    HandOver { conn: ConnId, to: ShardId, bytes: Vec<u8> },
    /// The peer may change shards: receive no more, begin no send. Answered by `handle_detached`
    /// when nothing is in flight, unless `Established` takes it back before, or the connection
    /// closes.
    Detach { conn: ConnId },
    /// After that: give the socket and the peer to that shard. The engine has forgotten both
    /// already.
    Move { conn: ConnId, to: ShardId, parcel: Box<Parcel> },
    /// Answered by `handle_disk`.
    Disk(DiskJob),
    /// The torrent sleeps: nothing of it is asked for before it rises, so nothing need be kept. All
    /// its files are there under their final names.
    Rest { torrent: TorrentId },
    /// A torrent that rests may be asked for again; as in its first job.
    Rise {
        torrent: TorrentId,
        description: Arc<Torrent>,
        directory: Arc<Path>,
        allocation: Allocation,
        write_mode: WriteMode,
    },
    /// GET this URL on the bounded pool; answered by `handle_http`.
    Http { query: QueryId, url: String },
    /// Resolve this name on the bounded pool; answered by `handle_resolved`.
    Resolve { query: QueryId, host: String, port: u16 },
    /// Send one UDP packet; nothing answers if it is lost.
    Datagram { to: SocketAddr, bytes: Vec<u8> },
    /// For another shard; nothing answers if its mailbox is full.
    Note { to: ShardId, note: Note },
    /// Hash jobs for another shard; answered by `handle_jobs_back`, at once if its mailbox is full.
    GiveOut { to: ShardId, batch: BatchId, jobs: Vec<HashJob> },
    /// Hash jobs of another shard, which gets them back; nothing answers if its mailbox is full.
    GiveBack { to: ShardId, batch: BatchId, back: Returned },
    /// For the session's reader.
    Alert(Alert),
    /// The reply to a command.
    Reply { ticket: Ticket, reply: Reply },
}

/// The reply to a command.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Done,
    Status(Box<TorrentStatus>),
    /// One entry per file, in order.
    Files(Vec<FileStatus>),
    /// Files were chosen that the torrent does not have; nothing changed.
    BadChoice(ChoiceError),
    /// The torrent is not, or no longer, on this shard.
    NoSuchTorrent,
}

/// What an HTTP GET brought: status and body, both bounded by the ring.
#[derive(Clone, Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Why a question to the outside failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct QueryError {
    pub(crate) class: TrackerErrorClass,
    pub(crate) message: String,
}

/// Why a connection ended, as the ring saw it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum CloseReason {
    /// The connect did not succeed in time or was refused.
    ConnectFailed,
    /// The peer closed in good order.
    EndOfStream,
    /// The system gave this error number.
    Errno(i32),
    /// What it was being sent cannot be read from its file any more.
    Unreadable(StorageError),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::ConnectFailed => f.write_str("could not connect"),
            CloseReason::EndOfStream => f.write_str("it closed the connection"),
            CloseReason::Unreadable(error) => write!(f, "{error}"),
            CloseReason::Errno(errno) => write!(f, "{}", std::io::Error::from_raw_os_error(*errno)),
        }
    }
}

/// One gathered send: small bytes and payload in wire order. The ring owns it until its completion
/// and gives it back for reuse.
#[derive(Debug, Default)]
pub(crate) struct SendBatch {
    /// All small messages and block headers, one after the other.
    small: Vec<u8>,
    segments: Vec<Segment>,
    len: usize,
    block_count: usize,
}

#[derive(Debug)]
enum Segment {
    /// This part of the small bytes.
    Small(Range<usize>),
    Payload(Payload),
}

/// A part of a [`SendBatch`], as the kernel is told of it.
#[derive(Debug)]
pub(crate) enum Part<'b> {
    Bytes(&'b [u8]),
    Mapped(&'b Mapped),
}

impl SendBatch {
    /// Empties it, keeping its memory.
    pub(crate) fn clear(&mut self) {
        self.small.clear();
        self.segments.clear();
        self.len = 0;
        self.block_count = 0;
    }

    /// Appends small bytes; neighbours become one segment.
    pub(crate) fn push_small(&mut self, bytes: &[u8]) {
        let start = self.small.len();
        self.small.extend_from_slice(bytes);
        self.len += bytes.len();
        match self.segments.last_mut() {
            Some(Segment::Small(range)) => range.end += bytes.len(),
            _ if bytes.is_empty() => {}
            _ => self.segments.push(Segment::Small(start..start + bytes.len())),
        }
    }

    /// Appends a block: its header and its payload.
    pub(crate) fn push_block(&mut self, header: &[u8; 13], payload: Payload) {
        self.push_small(header);
        self.len += payload.len();
        self.block_count += 1;
        self.segments.push(Segment::Payload(payload));
    }

    /// Bytes in all.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn block_count(&self) -> usize {
        self.block_count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// There are blocks, and all of them are bytes of mapped files.
    pub(crate) fn is_mapped(&self) -> bool {
        let in_memory = |segment: &Segment| matches!(segment, Segment::Payload(Payload::Memory(_)));
        self.block_count > 0 && !self.segments.iter().any(in_memory)
    }

    /// The parts in wire order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.segments.iter().map(|segment| match segment {
            Segment::Small(range) => Part::Bytes(&self.small[range.clone()]),
            Segment::Payload(Payload::Memory(shared)) => Part::Bytes(shared.bytes()),
            Segment::Payload(Payload::Mapped(mapped)) => Part::Mapped(mapped),
        })
    }

    /// All bytes in wire order, where all of them are in memory.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let bytes = |part| match part {
            Part::Bytes(bytes) => bytes,
            Part::Mapped(mapped) => panic!("{mapped:?} cannot be read here"),
        };
        self.parts().flat_map(bytes).copied().collect()
    }
}

impl Part<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Part::Bytes(bytes) => bytes.len(),
            Part::Mapped(mapped) => mapped.len(),
        }
    }
}
