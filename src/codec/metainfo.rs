//! .torrent files: bencode to raw values, borrowed and of the right type, not yet checked against
//! each other (BEP 3, 5, 12, 19, 27, 38, 47, 52). `content::torrent` does the checking.

use crate::base::limits::BENCODE_DEPTH_FILE_MAX;
use crate::base::limits::BENCODE_TOKEN_MAX;
use crate::base::limits::TRACKER_MAX;
use crate::codec::bencode::Dict;
use crate::codec::bencode::Limits;
use crate::codec::bencode::List;
use crate::codec::bencode::Value;
use crate::codec::meta_error::MetainfoError;
use crate::codec::meta_error::wrong;
use crate::codec::meta_file::LengthKey;
use crate::codec::meta_file::RawFile;

/// What a .torrent file may cost.
pub(crate) const LIMITS: Limits =
    Limits { depth: BENCODE_DEPTH_FILE_MAX, tokens: BENCODE_TOKEN_MAX };

/// URLs looked at in one list: more than any list keeps.
const URL_MAX: usize = 1_000;
/// Nodes, similar torrents and collections kept, each: hints, of which real torrents have a few.
const HINT_MAX: usize = 200;

/// A .torrent file's values.
pub(crate) struct Metainfo<'a> {
    pub(crate) info: Info<'a>,
    /// `piece layers`: roots of files with the hashes of their pieces (BEP 52).
    pub(crate) layers: Option<Dict<'a>>,
    pub(crate) announce: Option<&'a str>,
    /// `announce-list`; a URL outside a tier is a tier of its own.
    pub(crate) tiers: Vec<Vec<&'a str>>,
    pub(crate) url_list: Vec<&'a str>,
    /// `nodes`: hosts and ports (BEP 5).
    pub(crate) nodes: Vec<(&'a str, u16)>,
    /// Info hashes of torrents with the same files (BEP 38), in `info` and outside.
    pub(crate) similar: Vec<&'a [u8]>,
    /// Names of sets of torrents that share files (BEP 38), in `info` and outside.
    pub(crate) collections: Vec<&'a [u8]>,
    pub(crate) comment: Option<&'a [u8]>,
    pub(crate) created_by: Option<&'a [u8]>,
    pub(crate) encoding: Option<&'a [u8]>,
    /// Seconds since 1970.
    pub(crate) creation_date: Option<i64>,
}

/// The `info` dictionary: of v1, of v2, or of both.
#[derive(Debug)]
pub(crate) struct Info<'a> {
    /// As it stands in the file: what the info hashes are over.
    pub(crate) raw: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) piece_length: u64,
    /// What BEP 3 asks for; `None` in a torrent of v2 only.
    pub(crate) v1: Option<InfoV1<'a>>,
    /// `file tree` (BEP 52), a dictionary; `None` in a torrent of v1 only.
    pub(crate) tree: Option<Value<'a>>,
    pub(crate) is_private: bool,
    pub(crate) source: Option<&'a [u8]>,
}

/// The part of `info` that only v1 has.
#[derive(Debug)]
pub(crate) struct InfoV1<'a> {
    /// 20 bytes per piece.
    pub(crate) pieces: &'a [u8],
    /// Where in the raw `info` the bytes of `pieces` start.
    pub(crate) pieces_at: usize,
    pub(crate) content: Content<'a>,
}

/// One file, or many under a directory.
#[derive(Clone)]
pub(crate) enum Content<'a> {
    Single(RawFile<'a>),
    /// Read one by one with [`RawFile::read`].
    Multi(List<'a>),
}

impl std::fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Content::Single(file) => write!(f, "Single({} bytes)", file.length),
            Content::Multi(_) => write!(f, "Multi"),
        }
    }
}

