//! What a run cost: CPU time of the engine and of ourselves, the engine's memory and switches.

use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use rustix::time::ClockId;

use crate::bench::process::ProcessTree;

/// How often memory and switches are looked at; a look reads one file per thread of the engine.
const LOOK: Duration = Duration::from_millis(100);

/// Counts from its start.
pub(crate) struct Meter {
    /// The engine's, when its process is known.
    engine: Option<Engine>,
    own_before: Duration,
}

struct Engine {
    tree: ProcessTree,
    before: Usage,
    /// As of the last look.
    now: Usage,
    looked: Instant,
    peak_private_bytes: u64,
}

#[derive(Clone, Copy)]
struct Usage {
    cpu: Duration,
    switches: u64,
}

/// What the engine used since the start.
pub(crate) struct EngineUse {
    pub(crate) cpu: Duration,
    /// The most that was seen; memory that came and went between two looks was not.
    pub(crate) peak_private_bytes: u64,
    /// How often its threads waited for something.
    pub(crate) switches: u64,
}

impl Meter {
    /// Starts to count; an error when there is no such process.
    pub(crate) fn start(pid: Option<u32>, now: Instant) -> Result<Meter> {
        let engine = pid.map(|pid| Engine::new(ProcessTree::of(pid)?, now)).transpose()?;
        Ok(Meter { engine, own_before: own_cpu() })
    }

    /// Looks at the engine: one that ends takes its numbers with it. To be called often.
    pub(crate) fn sample(&mut self, now: Instant) {
        if let Some(engine) = &mut self.engine {
            engine.now.cpu = engine.tree.cpu();
            if now.duration_since(engine.looked) >= LOOK {
                engine.look(now);
            }
        }
    }

    /// The last look.
    pub(crate) fn finish(&mut self, now: Instant) {
        if let Some(engine) = &mut self.engine {
            engine.now.cpu = engine.tree.cpu();
            engine.look(now);
        }
    }

    /// What the engine used until the last look, when its process is known.
    pub(crate) fn engine(&self) -> Option<EngineUse> {
        let engine = self.engine.as_ref()?;
        Some(EngineUse {
            cpu: engine.now.cpu.saturating_sub(engine.before.cpu),
            peak_private_bytes: engine.peak_private_bytes,
            switches: engine.now.switches.saturating_sub(engine.before.switches),
        })
    }

    /// What this process used until now.
    pub(crate) fn own_cpu(&self) -> Duration {
        own_cpu().saturating_sub(self.own_before)
    }
}

impl Engine {
    fn new(mut tree: ProcessTree, now: Instant) -> Result<Engine> {
        let before = Usage { cpu: tree.cpu(), switches: tree.switches() };
        let peak_private_bytes = tree.private_bytes();
        Ok(Engine { tree, before, now: before, looked: now, peak_private_bytes })
    }

    fn look(&mut self, now: Instant) {
        self.looked = now;
        self.now.switches = self.tree.switches();
        self.peak_private_bytes = self.peak_private_bytes.max(self.tree.private_bytes());
    }
}

/// User and system time of all threads.
fn own_cpu() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
