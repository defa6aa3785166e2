//! The numbers of pieces and blocks that the picker works with.

use crate::base::ids::PieceIndex;

/// Counts of one torrent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) piece_count: u32,
    pub(crate) blocks_per_piece: u32,
    pub(crate) blocks_in_last: u32,
}

impl Layout {
    pub(crate) fn piece_count(&self) -> u32 {
        self.piece_count
    }

    pub(crate) fn piece(&self, raw: u32) -> Option<PieceIndex> {
        (raw < self.piece_count).then(|| PieceIndex::from_layout(raw))
    }

    pub(crate) fn block_count(&self, piece: PieceIndex) -> u32 {
        if piece.as_u32() + 1 == self.piece_count {
            self.blocks_in_last
        } else {
            self.blocks_per_piece
        }
    }
}
