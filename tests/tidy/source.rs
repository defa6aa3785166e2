//! One source file, with comments and literals blanked and its test code told apart.

/// A file's lines twice: as written, and as code alone.
pub(crate) struct Source<'a> {
    pub(crate) path: &'a str,
    pub(crate) raw: Vec<&'a str>,
    /// The same lines with comments, strings and character literals turned into spaces.
    pub(crate) code: Vec<String>,
    /// Index of the first line of the test modules; the line count when there are none.
    pub(crate) tests_at: usize,
}

impl<'a> Source<'a> {
    pub(crate) fn new(path: &'a str, text: &'a str) -> Source<'a> {
        let code: Vec<String> = code_only(text).lines().map(str::to_owned).collect();
        let is_test = is_test_file(path) || code.iter().any(|line| line == "#![cfg(test)]");
        let tests_at = if is_test { 0 } else { tests_at(&code) };
        Source { path, raw: text.lines().collect(), code, tests_at }
    }

    /// The floor, or `None` outside the library's floors (`src/lib.rs`, `src/bin`, `tests`).
    pub(crate) fn floor(&self) -> Option<&'a str> {
        let (floor, _) = self.path.strip_prefix("src/")?.split_once('/')?;
        (floor != "bin").then_some(floor)
    }

    /// One complaint about the line with index `at`.
    pub(crate) fn complaint(&self, at: usize, what: &str, remedy: &str) -> String {
        format!("{}:{}: {what}; {remedy}", self.path, at + 1)
    }
}

/// A file of the library that is test code as a whole by its name: `tests.rs`, `tests/...`,
/// `*_tests.rs`. Others say `#![cfg(test)]`.
fn is_test_file(path: &str) -> bool {
    path.starts_with("src/")
        && path.split('/').any(|part| {
            let part = part.trim_end_matches(".rs");
            part == "tests" || part.ends_with("_tests")
        })
}

/// Where the first `#[cfg(test)] mod name {` stands. `mod name;` names another file and ends
/// nothing.
fn tests_at(code: &[String]) -> usize {
    let is_cfg = |line: &String| line.starts_with("#[cfg(") && has_word(line, "test");
    let opens = |at: usize| {
        let rest = code[at + 1..].iter().find(|line| !line.starts_with("#["));
        rest.is_some_and(|line| line.starts_with("mod ") && line.trim_end().ends_with('{'))
    };
    (0..code.len()).find(|at| is_cfg(&code[*at]) && opens(*at)).unwrap_or(code.len())
}

/// Whether `word` stands in `line` as a whole: `async` is not in `async_fn`.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    !word_starts(line, word).is_empty()
}

/// Byte positions where `word` stands in `line` as a whole.
pub(crate) fn word_starts(line: &str, word: &str) -> Vec<usize> {
    let is_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let whole = |at: &usize| {
        let end = at + word.len();
        !is_name(line[..*at].chars().next_back()) && !is_name(line[end..].chars().next())
    };
    line.match_indices(word).map(|(at, _)| at).filter(whole).collect()
}

/// `text` with comments and literals blanked, line by line and column by column the same.
pub(crate) fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// The end of the comment or literal that begins at `at`; `at` itself when none does.
fn literal_end(chars: &[char], at: usize) -> usize {
    let next = |ahead: usize| chars.get(at + ahead).copied();
    let in_name = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if next(1) == Some('/') => find(chars, at, |c| c == '\n'),
        '/' if next(1) == Some('*') => block_comment_end(chars, at),
        '"' => quoted_end(chars, at + 1, '"'),
        'r' if !in_name => raw_string_end(chars, at + 1).unwrap_or(at),
        'b' | 'c' if !in_name && next(1) == Some('r') => {
            raw_string_end(chars, at + 2).unwrap_or(at)
        }
        '\'' if next(1) == Some('\\') || next(2) == Some('\'') => quoted_end(chars, at + 1, '\''),
        _ => at,
    }
}

fn find(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|at| wanted(chars[*at])).unwrap_or(chars.len())
}

fn quoted_end(chars: &[char], from: usize, quote: char) -> usize {
    let mut at = from;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// `from` is behind the `r`; `None` when hashes and a quote do not follow.
fn raw_string_end(chars: &[char], from: usize) -> Option<usize> {
    let open = find(chars, from, |c| c != '#');
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let hashes = open - from;
    let closes = |at: &usize| {
        let tail = chars[at + 1..].iter().take(hashes);
        chars[*at] == '"' && tail.filter(|c| **c == '#').count() == hashes
    };
    let end = (open + 1..chars.len()).find(closes);
    Some(end.map_or(chars.len(), |at| at + 1 + hashes))
}

/// Block comments nest in Rust.
fn block_comment_end(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}