impl<'a> Metainfo<'a> {
    /// From the root of a document parsed with [`LIMITS`].
    pub(crate) fn read(root: Value<'a>) -> Result<Metainfo<'a>, MetainfoError> {
        if !root.is_dict() {
            return Err(wrong("(root)", "a dictionary"));
        }
        let info = root.get(b"info").ok_or(MetainfoError::Missing { key: "info" })?;
        let layers = match root.get(b"piece layers") {
            Some(value) => Some(value.as_dict().ok_or(wrong("piece layers", "a dictionary"))?),
            None => None,
        };
        Ok(Metainfo {
            layers,
            announce: root.get(b"announce").and_then(|v| v.as_str()),
            tiers: read_tiers(root.get(b"announce-list")),
            url_list: read_urls(root.get(b"url-list")),
            nodes: read_nodes(root.get(b"nodes")),
            similar: read_hints(b"similar", [root, info]),
            collections: read_hints(b"collections", [root, info]),
            comment: first_bytes(root, [b"comment.utf-8", b"comment"]),
            created_by: root.get(b"created by").and_then(|v| v.as_bytes()),
            encoding: root.get(b"encoding").and_then(|v| v.as_bytes()),
            creation_date: root.get(b"creation date").and_then(|v| v.as_int()),
            info: Info::read(info)?,
        })
    }

    /// From a document that is the `info` dictionary alone (BEP 9), with trackers and web seeds
    /// from elsewhere.
    pub(crate) fn read_info(
        info: Value<'a>,
        tiers: Vec<Vec<&'a str>>,
        url_list: Vec<&'a str>,
    ) -> Result<Metainfo<'a>, MetainfoError> {
        Ok(Metainfo {
            info: Info::read(info)?,
            layers: None,
            announce: None,
            tiers,
            url_list,
            nodes: Vec::new(),
            similar: read_hints(b"similar", [info]),
            collections: read_hints(b"collections", [info]),
            comment: None,
            created_by: None,
            encoding: None,
            creation_date: None,
        })
    }
}

