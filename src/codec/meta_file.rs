//! A file as metainfo of either version describes it (BEP 3, BEP 47, BEP 52).

use crate::codec::bencode::List;
use crate::codec::bencode::Value;
use crate::codec::meta_error::MetainfoError;
use crate::codec::meta_error::wrong;

/// A file of either version, without its place.
#[derive(Clone, Default)]
pub(crate) struct RawFile<'a> {
    /// Bytes; 0 for a link, whatever it claims.
    pub(crate) length: u64,
    /// Zeros that only align the next file (BEP 47).
    pub(crate) is_pad: bool,
    /// A link instead of data (BEP 47).
    pub(crate) is_symlink: bool,
    pub(crate) is_executable: bool,
    pub(crate) is_hidden: bool,
    target: Option<List<'a>>,
}

impl<'a> RawFile<'a> {
    /// The elements of a link's target, seen from the torrent's directory.
    pub(crate) fn target(&self) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
        self.target.clone().map(|list| list.filter_map(|element| element.as_bytes()))
    }

    /// From an entry of `files`: the file and the elements of its path, at least one.
    pub(crate) fn read(file: Value<'a>) -> Result<(RawFile<'a>, Elements<'a>), MetainfoError> {
        if !file.is_dict() {
            return Err(wrong("info.files", "a list of dictionaries"));
        }
        let raw = RawFile::describe(file, LengthKey::Files)?;
        let expected = wrong("info.files.path", "a list of byte strings, at least one");
        let path = file.get(b"path.utf-8").or(file.get(b"path"));
        let path = path.ok_or(MetainfoError::Missing { key: "info.files.path" })?;
        let path = path.as_list().ok_or(expected.clone())?;
        if path.clone().next().is_none() || path.clone().any(|e| e.as_bytes().is_none()) {
            return Err(expected);
        }
        Ok((raw, Elements(path)))
    }

    /// Length and attributes out of the dictionary that describes a file.
    pub(crate) fn describe(file: Value<'a>, key: LengthKey) -> Result<RawFile<'a>, MetainfoError> {
        let attributes = file.get(b"attr").and_then(|v| v.as_bytes()).unwrap_or_default();
        // One file that is padding or a link would be no torrent.
        let is_whole = key == LengthKey::Single;
        let is_symlink = attributes.contains(&b'l') && !is_whole;
        let length = match file.get(b"length") {
            // A link has no bytes of its own in the torrent, whatever it claims.
            _ if is_symlink => 0,
            Some(length) => length.as_u64().ok_or(wrong(key.name(), "an integer of 0 or more"))?,
            None => return Err(MetainfoError::Missing { key: key.name() }),
        };
        Ok(RawFile {
            length,
            is_pad: attributes.contains(&b'p') && !is_symlink && !is_whole,
            is_symlink,
            is_executable: attributes.contains(&b'x'),
            is_hidden: attributes.contains(&b'h'),
            target: file.get(b"symlink path").filter(|_| is_symlink).and_then(|v| v.as_list()),
        })
    }
}

/// Where a file's length stands, for errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LengthKey {
    Single,
    Files,
    Tree,
}

impl LengthKey {
    fn name(self) -> &'static str {
        match self {
            LengthKey::Single => "info.length",
            LengthKey::Files => "info.files.length",
            LengthKey::Tree => "info.file tree.length",
        }
    }
}

/// The elements of a path. All are byte strings: [`RawFile::read`] has looked.
#[derive(Clone)]
pub(crate) struct Elements<'a>(List<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.0.next()?.as_bytes()
    }
}
