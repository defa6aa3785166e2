//! What is said between a peer and us: `state` holds it, each `step_*` is one subject.

pub(crate) mod state;
pub(crate) mod step_control;
pub(crate) mod step_early;
pub(crate) mod step_hashes;
pub(crate) mod step_metadata;
pub(crate) mod step_pieces;
pub(crate) mod step_requests;
pub(crate) mod step_travel;
