//! Threads of the system, and those of a model.

use std::{
    any::Any,
    cell::Cell,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, LocalKey},
};

/// The thread, and in a model which one that plays.
pub(crate) type ThreadId = (thread::ThreadId, Option<usize>);

pub(crate) fn here() -> ThreadId {
    (thread::current().id(), super::task())
}

pub(crate) enum JoinHandle<T> {
    Real(thread::JoinHandle<T>),
    Shuttled { thread: shuttle::thread::JoinHandle<T>, task: shuttle::thread::ThreadId, ended: Arc<AtomicBool> },
}

impl JoinHandle<()> {
    pub fn is_finished(&self) -> bool {
        match self {
            JoinHandle::Real(thread) => thread.is_finished(),
            JoinHandle::Shuttled { ended, .. } => ended.load(Ordering::SeqCst),
        }
    }

    pub fn join(self) -> Result<(), Box<dyn Any + Send>> {
        match self {
            JoinHandle::Real(thread) => thread.join(),
            JoinHandle::Shuttled { thread, .. } => thread.join(),
        }
    }
}

pub(crate) fn is_here(thread: &JoinHandle<()>) -> bool {
    match thread {
        JoinHandle::Real(thread) => thread.thread().id() == thread::current().id(),
        JoinHandle::Shuttled { task, .. } => super::is_on() && shuttle::thread::current().id() == *task,
    }
}

pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    if !super::is_on() {
        return thread::Builder::new().name(name.to_owned()).spawn(body).map(JoinHandle::Real);
    }
    let ended = Arc::new(AtomicBool::new(false));
    let sign = ended.clone();
    super::RUN.with_borrow_mut(|run| run.threads.push(ended.clone()));
    let thread = shuttle::thread::spawn(move || {
        body();
        sign.store(true, Ordering::SeqCst);
    });
    let task = thread.thread().id();
    Ok(JoinHandle::Shuttled { thread, task, ended })
}

/// How many threads the library has started in this run, and how many of those go on.
pub(crate) fn started_and_alive() -> (usize, usize) {
    super::RUN.with_borrow(|run| {
        let alive = run.threads.iter().filter(|ended| !ended.load(Ordering::SeqCst)).count();
        (run.threads.len(), alive)
    })
}

pub(crate) fn get(cell: &'static LocalKey<Cell<usize>>) -> usize {
    match super::task() {
        Some(task) => super::RUN.with_borrow(|run| run.counts.get(&key(cell, task)).copied()).unwrap_or(0),
        None => cell.get(),
    }
}

pub(crate) fn set(cell: &'static LocalKey<Cell<usize>>, value: usize) {
    match super::task() {
        Some(task) => {
            super::RUN.with_borrow_mut(|run| run.counts.insert(key(cell, task), value));
        }
        None => cell.set(value),
    }
}

fn key(cell: &'static LocalKey<Cell<usize>>, task: usize) -> (usize, usize) {
    (cell.with(|cell| std::ptr::from_ref(cell) as usize), task)
}
