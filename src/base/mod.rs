//! The ground floor: values that everything else is made of. Uses nothing of ours.

pub(crate) mod bitfield;
pub(crate) mod budget;
pub(crate) mod buffer;
pub(crate) mod digest;
pub(crate) mod digest_lanes;
pub(crate) mod ids;
pub(crate) mod info_hashes;
pub(crate) mod instant;
pub(crate) mod limits;
pub(crate) mod payload;
pub(crate) mod published;
pub(crate) mod rate;
pub(crate) mod rng;
pub(crate) mod shard_turns;
pub(crate) mod slots;
pub(crate) mod status;
pub(crate) mod storage_error;
