//! The piece grid: where pieces and blocks lie. The only maker of [`PieceIndex`].

use std::ops::Range;
use std::sync::Arc;

use crate::base::ids::BlockIndex;
use crate::base::ids::PieceIndex;
use crate::base::limits::BLOCK_LEN;
use crate::base::limits::PIECE_COUNT_MAX;
use crate::base::limits::PIECE_LEN_MAX;

/// Total size and piece length of one torrent, checked. Every piece but the last is `piece_len`
/// bytes, every block but the last of its piece 16 KiB (BEP 3). Total size 0 is legal: no pieces.
///
/// In a torrent of v2 only, every file starts a piece (BEP 52) and the last piece of each file ends
/// with the file; the grid counts the gap behind it, so that offsets are the same as in a hybrid,
/// whose gaps are pad files. A clone costs a counter.
///
/// What goes over the wire for such a piece: BEP 52 lets it end with the file, and so do we in what
/// we ask for ([`Layout::block_range`]); libtorrent from 2.0.13 on does the same. Older ones ask
/// for the last block of a file with the gap behind it, up to 16 KiB, the last file's included, and
/// drop whoever answers with less; the short form they serve, too. So what we serve
/// ([`Layout::request`]) may reach into the gap, which holds zeros.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    total: u64,
    piece_len: u32,
    piece_count: u32,
    /// Bytes without gaps; figures ask for it several times a second.
    wire_total: u64,
    /// Pieces with a gap behind their bytes, rising, with the bytes they have.
    tails: Option<Arc<[Tail]>>,
}

/// A piece that is short although it is not the last one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Tail {
    piece: u32,
    len: u32,
}

/// A grid that cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LayoutError {
    /// The piece length is 0 or above 256 MiB.
    #[error("expected a piece length of 1 to {max} bytes, got {got}; make the torrent anew")]
    PieceLength {
        /// Bytes per piece, as claimed.
        got: u64,
        /// The most we accept, in bytes.
        max: u32,
    },
    /// More pieces than any torrent may have.
    #[error("expected at most {max} pieces, got {got}; make the torrent anew with longer pieces")]
    PieceCount {
        /// Pieces that total size and piece length amount to.
        got: u64,
        /// The most we accept.
        max: u32,
    },
}

/// A peer named a part of the torrent that does not exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum LayoutFault {
    #[error("expected a piece below {piece_count}, got {piece}")]
    PieceOutOfRange { piece: u32, piece_count: u32 },
    #[error("expected a block of piece {piece}, got {length} bytes at {begin}")]
    NotABlock { piece: u32, begin: u32, length: u32 },
    #[error("expected a request inside piece {piece} of at most 16 KiB, got {length} at {begin}")]
    BadRequest { piece: u32, begin: u32, length: u32 },
}

impl Default for Layout {
    /// Nothing at all, in pieces of one block.
    fn default() -> Layout {
        Layout { total: 0, piece_len: BLOCK_LEN, piece_count: 0, wire_total: 0, tails: None }
    }
}

impl Layout {
    /// `total` bytes in pieces of `piece_len` bytes. Below one block is allowed: old torrents have
    /// it.
    pub(crate) fn new(total: u64, piece_len: u32) -> Result<Layout, LayoutError> {
        if piece_len == 0 || piece_len > PIECE_LEN_MAX {
            return Err(LayoutError::PieceLength { got: piece_len.into(), max: PIECE_LEN_MAX });
        }
        let got = total.div_ceil(piece_len.into());
        match u32::try_from(got) {
            Ok(piece_count) if piece_count <= PIECE_COUNT_MAX => {
                Ok(Layout { total, piece_len, piece_count, wire_total: total, tails: None })
            }
            _ => Err(LayoutError::PieceCount { got, max: PIECE_COUNT_MAX }),
        }
    }

