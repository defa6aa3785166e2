//! `--select`: files by number as in magnet links (BEP 53), or by name.

use std::ops::RangeInclusive;

use coreswarm::FileEntry;

/// One word of the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Pick {
    /// `4` or `4-6`.
    Numbers(RangeInclusive<u32>),
    /// A path or the end of one; `*` stands for any text and `?` for any character.
    Name(String),
}

pub(crate) fn parse_pick(text: &str) -> Result<Pick, String> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || c == '-');
    if !is_number && !text.is_empty() {
        return Ok(Pick::Name(text.to_owned()));
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(Pick::Numbers(first..=last)),
        _ => Err(format!("expected file numbers or names, got `{text}`; write them as 0,2,4-6")),
    }
}

/// The numbers of the files that were picked; padding and links are no files.
pub(crate) fn resolve(
    picks: &[Pick],
    files: &[FileEntry],
) -> anyhow::Result<Vec<RangeInclusive<u32>>> {
    let mut all = Vec::new();
    for pick in picks {
        let pattern = match pick {
            Pick::Numbers(range) => {
                all.push(range.clone());
                continue;
            }
            Pick::Name(pattern) => pattern,
        };
        let named = (0..).zip(files).filter(|(_, file)| file.is_on_disk());
        let found = named.filter(|(_, file)| is_meant(pattern, file)).map(|(at, _)| at..=at);
        let count = all.len();
        all.extend(found);
        if all.len() == count {
            anyhow::bail!(
                "expected a file of the torrent, got `{pattern}`; `coreswarm show` lists them"
            );
        }
    }
    Ok(all)
}

/// The whole path, or its last elements.
fn is_meant(pattern: &str, file: &FileEntry) -> bool {
    let path = file.path().to_string_lossy();
    let behind = path.match_indices('/').map(|(at, _)| &path[at + 1..]);
    let pattern: Vec<char> = pattern.chars().collect();
    std::iter::once(&path[..]).chain(behind).any(|tail| {
        let tail: Vec<char> = tail.chars().collect();
        matches(&pattern, &tail)
    })
}

/// Goes back to the last `*` only, so that it takes at most both lengths multiplied.
fn matches(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use coreswarm::Sha1;
    use coreswarm::Torrent;
    use coreswarm::TorrentMaker;

    use super::*;

    fn torrent() -> Torrent {
        let maker = TorrentMaker::directory("t").with_piece_length(16_384);
        let files = ["a/one.txt", "a/two.srt", "b/one.txt"].into_iter();
        let maker = files.fold(maker, |maker, path| maker.file(path.split('/'), 10));
        Torrent::parse(&maker.finish(&[Sha1::of(b"")]).unwrap()).unwrap()
    }

    #[test]
    fn numbers_and_ranges_are_read_as_in_magnet_links() {
        assert_eq!(parse_pick("4"), Ok(Pick::Numbers(4..=4)));
        assert_eq!(parse_pick("4-6"), Ok(Pick::Numbers(4..=6)));
        assert_eq!(parse_pick("4-x"), Ok(Pick::Name("4-x".to_owned())));
        for text in ["", "6-4", "4-", "1-2-3", "99999999999"] {
            assert!(parse_pick(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_pick_by_path_by_its_end_and_by_pattern() {
        let torrent = torrent();
        let found = |pattern: &str| -> Vec<u32> {
            let picks = [Pick::Name(pattern.to_owned())];
            let ranges = resolve(&picks, torrent.files()).unwrap_or_default();
            ranges.into_iter().flatten().collect()
        };
        assert_eq!(found("one.txt"), [0, 2]);
        assert_eq!(found("b/one.txt"), [2]);
        assert_eq!(found("t/a/*"), [0, 1]);
        assert_eq!(found("*.s?t"), [1]);
        assert_eq!(found("*"), [0, 1, 2]);
        let nothing = resolve(&[Pick::Name("ne.txt".to_owned())], torrent.files());
        assert!(nothing.unwrap_err().to_string().contains("coreswarm show"));
    }

    #[test]
    fn a_pattern_of_stars_is_no_trap() {
        let pattern: Vec<char> = "*a".repeat(50).chars().collect();
        let text = vec!['a'; 5_000];
        assert!(matches(&pattern, &text) && !matches(&pattern, &vec!['b'; 5_000]));
    }
}
