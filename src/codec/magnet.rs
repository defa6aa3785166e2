//! Magnet links: a torrent's names, and hints where to find it (BEP 9, BEP 52, BEP 53).

use std::fmt;
use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::base::digest::Sha1;
use crate::base::digest::Sha256;
use crate::base::info_hashes::InfoHashes;
use crate::base::limits::HOST_LEN_MAX;
use crate::base::limits::MAGNET_LEN_MAX;
use crate::base::limits::MAGNET_LIST_MAX;
use crate::base::limits::MAGNET_NAME_LEN_MAX;
use crate::base::limits::MAGNET_RANGE_MAX;
use crate::base::limits::TRACKER_MAX;
use crate::codec::base32;
use crate::codec::escape::unescape;
use crate::codec::escape::write_escaped;
use crate::codec::link::is_link;

/// How a multihash of SHA-256 starts: function 0x12, 0x20 bytes.
const SHA256_PREFIX: &str = "1220";
/// Characters of a wrong value that an error shows.
const SHOWN_LEN_MAX: usize = 80;

/// What a magnet link says. `Display` writes the link in canonical form.
///
/// A link that was parsed is the same after writing and parsing it again; so is one made up from
/// values within the bounds of the fields.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Magnet {
    /// The torrent's names (`xt`): `urn:btih` (BEP 9) and `urn:btmh` (BEP 52).
    pub info_hashes: InfoHashes,
    /// A name to show until the torrent's own is known (`dn`): unchecked text of at most 500
    /// characters, not empty. Escape it before showing it.
    pub name: Option<String>,
    /// Trackers (`tr`), each once, at most 200 of at most 2,048 bytes; checked for being one word
    /// of text only.
    pub trackers: Vec<String>,
    /// Web seeds (`ws`, BEP 19), at most 100; like `trackers`.
    pub web_seeds: Vec<String>,
    /// Where the .torrent file may be fetched (`xs`), at most 100; like `trackers`.
    pub sources: Vec<String>,
    /// Where the content or the .torrent file may be fetched if all else fails (`as`), at most 100;
    /// like `trackers`.
    pub acceptable_sources: Vec<String>,
    /// Peers to try first (`x.pe`), each once, at most 100.
    pub peers: Vec<MagnetPeer>,
    /// Bytes of the content (`xl`), as claimed.
    pub length: Option<u64>,
    /// The files to download (`so`, BEP 53), by their number in the torrent from 0: sorted ranges
    /// with gaps between them, at most 10,000. `None` selects all.
    pub select: Option<Vec<RangeInclusive<u32>>>,
}

/// Text that is no magnet link of a torrent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MagnetError {
    /// The link, or what it would be in canonical form, is longer than any real one.
    #[error("expected a magnet link of at most {max} bytes, got {got}; leave trackers out")]
    TooLong {
        /// Bytes of the link.
        got: usize,
        /// The most we accept.
        max: usize,
    },
    /// Not a magnet link at all.
    #[error("expected a link that starts with `magnet:?`, got `{got}`; copy the whole link")]
    Scheme {
        /// Its beginning, escaped.
        got: String,
    },
    /// A magnet link, but of nothing that BitTorrent knows.
    #[error(
        "expected `xt=urn:btih:` or `xt=urn:btmh:` in the link, found neither; \
         copy the whole link, or ask for one of a torrent"
    )]
    NoInfoHash,
    /// A v1 info hash that is none.
    #[error(
        "expected 40 hex digits or 32 base32 digits after `urn:btih:`, got `{got}`; \
         copy the whole link"
    )]
    Btih {
        /// What stands there, escaped and cut.
        got: String,
    },
    /// A v2 info hash of another hash function, or none at all.
    #[error(
        "expected `1220` (SHA-256) and 64 hex digits after `urn:btmh:`, got `{got}`; \
         copy the whole link, other hash functions are not in use"
    )]
    Btmh {
        /// What stands there, escaped and cut.
        got: String,
    },
    /// Two info hashes of the same version that differ.
    #[error("expected one torrent, got two different `urn:{kind}`; remove the wrong one")]
    Contradiction {
        /// `btih` or `btmh`.
        kind: &'static str,
    },
    /// A selection of files that says nothing.
    #[error("expected file numbers like `so=0,2,4-7`, got `{got}`; mend or remove `so`")]
    Selection {
        /// What stands there, escaped and cut.
        got: String,
    },
    /// More ranges of files than we keep.
    #[error("expected at most {max} ranges of files in `so`, got more; select fewer")]
    SelectionTooLong {
        /// The most we accept.
        max: usize,
    },
}

/// A peer in a magnet link (`x.pe`, BEP 9). `Display` writes `host:port`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MagnetPeer {
    host: String,
    port: u16,
}

