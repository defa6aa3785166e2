//! Scans of real files, against digests computed one by one.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::base::bitfield::Bitfield;
use crate::base::digest::Sha1;
use crate::base::digest::Sha256;
use crate::base::rng::Rng;
use crate::content::files::FileKind;
use crate::content::files::FileList;
use crate::content::merkle;
use crate::io::beneath;
use crate::io::scan::look::Look;

const MAPPED: Manner = Manner { thread_max: 0, may_map: true };
const COPIED: Manner = Manner { thread_max: 2, may_map: false };

struct Site {
    dir: TempDir,
    list: FileList,
    bytes: Vec<u8>,
}

impl Site {
    /// Files of random bytes, with pads to whole pieces where `pad_to` is above 0.
    fn new(lens: &[usize], pad_to: u64) -> Site {
        let dir = tempfile::tempdir().unwrap();
        let (mut list, mut bytes) = (FileList::default(), Vec::new());
        let mut rng = Rng::new(lens.len() as u64);
        for (number, len) in lens.iter().enumerate() {
            let path = format!("f{number}");
            let content: Vec<u8> = (0..*len).map(|_| rng.next_u64() as u8).collect();
            fs::write(dir.path().join(&path), &content).unwrap();
            list.push(path.into(), *len as u64, FileKind::Data).unwrap();
            bytes.extend(content);
            if pad_to > 0 && list.total() % pad_to > 0 {
                let gap = pad_to - list.total() % pad_to;
                list.push(".pad/x".into(), gap, FileKind::Pad).unwrap();
                bytes.resize(list.total() as usize, 0);
            }
        }
        Site { dir, list, bytes }
    }

    fn plan(&self, piece_len: u32, wants_v1: bool, wants_v2: bool) -> Plan<'_> {
        let root = beneath::root(self.dir.path()).unwrap();
        let looks = self.list.entries().iter().map(|entry| Look::at(&root, entry)).collect();
        let (files, known) = (&self.list, None);
        Plan { files, piece_len, wants_v1, wants_v2, root: Some(root), looks, known }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(Path::new(name))
    }
}

fn run(plan: &Plan<'_>, manner: Manner) -> BTreeMap<u32, Found> {
    let mut found = BTreeMap::new();
    let control = Control::default();
    let each = |piece, what| assert_eq!(found.insert(piece, what), None, "told once");
    scan(plan, manner, &control, each, || {}).unwrap();
    if plan.known.is_none() {
        assert_eq!(control.done(), plan.files.total(), "all bytes are counted");
    }
    found
}

fn v1(bytes: &[u8]) -> Found {
    Found::Hashed { v1: Some(Sha1::of(bytes)), v2: None }
}

#[test]
fn every_piece_is_hashed_across_files_mapped_and_copied() {
    for (lens, piece_len) in [
        (&[3_000_000usize, 5, 0, 70_001, 2_000_000, 1][..], 65_536u32),
        (&[40_000; 50], 16_384),
        (&[9_000_001], 1 << 20),
        (&[600_000, 600_001, 600_002], 1 << 18),
        (&[1], 16_384),
    ] {
        let site = Site::new(lens, 0);
        let expected: Vec<Found> = site.bytes.chunks(piece_len as usize).map(v1).collect();
        for manner in [MAPPED, COPIED] {
            let found = run(&site.plan(piece_len, true, false), manner);
            assert_eq!(found.into_values().collect::<Vec<_>>(), expected, "{lens:?} {manner:?}");
        }
    }
}

#[test]
fn a_hybrid_gets_both_hashes_and_pads_count_for_v1_only() {
    let piece_len = 1 << 17;
    let lens = [1_000_000, 5, 0, 131_072, 20_000, 40_000];
    let site = Site::new(&lens, piece_len.into());
    let mut expected = Vec::new();
    for entry in site.list.entries().iter().filter(|entry| entry.is_on_disk()) {
        let start = entry.offset() as usize;
        let bytes = &site.bytes[start..start + entry.length() as usize];
        let leaves = |bytes: &[u8]| bytes.chunks(16_384).map(Sha256::of).collect::<Vec<_>>();
        let width = leaves(bytes).len().next_power_of_two().min(8) as u32;
        let roots =
            bytes.chunks(piece_len as usize).map(|piece| merkle::root(&leaves(piece), width));
        expected.extend(roots);
    }
    let sha1: Vec<_> = site.bytes.chunks(piece_len as usize).map(Sha1::of).collect();
    for manner in [MAPPED, COPIED] {
        for (wants_v1, wants_v2) in [(true, true), (false, true)] {
            let found = run(&site.plan(piece_len, wants_v1, wants_v2), manner);
            let both = sha1
                .iter()
                .zip(&expected)
                .map(|(v1, v2)| Found::Hashed { v1: wants_v1.then_some(*v1), v2: Some(*v2) });
            assert_eq!(found.into_values().collect::<Vec<_>>(), both.collect::<Vec<_>>());
        }
    }
}

