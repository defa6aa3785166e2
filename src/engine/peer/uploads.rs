//! What one peer asked of us: requests, the reads that serve them, and blocks ready to be sent.
//!
//! Neighbouring requests become one read and, later, one part of a gathered send. At most
//! `SEND_AHEAD_MAX` bytes are read ahead of the socket.

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::base::bitfield::Bitfield;
use crate::base::ids::PieceIndex;
use crate::base::limits::REQUEST_QUEUE_MAX;
use crate::base::limits::SEND_AHEAD_MAX;
use crate::base::limits::SEND_BLOCK_MAX;
use crate::base::payload::Payload;
use crate::codec::message::piece_header;
use crate::engine::disk::JobId;
use crate::engine::to_ring::SendBatch;

/// A range that the peer wants: inside its piece, at most 16 KiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wanted {
    pub(crate) piece: PieceIndex,
    pub(crate) begin: u32,
    pub(crate) length: u32,
}

/// Neighbouring requests that one read serves.
#[derive(Debug)]
struct Run {
    first: Wanted,
    /// Lengths of the requests, in order; each begins where the one before it ends.
    lengths: SmallVec<[u32; SEND_BLOCK_MAX]>,
    /// Requests that were sent already.
    next: usize,
    /// Their bytes.
    sent: u32,
    read: Read,
}

#[derive(Debug)]
enum Read {
    UnderWay(JobId),
    Ready(Payload),
}

/// One peer's requests in all stages.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    queue: VecDeque<Wanted>,
    runs: VecDeque<Run>,
    /// Bytes in `runs` and in the batch that is being sent.
    ahead: usize,
    /// Of these, bytes in the batch that is being sent.
    in_flight: usize,
}

impl Uploads {
    /// Queues a request; false when `REQUEST_QUEUE_MAX` are waiting.
    #[must_use]
    pub(crate) fn request(&mut self, wanted: Wanted) -> bool {
        let has_room = self.len() < REQUEST_QUEUE_MAX;
        if has_room {
            self.queue.push_back(wanted);
        }
        has_room
    }

    /// Takes a request back; false when it is being read or sent already, or was never made.
    pub(crate) fn cancel(&mut self, wanted: Wanted) -> bool {
        let at = self.queue.iter().position(|w| *w == wanted);
        at.is_some_and(|at| self.queue.remove(at).is_some())
    }

    /// Takes back the request that was queued last, if its piece is not among these.
    pub(crate) fn take_missing(&mut self, have: &Bitfield) -> Option<Wanted> {
        let is_missing = self.queue.back().is_some_and(|w| !have.get(w.piece.as_u32()));
        if is_missing { self.queue.pop_back() } else { None }
    }

    /// Takes back all requests that are not being read yet: the peer is choked.
    pub(crate) fn take_queue(&mut self) -> VecDeque<Wanted> {
        std::mem::take(&mut self.queue)
    }

    /// Drops what is read or being read and not sent yet. Returns the bytes that were ready; a read
    /// that is under way ends with nobody waiting.
    pub(crate) fn drop_runs(&mut self) -> usize {
        let ready = self.held() - self.in_flight;
        self.runs.clear();
        self.ahead = self.in_flight;
        ready
    }

    /// A batch of them is being sent.
    pub(crate) fn is_sending(&self) -> bool {
        self.in_flight > 0
    }

    /// Takes back everything that is not sent, in order; a read that is under way ends with nobody
    /// waiting.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Wanted> + use<> {
        let runs = std::mem::take(&mut self.runs);
        self.ahead = self.in_flight;
        runs.into_iter().flat_map(Run::into_left).chain(std::mem::take(&mut self.queue))
    }

    /// Requests that are not sent yet.
    pub(crate) fn len(&self) -> usize {
        self.queue.len() + self.runs.iter().map(|run| run.left().len()).sum::<usize>()
    }

    /// Whether requests wait and there is room to read for them.
    pub(crate) fn wants_read(&self) -> bool {
        !self.queue.is_empty() && self.ahead < SEND_AHEAD_MAX
    }

    /// The next read: its first byte and length. Nothing is taken until [`Uploads::read_started`].
    pub(crate) fn next_read(&self) -> Option<(Wanted, u32, usize)> {
        let first = *self.queue.front()?;
        let mut length = 0;
        let mut count = 0;
        for wanted in self.queue.iter().take(SEND_BLOCK_MAX) {
            if wanted.piece != first.piece || wanted.begin != first.begin + length {
                break;
            }
            length += wanted.length;
            count += 1;
        }
        Some((first, length, count))
    }

    /// The next `count` requests are being read by `job`.
    pub(crate) fn read_started(&mut self, count: usize, job: JobId) {
        let Some(first) = self.queue.front().copied() else { return };
        let lengths: SmallVec<_> = self.queue.drain(..count).map(|w| w.length).collect();
        self.ahead += lengths.iter().map(|l| *l as usize).sum::<usize>();
        let read = Read::UnderWay(job);
        self.runs.push_back(Run { first, lengths, next: 0, sent: 0, read });
    }

    /// The bytes are here: they can be sent. False if nobody waits for them.
    pub(crate) fn read_done(&mut self, job: JobId, data: Payload) -> bool {
        let is_it = |run: &&mut Run| matches!(run.read, Read::UnderWay(id) if id == job);
        let run = self.runs.iter_mut().find(is_it);
        run.map(|run| run.read = Read::Ready(data)).is_some()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.runs.iter().any(|run| matches!(run.read, Read::Ready(_)))
    }

    /// Moves ready blocks into `batch`, up to `SEND_BLOCK_MAX` in all. Returns payload bytes moved.
    pub(crate) fn fill(&mut self, batch: &mut SendBatch) -> usize {
        let mut moved = 0;
        while batch.block_count() < SEND_BLOCK_MAX {
            let at = self.runs.iter().position(|run| matches!(run.read, Read::Ready(_)));
            let Some(run) = at.and_then(|at| self.runs.get_mut(at)) else { break };
            while batch.block_count() < SEND_BLOCK_MAX
                && let Some((header, payload)) = run.next_block()
            {
                moved += payload.len();
                batch.push_block(&header, payload);
            }
            if run.left().is_empty() {
                at.and_then(|at| self.runs.remove(at));
            }
        }
        self.in_flight += moved;
        moved
    }

    /// The batch left: its payload is on no budget any more. Returns how many bytes that were.
    pub(crate) fn sent(&mut self) -> usize {
        let sent = std::mem::take(&mut self.in_flight);
        self.ahead -= sent;
        sent
    }

    /// Bytes that are ready or being sent: what a peer that leaves gives back to the read budget.
    /// What is being read for it is given back when its read ends.
    pub(crate) fn held(&self) -> usize {
        let is_reading = |run: &&Run| matches!(run.read, Read::UnderWay(_));
        let reading = self.runs.iter().filter(is_reading).flat_map(|run| run.left());
        self.ahead - reading.map(|length| *length as usize).sum::<usize>()
    }
}

