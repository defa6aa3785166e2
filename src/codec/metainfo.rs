//! .torrent files: bencode to raw values, borrowed and of the right type, not yet checked against
//! each other (BEP 3, BEP 12, BEP 19, BEP 27, BEP 47). `content::torrent` does the checking.

use crate::base::limits::BENCODE_DEPTH_FILE_MAX;
use crate::base::limits::BENCODE_TOKEN_MAX;
use crate::codec::bencode::Limits;
use crate::codec::bencode::List;
use crate::codec::bencode::Value;

/// What a .torrent file may cost.
pub(crate) const LIMITS: Limits =
    Limits { depth: BENCODE_DEPTH_FILE_MAX, tokens: BENCODE_TOKEN_MAX };

/// A .torrent file that is bencode but no metainfo.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetainfoError {
    /// A key that must be there is not.
    #[error("expected the key `{key}`, found none; this is not a complete .torrent file")]
    Missing {
        /// The key, with the keys above it.
        key: &'static str,
    },
    /// A value of another type or range than its key asks for.
    #[error("expected `{key}` to be {expected}, got something else")]
    Wrong {
        /// The key, with the keys above it.
        key: &'static str,
        /// What the value should have been.
        expected: &'static str,
    },
    /// A key stands twice in `info`; readers would disagree about which one counts.
    #[error("expected every key of `info` once, got `{key}` twice; make the torrent anew")]
    Duplicate {
        /// The key, escaped.
        key: String,
    },
    /// A torrent for version 2 of the protocol alone (BEP 52).
    #[error("expected a v1 or hybrid torrent, got one for v2 only, which is not supported yet")]
    OnlyV2,
}

/// A .torrent file's values.
#[derive(Debug)]
pub(crate) struct Metainfo<'a> {
    pub(crate) info: Info<'a>,
    pub(crate) announce: Option<&'a str>,
    /// `announce-list`; a URL outside a tier is a tier of its own.
    pub(crate) tiers: Vec<Vec<&'a str>>,
    pub(crate) url_list: Vec<&'a str>,
    pub(crate) comment: Option<&'a [u8]>,
    pub(crate) created_by: Option<&'a [u8]>,
    /// Seconds since 1970.
    pub(crate) creation_date: Option<i64>,
}

/// The `info` dictionary.
#[derive(Debug)]
pub(crate) struct Info<'a> {
    /// As it stands in the file: what the info hash is over.
    pub(crate) raw: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) piece_length: u64,
    pub(crate) pieces: &'a [u8],
    /// Where in `raw` the bytes of `pieces` start.
    pub(crate) pieces_at: usize,
    pub(crate) is_private: bool,
    pub(crate) content: Content<'a>,
}

/// One file, or many under a directory.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    Single { length: u64 },
    Multi(Vec<RawFile<'a>>),
}

/// An entry of `files`.
#[derive(Clone)]
pub(crate) struct RawFile<'a> {
    pub(crate) length: u64,
    path: List<'a>,
    /// Zeros that only align the next file (BEP 47).
    pub(crate) is_pad: bool,
    /// A link instead of data (BEP 47).
    pub(crate) is_symlink: bool,
}

impl<'a> RawFile<'a> {
    /// The path's elements. All are byte strings: `read` has looked.
    pub(crate) fn elements(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.path.clone().filter_map(|element| element.as_bytes())
    }
}

impl std::fmt::Debug for RawFile<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawFile({} bytes)", self.length)
    }
}

