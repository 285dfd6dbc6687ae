//! Locks, the order in which they are taken, and what else threads meet at.
//!
//! In release builds these are the types of parking_lot, std and mio. In debug builds the locks check their order. In the
//! library's own tests all of them can also be played through: see [`model`].

#[cfg(any(test, debug_assertions))]
mod checked;
#[cfg(test)]
pub(crate) mod model;
#[cfg(not(test))]
pub(crate) mod thread;

#[cfg(any(test, debug_assertions))]
pub(crate) use checked::{Condvar, Mutex, MutexGuard, RwLock, check_unlocked};
#[cfg(not(test))]
pub(crate) use mio::{Poll, Waker};
#[cfg(test)]
pub(crate) use model::{
    atomic::{AtomicBool, AtomicU64, AtomicUsize},
    poll::{Poll, Waker},
    thread,
};
#[cfg(not(any(test, debug_assertions)))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(not(test))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

/// User code is about to run, so no lock may be held.
#[cfg(not(any(test, debug_assertions)))]
pub(crate) fn check_unlocked() {}

/// The order of all locks: whoever holds one takes only such as stand further down, so no two threads can wait for each
/// other. Nobody holds two of the same rank; while a thread waits on a condition it holds the lock that goes with it and
/// no other; and where user code runs, none is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(not(any(test, debug_assertions)), allow(dead_code, reason = "checked in debug builds"))]
pub(crate) enum Rank {
    /// What C calls the observers of a device.
    ObserverKeys,
    /// How a device is being run.
    Run,
    /// A device's options.
    Options,
    /// The background threads of the process.
    Threads,
    /// What the background thread and its devices' callers share.
    Mailbox,
    /// A device's states.
    Outbox,
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
