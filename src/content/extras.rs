//! What a .torrent file says beside its content: trackers, web seeds, hints and texts, made safe.

use std::collections::BTreeSet;

use crate::base::digest::Sha1;
use crate::base::limits::HOST_LEN_MAX;
use crate::base::limits::TRACKER_MAX;
use crate::base::limits::WEB_SEED_MAX;
use crate::codec::link::is_link;
use crate::codec::link::is_word;
use crate::codec::metainfo::Metainfo;

/// Bytes of a comment, a program's name and the like; the rest is cut off.
const TEXT_LEN_MAX: usize = 64 * 1024;
/// Bytes of a collection's name; longer ones are left out.
const COLLECTION_LEN_MAX: usize = 1024;

/// All of it; empty where a torrent says nothing.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Extras {
    pub(crate) trackers: Vec<Vec<String>>,
    pub(crate) url_list: Vec<String>,
    pub(crate) nodes: Vec<(String, u16)>,
    pub(crate) similar: Vec<Sha1>,
    pub(crate) collections: Vec<String>,
    pub(crate) comment: Option<String>,
    pub(crate) created_by: Option<String>,
    pub(crate) creation_date: Option<i64>,
    pub(crate) source: Option<String>,
    pub(crate) encoding: Option<String>,
}

/// What a torrent says that says nothing.
pub(crate) static NONE: Extras = Extras {
    trackers: Vec::new(),
    url_list: Vec::new(),
    nodes: Vec::new(),
    similar: Vec::new(),
    collections: Vec::new(),
    comment: None,
    created_by: None,
    creation_date: None,
    source: None,
    encoding: None,
};

impl Extras {
    /// Nothing is kept where nothing is said.
    pub(crate) fn boxed(self) -> Option<Box<Extras>> {
        (self != NONE).then(|| Box::new(self))
    }

    pub(crate) fn read(metainfo: &Metainfo<'_>) -> Extras {
        let similar = metainfo.similar.iter().filter_map(|hash| (*hash).try_into().ok());
        let collections = metainfo.collections.iter();
        let collections = collections.filter(|name| name.len() <= COLLECTION_LEN_MAX);
        Extras {
            trackers: read_trackers(&metainfo.tiers, metainfo.announce),
            url_list: read_urls(&metainfo.url_list).take(WEB_SEED_MAX).collect(),
            nodes: metainfo.nodes.iter().filter_map(read_node).collect(),
            similar: similar.map(Sha1).collect(),
            collections: collections.map(|name| text(name)).collect(),
            comment: metainfo.comment.map(text),
            created_by: metainfo.created_by.map(text),
            creation_date: metainfo.creation_date,
            source: metainfo.info.source.map(text),
            encoding: metainfo.encoding.map(text),
        }
    }
}

/// `announce-list` where it names a tracker, else `announce` (BEP 12); each URL once.
pub(crate) fn read_trackers(raw: &[Vec<&str>], announce: Option<&str>) -> Vec<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut tiers: Vec<Vec<String>> = Vec::new();
    for tier in raw {
        let urls = read_urls(tier);
        let fresh = urls.filter(|url| seen.len() < TRACKER_MAX && seen.insert(url.clone()));
        let tier: Vec<String> = fresh.collect();
        if !tier.is_empty() {
            tiers.push(tier);
        }
    }
    if tiers.is_empty() {
        let announce: Vec<String> = read_urls(announce.as_slice()).collect();
        tiers.extend((!announce.is_empty()).then_some(announce));
    }
    tiers
}

/// One word of text each; anything else cannot be a URL.
fn read_urls<'a>(urls: &'a [&str]) -> impl Iterator<Item = String> + use<'a> {
    let urls = urls.iter().map(|url| url.trim());
    urls.filter(|url| is_link(url)).map(str::to_owned)
}

fn read_node((host, port): &(&str, u16)) -> Option<(String, u16)> {
    (host.len() <= HOST_LEN_MAX && is_word(host)).then(|| ((*host).to_owned(), *port))
}

/// Bytes that are no UTF-8 become replacement characters.
fn text(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes.get(..TEXT_LEN_MAX).unwrap_or(bytes)).into_owned();
    // A cut inside a character shows as one that is not there.
    if bytes.len() > TEXT_LEN_MAX && text.ends_with(char::REPLACEMENT_CHARACTER) {
        text.pop();
    }
    text
}