#[test]
fn holes_hash_as_zeros() {
    let piece_len = 1 << 18;
    let mut site = Site::new(&[6_000_000], 0);
    let file = File::create(site.path("f0")).unwrap();
    file.set_len(6_000_000).unwrap();
    site.bytes.fill(0);
    for at in [1_000_003usize, 3_000_000, 5_999_000] {
        file.write_all_at(b"something", at as u64).unwrap();
        site.bytes[at..at + 9].copy_from_slice(b"something");
    }
    let expected: Vec<Found> = site.bytes.chunks(piece_len).map(v1).collect();
    for manner in [MAPPED, COPIED] {
        let plan = site.plan(piece_len as u32, true, false);
        assert_eq!(run(&plan, manner).into_values().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn pieces_of_missing_and_short_files_say_so_and_the_others_are_hashed() {
    let site = Site::new(&[100_000, 100_000, 100_000], 0);
    fs::remove_file(site.path("f1")).unwrap();
    fs::write(site.path("f2"), &site.bytes[200_000..250_000]).unwrap();
    let found = run(&site.plan(16_384, true, false), MAPPED);
    for (piece, bytes) in site.bytes.chunks(16_384).enumerate() {
        let (start, end) = (piece * 16_384, piece * 16_384 + bytes.len());
        let expected = match () {
            () if end > 100_000 && start < 200_000 => Found::Missing,
            () if end > 250_000 => Found::Short,
            () => v1(bytes),
        };
        assert_eq!(found[&(piece as u32)], expected, "piece {piece}");
    }
}

#[test]
fn a_file_that_was_cut_after_the_look_is_short() {
    let site = Site::new(&[4_000_000], 0);
    let plan = site.plan(1 << 18, true, false);
    File::options().write(true).open(site.path("f0")).unwrap().set_len(1_000_000).unwrap();
    for manner in [MAPPED, COPIED] {
        let found = run(&plan, manner);
        assert_eq!(found[&0], v1(&site.bytes[..1 << 18]), "{manner:?}");
        assert_eq!(found[&3], Found::Short);
        assert_eq!(found[&15], Found::Short);
    }
    fs::remove_file(site.path("f0")).unwrap();
    assert!(run(&plan, MAPPED).values().all(|found| *found == Found::Missing));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "somebody else cuts the file")]
fn a_file_that_is_cut_while_it_is_hashed_gives_right_hashes_or_is_short() {
    const LEN: u64 = 4 << 20;
    for round in 0..8 {
        let site = Site::new(&[LEN as usize], 0);
        let plan = site.plan(1 << 18, true, false);
        let control = Control::default();
        let file = File::options().write(true).open(site.path("f0")).unwrap();
        let cut = || {
            while control.done() < LEN / 10 * round {
                thread::yield_now();
            }
            file.set_len(round * 65_536).unwrap();
        };
        let mut found = BTreeMap::new();
        thread::scope(|scope| {
            scope.spawn(cut);
            let each = |piece, what| {
                found.insert(piece, what);
            };
            scan(&plan, MAPPED, &control, each, || {}).unwrap();
        });
        for (piece, bytes) in site.bytes.chunks(1 << 18).enumerate() {
            let found = found[&(piece as u32)];
            assert!(found == v1(bytes) || found == Found::Short, "round {round}, piece {piece}");
        }
    }
}

#[test]
fn known_pieces_are_not_read_again() {
    let site = Site::new(&[400_000], 0);
    let mut plan = site.plan(16_384, true, false);
    let mut known = Bitfield::zeros(plan.piece_count());
    (0..plan.piece_count()).filter(|piece| *piece != 7).for_each(|piece| {
        known.set(piece);
    });
    plan.known = Some(known);
    let found = run(&plan, MAPPED);
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [(7, v1(&site.bytes[7 * 16_384..8 * 16_384]))]
    );
}

#[test]
fn a_stopped_scan_tells_only_what_is_done() {
    let site = Site::new(&[400_000], 0);
    let plan = site.plan(16_384, true, false);
    let control = Control::default();
    control.stop();
    let mut count = 0;
    scan(&plan, MAPPED, &control, |_, _| count += 1, || {}).unwrap();
    assert_eq!(count, 0);
}

#[test]
fn nothing_at_all_has_no_pieces() {
    let site = Site::new(&[0, 0], 0);
    assert_eq!(run(&site.plan(16_384, true, true), MAPPED).len(), 0);
}
