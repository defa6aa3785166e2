//! One tracker of one torrent: where it is, whether it knows us, when it may be asked again.

use crate::base::digest::Sha1;
use crate::base::instant::Instant;
use crate::base::limits::TRACKER_URL_LEN_MAX;
use crate::base::rng::Rng;
use crate::base::status::TrackerErrorClass;
use crate::base::status::TrackerStatus;
use crate::codec::announce::AnnounceEvent as AskEvent;
use crate::codec::announce::AnnounceReply;
use crate::codec::announce::AnnounceRequest;
use crate::codec::announce::Retry;
use crate::codec::announce::ScrapeCounts;
use crate::codec::tracker_http::announce_url;
use crate::codec::tracker_http::scrape_query;
use crate::codec::tracker_http::scrape_url;
use crate::codec::tracker_udp::url_data;
use crate::engine::announce::ask::Failure;
use crate::engine::announce::event::AnnounceEvent;
use crate::engine::announce::event::UdpAsk;
use crate::engine::announce::event::UdpWhat;
use crate::engine::announce::redact::printable;
use crate::engine::announce::redact::redact;
use crate::engine::announce::schedule::Pace;
use crate::engine::announce::schedule::retry;

/// How a tracker is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// HTTP or HTTPS.
    Http,
    /// BEP 15.
    Udp(UdpPlace),
}

/// Where a UDP tracker is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct UdpPlace {
    host: String,
    port: u16,
    /// As in BEP 41.
    url_data: String,
}

impl UdpPlace {
    pub(crate) fn ask(&self, token: u32, what: UdpWhat) -> AnnounceEvent {
        let UdpPlace { host, port, url_data } = self.clone();
        AnnounceEvent::Udp { token, ask: UdpAsk { host, port, url_data, what } }
    }
}

/// What a question was about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flight {
    Announce(AskEvent),
    Scrape,
}

/// A question under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct InFlight {
    pub(crate) token: u32,
    pub(crate) flight: Flight,
    pub(crate) deadline: Instant,
    /// One of the tracker's addresses answered; another may still.
    pub(crate) is_answered: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Tracker {
    pub(crate) url: String,
    way: Way,
    pub(crate) tier: u32,
    /// The URL for eyes.
    pub(crate) shown: String,
    /// It answered a `started` and was not told `stopped`.
    pub(crate) knows_us: bool,
    /// The download ended and it was not told yet.
    pub(crate) owes_completed: bool,
    /// It said that it does not want us back (BEP 31).
    pub(crate) is_refused: bool,
    pub(crate) in_flight: Option<InFlight>,
    pub(crate) tracker_id: Option<Vec<u8>>,
    /// Not asked before this: back-off after failures.
    pub(crate) retry_at: Instant,
    /// Not asked before this, except for an event: its `min interval`.
    pub(crate) early_at: Instant,
    last_announce: Option<Instant>,
    fails: u32,
    error: Option<(TrackerErrorClass, String)>,
    http_status: Option<u16>,
    warning: Option<String>,
    seeders: Option<u32>,
    leechers: Option<u32>,
    downloaded: Option<u32>,
}

impl Tracker {
    /// `None`: no tracker that we could ask.
    pub(crate) fn new(url: &str, tier: u32) -> Option<Tracker> {
        let url = url.trim();
        Some(Tracker {
            way: parse_way(url)?,
            url: url.to_owned(),
            tier,
            shown: redact(url),
            knows_us: false,
            owes_completed: false,
            is_refused: false,
            in_flight: None,
            tracker_id: None,
            retry_at: Instant::ZERO,
            early_at: Instant::ZERO,
            last_announce: None,
            fails: 0,
            error: None,
            http_status: None,
            warning: None,
            seeders: None,
            leechers: None,
            downloaded: None,
        })
    }

    /// What its next announce says.
    pub(crate) fn next_event(&self) -> AskEvent {
        match (self.knows_us, self.owes_completed) {
            (false, _) => AskEvent::Started,
            (true, true) => AskEvent::Completed,
            (true, false) => AskEvent::None,
        }
    }

    /// Earliest time of its next announce. Events do not wait for the minimum interval: it limits
    /// how often we ask for peers, not what the tracker must be told.
    pub(crate) fn ready_at(&self) -> Instant {
        match (self.is_refused, self.next_event()) {
            (true, _) => Instant::FAR,
            (false, AskEvent::None) => self.retry_at.max(self.early_at),
            (false, _) => self.retry_at,
        }
    }

    /// The event that asks it.
    pub(crate) fn question(&self, token: u32, request: AnnounceRequest) -> AnnounceEvent {
        match &self.way {
            Way::Http => AnnounceEvent::Http { token, url: announce_url(&self.url, &request) },
            Way::Udp(place) => place.ask(token, UdpWhat::Announce(request)),
        }
    }

    /// The event that asks it for counts; `None` when its URL leads to no scrape (BEP 48).
    pub(crate) fn scrape_question(&self, token: u32, info_hash: Sha1) -> Option<AnnounceEvent> {
        match &self.way {
            Way::Http => {
                let url = scrape_query(&scrape_url(&self.url)?, &[info_hash]);
                Some(AnnounceEvent::Http { token, url })
            }
            Way::Udp(place) => Some(place.ask(token, UdpWhat::Scrape(info_hash))),
        }
    }

