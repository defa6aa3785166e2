//! The processors: which of them this process may use, and how much receive memory suits them.

use rustix::thread::CpuSet;
use rustix::thread::sched_getaffinity;

/// How much memory there is for what is received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Provision {
    /// Buffers, at most 32: a power of two, as the kernel asks.
    pub(crate) count: u16,
    /// Bytes of each, at most 64 KiB.
    pub(crate) len: usize,
}

/// The processors of the process's affinity mask, rising. Containers and `taskset` narrow it;
/// glommio would pin past it.
pub(crate) fn allowed() -> Vec<usize> {
    let Ok(mask) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|cpu| mask.is_set(*cpu)).collect()
}

/// Memory for what a shard receives: at most half of the L2, since what is received must still be
/// there when it is parsed.
pub(crate) fn provision(cpu: usize) -> Provision {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/cache/index2/size");
    let l2_kib = std::fs::read_to_string(path).ok().and_then(|size| parse_kib(&size));
    provision_for(l2_kib)
}

/// Unknown sizes count as 1 MiB. Eight buffers in any case: with fewer, many peers who each say a
/// little would wait for one. What the cache has room for makes them longer, since each costs a
/// receive.
fn provision_for(l2_kib: Option<u32>) -> Provision {
    let len = match l2_kib.unwrap_or(1024) {
        0..512 => 16 * 1024,
        512..1024 => 32 * 1024,
        1024.. => 64 * 1024,
    };
    Provision { count: 8, len }
}

fn parse_kib(size: &str) -> Option<u32> {
    let size = size.trim();
    match size.strip_suffix('M') {
        Some(mib) => mib.parse::<u32>().ok()?.checked_mul(1024),
        None => size.strip_suffix('K')?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receive_memory_stays_within_half_the_l2() {
        let sizes = [("256K\n", 128), ("512K", 256), ("1024K", 512), ("2M", 512), ("?", 512)];
        for (size, kib) in sizes {
            let Provision { count, len } = provision_for(parse_kib(size));
            assert_eq!(usize::from(count) * len, kib * 1024, "{size}");
        }
    }

    #[test]
    fn this_process_may_use_at_least_one_processor() {
        assert!(!allowed().is_empty());
    }
}
