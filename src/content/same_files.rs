//! Whether the two halves of a hybrid describe the same files in the same places (BEP 52, upgrade
//! path).

use crate::base::ids::FileIndex;
use crate::codec::bencode::Value;
use crate::codec::meta_file::RawFile;
use crate::codec::meta_tree::TreeWalk;
use crate::content::piece_roots::PieceRoots;
use crate::content::refusal::HybridError;
use crate::content::refusal::TorrentError;

/// Characters of a path in an error.
const SHOWN_LEN_MAX: usize = 200;

/// Compares file by file of the v1 list with the next one of the tree, in constant memory but for
/// the roots that it collects.
pub(crate) struct SameFiles<'a> {
    tree: TreeWalk<'a>,
    piece_len: u32,
    /// Where the last file with bytes ends in v2.
    end: u64,
    roots: PieceRoots,
}

impl<'a> SameFiles<'a> {
    pub(crate) fn new(tree: Value<'a>, piece_len: u32) -> SameFiles<'a> {
        let roots = PieceRoots::new(piece_len);
        SameFiles { tree: TreeWalk::new(tree), piece_len, end: 0, roots }
    }

    /// The next entry of the v1 list that is no pad: its index, its path, and where it starts.
    pub(crate) fn check(
        &mut self,
        index: FileIndex,
        offset: u64,
        file: &RawFile<'a>,
        path: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<(), TorrentError> {
        let Some(twin) = self.tree.next()? else {
            return Err(HybridError::Surplus { v1: show(path) }.into());
        };
        if !path.clone().eq(self.tree.path().iter().copied()) {
            let v2 = show(self.tree.path().iter().copied());
            return Err(HybridError::Path { v1: show(path), v2 }.into());
        }
        let (v1, v2) = (file.length, twin.raw.length);
        let expected = round_up(self.end, self.piece_len);
        if file.is_symlink != twin.raw.is_symlink {
            return Err(HybridError::Link { path: show(path) }.into());
        }
        if v1 != v2 {
            return Err(HybridError::Length { path: show(path), v1, v2 }.into());
        }
        let Some(root) = twin.root else { return Ok(()) };
        if offset != expected {
            return Err(HybridError::Offset { path: show(path), expected, got: offset }.into());
        }
        self.roots.push(index, offset / u64::from(self.piece_len), v1, root);
        self.end = offset.saturating_add(v1);
        Ok(())
    }

    /// After the last entry of a v1 list that is `total` bytes long, pads included.
    pub(crate) fn finish(mut self, total: u64) -> Result<PieceRoots, TorrentError> {
        if self.tree.next()?.is_some() {
            return Err(HybridError::Missing { v2: show(self.tree.path().iter().copied()) }.into());
        }
        // Makers differ in whether they pad the last file.
        if total != self.end && total != round_up(self.end, self.piece_len) {
            return Err(HybridError::End { expected: self.end, got: total }.into());
        }
        self.roots.sort();
        Ok(self.roots)
    }
}

/// The end of the piece that ends at `end` or holds its last byte. Ends near 2^64 stay as they are:
/// such torrents are refused for their size.
pub(crate) fn round_up(end: u64, piece_len: u32) -> u64 {
    end.checked_next_multiple_of(piece_len.into()).unwrap_or(end)
}

/// A path for an error: escaped, and cut where it is long.
fn show<'a>(path: impl Iterator<Item = &'a [u8]>) -> String {
    let mut shown = String::new();
    for element in path {
        if !shown.is_empty() {
            shown.push('/');
        }
        shown.extend(element.escape_ascii().map(char::from).take(SHOWN_LEN_MAX));
        if shown.len() > SHOWN_LEN_MAX {
            shown.truncate(SHOWN_LEN_MAX);
            shown.push('~');
            break;
        }
    }
    shown
}
