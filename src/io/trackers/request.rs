//! One GET or one look-up, bounded in time, bytes and redirects. Blocks; runs on the pool's
//! threads.

use std::io::Read;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::config::Config;
use ureq::tls::Certificate;
use ureq::tls::PemItem;
use ureq::tls::RootCerts;
use ureq::tls::TlsConfig;
use ureq::tls::parse_pem;

use crate::base::instant::Instant;
use crate::base::limits::TRACKER_BODY_INFLATED_MAX;
use crate::base::limits::TRACKER_BODY_MAX;
use crate::base::limits::TRACKER_REDIRECT_MAX;
use crate::base::status::TrackerErrorClass;
use crate::engine::announce::address::is_local_host;
use crate::engine::to_ring::HttpAnswer;
use crate::engine::to_ring::QueryError;
use crate::io::clock::Clock;
use crate::io::trackers::fault::classify;
use crate::io::trackers::fault::classify_io;
use crate::io::trackers::fault::fault;
use crate::io::trackers::guard::Reach;
use crate::io::trackers::guard::guarded_agent;

/// Idle connections kept per host: what one host's announces use at once.
const IDLE_PER_HOST_MAX: usize = 4;
/// Idle connections kept in all.
const IDLE_MAX: usize = 64;
/// Bytes of headers: trackers send a few hundred.
const HEADER_LEN_MAX: usize = 16 * 1024;

/// The file of extra roots is of no use.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum RootsError {
    #[error("expected certificates in PEM form, got {0}; give a file of BEGIN CERTIFICATE lines")]
    Malformed(String),
    #[error("expected a certificate in PEM form, got none; give a file of BEGIN CERTIFICATE lines")]
    Empty,
}

/// What an answer may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Redirects included.
    pub(crate) timeout: Duration,
    /// Bytes on the wire.
    pub(crate) body_max: usize,
    /// Bytes inflated.
    pub(crate) inflated_max: usize,
    /// Whether an https URL may lead to an http one.
    pub(crate) allows_downgrade: bool,
}

impl Bounds {
    fn of_a_tracker(timeout: Duration) -> Bounds {
        Bounds {
            timeout,
            body_max: TRACKER_BODY_MAX,
            inflated_max: TRACKER_BODY_INFLATED_MAX,
            allows_downgrade: true,
        }
    }
}

/// Two agents, each with its own kept-alive connections: one never leaves the public internet.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    global: Agent,
    anywhere: Agent,
    allow_private: bool,
}

impl Requests {
    /// `extra_roots`: PEM text of certificates that are trusted beside Mozilla's.
    pub(crate) fn new(
        user_agent: &str,
        allow_private: bool,
        extra_roots: Option<&[u8]>,
    ) -> Result<Requests, RootsError> {
        let roots = extra_roots.map(join_roots).transpose()?.unwrap_or(RootCerts::WebPki);
        let config = config(user_agent, roots);
        Ok(Requests {
            global: guarded_agent(config.clone(), Reach::Global),
            anywhere: guarded_agent(config, Reach::Anywhere),
            allow_private,
        })
    }

    /// GETs a tracker's `url` within `timeout`, redirects included. Any HTTP status is an answer.
    pub(crate) fn get(&self, url: &str, timeout: Duration) -> Result<HttpAnswer, QueryError> {
        self.get_within(url, Bounds::of_a_tracker(timeout))
    }

    /// GETs `url`. Any HTTP status is an answer. A user and password in the URL go to its own
    /// server only, never to one that it redirects to.
    pub(crate) fn get_within(&self, url: &str, bounds: Bounds) -> Result<HttpAnswer, QueryError> {
        let agent = match self.allow_private || is_local_host(host_of(url)) {
            true => &self.anywhere,
            false => &self.global,
        };
        let clock = Clock::start();
        let is_bound_to_tls = !bounds.allows_downgrade && has_tls(url);
        let request = agent.get(url).config().timeout_global(Some(bounds.timeout));
        let request = request.https_only(is_bound_to_tls).build();
        let mut response = request.call().map_err(|error| classify(&error))?;
        let status = response.status().as_u16();
        // The client refuses the byte that fills the limit.
        let limit = bounds.body_max as u64 + 1;
        let mut limited = response.body_mut().with_config().limit(limit).reader();
        let deadline = Instant::ZERO + bounds.timeout;
        let is_late = || clock.now() >= deadline;
        Ok(HttpAnswer { status, body: read_body(&mut limited, bounds.inflated_max, is_late)? })
    }

