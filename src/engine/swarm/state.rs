//! A swarm's state: one torrent on its shard, its peers and what is under way.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::base::bitfield::Bitfield;
use crate::base::ids::FileIndex;
use crate::base::ids::PieceIndex;
use crate::base::ids::TorrentId;
use crate::base::instant::Instant;
use crate::base::published::Published;
use crate::base::rate::Rate;
use crate::base::slots::SlotId;
use crate::base::slots::Slots;
use crate::base::status::TorrentState;
use crate::base::status::TorrentStats;
use crate::content::layout::Layout;
use crate::content::torrent::Torrent;
use crate::engine::add::Addition;
use crate::engine::add::Allocation;
use crate::engine::add::Known;
use crate::engine::add::PieceOrder;
use crate::engine::add::WriteMode;
use crate::engine::alert::AlertKind;
use crate::engine::announce::Announcer;
use crate::engine::blame::Blame;
use crate::engine::candidates::Candidates;
use crate::engine::choke::Choker;
use crate::engine::command::Ticket;
use crate::engine::disk::DiskOp;
use crate::engine::disk::JobId;
use crate::engine::layers::Layers;
use crate::engine::peer::speech::state::Peer;
use crate::engine::pick::Picker;
use crate::engine::slot_count::SlotCount;
use crate::engine::swarm::annex::Annex;
use crate::engine::swarm::assemblies::Assemblies;
use crate::engine::swarm::beat::Beat;
use crate::engine::swarm::choosing::Choosing;
use crate::engine::swarm::file_progress::FileProgress;
use crate::engine::swarm::journey::Journey;
use crate::engine::swarm::late_check::LateCheck;
use crate::engine::swarm::lending::Lending;
use crate::engine::swarm::readings::Check;
use crate::engine::swarm::readings::Readings;
use crate::engine::swarm::roster::Roster;
use crate::engine::swarm::seeking::Seeking;
use crate::engine::swarm::selection::Selection;
use crate::engine::turn::Purpose;
use crate::engine::turn::Turn;

/// What the swarm is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Asking peers for the metadata of a magnet.
    Metadata,
    /// Nothing is known of the files yet.
    Opening,
    /// Hashing what is there.
    Checking,
    /// Making the files that are missing.
    Creating,
    /// Fetching or serving.
    Active,
    /// Stopped by command.
    Paused,
    /// Stopped by an error.
    Broken,
    /// Ending: jobs and trackers are waited for, then the store is closed.
    Leaving,
    /// Nothing is left.
    Left,
}

/// Tells who asked for the swarm's end once it is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leave {
    Removed(Ticket),
    Shutdown,
    /// It helped another shard, and does so no more.
    Annex,
}

/// One torrent on its shard.
#[derive(Debug)]
pub(crate) struct Swarm {
    pub(crate) slot: SlotId,
    pub(crate) id: TorrentId,
    pub(crate) torrent: Arc<Torrent>,
    pub(crate) layout: Layout,
    pub(crate) peer_id: [u8; 20],
    pub(crate) phase: Phase,
    pub(crate) error: Option<String>,
    pub(crate) leave: Option<Leave>,
    pub(crate) have: Bitfield,
    pub(crate) picker: Picker,
    pub(crate) assemblies: Assemblies,
    pub(crate) readings: Readings,
    pub(crate) check: Option<Check>,
    /// Pieces on the disk that could not be checked with the others.
    pub(crate) late_check: Option<LateCheck>,
    /// Pieces that passed and are being written.
    pub(crate) writing: BTreeSet<PieceIndex>,
    pub(crate) files: FileProgress,
    /// Hashes of v2 trees that the torrent came without.
    pub(crate) layers: Layers,
    pub(crate) selection: Selection,
    /// Files that are being made.
    pub(crate) making: Option<Arc<[FileIndex]>>,
    /// The metadata that is sought; `None` once the torrent is known.
    pub(crate) seeking: Option<Box<Seeking>>,
    /// Bytes of what peers told of their pieces before the torrent was known.
    pub(crate) early_held: usize,
    pub(crate) known: Arc<Known>,
    /// Its metadata may have told another name of it.
    pub(crate) is_renamed: bool,
    pub(crate) order: PieceOrder,
    pub(crate) blame: Blame,
    pub(crate) candidates: Candidates,
    pub(crate) choker: Choker<SlotId>,
    pub(crate) seed_slots: SlotCount,
    /// Somebody's interest changed: slots are given anew soon.
    pub(crate) wants_choice: bool,
    /// A round of the choker is over: the same, and slots are weighed.
    pub(crate) wants_round: bool,
    /// No choice before this one: choosing among thousands takes its time.
    pub(crate) choose_from: Instant,
    pub(crate) choosing: Option<Box<Choosing>>,
    pub(crate) announcer: Announcer,
    pub(crate) has_announced_stop: bool,
    pub(crate) peers: Slots<Peer>,
    pub(crate) roster: Roster,
    /// Peers with something due this turn.
    pub(crate) due: VecDeque<SlotId>,
    /// The way to mark all of them so.
    pub(crate) marking: Beat,
    /// Outgoing connections that are not peers yet.
    pub(crate) dialling: u32,
    /// A budget said no: ask again when something came back.
    pub(crate) is_starved: bool,
    pub(crate) jobs: u32,
    /// Files that are being given their final name.
    pub(crate) naming: u32,
    pub(crate) is_finished: bool,
    /// Peers were told that we will not download (BEP 21).
    pub(crate) is_upload_only: bool,
    /// Something was written or named since the last sync.
    pub(crate) needs_sync: bool,
    pub(crate) received: Rate,
    pub(crate) sent: Rate,
    pub(crate) wasted: u64,
    pub(crate) next_tick: Instant,
    /// The tick that is under way.
    pub(crate) ticking: Beat,
    pub(crate) is_ticking: bool,
    /// When figures are published next; `None` while nothing changed.
    pub(crate) publish_at: Option<Instant>,
    pub(crate) published_at: Instant,
    pub(crate) stats: Arc<Published<TorrentStats>>,
    /// The torrent is another shard's, which this one helps.
    pub(crate) annex: Option<Box<Annex>>,
    /// The shards that help, if ever any did.
    pub(crate) lending: Option<Box<Lending>>,
    /// Peers that are about to leave for another shard.
    pub(crate) journeys: BTreeMap<SlotId, Journey>,
    /// In the shard's queue of swarms that received what may be hashed.
    pub(crate) is_hashing: bool,
    /// On the engine's list of swarms with something due this turn.
    pub(crate) is_due: bool,
    /// The engine's timer for this swarm.
    pub(crate) timer: Option<Instant>,
    /// On the engine's list of swarms that may fall asleep.
    pub(crate) is_drowsy: bool,
    pub(super) directory: Arc<Path>,
    pub(super) allocation: Allocation,
    pub(super) write_mode: WriteMode,
}

