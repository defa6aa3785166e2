//! Fetching the metadata of a magnet: parts asked of several peers at once (BEP 9).
//!
//! Every size that somebody claims is a draft of its own, so that whoever lies about it spoils
//! nothing. A whole draft is hashed. If it is wrong and several peers wrote it, each peer of that
//! size writes a draft alone from then on: the next wrong one has one author, and the right one
//! tells who sent other parts before.

pub(crate) mod draft;
pub(crate) mod judge;
pub(crate) mod source;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::digest::Sha1;
use crate::base::digest_lanes::Lanes;
use crate::base::info_hashes::InfoHashes;
use crate::base::instant::Instant;
use crate::base::limits::METADATA_HELD_MAX;
use crate::codec::ut_metadata::part_len;
use crate::engine::metadata::draft::Draft;
use crate::engine::metadata::draft::Part;
use crate::engine::metadata::judge::Judge;
use crate::engine::metadata::judge::Verdict;
use crate::engine::metadata::source::Source;

/// How often what is late is looked for.
const TICK: Duration = Duration::from_secs(1);
/// Peers of one size that write a draft alone at once.
const AUTHOR_MAX: usize = 4;
/// Pause of a peer whose turn to write alone was too long.
const AUTHOR_PAUSE: Duration = Duration::from_secs(60);
/// Drafts kept for which nobody who is connected stands.
const LEFT_DRAFT_MAX: usize = 16;
/// Sizes whose evidence is kept. When full, the smallest goes: without evidence nobody is banned,
/// which is the safe side.
const CASE_MAX: usize = 16;

/// Which draft: the size, and its author where it has but one.
type Key = (u32, Option<u32>);

/// The metadata of one magnet as it comes together. Peers are named by their slot.
#[derive(Debug)]
pub(crate) struct MetadataFetch {
    hashes: InfoHashes,
    sources: BTreeMap<u32, Source>,
    drafts: BTreeMap<Key, Draft>,
    /// Whole drafts, the first of them being hashed.
    judges: VecDeque<(Key, Judge)>,
    /// Sizes of which a draft by several peers was wrong, and who wrote what.
    cases: BTreeMap<u32, Vec<Evidence>>,
    next_tick: Instant,
    events: VecDeque<MetadataEvent>,
}

/// Who sent a part of a wrong draft, and what it was.
#[derive(Clone, Copy, Debug)]
struct Evidence {
    part: u32,
    sender: SocketAddr,
    digest: Sha1,
}

/// What should be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum MetadataEvent {
    Ask {
        peer: u32,
        part: u32,
    },
    /// Beyond doubt: this peer sent wrong bytes.
    Guilty {
        address: SocketAddr,
        reason: &'static str,
    },
    /// The metadata, which is what the magnet names.
    Done(Vec<u8>),
    /// The magnet's two hashes name different things.
    Contradiction,
}

/// A part that no correct peer sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum PartFault {
    #[error("claimed metadata of {claimed} bytes and sent a part of {got} bytes of it")]
    OtherSize { claimed: u32, got: u32 },
    #[error("expected {expected} bytes in part {part} of the metadata, got {got}")]
    Length { part: u32, expected: u32, got: usize },
}

impl MetadataFetch {
    pub(crate) fn new(hashes: InfoHashes, now: Instant) -> MetadataFetch {
        MetadataFetch {
            hashes,
            sources: BTreeMap::new(),
            drafts: BTreeMap::new(),
            judges: VecDeque::new(),
            cases: BTreeMap::new(),
            next_tick: now,
            events: VecDeque::new(),
        }
    }

    /// A peer says that it has metadata of `size` bytes, 1 to `METADATA_LEN_MAX`.
    pub(crate) fn handle_claim(&mut self, now: Instant, peer: u32, address: SocketAddr, size: u32) {
        if self.sources.is_empty() {
            self.next_tick = now + TICK;
        }
        match self.sources.get(&peer).map(|source| source.size) {
            Some(old) if old == size => {}
            Some(_) => {
                self.release(peer);
                if let Some(source) = self.sources.get_mut(&peer) {
                    source.set_size(size);
                }
            }
            None => _ = self.sources.insert(peer, Source::new(now, address, size)),
        }
        self.fill(now, peer);
    }

    /// A peer left: what it was asked for goes to others, what it sent stays.
    pub(crate) fn handle_left(&mut self, now: Instant, peer: u32) {
        self.release(peer);
        if let Some(source) = self.sources.remove(&peer) {
            self.fill_size(now, source.size);
            self.forget_drafts();
        }
    }

