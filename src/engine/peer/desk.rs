//! The counter for metadata (BEP 9): what a peer says that it has of it, and what it asks of ours.

use std::collections::VecDeque;

use crate::base::limits::METADATA_COPIES_MAX;
use crate::base::limits::METADATA_LEN_MAX;
use crate::base::limits::METADATA_QUEUE_MAX;

/// One peer's dealings in metadata.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// The id under which it takes our messages; 0 while it takes none.
    their_id: u8,
    size: Option<u32>,
    /// Parts that it asked for, in order.
    queue: VecDeque<u32>,
    served: u32,
    /// Answers that it owes us.
    owed: u32,
}

impl Desk {
    /// Neither of us owes the other an answer.
    pub(crate) fn is_quiet(&self) -> bool {
        self.queue.is_empty() && self.owed == 0
    }

    /// All there is to a quiet one, for the way to another shard.
    pub(crate) fn pack(&self) -> (u8, Option<u32>, u32) {
        (self.their_id, self.size, self.served)
    }

    pub(crate) fn unpack((their_id, size, served): (u8, Option<u32>, u32)) -> Desk {
        Desk { their_id, size, served, ..Desk::default() }
    }

    /// It introduced itself. What it does not mention stays as it was (BEP 10).
    pub(crate) fn introduced(&mut self, their_id: Option<u8>, size: Option<u32>) {
        self.their_id = their_id.unwrap_or(self.their_id);
        self.size = size.or(self.size);
    }

    /// The id under which it takes metadata messages.
    pub(crate) fn their_id(&self) -> Option<u8> {
        (self.their_id != 0).then_some(self.their_id)
    }

    /// The size of the metadata that it claims to have, if we would take that much.
    pub(crate) fn claim(&self) -> Option<u32> {
        self.size.filter(|size| self.their_id != 0 && (1..=METADATA_LEN_MAX).contains(size))
    }

    /// Queues its request for one of `count` parts; false where it must be rejected: there is no
    /// such part, too many wait, or it had its copies.
    #[must_use]
    pub(crate) fn ask(&mut self, part: u32, count: u32) -> bool {
        let is_welcome = part < count
            && self.queue.len() < METADATA_QUEUE_MAX
            && self.served < count.saturating_mul(METADATA_COPIES_MAX);
        if is_welcome {
            self.served += 1;
            self.queue.push_back(part);
        }
        is_welcome
    }

    /// The part that is to be sent next.
    pub(crate) fn pop(&mut self) -> Option<u32> {
        self.queue.pop_front()
    }

    /// We asked it for a part.
    pub(crate) fn asked(&mut self) {
        self.owed += 1;
    }

    /// It answered; false if it owed no answer.
    pub(crate) fn answered(&mut self) -> bool {
        let was_owed = self.owed > 0;
        self.owed = self.owed.saturating_sub(1);
        was_owed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_peer_that_speaks_of_metadata_and_has_a_sane_amount_has_a_claim() {
        let mut desk = Desk::default();
        assert_eq!((desk.their_id(), desk.claim()), (None, None));
        desk.introduced(None, Some(5));
        assert_eq!(desk.claim(), None, "it takes no messages");
        desk.introduced(Some(3), None);
        assert_eq!((desk.their_id(), desk.claim()), (Some(3), Some(5)), "said earlier");
        desk.introduced(None, Some(0));
        assert_eq!(desk.claim(), None);
        desk.introduced(None, Some(METADATA_LEN_MAX + 1));
        assert_eq!(desk.claim(), None, "more than we take");
        desk.introduced(Some(0), Some(5));
        assert_eq!((desk.their_id(), desk.claim()), (None, None), "switched off");
    }

    #[test]
    fn a_peer_gets_a_few_copies_and_may_not_queue_more_than_a_bound() {
        let mut desk = Desk::default();
        assert!(!desk.ask(2, 2) && !desk.ask(0, 0), "there are no such parts");
        let count = (0..100).filter(|n| desk.ask(n % 2, 2)).count();
        assert_eq!(count, 2 * METADATA_COPIES_MAX as usize);
        assert_eq!((desk.pop(), desk.pop(), desk.pop()), (Some(0), Some(1), Some(0)));
        assert!(!desk.ask(0, 2), "sent ones count");
        let queued = (0..1_000).filter(|n| Desk::ask(&mut desk, *n, 2_000)).count();
        assert_eq!(queued, METADATA_QUEUE_MAX - 3);
    }

    #[test]
    fn an_answer_is_owed_once() {
        let mut desk = Desk::default();
        assert!(!desk.answered());
        desk.asked();
        assert!(desk.answered() && !desk.answered());
    }
}
