//! One thread's share of a scan: claims of pieces, mapped or copied, hashed sixteen at a time.

use std::io::IoSliceMut;
use std::ops::Range;

use rustix::fs::Advice;
use rustix::io::Errno;
use rustix::io::ReadWriteFlags;

use crate::base::digest::Sha1;
use crate::base::digest::Sha1Stream;
use crate::base::digest::Sha256;
use crate::base::digest_lanes::Lanes;
use crate::base::limits::BLOCK_LEN;
use crate::content::merkle;
use crate::io::scan::control::Control;
use crate::io::scan::plan::BATCH;
use crate::io::scan::plan::Plan;
use crate::io::scan::plan::Readiness;
use crate::io::scan::shelf::Shelf;
use crate::io::scan::shelf::Trouble;
use crate::io::scan::window::EXTENT;
use crate::io::scan::window::Window;

/// Bytes asked of the disk ahead of what is hashed, by all threads together: some tens of requests
/// of the size that disks like, in one rising order that also suits those with a head.
const AHEAD: u64 = 64 * 1024 * 1024;
/// Bytes per question: the size of the kernel's own requests at most disks.
const AHEAD_STEP: u64 = 4 * 1024 * 1024;
/// Bytes that are hashed together when they come from the disk: more would only wait longer.
const COLD_LEN: u64 = 32 * 1024 * 1024;
/// Places of a claim that are looked at to know whether it is in the page cache.
const PROBE_COUNT: u64 = 4;

/// What a scan found out about a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// What its bytes hash to, as far as that was wanted.
    Hashed { v1: Option<Sha1>, v2: Option<Sha256> },
    /// A file of it is not there.
    Missing,
    /// A file of it ends too early.
    Short,
    /// The system's error number.
    Unreadable(i32),
}

/// A thread's tools.
pub(super) struct Worker<'a> {
    plan: &'a Plan<'a>,
    control: &'a Control,
    may_map: bool,
    hash: Lanes,
    shelf: Shelf,
    /// An extent for each piece of a batch.
    copies: Vec<u8>,
}

