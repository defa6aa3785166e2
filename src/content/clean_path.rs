//! Path elements from strangers made safe: same input, same name, no two files in one place.
//!
//! A cleaned element is never empty, `.` or `..`, holds no separator, control or direction
//! character, is no device name elsewhere, and has at most 240 bytes. Whatever collides afterwards,
//! also by case or because one wants a file where the other wants a directory, gets a number in the
//! order of the torrent.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::base::digest::Sha1;
use crate::base::limits::PATH_DEPTH_MAX;
use crate::base::limits::PATH_DUPLICATE_MAX;
use crate::base::limits::PATH_ELEMENT_LEN_MAX;
use crate::base::limits::PATH_TOTAL_LEN_MAX;

/// Stands for what cannot stay.
const REPLACEMENT: char = '_';
/// What an incomplete file is called meanwhile (F2); a torrent's own file must not sit there.
const PART_SUFFIX: &str = ".part";
/// Longer endings are no extensions and are cut with the rest.
const EXTENSION_LEN_MAX: usize = 16;

/// Numbers tried for one name; a torrent that holds them all already does it on purpose.
const NUMBER_MAX: u32 = 2 * PATH_DUPLICATE_MAX;

/// Paths of a torrent that cannot be given safe names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Directories nested too deeply.
    #[error("expected at most {max} path elements, got {got}; the torrent is not usable here")]
    TooDeep {
        /// Elements of the path.
        got: usize,
        /// The most we accept.
        max: usize,
    },
    /// Paths that would take much more memory, or time, than the torrent that names them.
    #[error(
        "expected paths of at most {max} bytes together, got more; the torrent looks malicious"
    )]
    TooLong {
        /// The most we accept, in bytes.
        max: usize,
    },
    /// Too many files wanted the same place.
    #[error("expected at most {max} files in each other's place; the torrent looks malicious")]
    TooManyCollisions {
        /// The most we rename.
        max: u32,
    },
}

/// One path element, safe. Different elements may become the same: [`PathSet`] tells them apart.
pub(crate) fn clean_element(raw: &[u8]) -> String {
    let mut clean = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        clean.extend(chunk.valid().chars().map(|c| if is_safe(c) { c } else { REPLACEMENT }));
        if !chunk.invalid().is_empty() {
            clean.push(REPLACEMENT);
        }
    }
    replace_drive(&mut clean);
    replace_trailing(&mut clean);
    if is_device(&clean) {
        clean.insert(0, REPLACEMENT);
    }
    if clean.is_empty() {
        clean.push(REPLACEMENT);
    }
    if clean.len() > PATH_ELEMENT_LEN_MAX { shorten(&clean, raw) } else { clean }
}

fn is_safe(c: char) -> bool {
    let turns_text = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2066}'..='\u{2069}');
    !c.is_control() && !turns_text && c != '/' && c != '\\'
}

/// `C:` at the front leaves the directory on systems with drive letters.
fn replace_drive(clean: &mut String) {
    let bytes = clean.as_bytes();
    if bytes.first().is_some_and(u8::is_ascii_alphabetic) && bytes.get(1) == Some(&b':') {
        clean.replace_range(1..2, "_");
    }
}

/// Dots and spaces at the end vanish on some systems, and `.` and `..` are directions, not names.
fn replace_trailing(clean: &mut String) {
    let kept = clean.trim_end_matches(['.', ' ']).len();
    let replaced = clean.len() - kept;
    clean.truncate(kept);
    clean.extend(std::iter::repeat_n(REPLACEMENT, replaced));
}

/// Names that are devices in every directory of some systems, whatever their extension.
fn is_device(clean: &str) -> bool {
    let stem = clean.split('.').next().unwrap_or_default().trim_end();
    let Some((base, number)) = stem.split_at_checked(3) else { return false };
    let is_one_of = |names: &[&str]| names.iter().any(|name| base.eq_ignore_ascii_case(name));
    match number.as_bytes() {
        [] => is_one_of(&["con", "prn", "aux", "nul"]),
        [b'0'..=b'9'] => is_one_of(&["com", "lpt"]),
        _ => false,
    }
}

/// Front and extension stay; a digest of the raw element keeps long names apart.
fn shorten(clean: &str, raw: &[u8]) -> String {
    let (stem, extension) = split_extension(clean);
    let tag: String = Sha1::of(raw).to_string().chars().take(8).collect();
    let room = PATH_ELEMENT_LEN_MAX - extension.len() - tag.len() - 1;
    let stem = &stem[..char_boundary(stem, room)];
    format!("{stem}~{tag}{extension}")
}

/// The last boundary between characters that is not behind `at`.
fn char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Stem and extension, the dot included; no extension where it would be all of the name or is long.
fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= EXTENSION_LEN_MAX => name.split_at(dot),
        _ => (name, ""),
    }
}

/// The places taken by a torrent's files. Memory is proportional to the elements, not to the paths.
#[derive(Default)]
pub(crate) struct PathSet {
    /// By directory and lower-case name; looked up only, never walked.
    nodes: BTreeMap<(u32, String), Node>,
    directory_count: u32,
    collisions: u32,
    /// Bytes of all paths so far: as they came or as they are called, whichever are more. A name in
    /// a file tree stands there once and is cleaned for every file below it.
    total_len: usize,
    /// The directories of the last file, from the top: neighbours mostly share them, and the way
    /// down need not be found anew for each.
    steps: Vec<Step>,
    /// Their names, joined.
    folder: String,
}

