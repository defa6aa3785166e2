//! Which files are wanted, and the priorities of pieces that follow (BEP 53).

use std::ops::Range;
use std::ops::RangeInclusive;

use crate::base::ids::FileIndex;
use crate::base::ids::Priority;
use crate::content::files::FileEntry;
use crate::content::torrent::Torrent;

/// What a caller or a magnet link chose, perhaps before the files are known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum FileChoice {
    /// Every file, at the normal priority.
    #[default]
    All,
    /// These at the normal priority, the others not.
    Only(Vec<RangeInclusive<u32>>),
    /// One priority for each file; files beyond the list are normal.
    Each(Vec<Priority>),
}

/// A choice of files that the torrent does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChoiceError {
    /// More priorities than files.
    #[error("expected at most {file_count} priorities, one for each file, got {got}")]
    TooManyPriorities {
        /// Priorities given.
        got: usize,
        /// Files of the torrent, padding included.
        file_count: usize,
    },
    /// A file beyond the last one.
    #[error("expected file numbers below {file_count}, got {got}; numbers begin at 0")]
    NoSuchFile {
        /// The number given.
        got: u32,
        /// Files of the torrent, padding included.
        file_count: usize,
    },
}

impl FileChoice {
    /// Whether the torrent has all the files that were chosen.
    pub(crate) fn check(&self, torrent: &Torrent) -> Result<(), ChoiceError> {
        let file_count = torrent.files().len();
        match self {
            FileChoice::All => Ok(()),
            FileChoice::Only(ranges) => {
                let ends = ranges.iter().filter(|range| !range.is_empty()).map(|r| *r.end());
                match ends.max().filter(|end| *end as usize >= file_count) {
                    Some(got) => Err(ChoiceError::NoSuchFile { got, file_count }),
                    None => Ok(()),
                }
            }
            FileChoice::Each(priorities) if priorities.len() > file_count => {
                let got = priorities.len();
                Err(ChoiceError::TooManyPriorities { got, file_count })
            }
            FileChoice::Each(_) => Ok(()),
        }
    }

    /// The priority of each file. What the torrent does not have is passed over, as in a link that
    /// was made for another version of it.
    pub(crate) fn priorities(&self, torrent: &Torrent) -> FilePriorities {
        let files = torrent.files();
        let mut all = match self {
            FileChoice::All => return FilePriorities::default(),
            FileChoice::Only(_) => vec![Priority::SKIP; files.len()],
            FileChoice::Each(each) => each.iter().copied().take(files.len()).collect(),
        };
        all.resize(files.len(), Priority::NORMAL);
        if let FileChoice::Only(ranges) = self {
            for range in ranges.iter().filter(|range| !range.is_empty()) {
                let end = files.len().min((*range.end() as usize).saturating_add(1));
                if let Some(chosen) = all.get_mut(*range.start() as usize..end) {
                    chosen.fill(Priority::NORMAL);
                }
            }
        }
        inherit(files, &mut all);
        let is_plain = all.iter().all(|priority| *priority == Priority::NORMAL);
        FilePriorities(if is_plain { Vec::new() } else { all })
    }
}

/// Padding ends the piece of the file before it, and nobody wants it for its own sake: it goes with
/// that file.
fn inherit(files: &[FileEntry], all: &mut [Priority]) {
    let first = files.iter().zip(&*all).find(|(file, _)| file.is_on_disk()).map(|(_, own)| *own);
    let mut before = first.unwrap_or_default();
    for (file, priority) in files.iter().zip(all) {
        if file.is_on_disk() {
            before = *priority;
        } else {
            *priority = before;
        }
    }
}

/// The priority of each file of a torrent; nothing is kept while all are normal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct FilePriorities(Vec<Priority>);

impl FilePriorities {
    pub(crate) fn of(&self, file: FileIndex) -> Priority {
        self.0.get(file.as_usize()).copied().unwrap_or_default()
    }

    pub(crate) fn wants(&self, file: FileIndex) -> bool {
        self.of(file).is_wanted()
    }
}

/// Priorities of ranges of pieces, rising and without gaps.
pub(crate) type PriorityRuns = Vec<(Range<u32>, Priority)>;

/// A walk over the files of a torrent that yields the priorities of its pieces: a piece counts as
/// much as the highest of its files (D18). O(files + runs) in all (D8), in slices.
#[derive(Debug, Default)]
pub(crate) struct RunWalk {
    next_file: usize,
    /// The last piece of the files so far: the next file may have a part in it.
    edge: Option<(u32, Priority)>,
}

impl RunWalk {
    /// Looks at up to `file_max` more files and appends what is certain by then to `out`. True
    /// while files are left.
    pub(crate) fn advance(
        &mut self,
        torrent: &Torrent,
        priorities: &FilePriorities,
        file_max: usize,
        out: &mut PriorityRuns,
    ) -> bool {
        let file_count = torrent.files().len();
        let end = file_count.min(self.next_file.saturating_add(file_max));
        for at in self.next_file..end {
            let file = FileIndex(at as u32);
            self.take(torrent.pieces_of(file), priorities.of(file), out);
        }
        self.next_file = end;
        if end == file_count
            && let Some((piece, priority)) = self.edge.take()
        {
            push(out, piece..piece + 1, priority);
        }
        end < file_count
    }