    /// A peer sent a part.
    pub(crate) fn handle_part(
        &mut self,
        now: Instant,
        peer: u32,
        (part, total_size): (u32, Option<u32>),
        bytes: Box<[u8]>,
    ) -> Result<(), PartFault> {
        let Some(source) = self.sources.get_mut(&peer) else { return Ok(()) };
        if !source.answered(now, part) {
            return Ok(());
        }
        let (claimed, sender) = (source.size, source.address);
        if let Some(got) = total_size.filter(|got| *got != claimed) {
            return Err(PartFault::OtherSize { claimed, got });
        }
        let expected = part_len(claimed, part).unwrap_or(0);
        if bytes.len() != expected as usize {
            return Err(PartFault::Length { part, expected, got: bytes.len() });
        }
        let key = self.key(peer, claimed);
        self.make_room(key, bytes.len());
        if let Some(draft) = self.drafts.get_mut(&key) {
            let digest = Sha1::of(&bytes);
            draft.put(part, Part { bytes, sender, digest });
            if draft.is_whole()
                && let Some(draft) = self.drafts.remove(&key)
            {
                self.judges.push_back((key, Judge::new(draft)));
            }
        }
        self.fill(now, peer);
        Ok(())
    }

    /// A peer does not send a part.
    pub(crate) fn handle_reject(&mut self, now: Instant, peer: u32, part: u32) {
        let Some(source) = self.sources.get_mut(&peer) else { return };
        if source.refused(now, part) {
            let size = source.size;
            let key = self.key(peer, size);
            if let Some(draft) = self.drafts.get_mut(&key) {
                draft.unask(part);
            }
            self.fill_size(now, size);
        }
    }

