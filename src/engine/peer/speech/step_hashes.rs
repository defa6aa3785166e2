//! Hashes both ways: what the peer asks of our trees, and we of it (BEP 52).

use crate::base::digest::Sha256;
use crate::base::limits::HASH_BACKLOG_MAX;
use crate::base::limits::HASH_QUEUE_MAX;
use crate::codec::hash_request::HashRequest;
use crate::codec::message::Message;
use crate::engine::peer::fault::PeerFault;
use crate::engine::peer::speech::state::Peer;
use crate::engine::peer::words::PeerEvent;

impl Peer {
    pub(crate) fn ask_hashes(&mut self, request: HashRequest) {
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
            None => self.say(&Message::HashReject(request)),
        }
    }

    /// Hash requests, hashes and rejects. Every request is answered, choked or not.
    pub(in crate::engine::peer) fn handle_hashes(
        &mut self,
        message: Message<'_>,
    ) -> Result<PeerEvent<'static>, PeerFault> {
        if !self.is_v2 {
            return Err(PeerFault::NotV2("a message about hashes"));
        }
        Ok(match message {
            Message::HashRequest(request) if self.hash_queue.len() < HASH_QUEUE_MAX => {
                self.hash_queue.push_back(request);
                PeerEvent::HashesWanted
            }
            Message::HashRequest(request) => {
                self.answer_hashes(request, None);
                PeerEvent::Nothing
            }
            Message::Hashes { request, hashes } => {
                PeerEvent::Hashes { request, hashes: hashes.into() }
            }
            Message::HashReject(request) => PeerEvent::HashesRejected(request),
            _ => PeerEvent::Nothing,
        })
    }
}
