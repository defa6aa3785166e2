//! Handshakes: by which name a peer is greeted, who may become one, and which version it speaks.
//!
//! A hybrid has two names. Who dials it by the v1 hash and says that it knows v2 is answered with
//! the v2 hash, and the connection speaks v2 from there on (BEP 52, upgrade path).

use std::net::SocketAddr;

use crate::base::digest::Sha1;
use crate::base::info_hashes::InfoHashes;
use crate::base::instant::Instant;
use crate::codec::handshake::Handshake;
use crate::engine::alert::AlertKind;
use crate::engine::candidates::REDIAL;
use crate::engine::candidates::Version;
use crate::engine::conn::Conn;
use crate::engine::conn::Stage;
use crate::engine::peer::speech::state::Peer;
use crate::engine::swarm::state::Swarm;
use crate::engine::to_ring::ConnId;
use crate::engine::turn::Turn;

/// Why a handshake does not make a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it is about another torrent")]
    OtherTorrent,
    #[error("the torrent is not active")]
    NotActive,
    #[error("it is banned")]
    Banned,
    #[error("the torrent has all the connections that it may have")]
    Full,
    #[error("it is ourselves")]
    Ourselves,
    #[error("it is connected already")]
    AlreadyThere,
}

impl Swarm {
    /// What the torrent is called, in each of its swarms.
    pub(crate) fn names(&self) -> InfoHashes {
        self.torrent.info_hashes()
    }

    /// The version whose swarm is called `name`.
    pub(crate) fn version_of(&self, name: Sha1) -> Version {
        let is_v2 = self.names().v2().is_some_and(|v2| v2.truncated() == name);
        if is_v2 { Version::V2 } else { Version::V1 }
    }

    /// What is said first to a peer that we dialled.
    pub(crate) fn greeting(&self, address: SocketAddr) -> Handshake {
        self.handshake(self.candidates.version(address))
    }

    /// Our handshake by the name of this version, or by the only name there is.
    fn handshake(&self, version: Version) -> Handshake {
        let names = self.names();
        let second = names.v2().filter(|_| version == Version::V2).map(|v2| v2.truncated());
        let name = second.unwrap_or_else(|| names.primary());
        Handshake::ours(name, self.peer_id).with_v2(names.v2().is_some())
    }

    /// The version that a connection speaks after this handshake: that of the name in it; v2 also
    /// if a stranger dialled by the v1 name and both of us know v2, which our answer says.
    fn agreed_version(&self, is_inbound: bool, theirs: &Handshake) -> Version {
        let may_upgrade = is_inbound && theirs.has_v2() && self.names().v2().is_some();
        if may_upgrade { Version::V2 } else { self.version_of(theirs.info_hash) }
    }

    /// Whether the handshake makes a peer.
    fn admit(
        &self,
        now: Instant,
        turn: &Turn,
        address: SocketAddr,
        theirs: &Handshake,
    ) -> Result<(), Refusal> {
        let is_there =
            |id| self.peers.get(id).is_some_and(|peer| peer.address.ip() == address.ip());
        match () {
            () if !self.names().swarms().any(|name| name == theirs.info_hash) => {
                Err(Refusal::OtherTorrent)
            }
            () if !self.takes_peers() => Err(Refusal::NotActive),
            () if theirs.peer_id == self.peer_id => Err(Refusal::Ourselves),
            () if self.candidates.is_banned(now, address) => Err(Refusal::Banned),
            () if self.peers.len() >= self.peers_max(turn) as usize => Err(Refusal::Full),
            () if self.roster.named(theirs.peer_id).any(is_there) => Err(Refusal::AlreadyThere),
            () => Ok(()),
        }
    }

    /// The handshake is over both ways: the connection becomes a peer, unless it is refused.
    pub(crate) fn introduce(
        &mut self,
        now: Instant,
        turn: &mut Turn,
        conn: ConnId,
        (address, is_inbound): (SocketAddr, bool),
        theirs: &Handshake,
    ) -> Result<(), Refusal> {
        self.admit(now, turn, address, theirs)?;
        self.dialling -= u32::from(!is_inbound);
        let version = self.agreed_version(is_inbound, theirs);
        let mut peer = Peer::new(conn, address, is_inbound, theirs, self.layout.clone(), now);
        peer.is_v2 = version == Version::V2;
        if is_inbound {
            peer.greet(&self.handshake(version));
        }
        match self.seeking {
            Some(_) => peer.await_layout(),
            None => peer.tell_pieces(&self.have),
        }
        peer.introduce(&self.introduction(turn, address.ip()));
        let id = self.seat(|_| peer);
        turn.settle(conn, self.slot, id);
        self.candidates.succeeded(address);
        self.alert(turn, AlertKind::PeerConnected { address, is_inbound });
        self.mark(id);
        self.changed();
        Ok(())
    }

    /// A handshake of a connection that we made was refused, and the connection is closed.
    pub(crate) fn refused(&mut self, now: Instant, conn: &Conn, refusal: Refusal) {
        self.dialling = self.dialling.saturating_sub(1);
        match refusal {
            Refusal::Ourselves => self.candidates.forget(conn.address),
            Refusal::OtherTorrent => self.candidates.failed(now, conn.address),
            _ => self.candidates.left(now, conn.address, REDIAL),
        }
    }

    /// A connection that we made ended before it was a peer.
    pub(crate) fn dial_failed(&mut self, now: Instant, conn: &Conn) {
        self.dialling = self.dialling.saturating_sub(1);
        let is_greeted = matches!(conn.stage, Stage::Greeted { .. });
        if is_greeted && self.names().is_hybrid() {
            self.candidates.hung_up(now, conn.address);
        } else {
            self.candidates.failed(now, conn.address);
        }
    }
}
