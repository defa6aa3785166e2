//! Bytes of several pieces where they can be hashed without a copy: mapped parts of files, and the
//! zeros of pads and holes.

use std::ops::Range;
use std::os::fd::AsFd;

use rustix::fs::SeekFrom;

use crate::content::files::Span;
use crate::io::scan::mapping::Mapping;
use crate::io::scan::plan::Plan;
use crate::io::scan::shelf::Open;
use crate::io::scan::shelf::Shelf;

/// Bytes of one piece that are hashed in one go. Sixteen pieces at a time that makes 512 KiB, which
/// stays in the L2 where it must be copied.
pub(super) const EXTENT: usize = 32 * 1024;
/// Shorter parts of files are copied: a map and an unmap cost about as much.
const MAP_MIN: u64 = 256 * 1024;
/// Shorter holes are read like data.
const HOLE_MIN: u64 = 64 * 1024;
/// Holes looked for in one part of a file; what lies behind them is read like data. Bounds the
/// system calls that a file of nothing but small holes costs.
const HOLE_COUNT_MAX: usize = 256;

static ZEROS: [u8; EXTENT] = [0; EXTENT];

/// Which bytes of the torrent are at hand. Others must be read.
#[derive(Default)]
pub(super) struct Window {
    /// Rising, without overlap.
    segments: Vec<Segment>,
}

struct Segment {
    /// In the torrent.
    range: Range<u64>,
    memory: Memory,
}

enum Memory {
    Mapped(Mapping),
    Zeros,
}

impl Window {
    /// Over runs of pieces, rising. What cannot be mapped is left to reading, which finds out why.
    pub(super) fn new(
        plan: &Plan<'_>,
        shelf: &mut Shelf,
        runs: impl Iterator<Item = Range<u32>>,
    ) -> Window {
        let mut window = Window::default();
        for run in runs {
            let (start, end) = (plan.offset(run.start), plan.offset(run.end));
            for span in plan.files.spans(start, end - start) {
                window.add(plan, shelf, span);
            }
        }
        window
    }

    fn add(&mut self, plan: &Plan<'_>, shelf: &mut Shelf, span: Span) {
        let Some(entry) = plan.files.get(span.file) else { return };
        let whole = span.offset..span.offset + u64::from(span.length);
        // To the torrent's positions.
        let base = entry.offset();
        if !entry.is_on_disk() {
            self.push(base, whole, Memory::Zeros);
            return;
        }
        let is_short = whole.end - whole.start < MAP_MIN;
        let Ok(open) = shelf.get(plan, span.file) else { return };
        if is_short && !open.is_sparse {
            return;
        }
        for (range, is_hole) in parts(open, whole) {
            let len = range.end - range.start;
            if is_hole {
                self.push(base, range, Memory::Zeros);
            } else if len >= MAP_MIN
                && let Ok(mapping) = Mapping::new(open.fd.as_fd(), range.start, len as usize)
            {
                self.push(base, range, Memory::Mapped(mapping));
            }
        }
    }

    fn push(&mut self, base: u64, range: Range<u64>, memory: Memory) {
        self.segments.push(Segment { range: base + range.start..base + range.end, memory });
    }

    /// `len` bytes, at most [`EXTENT`], at `offset` of the torrent; `None` where they are not all
    /// in one place.
    pub(super) fn slice(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let at = self.segments.partition_point(|segment| segment.range.end <= offset);
        let segment = self.segments.get(at)?;
        let inside = usize::try_from(offset.checked_sub(segment.range.start)?).ok()?;
        if offset + len as u64 > segment.range.end {
            return None;
        }
        match &segment.memory {
            Memory::Mapped(mapping) => mapping.bytes().get(inside..inside + len),
            Memory::Zeros => ZEROS.get(..len),
        }
    }

    /// Whether everything that was hashed stood in the files.
    pub(super) fn is_whole(&self) -> bool {
        self.segments.iter().all(|segment| match &segment.memory {
            Memory::Mapped(mapping) => mapping.is_whole(),
            Memory::Zeros => true,
        })
    }
}

/// The parts of `whole` with whether they are holes; all of it is data where the file has none.
fn parts(open: &Open, whole: Range<u64>) -> Vec<(Range<u64>, bool)> {
    let mut parts = Vec::new();
    let mut at = whole.start;
    while open.is_sparse && at < whole.end && parts.len() < 2 * HOLE_COUNT_MAX {
        let data = match rustix::fs::seek(&open.fd, SeekFrom::Data(at)) {
            Ok(data) => data.min(whole.end),
            // Nothing but a hole up to the end of the file.
            Err(rustix::io::Errno::NXIO) => whole.end,
            Err(_) => break,
        };
        if data - at >= HOLE_MIN {
            parts.push((at..data, true));
            at = data;
        }
        let Ok(hole) = rustix::fs::seek(&open.fd, SeekFrom::Hole(data)) else { break };
        let hole = hole.min(whole.end);
        if hole > at {
            parts.push((at..hole, false));
            at = hole;
        }
        if hole <= data && data < whole.end {
            // The file was cut meanwhile: reading tells.
            break;
        }
    }
    if at < whole.end {
        parts.push((at..whole.end, false));
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn parts_tile_a_file_and_holes_are_where_nothing_was_written() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10 << 20).unwrap();
        file.write_all_at(&[1; 100], 1 << 20).unwrap();
        file.write_all_at(&[2; 70_000], 5 << 20).unwrap();
        for whole in [0..10 << 20, 1000..(1 << 20) + 50, 6 << 20..10 << 20, 0..1] {
            let parts = parts(&open(&file, true), whole.clone());
            let mut at = whole.start;
            for (range, is_hole) in &parts {
                assert_eq!(range.start, at);
                at = range.end;
                let mut bytes = vec![7; (range.end - range.start) as usize];
                file.read_exact_at(&mut bytes, range.start).unwrap();
                assert!(!is_hole || bytes.iter().all(|byte| *byte == 0), "{range:?}");
            }
            assert_eq!(at, whole.end, "{parts:?}");
        }
        let hole_count = |parts: Vec<(Range<u64>, bool)>| parts.iter().filter(|p| p.1).count();
        assert_eq!(hole_count(parts(&open(&file, true), 0..10 << 20)), 3);
        assert_eq!(parts(&open(&file, false), 0..9), [(0..9, false)]);
    }

    #[test]
    fn holes_that_take_turns_with_data_are_bounded() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(128 << 20).unwrap();
        for at in 0..1000 {
            file.write_all_at(&[1], at * (128 << 10)).unwrap();
        }
        let parts = parts(&open(&file, true), 0..128 << 20);
        assert!(parts.len() <= 2 * HOLE_COUNT_MAX + 2, "{}", parts.len());
        assert_eq!(parts.last().map(|part| part.0.end), Some(128 << 20));
    }

    fn open(file: &File, is_sparse: bool) -> Open {
        Open { fd: file.try_clone().unwrap().into(), is_sparse }
    }
}