    /// The same grid where pieces end early, for a torrent of v2 only: pairs of piece and its
    /// bytes, rising. Pairs that are not shorter than the grid says change nothing.
    pub(crate) fn with_tails(mut self, tails: impl Iterator<Item = (u32, u32)>) -> Layout {
        let full = |piece: &u32| self.piece(*piece).map_or(0, |piece| self.piece_len(piece));
        let short = tails.filter(|(piece, len)| *len < full(piece));
        let short: Arc<[Tail]> = short.map(|(piece, len)| Tail { piece, len }).collect();
        self.tails = (!short.is_empty()).then_some(short);
        let whole = u64::from(self.piece_count) * u64::from(self.piece_len);
        self.wire_total =
            whole - self.short_pieces().map(|(_, lacks)| u64::from(lacks)).sum::<u64>();
        self
    }

    /// Pieces that are shorter than [`Layout::piece_len_max`], rising, with the bytes they lack:
    /// the last one, and in a torrent of v2 only the last ones of files.
    pub(crate) fn short_pieces(&self) -> impl Iterator<Item = (PieceIndex, u32)> + '_ {
        let tails = self.tails.as_deref().unwrap_or_default();
        let last = self.piece_count.checked_sub(1).map(PieceIndex::from_layout);
        let last = last.filter(|last| tails.last().is_none_or(|t| t.piece < last.as_u32()));
        let last = last.map(|last| (last, self.piece_len - self.grid_len(last)));
        let lacks = |tail: &Tail| (PieceIndex::from_layout(tail.piece), self.piece_len - tail.len);
        tails.iter().map(lacks).chain(last).filter(|(_, lacks)| *lacks > 0)
    }

    /// Bytes from the first piece to the end of the last, gaps included.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Bytes of all pieces together, as they come over the wire: without gaps.
    pub(crate) fn wire_total(&self) -> u64 {
        self.wire_total
    }

    pub(crate) fn piece_count(&self) -> u32 {
        self.piece_count
    }

    /// Bytes of every piece but the last, which may be shorter.
    pub(crate) fn piece_len_max(&self) -> u32 {
        self.piece_len
    }

    /// Blocks of every piece but the last, which may have fewer.
    pub(crate) fn block_count_max(&self) -> u32 {
        self.piece_len.div_ceil(BLOCK_LEN)
    }

    /// The door for numbers from the wire, disk or caller.
    pub(crate) fn piece(&self, raw: u32) -> Result<PieceIndex, LayoutFault> {
        if raw >= self.piece_count {
            let piece_count = self.piece_count;
            return Err(LayoutFault::PieceOutOfRange { piece: raw, piece_count });
        }
        Ok(PieceIndex::from_layout(raw))
    }

    /// All pieces, rising.
    pub(crate) fn pieces(&self) -> impl ExactSizeIterator<Item = PieceIndex> + use<> {
        (0..self.piece_count).map(PieceIndex::from_layout)
    }

    /// Bytes of `piece`, as they are hashed, asked for and stored: the last one is what is left.
    pub(crate) fn piece_len(&self, piece: PieceIndex) -> u32 {
        if let Some(tails) = &self.tails
            && let Ok(at) = tails.binary_search_by_key(&piece.as_u32(), |tail| tail.piece)
            && let Some(tail) = tails.get(at)
        {
            return tail.len;
        }
        self.grid_len(piece)
    }

    /// Bytes of `piece` and the gap behind it.
    fn grid_len(&self, piece: PieceIndex) -> u32 {
        let left = self.total.saturating_sub(self.offset(piece));
        // The smaller of the two fits: one of them is a u32.
        left.min(self.piece_len.into()) as u32
    }

    /// Bytes of the torrent before `piece`.
    pub(crate) fn offset(&self, piece: PieceIndex) -> u64 {
        u64::from(piece.as_u32()) * u64::from(self.piece_len)
    }

    /// Blocks of `piece`, at least 1.
    pub(crate) fn block_count(&self, piece: PieceIndex) -> u32 {
        self.piece_len(piece).div_ceil(BLOCK_LEN)
    }

    /// `(begin, length)` of a block, as on the wire; length 0 if the piece has no such block.
    pub(crate) fn block_range(&self, piece: PieceIndex, block: BlockIndex) -> (u32, u32) {
        let begin = block.0.saturating_mul(BLOCK_LEN);
        (begin, self.piece_len(piece).saturating_sub(begin).min(BLOCK_LEN))
    }

    /// The block that lies exactly at `begin` with `length` bytes: the check for received payload.
    pub(crate) fn block(
        &self,
        piece: PieceIndex,
        begin: u32,
        length: u32,
    ) -> Result<BlockIndex, LayoutFault> {
        let block = BlockIndex(begin / BLOCK_LEN);
        if length == 0 || self.block_range(piece, block) != (begin, length) {
            return Err(LayoutFault::NotABlock { piece: piece.as_u32(), begin, length });
        }
        Ok(block)
    }

    /// The check for a peer's request: any range inside the piece, 1 byte to 16 KiB, on the grid or
    /// not. The gap behind the end of a v2 file counts as inside, and reads as zeros.
    pub(crate) fn request(
        &self,
        piece: u32,
        begin: u32,
        length: u32,
    ) -> Result<PieceIndex, LayoutFault> {
        let index = self.piece(piece)?;
        let end = begin.checked_add(length);
        let inside = end.is_some_and(|end| end <= self.grid_len(index));
        if length == 0 || length > BLOCK_LEN || !inside {
            return Err(LayoutFault::BadRequest { piece, begin, length });
        }
        Ok(index)
    }

    /// The piece in which the byte at `offset` lies.
    pub(crate) fn piece_at(&self, offset: u64) -> Option<PieceIndex> {
        (offset < self.total)
            .then(|| PieceIndex::from_layout((offset / u64::from(self.piece_len)) as u32))
    }

    /// Numbers of the pieces that hold a byte of `length` bytes at `offset`; cut off at the total
    /// size.
    pub(crate) fn pieces_of(&self, offset: u64, length: u64) -> Range<u32> {
        let start = offset.min(self.total);
        let end = offset.saturating_add(length).min(self.total);
        let piece_len = u64::from(self.piece_len);
        let first = (start / piece_len) as u32;
        if start == end { first..first } else { first..end.div_ceil(piece_len) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::*;

    const KIB: u32 = 1024;

    #[test]
    fn the_last_piece_and_the_last_block_are_short() {
        let layout = Layout::new(100_000, 40_000).unwrap();
        assert_eq!((layout.piece_count(), layout.block_count_max()), (3, 3));
        let last = layout.piece(2).unwrap();
        assert_eq!((layout.offset(last), layout.piece_len(last)), (80_000, 20_000));
        assert_eq!(layout.block_count(last), 2);
        assert_eq!(layout.block_range(last, BlockIndex(1)), (16_384, 3_616));
        assert_eq!(layout.block_range(last, BlockIndex(2)), (32_768, 0));
        assert!(matches!(layout.piece(3), Err(LayoutFault::PieceOutOfRange { piece: 3, .. })));
    }

    #[test]
    fn a_piece_that_ends_with_its_file_is_short_on_the_wire() {
        let grid = Layout::new(5 * 65_536, 65_536).unwrap();
        let layout = grid.with_tails([(0, 20_000), (1, 65_536), (3, 1), (9, 5)].into_iter());
        let lens: Vec<_> = layout.pieces().map(|p| layout.piece_len(p)).collect();
        assert_eq!(lens, [20_000, 65_536, 65_536, 1, 65_536]);
        let first = layout.piece(0).unwrap();
        assert_eq!(layout.block_count(first), 2);
        assert_eq!(layout.block_range(first, BlockIndex(1)), (16_384, 3_616));
        assert_eq!(layout.offset(layout.piece(1).unwrap()), 65_536, "the grid stays");
        assert_eq!((layout.total(), layout.wire_total()), (5 * 65_536, 20_000 + 3 * 65_536 + 1));
        let short: Vec<_> = layout.short_pieces().map(|(p, lacks)| (p.as_u32(), lacks)).collect();
        assert_eq!(short, [(0, 45_536), (3, 65_535)]);
        assert!(layout.request(0, 16_384, 16_384).is_ok(), "some ask for the padding, too");
        assert!(layout.block(first, 16_384, 16_384).is_err(), "but we never do");
    }

    #[test]
    fn a_received_block_lies_on_the_grid_exactly() {
        let layout = Layout::new(100_000, 40_000).unwrap();
        let piece = layout.piece(0).unwrap();
        assert_eq!(layout.block(piece, 16_384, 16_384), Ok(BlockIndex(1)));
        assert_eq!(layout.block(piece, 32_768, 7_232), Ok(BlockIndex(2)));
        for (begin, length) in
            [(1, 16_384), (0, 16_383), (32_768, 16_384), (49_152, 0), (u32::MAX, 1), (0, 0)]
        {
            assert!(layout.block(piece, begin, length).is_err(), "{begin} {length}");
        }
    }

    #[test]
    fn a_request_may_lie_anywhere_inside_its_piece() {
        let layout = Layout::new(100_000, 40_000).unwrap();
        for (piece, begin, length) in
            [(0, 0, 16_384), (0, 3, 7), (2, 19_999, 1), (0, 39_000, 1_000)]
        {
            assert!(layout.request(piece, begin, length).is_ok(), "{piece} {begin} {length}");
        }
        for (piece, begin, length) in
            [(0, 0, 0), (0, 0, 16_385), (2, 19_999, 2), (3, 0, 1), (0, u32::MAX, 2), (0, 40_000, 1)]
        {
            assert!(layout.request(piece, begin, length).is_err(), "{piece} {begin} {length}");
        }
    }

    #[test]
    fn nothing_at_all_is_a_layout_without_pieces() {
        let layout = Layout::new(0, 16 * KIB).unwrap();
        assert_eq!((layout.piece_count(), layout.pieces().len()), (0, 0));
        assert!(layout.piece(0).is_err());
        assert_eq!(layout.pieces_of(0, 0), 0..0);
        assert_eq!(layout.piece_at(0), None);
    }

    #[test]
    fn grids_beyond_the_limits_are_refused() {
        assert!(matches!(Layout::new(1, 0), Err(LayoutError::PieceLength { got: 0, .. })));
        assert!(Layout::new(1, PIECE_LEN_MAX + 1).is_err());
        let total = u64::from(PIECE_COUNT_MAX) * 16_384;
        assert_eq!(Layout::new(total, 16_384).unwrap().piece_count(), PIECE_COUNT_MAX);
        let error = Layout::new(total + 1, 16_384).unwrap_err();
        assert_eq!(error, LayoutError::PieceCount { got: (1 << 21) + 1, max: 1 << 21 });
        assert!(Layout::new(u64::MAX, PIECE_LEN_MAX).is_err());
    }

    #[test]
    fn pieces_of_a_range_touch_it_and_no_more() {
        let layout = Layout::new(100_000, 40_000).unwrap();
        assert_eq!(layout.pieces_of(0, 40_000), 0..1);
        assert_eq!(layout.pieces_of(39_999, 2), 0..2);
        assert_eq!(layout.pieces_of(40_000, 0), 1..1);
        assert_eq!(layout.pieces_of(50_000, u64::MAX), 1..3);
        assert_eq!(layout.piece_at(99_999).map(|p| p.as_u32()), Some(2));
    }

    proptest! {
        #[test]
        fn blocks_tile_pieces_and_pieces_tile_the_torrent(
            total in 0..3_000_000u64, piece_len in 1_000..200_000u32,
        ) {
            let layout = Layout::new(total, piece_len).unwrap();
            prop_assert_eq!(layout.wire_total(), total);
            let mut at = 0u64;
            for piece in layout.pieces() {
                prop_assert_eq!(layout.offset(piece), at);
                for block in (0..layout.block_count(piece)).map(BlockIndex) {
                    let (begin, length) = layout.block_range(piece, block);
                    prop_assert_eq!(layout.offset(piece) + u64::from(begin), at);
                    prop_assert_eq!(layout.block(piece, begin, length), Ok(block));
                    prop_assert_eq!(layout.piece_at(at), Some(piece));
                    at += u64::from(length);
                }
            }
            prop_assert_eq!(at, total);
        }
    }
}
