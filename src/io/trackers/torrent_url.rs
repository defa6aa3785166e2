//! .torrent files from the web, for callers' threads: one GET, bounded like a file.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::limits::TORRENT_FETCH_TIMEOUT;
use crate::base::limits::TORRENT_FILE_LEN_MAX;
use crate::engine::announce::redact::redact;
use crate::engine::settings::Settings;
use crate::io::trackers::request::Bounds;
use crate::io::trackers::request::Requests;

/// A .torrent file to be fetched from an http or https URL, in the way that trackers are asked.
///
/// Defaults: Mozilla's root certificates, 2 minutes, and a name of the public internet never leads
/// to this machine or a private network. At most 64 MiB and 5 redirects, never from https to http;
/// a user and password in the URL go to no other server.
#[derive(Clone, Debug)]
#[must_use]
pub struct FetchTorrent {
    url: String,
    tracker_ca: Option<PathBuf>,
    allow_private: bool,
    timeout: Duration,
    len_max: u64,
}

/// Why a .torrent file could not be fetched. No message shows a password or passkey of the URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A URL of another kind.
    #[error("expected a URL that starts with http:// or https://, got `{got}`")]
    Scheme {
        /// The URL, redacted.
        got: String,
    },
    /// The file of root certificates is of no use.
    #[error("{path:?}: {message}")]
    Roots {
        /// The file.
        path: PathBuf,
        /// What was expected, what came, what to do.
        message: String,
    },
    /// No answer, or one that breaks a bound.
    #[error("{url} could not be fetched: {message}")]
    Failed {
        /// The URL, redacted.
        url: String,
        /// What went wrong.
        message: String,
    },
    /// The server said something else than yes.
    #[error("expected HTTP status 200 from {url}, got {status}; open it in a browser to see why")]
    Status {
        /// The URL, redacted.
        url: String,
        /// What the server said.
        status: u16,
    },
}

impl FetchTorrent {
    /// With the defaults.
    pub fn new(url: impl Into<String>) -> FetchTorrent {
        FetchTorrent {
            url: url.into(),
            tracker_ca: None,
            allow_private: false,
            timeout: TORRENT_FETCH_TIMEOUT,
            len_max: TORRENT_FILE_LEN_MAX,
        }
    }

    /// Whether this can fetch what `text` names: an http or https URL.
    pub fn understands(text: &str) -> bool {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    }

    /// A PEM file of root certificates to trust beside Mozilla's.
    pub fn tracker_ca(mut self, path: impl Into<PathBuf>) -> FetchTorrent {
        self.tracker_ca = Some(path.into());
        self
    }

    /// Whether any name may lead to this machine or a private network. Default false: only a URL
    /// that names such an address may.
    pub fn allow_private(mut self, is_allowed: bool) -> FetchTorrent {
        self.allow_private = is_allowed;
        self
    }

    /// Time for the whole, redirects included.
    pub fn timeout(mut self, timeout: Duration) -> FetchTorrent {
        self.timeout = timeout;
        self
    }

    /// Bytes of the largest file that is taken, at most 4 GiB; what is longer is not read to its
    /// end. Default 64 MiB.
    pub fn len_max(mut self, max: u64) -> FetchTorrent {
        self.len_max = max.min(u32::MAX.into());
        self
    }

    /// The bytes behind the URL; whether they are a torrent is for
    /// [`Torrent::parse`](crate::Torrent::parse). Blocks, until the time-out at most (the system's
    /// resolver may add its own).
    ///
    /// # Errors
    /// Whatever keeps the bytes away.
    pub fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        let shown = || redact(&self.url);
        if !FetchTorrent::understands(&self.url) {
            return Err(FetchError::Scheme { got: shown() });
        }
        let bounds = Bounds {
            timeout: self.timeout,
            body_max: self.len_max as usize,
            inflated_max: self.len_max as usize,
            allows_downgrade: false,
        };
        let failed = |message| FetchError::Failed { url: shown(), message };
        let answer = self.requests()?.get_within(&self.url, bounds);
        let answer = answer.map_err(|error| failed(error.message))?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(FetchError::Status { url: shown(), status }),
        }
    }

    fn requests(&self) -> Result<Requests, FetchError> {
        let user_agent = Settings::default().user_agent;
        let Some(path) = &self.tracker_ca else {
            let made = Requests::new(&user_agent, self.allow_private, None);
            return made.map_err(|error| self.roots_error(error.to_string()));
        };
        let pem = fs::read(path).map_err(|error| {
            self.roots_error(format!("expected a readable file of certificates: {error}"))
        })?;
        let made = Requests::new(&user_agent, self.allow_private, Some(&pem));
        made.map_err(|error| self.roots_error(error.to_string()))
    }

    fn roots_error(&self, message: String) -> FetchError {
        FetchError::Roots { path: self.tracker_ca.clone().unwrap_or_default(), message }
    }
}
