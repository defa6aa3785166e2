//! Digests: values, hex, and the portable way to compute them.

use std::fmt;

use sha1::Digest as _;
use sha1::block_api::compress;

/// A SHA-1 digest: the v1 info hash and the pieces of v1 torrents.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha1(pub(crate) [u8; 20]);

impl Sha1 {
    /// The 20 bytes.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// From 40 hex digits of either case (B8).
    pub fn from_hex(hex: &str) -> Option<Sha1> {
        from_hex(hex).map(Sha1)
    }

    /// Of `bytes`, in one go.
    pub fn of(bytes: &[u8]) -> Sha1 {
        Sha1(sha1::Sha1::digest(bytes).into())
    }
}

impl fmt::Display for Sha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Sha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A SHA-256 digest: the v2 info hash, and every node of a v2 file's hash tree (BEP 52).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub(crate) [u8; 32]);

impl Sha256 {
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From 64 hex digits of either case (B8).
    pub fn from_hex(hex: &str) -> Option<Sha256> {
        from_hex(hex).map(Sha256)
    }

    /// Of `bytes`, in one go.
    pub fn of(bytes: &[u8]) -> Sha256 {
        Sha256(sha2::Sha256::digest(bytes).into())
    }

    /// The first 20 bytes: how handshakes, trackers and the DHT, whose fields are that long, name a
    /// v2 torrent (BEP 52).
    pub fn truncated(&self) -> Sha1 {
        let mut short = [0; 20];
        short.copy_from_slice(&self.0[..20]);
        Sha1(short)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn from_hex<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let hex = hex.as_bytes();
    if hex.len() != 2 * N {
        return None;
    }
    let mut bytes = [0u8; N];
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high * 16 + low) as u8;
    }
    Some(bytes)
}

/// The words that SHA-1 starts from (FIPS 180-4, 5.3.1).
const START: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// SHA-1 in slices, for hashing within a turn's budget.
#[derive(Clone)]
pub(crate) struct Sha1Stream {
    state: [u32; 5],
    /// Bytes so far.
    length: u64,
    /// The bytes behind the last whole block.
    tail: [u8; 64],
}

impl Default for Sha1Stream {
    fn default() -> Sha1Stream {
        Sha1Stream { state: START, length: 0, tail: [0; 64] }
    }
}

impl fmt::Debug for Sha1Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha1Stream({} bytes)", self.length)
    }
}

impl Sha1Stream {
    pub(crate) fn finish(mut self) -> Sha1 {
        let bits = self.length.wrapping_mul(8);
        let end = (self.length % 64) as usize;
        // One bit, zeros, and the length in bits in the last eight bytes of a block.
        let mut padding = [0; 128];
        padding[..end].copy_from_slice(&self.tail[..end]);
        padding[end] = 0x80;
        let length = if end < 56 { 64 } else { 128 };
        padding[length - 8..length].copy_from_slice(&bits.to_be_bytes());
        compress(&mut self.state, padding[..length].as_chunks().0);
        let mut digest = [0; 20];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        Sha1(digest)
    }

    /// Takes bytes in but for their whole blocks: adding those to the state is left to the caller.
    pub(crate) fn open<'a>(&mut self, mut bytes: &'a [u8]) -> (&mut [u32; 5], &'a [[u8; 64]]) {
        let held = (self.length % 64) as usize;
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if held > 0 {
            let (head, rest) = bytes.split_at(bytes.len().min(64 - held));
            self.tail[held..held + head.len()].copy_from_slice(head);
            if held + head.len() < 64 {
                return (&mut self.state, &[]);
            }
            compress(&mut self.state, &[self.tail]);
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks();
        self.tail[..rest.len()].copy_from_slice(rest);
        (&mut self.state, blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(stream: &mut Sha1Stream, bytes: &[u8]) {
        let (state, blocks) = stream.open(bytes);
        compress(state, blocks);
    }

    #[test]
    fn hex_round_trips_and_refuses_what_is_not_hex() {
        let digest = Sha1::of(b"abc");
        assert_eq!(digest.to_string(), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(Sha1::from_hex(&digest.to_string().to_uppercase()), Some(digest));
        assert_eq!(Sha1::from_hex("a9"), None);
        assert_eq!(Sha1::from_hex(&"zz".repeat(20)), None);
        let mut stream = Sha1Stream::default();
        update(&mut stream, b"a");
        update(&mut stream, b"bc");
        assert_eq!(stream.finish(), digest);
    }

    #[test]
    fn a_v2_hash_is_longer_and_named_by_its_first_20_bytes() {
        let digest = Sha256::of(b"abc");
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), hex);
        assert_eq!(Sha256::from_hex(hex), Some(digest));
        assert_eq!(Sha256::from_hex(&hex[..40]), None);
        assert_eq!(digest.truncated().to_string(), hex[..40]);
    }

    #[test]
    fn every_length_is_padded_right_however_it_is_cut() {
        let bytes = [0x61; 300];
        for length in 0..bytes.len() {
            let mut stream = Sha1Stream::default();
            bytes[..length].chunks(1 + length % 70).for_each(|part| update(&mut stream, part));
            assert_eq!(stream.finish(), Sha1::of(&bytes[..length]));
        }
    }
}
