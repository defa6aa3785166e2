//! Every input that a fuzz target started from or stumbled over is replayed by the plain tests.
#![cfg(feature = "fuzzing")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use coreswarm::fuzzing;

/// Bytes of all inputs together that the repository carries at most.
const CORPUS_LEN_MAX: u64 = 5_000_000;

type Entrance = fn(&[u8]);

/// One entrance for each target.
const TARGETS: [(&str, Entrance); 8] = [
    ("bencode", fuzzing::bencode),
    ("hash_request", fuzzing::hash_request),
    ("magnet", fuzzing::magnet),
    ("merkle", fuzzing::merkle),
    ("metainfo", fuzzing::metainfo),
    ("peer_message", fuzzing::peer_message),
    ("tracker_answer", fuzzing::tracker_answer),
    ("ut_metadata", fuzzing::ut_metadata),
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

/// Names in a folder, without what stands behind a dot.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("a folder of fuzz").flatten();
    let stems = entries.filter_map(|entry| entry.path().file_stem().map(ToOwned::to_owned));
    stems.map(|stem| stem.to_string_lossy().into_owned()).collect()
}

#[test]
fn every_target_has_an_entrance_a_folder_of_inputs_and_a_place_in_the_manual() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names(&folder("fuzz_targets")), targets);
    assert_eq!(names(&folder("seeds")), targets);
    let manual = fs::read_to_string(folder("README.md")).unwrap();
    for name in &targets {
        assert!(manual.contains(&format!("| `{name}` |")), "{name} is not in fuzz/README.md");
    }
}

#[test]
fn every_input_is_replayed_and_they_stay_small() {
    let mut total = 0;
    for (name, entrance) in TARGETS {
        let mut count = 0;
        for input in fs::read_dir(folder("seeds").join(name)).unwrap() {
            let path = input.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let outcome = std::panic::catch_unwind(|| entrance(&bytes));
            assert!(outcome.is_ok(), "{} breaks its target", path.display());
            total += bytes.len() as u64;
            count += 1;
        }
        assert!(count > 0, "{name} has no inputs");
    }
    assert!(total < CORPUS_LEN_MAX, "expected less than {CORPUS_LEN_MAX} bytes, got {total}");
}
