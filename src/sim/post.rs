//! What passes between a shard and the world: what happened to it, and what it wants.

use std::net::SocketAddr;

use crate::base::ids::ShardId;
use crate::engine::alert::Alert;
use crate::engine::command::Command;
use crate::engine::command::Ticket;
use crate::engine::disk::DiskJob;
use crate::engine::disk::DiskReply;
use crate::engine::disk::JobId;
use crate::engine::hasher::HashJob;
use crate::engine::note::Note;
use crate::engine::outwork::BatchId;
use crate::engine::outwork::Returned;
use crate::engine::parcel::Parcel;
use crate::engine::to_ring::CloseReason;
use crate::engine::to_ring::ConnId;
use crate::engine::to_ring::HttpAnswer;
use crate::engine::to_ring::QueryError;
use crate::engine::to_ring::QueryId;
use crate::engine::to_ring::Reply;
use crate::sim::net::EndId;

/// What the world did.
#[derive(Debug)]
pub(crate) enum Input {
    Accepted {
        end: EndId,
        from: SocketAddr,
    },
    Adopted {
        end: EndId,
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    Arrived {
        end: EndId,
        parcel: Box<Parcel>,
    },
    /// Nothing is in flight on a connection that was detached.
    Detached {
        end: EndId,
    },
    Connected {
        end: EndId,
    },
    Bytes {
        end: EndId,
        bytes: Vec<u8>,
    },
    Sent {
        end: EndId,
        byte_count: usize,
    },
    Closed {
        end: EndId,
        reason: CloseReason,
    },
    Disk {
        job: JobId,
        reply: DiskReply,
    },
    Http {
        query: QueryId,
        answer: Result<HttpAnswer, QueryError>,
    },
    Resolved {
        query: QueryId,
        answer: Result<Vec<SocketAddr>, QueryError>,
    },
    Datagram {
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    Note {
        from: ShardId,
        note: Note,
    },
    Jobs {
        from: ShardId,
        batch: BatchId,
        jobs: Vec<HashJob>,
    },
    JobsBack {
        batch: BatchId,
        back: Returned,
    },
    Loads(Vec<u16>),
    Command {
        ticket: Ticket,
        command: Command,
    },
}

impl Input {
    /// The connection that it is about.
    pub(crate) fn end(&self) -> Option<EndId> {
        match self {
            Input::Accepted { end, .. }
            | Input::Adopted { end, .. }
            | Input::Arrived { end, .. }
            | Input::Detached { end }
            | Input::Connected { end }
            | Input::Bytes { end, .. }
            | Input::Sent { end, .. }
            | Input::Closed { end, .. } => Some(*end),
            _ => None,
        }
    }
}

/// What the shard wants of the world, in order.
#[derive(Debug)]
pub(crate) enum Effect {
    Connect {
        conn: ConnId,
        address: SocketAddr,
    },
    /// The engine was given these bytes.
    Handled {
        end: EndId,
        bytes: Vec<u8>,
    },
    Send {
        end: EndId,
        bytes: Vec<u8>,
    },
    Close {
        end: EndId,
    },
    /// The connection goes to another shard, with what arrived after `bytes`.
    HandOver {
        end: EndId,
        to: ShardId,
        bytes: Vec<u8>,
        rest: Vec<Input>,
    },
    Disk(DiskJob),
    Http {
        query: QueryId,
        url: String,
    },
    Resolve {
        query: QueryId,
        host: String,
        port: u16,
    },
    Datagram {
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    /// A peer goes to another shard, with what arrived and was not handled.
    Move {
        end: EndId,
        to: ShardId,
        parcel: Box<Parcel>,
        rest: Vec<Input>,
    },
    Note {
        to: ShardId,
        note: Note,
    },
    /// Hash jobs for another shard, or of another one.
    Give {
        to: ShardId,
        jobs: Input,
    },
    Alert(Alert),
    Reply {
        ticket: Ticket,
        reply: Reply,
    },
}
