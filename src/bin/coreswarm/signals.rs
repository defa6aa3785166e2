//! Signals: the first asks to stop in good order, the second stops at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::flag;

use crate::failure::EXIT_SIGNAL;

/// Raised by SIGINT or SIGTERM.
#[derive(Clone, Debug)]
pub(crate) struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Installs the handlers. The second signal ends the process in the handler itself.
    pub(crate) fn install() -> io::Result<StopFlag> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the exit looks at the flag before this signal raises it.
            flag::register_conditional_shutdown(signal, EXIT_SIGNAL.into(), Arc::clone(&flag))?;
            flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(StopFlag(flag))
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
