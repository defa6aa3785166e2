//! The digests of one piece in the making: SHA-1 over its bytes in order (v1), SHA-256 of each of
//! its blocks in any order (v2), or both.

use crate::base::digest::Sha1;
use crate::base::digest::Sha1Stream;
use crate::base::digest::Sha256;
use crate::base::digest::Sha256Stream;
use crate::base::digest_lanes::LANE_MAX;
use crate::base::digest_lanes::Lanes;
use crate::base::ids::BlockIndex;
use crate::base::ids::PieceIndex;
use crate::base::limits::BLOCK_LEN;
use crate::content::merkle;
use crate::content::torrent::Torrent;

/// Bytes of a block of a v2 tree as an address counts them.
const BLOCK: usize = BLOCK_LEN as usize;
/// How much longer SHA-256 takes than SHA-1 for the same bytes, at most: twice the operations with
/// vectors, less with SHA instructions (`cargo bench --bench hashing`).
const LEAF_COST: usize = 2;

/// What a piece must hash to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Expected {
    /// SHA-1 over all of it, pads included (BEP 3).
    v1: Option<Sha1>,
    tree: Option<Tree>,
}

/// The part of a piece that the tree of its file covers (BEP 52).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Tree {
    root: Sha256,
    /// Leaves, padding included.
    width: u32,
    /// Bytes: what follows in the piece is pad.
    len: u32,
}

/// What became of a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Good,
    Bad,
    /// The v1 and the v2 hash of a hybrid stand for different bytes: one of them passed.
    Torn {
        passed_v1: bool,
    },
}

impl Expected {
    /// `root`: the piece's, where it is known.
    pub(crate) fn new(torrent: &Torrent, piece: PieceIndex, root: Option<Sha256>) -> Expected {
        let (v1, len) = (torrent.piece_hash_v1(piece), tree_len(torrent, piece));
        let width = torrent.piece_tree_width(piece);
        let tree = root.filter(|_| len > 0).map(|root| Tree { root, width, len });
        Expected { v1, tree }
    }

    /// By hand: the SHA-1 and the tree's root, its width and the bytes that it covers.
    #[cfg(test)]
    pub(crate) fn of(v1: Option<Sha1>, tree: Option<(Sha256, u32, u32)>) -> Expected {
        Expected { v1, tree: tree.map(|(root, width, len)| Tree { root, width, len }) }
    }

    /// The same with this SHA-1.
    #[cfg(test)]
    pub(crate) fn with_v1(self, v1: Sha1) -> Expected {
        Expected { v1: Some(v1), ..self }
    }
}

/// Bytes of a piece that lie in a file with a tree: they start with the piece (BEP 52), and only a
/// pad may follow.
pub(crate) fn tree_len(torrent: &Torrent, piece: PieceIndex) -> u32 {
    let layout = torrent.layout();
    let length = u64::from(layout.piece_len(piece));
    let first = torrent.file_list().spans(layout.offset(piece), length).next();
    let has_tree = |file| torrent.file_root(file).is_some();
    first.filter(|span| has_tree(span.file)).map_or(0, |span| span.length)
}

/// The digests of one piece, as far as they are.
#[derive(Clone, Debug)]
pub(crate) struct Sums {
    expected: Expected,
    /// Of the bytes so far; unused without a v1 hash.
    stream: Sha1Stream,
    /// One per block of the tree; zeros where it is not hashed.
    leaves: Vec<Sha256>,
    leaf_count: usize,
}

/// A leaf that is not known. No bytes are known that have it.
const NO_LEAF: Sha256 = Sha256([0; 32]);

impl Sums {
    pub(crate) fn new(expected: Expected) -> Sums {
        let count = expected.tree.map_or(0, |tree| tree.len.div_ceil(BLOCK_LEN));
        let leaves = vec![NO_LEAF; count as usize];
        Sums { expected, stream: Sha1Stream::default(), leaves, leaf_count: 0 }
    }

    /// Whether the piece has a v1 hash: then its bytes are wanted in order.
    pub(crate) fn wants_stream(&self) -> bool {
        self.expected.v1.is_some()
    }

    pub(crate) fn stream_mut(&mut self) -> &mut Sha1Stream {
        &mut self.stream
    }

    /// Blocks of which leaves are wanted: the first ones of the piece.
    pub(crate) fn leaf_count_max(&self) -> usize {
        self.leaves.len()
    }

