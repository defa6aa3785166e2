//! Malformed and odd .torrent files: each is made here, and each has its verdict.

#[path = "hostile/case.rs"]
mod case;
#[path = "hostile/forge.rs"]
mod forge;
#[path = "hostile/forge_v2.rs"]
mod forge_v2;
#[path = "hostile/malformed_bencode.rs"]
mod malformed_bencode;
#[path = "hostile/malformed_hybrid.rs"]
mod malformed_hybrid;
#[path = "hostile/malformed_v1.rs"]
mod malformed_v1;
#[path = "hostile/malformed_v2.rs"]
mod malformed_v2;
#[path = "hostile/odd.rs"]
mod odd;
#[path = "hostile/odd_v2.rs"]
mod odd_v2;

use std::collections::BTreeSet;

use coreswarm::Torrent;

use crate::case::Malformed;
use crate::case::Odd;

/// How many of each kind there are at least.
const MALFORMED_MIN: usize = 160;
const ODD_MIN: usize = 60;

fn malformed() -> Vec<Malformed> {
    let classes = [
        malformed_bencode::cases(),
        malformed_v1::cases(),
        malformed_v2::cases(),
        malformed_hybrid::cases(),
    ];
    classes.concat()
}

#[test]
fn every_malformed_torrent_is_refused_for_its_reason() {
    let cases = malformed();
    let mut wrong = Vec::new();
    for case in &cases {
        let verdict = match Torrent::parse(&case.bytes) {
            Ok(torrent) => format!("accepted as {torrent:?}"),
            Err(error) => error.to_string(),
        };
        if !verdict.contains(case.reason) {
            wrong.push(format!("{}: expected {:?}, got {verdict:?}", case.name, case.reason));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() >= MALFORMED_MIN, "{} cases", cases.len());
    let mut names = BTreeSet::new();
    let again: Vec<&str> =
        cases.iter().map(|case| case.name.as_str()).filter(|name| !names.insert(*name)).collect();
    assert!(again.is_empty(), "names of more than one case: {again:?}");
}

#[test]
fn every_odd_torrent_is_accepted_and_means_what_it_should() {
    let cases: Vec<Odd> = odd::cases().into_iter().chain(odd_v2::cases()).collect();
    let mut wrong = Vec::new();
    for case in &cases {
        let verdict = match Torrent::parse(&case.bytes) {
            Ok(torrent) => (case.meaning)(&torrent),
            Err(error) => format!("refused: {error}"),
        };
        if verdict != case.expected {
            wrong.push(format!("{}: expected {:?}, got {verdict:?}", case.name, case.expected));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() >= ODD_MIN, "{} cases", cases.len());
}

/// Damage nobody thought of: one byte more, one less, one changed, anywhere. The outcome is a value
/// or an error, and the same each time.
#[test]
fn no_single_byte_of_damage_panics_and_the_verdict_is_stable() {
    for whole in [forge::multi(), forge_v2::v2(), forge_v2::hybrid()].map(|forge| forge.file()) {
        for at in 0..whole.len() {
            for with in [b'9', b'e', b'-', 0xff] {
                let mut changed = whole.clone();
                changed[at] = with;
                let mut longer = whole.clone();
                longer.insert(at, with);
                for bytes in [changed, longer, whole[..at].to_vec()] {
                    let (first, second) = (Torrent::parse(&bytes), Torrent::parse(&bytes));
                    assert_eq!(first.map(|t| t.info_hash()), second.map(|t| t.info_hash()));
                }
            }
        }
    }
}
