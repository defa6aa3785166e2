//! Control messages: greeting, interest, choking and what a peer says about itself.

use crate::base::instant::Instant;
use crate::base::limits::EXTENSION_HANDSHAKE_MAX;
use crate::base::limits::SUGGEST_MAX;
use crate::codec::extension::ExtensionHandshake;
use crate::codec::handshake::Handshake;
use crate::codec::message::Message;
use crate::engine::peer::fault::PeerFault;
use crate::engine::peer::speech::state::Peer;
use crate::engine::peer::uploads::Wanted;
use crate::engine::peer::words::PeerEvent;

impl Peer {
    // Verbs: what the swarm wants.

    /// Answers a stranger's handshake.
    pub(crate) fn greet(&mut self, ours: &Handshake) {
        self.outbox.extend_from_slice(&ours.encode());
    }

    /// Sends our extension handshake (BEP 10), if the peer speaks extensions.
    pub(crate) fn introduce(&mut self, ours: &ExtensionHandshake) {
        // As many as we take ourselves.
        if self.has_extensions && self.introductions < EXTENSION_HANDSHAKE_MAX {
            self.introductions += 1;
            self.say(&Message::Extended { id: 0, payload: &ours.encode() });
        }
    }

    /// Says interested or not interested, if that is news.
    pub(crate) fn set_interest(&mut self, wanted: bool) {
        if self.wants_us != wanted {
            self.wants_us = wanted;
            self.say(if wanted { &Message::Interested } else { &Message::NotInterested });
        }
    }

    /// Chokes: what it asked for is dropped, but with the fast extension, where each request is
    /// answered: what is not being read is rejected, the rest still goes out (BEP 6). Returns the
    /// bytes that were read for it in vain.
    pub(crate) fn choke(&mut self, now: Instant) -> usize {
        if self.unchoked_since.take().is_none() {
            return 0;
        }
        self.choked_since = Some(now);
        self.say(&Message::Choke);
        for wanted in self.uploads.take_queue() {
            self.reject(wanted);
        }
        if self.has_fast { 0 } else { self.uploads.drop_runs() }
    }

    pub(crate) fn unchoke(&mut self, now: Instant) {
        if self.unchoked_since.is_none() {
            self.unchoked_since = Some(now);
            self.sent_at_unchoke = self.sent.total();
            self.reject_count = 0;
            self.say(&Message::Unchoke);
        }
    }

    // handle_*: what the peer said.

    pub(in crate::engine::peer) fn handle_control(
        &mut self,
        message: Message<'_>,
    ) -> Result<PeerEvent<'static>, PeerFault> {
        match message {
            Message::Choke => Ok(self.handle_choke()),
            Message::Unchoke => {
                self.chokes_us = false;
                Ok(PeerEvent::Unchoked)
            }
            Message::Interested | Message::NotInterested => {
                self.is_interested = message == Message::Interested;
                Ok(PeerEvent::InterestChanged)
            }
            Message::Cancel { piece, begin, length } => {
                let piece = self.layout.request(piece, begin, length)?;
                let wanted = Wanted { piece, begin, length };
                if self.uploads.cancel(wanted) {
                    self.reject(wanted);
                }
                Ok(PeerEvent::Nothing)
            }
            Message::AllowedFast(piece) => self.handle_allowed_fast(piece),
            Message::Suggest(piece) => {
                self.agreed("suggest piece")?;
                self.layout.piece(piece)?;
                Ok(PeerEvent::Nothing)
            }
            Message::Extended { id: 0, payload } => self.handle_introduction(payload),
            // Extensions that we did not announce, DHT ports and keep-alives: nothing to do.
            _ => Ok(PeerEvent::Nothing),
        }
    }

    /// BEP 6: a choke does not reject requests; without it, it drops them all.
    fn handle_choke(&mut self) -> PeerEvent<'static> {
        self.chokes_us = true;
        if self.has_fast {
            return PeerEvent::Choked(Vec::new());
        }
        PeerEvent::Choked(self.pipeline.take_all())
    }

    fn handle_allowed_fast(&mut self, piece: u32) -> Result<PeerEvent<'static>, PeerFault> {
        self.agreed("allowed fast")?;
        let piece = self.layout.piece(piece)?;
        if self.allowed_fast.len() < SUGGEST_MAX && !self.allowed_fast.contains(&piece) {
            self.allowed_fast.push(piece);
        }
        Ok(PeerEvent::AllowedFast)
    }

    fn handle_introduction(&mut self, payload: &[u8]) -> Result<PeerEvent<'static>, PeerFault> {
        self.extension_handshakes += 1;
        if self.extension_handshakes > EXTENSION_HANDSHAKE_MAX {
            return Err(PeerFault::Extension("sent too many times".to_owned()));
        }
        let theirs = ExtensionHandshake::decode(payload)
            .map_err(|fault| PeerFault::Extension(fault.to_string()))?;
        if let Some(reqq) = theirs.reqq {
            self.pipeline.set_queue_max(reqq);
        }
        self.desk.introduced(theirs.ids.ut_metadata, theirs.metadata_size);
        self.is_upload_only = theirs.upload_only.unwrap_or(self.is_upload_only);
        self.client = theirs.client.or_else(|| self.client.take());
        Ok(PeerEvent::Introduced)
    }
}
