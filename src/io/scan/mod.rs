//! Scans: a torrent's files read and hashed over all processors that the process may use.

pub(crate) mod control;
mod guard;
pub(crate) mod look;
mod mapping;
pub(crate) mod plan;
pub(crate) mod progress;
mod shelf;
mod window;
mod worker;

use std::io;
use std::thread;
use std::time::Duration;

use crossbeam::channel::Receiver;
use crossbeam::channel::RecvTimeoutError;
use crossbeam::channel::bounded;
use rustix::thread::CpuSet;
use rustix::thread::sched_setaffinity;

use crate::io::cpus;
use crate::io::scan::control::Control;
use crate::io::scan::plan::Plan;
pub(crate) use crate::io::scan::worker::Found;
use crate::io::scan::worker::Worker;

/// How often the caller hears of the progress.
const TICK: Duration = Duration::from_millis(50);
/// Lists of results that may wait per thread; a full queue holds the threads up.
const QUEUE_LEN: usize = 4;

/// How a scan goes about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Manner {
    /// Threads at most; 0 for one on each processor of the affinity mask.
    pub(crate) thread_max: usize,
    /// Whether files may be mapped, which needs a handler for SIGBUS; else they are copied.
    pub(crate) may_map: bool,
}

/// Hashes all pieces of `plan` that are not known. Blocks until that is done or `control` was
/// stopped: `each` gets every piece that was finished, in no order, and `tick` is called every 50
/// ms, both on the calling thread.
///
/// # Errors
/// No thread could be started.
#[expect(clippy::disallowed_methods, reason = "the threads of a scan are started here alone")]
pub(crate) fn scan(
    plan: &Plan<'_>,
    manner: Manner,
    control: &Control,
    each: impl FnMut(u32, Found),
    tick: impl FnMut(),
) -> io::Result<()> {
    let cpus = cpus::allowed();
    let claim_count = plan.piece_count().div_ceil(plan.claim_len()) as usize;
    let most = if manner.thread_max == 0 { cpus.len() } else { manner.thread_max };
    let count = most.min(claim_count).max(1);
    let (sender, results) = bounded(QUEUE_LEN * count);
    thread::scope(|scope| {
        for at in 0..count {
            let sender = sender.clone();
            let cpu = cpus.get(at % cpus.len().max(1)).copied();
            let work = move || {
                settle(cpu);
                let mut worker = Worker::new(plan, control, manner.may_map);
                // Nobody listens any more: the caller is gone, so is the reason to go on.
                worker.run(|found| {
                    if sender.send(found).is_err() {
                        control.stop();
                    }
                });
            };
            let builder = thread::Builder::new().name(format!("scan-{at}"));
            match builder.spawn_scoped(scope, work) {
                Ok(_) => {}
                // The others do it, if there are any.
                Err(error) if at == 0 => return Err(error),
                Err(_) => break,
            }
        }
        drop(sender);
        collect(&results, each, tick);
        Ok(())
    })
}

/// Hands on what the threads find, until all have ended.
fn collect(
    results: &Receiver<Vec<(u32, Found)>>,
    mut each: impl FnMut(u32, Found),
    mut tick: impl FnMut(),
) {
    loop {
        match results.recv_timeout(TICK) {
            Ok(found) => found.into_iter().for_each(|(piece, found)| each(piece, found)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        tick();
    }
}

/// Pins the calling thread, and lets it hear of pages that are lost.
fn settle(cpu: Option<usize>) {
    guard::admit_signal();
    if let Some(cpu) = cpu {
        let mut set = CpuSet::new();
        set.set(cpu);
        // Refused, it only runs less well.
        let _ = sched_setaffinity(None, &set);
    }
}

#[cfg(test)]
mod tests;
