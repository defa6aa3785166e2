//! Keeps the house rules on the source text: floors, imports, runtime words, sizes.
//!
//! Each rule is a pure function from one file to a list of complaints, and `tidy/planted.rs` plants
//! every fault it knows to see it reported. Only std: this test must never be the one that is
//! broken.

#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/planted.rs"]
mod planted;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/text.rs"]
mod text;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/words.rs"]
mod words;

use source::Source;
use tree::Tree;

/// Every complaint about one file, as `file:line: what is wrong; what to do`.
fn violations(tree: &Tree, path: &str, text: &str) -> Vec<String> {
    let source = Source::new(path, text);
    let mut found = text::violations(&source);
    found.extend(floors::violations(tree, &source));
    found.extend(words::violations(&source));
    found
}

#[test]
fn every_file_keeps_the_house_rules() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = tree::rust_files(root);
    assert!(files.iter().any(|path| path == "src/lib.rs"), "found no src/lib.rs: wrong folder?");
    let tree = Tree::new(files.iter().map(String::as_str));
    let mut found = tree.violations();
    for path in &files {
        let text = std::fs::read_to_string(root.join(path)).expect("a listed file can be read");
        found.extend(violations(&tree, path, &text));
    }
    assert!(found.is_empty(), "{} house rules broken:\n{}", found.len(), found.join("\n"));
}
