//! The synchronous face: sessions, handles, alerts.

pub(crate) mod add;
pub(crate) mod alerts;
pub(crate) mod ask;
pub(crate) mod balance;
pub(crate) mod entry;
pub(crate) mod registry;
pub(crate) mod torrent_handle;
