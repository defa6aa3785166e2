//! What happened on a connection of a scripted peer, as oracles ask for it.

use crate::base::instant::Instant;

/// What happened on the connection, for oracles.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerFacts {
    pub(crate) has_shaken_hands: bool,
    pub(crate) is_closed: bool,
    pub(crate) request_count: u32,
    pub(crate) block_count: u32,
    /// It was greeted by a name that it does not know.
    pub(crate) is_misnamed: bool,
    pub(crate) hash_request_count: u32,
    pub(crate) metadata_request_count: u32,
    /// Parts of metadata sent that are wrong.
    pub(crate) metadata_lie_count: u32,
    /// Blocks sent with a wrong bit.
    pub(crate) lie_count: u32,
    /// Since when the other side is unchoked, interested and asks for nothing.
    pub(crate) idle_since: Option<Instant>,
    /// The other side sent bytes that no correct engine sends.
    pub(crate) complaint: Option<String>,
}