/// Figures are published at most this often (D15).
pub(crate) const PUBLISH_INTERVAL: Duration = Duration::from_millis(200);

/// Peers marked per call: some microseconds.
const MARK_MAX: u32 = 64;

impl Swarm {
    pub(crate) fn new(slot: SlotId, addition: Addition, now: Instant, turn: &mut Turn) -> Swarm {
        let layout = addition.torrent.layout().clone();
        let candidates = first_candidates(&addition, now);
        let names = addition.torrent.info_hashes();
        let seeking = addition.magnet.map(|hints| Box::new(Seeking::new(names, *hints, now)));
        Swarm {
            slot,
            id: addition.id,
            peer_id: peer_id(turn),
            phase: first_phase(addition.is_paused, seeking.is_some()),
            error: None,
            leave: None,
            have: Bitfield::zeros(layout.piece_count()),
            picker: picker(&layout, addition.order),
            layout,
            assemblies: Assemblies::default(),
            readings: Readings::default(),
            check: None,
            late_check: None,
            writing: BTreeSet::new(),
            files: FileProgress::default(),
            layers: Layers::new(&addition.torrent),
            selection: Selection::new(addition.choice),
            making: None,
            seeking,
            early_held: 0,
            known: addition.known,
            is_renamed: false,
            order: addition.order,
            blame: Blame::default(),
            candidates,
            choker: Choker::new(now),
            seed_slots: SlotCount::new(),
            wants_choice: false,
            wants_round: false,
            choose_from: now,
            choosing: None,
            announcer: Announcer::new(names, addition.torrent.trackers(), &mut turn.rng),
            has_announced_stop: false,
            peers: Slots::default(),
            roster: Roster::default(),
            due: VecDeque::new(),
            marking: Beat::default(),
            dialling: 0,
            is_starved: false,
            jobs: 0,
            naming: 0,
            is_finished: false,
            is_upload_only: false,
            needs_sync: false,
            received: Rate::default(),
            sent: Rate::default(),
            wasted: 0,
            next_tick: now,
            ticking: Beat::default(),
            is_ticking: false,
            publish_at: Some(now),
            published_at: now,
            stats: addition.stats,
            annex: None,
            lending: None,
            journeys: BTreeMap::new(),
            is_hashing: false,
            is_due: false,
            timer: None,
            is_drowsy: false,
            torrent: addition.torrent,
            directory: addition.directory,
            allocation: addition.allocation,
            write_mode: addition.write_mode,
        }
    }

    /// Raises an alert about this torrent.
    pub(crate) fn alert(&self, turn: &mut Turn, kind: AlertKind) {
        turn.alert(Some((self.id, self.names())), kind);
    }

    /// Asks the disk, and counts the job.
    pub(crate) fn disk(&mut self, turn: &mut Turn, purpose: Purpose, op: DiskOp) -> JobId {
        self.jobs += 1;
        turn.disk(self.slot, self.id, purpose, op)
    }