    /// Looks for what is late, and asks again.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        let peers: Vec<u32> = self.sources.keys().copied().collect();
        for peer in &peers {
            let Some(source) = self.sources.get_mut(peer) else { continue };
            let (late, size) = (source.take_late(now), source.size);
            let key = self.key(*peer, size);
            if let Some(draft) = self.drafts.get_mut(&key) {
                late.into_iter().for_each(|part| draft.unask(part));
            }
        }
        self.end_long_turns(now);
        peers.into_iter().for_each(|peer| self.fill(now, peer));
    }

    /// Hashes whole drafts, about `slice` bytes of them; true while more waits.
    pub(crate) fn hash(&mut self, now: Instant, lanes: Lanes, slice: usize) -> bool {
        let mut left = slice;
        while let Some((_, judge)) = self.judges.front_mut() {
            if !judge.hash(self.hashes, lanes, &mut left) {
                return true;
            }
            let Some((key, judge)) = self.judges.pop_front() else { break };
            let (draft, verdict) = judge.verdict(self.hashes);
            match verdict {
                Verdict::Right => self.accept(key.0, draft),
                Verdict::Wrong => self.condemn(key, &draft),
                Verdict::Contradiction => {
                    self.end();
                    self.events.push_back(MetadataEvent::Contradiction);
                }
            }
            self.fill_size(now, key.0);
        }
        false
    }

    /// Whether [`MetadataFetch::hash`] has something to do.
    pub(crate) fn wants_hash(&self) -> bool {
        !self.judges.is_empty()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        (!self.sources.is_empty()).then_some(self.next_tick)
    }

    pub(crate) fn poll_event(&mut self) -> Option<MetadataEvent> {
        self.events.pop_front()
    }

    /// Bytes in memory: at most `METADATA_HELD_MAX`.
    pub(crate) fn held(&self) -> usize {
        let drafts: usize = self.drafts.values().map(Draft::held).sum();
        drafts + self.judges.iter().map(|(_, judge)| judge.held()).sum::<usize>()
    }

    /// The draft that a peer writes at.
    fn key(&self, peer: u32, size: u32) -> Key {
        (size, self.cases.contains_key(&size).then_some(peer))
    }

    /// Asks a peer for what it may be asked for.
    fn fill(&mut self, now: Instant, peer: u32) {
        let Some(size) = self.sources.get(&peer).map(|source| source.size) else { return };
        let key = self.key(peer, size);
        if self.judges.iter().any(|(judged, _)| *judged == key) || !self.may_begin(key) {
            return;
        }
        let Some(source) = self.sources.get_mut(&peer) else { return };
        let room = source.room(now);
        if room == 0 {
            return;
        }
        let draft = self.drafts.entry(key).or_insert_with(|| Draft::new(size, now));
        let open = draft.open(now).filter(|part| !source.is_asked(*part)).take(room);
        for part in open.collect::<Vec<u32>>() {
            source.ask(now, part);
            draft.ask(now, part);
            self.events.push_back(MetadataEvent::Ask { peer, part });
        }
    }

    /// Asks everybody who claims `size`.
    fn fill_size(&mut self, now: Instant, size: u32) {
        let claims = self.sources.iter().filter(|(_, source)| source.size == size);
        for peer in claims.map(|(peer, _)| *peer).collect::<Vec<u32>>() {
            self.fill(now, peer);
        }
    }

    /// Whether there is such a draft, or may be one.
    fn may_begin(&self, key: Key) -> bool {
        let (size, author) = key;
        let of_size = (size, Some(0))..=(size, Some(u32::MAX));
        author.is_none()
            || self.drafts.contains_key(&key)
            || self.drafts.range(of_size).count() < AUTHOR_MAX
    }

    /// Takes back what a peer was asked for, and the draft that it wrote alone.
    fn release(&mut self, peer: u32) {
        let Some(source) = self.sources.get_mut(&peer) else { return };
        let (asked, size) = (source.take_asked(), source.size);
        match self.key(peer, size) {
            own @ (_, Some(_)) => _ = self.drafts.remove(&own),
            shared => {
                if let Some(draft) = self.drafts.get_mut(&shared) {
                    asked.into_iter().for_each(|part| draft.unask(part));
                }
            }
        }
    }

    /// An author that is late or takes too long makes room for others who wait for their turn.
    fn end_long_turns(&mut self, now: Instant) {
        let is_long = |(key, draft): &(&Key, &Draft)| {
            let author = key.1.and_then(|peer| self.sources.get(&peer));
            let is_late = author.is_some_and(Source::is_late);
            is_late || now.since(draft.since()) >= draft.patience()
        };
        let long: Vec<Key> = self.drafts.iter().filter(is_long).map(|(key, _)| *key).collect();
        for (size, author) in long {
            let Some(peer) = author else { continue };
            let waits = |(other, source): (&u32, &Source)| {
                source.size == size && !self.drafts.contains_key(&(size, Some(*other)))
            };
            if self.sources.iter().any(waits) {
                self.release(peer);
                if let Some(source) = self.sources.get_mut(&peer) {
                    source.rest(now + AUTHOR_PAUSE);
                }
            }
        }
    }

    /// Few drafts are kept for whoever comes back: those of which most is there.
    fn forget_drafts(&mut self) {
        let is_left = |(size, author): &Key| match author {
            Some(_) => false,
            None => self.sources.values().all(|source| source.size != *size),
        };
        let left = self.drafts.iter().filter(|(key, _)| is_left(key));
        let mut left: Vec<(usize, Key)> = left.map(|(key, draft)| (draft.held(), *key)).collect();
        left.sort_unstable();
        let surplus = left.len().saturating_sub(LEFT_DRAFT_MAX);
        let is_surplus = |(at, (held, _)): &(usize, (usize, Key))| *at < surplus || *held == 0;
        for (_, (_, key)) in left.into_iter().enumerate().filter(is_surplus) {
            self.drafts.remove(&key);
        }
    }

    /// Gives up drafts that fewer peers stand for, so that `more` bytes of the one at `key` have
    /// room.
    fn make_room(&mut self, key: Key, more: usize) {
        while self.held() + more > METADATA_HELD_MAX {
            let standing = |(size, author): &Key| match author {
                Some(_) => 1,
                None => self.sources.values().filter(|source| source.size == *size).count(),
            };
            let others =
                self.drafts.iter().filter(|(other, draft)| **other != key && draft.held() > 0);
            let weakest = others
                .min_by_key(|(other, draft)| (standing(other), std::cmp::Reverse(draft.held())));
            match weakest.map(|(other, _)| *other) {
                Some(weakest) => self.drafts.remove(&weakest),
                // What is being hashed fills the room: this draft begins anew later.
                None if self.drafts.contains_key(&key) => self.drafts.remove(&key),
                None => return,
            };
        }
    }

    /// It is right: whoever sent other bytes for it is guilty, and so is whoever wrote at a wrong
    /// draft of another size.
    fn accept(&mut self, size: u32, draft: Draft) {
        let mut guilty = BTreeSet::new();
        for (case, evidence) in std::mem::take(&mut self.cases) {
            for Evidence { part, sender, digest } in evidence {
                let good = draft.part(part).map(|part| part.digest);
                if case != size || good != Some(digest) {
                    guilty.insert(sender);
                }
            }
        }
        let reason = "sent metadata that differs from the right one";
        let all = guilty.into_iter().map(|address| MetadataEvent::Guilty { address, reason });
        self.events.extend(all);
        self.end();
        self.events.push_back(MetadataEvent::Done(draft.into_bytes()));
    }

    /// Nobody is asked any more.
    fn end(&mut self) {
        self.sources.clear();
        self.drafts.clear();
        self.judges.clear();
    }

    /// It is wrong: its only author is guilty; several become suspects.
    fn condemn(&mut self, (size, _): Key, draft: &Draft) {
        let senders = draft.senders();
        if let (Some(only), 1) = (senders.first(), senders.len()) {
            let reason = "sent metadata that fails its hash";
            // Found out once is enough: what it did before adds nothing.
            self.cases.values_mut().for_each(|case| case.retain(|e| e.sender != *only));
            return self.events.push_back(MetadataEvent::Guilty { address: *only, reason });
        }
        if self.cases.len() >= CASE_MAX {
            self.cases.pop_first();
        }
        let evidence = draft.parts().map(|(part, Part { sender, digest, .. })| Evidence {
            part,
            sender: *sender,
            digest: *digest,
        });
        self.cases.entry(size).or_default().extend(evidence);
    }
}

#[cfg(test)]
mod tests;
