//! The bytes of a .torrent file, encoded by bendy.

use std::collections::BTreeMap;

use bendy::encoding::Encoder;
use bendy::encoding::Error;
use bendy::encoding::SingleItemEncoder;
use bendy::encoding::UnsortedDictEncoder;

use crate::base::digest::Sha1;
use crate::base::digest::Sha256;
use crate::base::limits::BENCODE_DEPTH_FILE_MAX;
use crate::content::files::FileEntry;
use crate::content::files::FileList;
use crate::content::make::cannot::MakeError;
use crate::content::make::draft::Draft;
use crate::content::make::draft::File;

/// Everything that goes into the file.
pub(super) struct Parts<'a> {
    pub(super) draft: &'a Draft,
    /// With pads.
    pub(super) files: &'a FileList,
    pub(super) piece_length: u32,
    /// SHA-1 of each piece; not looked at without v1.
    pub(super) hashes: &'a [Sha1],
    /// By file of the draft; those without bytes have none. Not looked at without v2.
    pub(super) trees: &'a [Tree],
}

/// What v2 says about one file.
#[derive(Clone, Default)]
pub(super) struct Tree {
    pub(super) root: Option<Sha256>,
    /// The roots of its pieces, if it has more than one.
    pub(super) layer: Vec<Sha256>,
}

type Emitted = Result<(), Error>;

impl Parts<'_> {
    pub(super) fn encode(&self) -> Result<Vec<u8>, MakeError> {
        let mut encoder = Encoder::new().with_max_depth(BENCODE_DEPTH_FILE_MAX as usize);
        encoder
            .emit_and_sort_dict(|root| self.emit_root(root))
            .and_then(|()| encoder.get_output())
            .map_err(|error| MakeError::Encode(error.to_string()))
    }

    fn emit_root(&self, root: &mut UnsortedDictEncoder) -> Emitted {
        let draft = self.draft;
        if let Some(first) = draft.trackers.iter().flatten().next() {
            root.emit_pair(b"announce", first)?;
        }
        if draft.trackers.iter().flatten().count() > 1 {
            root.emit_pair(b"announce-list", &draft.trackers)?;
        }
        if !draft.web_seeds.is_empty() {
            root.emit_pair(b"url-list", &draft.web_seeds)?;
        }
        if let Some(comment) = &draft.comment {
            root.emit_pair(b"comment", comment)?;
        }
        if let Some(program) = &draft.created_by {
            root.emit_pair(b"created by", program)?;
        }
        if let Some(seconds) = draft.creation_date {
            root.emit_pair(b"creation date", seconds)?;
        }
        if draft.version.has_v2() {
            root.emit_pair_with(b"piece layers", |layers| self.emit_layers(layers))?;
        }
        root.emit_pair_with(b"info", |info| info.emit_unsorted_dict(|info| self.emit_info(info)))
    }

    fn emit_info(&self, info: &mut UnsortedDictEncoder) -> Emitted {
        let draft = self.draft;
        info.emit_pair_with(b"name", |name| name.emit_bytes(&draft.name))?;
        info.emit_pair(b"piece length", self.piece_length)?;
        if draft.is_private {
            info.emit_pair(b"private", 1)?;
        }
        if let Some(source) = &draft.source {
            info.emit_pair(b"source", source)?;
        }
        if draft.version.has_v1() {
            self.emit_v1(info)?;
        }
        if draft.version.has_v2() {
            info.emit_pair(b"meta version", 2)?;
            let leaves: Vec<Leaf<'_>> = draft.files.iter().zip(self.trees).collect();
            info.emit_pair_with(b"file tree", |tree| match draft.is_single {
                true => tree.emit_dict(|mut tree| {
                    let leaf = leaves.first().copied();
                    tree.emit_pair_with(&draft.name, |file| {
                        leaf.map_or(Ok(()), |l| emit_leaf(file, l))
                    })
                }),
                false => emit_tree(tree, &leaves, 0),
            })?;
        }
        Ok(())
    }

    fn emit_v1(&self, info: &mut UnsortedDictEncoder) -> Emitted {
        let pieces: Vec<u8> = self.hashes.iter().flat_map(Sha1::as_bytes).copied().collect();
        info.emit_pair_with(b"pieces", |e| e.emit_bytes(&pieces))?;
        if let (true, Some((_, length))) = (self.draft.is_single, self.draft.files.first()) {
            return info.emit_pair(b"length", length);
        }
        let mut paths = self.draft.files.iter().map(|(path, _)| path.as_slice());
        info.emit_pair_with(b"files", |list| {
            list.emit_list(|list| {
                self.files.entries().iter().try_for_each(|entry| match entry.is_pad() {
                    true => list.emit_with(|item| emit_pad(item, entry)),
                    false => {
                        let path = paths.next().unwrap_or_default();
                        list.emit_with(|item| emit_file(item, path, entry.length()))
                    }
                })
            })
        })
    }

    /// By root: files with the same bytes share their entry (BEP 52).
    fn emit_layers(&self, layers: SingleItemEncoder<'_>) -> Emitted {
        let with_layer = self.trees.iter().filter(|tree| !tree.layer.is_empty());
        let by_root: BTreeMap<_, _> =
            with_layer.filter_map(|tree| Some((tree.root?, &tree.layer))).collect();
        layers.emit_dict(|mut dict| {
            by_root.into_iter().try_for_each(|(root, layer)| {
                let bytes: Vec<u8> = layer.iter().flat_map(Sha256::as_bytes).copied().collect();
                dict.emit_pair_with(root.as_bytes(), |item| item.emit_bytes(&bytes))
            })
        })
    }
}

