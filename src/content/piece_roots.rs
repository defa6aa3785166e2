//! What the pieces of a v2 torrent must hash to: file roots and piece layers (BEP 52).

use std::sync::Arc;

use crate::base::digest::Sha256;
use crate::base::digest_lanes::Lanes;
use crate::base::ids::FileIndex;
use crate::base::ids::PieceIndex;
use crate::base::limits::BLOCK_LEN;
use crate::codec::bencode::Dict;
use crate::content::merkle;
use crate::content::merkle::HashRange;
use crate::content::piece_layer::PieceLayer;

/// `piece layers` that do not belong to the torrent's files (BEP 52).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// A layer for no file, or for one that needs none, or a second one.
    #[error("expected piece layers for files longer than a piece only, got one for {key}")]
    Surplus {
        /// The layer's key: hex of 32 bytes, or else escaped.
        key: String,
    },
    /// A layer with more or fewer hashes than its file has pieces.
    #[error("expected a piece layer of {expected} bytes for the root {root}, got {got}")]
    Length {
        /// The file's `pieces root`.
        root: Sha256,
        /// 32 bytes per piece.
        expected: u64,
        /// Bytes of the layer, or none if it is no byte string.
        got: u64,
    },
    /// Hashes that do not add up to the file's root.
    #[error("expected a piece layer that leads to the root {root}, got other hashes")]
    Root {
        /// The file's `pieces root`.
        root: Sha256,
    },
}

/// The roots of one torrent; empty for v1. A clone copies names of files, not layers.
#[derive(Clone, Debug, Default)]
pub(crate) struct PieceRoots {
    /// Bytes per piece.
    piece_len: u32,
    /// Files that have bytes, in the order of their pieces.
    files: Vec<RootedFile>,
    /// Positions in `files`, sorted by root.
    by_root: Vec<u32>,
}

#[derive(Clone, Debug)]
struct RootedFile {
    file: FileIndex,
    first_piece: u32,
    length: u64,
    root: Sha256,
    /// The roots of its pieces, if it has more than one and they are known.
    layer: Option<PieceLayer>,
}

impl PieceRoots {
    /// No roots yet, in pieces of `piece_len` bytes: a power of two, 16 KiB at least.
    pub(crate) fn new(piece_len: u32) -> PieceRoots {
        PieceRoots { piece_len, ..PieceRoots::default() }
    }

    /// The next file that has bytes.
    pub(crate) fn push(&mut self, file: FileIndex, first_piece: u64, length: u64, root: Sha256) {
        // What does not fit is refused by `Layout`, which has far fewer pieces.
        let first_piece = u32::try_from(first_piece).unwrap_or(u32::MAX);
        self.files.push(RootedFile { file, first_piece, length, root, layer: None });
    }

    /// After the last [`PieceRoots::push`].
    pub(crate) fn sort(&mut self) {
        self.by_root = (0..self.files.len() as u32).collect();
        self.by_root.sort_unstable_by_key(|at| self.files[*at as usize].root);
    }

    pub(crate) fn piece_root(&self, piece: PieceIndex) -> Option<Sha256> {
        let file = self.file_of(piece)?;
        if file.length <= self.piece_len.into() {
            return Some(file.root);
        }
        file.layer.as_ref()?.nodes().get((piece.as_u32() - file.first_piece) as usize).copied()
    }

    pub(crate) fn piece_tree_width(&self, piece: PieceIndex) -> u32 {
        let Some(file) = self.file_of(piece) else { return 0 };
        let bytes = file.length.min(self.piece_len.into()) as u32;
        bytes.div_ceil(BLOCK_LEN).next_power_of_two()
    }

    pub(crate) fn file_root(&self, file: FileIndex) -> Option<Sha256> {
        self.find(file).map(|file| file.root)
    }

    pub(crate) fn file_with_root(&self, root: &Sha256) -> Option<FileIndex> {
        let found = self.by_root.binary_search_by_key(root, |at| self.files[*at as usize].root);
        let at = *self.by_root.get(found.ok()?)?;
        self.files.get(at as usize).map(|file| file.file)
    }

