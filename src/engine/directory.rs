//! The info-hash directory: which shard owns a torrent. Read by every shard; written by the
//! session, and by a shard that learns another name of a torrent from its metadata.

use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::base::digest::Sha1;
use crate::base::ids::ShardId;
use crate::base::published::Published;

/// An immutable map in 256 parts, by the first byte of the hash, so that adding one of 100,000
/// torrents copies some 400 entries, not all. Parts are swapped whole.
#[derive(Default)]
pub(crate) struct Directory {
    parts: Vec<Published<HashMap<Sha1, ShardId>>>,
}

impl Directory {
    pub(crate) fn new() -> Arc<Directory> {
        Arc::new(Directory { parts: (0..256).map(|_| Published::new(HashMap::new())).collect() })
    }

    /// Where the torrent lives.
    pub(crate) fn find(&self, info_hash: &Sha1) -> Option<ShardId> {
        self.part(info_hash)?.read().get(info_hash).copied()
    }

    /// For the session alone: from now on the torrent lives on `shard`, or nowhere.
    pub(crate) fn set(&self, info_hash: Sha1, shard: Option<ShardId>) {
        let Some(part) = self.part(&info_hash) else { return };
        part.update(|map| {
            let mut map = map.clone();
            match shard {
                Some(shard) => map.insert(info_hash, shard),
                None => map.remove(&info_hash),
            };
            map
        });
    }

    /// A torrent on `shard` has this name too, unless another torrent has it.
    pub(crate) fn learn(&self, info_hash: Sha1, shard: ShardId) {
        let Some(part) = self.part(&info_hash) else { return };
        part.update(|map| {
            let mut map = map.clone();
            map.entry(info_hash).or_insert(shard);
            map
        });
    }

    fn part(&self, info_hash: &Sha1) -> Option<&Published<HashMap<Sha1, ShardId>>> {
        self.parts.get(usize::from(info_hash.as_bytes()[0]))
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Directory")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torrent_is_found_where_the_session_put_it() {
        let directory = Directory::new();
        let hash = Sha1::of(b"one");
        assert_eq!(directory.find(&hash), None);
        directory.set(hash, Some(ShardId(1)));
        assert_eq!(directory.find(&hash), Some(ShardId(1)));
        directory.learn(hash, ShardId(0));
        assert_eq!(directory.find(&hash), Some(ShardId(1)), "the name is taken");
        directory.set(hash, None);
        assert_eq!(directory.find(&hash), None);
        directory.learn(hash, ShardId(0));
        assert_eq!(directory.find(&hash), Some(ShardId(0)));
    }
}
