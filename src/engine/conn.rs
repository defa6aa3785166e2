//! A connection of the shard, from the first byte to its place in a swarm.

use std::net::SocketAddr;

use smallvec::SmallVec;

use crate::base::digest::Sha1;
use crate::base::instant::Instant;
use crate::base::slots::SlotId;
use crate::codec::handshake::HANDSHAKE_LEN;
use crate::codec::handshake::Handshake;
use crate::codec::handshake::HandshakeFault;
use crate::codec::handshake::INFO_HASH_END;
use crate::codec::handshake::info_hash_at;

/// A connection: where it leads and how far it is.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) address: SocketAddr,
    pub(crate) is_inbound: bool,
    pub(crate) stage: Stage,
    /// When the handshake must be over.
    pub(crate) deadline: Instant,
    /// Handshake bytes that wait to be sent.
    pub(crate) greeting: SmallVec<[u8; 68]>,
}

/// How far a connection is.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// Ours, not established yet, for this swarm.
    Dialling { swarm: SlotId },
    /// Ours, established: the peer's handshake is awaited.
    Greeted { swarm: SlotId, heard: Heard },
    /// A stranger's: its handshake tells what it is for.
    Stranger { heard: Heard },
    /// In its swarm.
    Peer { swarm: SlotId, peer: SlotId },
}

/// The bytes of a handshake that have come so far: at most 68.
pub(crate) type Heard = SmallVec<[u8; 68]>;

/// What a handshake's bytes amount to so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    More,
    /// A stranger has just named its torrent.
    Named(Sha1),
    Whole(Handshake),
}

impl Conn {
    /// Takes bytes of a handshake from `input`. Stops behind a stranger's info hash, once, so that
    /// the connection can go to the torrent's shard, and behind the whole.
    pub(crate) fn listen(&mut self, input: &mut &[u8]) -> Result<Step, HandshakeFault> {
        let (heard, is_stranger) = match &mut self.stage {
            Stage::Stranger { heard } => (heard, true),
            Stage::Greeted { heard, .. } => (heard, false),
            Stage::Dialling { .. } | Stage::Peer { .. } => return Ok(Step::More),
        };
        let stop =
            if is_stranger && heard.len() < INFO_HASH_END { INFO_HASH_END } else { HANDSHAKE_LEN };
        let count = input.len().min(stop - heard.len());
        heard.extend_from_slice(&input[..count]);
        *input = &input[count..];
        if count == 0 {
            return Ok(Step::More);
        }
        let named = info_hash_at(heard)?;
        match <&[u8; HANDSHAKE_LEN]>::try_from(&heard[..]) {
            Ok(whole) => Ok(Step::Whole(Handshake::decode(whole)?)),
            Err(_) if is_stranger && heard.len() == INFO_HASH_END => {
                Ok(named.map_or(Step::More, Step::Named))
            }
            Err(_) => Ok(Step::More),
        }
    }

    /// The swarm that it belongs to, once that is known.
    pub(crate) fn swarm(&self) -> Option<SlotId> {
        match &self.stage {
            Stage::Stranger { .. } => None,
            Stage::Dialling { swarm } => Some(*swarm),
            Stage::Greeted { swarm, .. } => Some(*swarm),
            Stage::Peer { swarm, .. } => Some(*swarm),
        }
    }
}
