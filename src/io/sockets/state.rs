//! The sockets of a shard: who is connected, by id, and what happens to them.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::base::instant::Instant;
use crate::base::payload::Mapped;
use crate::engine::to_ring::CloseReason;
use crate::engine::to_ring::ConnId;
use crate::io::ring::batch::Sending;
use crate::io::ring::buffers::Filled;
use crate::io::ring::op::OpId;
use crate::io::sockets::conn::Conn;
use crate::io::sockets::splice::Splicer;

/// What happened on a socket.
#[derive(Debug)]
pub(crate) enum SocketEvent {
    /// Somebody connected to us. Adopt the descriptor, or drop it to close it.
    Accepted {
        fd: OwnedFd,
        remote: SocketAddr,
    },
    Connected {
        conn: ConnId,
    },
    /// Give the buffer back to the ring once its bytes are used.
    Bytes {
        conn: ConnId,
        filled: Filled,
    },
    /// So many bytes left. With `is_done` the batch is through and the next one may be sent.
    Sent {
        conn: ConnId,
        count: usize,
        is_done: bool,
    },
    /// What was being sent cannot be read from its file. The socket is gone and forgotten here.
    Unreadable {
        conn: ConnId,
        mapped: Mapped,
    },
    /// The socket is gone and forgotten here.
    Closed {
        conn: ConnId,
        reason: CloseReason,
    },
}

/// All TCP sockets of a shard.
#[derive(Default)]
pub(crate) struct Sockets {
    /// By the slot of their id.
    pub(super) conns: Vec<Option<Conn>>,
    /// Connections whose slot the engine gave to a newer one before it said what becomes of them.
    pub(super) displaced: Vec<Conn>,
    pub(super) count: usize,
    pub(super) listeners: Vec<Listener>,
    /// Addresses that connections of ours come from: those that were chosen to listen at.
    pub(super) sources: Vec<IpAddr>,
    /// Connections whose single receive ended: they may be taken away before they are armed again.
    pub(super) disarmed: Vec<ConnId>,
    /// Connections that found no buffer free, where they are many. They receive again in this
    /// order, no more of them at once than there are buffers: the others would only fail again.
    pub(super) starved: VecDeque<ConnId>,
    /// Receives that found no buffer in this turn.
    pub(super) retry_count: usize,
    /// Connections that may change shards once nothing is in flight on them.
    pub(super) leaving: Vec<ConnId>,
    #[expect(clippy::vec_box, reason = "the kernel holds addresses inside: boxes stay boxes")]
    pub(super) spare: Vec<Box<Sending>>,
    /// Sends without copies, where that was asked for.
    pub(super) splicer: Option<Splicer>,
}

pub(super) struct Listener {
    pub(super) fd: Rc<OwnedFd>,
    pub(super) accept: OpId,
    /// When to accept again after a failure.
    pub(super) retry_at: Option<Instant>,
}

impl Sockets {
    pub(super) fn put(&mut self, conn: Conn) {
        let slot = conn.id.0.slot as usize;
        if slot >= self.conns.len() {
            self.conns.resize_with(slot + 1, || None);
        }
        self.count += 1;
        // Forgotten, but not lost: a hand-over or a close for the old one is on its way.
        self.displaced.extend(self.conns[slot].replace(conn));
    }

    pub(super) fn get(&mut self, id: ConnId) -> Option<&mut Conn> {
        let in_slot = self.conns.get_mut(id.0.slot as usize).and_then(Option::as_mut);
        in_slot
            .filter(|conn| conn.id == id)
            .or_else(|| self.displaced.iter_mut().find(|conn| conn.id == id))
    }

    pub(super) fn remove(&mut self, id: ConnId) -> Option<Conn> {
        let in_slot = self.conns.get_mut(id.0.slot as usize);
        let conn = in_slot.and_then(|slot| slot.take_if(|conn| conn.id == id)).or_else(|| {
            let at = self.displaced.iter().position(|conn| conn.id == id)?;
            Some(self.displaced.swap_remove(at))
        })?;
        self.count -= 1;
        Some(conn)
    }
}
