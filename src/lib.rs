//! coreswarm: a synchronous thread-per-core BitTorrent engine on io_uring.
//!
//! Floors, from the ground up; each uses only those listed before it:
//! `base codec content engine io session` (and `sim`, the ring's understudy for tests).

// Floors arrive one after the other; the last one removes this line.
#![allow(dead_code, unreachable_pub)]

pub(crate) mod base;
pub(crate) mod codec;
pub(crate) mod content;
pub(crate) mod engine;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub(crate) mod io;
pub(crate) mod session;
#[cfg(feature = "sim")]
pub mod sim;
