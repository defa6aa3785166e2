//! A simulated session: the shards of one host, their disk, their directory, and what they said.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::base::digest::Sha1;
use crate::base::ids::ShardId;
use crate::base::ids::TorrentId;
use crate::base::instant::Instant;
use crate::base::published::Published;
use crate::base::rng::Rng;
use crate::base::status::TorrentStats;
use crate::content::wanted::FileChoice;
use crate::content::wanted::PriorityRuns;
use crate::content::wanted::RunWalk;
use crate::engine::add::Addition;
use crate::engine::add::Allocation;
use crate::engine::add::Known;
use crate::engine::add::PieceOrder;
use crate::engine::add::WriteMode;
use crate::engine::alert::Alert;
use crate::engine::alert::AlertKind;
use crate::engine::command::Command;
use crate::engine::command::Ticket;
use crate::engine::directory::Directory;
use crate::engine::disk::FileSeen;
use crate::engine::settings::Settings;
use crate::engine::to_ring::Reply;
use crate::sim::bundle::Bundle;
use crate::sim::disk::Disk;
use crate::sim::oracle::Block;
use crate::sim::post::Input;
use crate::sim::shard::Shard;

/// The port on which every session listens.
pub(crate) const PORT: u16 = 6881;

/// A torrent of the session, as the session knows it.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) bundle: Bundle,
    pub(crate) shard: ShardId,
    pub(crate) stats: Arc<Published<TorrentStats>>,
    /// What it is, as the engine told last.
    pub(crate) known: Arc<Known>,
    /// Blocks that came in, of pieces that did not fail since.
    pub(crate) got: BTreeSet<Block>,
    pub(crate) is_finished: bool,
    /// Neither paused nor stopped by an error, and its check is over.
    pub(crate) is_running: bool,
    /// Which files are wanted.
    pub(crate) choice: FileChoice,
    order: PieceOrder,
    peers: Vec<SocketAddr>,
}

impl Placed {
    /// Blocks of pieces that nobody wants.
    pub(crate) fn unwanted(&self) -> Vec<Block> {
        let (torrent, mut runs) = (&self.bundle.torrent, PriorityRuns::new());
        let priorities = self.choice.priorities(torrent);
        RunWalk::default().advance(torrent, &priorities, usize::MAX, &mut runs);
        let unwanted = runs.into_iter().filter(|(_, priority)| !priority.is_wanted());
        unwanted.flat_map(|(pieces, _)| self.bundle.blocks(pieces)).collect()
    }
}

/// One host with its engines.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) ip: IpAddr,
    pub(crate) disk: Disk,
    pub(crate) shards: Vec<Shard>,
    pub(crate) torrents: BTreeMap<TorrentId, Placed>,
    /// Rises by one per start: late answers for an earlier life are dropped.
    pub(crate) epoch: u32,
    settings: Settings,
    directory: Arc<Directory>,
    rng: Rng,
    next_ticket: u64,
    replies: BTreeMap<Ticket, Vec<Reply>>,
    alerts: Vec<Alert>,
    last_sequence: Vec<u64>,
    next_torrent: u64,
}

