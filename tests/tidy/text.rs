//! Rules on the text of one file: how it opens, how long and wide it is, how it imports.

use crate::source::Source;
use crate::source::has_word;

/// Lines of a file before its tests.
const LINE_MAX: usize = 500;
/// Characters of a line, the same as in rustfmt.toml; rustfmt leaves long comments and strings
/// alone.
const COLUMN_MAX: usize = 100;

pub(crate) fn violations(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    opening(source, &mut found);
    size(source, &mut found);
    tests_stand_last(source, &mut found);
    imports(source, &mut found);
    unfinished(source, &mut found);
    piece_index(source, &mut found);
    bracketed_ids(source, &mut found);
    found
}

fn opening(source: &Source, found: &mut Vec<String>) {
    if !source.raw.first().is_some_and(|line| line.starts_with("//! ")) {
        let what = "the file does not open with `//! `";
        found.push(source.complaint(0, what, "say its one job in one sentence"));
    }
}

fn size(source: &Source, found: &mut Vec<String>) {
    let is_test_module = source.tests_at == 0;
    if !is_test_module && source.tests_at > LINE_MAX {
        let what = format!("{} lines before the tests, allowed {LINE_MAX}", source.tests_at);
        found.push(source.complaint(LINE_MAX, &what, "make two files, each with one job"));
    }
    for (at, line) in source.raw.iter().enumerate() {
        let width = line.chars().count();
        if width > COLUMN_MAX {
            let what = format!("{width} columns, allowed {COLUMN_MAX}");
            found.push(source.complaint(at, &what, "break the line"));
        }
    }
}

/// Behind the first test module only test modules may follow, or rules for code would miss code.
fn tests_stand_last(source: &Source, found: &mut Vec<String>) {
    if source.tests_at == 0 || !source.path.starts_with("src/") {
        return;
    }
    for (at, line) in source.code.iter().enumerate().skip(source.tests_at) {
        let is_frame = ["}", "#[", "mod "].iter().any(|start| line.starts_with(start));
        if !line.starts_with(' ') && !line.trim().is_empty() && !is_frame {
            found.push(source.complaint(at, "code behind the test module", "move the tests down"));
        }
    }
}

fn imports(source: &Source, found: &mut Vec<String>) {
    for (at, line) in source.code.iter().enumerate() {
        if !is_import(line) {
            continue;
        }
        let ends = |line: &&String| line.contains(';') || line.contains('{');
        let last = source.code[at..].iter().find(ends).unwrap_or(line);
        if last.contains('{') {
            let what = "several paths in one import";
            found.push(source.complaint(at, what, "one path per `use` line, no braces"));
        }
    }
}

fn is_import(line: &str) -> bool {
    let line = line.trim_start();
    let bare = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(')').map_or(rest, |(_, rest)| rest),
        Some(rest) => rest,
        None => line,
    };
    bare.trim_start().starts_with("use ")
}

fn unfinished(source: &Source, found: &mut Vec<String>) {
    for (at, line) in source.code.iter().enumerate() {
        if line.contains("#[ignore") || line.contains(", ignore") && line.contains("#[cfg_attr") {
            found.push(source.complaint(at, "an ignored test", "make it pass or delete it"));
        }
        for word in ["todo!", "unimplemented!", "dbg!"] {
            if has_word(line, word) {
                let what = format!("`{word}`");
                found.push(source.complaint(at, &what, "finish the work or leave it out"));
            }
        }
    }
}

/// Trusted inside means made at the door: only the layout makes piece numbers.
fn piece_index(source: &Source, found: &mut Vec<String>) {
    let makers = ["src/base/ids.rs", "src/content/layout"];
    if !source.path.starts_with("src/") || makers.iter().any(|p| source.path.starts_with(p)) {
        return;
    }
    for (at, line) in source.code[..source.tests_at].iter().enumerate() {
        if has_word(line, "from_layout") {
            let what = "a piece index made past the layout";
            found.push(source.complaint(at, what, "ask `Layout` for it"));
        }
    }
}

/// The id of a requirement (a letter and digits) in brackets is a broken link to rustdoc.
fn bracketed_ids(source: &Source, found: &mut Vec<String>) {
    for (at, line) in source.raw.iter().enumerate() {
        let line = line.trim_start();
        if !["///", "//!"].iter().any(|start| line.starts_with(start)) {
            continue;
        }
        let texts = line.split('[').skip(1).filter_map(|rest| rest.split_once(']'));
        if texts.into_iter().any(|(text, _)| is_id(text)) {
            let what = "an id in brackets reads as a link";
            found.push(source.complaint(at, what, "put it in parentheses in doc comments"));
        }
    }
}

fn is_id(text: &str) -> bool {
    let digits = text.strip_prefix(|c: char| c.is_ascii_uppercase()).unwrap_or("");
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
}
