//! The resolver that HTTP requests use: the system's, minus addresses that must not be reached.
//!
//! It is asked before every connection, after a redirect too, and the client connects to what it
//! returns: there is no gap between check and use. This file alone touches the client's unversioned
//! interface.

use std::net::SocketAddr;

use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::resolver::ResolvedSocketAddrs;
use ureq::unversioned::resolver::Resolver;
use ureq::unversioned::transport::DefaultConnector;
use ureq::unversioned::transport::NextTimeout;

use crate::engine::announce::address::is_global;

/// Where requests of an agent may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// Only to the public internet.
    Global,
    /// To near addresses too: the user wrote one, or allowed them all.
    Anywhere,
}

impl Reach {
    pub(crate) fn allows(self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let is_target = !ip.is_unspecified() && !ip.is_multicast();
        is_target && (self == Reach::Anywhere || is_global(ip))
    }
}

/// An agent that connects only where `reach` allows.
pub(crate) fn guarded_agent(config: Config, reach: Reach) -> Agent {
    let resolver = GuardedResolver { inner: DefaultResolver::default(), reach };
    Agent::with_parts(config, DefaultConnector::new(), resolver)
}

/// Shown to the user when nothing is left after the check.
#[derive(Debug, thiserror::Error)]
#[error(
    "the host resolves to {0}, which is not on the public internet; set allow_private_trackers if \
     that is meant"
)]
struct Refused(SocketAddr);

#[derive(Debug)]
struct GuardedResolver {
    inner: DefaultResolver,
    reach: Reach,
}

impl Resolver for GuardedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout).map_err(|error| match error {
            // The system's resolver speaks in I/O errors; nothing has been connected to yet.
            ureq::Error::Io(_) => ureq::Error::HostNotFound,
            other => other,
        })?;
        let mut allowed = self.empty();
        for address in found.iter().copied().filter(|address| self.reach.allows(*address)) {
            allowed.push(address);
        }
        match found.first() {
            Some(first) if allowed.is_empty() => Err(ureq::Error::Other(Box::new(Refused(*first)))),
            _ => Ok(allowed),
        }
    }
}
