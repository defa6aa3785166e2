//! A peer's state: what each side told the other, and what waits to be sent.

use std::collections::VecDeque;
use std::net::SocketAddr;

use smallvec::SmallVec;

use crate::base::ids::PieceIndex;
use crate::base::instant::Instant;
use crate::base::limits::CONTROL_BACKLOG_MAX;
use crate::base::rate::Rate;
use crate::codec::handshake::Handshake;
use crate::codec::hash_request::HashRequest;
use crate::codec::message::Message;
use crate::codec::message_decoder::Decoder;
use crate::codec::message_decoder::MessageLimits;
use crate::content::layout::Layout;
use crate::engine::peer::control::Allowance;
use crate::engine::peer::desk::Desk;
use crate::engine::peer::fault::PeerFault;
use crate::engine::peer::pieces::Pieces;
use crate::engine::peer::pipeline::Pipeline;
use crate::engine::peer::premature::Early;
use crate::engine::peer::pulse::Pulse;
use crate::engine::peer::uploads::Uploads;
use crate::engine::peer::words::Receiving;
use crate::engine::to_ring::ConnId;

/// A connected peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) conn: ConnId,
    pub(crate) address: SocketAddr,
    pub(crate) is_inbound: bool,
    pub(crate) peer_id: [u8; 20],
    pub(crate) pieces: Pieces,
    pub(crate) pipeline: Pipeline,
    pub(crate) uploads: Uploads,
    pub(crate) desk: Desk,
    /// Hash requests of its that wait for an answer, at most `HASH_QUEUE_MAX`.
    pub(in crate::engine::peer) hash_queue: VecDeque<HashRequest>,
    /// Pieces whose leaves were hashed anew for it.
    pub(crate) leaves_served: u32,
    /// Answers to our hash requests that have not come.
    pub(in crate::engine::peer) hashes_owed: u32,
    /// Hash requests of its that were rejected since the last one came.
    pub(in crate::engine::peer) hash_reject_count: u32,
    pub(crate) received: Rate,
    pub(crate) sent: Rate,
    /// Pieces it has and we want.
    pub(crate) wanted_count: u32,
    pub(crate) allowed_fast: SmallVec<[PieceIndex; 4]>,
    pub(crate) client: Option<String>,
    pub(crate) is_upload_only: bool,
    /// The connection speaks v2: only then may it carry hash requests (BEP 52).
    pub(crate) is_v2: bool,
    pub(crate) connected_since: Instant,
    pub(crate) unchoked_since: Option<Instant>,
    /// When it was choked last; `None` if it was never unchoked.
    pub(crate) choked_since: Option<Instant>,
    /// Payload sent since it was unchoked: what round robin turns on.
    pub(crate) sent_at_unchoke: u64,
    /// The block whose bytes are arriving.
    pub(crate) receiving: Option<Receiving>,
    /// On its swarm's list of peers with something due this turn.
    pub(crate) is_due: bool,
    /// Waits in the shard's queue for room to be read for.
    pub(crate) awaits_read: bool,
    pub(in crate::engine::peer) has_fast: bool,
    pub(in crate::engine::peer) has_extensions: bool,
    pub(in crate::engine::peer) chokes_us: bool,
    pub(in crate::engine::peer) is_interested: bool,
    pub(in crate::engine::peer) wants_us: bool,
    pub(in crate::engine::peer) has_told_pieces: bool,
    pub(in crate::engine::peer) has_spoken: bool,
    pub(in crate::engine::peer) decoder: Decoder,
    pub(in crate::engine::peer) layout: Layout,
    pub(in crate::engine::peer) outbox: Vec<u8>,
    pub(in crate::engine::peer) control: Allowance,
    pub(in crate::engine::peer) reject_count: u32,
    pub(in crate::engine::peer) extension_handshakes: u32,
    /// Extension handshakes of ours.
    pub(in crate::engine::peer) introductions: u32,
    /// What it told before the layout was known; `None` once it is.
    pub(in crate::engine::peer) early: Option<Box<Early>>,
    pub(in crate::engine::peer) pulse: Pulse,
}

impl Peer {
    pub(crate) fn new(
        conn: ConnId,
        address: SocketAddr,
        is_inbound: bool,
        theirs: &Handshake,
        layout: Layout,
        now: Instant,
    ) -> Peer {
        Peer {
            conn,
            address,
            is_inbound,
            peer_id: theirs.peer_id,
            pieces: Pieces::none(layout.piece_count()),
            pipeline: Pipeline::new(now),
            uploads: Uploads::default(),
            desk: Desk::default(),
            hash_queue: VecDeque::new(),
            leaves_served: 0,
            hashes_owed: 0,
            hash_reject_count: 0,
            received: Rate::default(),
            sent: Rate::default(),
            wanted_count: 0,
            allowed_fast: SmallVec::new(),
            client: None,
            is_upload_only: false,
            is_v2: false,
            connected_since: now,
            unchoked_since: None,
            choked_since: None,
            sent_at_unchoke: 0,
            receiving: None,
            is_due: false,
            awaits_read: false,
            has_fast: theirs.has_fast(),
            has_extensions: theirs.has_extensions(),
            chokes_us: true,
            is_interested: false,
            wants_us: false,
            has_told_pieces: false,
            has_spoken: false,
            decoder: Decoder::new(MessageLimits::new(layout.piece_count())),
            layout,
            outbox: Vec::new(),
            control: Allowance::new(now),
            reject_count: 0,
            extension_handshakes: 0,
            introductions: 0,
            early: None,
            pulse: Pulse::new(now),
        }
    }

    pub(crate) fn has_output(&self) -> bool {
        !self.outbox.is_empty() || self.uploads.is_ready()
    }

    /// The peer does not read and too much waits for it.
    pub(crate) fn is_backlogged(&self) -> bool {
        self.outbox.len() > CONTROL_BACKLOG_MAX
    }

    /// Whether it is known to have everything.
    pub(crate) fn is_seed(&self) -> bool {
        self.early.is_none() && self.pieces.is_all()
    }

    pub(crate) fn chokes_us(&self) -> bool {
        self.chokes_us
    }

    pub(crate) fn is_interested(&self) -> bool {
        self.is_interested
    }

    pub(crate) fn wants_us(&self) -> bool {
        self.wants_us
    }

    pub(in crate::engine::peer) fn say(&mut self, message: &Message<'_>) {
        message.encode(&mut self.outbox);
    }

    pub(in crate::engine::peer) fn agreed(&self, what: &'static str) -> Result<(), PeerFault> {
        if self.has_fast { Ok(()) } else { Err(PeerFault::NotAgreed(what)) }
    }

    pub(in crate::engine::peer) fn take_control(&mut self, now: Instant) -> Result<(), PeerFault> {
        if self.control.take(now) { Ok(()) } else { Err(PeerFault::Flood) }
    }
}

// Thousands of idle peers are held: what few of them need is boxed.
const _: () = assert!(size_of::<Peer>() <= 896);
