//! Hashes both ways: what the peer asks of our trees, and we of it (BEP 52).

use crate::base::digest::Sha256;
use crate::base::instant::Instant;
use crate::base::limits::HASH_BACKLOG_MAX;
use crate::base::limits::HASH_QUEUE_MAX;
use crate::base::limits::HASH_REQUEST_LEN_MAX;
use crate::codec::hash_request::HashRequest;
use crate::codec::message::Message;
use crate::engine::peer::fault::PeerFault;
use crate::engine::peer::speech::state::Peer;
use crate::engine::peer::words::PeerEvent;

impl Peer {
    pub(crate) fn ask_hashes(&mut self, request: HashRequest) {
        self.hashes_owed += 1;
        self.say(&Message::HashRequest(request));
    }

    /// The next request of its that is to be answered, while little waits for it: answers are
    /// copied into what waits, so a peer that does not read must not gather them.
    pub(crate) fn next_hash_request(&mut self) -> Option<HashRequest> {
        let may_answer = self.outbox.len() < HASH_BACKLOG_MAX;
        if may_answer { self.hash_queue.pop_front() } else { None }
    }

    /// Answers a request, with a reject where there is nothing to say.
    pub(crate) fn answer_hashes(&mut self, request: HashRequest, hashes: Option<&[Sha256]>) {
        match hashes {
            Some(hashes) => {
                let bytes: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
                self.say(&Message::Hashes { request, hashes: &bytes });
            }
            None => {
                self.hash_reject_count += 1;
                self.say(&Message::HashReject(request));
            }
        }
    }

    /// Hash requests, hashes and rejects. Every request is answered, choked or not.
    pub(in crate::engine::peer) fn handle_hashes(
        &mut self,
        now: Instant,
        message: Message<'_>,
    ) -> Result<PeerEvent<'static>, PeerFault> {
        if !self.is_v2 {
            return Err(PeerFault::NotV2("a message about hashes"));
        }
        match message {
            Message::HashRequest(request) => self.handle_hash_request(now, request),
            Message::Hashes { request, hashes } => {
                self.take_answer(now)?;
                Ok(PeerEvent::Hashes { request, hashes: hashes.into() })
            }
            Message::HashReject(request) => {
                self.take_answer(now)?;
                Ok(PeerEvent::HashesRejected(request))
            }
            _ => Ok(PeerEvent::Nothing),
        }
    }

    /// Whoever fetches the layers of thousands of files may ask as fast as it reads; what costs us
    /// hashing, or was asked in vain, is rationed.
    fn handle_hash_request(
        &mut self,
        now: Instant,
        request: HashRequest,
    ) -> Result<PeerEvent<'static>, PeerFault> {
        let rationed = std::mem::take(&mut self.hash_reject_count);
        let rationed = rationed + u32::from(!is_ready_made(&request));
        (0..rationed).try_for_each(|_| self.take_control(now))?;
        if self.hash_queue.len() < HASH_QUEUE_MAX {
            self.hash_queue.push_back(request);
            return Ok(PeerEvent::HashesWanted);
        }
        self.answer_hashes(request, None);
        Ok(PeerEvent::Nothing)
    }

    /// What we asked for is welcome at any rate.
    fn take_answer(&mut self, now: Instant) -> Result<(), PeerFault> {
        if self.hashes_owed == 0 {
            return self.take_control(now);
        }
        self.hashes_owed -= 1;
        Ok(())
    }
}

/// Whether the answer is copied and not hashed: nodes without uncles, or so many nodes that their
/// uncles lie in the layers that are kept.
fn is_ready_made(request: &HashRequest) -> bool {
    let is_without_uncles = request.hash_count() == request.length;
    request.is_sound() && (request.length == HASH_REQUEST_LEN_MAX || is_without_uncles)
}
