//! CPU time, private memory, switches and descriptors of a process and its descendants, from /proc.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;

/// What a process tree holds and has used, at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    /// CPU time since it started.
    pub(crate) cpu: Duration,
    /// Bytes that belong to no file, counted page by page.
    pub(crate) private_bytes: u64,
    pub(crate) switches: u64,
    pub(crate) descriptors: Option<u64>,
}

/// The kernel reports in these units whatever its own tick is (USER_HZ).
const TICKS_PER_SECOND: u64 = 100;

/// A process and what descended from it until the moment it was looked at.
pub(crate) struct ProcessTree {
    processes: Vec<Process>,
}

struct Process {
    pid: u32,
    /// As of the last look: a process that ends takes its number with it.
    cpu: Duration,
    /// Switches of threads that exist, as of the last look.
    switches: u64,
}

impl ProcessTree {
    /// An error when there is no such process.
    pub(crate) fn of(pid: u32) -> Result<ProcessTree> {
        let root = stat(pid).with_context(|| format!("expected a running process, got {pid}"))?;
        let all: Vec<Stat> = fs::read_dir("/proc")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| stat(pid).ok())
            .collect();
        let mut pids = vec![root.pid];
        let mut next = 0;
        while let Some(parent) = pids.get(next).copied() {
            pids.extend(all.iter().filter(|stat| stat.parent == parent).map(|stat| stat.pid));
            next += 1;
        }
        let fresh = |pid| Process { pid, cpu: Duration::ZERO, switches: 0 };
        Ok(ProcessTree { processes: pids.into_iter().map(fresh).collect() })
    }

    /// User and system time used until now, in steps of 10 ms; of those that ended, until the last
    /// look.
    pub(crate) fn cpu(&mut self) -> Duration {
        for process in &mut self.processes {
            if let Ok(stat) = stat(process.pid) {
                process.cpu = Duration::from_millis(stat.ticks * 1000 / TICKS_PER_SECOND);
            }
        }
        self.processes.iter().map(|process| process.cpu).sum()
    }

    /// Everything, exactly; it holds the processes up for some milliseconds.
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        Snapshot {
            cpu: self.cpu(),
            private_bytes: self.private_bytes_exact(),
            switches: self.switches(),
            descriptors: self.descriptors(),
        }
    }

    /// Bytes that belong to no file, resident or swapped out: a cheap look, exact to some hundred
    /// KiB.
    pub(crate) fn private_bytes(&self) -> u64 {
        let of = |pid| {
            let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            Some(kib(&text, "RssAnon:")? + kib(&text, "VmSwap:").unwrap_or(0))
        };
        self.processes.iter().filter_map(|process| of(process.pid)).sum::<u64>() * 1024
    }

    /// The same, counted page by page where the kernel lets us; it holds the process up meanwhile.
    fn private_bytes_exact(&self) -> u64 {
        let of = |pid| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            Some(kib(&text, "Anonymous:")? + kib(&text, "Swap:").unwrap_or(0))
        };
        let exact: Option<u64> = self.processes.iter().map(|process| of(process.pid)).sum();
        exact.map_or_else(|| self.private_bytes(), |kib| kib * 1024)
    }

    /// How often threads have waited for something; those that ended since the last look are not
    /// in it.
    pub(crate) fn switches(&mut self) -> u64 {
        for process in &mut self.processes {
            if let Some(switches) = switches(process.pid) {
                process.switches = switches;
            }
        }
        self.processes.iter().map(|process| process.switches).sum()
    }

    /// Open descriptors; `None` where the kernel does not let us count.
    pub(crate) fn descriptors(&self) -> Option<u64> {
        let of = |pid| Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64);
        self.processes.iter().map(|process| of(process.pid)).sum()
    }
}

fn switches(pid: u32) -> Option<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let path = task.ok()?.path().join("status");
        // A thread may end at any time.
        let text = fs::read_to_string(path).unwrap_or_default();
        sum += kib(&text, "voluntary_ctxt_switches:").unwrap_or(0);
    }
    Some(sum)
}

/// The number behind a name at the start of a line.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
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
    let parent = number(1).context("the parent is field 4")?;
    let user = number(11).context("user time is field 14")?;
    let system = number(12).context("system time is field 15")?;
    Ok(Stat { pid, parent: u32::try_from(parent)?, ticks: user + system })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::hint::black_box;

    use super::*;

    #[test]
    fn memory_and_descriptors_of_this_process_are_counted() {
        let tree = ProcessTree::of(std::process::id()).unwrap();
        let (memory, descriptors) = (tree.private_bytes_exact(), tree.descriptors().unwrap());
        let held = black_box(vec![1_u8; 64 << 20]);
        let files: Vec<File> = (0..50).map(|_| File::open("/dev/null").unwrap()).collect();
        // Other tests of this process come and go meanwhile.
        assert!(tree.private_bytes_exact() > memory + (32 << 20));
        assert!(tree.private_bytes() > memory + (32 << 20));
        assert!(tree.descriptors().unwrap() >= descriptors + 25);
        drop((held, files));
    }

    #[test]
    fn a_process_that_does_not_exist_is_an_error_that_names_it() {
        // Above the kernel's highest possible pid.
        let error = ProcessTree::of(1 << 30).err().unwrap();
        assert!(format!("{error:#}").contains("1073741824"));
    }

    #[test]
    fn numbers_stand_behind_names_at_the_start_of_a_line() {
        let status =
            "nonvoluntary_ctxt_switches:\t7\nvoluntary_ctxt_switches:\t5\nRssAnon:\t 12 kB\n";
        assert_eq!(kib(status, "voluntary_ctxt_switches:"), Some(5));
        assert_eq!(kib(status, "RssAnon:"), Some(12));
        assert_eq!(kib(status, "VmSwap:"), None);
    }
}