impl<'a> Metainfo<'a> {
    /// From the root of a document parsed with [`LIMITS`].
    pub(crate) fn read(root: Value<'a>) -> Result<Metainfo<'a>, MetainfoError> {
        if !root.is_dict() {
            return Err(wrong("(root)", "a dictionary"));
        }
        let info = root.get(b"info").ok_or(MetainfoError::Missing { key: "info" })?;
        Ok(Metainfo {
            info: Info::read(info)?,
            announce: root.get(b"announce").and_then(|v| v.as_str()),
            tiers: read_tiers(root.get(b"announce-list")),
            url_list: read_urls(root.get(b"url-list")),
            comment: first_bytes(root, [b"comment.utf-8", b"comment"]),
            created_by: root.get(b"created by").and_then(|v| v.as_bytes()),
            creation_date: root.get(b"creation date").and_then(|v| v.as_int()),
        })
    }
}

impl<'a> Info<'a> {
    /// From the `info` dictionary, wherever it came from.
    pub(crate) fn read(info: Value<'a>) -> Result<Info<'a>, MetainfoError> {
        if !info.is_dict() {
            return Err(wrong("info", "a dictionary"));
        }
        if let Some(key) = info.duplicate_key() {
            return Err(MetainfoError::Duplicate { key: key.escape_ascii().to_string() });
        }
        let pieces = match (info.get(b"pieces"), info.get(b"meta version")) {
            (Some(pieces), _) => pieces,
            (None, Some(_)) => return Err(MetainfoError::OnlyV2),
            (None, None) => return Err(MetainfoError::Missing { key: "info.pieces" }),
        };
        let expected = "a byte string of 20 bytes per piece";
        let hashes = pieces.as_bytes().ok_or(wrong("info.pieces", expected))?;
        if hashes.len() % 20 != 0 {
            return Err(wrong("info.pieces", expected));
        }
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
            pieces: hashes,
            pieces_at: pieces.span().end - hashes.len() - info.span().start,
            is_private: info.get(b"private").and_then(|v| v.as_int()) == Some(1),
            content: Content::read(info)?,
        })
    }
}

impl<'a> Content<'a> {
    fn read(info: Value<'a>) -> Result<Content<'a>, MetainfoError> {
        match (info.get(b"length"), info.get(b"files")) {
            (Some(length), None) => {
                let length = length.as_u64();
                let length = length.ok_or(wrong("info.length", "an integer of 0 or more"))?;
                Ok(Content::Single { length })
            }
            (None, Some(files)) => {
                let files = files.as_list().ok_or(wrong("info.files", "a list"))?;
                Ok(Content::Multi(files.map(RawFile::read).collect::<Result<_, _>>()?))
            }
            (Some(_), Some(_)) => Err(wrong("info", "one file or many, not both")),
            (None, None) => Err(MetainfoError::Missing { key: "info.length or info.files" }),
        }
    }
}

impl<'a> RawFile<'a> {
    fn read(file: Value<'a>) -> Result<RawFile<'a>, MetainfoError> {
        if !file.is_dict() {
            return Err(wrong("info.files", "a list of dictionaries"));
        }
        let attributes = file.get(b"attr").and_then(|v| v.as_bytes()).unwrap_or_default();
        let is_symlink = attributes.contains(&b'l');
        let length = match file.get(b"length") {
            // A link has no bytes of its own in the torrent, whatever it claims.
            _ if is_symlink => 0,
            Some(length) => {
                length.as_u64().ok_or(wrong("info.files.length", "an integer of 0 or more"))?
            }
            None => return Err(MetainfoError::Missing { key: "info.files.length" }),
        };
        let expected = wrong("info.files.path", "a list of byte strings, at least one");
        let path = file.get(b"path.utf-8").or(file.get(b"path"));
        let path = path.ok_or(MetainfoError::Missing { key: "info.files.path" })?;
        let path = path.as_list().ok_or(expected.clone())?;
        if path.clone().next().is_none() || path.clone().any(|e| e.as_bytes().is_none()) {
            return Err(expected);
        }
        Ok(RawFile { length, path, is_pad: attributes.contains(&b'p'), is_symlink })
    }
}

fn wrong(key: &'static str, expected: &'static str) -> MetainfoError {
    MetainfoError::Wrong { key, expected }
}

fn first_bytes<'a, const N: usize>(root: Value<'a>, keys: [&[u8]; N]) -> Option<&'a [u8]> {
    keys.iter().find_map(|key| root.get(key)?.as_bytes())
}

/// Lenient, because the torrent works without: what is no URL list is left out.
fn read_tiers<'a>(list: Option<Value<'a>>) -> Vec<Vec<&'a str>> {
    let tiers = list.and_then(|list| list.as_list()).into_iter().flatten();
    tiers
        .map(|tier| match tier.as_list() {
            Some(urls) => urls.filter_map(|url| url.as_str()).collect(),
            None => tier.as_str().into_iter().collect(),
        })
        .collect()
}

/// A string or a list of strings (BEP 19).
fn read_urls<'a>(value: Option<Value<'a>>) -> Vec<&'a str> {
    let Some(value) = value else { return Vec::new() };
    match value.as_list() {
        Some(list) => list.filter_map(|url| url.as_str()).collect(),
        None => value.as_str().into_iter().collect(),
    }
}