impl<'a> Info<'a> {
    /// From the `info` dictionary, wherever it came from.
    pub(crate) fn read(info: Value<'a>) -> Result<Info<'a>, MetainfoError> {
        if !info.is_dict() {
            return Err(wrong("info", "a dictionary"));
        }
        // First, because anything else may mean something else in another version (BEP 52).
        let has_v2 = has_v2(info)?;
        if let Some(key) = info.duplicate_key() {
            return Err(MetainfoError::Duplicate { key: key.escape_ascii().to_string() });
        }
        let tree = info.get(b"file tree");
        let tree = match (has_v2, tree) {
            (true, Some(tree)) if !tree.is_dict() => {
                return Err(wrong("info.file tree", "a dictionary"));
            }
            (true, None) => return Err(MetainfoError::Missing { key: "info.file tree" }),
            (false, Some(_)) => return Err(MetainfoError::Missing { key: "info.meta version" }),
            (_, tree) => tree,
        };
        // `length` alone makes no v1 torrent: torrentfile 0.9 writes it into v2 torrents of one
        // file.
        let v1_keys: [&[u8]; 2] = [b"pieces", b"files"];
        let has_v1 = !has_v2 || v1_keys.iter().any(|key| info.get(key).is_some());
        let name = info.get(b"name").ok_or(MetainfoError::Missing { key: "info.name" })?;
        let plain_name = name.as_bytes().ok_or(wrong("info.name", "a byte string"))?;
        let piece_length = info
            .get(b"piece length")
            .ok_or(MetainfoError::Missing { key: "info.piece length" })?
            .as_u64()
            .ok_or(wrong("info.piece length", "a positive integer"))?;
        Ok(Info {
            raw: info.raw(),
            name: info.get(b"name.utf-8").and_then(|v| v.as_bytes()).unwrap_or(plain_name),
            piece_length,
            v1: if has_v1 { Some(InfoV1::read(info)?) } else { None },
            tree,
            // BEP 27 says 1; other clients take any other number for the same, and what they keep
            // to the tracker must not leak through us.
            is_private: info.get(b"private").and_then(|v| v.as_int()).is_some_and(|n| n != 0),
            source: info.get(b"source").and_then(|v| v.as_bytes()),
        })
    }
}

/// Whether `info` has what BEP 52 asks for; an error for a version behind it.
fn has_v2(info: Value<'_>) -> Result<bool, MetainfoError> {
    let Some(version) = info.get(b"meta version") else { return Ok(false) };
    match version.as_int() {
        Some(2) => Ok(true),
        Some(got) => Err(MetainfoError::Version { got }),
        None => Err(wrong("info.meta version", "the integer 2")),
    }
}

impl<'a> InfoV1<'a> {
    fn read(info: Value<'a>) -> Result<InfoV1<'a>, MetainfoError> {
        let pieces = info.get(b"pieces").ok_or(MetainfoError::Missing { key: "info.pieces" })?;
        let expected = "a byte string of 20 bytes per piece";
        let hashes = pieces.as_bytes().ok_or(wrong("info.pieces", expected))?;
        if hashes.len() % 20 != 0 {
            return Err(wrong("info.pieces", expected));
        }
        let pieces_at = pieces.span().end - hashes.len() - info.span().start;
        Ok(InfoV1 { pieces: hashes, pieces_at, content: Content::read(info)? })
    }
}

impl<'a> Content<'a> {
    fn read(info: Value<'a>) -> Result<Content<'a>, MetainfoError> {
        match (info.get(b"length"), info.get(b"files")) {
            (Some(_), None) => Ok(Content::Single(RawFile::describe(info, LengthKey::Single)?)),
            (None, Some(files)) => {
                Ok(Content::Multi(files.as_list().ok_or(wrong("info.files", "a list"))?))
            }
            (Some(_), Some(_)) => Err(wrong("info", "one file or many, not both")),
            (None, None) => Err(MetainfoError::Missing { key: "info.length or info.files" }),
        }
    }
}

fn first_bytes<'a, const N: usize>(root: Value<'a>, keys: [&[u8]; N]) -> Option<&'a [u8]> {
    keys.iter().find_map(|key| root.get(key)?.as_bytes())
}

/// Lenient, because the torrent works without: what is no URL list is left out.
fn read_tiers<'a>(list: Option<Value<'a>>) -> Vec<Vec<&'a str>> {
    let tiers = list.and_then(|list| list.as_list()).into_iter().flatten();
    let tiers = tiers.map(|tier| read_urls(Some(tier)));
    tiers.filter(|tier| !tier.is_empty()).take(TRACKER_MAX).collect()
}

/// A string or a list of strings (BEP 19).
fn read_urls<'a>(value: Option<Value<'a>>) -> Vec<&'a str> {
    let Some(value) = value else { return Vec::new() };
    match value.as_list() {
        Some(list) => list.filter_map(|url| url.as_str()).take(URL_MAX).collect(),
        None => value.as_str().into_iter().collect(),
    }
}

/// Pairs of host and port (BEP 5).
fn read_nodes<'a>(value: Option<Value<'a>>) -> Vec<(&'a str, u16)> {
    let list = value.and_then(|value| value.as_list()).into_iter().flatten();
    let pairs = list.filter_map(|pair| {
        let mut pair = pair.as_list()?;
        let host = pair.next()?.as_str()?;
        let port = u16::try_from(pair.next()?.as_u64()?).ok()?;
        Some((host, port)).filter(|_| port > 0)
    });
    pairs.take(HINT_MAX).collect()
}

/// Byte strings under `key` in any of the dictionaries (BEP 38: inside of `info` or beside it).
fn read_hints<'a, const N: usize>(key: &[u8], places: [Value<'a>; N]) -> Vec<&'a [u8]> {
    let lists = places.into_iter().filter_map(|place| place.get(key)?.as_list());
    lists.flatten().filter_map(|value| value.as_bytes()).take(HINT_MAX).collect()
}
