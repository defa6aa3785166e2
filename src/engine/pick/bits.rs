//! Sets of pieces as 64-bit words: what makes walks over a million pieces a matter of microseconds.
//!
//! Piece `i` is bit `63 - i % 64` of word `i / 64`, the order of the wire, so that a peer's
//! bitfield can be read a word at a time.

use std::ops::Range;

use crate::base::bitfield::Bitfield;

/// Word and mask of one piece.
pub(crate) fn place(piece: u32) -> (usize, u64) {
    (piece as usize / 64, 1 << (63 - piece % 64))
}

/// The pieces of `word` that are in `bits`, rising.
pub(crate) fn pieces_of(word: usize, mut bits: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let lead = bits.leading_zeros();
        if lead == 64 {
            return None;
        }
        bits &= !(1 << (63 - lead));
        Some(word as u32 * 64 + lead)
    })
}

/// The words that `range` touches, each with the mask of its pieces inside the range.
pub(crate) fn masks(range: Range<u32>) -> impl Iterator<Item = (usize, u64)> {
    let end = if range.is_empty() { 0 } else { range.end.div_ceil(64) };
    ((range.start / 64) as usize..end as usize).map(move |word| {
        let first = word as u32 * 64;
        let from = range.start.saturating_sub(first);
        let to = (range.end - first).min(64);
        let head = u64::MAX >> from;
        let tail = if to == 64 { u64::MAX } else { !(u64::MAX >> to) };
        (word, head & tail)
    })
}

/// Word `word` of a bitfield; zero beyond its end.
pub(crate) fn word_of(field: &Bitfield, word: usize) -> u64 {
    let wire = field.as_wire().get(word * 8..).unwrap_or_default();
    if let Some(whole) = wire.first_chunk::<8>() {
        return u64::from_be_bytes(*whole);
    }
    let mut bytes = [0; 8];
    bytes[..wire.len()].copy_from_slice(wire);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_cover_exactly_their_range() {
        for range in [0..0, 0..1, 63..64, 63..65, 5..200, 64..128, 70..71] {
            let found: Vec<u32> = masks(range.clone()).flat_map(|(w, m)| pieces_of(w, m)).collect();
            assert_eq!(found, range.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_bitfield_reads_the_same_by_words() {
        let mut field = Bitfield::zeros(150);
        for bit in [0, 7, 63, 64, 127, 128, 149] {
            field.set(bit);
        }
        let by_words: Vec<u32> = (0..4).flat_map(|w| pieces_of(w, word_of(&field, w))).collect();
        assert_eq!(by_words, field.iter_ones().collect::<Vec<_>>());
        assert_eq!(place(65), (1, 1 << 62));
    }
}
