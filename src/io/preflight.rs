//! Preflight: what the system must grant before anything starts, each refusal with its remedy.

use std::io;

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

use crate::io::cpus;

/// What glommio refuses to start below.
const MEMLOCK_MIN: u64 = 512 * 1024;

/// Why a session could not start. Each message says what was expected, what was found, and the
/// remedy, in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The system calls of io_uring are refused.
    #[error(
        "io_uring is refused ({source}): allow it in the container's seccomp profile, and set \
         `sysctl kernel.io_uring_disabled=0`"
    )]
    IoUringDenied {
        /// What the system said.
        source: io::Error,
    },
    /// The kernel lacks something that the ring needs.
    #[error("the kernel's io_uring lacks {missing}: Linux 6.1 or newer is needed")]
    KernelTooOld {
        /// The operation or feature.
        missing: &'static str,
    },
    /// Too little memory may be locked.
    #[error(
        "the limit of locked memory is {limit_kib} KiB, io_uring needs {needed_kib} KiB: raise it \
         with `ulimit -l {needed_kib}` or LimitMEMLOCK= of the service"
    )]
    Memlock {
        /// The limit found.
        limit_kib: u64,
        /// The limit that suffices.
        needed_kib: u64,
    },
    /// More shards than processors.
    #[error("{wanted} shards need as many processors, the process may use {allowed}: use fewer")]
    TooManyShards {
        /// Shards asked for.
        wanted: usize,
        /// Processors in the affinity mask.
        allowed: usize,
    },
    /// The affinity mask could not be read or is empty.
    #[error("no processor found in the process's affinity mask: check `taskset -p $$` and cpusets")]
    NoProcessor,
    /// A listen address was refused.
    #[error("{message}")]
    Listen {
        /// Address, cause and remedy.
        message: String,
    },
    /// The extra root certificates are unusable.
    #[error("the root certificates for trackers are unusable: {message}; give a PEM file")]
    Roots {
        /// What is wrong with them.
        message: String,
    },
    /// A shard's thread did not come up.
    #[error("shard {shard} could not start: {message}")]
    Shard {
        /// Which one.
        shard: u16,
        /// What went wrong.
        message: String,
    },
    /// Threads, descriptors or memory ran out.
    #[error("the system refused {what} ({source}): close other programs or raise the limit")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// The processors to pin `wanted` shards to; all of them when no number is given.
pub(crate) fn choose_cpus(wanted: Option<usize>) -> Result<Vec<usize>, StartError> {
    let mut cpus = cpus::allowed();
    if cpus.is_empty() {
        return Err(StartError::NoProcessor);
    }
    let wanted = wanted.unwrap_or(cpus.len()).max(1);
    if wanted > cpus.len() {
        return Err(StartError::TooManyShards { wanted, allowed: cpus.len() });
    }
    cpus.truncate(wanted);
    Ok(cpus)
}

/// Raises the soft limits of descriptors and locked memory to the hard ones, and refuses a limit of
/// locked memory that is too small even so.
pub(crate) fn raise_limits() -> Result<(), StartError> {
    raise(Resource::Nofile);
    check_memlock(raise(Resource::Memlock))
}

/// Descriptors that the process may have open.
pub(crate) fn descriptor_max() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// What a shard that could not set up its ring is told as.
pub(crate) fn shard_refused(shard: u16, error: &io::Error) -> StartError {
    match error.raw_os_error() {
        Some(libc::ENOMEM) => memlock_refused(),
        _ => StartError::Shard { shard, message: error.to_string() },
    }
}

/// The limit of locked memory was too small in the end: the kernel counts it per user, over all
/// processes, so no arithmetic beforehand is exact.
pub(crate) fn memlock_refused() -> StartError {
    let limit = getrlimit(Resource::Memlock).current.unwrap_or(u64::MAX);
    let limit_kib = limit / 1024;
    StartError::Memlock { limit_kib, needed_kib: limit_kib.saturating_mul(2).max(8192) }
}

fn check_memlock(limit: Option<u64>) -> Result<(), StartError> {
    match limit {
        Some(limit) if limit < MEMLOCK_MIN => {
            Err(StartError::Memlock { limit_kib: limit / 1024, needed_kib: MEMLOCK_MIN / 1024 })
        }
        _ => Ok(()),
    }
}

/// The soft limit afterwards; `None` is no limit.
fn raise(resource: Resource) -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(resource);
    let is_raised = setrlimit(resource, Rlimit { current: maximum, maximum }).is_ok();
    if is_raised { maximum } else { current }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_locked_memory_the_message_names_limit_and_remedy() {
        let message = check_memlock(Some(0)).unwrap_err().to_string();
        assert!(message.contains("is 0 KiB") && message.contains("ulimit -l 512"), "{message}");
        assert!(!message.contains('\n'));
        assert!(check_memlock(Some(MEMLOCK_MIN)).is_ok() && check_memlock(None).is_ok());
    }

    #[test]
    fn shards_are_pinned_inside_the_affinity_mask() {
        let all = choose_cpus(None).unwrap();
        assert_eq!(choose_cpus(Some(1)).unwrap(), all[..1]);
        let error = choose_cpus(Some(all.len() + 1)).unwrap_err().to_string();
        assert!(error.contains("use fewer"), "{error}");
    }

    #[test]
    fn the_soft_descriptor_limit_becomes_the_hard_one() {
        raise_limits().unwrap();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
    }
}
