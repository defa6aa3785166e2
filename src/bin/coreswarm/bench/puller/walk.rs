//! Which block a connection asks for next.

use crate::bench::args::Pattern;
use crate::bench::metainfo::BLOCK;
use crate::bench::metainfo::Metainfo;

/// A request's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) piece: u32,
    pub(crate) begin: u32,
    pub(crate) length: u32,
}

/// One connection's way through a torrent.
pub(crate) struct Walk {
    pattern: Pattern,
    random: u64,
    piece: u32,
    /// The next block's; at the end of the piece, another piece is begun.
    begin: u32,
}

impl Walk {
    /// The way of connection `number` of `count`; each has a way of its own.
    pub(crate) fn new(pattern: Pattern, torrent: &Metainfo, number: usize, count: usize) -> Walk {
        let pieces = u64::from(torrent.piece_count());
        let first = number as u64 * pieces / (count.max(1) as u64);
        let mut walk = Walk {
            pattern,
            random: (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            piece: (first % pieces.max(1)) as u32,
            begin: 0,
        };
        if pattern == Pattern::RandomPieces {
            walk.leave(torrent);
        }
        walk
    }

    /// The next block.
    pub(crate) fn step(&mut self, torrent: &Metainfo) -> Place {
        if self.pattern == Pattern::RandomBlocks {
            self.piece = self.below(torrent.piece_count());
            let blocks = torrent.piece_size(self.piece).div_ceil(BLOCK);
            self.begin = self.below(blocks) * BLOCK;
        } else if self.begin >= torrent.piece_size(self.piece) {
            self.leave(torrent);
        }
        let (piece, begin) = (self.piece, self.begin);
        let length = BLOCK.min(torrent.piece_size(piece) - begin);
        self.begin += length;
        Place { piece, begin, length }
    }

    /// Goes on with the beginning of another piece.
    pub(crate) fn leave(&mut self, torrent: &Metainfo) {
        self.begin = 0;
        self.piece = match self.pattern {
            Pattern::Sequential => (self.piece + 1) % torrent.piece_count(),
            _ => self.below(torrent.piece_count()),
        };
    }

    /// A random number from 0 to below `bound`.
    fn below(&mut self, bound: u32) -> u32 {
        (self.draw() % u64::from(bound.max(1))) as u32
    }

    /// Xorshift: ways only have to differ between connections.
    pub(crate) fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Three pieces of three blocks; the last piece has two and a short one.
    fn torrent() -> Metainfo {
        let size = 9 * u64::from(BLOCK) - 5;
        Metainfo::made_up(3 * BLOCK, size)
    }

    /// Piece, block and length of the second of three connections' first requests.
    fn steps(pattern: Pattern, count: usize) -> Vec<(u32, u32, u32)> {
        let torrent = torrent();
        let mut walk = Walk::new(pattern, &torrent, 1, 3);
        (0..count)
            .map(|_| {
                let place = walk.step(&torrent);
                (place.piece, place.begin / BLOCK, place.length)
            })
            .collect()
    }

    #[test]
    fn a_sequential_walk_begins_at_its_share_and_goes_round() {
        let full = BLOCK;
        assert_eq!(
            steps(Pattern::Sequential, 7),
            [
                (1, 0, full),
                (1, 1, full),
                (1, 2, full),
                (2, 0, full),
                (2, 1, full),
                (2, 2, full - 5),
                (0, 0, full),
            ]
        );
    }

    #[test]
    fn random_pieces_are_walked_block_by_block() {
        for piece in steps(Pattern::RandomPieces, 300).chunks(3) {
            assert!(piece.iter().all(|block| block.0 == piece[0].0));
            assert_eq!(piece.iter().map(|block| block.1).collect::<Vec<_>>(), [0, 1, 2]);
        }
    }

    #[test]
    fn random_blocks_come_from_everywhere() {
        let places: BTreeSet<_> = steps(Pattern::RandomBlocks, 300).into_iter().collect();
        assert_eq!(places.len(), 9);
    }
}
