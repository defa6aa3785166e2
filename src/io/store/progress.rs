//! A read or write of torrent bytes on its way through the files that they lie in.

use std::ops::Range;

use crate::base::buffer::PageBuf;
use crate::base::buffer::SharedBuf;
use crate::base::ids::FileIndex;
use crate::content::files::Span;
use crate::content::torrent::Torrent;

/// Bytes per ring write: larger ones gain nothing and hold the device's queue for longer.
const WRITE_MAX: usize = 1024 * 1024;

/// Which part of which file comes next, and where its bytes stand in the job's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step {
    pub(super) file: FileIndex,
    /// Bytes of the file before it.
    pub(super) offset: u64,
    /// Bytes of the buffer before it.
    pub(super) at: usize,
    pub(super) len: usize,
}

/// How far a job has come.
#[derive(Debug)]
pub(super) struct Progress {
    spans: Vec<Span>,
    next: usize,
    in_span: usize,
    at: usize,
}

/// What is moved. The buffer is away while the kernel has it.
#[derive(Debug)]
pub(super) enum Load {
    Read(Option<PageBuf>),
    Write(SharedBuf),
}

/// One read or write job.
#[derive(Debug)]
pub(super) struct Transfer {
    /// Position in the torrent.
    pub(super) offset: u64,
    pub(super) len: usize,
    pub(super) progress: Progress,
    pub(super) payload: Load,
    /// What is read goes to a peer.
    pub(super) is_served: bool,
    /// What is written may be asked for soon.
    pub(super) is_wanted: bool,
    /// The present step of a write goes past the page cache.
    pub(super) is_direct: bool,
    /// What is read for peers was not in memory: it waited for its extent, or is one.
    pub(super) was_missed: bool,
    /// It takes one of the places of its kind.
    pub(super) is_in_lane: bool,
}

impl Transfer {
    /// Of `len` bytes from `offset` of the torrent.
    pub(super) fn new(torrent: &Torrent, offset: u64, len: usize, payload: Load) -> Transfer {
        let progress = Progress::new(torrent, offset, len);
        Transfer {
            offset,
            len,
            progress,
            payload,
            is_served: false,
            is_wanted: false,
            is_direct: false,
            was_missed: false,
            is_in_lane: false,
        }
    }

    pub(super) fn is_read(&self) -> bool {
        matches!(self.payload, Load::Read(_))
    }

    /// Where in the torrent its bytes lie.
    pub(super) fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.len as u64
    }
}

impl Progress {
    fn new(torrent: &Torrent, offset: u64, len: usize) -> Progress {
        let spans = torrent.file_list().spans(offset, len as u64).collect();
        Progress { spans, next: 0, in_span: 0, at: 0 }
    }

    /// The rest of the present span; `None` at the end.
    pub(super) fn step(&self) -> Option<Step> {
        let span = self.spans.get(self.next)?;
        let len = span.length as usize - self.in_span;
        let offset = span.offset + self.in_span as u64;
        Some(Step { file: span.file, offset, at: self.at, len })
    }

    /// `count` more bytes of the present span are through.
    pub(super) fn advance(&mut self, count: usize) {
        self.at += count;
        self.in_span += count;
        if self.spans.get(self.next).is_some_and(|span| self.in_span >= span.length as usize) {
            self.next += 1;
            self.in_span = 0;
        }
    }

    /// Bytes that are through.
    pub(super) fn done(&self) -> usize {
        self.at
    }
}

impl Step {
    /// As much of it as one ring write takes.
    pub(super) fn for_write(self) -> Step {
        Step { len: self.len.min(WRITE_MAX), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Sha1;
    use crate::content::make::TorrentMaker;

    #[test]
    fn short_results_go_on_where_they_stopped_across_files() {
        let maker = TorrentMaker::directory("d").file(["a"], 10).file(["b"], 0).file(["c"], 20_000);
        let torrent = Torrent::parse(&maker.finish(&[Sha1::of(b""); 2]).unwrap()).unwrap();
        let mut progress = Progress::new(&torrent, 4, 100);
        let step = |file, offset, at, len| Some(Step { file: FileIndex(file), offset, at, len });
        assert_eq!(progress.step(), step(0, 4, 0, 6));
        progress.advance(2);
        assert_eq!(progress.step(), step(0, 6, 2, 4));
        progress.advance(4);
        assert_eq!(progress.step(), step(2, 0, 6, 94));
        progress.advance(94);
        assert_eq!((progress.step(), progress.done()), (None, 100));
    }

    #[test]
    fn writes_are_cut_at_a_mebibyte() {
        let step = Step { file: FileIndex(0), offset: 0, at: 1 << 20, len: 2 << 20 };
        assert_eq!(step.for_write(), Step { len: 1 << 20, ..step });
        let last = Step { len: 5, ..step };
        assert_eq!(last.for_write(), last);
    }
}