impl MagnetPeer {
    /// `None` unless `host` is a name of letters, digits, `-`, `_` and `.`, or an IPv4 or IPv6
    /// address without brackets, and `port` is not 0.
    pub fn new(host: &str, port: u16) -> Option<MagnetPeer> {
        let is_name_char = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_name = (1..=HOST_LEN_MAX).contains(&host.len()) && host.bytes().all(is_name_char);
        let host = match host.parse::<Ipv6Addr>() {
            Ok(v6) => v6.to_string(),
            Err(_) if is_name => host.to_owned(),
            Err(_) => return None,
        };
        (port != 0).then_some(MagnetPeer { host, port })
    }

    /// From `host:port`; IPv6 addresses stand in brackets.
    fn parse(text: &str) -> Option<MagnetPeer> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|_| port.bytes().all(|b| b.is_ascii_digit()))?;
        match host.strip_prefix('[') {
            Some(v6) => MagnetPeer::new(v6.strip_suffix(']').filter(|v6| v6.contains(':'))?, port),
            None if host.contains(':') => None,
            None => MagnetPeer::new(host, port),
        }
    }

    /// A name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port; not 0.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for MagnetPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MagnetPeer { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl Magnet {
    /// A link that says nothing but names.
    pub fn new(info_hashes: InfoHashes) -> Magnet {
        Magnet {
            info_hashes,
            name: None,
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            sources: Vec::new(),
            acceptable_sources: Vec::new(),
            peers: Vec::new(),
            length: None,
            select: None,
        }
    }

    /// From a link. Does not block.
    ///
    /// Names (`xt`) and selection (`so`) decide what is downloaded, so they are right or the link
    /// is refused. All else are hints: wrong ones and those beyond a bound are passed over, as are
    /// unknown parameters. White space around the link and `&amp;` for `&` are tolerated; keys and
    /// scheme may be of either case and numbered (`tr.1`).
    pub fn parse(link: &str) -> Result<Magnet, MagnetError> {
        let link = link.trim();
        check_len(link.len())?;
        let scheme = || MagnetError::Scheme { got: shown(link) };
        let query = link.split_at_checked("magnet:?".len()).ok_or_else(scheme)?;
        if !query.0.eq_ignore_ascii_case("magnet:?") {
            return Err(scheme());
        }
        let mut names = Names::default();
        let mut ranges = Vec::new();
        // What the names are is known at the end; until then any will do.
        let mut magnet = Magnet::new(InfoHashes::from_v1(Sha1([0; 20])));
        for pair in query.1.split('&') {
            let pair = pair.strip_prefix("amp;").unwrap_or(pair);
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match plain_key(key).as_str() {
                "xt" => names.read(&text(value))?,
                "so" => read_ranges(&text(value), &mut ranges)?,
                key => magnet.read(key, value),
            }
        }
        magnet.info_hashes = InfoHashes::new(names.v1, names.v2).ok_or(MagnetError::NoInfoHash)?;
        magnet.select = (!ranges.is_empty()).then(|| merged(ranges)).transpose()?;
        check_len(magnet.to_string().len())?;
        Ok(magnet)
    }

    /// One hint.
    fn read(&mut self, key: &str, value: &str) {
        match key {
            "dn" if self.name.is_none() => self.name = read_name(value),
            "tr" => keep(&mut self.trackers, read_url(value), TRACKER_MAX),
            "ws" => keep(&mut self.web_seeds, read_url(value), MAGNET_LIST_MAX),
            "xs" => keep(&mut self.sources, read_url(value), MAGNET_LIST_MAX),
            "as" => keep(&mut self.acceptable_sources, read_url(value), MAGNET_LIST_MAX),
            "x.pe" => keep(&mut self.peers, MagnetPeer::parse(&text(value)), MAGNET_LIST_MAX),
            "xl" if self.length.is_none() => self.length = text(value).parse().ok(),
            _ => {}
        }
    }
}

impl FromStr for Magnet {
    type Err = MagnetError;

    fn from_str(link: &str) -> Result<Magnet, MagnetError> {
        Magnet::parse(link)
    }
}

impl fmt::Display for Magnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lead = "magnet:?";
        if let Some(v1) = self.info_hashes.v1() {
            write!(f, "{lead}xt=urn:btih:{v1}")?;
            lead = "&";
        }
        if let Some(v2) = self.info_hashes.v2() {
            write!(f, "{lead}xt=urn:btmh:{SHA256_PREFIX}{v2}")?;
        }
        write_all(f, "dn", self.name.as_slice())?;
        if let Some(length) = self.length {
            write!(f, "&xl={length}")?;
        }
        write_all(f, "tr", &self.trackers)?;
        write_all(f, "ws", &self.web_seeds)?;
        write_all(f, "xs", &self.sources)?;
        write_all(f, "as", &self.acceptable_sources)?;
        // Colons and brackets stay: some clients look for the port before they decode.
        self.peers.iter().try_for_each(|peer| write!(f, "&x.pe={peer}"))?;
        for (index, range) in self.select.iter().flatten().enumerate() {
            f.write_str(if index == 0 { "&so=" } else { "," })?;
            write!(f, "{}", range.start())?;
            if range.end() > range.start() {
                write!(f, "-{}", range.end())?;
            }
        }
        Ok(())
    }
}