/// A piece in a batch.
struct Lane {
    piece: u32,
    offset: u64,
    len: usize,
    file_len: usize,
    leaves: Vec<Sha256>,
    trouble: Option<Trouble>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(plan: &'a Plan<'a>, control: &'a Control, may_map: bool) -> Worker<'a> {
        Worker {
            plan,
            control,
            may_map,
            hash: Lanes::detect(),
            shelf: Shelf::default(),
            copies: vec![0; BATCH as usize * EXTENT],
        }
    }

    /// Takes claims until none is left or the scan is stopped; `tell` gets each piece that was
    /// finished, once.
    pub(super) fn run(&mut self, mut tell: impl FnMut(Vec<(u32, Found)>)) {
        let (len, count) = (self.plan.claim_len(), self.plan.piece_count());
        while !self.control.is_stopped()
            && let Some(first) = self.control.claim(len, count)
        {
            let claim = first..first.saturating_add(len).min(count);
            let window_len = if self.is_cold(claim.clone()) {
                let piece_len = u64::from(self.plan.piece_len.max(1));
                (COLD_LEN / piece_len).clamp(1, len.into()) as u32
            } else {
                len
            };
            let is_cold = window_len < len;
            for start in claim.clone().step_by(window_len as usize) {
                let window = start..start.saturating_add(window_len).min(claim.end);
                if is_cold {
                    self.ask_ahead(window.clone());
                }
                tell(self.scan(window));
            }
        }
    }

    /// Whether waiting for the disk is to be expected.
    fn is_cold(&mut self, claim: Range<u32>) -> bool {
        let (start, end) = (self.plan.offset(claim.start), self.plan.offset(claim.end));
        (0..PROBE_COUNT).any(|n| self.is_cold_at(start + (end - start) / PROBE_COUNT * n))
    }

    fn is_cold_at(&mut self, offset: u64) -> bool {
        let Some(span) = self.plan.files.spans(offset, 1).next() else { return false };
        let piece = (offset / u64::from(self.plan.piece_len.max(1))) as u32;
        let is_on_disk = self.plan.files.get(span.file).is_some_and(|entry| entry.is_on_disk());
        if !is_on_disk || !self.is_wanted(piece) {
            return false;
        }
        let Ok(open) = self.shelf.get(self.plan, span.file) else { return false };
        let mut byte = [0];
        let target = &mut [IoSliceMut::new(&mut byte)];
        let read = rustix::io::preadv2(&open.fd, target, span.offset, ReadWriteFlags::NOWAIT);
        // File systems of the network know no such question, and are slow to answer any.
        matches!(read, Err(Errno::AGAIN | Errno::OPNOTSUPP))
    }

    /// Has the kernel read what comes next into the page cache, without waiting for it.
    fn ask_ahead(&mut self, window: Range<u32>) {
        let (start, end) = (self.plan.offset(window.start), self.plan.offset(window.end));
        let end = end.saturating_add(AHEAD);
        while let Some((from, to)) = self.control.ask_ahead(start, end, AHEAD_STEP) {
            for span in self.plan.files.spans(from, to - from) {
                let piece = ((from / u64::from(self.plan.piece_len.max(1))) as u32)
                    .min(self.plan.piece_count().saturating_sub(1));
                let is_on_disk =
                    self.plan.files.get(span.file).is_some_and(|entry| entry.is_on_disk());
                if !is_on_disk || self.plan.is_known(piece) {
                    continue;
                }
                if let Ok(open) = self.shelf.get(self.plan, span.file) {
                    let len = std::num::NonZeroU64::new(span.length.into());
                    // Only a hint: what refuses it is read all the same.
                    let _ = rustix::fs::fadvise(&open.fd, span.offset, len, Advice::WillNeed);
                }
            }
        }
    }

    fn is_wanted(&self, piece: u32) -> bool {
        !self.plan.is_known(piece) && self.plan.readiness(piece) == Readiness::Ready
    }

    /// All pieces of a window; fewer when the scan is stopped meanwhile.
    fn scan(&mut self, pieces: Range<u32>) -> Vec<(u32, Found)> {
        let mut found = Vec::new();
        let mut ready = Vec::new();
        for piece in pieces {
            if self.plan.is_known(piece) {
                continue;
            }
            let readiness = self.plan.readiness(piece);
            if readiness == Readiness::Ready {
                ready.push(piece);
                continue;
            }
            self.control.advance(self.plan.len(piece) as u64);
            found.extend(Found::without_reading(readiness).map(|without| (piece, without)));
        }
        let window = match self.may_map {
            true => {
                let runs = ready.chunk_by(|a, b| a + 1 == *b);
                let runs = runs.filter_map(|run| Some(*run.first()?..*run.last()? + 1));
                Window::new(self.plan, &mut self.shelf, runs)
            }
            false => Window::default(),
        };
        let hashed = self.hash_all(&ready, &window, true);
        if window.is_whole() {
            found.extend(hashed);
        } else {
            // A file lost bytes while they were hashed: copying tells which, and why.
            drop(window);
            found.extend(self.hash_all(&ready, &Window::default(), false));
        }
        found
    }

    fn hash_all(
        &mut self,
        pieces: &[u32],
        window: &Window,
        is_progress: bool,
    ) -> Vec<(u32, Found)> {
        let mut found = Vec::with_capacity(pieces.len());
        for batch in pieces.chunks(BATCH as usize) {
            match self.hash_batch(batch, window, is_progress) {
                Some(batch) => found.extend(batch),
                None => break,
            }
        }
        found
    }

    /// Up to sixteen pieces side by side; `None` when the scan was stopped.
    fn hash_batch(
        &mut self,
        pieces: &[u32],
        window: &Window,
        is_progress: bool,
    ) -> Option<Vec<(u32, Found)>> {
        let mut lanes: Vec<Lane> = pieces.iter().map(|piece| self.lane(*piece)).collect();
        let mut streams = vec![Sha1Stream::default(); lanes.len()];
        let longest = lanes.iter().map(|lane| lane.len).max().unwrap_or(0);
        for at in (0..longest).step_by(EXTENT) {
            if self.control.is_stopped() {
                return None;
            }
            self.copy_rest(&mut lanes, window, at);
            let extents: Vec<&[u8]> = lanes
                .iter()
                .zip(self.copies.chunks(EXTENT))
                .map(|(lane, copy)| lane.extent(window, at, copy))
                .collect();
            if self.plan.wants_v1 {
                let inputs = streams.iter_mut().zip(extents.iter().copied());
                self.hash.update_many(inputs.filter(|(_, bytes)| !bytes.is_empty()));
            }
            if self.plan.wants_v2 {
                hash_leaves(self.hash, &mut lanes, &extents, at);
            }
            if is_progress {
                self.control.advance(extents.iter().map(|bytes| bytes.len() as u64).sum());
            }
        }
        let mut digests = Vec::with_capacity(lanes.len());
        if self.plan.wants_v1 {
            self.hash.finish_many(&mut streams, |digest| digests.push(Some(digest)));
        }
        digests.resize(lanes.len(), None);
        let lanes = lanes.into_iter().zip(digests);
        Some(lanes.map(|(lane, v1)| (lane.piece, self.found(&lane, v1))).collect())
    }

    fn lane(&self, piece: u32) -> Lane {
        let (offset, len) = (self.plan.offset(piece), self.plan.len(piece));
        let file_len = if self.plan.wants_v2 { self.plan.file_len(piece) } else { 0 };
        let leaf_count = file_len.div_ceil(BLOCK_LEN as usize);
        let leaves = Vec::with_capacity(leaf_count);
        Lane { piece, offset, len, file_len, leaves, trouble: None }
    }

    /// Copies the extents at `at` of all lanes for which the window has none.
    fn copy_rest(&mut self, lanes: &mut [Lane], window: &Window, at: usize) {
        for (lane, copy) in lanes.iter_mut().zip(self.copies.chunks_mut(EXTENT)) {
            let len = lane.extent_len(at);
            let is_at_hand = window.slice(lane.offset + at as u64, len).is_some();
            if len == 0 || is_at_hand || lane.trouble.is_some() {
                continue;
            }
            let copy = copy.get_mut(..len).unwrap_or_default();
            let read = self.shelf.read(self.plan, lane.offset + at as u64, copy);
            lane.trouble = read.err();
        }
    }

    fn found(&self, lane: &Lane, v1: Option<Sha1>) -> Found {
        match lane.trouble {
            Some(Trouble::Missing) => Found::Missing,
            Some(Trouble::Short) => Found::Short,
            Some(Trouble::Unreadable(errno)) => Found::Unreadable(errno),
            None => {
                let width = || self.plan.tree_width(lane.piece);
                let v2 = self.plan.wants_v2.then(|| merkle::root(&lane.leaves, width()));
                Found::Hashed { v1, v2 }
            }
        }
    }
}

impl Lane {
    fn extent_len(&self, at: usize) -> usize {
        self.len.saturating_sub(at).min(EXTENT)
    }