    /// Bytes of a block that its leaf covers; 0 for a block of pad.
    pub(crate) fn leaf_len(&self, block: BlockIndex) -> usize {
        let len = self.expected.tree.map_or(0, |tree| tree.len as usize);
        len.saturating_sub(block.as_usize() * BLOCK).min(BLOCK)
    }

    /// Bytes at the start of the piece that its tree covers, if it has one.
    pub(crate) fn tree_len(&self) -> Option<usize> {
        self.expected.tree.map(|tree| tree.len as usize)
    }

    pub(crate) fn set_leaf(&mut self, block: BlockIndex, leaf: Sha256) {
        if let Some(place) = self.leaves.get_mut(block.as_usize()) {
            self.leaf_count += usize::from(*place == NO_LEAF);
            *place = leaf;
        }
    }

    /// The block's bytes are gone.
    pub(crate) fn forget_leaf(&mut self, block: BlockIndex) {
        if let Some(place) = self.leaves.get_mut(block.as_usize()) {
            self.leaf_count -= usize::from(*place != NO_LEAF);
            *place = NO_LEAF;
        }
    }

    /// The leaf of a block, where it is hashed.
    pub(crate) fn leaf(&self, block: BlockIndex) -> Option<Sha256> {
        self.leaves.get(block.as_usize()).copied().filter(|leaf| *leaf != NO_LEAF)
    }

    pub(crate) fn has_all_leaves(&self) -> bool {
        self.leaves_left() == 0
    }

    /// Leaves that are not hashed.
    pub(crate) fn leaves_left(&self) -> usize {
        self.leaves.len() - self.leaf_count
    }

    /// Starts the v1 digest again.
    pub(crate) fn reset_stream(&mut self) {
        self.stream = Sha1Stream::default();
    }

    /// The verdict, once all bytes went through the stream and all leaves are there. Hashes the
    /// nodes above the leaves: one small hash for each leaf.
    pub(crate) fn verdict(&self) -> Verdict {
        let v1 = self.expected.v1.map(|v1| self.stream.clone().finish() == v1);
        let is_right = |tree: Tree| {
            self.has_all_leaves() && merkle::root(&self.leaves, tree.width) == tree.root
        };
        match (v1, self.expected.tree.map(is_right)) {
            (Some(true), Some(false)) => Verdict::Torn { passed_v1: true },
            (Some(false), Some(true)) => Verdict::Torn { passed_v1: false },
            (Some(true), _) | (None, Some(true)) => Verdict::Good,
            (Some(false), _) | (None, _) => Verdict::Bad,
        }
    }
}

/// How far several inputs of a stream digest go together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stride {
    len: usize,
    count: usize,
    gain: usize,
}

impl Stride {
    /// Of the first of these inputs, for as long as `budget` bytes of a lone one take; `lefts` are
    /// the bytes that wait, of at most `LANE_MAX` inputs. A whole block of the digest for each at
    /// least.
    pub(crate) fn new(lanes: Lanes, budget: usize, lefts: &[usize]) -> Stride {
        let count = lanes.take::<Sha1Stream>(lefts.len());
        let gain = lanes.gain::<Sha1Stream>(count).max(1);
        let affordable = (budget * gain / (100 * count.max(1))).max(64);
        let whole = lefts.iter().take(count).filter(|left| **left >= 64);
        let len = whole.min().map_or(64, |shortest| affordable.min(*shortest)) & !63;
        Stride { len, count, gain }
    }

    /// Inputs that go.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Bytes that an input with `left` of them brings. Less than a whole block is left behind by
    /// none: only the end of a piece is that short, and costs nothing when it goes along.
    pub(crate) fn cut(&self, left: usize) -> usize {
        if left < self.len + 64 { left } else { self.len }
    }

    /// Bytes of a lone input that take as long.
    pub(crate) fn spent(&self) -> usize {
        (self.len * self.count * 100 / self.gain).max(64)
    }
}

/// How many of `waiting` blocks are hashed together within `budget` bytes of a lone SHA-1; one at
/// least.
pub(crate) fn leaf_company(lanes: Lanes, budget: usize, waiting: usize) -> usize {
    let mut count = lanes.take::<Sha256Stream>(waiting.min(LANE_MAX));
    while count > 1 && leaf_cost(lanes, count) > budget {
        count = lanes.take::<Sha256Stream>(count / 2);
    }
    count
}

/// Bytes of a lone SHA-1 that take as long as the leaves of `count` blocks together.
pub(crate) fn leaf_cost(lanes: Lanes, count: usize) -> usize {
    count * BLOCK * LEAF_COST * 100 / lanes.gain::<Sha256Stream>(count).max(1)
}