    /// Its first deed.
    pub(crate) fn begin(&mut self, now: Instant, turn: &mut Turn) {
        self.alert(turn, AlertKind::Added);
        self.apply_choice(turn);
        match self.phase {
            Phase::Metadata => self.seek(now, turn),
            Phase::Opening => self.open(turn),
            _ => {}
        }
    }

    pub(crate) fn directory(&self) -> &Arc<Path> {
        &self.directory
    }

    pub(crate) fn allocation(&self) -> Allocation {
        self.allocation
    }

    /// The job that looks at the torrent's files.
    pub(crate) fn open(&mut self, turn: &mut Turn) {
        self.phase = Phase::Opening;
        // Whatever failed to be named in an earlier life is tried again in this one.
        self.naming = 0;
        let op = DiskOp::Open {
            torrent: Arc::clone(&self.torrent),
            directory: Arc::clone(&self.directory),
            allocation: self.allocation,
            write_mode: self.write_mode,
        };
        self.disk(turn, Purpose::Open, op);
    }

    /// Has something due this turn for this peer.
    pub(crate) fn mark(&mut self, peer: SlotId) {
        if let Some(state) = self.peers.get_mut(peer)
            && !state.is_due
        {
            state.is_due = true;
            self.due.push_back(peer);
        }
    }

    /// The same for all peers, some at a time.
    pub(crate) fn mark_all(&mut self) {
        self.marking.begin(self.peers.bound());
    }

    /// Goes on with that.
    pub(crate) fn mark_some(&mut self) {
        for slot in self.marking.next(self.peers.bound(), MARK_MAX) {
            if let Some(id) = self.peers.id_at(slot) {
                self.mark(id);
            }
        }
    }

    /// Whether every piece is there, wanted or not.
    pub(crate) fn is_complete(&self) -> bool {
        self.seeking.is_none() && self.have.is_full()
    }

    pub(crate) fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }

    /// Whether peers are dialled and accepted.
    pub(crate) fn takes_peers(&self) -> bool {
        matches!(self.phase, Phase::Metadata | Phase::Active)
    }

    /// Whether peers may be there, even if no more are taken just now.
    pub(crate) fn keeps_peers(&self) -> bool {
        let is_under_way = matches!(self.phase, Phase::Opening | Phase::Checking | Phase::Creating);
        self.takes_peers() || is_under_way
    }

    /// Figures changed: they are published soon.
    pub(crate) fn changed(&mut self) {
        let soon = self.published_at + PUBLISH_INTERVAL;
        if self.publish_at.is_none_or(|at| at > soon) {
            self.publish_at = Some(soon);
        }
    }

    pub(crate) fn state(&self) -> TorrentState {
        match self.phase {
            Phase::Metadata => TorrentState::Metadata,
            Phase::Opening | Phase::Creating => TorrentState::Opening,
            Phase::Checking => TorrentState::Checking,
            Phase::Active if self.is_done() => TorrentState::Seeding,
            Phase::Active => TorrentState::Downloading,
            Phase::Broken => TorrentState::Error,
            Phase::Paused | Phase::Leaving | Phase::Left => TorrentState::Paused,
        }
    }

    /// Takes a peer in.
    pub(crate) fn seat(&mut self, make: impl FnOnce(SlotId) -> Peer) -> SlotId {
        let id = self.peers.insert_with(make);
        if let Some(peer) = self.peers.get(id) {
            self.roster.insert(id, peer.address, peer.peer_id);
        }
        id
    }

    /// Lets it go.
    pub(crate) fn unseat(&mut self, id: SlotId) -> Option<Peer> {
        let peer = self.peers.remove(id)?;
        self.roster.remove(id, peer.address, peer.peer_id);
        Some(peer)
    }

    /// The peer at this address, if one is connected.
    pub(crate) fn peer_at(&self, address: SocketAddr) -> Option<SlotId> {
        self.roster.at(address)
    }
}

fn first_phase(is_paused: bool, is_sought: bool) -> Phase {
    match is_sought {
        _ if is_paused => Phase::Paused,
        true => Phase::Metadata,
        false => Phase::Opening,
    }
}

fn picker(layout: &Layout, order: PieceOrder) -> Picker {
    let mut picker = Picker::new(layout.clone());
    picker.set_sequential(order == PieceOrder::Sequential);
    picker
}

/// Peers that the torrent came with.
fn first_candidates(addition: &Addition, now: Instant) -> Candidates {
    let mut candidates = Candidates::default();
    let hinted = addition.magnet.iter().flat_map(|hints| &hints.peers);
    addition.peers.iter().chain(hinted).for_each(|address| candidates.add(now, *address));
    candidates
}

/// A peer id of our own for each torrent: the prefix and twelve random letters and digits, so that
/// it survives every URL encoder.
fn peer_id(turn: &mut Turn) -> [u8; 20] {
    const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut id = [0; 20];
    id[..8].copy_from_slice(&turn.settings.peer_id_prefix);
    for letter in &mut id[8..] {
        *letter = LETTERS[turn.rng.below(36) as usize];
    }
    id
}
