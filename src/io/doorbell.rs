//! The doorbell: how another thread makes a waiting shard look at its queues.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::atomic::fence;

use rustix::event::EventfdFlags;
use rustix::event::eventfd;

/// One per shard, shared by everybody who puts something into a queue of that shard. Ringing costs
/// a system call only while the shard sleeps.
#[derive(Debug)]
pub(crate) struct Doorbell {
    event: OwnedFd,
    is_asleep: AtomicBool,
}

impl Doorbell {
    pub(crate) fn new() -> io::Result<Doorbell> {
        // In blocking mode: only the ring reads it, and that never blocks the shard.
        let event = eventfd(0, EventfdFlags::CLOEXEC)?;
        Ok(Doorbell { event, is_asleep: AtomicBool::new(false) })
    }

    /// A descriptor of its own for the ring's read.
    pub(crate) fn event(&self) -> io::Result<OwnedFd> {
        self.event.try_clone()
    }

    /// Call it after something was put into a queue. Never blocks for long: a write of 1 waits only
    /// when 2^64 - 2 rings went unheard.
    pub(crate) fn ring(&self) {
        // Orders the queue's write before the look at the flag; `sleep` has the mirror image, so
        // one of both sides sees the other.
        fence(Ordering::SeqCst);
        if self.is_asleep.swap(false, Ordering::Relaxed) {
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }

    /// Before the shard waits: true if it may, given that `has_mail` says no afterwards. From here
    /// until `wake` every ring costs a system call.
    pub(crate) fn sleep(&self, has_mail: impl FnOnce() -> bool) -> bool {
        self.is_asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if has_mail() {
            self.wake();
            return false;
        }
        true
    }

    /// After the wait.
    pub(crate) fn wake(&self) {
        self.is_asleep.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_rung(bell: &Doorbell) -> bool {
        let mut poll = [rustix::event::PollFd::new(&bell.event, rustix::event::PollFlags::IN)];
        let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut poll, Some(&now)).unwrap() == 1
    }

    #[test]
    fn only_a_sleeping_shard_costs_a_system_call_and_only_once() {
        let bell = Doorbell::new().unwrap();
        bell.ring();
        assert!(!is_rung(&bell), "awake");
        assert!(bell.sleep(|| false));
        bell.ring();
        bell.ring();
        let mut count = [0; 8];
        rustix::io::read(&bell.event, &mut count).unwrap();
        assert_eq!(u64::from_ne_bytes(count), 1);
    }

    #[test]
    fn a_shard_with_mail_does_not_fall_asleep() {
        let bell = Doorbell::new().unwrap();
        assert!(!bell.sleep(|| true));
        bell.ring();
        assert!(!is_rung(&bell));
    }
}
