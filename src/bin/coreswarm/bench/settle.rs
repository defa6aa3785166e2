//! Waiting until an engine has let go of what it held for peers that left.

use std::time::Duration;

use anyhow::Result;

use crate::bench::poller::Poller;
use crate::bench::process::ProcessTree;
use crate::bench::process::Snapshot;
use crate::clock::now;

/// How long an engine may take for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The engine when it holds no more descriptors than before, or when it had its time.
pub(crate) fn settled(tree: &mut ProcessTree, before: &Snapshot) -> Result<Snapshot> {
    let until = now() + PATIENCE;
    let mut clock = Poller::new()?;
    loop {
        clock.wait(LOOK)?.for_each(drop);
        let after = tree.snapshot();
        if after.descriptors <= before.descriptors || now() >= until {
            return Ok(after);
        }
    }
}
