//! The alphabet is the architecture: which folder and file may name which other.

use crate::source::Source;
use crate::source::word_starts;
use crate::tree::Kind;
use crate::tree::Tree;

/// Every floor with the floors it may use. A new floor is a decision: it is written down here
/// first.
const FLOORS: [(&str, &[&str]); 7] = [
    ("base", &[]),
    ("codec", &["base"]),
    ("content", &["base", "codec"]),
    ("engine", &["base", "codec", "content"]),
    ("io", &["base", "codec", "content", "engine"]),
    ("session", &["base", "codec", "content", "engine", "io"]),
    ("sim", &["base", "codec", "content", "engine"]),
];

pub(crate) fn violations(tree: &Tree, source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if !source.path.starts_with("src/") {
        return found;
    }
    hidden_paths(source, &mut found);
    let Some(floor) = source.floor() else { return found };
    let Some((_, below)) = FLOORS.iter().find(|(name, _)| *name == floor) else {
        let what = format!("`{floor}` is no floor");
        found.push(source.complaint(0, &what, "put the file on one, or name it in tidy/floors.rs"));
        return found;
    };
    for (at, line) in source.code.iter().enumerate() {
        for target in crate_paths(line) {
            check(tree, source, at, floor, below, &target, &mut found);
        }
    }
    found
}

/// Ways to name code that this test could not follow.
fn hidden_paths(source: &Source, found: &mut Vec<String>) {
    for (at, line) in source.code.iter().enumerate() {
        let in_tests = at >= source.tests_at;
        let relative = word_starts(line, "super").iter().any(|start| is_path(line, *start));
        if line.contains("super::super") || relative && !in_tests {
            let what = "a path by way of `super`";
            found.push(source.complaint(at, what, "write it from `crate::`"));
        }
        if ["#[path", "include!(", "crate as ", "self as "].iter().any(|s| line.contains(s)) {
            let what = "a module under another name";
            found.push(source.complaint(at, what, "put the file where its path says"));
        }
    }
}

/// `pub(super)` says who sees an item; `super::x` says where one is.
fn is_path(line: &str, start: usize) -> bool {
    line[start..].starts_with("super::")
}

/// The parts behind each `crate::` of a line; `pub(in crate::x)` is a statement about visibility.
fn crate_paths(line: &str) -> Vec<Vec<&str>> {
    let mut paths = Vec::new();
    for start in word_starts(line, "crate") {
        let Some(rest) = line[start..].strip_prefix("crate::") else { continue };
        if line[..start].ends_with("(in ") {
            continue;
        }
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':' || c == '*'));
        let path = &rest[..end.unwrap_or(rest.len())];
        paths.push(path.split("::").filter(|part| !part.is_empty()).collect());
    }
    paths
}

fn check(
    tree: &Tree,
    source: &Source,
    at: usize,
    floor: &str,
    below: &[&str],
    target: &[&str],
    found: &mut Vec<String>,
) {
    let name = target.first().copied().unwrap_or("");
    if name != floor {
        if !below.contains(&name) {
            let what = format!("`{floor}` uses `crate::{}`", target.join("::"));
            let remedy = format!("it may use only [{}]; emit an event instead", below.join(" "));
            found.push(source.complaint(at, &what, &remedy));
        }
    } else if at < source.tests_at
        && let Some(why) = sideways(tree, source.path, target)
    {
        let what = format!("`crate::{}` is not above this file: {why}", target.join("::"));
        found.push(source.complaint(at, &what, "turn the use around, or move what both need up"));
    }
}

/// Why the file at `path` may not use `target` of its own floor; `None` when it may.
fn sideways(tree: &Tree, path: &str, target: &[&str]) -> Option<String> {
    let own: Vec<&str> =
        path.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
    let mut folder = String::from("src");
    for depth in 0..own.len() {
        let us = own[depth];
        if us == "mod" {
            return None;
        }
        let Some(them) = target.get(depth) else {
            return Some(format!("{folder}/mod.rs stands above its children"));
        };
        if us != *them {
            return beside(tree, &folder, depth == own.len() - 1, us, them);
        }
        folder = format!("{folder}/{us}");
    }
    None
}

/// Two different names in one folder: files before folders, each by the alphabet.
fn beside(tree: &Tree, folder: &str, is_file: bool, us: &str, them: &str) -> Option<String> {
    let Some(their_kind) = tree.kind(folder, them) else {
        return Some(format!("`{them}` is of {folder}/mod.rs, which stands above its children"));
    };
    let our_kind = if is_file { Kind::File } else { Kind::Folder };
    if (their_kind, them) < (our_kind, us) {
        return None;
    }
    Some(match (our_kind, their_kind) {
        (Kind::File, Kind::Folder) => format!("loose files stand before the folder `{them}`"),
        _ => format!("`{them}` comes after `{us}` in {folder}"),
    })
}