    pub(crate) fn set_http_status(&mut self, status: u16) {
        self.http_status = Some(status);
    }

    pub(crate) fn set_counts(&mut self, counts: ScrapeCounts) {
        self.seeders = Some(counts.seeders);
        self.leechers = Some(counts.leechers);
        self.downloaded = Some(counts.downloaded);
    }

    /// It answered an announce of `event`.
    pub(crate) fn handle_success(
        &mut self,
        now: Instant,
        event: AskEvent,
        answer: &AnnounceReply,
        pace: Pace,
    ) {
        self.knows_us = event != AskEvent::Stopped;
        self.owes_completed &= !matches!(event, AskEvent::Completed | AskEvent::Stopped);
        self.fails = 0;
        self.error = None;
        self.last_announce = Some(now);
        self.early_at = now + pace.early;
        self.retry_at = now;
        self.warning = answer.warning.as_deref().map(printable);
        self.seeders = answer.seeders.or(self.seeders);
        self.leechers = answer.leechers.or(self.leechers);
        self.downloaded = answer.downloaded.or(self.downloaded);
        if answer.tracker_id.is_some() {
            self.tracker_id.clone_from(&answer.tracker_id);
        }
    }

    /// An announce to it failed. `is_fresh`: no tracker of the torrent ever answered.
    pub(crate) fn handle_failure(
        &mut self,
        now: Instant,
        failure: &Failure,
        is_fresh: bool,
        rng: &mut Rng,
    ) {
        // Who never heard of us hears `started` with nothing left instead.
        self.owes_completed &= self.knows_us;
        self.fails = self.fails.saturating_add(1);
        self.error = Some((failure.class, printable(&failure.message)));
        let is_quick = is_fresh && failure.class != TrackerErrorClass::Tracker;
        let backoff = retry(self.fails, is_quick, rng);
        match failure.retry {
            None => self.retry_at = now + backoff,
            Some(Retry::After(wait)) => self.retry_at = now + wait.max(backoff),
            Some(Retry::Never) => self.is_refused = true,
        }
    }

    /// As the torrent's owner sees it, for the swarm `info_hash`; `next` is when it is asked again.
    pub(crate) fn status(
        &self,
        now: Instant,
        info_hash: Sha1,
        next: Option<Instant>,
    ) -> TrackerStatus {
        let since = |at: Instant| now.since(at);
        let until = |at: Instant| at.since(now);
        TrackerStatus {
            url: self.shown.clone(),
            info_hash,
            tier: self.tier,
            last_announce: self.last_announce.map(since),
            next_announce: next.filter(|at| *at != Instant::FAR).map(until),
            fails_in_a_row: self.fails,
            error: self.error.clone(),
            http_status: self.http_status,
            warning: self.warning.clone(),
            seeders: self.seeders,
            leechers: self.leechers,
            downloaded: self.downloaded,
        }
    }
}

fn parse_way(url: &str) -> Option<Way> {
    let is_plain = url.bytes().all(|b| b > b' ' && b != 0x7f);
    if url.len() > TRACKER_URL_LEN_MAX || !is_plain {
        return None;
    }
    let (scheme, rest) = url.split_once("://")?;
    let host_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = rest.get(..host_end)?;
    if authority.is_empty() {
        return None;
    }
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => Some(Way::Http),
        "udp" => parse_udp(authority, url_data(url)),
        _ => None,
    }
}

fn parse_udp(authority: &str, url_data: &str) -> Option<Way> {
    let authority = authority.rsplit('@').next()?;
    let (host, port) = authority.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    if host.is_empty() {
        return None;
    }
    Some(Way::Udp(UdpPlace { host: host.to_owned(), port, url_data: url_data.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(host: &str, port: u16, url_data: &str) -> Option<Way> {
        Some(Way::Udp(UdpPlace { host: host.to_owned(), port, url_data: url_data.to_owned() }))
    }

    #[test]
    fn a_url_says_how_its_tracker_is_reached() {
        let rows = [
            ("http://t.org/announce", Some(Way::Http)),
            ("HTTPS://t.org/announce", Some(Way::Http)),
            ("udp://t.org:6969/announce?k=1#x", udp("t.org", 6969, "/announce?k=1")),
            ("udp://t.org:6969", udp("t.org", 6969, "")),
            ("udp://[2a00::1]:80/", udp("2a00::1", 80, "/")),
            ("udp://me@t.org:80/", udp("t.org", 80, "/")),
            ("udp://t.org/announce", None),
            ("udp://t.org:0/announce", None),
            ("udp://t.org:99999/announce", None),
            ("udp://:80/announce", None),
            ("wss://t.org/announce", None),
            ("http:///announce", None),
            ("http://t.org/ann ounce", None),
            ("http://t.org/\r\nX: y", None),
            ("t.org/announce", None),
            ("", None),
        ];
        for (url, expected) in rows {
            assert_eq!(parse_way(url), expected, "{url}");
        }
        assert_eq!(parse_way(&format!("http://t.org/{}", "x".repeat(3_000))), None);
    }
}
