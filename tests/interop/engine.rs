//! One peer of a case, whichever program it is.

use std::net::SocketAddrV4;
use std::path::PathBuf;

use anyhow::Result;

use crate::aria2;
use crate::coreswarm;
use crate::libtorrent;
use crate::program::Deadline;
use crate::program::Program;
use crate::transmission;

/// The programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// coreswarm with its default number of shards.
    Ours,
    /// coreswarm with `--shards 2`.
    OursTwoShards,
    /// transmission and libtorrent without uTP, which costs them a time-out of many seconds before
    /// they try TCP, and without encryption, which the others have not.
    Transmission,
    /// Tries encryption first, as it does by default.
    TransmissionEncrypts,
    Aria2,
    Lt20,
    Lt21,
    /// Tries encryption first, as it does by default.
    Lt21Encrypts,
}

impl Engine {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "coreswarm",
            Self::OursTwoShards => "coreswarm-two-shards",
            Self::Transmission => "transmission",
            Self::TransmissionEncrypts => "transmission-encrypts",
            Self::Aria2 => "aria2",
            Self::Lt20 => "libtorrent-2.0",
            Self::Lt21 => "libtorrent-2.1",
            Self::Lt21Encrypts => "libtorrent-2.1-encrypts",
        }
    }
}

/// What one peer is asked to do.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    pub(crate) engine: Engine,
    /// Has the data and serves it; otherwise fetches it.
    pub(crate) is_seed: bool,
    /// Goes on serving after it has everything. A seed always does.
    pub(crate) stays: bool,
    /// The folder above the payload.
    pub(crate) data: PathBuf,
    pub(crate) torrent: PathBuf,
    /// A magnet link to be used instead of the file.
    pub(crate) magnet: Option<String>,
    pub(crate) listen: SocketAddrV4,
    /// The peers that it is told of.
    pub(crate) dial: Vec<SocketAddrV4>,
    /// For its log and configuration; exists and is its own.
    pub(crate) work: PathBuf,
    /// Bytes per second it may send; libtorrent only.
    pub(crate) upload_limit: Option<u64>,
    /// An extra root certificate for HTTPS trackers; coreswarm and libtorrent only.
    pub(crate) tracker_ca: Option<PathBuf>,
}

impl Role {
    /// The name in reports.
    pub(crate) fn name(&self) -> String {
        let part = if self.is_seed { "seed" } else { "leech" };
        format!("{part} {}", self.engine.name())
    }
}

/// A running peer.
pub(crate) struct Peer {
    pub(crate) role: Role,
    pub(crate) program: Program,
}

impl Peer {
    /// Starts the program.
    pub(crate) fn start(role: Role) -> Result<Self> {
        let program = match role.engine {
            Engine::Ours => coreswarm::start(&role, None)?,
            Engine::OursTwoShards => coreswarm::start(&role, Some(2))?,
            Engine::Transmission | Engine::TransmissionEncrypts => transmission::start(&role)?,
            Engine::Aria2 => aria2::start(&role)?,
            Engine::Lt20 | Engine::Lt21 | Engine::Lt21Encrypts => libtorrent::start(&role)?,
        };
        Ok(Self { role, program })
    }

    /// Waits until it accepts peers, and has checked its data if it is a seed.
    pub(crate) fn wait_ready(&mut self, deadline: Deadline) -> Result<()> {
        let Self { role, program } = self;
        match role.engine {
            Engine::Ours | Engine::OursTwoShards => coreswarm::wait_ready(role, program, deadline),
            Engine::Transmission | Engine::TransmissionEncrypts => {
                transmission::wait_ready(role, program, deadline)
            }
            Engine::Aria2 => program.wait_listening(deadline, role.listen),
            Engine::Lt20 | Engine::Lt21 | Engine::Lt21Encrypts => {
                libtorrent::wait_ready(program, deadline)
            }
        }
    }

    /// Waits until it has everything, and until it ends when it does not stay.
    pub(crate) fn wait_finished(&mut self, deadline: Deadline) -> Result<()> {
        let Self { role, program } = self;
        match role.engine {
            Engine::Ours | Engine::OursTwoShards => {
                coreswarm::wait_finished(role, program, deadline)
            }
            Engine::Transmission | Engine::TransmissionEncrypts => {
                transmission::wait_finished(role, program, deadline)
            }
            Engine::Aria2 => aria2::wait_finished(role, program, deadline),
            Engine::Lt20 | Engine::Lt21 | Engine::Lt21Encrypts => {
                libtorrent::wait_finished(program, deadline)
            }
        }
    }
}
