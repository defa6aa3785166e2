//! Digests: values, hex, and the portable way to compute them.

use std::fmt;
use std::marker::PhantomData;

use sha1::Digest as _;

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

/// The two ways to turn bytes into a digest (FIPS 180-4). Both take blocks of 64 bytes into a state
/// of 32-bit words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Algorithm {
    Sha1,
    Sha256,
}

/// What an algorithm is at between two blocks. SHA-1 has five words; its others stay as they are.
pub(crate) type State = [u32; 8];

impl Algorithm {
    /// The words to start from (FIPS 180-4, 5.3.1 and 5.3.3).
    pub(crate) const fn start(self) -> State {
        match self {
            Algorithm::Sha1 => {
                [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0, 0, 0, 0]
            }
            Algorithm::Sha256 => [
                0x6a09_e667,
                0xbb67_ae85,
                0x3c6e_f372,
                0xa54f_f53a,
                0x510e_527f,
                0x9b05_688c,
                0x1f83_d9ab,
                0x5be0_cd19,
            ],
        }
    }

    /// Adds blocks to a state, on any CPU.
    pub(crate) fn compress(self, state: &mut State, blocks: &[[u8; 64]]) {
        match self {
            Algorithm::Sha1 => {
                let [a, b, c, d, e, ..] = *state;
                let mut five = [a, b, c, d, e];
                sha1::block_api::compress(&mut five, blocks);
                state[..5].copy_from_slice(&five);
            }
            Algorithm::Sha256 => sha2::block_api::compress256(state, blocks),
        }
    }
}

/// A value that a [`Stream`] ends in.
pub(crate) trait Digest: Copy + Eq + fmt::Debug {
    const ALGORITHM: Algorithm;

    /// Of the state behind the last block.
    fn of_state(state: &State) -> Self;
}

impl Digest for Sha1 {
    const ALGORITHM: Algorithm = Algorithm::Sha1;

    fn of_state(state: &State) -> Sha1 {
        let mut digest = [0; 20];
        digest.copy_from_slice(&state.map(u32::to_be_bytes).as_flattened()[..20]);
        Sha1(digest)
    }
}

impl Digest for Sha256 {
    const ALGORITHM: Algorithm = Algorithm::Sha256;

    fn of_state(state: &State) -> Sha256 {
        let mut digest = [0; 32];
        digest.copy_from_slice(state.map(u32::to_be_bytes).as_flattened());
        Sha256(digest)
    }
}

/// What takes bytes in slices and ends in a digest: [`Sha1Stream`] and [`Sha256Stream`].
pub(crate) trait DigestStream: Clone + Default + fmt::Debug {
    /// What it ends in.
    type Digest: Digest;

    /// Takes bytes in but for their whole blocks: adding those to the state is left to the caller.
    fn open<'a>(&mut self, bytes: &'a [u8]) -> (&mut State, &'a [[u8; 64]]);

    /// The last blocks, one or two, of what the bytes so far leave over and the padding.
    fn padding(&self) -> ([[u8; 64]; 2], usize);

    /// The words so far.
    fn state(&mut self) -> &mut State;

    /// The digest of all bytes, padded by the portable way.
    fn finish(mut self) -> Self::Digest {
        let (padding, count) = self.padding();
        let state = self.state();
        Self::Digest::ALGORITHM.compress(state, &padding[..count]);
        Self::Digest::of_state(state)
    }
}

/// A digest in slices, for hashing within a turn's budget.
#[derive(Clone)]
pub(crate) struct Stream<D> {
    state: State,
    /// Bytes so far.
    length: u64,
    /// The bytes behind the last whole block.
    tail: [u8; 64],
    digest: PhantomData<D>,
}

/// SHA-1 in slices.
pub(crate) type Sha1Stream = Stream<Sha1>;
/// SHA-256 in slices.
pub(crate) type Sha256Stream = Stream<Sha256>;

impl<D: Digest> Default for Stream<D> {
    fn default() -> Stream<D> {
        Stream { state: D::ALGORITHM.start(), length: 0, tail: [0; 64], digest: PhantomData }
    }
}

impl<D: Digest> fmt::Debug for Stream<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} stream of {} bytes", D::ALGORITHM, self.length)
    }
}

impl<D: Digest> Stream<D> {
    /// The digest of all bytes.
    pub(crate) fn finish(self) -> D {
        DigestStream::finish(self)
    }
}

impl<D: Digest> DigestStream for Stream<D> {
    type Digest = D;

    fn open<'a>(&mut self, mut bytes: &'a [u8]) -> (&mut State, &'a [[u8; 64]]) {
        let held = (self.length % 64) as usize;
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if held > 0 {
            let (head, rest) = bytes.split_at(bytes.len().min(64 - held));
            self.tail[held..held + head.len()].copy_from_slice(head);
            if held + head.len() < 64 {
                return (&mut self.state, &[]);
            }
            D::ALGORITHM.compress(&mut self.state, &[self.tail]);
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks();
        self.tail[..rest.len()].copy_from_slice(rest);
        (&mut self.state, blocks)
    }

    fn padding(&self) -> ([[u8; 64]; 2], usize) {
        let end = (self.length % 64) as usize;
        // One bit, zeros, and the length in bits in the last eight bytes of a block.
        let mut padding = [[0; 64]; 2];
        let bytes = padding.as_flattened_mut();
        bytes[..end].copy_from_slice(&self.tail[..end]);
        bytes[end] = 0x80;
        let count = if end < 56 { 1 } else { 2 };
        bytes[64 * count - 8..64 * count]
            .copy_from_slice(&self.length.wrapping_mul(8).to_be_bytes());
        (padding, count)
    }

    fn state(&mut self) -> &mut State {
        &mut self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update<D: Digest>(stream: &mut Stream<D>, bytes: &[u8]) {
        let (state, blocks) = stream.open(bytes);
        D::ALGORITHM.compress(state, blocks);
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
            let (mut sha1, mut sha256) = (Sha1Stream::default(), Sha256Stream::default());
            bytes[..length].chunks(1 + length % 70).for_each(|part| {
                update(&mut sha1, part);
                update(&mut sha256, part);
            });
            assert_eq!(sha1.finish(), Sha1::of(&bytes[..length]));
            assert_eq!(sha256.finish(), Sha256::of(&bytes[..length]));
        }
    }
}
