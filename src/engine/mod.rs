//! What happens next: every state machine, without I/O, clock or randomness of its own.

pub(crate) mod add;
pub(crate) mod alert;
pub(crate) mod announce;
pub(crate) mod choke;
pub(crate) mod command;
pub(crate) mod directory;
pub(crate) mod disk;
pub(crate) mod pick;
pub(crate) mod settings;
pub(crate) mod to_ring;
