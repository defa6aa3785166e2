//! Extents: what peers want and is not in memory is read in large parts, each once for all who wait
//! for it. From there on it is in the page cache, where everybody finds it.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::base::ids::TorrentId;
use crate::engine::disk::JobId;

/// Bytes of an extent, which begins at a multiple of that in its piece: a disk that has found its
/// place reads as much in the time that it took, and a peer asks for the rest of the piece next.
pub(super) const EXTENT_LEN: u64 = 1024 * 1024;
/// Marks the jobs that are ours, not the engine's: its slots never come so far.
const OURS: u64 = 1 << 63;

/// The extents being read, by the job that reads each.
#[derive(Default)]
pub(super) struct Extents {
    flights: BTreeMap<JobId, Flight>,
    begun: u64,
}

/// One that is being read.
struct Flight {
    torrent: TorrentId,
    range: Range<u64>,
    waiting: Vec<JobId>,
}

impl Extents {
    /// Waits for the extent that holds these bytes of the torrent; false if none is being read.
    pub(super) fn join(&mut self, torrent: TorrentId, range: &Range<u64>, id: JobId) -> bool {
        let holds = |flight: &&mut Flight| {
            let whole = &flight.range;
            flight.torrent == torrent && whole.start <= range.start && range.end <= whole.end
        };
        let flight = self.flights.values_mut().find(holds);
        flight.map(|flight| flight.waiting.push(id)).is_some()
    }

    /// An extent is read, and `id` waits for it. Returns the job that reads.
    pub(super) fn begin(&mut self, torrent: TorrentId, range: Range<u64>, id: JobId) -> JobId {
        self.begun += 1;
        let job = JobId(OURS | self.begun);
        self.flights.insert(job, Flight { torrent, range, waiting: vec![id] });
        job
    }

    /// The job ended: who waited for it; `None` if it is no job of ours.
    pub(super) fn end(&mut self, job: JobId) -> Option<Vec<JobId>> {
        self.flights.remove(&job).map(|flight| flight.waiting)
    }
}

/// The bytes from one extent's beginning to another's end that hold these bytes of a piece.
pub(super) fn around(piece: Range<u64>, wanted: &Range<u64>) -> Range<u64> {
    let start = (wanted.start - piece.start) / EXTENT_LEN * EXTENT_LEN;
    let end = (wanted.end - piece.start).next_multiple_of(EXTENT_LEN);
    piece.start + start..piece.end.min(piece.start + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn an_extent_is_read_once_for_all_who_want_of_it() {
        let (one, other) = (TorrentId(1), TorrentId(2));
        let mut extents = Extents::default();
        assert!(!extents.join(one, &(0..10), JobId(1)));
        let job = extents.begin(one, 0..MIB, JobId(1));
        assert!(extents.join(one, &(MIB - 5..MIB), JobId(2)));
        assert!(!extents.join(one, &(MIB - 5..MIB + 1), JobId(3)), "not all of it");
        assert!(!extents.join(other, &(0..10), JobId(4)), "another torrent");
        assert_eq!(extents.end(JobId(1)), None);
        assert_eq!(extents.end(job), Some(vec![JobId(1), JobId(2)]));
        assert!(!extents.join(one, &(0..10), JobId(5)) && extents.end(job).is_none());
    }

    #[test]
    fn extents_end_with_their_piece() {
        let piece = 7 * MIB..10 * MIB - 100;
        assert_eq!(around(piece.clone(), &(7 * MIB..7 * MIB + 1)), 7 * MIB..8 * MIB);
        assert_eq!(around(piece.clone(), &(8 * MIB - 1..8 * MIB + 1)), 7 * MIB..9 * MIB);
        assert_eq!(around(piece, &(9 * MIB..9 * MIB + 5)), 9 * MIB..10 * MIB - 100);
        assert_eq!(around(5..50_000, &(20..30)), 5..50_000);
    }
}
