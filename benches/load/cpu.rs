//! CPU time of a process and its descendants, from /proc.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;

/// The kernel reports in these units whatever its own tick is (USER_HZ).
const TICKS_PER_SECOND: u64 = 100;

/// The process and its descendants.
pub(crate) fn tree(pid: u32) -> Result<Vec<u32>> {
    let all: Vec<Stat> = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| stat(pid).ok())
        .collect();
    let mut tree = vec![stat(pid).with_context(|| format!("process {pid}"))?.pid];
    let mut next = 0;
    while let Some(parent) = tree.get(next).copied() {
        tree.extend(all.iter().filter(|stat| stat.parent == parent).map(|stat| stat.pid));
        next += 1;
    }
    Ok(tree)
}

/// User and system time that these processes have used until now; an error when one has ended.
pub(crate) fn used_by(pids: &[u32]) -> Result<Duration> {
    let mut ticks = 0;
    for pid in pids {
        ticks += stat(*pid)?.ticks;
    }
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

struct Stat {
    pid: u32,
    parent: u32,
    ticks: u64,
}

fn stat(pid: u32) -> Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name is in parentheses and may hold anything: what follows the last one is regular.
    let (_, rest) = text.rsplit_once(") ").context("a name in parentheses")?;
    let words: Vec<&str> = rest.split(' ').collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    let parent = number(1).context("the parent is field 4")? as u32;
    let user = number(11).context("user time is field 14")?;
    let system = number(12).context("system time is field 15")?;
    Ok(Stat { pid, parent, ticks: user + system })
}
