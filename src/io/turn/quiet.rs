//! Giving memory back: what a busy time left in the pools and the heap goes back to the system once
//! the shard is quiet. An engine that checked 10,000 torrents at its start would keep for ever what
//! that took.

/// Thousandths of a core above which a second is busy, and up to which it is quiet.
const BUSY: u16 = 100;
const QUIET: u16 = 20;
/// Quiet seconds in a row before anything is given back: a pause is not an end.
const PATIENCE: u32 = 3;
/// Bytes of buffers given back per quiet second: what a check leaves, in two of them.
const SECOND_BYTES: usize = 32 * 1024 * 1024;
/// And per turn: unmapping a mebibyte takes some 100 us.
const STEP_BYTES: usize = 2 * 1024 * 1024;

/// Decides by the load of each second.
#[derive(Debug)]
pub(crate) struct Trimmer {
    /// Something may be left of a busy time.
    was_busy: bool,
    quiet_count: u32,
    /// Bytes of buffers that this second has to give back.
    owed: usize,
}

impl Trimmer {
    pub(crate) fn new() -> Trimmer {
        Trimmer { was_busy: true, quiet_count: 0, owed: 0 }
    }

    /// One more second went by with this load; `has_buffers` says whether any are idle. They go
    /// first; true when they are gone and what the heap keeps of what was freed shall follow.
    pub(crate) fn handle_load(&mut self, load: u16, has_buffers: bool) -> bool {
        self.was_busy |= load >= BUSY;
        self.quiet_count = if load <= QUIET { self.quiet_count.saturating_add(1) } else { 0 };
        let is_time = self.was_busy && self.quiet_count >= PATIENCE;
        self.was_busy &= !is_time || has_buffers;
        if is_time && has_buffers {
            self.owed = SECOND_BYTES;
        }
        is_time && !has_buffers
    }

    /// Whether buffers are to be given back in this turn.
    pub(crate) fn is_releasing(&self) -> bool {
        self.owed > 0
    }

    /// Bytes of buffers to be given back in this turn, if there are so many.
    pub(crate) fn next_step(&mut self) -> usize {
        let step = self.owed.min(STEP_BYTES);
        self.owed -= step;
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_busy_time_all_is_given_back_once_and_never_in_a_pause() {
        let mut trimmer = Trimmer::new();
        let loads = [900, 5, 5, 300, 5, 5, 5, 5, 5, 5, 50, 5, 5, 5, 200, 5, 5, 5];
        let mut buffers = 2;
        let mut steps = Vec::new();
        let given: String = loads
            .into_iter()
            .map(|load| {
                let must_trim = trimmer.handle_load(load, buffers > 0);
                let is_releasing = trimmer.is_releasing();
                buffers -= u32::from(is_releasing);
                steps.extend(std::iter::from_fn(|| {
                    trimmer.is_releasing().then(|| trimmer.next_step())
                }));
                if must_trim {
                    'h'
                } else if is_releasing {
                    'b'
                } else {
                    '-'
                }
            })
            .collect();
        assert_eq!(given, "------bbh--------h");
        assert_eq!(steps, [STEP_BYTES; 2 * 16], "what a second gives back is no one turn's work");
    }
}
