//! The trace: a digest of everything that happened and, for reading, its last part.

use std::collections::VecDeque;
use std::fmt;
use std::fmt::Write as _;

use crate::base::instant::Instant;

/// Lines kept for a failing run: some hundred turns.
const LINE_MAX: usize = 300;

/// Two runs of one seed are equal when their digests are.
#[derive(Debug)]
pub(crate) struct Trace {
    digest: u64,
    count: u64,
    lines: VecDeque<String>,
}

impl Trace {
    pub(crate) fn new(seed: u64) -> Trace {
        // The offset basis of FNV-1a, 64 bits.
        Trace { digest: 0xcbf2_9ce4_8422_2325 ^ seed, count: 0, lines: VecDeque::new() }
    }

    /// Adds a line; lines beyond the last 300 live on in the digest alone.
    pub(crate) fn note(&mut self, now: Instant, what: fmt::Arguments<'_>) {
        let mut line = match self.lines.len() < LINE_MAX {
            true => String::new(),
            false => self.lines.pop_front().unwrap_or_default(),
        };
        line.clear();
        // Writing to a string cannot fail.
        let _ = write!(line, "{now:?} {what}");
        for byte in line.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.count += 1;
        self.lines.push_back(line);
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Lines in all.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The last lines, oldest first.
    pub(crate) fn tail(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_remembers_what_the_tail_forgot() {
        let (mut a, mut b) = (Trace::new(1), Trace::new(1));
        a.note(Instant::ZERO, format_args!("first"));
        b.note(Instant::ZERO, format_args!("other"));
        for n in 0..LINE_MAX {
            a.note(Instant::ZERO, format_args!("{n}"));
            b.note(Instant::ZERO, format_args!("{n}"));
        }
        assert!(a.tail().eq(b.tail()), "the first lines are gone from both tails");
        assert_eq!((a.tail().count(), a.count()), (LINE_MAX, LINE_MAX as u64 + 1));
        assert_ne!(a.digest(), b.digest());
    }
}
