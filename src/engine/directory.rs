//! The info-hash directory: which shard owns a torrent, and which others serve it too. Read by
//! every shard; written by the session, by a shard that learns another name of a torrent from its
//! metadata, and by an owner whose torrent gets or loses an annex.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::base::digest::Sha1;
use crate::base::ids::ShardId;
use crate::base::info_hashes::InfoHashes;
use crate::base::published::Published;

/// An immutable map in 256 parts, by the first byte of the hash, so that adding one of 100,000
/// torrents copies some 400 entries, not all. Parts are swapped whole.
pub(crate) struct Directory {
    parts: Vec<Published<HashMap<Sha1, ShardId>>>,
    /// Shards that serve a torrent beside its owner. Few torrents have any.
    annexes: Published<BTreeMap<Sha1, Vec<ShardId>>>,
}

impl Directory {
    pub(crate) fn new() -> Arc<Directory> {
        Arc::new(Directory {
            parts: (0..256).map(|_| Published::new(HashMap::new())).collect(),
            annexes: Published::new(BTreeMap::new()),
        })
    }

    /// Where the torrent lives.
    pub(crate) fn find(&self, info_hash: &Sha1) -> Option<ShardId> {
        self.part(info_hash)?.read().get(info_hash).copied()
    }

    /// Where it is served: its owner first, then shards that help.
    pub(crate) fn homes(&self, info_hash: &Sha1) -> Vec<ShardId> {
        let Some(owner) = self.find(info_hash) else { return Vec::new() };
        let mut homes = vec![owner];
        homes.extend(self.annexes.read().get(info_hash).into_iter().flatten());
        homes
    }

    /// From now on these shards help to serve the torrent; its owner says so.
    pub(crate) fn set_helpers(&self, names: InfoHashes, to: &[ShardId]) {
        self.annexes.update(|map| {
            let mut map = map.clone();
            for name in names.swarms() {
                if to.is_empty() {
                    map.remove(&name);
                } else {
                    map.insert(name, to.to_vec());
                }
            }
            map
        });
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
    use crate::base::digest::Sha256;

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

    #[test]
    fn shards_that_help_are_named_behind_the_owner() {
        let directory = Directory::new();
        let (v1, v2) = (Sha1::of(b"one"), Sha256::of(b"one"));
        let names = InfoHashes::new(Some(v1), Some(v2)).expect("there are two");
        names.swarms().for_each(|name| directory.set(name, Some(ShardId(1))));
        directory.set_helpers(names, &[ShardId(3), ShardId(0)]);
        assert_eq!(directory.homes(&v2.truncated()), [ShardId(1), ShardId(3), ShardId(0)]);
        assert_eq!(directory.homes(&Sha1::of(b"two")), []);
        directory.set(v1, None);
        assert_eq!(directory.homes(&v1), [], "without an owner nobody serves it");
        directory.set_helpers(names, &[]);
        assert_eq!(directory.homes(&v2.truncated()), [ShardId(1)]);
    }
}
