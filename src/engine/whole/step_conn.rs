//! Connections from the first byte to the last: accepted or made, greeted, routed, closed.

use std::net::SocketAddr;

use crate::base::digest::Sha1;
use crate::base::instant::Instant;
use crate::base::slots::SlotId;
use crate::codec::handshake::Handshake;
use crate::engine::conn::Heard;
use crate::engine::conn::Stage;
use crate::engine::conn::Step;
use crate::engine::swarm::step_handshake::Refusal;
use crate::engine::to_ring::CloseReason;
use crate::engine::to_ring::ConnId;
use crate::engine::to_ring::Output;
use crate::engine::whole::state::Engine;

impl Engine {
    /// A stranger connected. `None`: there is no room, the ring closes the socket at once.
    pub(crate) fn handle_accepted(&mut self, now: Instant, remote: SocketAddr) -> Option<ConnId> {
        self.now = now;
        if self.shutdown.is_some() || !self.turn.gate.admit(remote) {
            return None;
        }
        let stage = Stage::Stranger { heard: Heard::new() };
        Some(self.turn.insert_conn(now, remote, true, stage))
    }

    /// Another shard hands a connection over, with the bytes that it has read.
    pub(crate) fn handle_adopted(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        bytes: &[u8],
    ) -> Option<ConnId> {
        let conn = self.handle_accepted(now, remote)?;
        self.handle_bytes(now, conn, bytes);
        Some(conn)
    }

    /// Our connect succeeded: greet first (BEP 3).
    pub(crate) fn handle_connected(&mut self, now: Instant, conn: ConnId) {
        self.now = now;
        let Some(state) = self.turn.conns.get_mut(conn.0) else { return };
        let Stage::Dialling { swarm } = state.stage else { return };
        let Some(owner) = self.swarms.awake(swarm) else { return };
        state.greeting = owner.greeting(state.address).encode().into();
        state.stage = Stage::Greeted { swarm, heard: Heard::new() };
        self.turn.gate.dialled();
        self.turn.outputs.push_back(Output::Send { conn });
    }

    pub(crate) fn handle_bytes(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) {
        self.now = now;
        if let Some((slot, peer)) = self.turn.peer_of(conn) {
            self.contain(slot, |swarm, turn| swarm.handle_bytes(now, turn, peer, bytes));
        } else {
            self.listen(now, conn, bytes);
        }
    }

    /// Bytes of a handshake.
    pub(crate) fn listen(&mut self, now: Instant, conn: ConnId, mut bytes: &[u8]) {
        let Some(state) = self.turn.conns.get_mut(conn.0) else { return };
        match state.listen(&mut bytes) {
            Ok(Step::More) => {}
            Ok(Step::Named(info_hash)) => self.route(now, conn, info_hash, bytes),
            Ok(Step::Whole(theirs)) => self.introduce(now, conn, &theirs, bytes),
            Err(_) => self.conn_failed(now, conn, true),
        }
    }

    /// A stranger named a torrent before its handshake was whole, or with the end of it: if it
    /// lives on another shard, so does the connection from here on.
    pub(crate) fn route(&mut self, now: Instant, conn: ConnId, info_hash: Sha1, rest: &[u8]) {
        if self.swarms.serves(&info_hash) {
            // Ours: the rest of the handshake is awaited.
            return self.listen(now, conn, rest);
        }
        let home = self.turn.home_of(&info_hash);
        let Some(to) = home else { return self.conn_failed(now, conn, true) };
        let Some(state) = self.turn.forget_conn(conn) else { return };
        let Stage::Stranger { heard } = state.stage else { return };
        let mut bytes = heard.to_vec();
        bytes.extend_from_slice(rest);
        self.turn.outputs.push_back(Output::HandOver { conn, to, bytes });
    }

    /// The handshake is whole: the connection becomes a peer, or ends.
    pub(crate) fn introduce(
        &mut self,
        now: Instant,
        conn: ConnId,
        theirs: &Handshake,
        rest: &[u8],
    ) {
        let Some(state) = self.turn.conns.get(conn.0) else { return };
        let (address, is_inbound) = (state.address, state.is_inbound);
        let slot = state.swarm().or_else(|| self.swarms.by_hash(&theirs.info_hash));
        let Some(slot) = slot else { return self.conn_failed(now, conn, true) };
        let introduced = self.contain(slot, |swarm, turn| {
            swarm.introduce(now, turn, conn, (address, is_inbound), theirs)
        });
        match introduced {
            Some(Ok(())) => self.handle_bytes(now, conn, rest),
            Some(Err(refusal)) => self.refuse(now, conn, slot, refusal),
            None => self.conn_failed(now, conn, true),
        }
    }

    pub(crate) fn refuse(&mut self, now: Instant, conn: ConnId, slot: SlotId, refusal: Refusal) {
        let Some(state) = self.turn.close_conn(conn) else { return };
        if !state.is_inbound {
            self.contain(slot, |swarm, _| swarm.refused(now, &state, refusal));
        }
    }

    /// All of a batch left.
    pub(crate) fn handle_sent(&mut self, now: Instant, conn: ConnId, _byte_count: usize) {
        self.now = now;
        if let Some((slot, peer)) = self.turn.peer_of(conn) {
            self.contain(slot, |swarm, turn| swarm.handle_sent(now, turn, peer));
        }
    }

    /// The ring closed the connection, or could not make it.
    pub(crate) fn handle_closed(&mut self, now: Instant, conn: ConnId, reason: CloseReason) {
        self.now = now;
        if let Some((slot, peer)) = self.turn.peer_of(conn) {
            self.turn.forget_conn(conn);
            self.contain(slot, |swarm, turn| swarm.peer_closed(now, turn, peer, reason));
        } else {
            self.conn_failed(now, conn, false);
        }
    }

    /// A connection ended before it was a peer.
    pub(crate) fn conn_failed(&mut self, now: Instant, conn: ConnId, must_close: bool) {
        let state =
            if must_close { self.turn.close_conn(conn) } else { self.turn.forget_conn(conn) };
        let Some(state) = state else { return };
        let Some(slot) = state.swarm() else { return };
        self.contain(slot, |swarm, _| swarm.dial_failed(now, &state));
    }
}
