//! The names of a torrent: one for each version of the protocol that it speaks.

use std::fmt;

use crate::base::digest::Sha1;
use crate::base::digest::Sha256;

/// A torrent's info hashes: v1 (BEP 3), v2 (BEP 52), or both for a hybrid. At least one is there.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InfoHashes {
    v1: Option<Sha1>,
    v2: Option<Sha256>,
}

impl InfoHashes {
    /// The names that are there; `None` without any.
    pub fn new(v1: Option<Sha1>, v2: Option<Sha256>) -> Option<InfoHashes> {
        (v1.is_some() || v2.is_some()).then_some(InfoHashes { v1, v2 })
    }

    /// A torrent of the first version only.
    pub fn from_v1(v1: Sha1) -> InfoHashes {
        InfoHashes { v1: Some(v1), v2: None }
    }

    /// A torrent of the second version only.
    pub fn from_v2(v2: Sha256) -> InfoHashes {
        InfoHashes { v1: None, v2: Some(v2) }
    }

    /// SHA-1 over the raw `info` dictionary; `None` for a torrent of v2 only.
    pub fn v1(&self) -> Option<Sha1> {
        self.v1
    }

    /// SHA-256 over the raw `info` dictionary; `None` for a torrent of v1 only.
    pub fn v2(&self) -> Option<Sha256> {
        self.v2
    }

    /// Whether the torrent speaks both versions.
    pub fn is_hybrid(&self) -> bool {
        self.v1.is_some() && self.v2.is_some()
    }

    /// The 20 bytes that name the torrent first: v1 where there is one, else v2 truncated.
    pub fn primary(&self) -> Sha1 {
        self.swarms().next().unwrap_or(Sha1([0; 20]))
    }

    /// The 20 bytes under which peers, trackers and the DHT know each of the torrent's swarms: v1,
    /// then v2 truncated.
    pub fn swarms(&self) -> impl Iterator<Item = Sha1> + use<> {
        self.v1.into_iter().chain(self.v2.map(|v2| v2.truncated()))
    }
}

impl fmt::Display for InfoHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.v1, self.v2) {
            (Some(v1), Some(v2)) => write!(f, "{v1}/{v2}"),
            (Some(v1), None) => write!(f, "{v1}"),
            (None, v2) => v2.map_or(Ok(()), |v2| write!(f, "{v2}")),
        }
    }
}

impl fmt::Debug for InfoHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_has_two_swarms_and_is_named_by_the_first() {
        let (v1, v2) = (Sha1::of(b"info"), Sha256::of(b"info"));
        let both = InfoHashes::new(Some(v1), Some(v2)).unwrap();
        assert_eq!(both.swarms().collect::<Vec<_>>(), [v1, v2.truncated()]);
        assert_eq!((both.primary(), both.is_hybrid()), (v1, true));
        assert_eq!(both.to_string(), format!("{v1}/{v2}"));
        let second = InfoHashes::from_v2(v2);
        assert_eq!((second.primary(), second.is_hybrid()), (v2.truncated(), false));
        assert_eq!(second.to_string(), v2.to_string());
        assert_eq!(InfoHashes::new(None, None), None);
    }
}
