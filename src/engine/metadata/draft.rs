//! A draft of the metadata: parts as they come in, who sent them, and which are asked for.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::digest::Sha1;
use crate::base::instant::Instant;
use crate::codec::ut_metadata::part_count;

/// A part that was asked for this long ago may be asked of somebody else as well: an honest peer
/// that is merely slow loses little by it, and one that stalls holds nobody up.
const SLOW: Duration = Duration::from_secs(3);

/// A part that has come.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) sender: SocketAddr,
    /// Of its bytes, taken when they came: if the whole is wrong, this is the evidence.
    pub(crate) digest: Sha1,
}

/// What is known of metadata of one size; memory is taken as parts come, never by the claim.
#[derive(Debug)]
pub(crate) struct Draft {
    part_count: u32,
    parts: BTreeMap<u32, Part>,
    asked: BTreeMap<u32, Instant>,
    /// All parts below are there.
    low: u32,
    held: usize,
    since: Instant,
}

impl Draft {
    pub(crate) fn new(size: u32, now: Instant) -> Draft {
        Draft {
            part_count: part_count(size),
            parts: BTreeMap::new(),
            asked: BTreeMap::new(),
            low: 0,
            held: 0,
            since: now,
        }
    }

    /// Somebody is asked for `part`.
    pub(crate) fn ask(&mut self, now: Instant, part: u32) {
        self.asked.insert(part, now);
    }

    /// Whoever was asked for `part` will not send it.
    pub(crate) fn unask(&mut self, part: u32) {
        self.asked.remove(&part);
    }

    /// Takes a part; false if it is there already.
    pub(crate) fn put(&mut self, index: u32, part: Part) -> bool {
        self.asked.remove(&index);
        if index >= self.part_count || self.parts.contains_key(&index) {
            return false;
        }
        self.held += part.bytes.len();
        self.parts.insert(index, part);
        while self.parts.contains_key(&self.low) {
            self.low += 1;
        }
        true
    }

    /// Parts that are worth asking for now, rising.
    pub(crate) fn open(&self, now: Instant) -> impl Iterator<Item = u32> {
        let is_free = move |part: &u32| {
            let asked = self.asked.get(part);
            !self.parts.contains_key(part) && asked.is_none_or(|at| now.since(*at) >= SLOW)
        };
        (self.low..self.part_count).filter(is_free)
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.low == self.part_count
    }

    /// The part at `index`, if it has come.
    pub(crate) fn part(&self, index: u32) -> Option<&Part> {
        self.parts.get(&index)
    }

    /// The parts that have come, rising.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (u32, &Part)> {
        self.parts.iter().map(|(index, part)| (*index, part))
    }

    /// Who sent something of it.
    pub(crate) fn senders(&self) -> BTreeSet<SocketAddr> {
        self.parts.values().map(|part| part.sender).collect()
    }

    /// Bytes of it in memory.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// When it was begun.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// Time in which one peer alone brings all of it: a minute, and 16 KiB a second.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(60 + u64::from(self.part_count))
    }

    /// All of its bytes.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.held);
        self.parts.into_values().for_each(|part| bytes.extend_from_slice(&part.bytes));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn part(bytes: &[u8]) -> Part {
        let sender = SocketAddr::from(([10, 0, 0, 1], 1));
        Part { bytes: bytes.into(), sender, digest: Sha1::of(bytes) }
    }

    fn open(draft: &Draft, now: Instant) -> Vec<u32> {
        draft.open(now).collect()
    }

    #[test]
    fn a_part_is_open_until_it_is_asked_for_or_there_and_again_when_that_takes_long() {
        let mut draft = Draft::new(40_000, ms(0));
        draft.ask(ms(0), 0);
        draft.ask(ms(1_000), 1);
        assert_eq!(open(&draft, ms(2_999)), [2]);
        assert_eq!(open(&draft, ms(3_000)), [0, 2]);
        draft.unask(1);
        assert!(draft.put(0, part(&[0; 16_384])) && !draft.put(0, part(&[0; 16_384])));
        assert_eq!(open(&draft, ms(3_000)), [1, 2]);
        assert!(!draft.put(3, part(b"x")), "there is no such part");
        assert_eq!(draft.held(), 16_384);
    }

    #[test]
    fn a_draft_is_whole_when_its_last_gap_is_closed() {
        let mut draft = Draft::new(16_386, ms(0));
        draft.put(1, part(b"ab"));
        assert!(!draft.is_whole());
        draft.put(0, part(&[7; 16_384]));
        assert!(draft.is_whole() && draft.senders().len() == 1);
        let bytes = draft.into_bytes();
        assert_eq!((bytes.len(), bytes.ends_with(b"\x07ab")), (16_386, true));
    }
}
