//! The order in which pieces are started: buckets of equals, each change one step.

use crate::base::ids::Priority;

/// Where a piece belongs: a higher priority first, then fewer peers that have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rank {
    pub(crate) priority: Priority,
    pub(crate) availability: u16,
}

/// Above this availability pieces count as equally common: rarity that no decision needs any more.
const AVAILABILITY_MAX: u16 = 255;
/// Places that an empty bucket keeps: a million pieces that climb together would leave 4 MB at each
/// step.
const BUCKET_KEPT_MAX: usize = 1024;
/// Code of a piece that stands in no bucket; wanted pieces have codes from 256 up.
const NOWHERE: u16 = 0;

impl Rank {
    fn code(self) -> u16 {
        u16::from(self.priority.as_u8()) << 8 | self.availability.min(AVAILABILITY_MAX)
    }

    /// Sorts the piece to be taken first to the front.
    pub(crate) fn sort_key(self) -> (u8, u16) {
        (7 - self.priority.as_u8(), self.availability.min(AVAILABILITY_MAX))
    }
}

/// Pieces by rank. It shows what it was told last: the owner decides when to tell it (`put`).
#[derive(Debug)]
pub(crate) struct Order {
    /// By priority, then by availability.
    levels: [Vec<Vec<u32>>; 8],
    code: Vec<u16>,
    /// Place inside the bucket.
    place: Vec<u32>,
}

impl Order {
    /// Empty. Zeroed memory is not touched until pieces are put, so a finished torrent pays
    /// nothing.
    pub(crate) fn new(piece_count: u32) -> Order {
        Order {
            levels: Default::default(),
            code: vec![NOWHERE; piece_count as usize],
            place: vec![0; piece_count as usize],
        }
    }

    /// Moves `piece` to the bucket of `rank`, or out of the order. Repeating it changes nothing.
    pub(crate) fn put(&mut self, piece: u32, rank: Option<Rank>) {
        let code = rank.filter(|r| r.priority.is_wanted()).map_or(NOWHERE, Rank::code);
        if self.code[piece as usize] == code {
            return;
        }
        self.take_out(piece);
        self.code[piece as usize] = code;
        if code == NOWHERE {
            return;
        }
        let level = &mut self.levels[usize::from(code >> 8)];
        let at = usize::from(code & 0xff);
        if level.len() <= at {
            level.resize_with(at + 1, Vec::new);
        }
        self.place[piece as usize] = level[at].len() as u32;
        level[at].push(piece);
    }

    /// The buckets in the order of picking, those with pieces only, each with its availability.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (usize, &[u32])> {
        let levels = self.levels.iter().rev();
        let buckets = levels.flat_map(|level| level.iter().map(Vec::as_slice).enumerate());
        buckets.filter(|(_, bucket)| !bucket.is_empty())
    }

    fn take_out(&mut self, piece: u32) {
        let code = self.code[piece as usize];
        if code == NOWHERE {
            return;
        }
        let bucket = &mut self.levels[usize::from(code >> 8)][usize::from(code & 0xff)];
        let at = self.place[piece as usize];
        bucket.swap_remove(at as usize);
        if let Some(moved) = bucket.get(at as usize) {
            self.place[*moved as usize] = at;
        }
        if bucket.is_empty() && bucket.capacity() > BUCKET_KEPT_MAX {
            *bucket = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(priority: u8, availability: u16) -> Option<Rank> {
        Some(Rank { priority: Priority::new(priority).unwrap(), availability })
    }

    #[test]
    fn priority_goes_before_rarity() {
        let mut order = Order::new(5);
        for (piece, r) in
            [rank(4, 3), rank(4, 1), rank(7, 9), rank(4, 999), None].iter().enumerate()
        {
            order.put(piece as u32, *r);
            order.put(piece as u32, *r);
        }
        let drawn = |order: &Order| order.buckets().flat_map(|b| b.1.to_vec()).collect::<Vec<_>>();
        assert_eq!(drawn(&order), [2, 1, 0, 3]);
        order.put(3, rank(4, 1));
        order.put(1, rank(0, 1));
        order.put(2, None);
        assert_eq!(drawn(&order), [3, 0]);
        assert_eq!(order.buckets().map(|b| b.0).collect::<Vec<_>>(), [1, 3]);
    }
}