    /// Asks the system's resolver, which has its own time-outs. Addresses are not classified here:
    /// who connects does that.
    pub(crate) fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, QueryError> {
        let found = (host, port).to_socket_addrs();
        let message = |error| format!("the host name did not resolve: {error}");
        let found = found.map_err(|error| fault(TrackerErrorClass::Dns, message(error)))?;
        Ok(found.collect())
    }
}

/// Reads a body to its end. The client's time-out bounds each read, but a server that sends a byte
/// now and then has made it forget the whole (seen with ureq 3.1.4): so the whole is watched here.
fn read_body(
    body: &mut impl Read,
    inflated_max: usize,
    is_late: impl Fn() -> bool,
) -> Result<Vec<u8>, QueryError> {
    let mut whole = Vec::new();
    let mut part = [0; 16 * 1024];
    loop {
        if is_late() {
            let message = "the answer did not end in time".to_owned();
            return Err(fault(TrackerErrorClass::Timeout, message));
        }
        match body.read(&mut part).map_err(|error| classify_io(&error))? {
            0 => return Ok(whole),
            count => whole.extend_from_slice(&part[..count]),
        }
        if whole.len() > inflated_max {
            let message = format!("expected at most {inflated_max} bytes inflated");
            return Err(fault(TrackerErrorClass::Parse, message));
        }
    }
}

fn has_tls(url: &str) -> bool {
    url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

/// The host part of a URL as written; empty when there is none.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or("");
    let host = authority.rsplit('@').next().unwrap_or("");
    match host.rsplit_once(':') {
        Some((before, port)) if port.bytes().all(|b| b.is_ascii_digit()) => before,
        _ => host,
    }
}

fn config(user_agent: &str, roots: RootCerts) -> Config {
    let tls = TlsConfig::builder().root_certs(roots).build();
    Agent::config_builder()
        .tls_config(tls)
        .user_agent(user_agent)
        // A proxy of the environment would connect for us, past the check of addresses.
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(TRACKER_REDIRECT_MAX)
        .max_response_header_size(HEADER_LEN_MAX)
        .max_idle_connections(IDLE_MAX)
        .max_idle_connections_per_host(IDLE_PER_HOST_MAX)
        .build()
}

/// Mozilla's roots and the user's.
fn join_roots(pem: &[u8]) -> Result<RootCerts, RootsError> {
    let mut roots: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => roots.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(RootsError::Malformed(error.to_string())),
        }
    }
    if roots.is_empty() {
        return Err(RootsError::Empty);
    }
    let mozilla = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    roots.extend(mozilla.map(|certificate| Certificate::from_der(certificate.as_ref())));
    Ok(RootCerts::Specific(Arc::new(roots)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_read_as_the_client_reads_it() {
        let rows = [
            ("http://t.org/announce", "t.org"),
            ("https://t.org:443?x", "t.org"),
            ("http://me:pass@127.0.0.1:80/", "127.0.0.1"),
            ("http://[::1]:6969/announce", "[::1]"),
            ("http://[::1]", "[::1]"),
            ("http://t.org\\@127.0.0.1/", "t.org"),
            ("nonsense", ""),
        ];
        for (url, expected) in rows {
            assert_eq!(host_of(url), expected, "{url}");
        }
    }

    #[test]
    fn extra_roots_must_be_certificates() {
        let empty = Requests::new("x", false, Some(b"hello"));
        assert_eq!(empty.err(), Some(RootsError::Empty));
        let broken = b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        assert!(Requests::new("x", false, Some(broken)).is_err());
    }
}
