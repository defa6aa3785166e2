//! Digests: values, hex, and the portable way to compute them.

use std::fmt;

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
        let hex = hex.as_bytes();
        if hex.len() != 40 {
            return None;
        }
        let mut bytes = [0u8; 20];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = (high * 16 + low) as u8;
        }
        Some(Sha1(bytes))
    }

    /// Of `bytes`, in one go.
    pub fn of(bytes: &[u8]) -> Sha1 {
        Sha1(sha1::Sha1::digest(bytes).into())
    }
}

impl fmt::Display for Sha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Sha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// SHA-1 in slices, for hashing within a turn's budget.
#[derive(Clone, Default)]
pub(crate) struct Sha1Stream(sha1::Sha1);

impl fmt::Debug for Sha1Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha1Stream")
    }
}

impl Sha1Stream {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Sha1 {
        Sha1(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trips_and_refuses_what_is_not_hex() {
        let digest = Sha1::of(b"abc");
        assert_eq!(digest.to_string(), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(Sha1::from_hex(&digest.to_string().to_uppercase()), Some(digest));
        assert_eq!(Sha1::from_hex("a9"), None);
        assert_eq!(Sha1::from_hex(&"zz".repeat(20)), None);
        let mut stream = Sha1Stream::default();
        stream.update(b"a");
        stream.update(b"bc");
        assert_eq!(stream.finish(), digest);
    }
}
