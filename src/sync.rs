//! Locks, the order in which they are taken, and what else threads meet at.
//!
//! In release builds these are the types of parking_lot, std and mio. In debug builds the locks check their order. In the
//! library's own tests all of them can also be played through: see `testing::schedule`.

#[cfg(any(test, debug_assertions))]
mod checked;
#[cfg(not(test))]
pub(crate) mod thread;

#[cfg(test)]
pub(crate) use crate::testing::schedule::{
    atomic::{AtomicBool, AtomicU64, AtomicUsize},
    poll::{Poll, Waker},
    thread,
};
#[cfg(any(test, debug_assertions))]
pub(crate) use checked::{Condvar, Mutex, MutexGuard, RwLock, check_unlocked};
#[cfg(not(test))]
pub(crate) use mio::{Poll, Waker};
#[cfg(not(any(test, debug_assertions)))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(not(test))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use crate::status::{Error, Status::LOSANT_ERR_SYSTEM};
use nix::sys::signal::{SigSet, SigmaskHow};
use std::io;

/// Starts a thread of the library: named, and with every signal blocked, so that the host's handlers run on the host's
/// threads.
pub(crate) fn spawn_quiet(name: &str, body: impl FnOnce() + Send + 'static) -> Result<thread::JoinHandle<()>, Error> {
    let failed = |e: io::Error| Error::new(LOSANT_ERR_SYSTEM, format!("cannot start a thread: {e}"));
    // The new thread inherits this mask; there is no moment at which it has another.
    let callers = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).map_err(|e| failed(e.into()))?;
    let spawned = thread::spawn(name, body);
    // Fails only for arguments that these are not; not a case for the log, as the caller holds locks.
    let _ = callers.thread_set_mask();
    spawned.map_err(failed)
}

/// User code is about to run, so no lock may be held.
#[cfg(not(any(test, debug_assertions)))]
pub(crate) fn check_unlocked() {}

/// The order of all locks: whoever holds one takes only such as stand further down, so no two threads can wait for each
/// other. Nobody holds two of the same rank; while a thread waits on a condition it holds the lock that goes with it and
/// no other; and where user code runs, none is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(not(any(test, debug_assertions)), allow(dead_code, reason = "checked in debug builds"))]
pub(crate) enum Rank {
    /// How a device is being run, and its options.
    Run,
    /// The background threads of the process.
    Threads,
    /// What the background thread and its devices' callers share.
    Mailbox,
    /// The throttles of the process.
    Throttles,
    /// A device's states.
    Outbox,
    /// What a device id may send to a broker, whatever handles it has.
    Throttle,
    /// A device's observers.
    Observers,
    /// All that are held for a moment and with no other below: the handles, the window of connection attempts, the answer
    /// of a name server, the last TLS connector, the log's place.
    Last,
}

/// What a lock protects, which tells its place in the order.
#[cfg_attr(not(any(test, debug_assertions)), allow(dead_code, reason = "checked in debug builds"))]
pub(crate) trait Ranked {
    const RANK: Rank;
}
