//! Calls into the host's code: its callbacks, and the destructors of what it has given us. The one place that asks whether
//! that code has forked.

use crate::{
    process::ProcessId,
    status::{Error, Status::LOSANT_ERR_FORKED},
    sync::{check_unlocked, thread},
};
use std::{cell::Cell, mem};

thread_local! {
    static CALLBACKS_HERE: Cell<usize> = const { Cell::new(0) };
}

/// The host's code has forked, and this is the child. Everything that was at work when it was called belongs to the
/// parent: it must be left as it is, neither used nor dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forked;

impl From<Forked> for Error {
    fn from(_: Forked) -> Self {
        Error::new(LOSANT_ERR_FORKED, "a callback has forked, and this is the child")
    }
}

/// Whether this thread is inside a callback of any device, or in the log callback.
pub(crate) fn in_callback() -> bool {
    thread::get(&CALLBACKS_HERE) > 0
}

/// Runs a callback of the host.
pub(crate) fn call<T>(callback: impl FnOnce() -> T) -> Result<T, Forked> {
    let inside = Inside::enter();
    let outcome = run(callback);
    drop(inside);
    outcome
}

/// Runs the host's code outside of callbacks: a destructor, in which the host may wait for what it likes.
pub(crate) fn run<T>(code: impl FnOnce() -> T) -> Result<T, Forked> {
    check_unlocked();
    let process = ProcessId::current();
    let value = code();
    if process == ProcessId::current() {
        Ok(value)
    } else {
        mem::forget(value);
        Err(Forked)
    }
}

/// Goes with a callback that is running; ends with it also where it panics.
struct Inside;

impl Inside {
    fn enter() -> Self {
        thread::set(&CALLBACKS_HERE, thread::get(&CALLBACKS_HERE) + 1);
        Inside
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        thread::set(&CALLBACKS_HERE, thread::get(&CALLBACKS_HERE) - 1);
    }
}
