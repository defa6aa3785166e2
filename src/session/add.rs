//! What is added to a session: a torrent, its place on disk, and how to go about it.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::ids::Priority;
use crate::codec::magnet::Magnet;
use crate::content::refusal::TorrentError;
use crate::content::torrent::Torrent;
use crate::content::wanted::FileChoice;
use crate::engine::add::Allocation;
use crate::engine::add::MagnetHints;
use crate::engine::add::PieceOrder;
use crate::engine::add::WriteMode;
use crate::io::torrent_file;
use crate::io::torrent_file::ReadError;

/// A torrent to add and what to do with it (I4).
///
/// Defaults: files lie below the current directory and get their space reserved, pieces are fetched
/// rarest first, and it starts at once. Existing data is always checked before anything is fetched.
#[derive(Clone, Debug)]
pub struct AddTorrent {
    pub(crate) torrent: Arc<Torrent>,
    pub(crate) magnet: Option<Box<MagnetHints>>,
    pub(crate) directory: PathBuf,
    pub(crate) peers: Vec<SocketAddr>,
    pub(crate) allocation: Allocation,
    pub(crate) write_mode: WriteMode,
    pub(crate) order: PieceOrder,
    pub(crate) is_paused: bool,
    pub(crate) choice: FileChoice,
}

impl AddTorrent {
    /// From a .torrent file of at most 64 MiB. Blocks while the file is read.
    pub fn from_file(path: impl AsRef<Path>) -> Result<AddTorrent, ReadError> {
        Ok(AddTorrent::from_torrent(torrent_file::read(path.as_ref())?))
    }

    /// From the bytes of a .torrent file.
    pub fn from_bytes(bytes: &[u8]) -> Result<AddTorrent, TorrentError> {
        Ok(AddTorrent::from_torrent(Torrent::parse(bytes)?))
    }

    /// From a torrent that was parsed or made before.
    pub fn from_torrent(torrent: impl Into<Arc<Torrent>>) -> AddTorrent {
        AddTorrent {
            torrent: torrent.into(),
            magnet: None,
            directory: PathBuf::from("."),
            peers: Vec::new(),
            allocation: Allocation::default(),
            write_mode: WriteMode::default(),
            order: PieceOrder::default(),
            is_paused: false,
            choice: FileChoice::All,
        }
    }

    /// From a magnet link (BEP 9): what it does not tell is fetched from peers once it is added.
    /// Its trackers, web seeds and peers are used, and its selection of files (BEP 53).
    pub fn from_magnet(magnet: Magnet) -> AddTorrent {
        // Each tracker is a tier: links do not say which belong together.
        let tiers: Vec<Vec<String>> = magnet.trackers.into_iter().map(|url| vec![url]).collect();
        let name = magnet.name.as_deref();
        let torrent = Torrent::nameless(magnet.info_hashes, name, &tiers);
        let mut hints = MagnetHints { web_seeds: magnet.web_seeds, ..MagnetHints::default() };
        for peer in &magnet.peers {
            match peer.host().parse::<IpAddr>() {
                Ok(ip) => hints.peers.push(SocketAddr::new(ip, peer.port())),
                Err(_) => hints.hosts.push((peer.host().to_owned(), peer.port())),
            }
        }
        let choice = magnet.select.map_or(FileChoice::All, FileChoice::Only);
        AddTorrent { magnet: Some(Box::new(hints)), choice, ..AddTorrent::from_torrent(torrent) }
    }

    /// The directory below which the torrent's files lie; it is made when the first byte is
    /// written.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> AddTorrent {
        self.directory = directory.into();
        self
    }

    /// A peer to try, beside those that trackers name. More calls add more.
    pub fn peer(mut self, address: SocketAddr) -> AddTorrent {
        self.peers.push(address);
        self
    }

    /// Peers to try, beside those that trackers name. More calls add more.
    pub fn peers(mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> AddTorrent {
        self.peers.extend(addresses);
        self
    }

    /// How file space is reserved. Default [`Allocation::Full`].
    pub fn allocation(mut self, allocation: Allocation) -> AddTorrent {
        self.allocation = allocation;
        self
    }

    /// Which way pieces go to the disk. Default [`WriteMode::Auto`].
    pub fn write_mode(mut self, write_mode: WriteMode) -> AddTorrent {
        self.write_mode = write_mode;
        self
    }

    /// Whether pieces are fetched in order instead of rarest first. Default false.
    pub fn sequential(mut self, is_sequential: bool) -> AddTorrent {
        self.order = if is_sequential { PieceOrder::Sequential } else { PieceOrder::RarestFirst };
        self
    }

    /// Whether it waits for `resume` before it does anything. Default false.
    pub fn paused(mut self, is_paused: bool) -> AddTorrent {
        self.is_paused = is_paused;
        self
    }

    /// How much each file is wanted, in the torrent's order, padding included; files beyond the
    /// list are normal. Files of priority 0 are not made on disk; what their neighbours' pieces
    /// hold of them lies in a hidden file beside the torrent's own. Default: all normal. Replaces
    /// an earlier choice.
    pub fn file_priorities(mut self, priorities: Vec<Priority>) -> AddTorrent {
        self.choice = FileChoice::Each(priorities);
        self
    }

    /// Wants the files with these numbers, counted from 0 in the torrent's order (BEP 53), and no
    /// others. Replaces an earlier choice.
    pub fn select(mut self, files: impl IntoIterator<Item = RangeInclusive<u32>>) -> AddTorrent {
        self.choice = FileChoice::Only(files.into_iter().collect());
        self
    }

    /// What will be added. Of a magnet, names and trackers alone.
    pub fn torrent(&self) -> &Torrent {
        &self.torrent
    }
}
