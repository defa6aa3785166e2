//! The guard of mapped files: reading bytes that a file has lost yields zeros and a mark, no signal
//! that ends the process.
//!
//! A file that is mapped may be cut short by anybody, or its device may fail; touching such a page
//! raises SIGBUS in the thread that did. While a mapping is in the table here, the handler puts
//! pages of zeros in the place of what is lost, marks the mapping, and lets the thread go on;
//! whoever hashed the bytes looks at the mark afterwards and throws the result away. Any other
//! SIGBUS goes to whoever was there before, as if there were no guard. The handler is installed
//! with the first mapping and stays; if somebody else has taken its place since, no more is mapped.

use std::ffi::c_int;
use std::ffi::c_void;
use std::mem;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// Mappings that may be guarded at once in the process; without a place, files are read by copying.
/// Far above what a scan's threads use, one each or two.
const SLOT_COUNT: usize = 512;

/// One guarded range of addresses; free while `start` is 0, being set up while `end` is.
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    is_hit: AtomicBool,
}

static SLOTS: [Slot; SLOT_COUNT] = [const {
    Slot { start: AtomicUsize::new(0), end: AtomicUsize::new(0), is_hit: AtomicBool::new(false) }
}; SLOT_COUNT];

/// Who handled SIGBUS before us; set before the handler is installed.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Whether the handler could be installed.
static INSTALLED: OnceLock<bool> = OnceLock::new();

/// One place in the table, given back when dropped. The range must stay mapped, and be touched by
/// nobody else, for as long.
#[derive(Debug)]
pub(super) struct Guard {
    slot: usize,
}

impl Guard {
    /// Guards the `len` bytes at `start`, both multiples of the page; `None` when the table is full
    /// or the signal is not ours to handle.
    pub(super) fn new(start: usize, len: usize) -> Option<Guard> {
        if !is_in_charge() {
            return None;
        }
        let is_mine = |slot: &&Slot| {
            let (free, taken) = (0, start);
            slot.start.compare_exchange(free, taken, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let slot = SLOTS.iter().position(|slot| is_mine(&slot))?;
        SLOTS[slot].is_hit.store(false, Ordering::Relaxed);
        SLOTS[slot].end.store(start + len, Ordering::Release);
        Some(Guard { slot })
    }

    /// Whether bytes were lost since the start.
    pub(super) fn is_hit(&self) -> bool {
        SLOTS[self.slot].is_hit.load(Ordering::Relaxed)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        SLOTS[self.slot].end.store(0, Ordering::Release);
        SLOTS[self.slot].start.store(0, Ordering::Release);
    }
}

/// Lets the calling thread get the signal: a blocked one that its own access raises would end the
/// process, whatever the handler.
pub(super) fn admit_signal() {
    // SAFETY: `set` is a valid place for a signal set, filled before it is read; the call changes
    // nothing but this thread's mask.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGBUS);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut());
    }
}

/// Installs the handler at first; later only looks whether it still is the one.
fn is_in_charge() -> bool {
    if !*INSTALLED.get_or_init(install) {
        return false;
    }
    current().is_some_and(|action| action.sa_sigaction == own_handler())
}

fn own_handler() -> usize {
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = handle;
    handler as usize
}

fn current() -> Option<libc::sigaction> {
    // SAFETY: without a new action the call only fills `action`, a valid place for one; all zeros
    // are a valid value of it.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        let done = libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut action);
        (done == 0).then_some(action)
    }
}

fn install() -> bool {
    let Some(before) = current() else { return false };
    BEFORE.get_or_init(|| before);
    // SAFETY: all zeros are a valid value; the handler has the signature that SA_SIGINFO asks for
    // and only does what a handler may: see there.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = own_handler();
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()) == 0
    }
}

/// The handler: atomics, one system call and whoever was there before; `errno` stays as it was.
extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo to a handler with SA_SIGINFO, and for SIGBUS it has
    // an address.
    let address = unsafe { (*info).si_addr() } as usize;
    // SAFETY: points to this thread's errno, valid as long as the thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: see above.
    let saved = unsafe { *errno };
    if !mend(address) {
        pass_on(signal, info, context);
    }
    // SAFETY: see above.
    unsafe { *errno = saved };
}

/// Zeros from the page of `address` to the end of its guarded range; `false` if it is in none.
fn mend(address: usize) -> bool {
    let holds = |slot: &&Slot| {
        let (start, end) = (slot.start.load(Ordering::Acquire), slot.end.load(Ordering::Acquire));
        start <= address && address < end
    };
    let Some(slot) = SLOTS.iter().find(holds) else { return false };
    let page = address - address % page_size();
    let len = slot.end.load(Ordering::Acquire) - page;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: replaces only pages inside of a range that is in the table, so mapped by its owner,
    // who touches it from this thread alone: the one that is interrupted here.
    let mapped = unsafe { libc::mmap(page as *mut c_void, len, libc::PROT_READ, flags, -1, 0) };
    slot.is_hit.store(true, Ordering::Relaxed);
    mapped != libc::MAP_FAILED
}

fn page_size() -> usize {
    // SAFETY: asks for a constant of the system; allowed in handlers.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096).max(1)
}

/// Does what would be done without us.
fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(before) = BEFORE.get() else { return };
    match before.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: `before` came from the system; with it in place the access that is repeated
            // after this handler has its usual consequence.
            unsafe { libc::sigaction(signal, before, ptr::null_mut()) };
        }
        handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: with SA_SIGINFO the address is that of a function with this signature.
            let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                unsafe { mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: without SA_SIGINFO the address is that of a function with this signature.
            let handler: extern "C" fn(c_int) = unsafe { mem::transmute(handler) };
            handler(signal);
        }
    }
}
