//! The processors: which of them this process may use, and how much receive memory suits them.

use rustix::thread::CpuSet;
use rustix::thread::sched_getaffinity;

/// The processors of the process's affinity mask, rising. Containers and `taskset` narrow it;
/// glommio would pin past it.
pub(crate) fn allowed() -> Vec<usize> {
    let Ok(mask) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|cpu| mask.is_set(*cpu)).collect()
}

/// Provided buffers of 16 KiB per shard, a power of two from 8 to 32: at most half of the L2, since
/// what is received must still be there when it is parsed.
pub(crate) fn receive_buffer_count(cpu: usize) -> u16 {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/cache/index2/size");
    let l2_kib = std::fs::read_to_string(path).ok().and_then(|size| parse_kib(&size));
    buffers_for(l2_kib)
}

/// Unknown sizes count as 1 MiB.
fn buffers_for(l2_kib: Option<u32>) -> u16 {
    match l2_kib.unwrap_or(1024) {
        0..512 => 8,
        512..1024 => 16,
        1024.. => 32,
    }
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
        for (size, count) in [("256K\n", 8), ("512K", 16), ("1024K", 32), ("2M", 32), ("?", 32)] {
            assert_eq!(buffers_for(parse_kib(size)), count, "{size}");
        }
    }

    #[test]
    fn this_process_may_use_at_least_one_processor() {
        assert!(!allowed().is_empty());
    }
}
