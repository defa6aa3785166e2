//! Bytes to values and back, pure: a fuzz target each.