struct Step {
    raw: Vec<u8>,
    id: u32,
    /// Bytes of `folder` up to here.
    folder_len: usize,
}

enum Node {
    Directory(u32),
    /// `instead` is the directory that took another name because this file stands in its place.
    File {
        instead: Option<(u32, String)>,
    },
}

impl PathSet {
    /// The place of the file at `elements` below the directory `top` (if any), all raw.
    pub(crate) fn place<'a>(
        &mut self,
        top: Option<&str>,
        elements: impl Iterator<Item = &'a [u8]>,
    ) -> Result<PathBuf, PathError> {
        let elements: Vec<&[u8]> = elements.collect();
        let max = PATH_DEPTH_MAX;
        let Some((last, directories)) = elements.split_last().filter(|_| elements.len() <= max)
        else {
            return Err(PathError::TooDeep { got: elements.len(), max });
        };
        let raw_len = elements.iter().map(|raw| raw.len() + 1).sum();
        self.spend(raw_len)?;
        let parent = self.descend(directories)?;
        let mut path = PathBuf::from(top.unwrap_or_default());
        path.push(&self.folder);
        path.push(self.file(parent, clean_element(last))?);
        self.spend(path.as_os_str().len().saturating_sub(raw_len))?;
        Ok(path)
    }

    /// The directory at `directories`, whose names are in `folder` then.
    fn descend(&mut self, directories: &[&[u8]]) -> Result<u32, PathError> {
        let same = self.steps.iter().zip(directories).take_while(|(step, raw)| step.raw == **raw);
        let shared = same.count();
        self.steps.truncate(shared);
        self.folder.truncate(self.steps.last().map_or(0, |step| step.folder_len));
        let mut parent = self.steps.last().map_or(0, |step| step.id);
        for raw in directories.iter().skip(shared) {
            let (id, name) = self.directory(parent, clean_element(raw))?;
            if !self.folder.is_empty() {
                self.folder.push('/');
            }
            self.folder.push_str(&name);
            self.steps.push(Step { raw: raw.to_vec(), id, folder_len: self.folder.len() });
            parent = id;
        }
        Ok(parent)
    }

    fn spend(&mut self, len: usize) -> Result<(), PathError> {
        let max = PATH_TOTAL_LEN_MAX;
        self.total_len = self.total_len.saturating_add(len);
        if self.total_len > max { Err(PathError::TooLong { max }) } else { Ok(()) }
    }

    fn directory(&mut self, parent: u32, name: String) -> Result<(u32, String), PathError> {
        let key = (parent, name.to_lowercase());
        match self.nodes.get(&key) {
            Some(Node::Directory(id)) => return Ok((*id, name)),
            Some(Node::File { instead: Some(instead) }) => return Ok(instead.clone()),
            Some(Node::File { instead: None }) => {}
            None if !self.is_part_of_a_file(&key) => {
                return Ok((self.new_directory(key), name));
            }
            None => {}
        }
        let other = self.numbered(parent, &name)?;
        let id = self.new_directory((parent, other.to_lowercase()));
        let instead = Some((id, other.clone()));
        self.nodes.insert(key, Node::File { instead });
        Ok((id, other))
    }

    fn file(&mut self, parent: u32, name: String) -> Result<String, PathError> {
        let key = (parent, name.to_lowercase());
        let name = if self.is_free(&key) { name } else { self.numbered(parent, &name)? };
        self.nodes.insert((parent, name.to_lowercase()), Node::File { instead: None });
        Ok(name)
    }

    fn new_directory(&mut self, key: (u32, String)) -> u32 {
        self.directory_count += 1;
        self.nodes.insert(key, Node::Directory(self.directory_count));
        self.directory_count
    }

    /// Whether a file can have this name, and the name with `.part` meanwhile.
    fn is_free(&self, key: &(u32, String)) -> bool {
        let part = (key.0, format!("{}{PART_SUFFIX}", key.1));
        !self.nodes.contains_key(key)
            && !self.nodes.contains_key(&part)
            && !self.is_part_of_a_file(key)
    }

    /// Whether the name is what another file is called while it is incomplete.
    fn is_part_of_a_file(&self, key: &(u32, String)) -> bool {
        let whole = key.1.strip_suffix(PART_SUFFIX);
        let whole = whole.and_then(|whole| self.nodes.get(&(key.0, whole.to_owned())));
        matches!(whole, Some(Node::File { .. }))
    }

    /// The first free name with a number before the extension.
    fn numbered(&mut self, parent: u32, name: &str) -> Result<String, PathError> {
        self.collisions += 1;
        if self.collisions > PATH_DUPLICATE_MAX {
            return Err(PathError::TooManyCollisions { max: PATH_DUPLICATE_MAX });
        }
        let (stem, extension) = split_extension(name);
        let mut candidates = (1..=NUMBER_MAX).map(|n| format!("{stem}.{n}{extension}"));
        candidates
            .find(|candidate| self.is_free(&(parent, candidate.to_lowercase())))
            .ok_or(PathError::TooManyCollisions { max: PATH_DUPLICATE_MAX })
    }
}

#[cfg(test)]
mod tests;