/// The names found so far.
#[derive(Default)]
struct Names {
    v1: Option<Sha1>,
    v2: Option<Sha256>,
}

impl Names {
    /// One exact topic; those of other networks are passed over.
    fn read(&mut self, topic: &str) -> Result<(), MagnetError> {
        if let Some(digits) = strip_prefix_of_any_case(topic, "urn:btih:") {
            let hash = Sha1::from_hex(digits).or_else(|| base32::decode(digits).map(Sha1));
            let hash = hash.ok_or_else(|| MagnetError::Btih { got: shown(digits) })?;
            return agree(&mut self.v1, hash, "btih");
        }
        if let Some(digits) = strip_prefix_of_any_case(topic, "urn:btmh:") {
            let hash = digits.strip_prefix(SHA256_PREFIX).and_then(Sha256::from_hex);
            let hash = hash.ok_or_else(|| MagnetError::Btmh { got: shown(digits) })?;
            return agree(&mut self.v2, hash, "btmh");
        }
        Ok(())
    }
}

fn agree<T: PartialEq>(
    known: &mut Option<T>,
    new: T,
    kind: &'static str,
) -> Result<(), MagnetError> {
    match known {
        Some(known) if *known != new => Err(MagnetError::Contradiction { kind }),
        _ => {
            *known = Some(new);
            Ok(())
        }
    }
}

fn check_len(got: usize) -> Result<(), MagnetError> {
    if got > MAGNET_LEN_MAX {
        Err(MagnetError::TooLong { got, max: MAGNET_LEN_MAX })
    } else {
        Ok(())
    }
}

/// Lower case, without the number that tells parameters of one kind apart.
fn plain_key(key: &str) -> String {
    let key = key.to_ascii_lowercase();
    match key.rsplit_once('.') {
        Some((plain, number)) if number.bytes().all(|b| b.is_ascii_digit()) => plain.to_owned(),
        _ => key,
    }
}

fn strip_prefix_of_any_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Decoded, with `+` for itself: in none of the values that this is for could a space stand.
fn text(value: &str) -> String {
    String::from_utf8_lossy(&unescape(value)).into_owned()
}

/// Forms write a space as `+`, and so do those who write names into links.
fn read_name(value: &str) -> Option<String> {
    let name = text(&value.replace('+', " "));
    let name: String = name.trim().chars().take(MAGNET_NAME_LEN_MAX).collect();
    let name = name.trim_end();
    (!name.is_empty()).then(|| name.to_owned())
}

/// One word of text; anything else cannot be a URL.
fn read_url(value: &str) -> Option<String> {
    let url = String::from_utf8(unescape(value)).ok()?;
    let url = url.trim();
    is_link(url).then(|| url.to_owned())
}

/// Appends what is there, new and within the bound.
fn keep<T: PartialEq>(list: &mut Vec<T>, item: Option<T>, max: usize) {
    let item = item.filter(|item| list.len() < max && !list.contains(item));
    list.extend(item);
}

fn read_ranges(text: &str, ranges: &mut Vec<RangeInclusive<u32>>) -> Result<(), MagnetError> {
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let wrong = || MagnetError::Selection { got: shown(part) };
        ranges.push(read_range(part).ok_or_else(wrong)?);
    }
    Ok(())
}

fn read_range(part: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let number = |digits: &str| {
        let digits = digits.trim();
        digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
    };
    let (first, last): (u32, u32) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

/// Sorted, with those joined that touch.
fn merged(mut ranges: Vec<RangeInclusive<u32>>) -> Result<Vec<RangeInclusive<u32>>, MagnetError> {
    ranges.sort_unstable_by_key(|range| (*range.start(), *range.end()));
    let mut apart: Vec<RangeInclusive<u32>> = Vec::new();
    for range in ranges {
        match apart.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => apart.push(range),
        }
    }
    let max = MAGNET_RANGE_MAX;
    if apart.len() > max { Err(MagnetError::SelectionTooLong { max }) } else { Ok(apart) }
}

fn write_all(f: &mut fmt::Formatter<'_>, key: &str, values: &[String]) -> fmt::Result {
    values.iter().try_for_each(|value| {
        write!(f, "&{key}=")?;
        write_escaped(f, value.as_bytes())
    })
}

/// The start of a stranger's text, harmless in a terminal.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_LEN_MAX).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests;