    pub(crate) fn layer(&self, file: FileIndex) -> Option<&[Sha256]> {
        Some(self.find(file)?.layer.as_ref()?.nodes())
    }

    pub(crate) fn missing_layers(&self) -> impl Iterator<Item = FileIndex> + '_ {
        let missing = |file: &&RootedFile| file.layer.is_none() && self.piece_count(file) > 1;
        self.files.iter().filter(missing).map(|file| file.file)
    }

    /// The answer to a hash request for the roots of a file's pieces; `None` if they are not known,
    /// the file has but one piece, or the range is no part of that layer.
    pub(crate) fn prove_pieces(&self, file: FileIndex, range: HashRange) -> Option<Vec<Sha256>> {
        self.find(file)?.layer.as_ref()?.prove_pieces(range)
    }

    /// The answer to a hash request for leaves, out of all leaves of the one piece they lie in.
    pub(crate) fn prove_leaves(
        &self,
        file: FileIndex,
        range: HashRange,
        leaves: &[Sha256],
    ) -> Option<Vec<Sha256>> {
        let file = self.find(file)?;
        if self.piece_count(file) > 1 {
            return file.layer.as_ref()?.prove_leaves(range, leaves);
        }
        let height = merkle::height(file.length.div_ceil(BLOCK_LEN.into()) as usize);
        merkle::prove(leaves, height, range).filter(|_| range.base == 0)
    }

    /// Keeps a layer, if it is the file's, for all files with the same bytes.
    pub(crate) fn learn(&mut self, file: FileIndex, layer: &[Sha256], lanes: Lanes) {
        if let Some(layer) = self.check(file, layer.into(), lanes) {
            self.keep(layer);
        }
    }

    fn keep(&mut self, layer: PieceLayer) {
        let count = layer.nodes().len() as u64;
        for at in self.with_root(&layer.root()) {
            let has_count = self.files.get(at).is_some_and(|twin| self.piece_count(twin) == count);
            if let Some(twin) = self.files.get_mut(at).filter(|_| has_count) {
                twin.layer = Some(layer.clone());
            }
        }
    }

    /// The layer, if it is the file's.
    fn check(&self, file: FileIndex, layer: Arc<[Sha256]>, lanes: Lanes) -> Option<PieceLayer> {
        let file = self.find(file)?;
        let count = self.piece_count(file);
        if count < 2 || layer.len() as u64 != count {
            return None;
        }
        let level = (self.piece_len / BLOCK_LEN).max(1).ilog2();
        Some(PieceLayer::new(layer, level, lanes)).filter(|layer| layer.root() == file.root)
    }

    /// Takes all of `piece layers`. Each must be that of a file; where a file has none, peers are
    /// asked for it (BEP 52, hash request). A layer is hashed once, however many files share it.
    pub(crate) fn read(&mut self, layers: Option<Dict<'_>>) -> Result<(), LayerError> {
        let lanes = if layers.is_some() { Lanes::detect() } else { Lanes::PORTABLE };
        for (key, value) in layers.into_iter().flatten() {
            self.read_one(key, value.as_bytes(), lanes)?;
        }
        Ok(())
    }

    fn read_one(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        lanes: Lanes,
    ) -> Result<(), LayerError> {
        let root = <[u8; 32]>::try_from(key).map(Sha256);
        let root = root.map_err(|_| LayerError::Surplus { key: show(key) })?;
        let wanting = |at: &usize| {
            let file = self.files.get(*at);
            file.filter(|file| file.layer.is_none() && self.piece_count(file) > 1)
        };
        let Some(file) = self.with_root(&root).iter().find_map(wanting) else {
            return Err(LayerError::Surplus { key: root.to_string() });
        };
        let expected = self.piece_count(file).saturating_mul(32);
        let bytes = value.unwrap_or_default();
        let got = bytes.len() as u64;
        if got != expected {
            return Err(LayerError::Length { root, expected, got });
        }
        let layer: Arc<[Sha256]> = bytes.as_chunks().0.iter().copied().map(Sha256).collect();
        let layer = self.check(file.file, layer, lanes).ok_or(LayerError::Root { root })?;
        self.keep(layer);
        Ok(())
    }

    /// Positions of the files with this root.
    fn with_root(&self, root: &Sha256) -> Vec<usize> {
        let key = |at: &u32| self.files.get(*at as usize).map(|file| file.root);
        let start = self.by_root.partition_point(|at| key(at) < Some(*root));
        let rest = self.by_root.get(start..).unwrap_or_default();
        rest.iter().take_while(|at| key(at) == Some(*root)).map(|at| *at as usize).collect()
    }

    fn piece_count(&self, file: &RootedFile) -> u64 {
        file.length.div_ceil(self.piece_len.max(1).into())
    }

    fn find(&self, file: FileIndex) -> Option<&RootedFile> {
        let at = self.files.binary_search_by_key(&file, |file| file.file).ok()?;
        self.files.get(at)
    }

    fn file_of(&self, piece: PieceIndex) -> Option<&RootedFile> {
        let behind = self.files.partition_point(|file| file.first_piece <= piece.as_u32());
        self.files.get(behind.checked_sub(1)?)
    }
}

