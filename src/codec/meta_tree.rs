//! The file tree of a v2 torrent (BEP 52): dictionaries in dictionaries to files with their paths.

use crate::base::digest::Sha256;
use crate::codec::bencode::Dict;
use crate::codec::bencode::Value;
use crate::codec::meta_error::MetainfoError;
use crate::codec::meta_error::wrong;
use crate::codec::meta_file::LengthKey;
use crate::codec::meta_file::RawFile;

/// A walk over the files, in the order in which they stand.
///
/// A name leads to a directory, or to a dictionary with nothing in it but an entry without a name:
/// that is a file. Nothing recurses; the depth is bounded by that of the document.
pub(crate) struct TreeWalk<'a> {
    open: Vec<Dict<'a>>,
    path: Vec<&'a [u8]>,
}

/// A file of the tree.
#[derive(Clone)]
pub(crate) struct TreeFile<'a> {
    pub(crate) raw: RawFile<'a>,
    /// `pieces root`; there exactly if the file has bytes.
    pub(crate) root: Option<Sha256>,
}

impl<'a> TreeWalk<'a> {
    /// Over the value of `file tree`.
    pub(crate) fn new(tree: Value<'a>) -> TreeWalk<'a> {
        TreeWalk { open: tree.as_dict().into_iter().collect(), path: Vec::new() }
    }

    /// The names that led to the file that came last.
    pub(crate) fn path(&self) -> &[&'a [u8]] {
        &self.path
    }

    /// The next file. After an error there is nothing more to be had.
    pub(crate) fn next(&mut self) -> Result<Option<TreeFile<'a>>, MetainfoError> {
        while let Some(directory) = self.open.last_mut() {
            let Some((name, node)) = directory.next() else {
                self.open.pop();
                continue;
            };
            if name.is_empty() {
                let expected = "a tree in which an entry without a name stands alone, for a file";
                return Err(wrong("info.file tree", expected));
            }
            self.path.truncate(self.open.len() - 1);
            self.path.push(name);
            let expected = wrong("info.file tree", "a dictionary for every name");
            let inside = node.as_dict().ok_or(expected)?;
            let mut pairs = inside.clone();
            match (pairs.next(), pairs.next()) {
                (Some((b"", file)), None) => return TreeFile::read(file).map(Some),
                _ => self.open.push(inside),
            }
        }
        Ok(None)
    }
}

impl<'a> TreeFile<'a> {
    fn read(file: Value<'a>) -> Result<TreeFile<'a>, MetainfoError> {
        if !file.is_dict() {
            return Err(wrong("info.file tree", "a dictionary for every file"));
        }
        let raw = RawFile::describe(file, LengthKey::Tree)?;
        if raw.is_pad {
            return Err(wrong("info.file tree", "a tree without pad files"));
        }
        if raw.length == 0 {
            return Ok(TreeFile { raw, root: None });
        }
        let key = "info.file tree.pieces root";
        let root = file.get(b"pieces root").ok_or(MetainfoError::Missing { key })?;
        let root = root.as_bytes().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let root = root.ok_or(wrong(key, "a byte string of 32 bytes"))?;
        Ok(TreeFile { raw, root: Some(Sha256(root)) })
    }
}
