//! Who is connected, by address and by peer id: nobody looks through thousands of peers to find
//! one.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::base::slots::SlotId;

/// The least and the greatest id that there may be.
const FIRST: SlotId = SlotId { slot: 0, generation: 0 };
const LAST: SlotId = SlotId { slot: u32::MAX, generation: u32::MAX };

/// An entry in each for every peer.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    addresses: BTreeSet<(SocketAddr, SlotId)>,
    names: BTreeSet<([u8; 20], SlotId)>,
}

impl Roster {
    pub(crate) fn insert(&mut self, id: SlotId, address: SocketAddr, peer_id: [u8; 20]) {
        self.addresses.insert((address, id));
        self.names.insert((peer_id, id));
    }

    pub(crate) fn remove(&mut self, id: SlotId, address: SocketAddr, peer_id: [u8; 20]) {
        self.addresses.remove(&(address, id));
        self.names.remove(&(peer_id, id));
    }

    /// The peer at this address; one of them, should there be more.
    pub(crate) fn at(&self, address: SocketAddr) -> Option<SlotId> {
        let mut all = self.addresses.range((address, FIRST)..=(address, LAST));
        all.next().map(|(_, id)| *id)
    }

    /// The peers that call themselves so.
    pub(crate) fn named(&self, peer_id: [u8; 20]) -> impl Iterator<Item = SlotId> {
        self.names.range((peer_id, FIRST)..=(peer_id, LAST)).map(|(_, id)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_found_by_address_and_by_name_until_it_leaves() {
        let id = |slot| SlotId { slot, generation: 3 };
        let address = |last| SocketAddr::from(([10, 0, 0, last], 1));
        let mut roster = Roster::default();
        roster.insert(id(1), address(1), [7; 20]);
        roster.insert(id(2), address(2), [7; 20]);
        roster.insert(id(3), address(2), [8; 20]);
        assert_eq!(roster.named([7; 20]).collect::<Vec<_>>(), [id(1), id(2)]);
        assert_eq!((roster.at(address(1)), roster.at(address(2))), (Some(id(1)), Some(id(2))));
        roster.remove(id(2), address(2), [7; 20]);
        assert_eq!((roster.at(address(2)), roster.at(address(3))), (Some(id(3)), None));
        assert_eq!(roster.named([7; 20]).collect::<Vec<_>>(), [id(1)]);
        assert_eq!(roster.named([9; 20]).count(), 0);
    }
}
