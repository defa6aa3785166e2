//! The synchronous face of the library.
