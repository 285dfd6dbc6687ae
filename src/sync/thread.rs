//! Threads as the system has them.

pub(crate) use std::thread::{JoinHandle, ThreadId};
use std::{
    cell::Cell,
    io,
    thread::{self, LocalKey},
};

/// The thread that asks.
pub(crate) fn here() -> ThreadId {
    thread::current().id()
}

/// Whether this is the thread that asks.
pub(crate) fn is_here(thread: &JoinHandle<()>) -> bool {
    thread.thread().id() == here()
}

/// Starts a thread.
pub(super) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).stack_size(256 * 1024).spawn(body)
}

/// This thread's own.
pub(crate) fn get(cell: &'static LocalKey<Cell<usize>>) -> usize {
    cell.get()
}

/// Sets this thread's own.
pub(crate) fn set(cell: &'static LocalKey<Cell<usize>>, value: usize) {
    cell.set(value);
}