impl Run {
    /// Lengths of the requests that are not sent yet.
    fn left(&self) -> &[u32] {
        self.lengths.get(self.next..).unwrap_or_default()
    }

    /// Those requests.
    fn into_left(self) -> impl Iterator<Item = Wanted> {
        let mut begin = self.first.begin + self.sent;
        self.lengths.into_iter().skip(self.next).map(move |length| {
            let wanted = Wanted { piece: self.first.piece, begin, length };
            begin += length;
            wanted
        })
    }

    fn next_block(&mut self) -> Option<([u8; 13], Payload)> {
        let Read::Ready(data) = &self.read else { return None };
        let length = *self.left().first()?;
        self.next += 1;
        let start = self.sent as usize;
        self.sent += length;
        let payload = data.slice(start..self.sent as usize)?;
        let begin = self.first.begin + start as u32;
        Some((piece_header(self.first.piece.as_u32(), begin, length), payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::buffer::PageBuf;
    use crate::base::limits::BLOCK_LEN;
    use crate::content::layout::Layout;

    fn block(piece: u32, block: u32) -> Wanted {
        let piece = Layout::new(1 << 30, 1 << 20).unwrap().piece(piece).unwrap();
        Wanted { piece, begin: block * BLOCK_LEN, length: BLOCK_LEN }
    }

    #[test]
    fn neighbours_are_read_together_and_sent_in_one_batch() {
        let mut uploads = Uploads::default();
        for n in [0, 1, 2, 7] {
            assert!(uploads.request(block(3, n)));
        }
        let (first, length, count) = uploads.next_read().unwrap();
        assert_eq!((first, length, count), (block(3, 0), 3 * BLOCK_LEN, 3));
        uploads.read_started(count, JobId(1));
        assert_eq!(uploads.next_read().unwrap(), (block(3, 7), BLOCK_LEN, 1));
        let mut batch = SendBatch::default();
        assert_eq!(uploads.fill(&mut batch), 0, "nothing is read yet");
        let data = PageBuf::zeroed(3 * BLOCK_LEN as usize).freeze();
        assert!(uploads.read_done(JobId(1), data.into()));
        assert_eq!(uploads.fill(&mut batch), 3 * BLOCK_LEN as usize);
        assert_eq!((batch.block_count(), batch.len()), (3, 3 * (13 + BLOCK_LEN as usize)));
        assert_eq!((uploads.held(), uploads.sent()), (3 << 14, 3 << 14));
        assert_eq!((uploads.held(), uploads.len()), (0, 1));
    }

    #[test]
    fn the_queue_is_bounded_and_a_cancel_makes_room() {
        let mut uploads = Uploads::default();
        let accepted = (0..1000).filter(|n| uploads.request(block(n / 64, n % 64))).count();
        assert_eq!(accepted, REQUEST_QUEUE_MAX);
        assert!(uploads.cancel(block(0, 5)) && !uploads.cancel(block(0, 5)));
        assert!(uploads.request(block(0, 5)));
    }

    #[test]
    fn no_more_than_two_batches_are_read_ahead_of_the_socket() {
        let mut uploads = Uploads::default();
        (0..500).for_each(|n| assert!(uploads.request(block(n / 64, n % 64))));
        let mut jobs = 0;
        while uploads.wants_read() {
            let (_, _, count) = uploads.next_read().unwrap();
            uploads.read_started(count, JobId(jobs));
            jobs += 1;
        }
        assert_eq!((jobs, uploads.ahead, uploads.held()), (2, SEND_AHEAD_MAX, 0));
    }

    #[test]
    fn what_is_not_sent_can_be_taken_back_in_order() {
        let mut uploads = Uploads::default();
        (0..40).for_each(|n| assert!(uploads.request(block(3, n))));
        uploads.read_started(36, JobId(1));
        let data = PageBuf::zeroed(36 * BLOCK_LEN as usize).freeze();
        assert!(uploads.read_done(JobId(1), data.into()));
        uploads.fill(&mut SendBatch::default());
        assert!(uploads.is_sending());
        uploads.sent();
        assert_eq!((uploads.is_sending(), uploads.held()), (false, 4 * BLOCK_LEN as usize));
        let left: Vec<Wanted> = uploads.take_all().collect();
        assert_eq!(left, (32..40).map(|n| block(3, n)).collect::<Vec<_>>());
        assert_eq!((uploads.held(), uploads.len()), (0, 0));
    }
}
