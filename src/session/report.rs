//! How a session ended.

/// What became of a session's shards when it was told to end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ShutdownReport {
    /// Shards that told the trackers, finished their writes and ended in good order.
    pub clean_count: usize,
    /// Shards that did not within the limit: what they had not written is lost, as after a crash.
    pub late_count: usize,
}

impl ShutdownReport {
    /// Whether everything ended in good order.
    pub fn is_clean(&self) -> bool {
        self.late_count == 0
    }
}