impl Site {
    /// A session of `shard_count` shards. `settings` are per shard.
    pub(crate) fn new(
        ip: IpAddr,
        settings: Settings,
        shard_count: u16,
        mut rng: Rng,
        now: Instant,
    ) -> Site {
        let disk_rng = Rng::new(rng.next_u64());
        let mut site = Site {
            ip,
            disk: Disk::new(disk_rng, Duration::from_millis(8)),
            shards: Vec::new(),
            torrents: BTreeMap::new(),
            epoch: 0,
            settings: Settings { announce_port: PORT, ..settings },
            directory: Directory::new(),
            rng,
            next_ticket: 0,
            replies: BTreeMap::new(),
            alerts: Vec::new(),
            last_sequence: Vec::new(),
            next_torrent: 0,
        };
        site.start(now, shard_count);
        site
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, PORT)
    }

    fn start(&mut self, now: Instant, shard_count: u16) {
        self.last_sequence = vec![0; usize::from(shard_count)];
        self.shards = (0..shard_count)
            .map(|id| {
                let (settings, directory) = (self.settings.clone(), Arc::clone(&self.directory));
                let id = (ShardId(id), usize::from(shard_count));
                Shard::new(id, settings, directory, self.rng.next_u64(), now)
            })
            .collect();
    }

    /// The process dies without a word and starts again with the same torrents; files stay.
    pub(crate) fn crash(&mut self, now: Instant) {
        self.epoch += 1;
        self.disk.crash();
        self.replies.clear();
        self.start(now, self.shards.len() as u16);
        for (id, placed) in std::mem::take(&mut self.torrents) {
            self.place(now, id, placed);
        }
    }

    /// Adds a torrent to the shard with this number; the peers are given by hand.
    pub(crate) fn add(
        &mut self,
        now: Instant,
        bundle: &Bundle,
        shard: u16,
        order: PieceOrder,
        peers: Vec<SocketAddr>,
    ) -> TorrentId {
        self.add_some(now, bundle, shard, (order, FileChoice::All), peers)
    }

    /// As [`Site::add`], with a choice of files.
    pub(crate) fn add_some(
        &mut self,
        now: Instant,
        bundle: &Bundle,
        shard: u16,
        (order, choice): (PieceOrder, FileChoice),
        peers: Vec<SocketAddr>,
    ) -> TorrentId {
        self.next_torrent += 1;
        let id = TorrentId(self.next_torrent);
        let stats = Arc::new(Published::new(empty_stats(id, bundle)));
        let placed = Placed {
            bundle: bundle.clone(),
            shard: ShardId(shard),
            stats,
            known: Arc::new(Published::new(None)),
            got: BTreeSet::new(),
            is_finished: false,
            is_running: false,
            order,
            peers,
            choice,
        };
        self.place(now, id, placed);
        id
    }

    fn place(&mut self, now: Instant, id: TorrentId, mut placed: Placed) {
        placed.got.clear();
        (placed.is_finished, placed.is_running) = (false, false);
        self.disk.expect(&placed.bundle.torrent);
        let addition = Addition {
            id,
            torrent: Arc::clone(&placed.bundle.given),
            directory: Path::new("simulated").into(),
            allocation: Allocation::Full,
            write_mode: WriteMode::Cached,
            order: placed.order,
            is_paused: false,
            choice: placed.choice.clone(),
            magnet: placed.bundle.magnet.clone(),
            known: Arc::clone(&placed.known),
            peers: placed.peers.clone(),
            stats: Arc::clone(&placed.stats),
        };
        let shard = placed.shard;
        for name in placed.bundle.torrent.info_hashes().swarms() {
            self.directory.set(name, Some(shard));
        }
        self.torrents.insert(id, placed);
        self.order(now, shard, Command::Add(Box::new(addition)));
    }

    /// Gives an order to a shard.
    pub(crate) fn order(&mut self, now: Instant, shard: ShardId, command: Command) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.replies.insert(ticket, Vec::new());
        self.shards[shard.as_usize()].push(now, Input::Command { ticket, command });
        ticket
    }

    /// Gives an order to a torrent's shard.
    pub(crate) fn order_of(
        &mut self,
        now: Instant,
        id: TorrentId,
        command: impl FnOnce(TorrentId) -> Command,
    ) -> Ticket {
        let shard = self.torrents[&id].shard;
        self.order(now, shard, command(id))
    }

    pub(crate) fn replies(&self, ticket: Ticket) -> &[Reply] {
        self.replies.get(&ticket).map_or(&[], Vec::as_slice)
    }

    /// Everything that was said so far.
    pub(crate) fn alerts(&self) -> &[Alert] {
        &self.alerts
    }

    pub(crate) fn count_alerts(&self, is_meant: impl Fn(&AlertKind) -> bool) -> usize {
        self.alerts.iter().filter(|alert| is_meant(&alert.kind)).count()
    }

    /// Whether everything that is wanted is there, its files under their final names.
    pub(crate) fn has_wanted(&self, id: TorrentId) -> bool {
        let Some(placed) = self.torrents.get(&id) else { return false };
        let torrent = &placed.bundle.torrent;
        let Some(contents) = self.disk.contents(&torrent.info_hash()) else { return false };
        let priorities = placed.choice.priorities(torrent);
        let mut files = torrent.file_list().iter().filter(|(file, _)| priorities.wants(*file));
        placed.is_finished
            && files.all(|(file, entry)| {
                let range = entry.offset() as usize..(entry.offset() + entry.length()) as usize;
                let seen = contents.seen()[file.as_usize()];
                !entry.is_on_disk()
                    || matches!(seen, FileSeen::Final { .. })
                        && contents.bytes()[range.clone()] == placed.bundle.bytes[range]
            })
    }

    /// Chooses files anew.
    pub(crate) fn choose(&mut self, now: Instant, id: TorrentId, choice: FileChoice) -> Ticket {
        if let Some(placed) = self.torrents.get_mut(&id) {
            placed.choice = choice.clone();
            placed.is_finished = false;
        }
        self.order_of(now, id, |id| Command::ChooseFiles(id, choice))
    }

    /// Whether the torrent is complete, and its files lie under their final names.
    pub(crate) fn is_complete(&self, id: TorrentId) -> bool {
        let Some(placed) = self.torrents.get(&id) else { return false };
        let contents = self.disk.contents(&placed.bundle.info_hash());
        placed.is_finished
            && contents.is_some_and(|contents| {
                contents.is_finished() && contents.bytes() == &placed.bundle.bytes[..]
            })
    }

    /// # Panics
    /// On a reply to a question that was not asked, or a second one.
    pub(crate) fn handle_reply(&mut self, ticket: Ticket, reply: Reply) {
        let replies = self.replies.get_mut(&ticket);
        let replies = replies.unwrap_or_else(|| panic!("a reply to {ticket:?}, which is unknown"));
        replies.push(reply);
        assert_eq!(replies.len(), 1, "{ticket:?} was answered twice: {replies:?}");
    }

    /// # Panics
    /// On a gap in the alerts, or a claim that is not true on the disk.
    pub(crate) fn handle_alert(&mut self, alert: Alert) {
        let last = &mut self.last_sequence[alert.shard.as_usize()];
        assert_eq!(alert.sequence, *last + 1, "alerts of a shard are numbered without gaps");
        *last = alert.sequence;
        if let Some((id, names)) = alert.torrent {
            self.note(id, &names.primary(), &alert.kind);
        }
        self.alerts.push(alert);
    }

    fn note(&mut self, id: TorrentId, info_hash: &Sha1, kind: &AlertKind) {
        let Some(placed) = self.torrents.get_mut(&id) else { return };
        match kind {
            AlertKind::Checked { .. } => placed.is_running = true,
            AlertKind::PieceFailed { piece } => placed.got.retain(|block| block.0 != *piece),
            AlertKind::PieceVerified { piece } => {
                let piece = placed.bundle.torrent.layout().piece(*piece);
                let piece = piece.expect("alerts name pieces of the torrent");
                let contents = self.disk.contents_mut(info_hash).expect("it was written");
                assert!(contents.is_piece_right(piece), "{piece} is verified and not on the disk");
            }
            AlertKind::Error { message } if message.contains("a bug in the engine") => {
                panic!("torrent {id} of {}: {message}", self.ip);
            }
            AlertKind::Paused | AlertKind::Resumed | AlertKind::Error { .. } => {
                placed.is_running = false;
                placed.got.clear();
            }
            AlertKind::Finished => placed.is_finished = true,
            _ => {}
        }
    }

    /// Forgets a torrent whose removal was ordered: the directory no longer names it.
    pub(crate) fn forget(&mut self, id: TorrentId) {
        if let Some(placed) = self.torrents.remove(&id) {
            for name in placed.bundle.torrent.info_hashes().swarms() {
                self.directory.set(name, None);
            }
        }
    }

    /// # Panics
    /// When something is left after a shutdown: an order without a reply, a job, a connection.
    pub(crate) fn check_end(&self) {
        for (ticket, replies) in &self.replies {
            assert_eq!(replies.len(), 1, "{}: {ticket:?} was answered with {replies:?}", self.ip);
        }
        assert_eq!(self.disk.pending_count(), 0, "{}: disk jobs are left", self.ip);
        let sockets: usize = self.shards.iter().map(Shard::socket_count).sum();
        assert_eq!(sockets, 0, "{}: connections are left", self.ip);
        let used: u64 = self.shards.iter().map(|shard| shard.stats().assembly_used).sum();
        assert_eq!(used, 0, "{}: assembly memory is left", self.ip);
    }
}

fn empty_stats(id: TorrentId, bundle: &Bundle) -> TorrentStats {
    TorrentStats {
        piece_count: bundle.piece_count(),
        total_bytes: bundle.bytes.len() as u64,
        ..TorrentStats::new(id, bundle.torrent.info_hashes())
    }
}
