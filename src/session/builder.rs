//! What a session is started with.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::engine::settings::SendMode;
use crate::engine::settings::Settings;

/// Collects what a session is started with; `start` (beside [`Session`](crate::Session)) begins it.
///
/// Defaults: [`Settings::default`], one shard per core of the process's affinity mask, any free
/// port of all IPv4 and IPv6 addresses, Mozilla's root certificates, no trackers in private
/// networks.
#[derive(Clone, Debug)]
pub struct SessionBuilder {
    pub(crate) settings: Settings,
    pub(crate) shard_count: Option<usize>,
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) tracker_ca: Option<PathBuf>,
}

impl SessionBuilder {
    pub(crate) fn new() -> SessionBuilder {
        SessionBuilder {
            settings: Settings::default(),
            shard_count: None,
            listen: vec![
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            ],
            tracker_ca: None,
        }
    }

    /// The engine's knobs: connections, slots, budgets, identity.
    pub fn settings(mut self, settings: Settings) -> SessionBuilder {
        self.settings = settings;
        self
    }

    /// How many shards, each a thread pinned to a core of its own. 1 to the number of cores in the
    /// affinity mask; more are refused at the start.
    pub fn shards(mut self, count: usize) -> SessionBuilder {
        self.shard_count = Some(count);
        self
    }

    /// Where peers are accepted, instead of the default. Addresses with port 0 get one free port
    /// together. None at all: no peer can connect to us.
    pub fn listen(mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> SessionBuilder {
        self.listen = addresses.into_iter().collect();
        self
    }

    /// A PEM file of root certificates to trust for HTTPS trackers, beside Mozilla's. Read at the
    /// start.
    pub fn tracker_ca(mut self, path: impl Into<PathBuf>) -> SessionBuilder {
        self.tracker_ca = Some(path.into());
        self
    }

    /// How payload leaves. Default [`SendMode::Copy`]. The same as [`Settings::send_mode`]: the
    /// later call counts.
    pub fn send_mode(mut self, mode: SendMode) -> SessionBuilder {
        self.settings.send_mode = mode;
        self
    }

    /// Whether trackers may be on this machine and in private networks, whoever names them. Default
    /// false: a .torrent must not make us talk to the router. The same as
    /// [`Settings::allow_private_trackers`]: the later call counts.
    pub fn allow_private_trackers(mut self, are_allowed: bool) -> SessionBuilder {
        self.settings.allow_private_trackers = are_allowed;
        self
    }
}
