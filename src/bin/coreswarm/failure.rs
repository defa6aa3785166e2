//! Failures with an exit code: what scripts may rely on.

use std::fmt;

/// Something went wrong that has no code of its own.
pub(crate) const EXIT_ERROR: u8 = 1;
/// The session could not start: kernel, limits, addresses.
pub(crate) const EXIT_START: u8 = 3;
/// A file could not be read or written.
pub(crate) const EXIT_STORAGE: u8 = 4;
/// Data is not what its torrent says.
pub(crate) const EXIT_DAMAGE: u8 = 5;
/// A second signal asked to stop at once, or the first one where that leaves work undone.
pub(crate) const EXIT_SIGNAL: u8 = 130;

/// The last part of `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
    0    done; get and seed also when SIGINT or SIGTERM stopped them in good order
    1    an error: the line on stderr says what was expected, what came and what to do
    2    the command line was not understood
    3    the session could not start: kernel, limits or addresses do not allow it
    4    files of a torrent could not be read or written
    5    verify found pieces or files that are missing, short, long or corrupt; bench --verify
         got wrong bytes
  130    interrupted: create and verify by a signal, all others by the second one";

/// An error with its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: u8,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: u8, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The exit code of whatever went wrong.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(|cause| cause.downcast_ref::<Failure>()).map_or(EXIT_ERROR, |f| f.exit)
}