    fn take(&mut self, mut pieces: Range<u32>, priority: Priority, out: &mut PriorityRuns) {
        if pieces.is_empty() {
            return;
        }
        if let Some((edge, shared)) = &mut self.edge
            && *edge == pieces.start
        {
            *shared = priority.max(*shared);
            pieces.start += 1;
        }
        if pieces.is_empty() {
            return;
        }
        if let Some((edge, shared)) = self.edge.take() {
            push(out, edge..edge + 1, shared);
        }
        let last = pieces.end - 1;
        if pieces.start < last {
            push(out, pieces.start..last, priority);
        }
        self.edge = Some((last, priority));
    }
}

fn push(out: &mut PriorityRuns, pieces: Range<u32>, priority: Priority) {
    match out.last_mut() {
        Some((before, same)) if *same == priority && before.end == pieces.start => {
            before.end = pieces.end;
        }
        _ => out.push((pieces, priority)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Sha1;
    use crate::content::make::TorrentMaker;

    const PIECE: u64 = 16_384;

    /// Files of so many bytes.
    fn torrent(lengths: &[u64]) -> Torrent {
        let maker = TorrentMaker::directory("t").with_piece_length(PIECE as u32);
        let files = lengths.iter().enumerate();
        let maker = files.fold(maker, |maker, (n, len)| maker.file([n.to_string()], *len));
        let count = lengths.iter().sum::<u64>().div_ceil(PIECE) as usize;
        Torrent::parse(&maker.finish(&vec![Sha1::of(b""); count]).unwrap()).unwrap()
    }

    fn each(digits: &str) -> FileChoice {
        let digits = digits.bytes().map(|digit| Priority::new(digit - b'0').unwrap());
        FileChoice::Each(digits.collect())
    }

    /// Priorities of the pieces, a digit each.
    fn drawn(torrent: &Torrent, choice: &FileChoice, file_max: usize) -> String {
        let (mut walk, mut runs) = (RunWalk::default(), Vec::new());
        let priorities = choice.priorities(torrent);
        while walk.advance(torrent, &priorities, file_max, &mut runs) {}
        let mut text = String::new();
        for (pieces, priority) in runs {
            assert_eq!(pieces.start as usize, text.len(), "without gaps");
            pieces.for_each(|_| text.push(char::from(b'0' + priority.as_u8())));
        }
        text
    }

    #[test]
    fn a_piece_counts_as_much_as_the_highest_of_its_files() {
        let half = PIECE / 2;
        for (lengths, priorities, pieces) in [
            (&[2 * PIECE, 2 * PIECE][..], "40", "4400"),
            (&[PIECE + half, PIECE + half], "04", "044"),
            (&[PIECE + half, PIECE + half], "40", "440"),
            (&[half, 1, 1, 1, PIECE], "00700", "70"),
            (&[half, 0, half, PIECE], "170", "14"),
            (&[3 * PIECE], "0", "000"),
            (&[PIECE, half, half, PIECE], "1234", "134"),
            (&[0, 0], "00", ""),
        ] {
            let torrent = torrent(lengths);
            for file_max in [1, 2, 100] {
                let found = drawn(&torrent, &each(priorities), file_max);
                assert_eq!(found, pieces, "{lengths:?} {priorities} {file_max}");
            }
        }
    }

    #[test]
    fn files_beyond_the_list_are_normal_and_ranges_choose() {
        let torrent = torrent(&[PIECE; 5]);
        assert_eq!(drawn(&torrent, &each("07"), 9), "07444");
        assert_eq!(drawn(&torrent, &FileChoice::Only(vec![0..=0, 3..=9]), 9), "40044");
        let backwards = RangeInclusive::new(3, 1);
        assert_eq!(drawn(&torrent, &FileChoice::Only(vec![backwards, 7..=9]), 9), "00000");
        assert_eq!(FileChoice::Only(vec![0..=4]).priorities(&torrent), FilePriorities::default());
    }

    #[test]
    fn files_that_are_not_there_are_told() {
        let torrent = torrent(&[PIECE; 3]);
        let error = FileChoice::Only(vec![0..=1, 2..=3]).check(&torrent);
        assert_eq!(error, Err(ChoiceError::NoSuchFile { got: 3, file_count: 3 }));
        let error = each("0000").check(&torrent);
        assert_eq!(error, Err(ChoiceError::TooManyPriorities { got: 4, file_count: 3 }));
        assert!(each("000").check(&torrent).is_ok() && FileChoice::All.check(&torrent).is_ok());
    }

    #[test]
    fn padding_goes_with_the_file_before_it() {
        let pad = "d4:attr1:p6:lengthi8192e4:pathl4:.pad4:8192ee";
        let file = |name: &str| format!("d6:lengthi8192e4:pathl1:{name}ee");
        let raw = format!(
            "d4:infod5:filesl{}{pad}{}{pad}e4:name1:t12:piece lengthi16384e6:pieces40:{}ee",
            file("a"),
            file("b"),
            "x".repeat(40)
        );
        let torrent = Torrent::parse(raw.as_bytes()).unwrap();
        assert_eq!(drawn(&torrent, &each("0747"), 9), "04");
        assert_eq!(drawn(&torrent, &FileChoice::Only(vec![0..=0]), 9), "40");
    }
}