    /// From the window, else what was copied; anything after trouble.
    fn extent<'b>(&self, window: &'b Window, at: usize, copy: &'b [u8]) -> &'b [u8] {
        let len = self.extent_len(at);
        let at_hand = window.slice(self.offset + at as u64, len);
        at_hand.or_else(|| copy.get(..len)).unwrap_or_default()
    }
}

impl Found {
    fn without_reading(readiness: Readiness) -> Option<Found> {
        match readiness {
            Readiness::Ready => None,
            Readiness::Missing => Some(Found::Missing),
            Readiness::Short => Some(Found::Short),
            Readiness::Unreadable(errno) => Some(Found::Unreadable(errno)),
        }
    }
}

/// The leaves of all extents together; pads have none (BEP 52).
fn hash_leaves(hash: Lanes, lanes: &mut [Lane], extents: &[&[u8]], at: usize) {
    let data = |lane: &Lane, bytes: &'_ [u8]| lane.file_len.saturating_sub(at).min(bytes.len());
    let mut inputs: Vec<&[u8]> = Vec::new();
    for (lane, bytes) in lanes.iter().zip(extents) {
        let bytes = bytes.get(..data(lane, bytes)).unwrap_or_default();
        inputs.extend(bytes.chunks(BLOCK_LEN as usize));
    }
    let mut leaves = vec![Sha256([0; 32]); inputs.len()];
    hash.sha256_leaves(&inputs, &mut leaves);
    let mut leaves = leaves.into_iter();
    for (lane, bytes) in lanes.iter_mut().zip(extents) {
        let count = data(lane, bytes).div_ceil(BLOCK_LEN as usize);
        lane.leaves.extend(leaves.by_ref().take(count));
    }
}
