//! The pulse of a connection: when each side was last heard, and what is late.

use crate::base::instant::Instant;
use crate::base::limits::IDLE_TIMEOUT;
use crate::base::limits::KEEP_ALIVE_INTERVAL;
use crate::base::limits::SEND_TIMEOUT;
use crate::engine::peer::fault::PeerFault;

/// Last signs of life.
#[derive(Debug)]
pub(crate) struct Pulse {
    heard: Instant,
    spoke: Instant,
    /// When the batch that is being sent was handed out.
    sending_since: Option<Instant>,
}

impl Pulse {
    pub(crate) fn new(now: Instant) -> Pulse {
        Pulse { heard: now, spoke: now, sending_since: None }
    }

    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// A batch was handed out; an empty one is none.
    pub(crate) fn sending(&mut self, now: Instant, is_empty: bool) {
        self.sending_since = (!is_empty).then_some(now);
    }

    /// The batch left.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.spoke = now;
        self.sending_since = None;
    }

    /// Whether a keep-alive is due; a peer that was silent for too long, or did not read a batch
    /// for too long, is at fault.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<bool, PeerFault> {
        let is_stuck = |since: Instant| now.since(since) >= SEND_TIMEOUT;
        if self.sending_since.is_some_and(is_stuck) {
            return Err(PeerFault::Stuck);
        }
        if now.since(self.heard) >= IDLE_TIMEOUT {
            return Err(PeerFault::Silent);
        }
        let is_due = now.since(self.spoke) >= KEEP_ALIVE_INTERVAL;
        if is_due {
            self.spoke = now;
        }
        Ok(is_due)
    }
}
