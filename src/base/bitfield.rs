//! A fixed-length set of small numbers, in the bit order of the wire (BEP 3: the high bit of the
//! first byte is piece 0).

/// Bits 0 to `len` - 1. Spare bits of the last byte are always zero.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Bitfield {
    bytes: Box<[u8]>,
    len: u32,
    ones: u32,
}

impl Bitfield {
    pub(crate) fn zeros(len: u32) -> Bitfield {
        Bitfield { bytes: vec![0; len.div_ceil(8) as usize].into(), len, ones: 0 }
    }

    pub(crate) fn ones(len: u32) -> Bitfield {
        let mut bytes: Box<[u8]> = vec![0xff; len.div_ceil(8) as usize].into();
        if !len.is_multiple_of(8)
            && let Some(last) = bytes.last_mut()
        {
            *last = 0xffu8 << (8 - len % 8);
        }
        Bitfield { bytes, len, ones: len }
    }

    /// From the wire: exact length, spare bits zero; anything else is `None`.
    pub(crate) fn from_wire(wire: &[u8], len: u32) -> Option<Bitfield> {
        if wire.len() != len.div_ceil(8) as usize {
            return None;
        }
        if !len.is_multiple_of(8) && wire.last().is_some_and(|last| last << (len % 8) != 0) {
            return None;
        }
        let ones = wire.iter().map(|b| b.count_ones()).sum();
        Some(Bitfield { bytes: wire.into(), len, ones })
    }

    pub(crate) fn as_wire(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn count_ones(&self) -> u32 {
        self.ones
    }

    pub(crate) fn is_full(&self) -> bool {
        self.ones == self.len
    }

    /// False outside the range.
    pub(crate) fn get(&self, bit: u32) -> bool {
        bit < self.len && self.bytes[bit as usize / 8] & (0x80 >> (bit % 8)) != 0
    }

    /// True if that changed anything. Outside the range nothing changes.
    pub(crate) fn set(&mut self, bit: u32) -> bool {
        if bit >= self.len || self.get(bit) {
            return false;
        }
        self.bytes[bit as usize / 8] |= 0x80 >> (bit % 8);
        self.ones += 1;
        true
    }

    /// The bits that both have; those of the shorter one.
    pub(crate) fn and(&self, other: &Bitfield) -> Bitfield {
        let pairs = self.bytes.iter().zip(&other.bytes);
        let bytes: Box<[u8]> = pairs.map(|(ours, theirs)| ours & theirs).collect();
        let ones = bytes.iter().map(|byte| byte.count_ones()).sum();
        Bitfield { bytes, len: self.len.min(other.len), ones }
    }

    /// The bits of this one that the other does not have.
    pub(crate) fn without(&self, other: &Bitfield) -> Bitfield {
        let others = other.bytes.iter().copied().chain(std::iter::repeat(0));
        let bytes: Box<[u8]> = self.bytes.iter().zip(others).map(|(a, b)| a & !b).collect();
        let ones = bytes.iter().map(|byte| byte.count_ones()).sum();
        Bitfield { bytes, len: self.len, ones }
    }

    /// The set bits, rising; empty bytes are skipped eight bits at a time.
    pub(crate) fn iter_ones(&self) -> impl Iterator<Item = u32> + '_ {
        self.bytes.iter().enumerate().filter(|(_, b)| **b != 0).flat_map(|(at, byte)| {
            (0..8).filter(move |bit| byte & (0x80 >> bit) != 0).map(move |bit| at as u32 * 8 + bit)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_order_is_high_bit_first() {
        let mut field = Bitfield::zeros(10);
        assert!(field.set(0) && field.set(9) && !field.set(9) && !field.set(10));
        assert_eq!(field.as_wire(), [0x80, 0x40]);
        assert_eq!(field.iter_ones().collect::<Vec<_>>(), [0, 9]);
        assert_eq!(field.count_ones(), 2);
    }

    #[test]
    fn spare_bits_and_wrong_lengths_are_refused() {
        assert!(Bitfield::from_wire(&[0xff, 0xc0], 10).is_some_and(|f| f.is_full()));
        assert!(Bitfield::from_wire(&[0xff, 0xe0], 10).is_none());
        assert!(Bitfield::from_wire(&[0xff], 10).is_none());
        assert!(Bitfield::from_wire(&[0xff, 0, 0], 10).is_none());
        assert_eq!(Bitfield::ones(10).as_wire(), [0xff, 0xc0]);
        assert_eq!(Bitfield::ones(16).as_wire(), [0xff, 0xff]);
    }
}