/// A key that is no root, for an error.
fn show(key: &[u8]) -> String {
    let shown = key.get(..64).unwrap_or(key).escape_ascii();
    format!("{} bytes that start {shown}", key.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::layout::Layout;

    fn leaves(count: u32) -> Vec<Sha256> {
        (0..count).map(|number| Sha256::of(&number.to_be_bytes())).collect()
    }

    #[test]
    fn a_piece_is_checked_by_its_layer_or_by_the_root_of_its_small_file() {
        let layout = Layout::new(5 * 32_768, 32_768).unwrap();
        let piece = |raw| layout.piece(raw).unwrap();
        let (layer, small) = (leaves(3), Sha256::of(b"small"));
        let root = merkle::root_above(&layer, 1, 4);
        let mut roots = PieceRoots::new(32_768);
        roots.push(FileIndex(0), 0, 1, small);
        roots.push(FileIndex(2), 1, 32_768 * 2 + 1, root);
        roots.push(FileIndex(7), 4, 16_385, small);
        roots.sort();
        assert_eq!(roots.piece_root(piece(0)), Some(small));
        assert_eq!(roots.piece_root(piece(2)), None, "not known yet");
        assert_eq!(roots.missing_layers().collect::<Vec<_>>(), [FileIndex(2)]);
        roots.learn(FileIndex(2), &layer[..2], Lanes::PORTABLE);
        roots.learn(FileIndex(2), &leaves(4), Lanes::PORTABLE);
        roots.learn(FileIndex(0), &layer, Lanes::PORTABLE);
        assert_eq!(roots.missing_layers().count(), 1, "no layer, no change");
        roots.learn(FileIndex(2), &layer, Lanes::PORTABLE);
        assert_eq!(roots.missing_layers().count(), 0);
        assert_eq!(roots.layer(FileIndex(2)), Some(&layer[..]));
        let found: Vec<_> = layout.pieces().map(|piece| roots.piece_root(piece)).collect();
        let expected = [small, layer[0], layer[1], layer[2], small].map(Some);
        assert_eq!(found, expected);
        let widths: Vec<_> = layout.pieces().map(|piece| roots.piece_tree_width(piece)).collect();
        assert_eq!(widths, [1, 2, 2, 2, 2]);
        assert_eq!(
            (roots.file_root(FileIndex(2)), roots.file_root(FileIndex(1))),
            (Some(root), None)
        );
        assert_eq!(roots.file_with_root(&root), Some(FileIndex(2)));
        assert_eq!(roots.file_with_root(&layer[0]), None);
    }
}
