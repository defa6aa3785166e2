//! All that one shard owns as one: what comes to it from its ring and from the session.

pub(crate) mod state;
pub(crate) mod step_command;
pub(crate) mod step_conn;
pub(crate) mod step_outwork;
