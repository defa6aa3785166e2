//! What a peer can do wrong. Each closes its connection and nothing else.

use crate::base::limits::CONTROL_BACKLOG_MAX;
use crate::base::limits::CONTROL_RATE_MAX;
use crate::base::limits::REJECT_MAX;
use crate::codec::message_decoder::MessageFault;
use crate::codec::ut_metadata::MetadataFault;
use crate::content::layout::LayoutFault;

/// A stranger's mistake.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum PeerFault {
    #[error("bad message: {0}")]
    Message(#[from] MessageFault),
    #[error("message about a piece or block that does not exist: {0}")]
    Layout(#[from] LayoutFault),
    #[error("bitfield with spare bits set (BEP 3)")]
    SpareBits,
    #[error("{0} without the fast extension having been agreed (BEP 6)")]
    NotAgreed(&'static str),
    #[error("{0} on a connection that speaks v1 (BEP 52)")]
    NotV2(&'static str),
    #[error("more than {CONTROL_RATE_MAX} control messages per second")]
    Flood,
    #[error("more than {REJECT_MAX} requests that had to be rejected")]
    Rejects,
    #[error("does not read: more than {CONTROL_BACKLOG_MAX} bytes of messages wait for it")]
    Backlog,
    #[error("silent for too long")]
    Silent,
    #[error("does not read: one batch has waited for it too long")]
    Stuck,
    #[error("bad message: {0}")]
    Metadata(#[from] MetadataFault),
    #[error("bad extension handshake: {0}")]
    Extension(String),
}