fn emit_file(item: SingleItemEncoder<'_>, path: &[Vec<u8>], length: u64) -> Emitted {
    item.emit_dict(|mut file| {
        file.emit_pair(b"length", length)?;
        file.emit_pair_with(b"path", |list| {
            list.emit_list(|list| {
                path.iter().try_for_each(|name| list.emit_with(|item| item.emit_bytes(name)))
            })
        })
    })
}

/// BEP 47, in the form that everybody writes: `.pad/` and the length.
fn emit_pad(item: SingleItemEncoder<'_>, entry: &FileEntry) -> Emitted {
    item.emit_dict(|mut file| {
        file.emit_pair(b"attr", "p")?;
        file.emit_pair(b"length", entry.length())?;
        file.emit_pair(b"path", [".pad".to_owned(), entry.length().to_string()].as_slice())
    })
}

type Leaf<'a> = (&'a File, &'a Tree);

/// The directory that `leaves` share the first `depth` elements of; they are sorted, and no file
/// stands where another one wants a directory.
fn emit_tree(item: SingleItemEncoder<'_>, leaves: &[Leaf<'_>], depth: usize) -> Emitted {
    let name = |leaf: &Leaf<'_>| leaf.0.0.get(depth).cloned().unwrap_or_default();
    item.emit_dict(|mut directory| {
        leaves.chunk_by(|a, b| name(a) == name(b)).try_for_each(|entry| {
            let Some(first) = entry.first() else { return Ok(()) };
            directory.emit_pair_with(&name(first), |item| match first.0.0.len() - depth {
                0 | 1 => emit_leaf(item, *first),
                _ => emit_tree(item, entry, depth + 1),
            })
        })
    })
}

/// A file: one entry without a name (BEP 52).
fn emit_leaf(item: SingleItemEncoder<'_>, ((_, length), tree): Leaf<'_>) -> Emitted {
    item.emit_dict(|mut file| {
        file.emit_pair_with(b"", |item| {
            item.emit_dict(|mut file| {
                file.emit_pair(b"length", length)?;
                match &tree.root {
                    Some(root) => {
                        file.emit_pair_with(b"pieces root", |e| e.emit_bytes(root.as_bytes()))
                    }
                    None => Ok(()),
                }
            })
        })
    })
}
