//! The list of source files: what exists decides what a path in the code means.

use std::collections::BTreeSet;
use std::path::Path;

/// Folders that hold Rust sources of ours.
const ROOTS: [&str; 5] = ["src", "tests", "benches", "examples", "fuzz"];

/// All Rust files of the package, as paths from its root with `/`.
pub(crate) struct Tree {
    files: BTreeSet<String>,
}

/// What a name inside a folder stands for. The order is the order of the alphabet rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    File,
    Folder,
}

impl Tree {
    pub(crate) fn new<'a>(files: impl IntoIterator<Item = &'a str>) -> Tree {
        Tree { files: files.into_iter().map(str::to_owned).collect() }
    }

    /// What `folder/name` is; `None` when it is neither, thus an item of the folder's `mod.rs`.
    pub(crate) fn kind(&self, folder: &str, name: &str) -> Option<Kind> {
        let inside = format!("{folder}/{name}/");
        if self.files.contains(&format!("{folder}/{name}.rs")) {
            Some(Kind::File)
        } else if self.files.iter().any(|file| file.starts_with(&inside)) {
            Some(Kind::Folder)
        } else {
            None
        }
    }

    /// Faults of the list itself: a module that is a loose file and a folder at once. A loose
    /// file's tests may have a file of their own in a folder of its name.
    pub(crate) fn violations(&self) -> Vec<String> {
        let modules = self.files.iter().filter(|file| file.starts_with("src/"));
        let twice = modules.filter(|file| {
            let folder = format!("{}/", file.trim_end_matches(".rs"));
            let inside = self.files.iter().filter_map(|other| other.strip_prefix(&folder));
            inside.into_iter().any(|child| !child.ends_with("tests.rs"))
        });
        twice
            .map(|file| format!("{file}:1: a folder of that name exists; use its mod.rs"))
            .collect()
    }
}

/// Every `.rs` file below the package's source folders, sorted; build output is not looked at.
pub(crate) fn rust_files(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for folder in ROOTS {
        collect(root, folder, &mut files);
    }
    files.sort();
    files
}

fn collect(root: &Path, folder: &str, files: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else { return };
    for entry in entries {
        let entry = entry.expect("a folder's entry can be read");
        let name = entry.file_name().into_string().expect("source names are UTF-8");
        let path = format!("{folder}/{name}");
        if entry.path().is_dir() {
            if name != "target" {
                collect(root, &path, files);
            }
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
}
