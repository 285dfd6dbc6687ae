//! Waiting for delivery: flush, and close with a deadline. The time belongs to whoever waits, not to the states.

use crate::{
    device::Inner,
    observers::in_callback,
    outbox::Outbox,
    status::{Error, Status::*},
    sync::{AtomicU64, AtomicUsize, Condvar, Mutex},
};
use std::{
    sync::{Arc, atomic::Ordering::*},
    time::{Duration, Instant},
};

/// Lets threads wait for the next turn of a device's loop, whoever turns it.
#[derive(Default)]
pub(crate) struct Turns {
    count: AtomicU64,
    waiting: AtomicUsize,
    /// Goes with the lock of the outbox.
    counted: Condvar,
}

impl Turns {
    /// How many there were.
    pub fn seen(&self) -> u64 {
        self.count.load(SeqCst)
    }

    /// A turn is over, or whoever turned has let go.
    pub fn count(&self, outbox: &Mutex<Outbox>) {
        self.count.fetch_add(1, SeqCst);
        if self.waiting.load(SeqCst) > 0 {
            // Whoever has looked at the count is waiting by the time this has the lock.
            drop(outbox.lock());
            self.counted.notify_all();
        }
    }

    /// Waits for the turn after the one that was `seen`.
    fn wait(&self, seen: u64, outbox: &Mutex<Outbox>, until: Option<Instant>) {
        self.waiting.fetch_add(1, SeqCst);
        let mut outbox = outbox.lock();
        while self.seen() == seen {
            match until {
                Some(until) if self.counted.wait_until(&mut outbox, until).timed_out() => break,
                Some(_) => {}
                None => self.counted.wait(&mut outbox),
            }
        }
        drop(outbox);
        self.waiting.fetch_sub(1, SeqCst);
    }
}

/// A callback that has not returned delays the end of a device by no more than this.
const GRACE: Duration = Duration::from_secs(1);

fn check_waitable(what: &str) -> Result<(), Error> {
    if in_callback() {
        return Err(Error::new(LOSANT_ERR_IN_CALLBACK, format!("{what} is not possible inside a callback")));
    }
    Ok(())
}

/// `None` where the time is so far away that it never comes.
fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}

pub(crate) fn flush(inner: &Arc<Inner>, timeout: Option<Duration>) -> Result<(), Error> {
    check_waitable("flush")?;
    if turn_until(inner, deadline(timeout), || inner.outbox.lock().is_empty())? {
        return Ok(());
    }
    // A host that polls the descriptor knows a time that may be older than what has been done here.
    let woken = inner.run.lock().signal();
    super::report(woken);
    let queued = inner.outbox.lock().counters().queued;
    Err(Error::new(LOSANT_ERR_NOT_DELIVERED, format!("{queued} states are not delivered yet")))
}

pub(crate) fn close_timeout(inner: &Arc<Inner>, timeout: Option<Duration>) -> Result<u64, Error> {
    check_waitable("close with a timeout")?;
    let until = deadline(timeout);
    inner.outbox.lock().set_closing(true);
    match turn_until(inner, until, || inner.outbox.lock().is_empty()) {
        // It was closed already, or by someone else meanwhile.
        Err(e) if e.status == LOSANT_ERR_NOT_RUNNING => {}
        Err(e) if e.status == LOSANT_ERR_FORKED => return Err(e),
        // What ended the connection was told by its close event; what is left is told below.
        Ok(_) | Err(_) => {
            super::close(inner)?;
            wait_for_end(inner, until);
        }
    }
    Ok(inner.outbox.lock().counters().queued)
}

/// Waits until whoever turns the loop has closed the device, and its observers have been told.
fn wait_for_end(inner: &Arc<Inner>, until: Option<Instant>) {
    let end = Instant::now() + GRACE;
    let end = until.map_or(end, |until| until.max(end));
    let mut run = inner.run.lock();
    let given_back = run.given_back.clone();
    while (run.is_running() || run.turner.is_some()) && !given_back.wait_until(&mut run, end).timed_out() {}
}

/// Turns the loop, or lets others turn it, until it is done (true), it is time (false), or the device has ended
/// (`LOSANT_ERR_NOT_RUNNING`).
fn turn_until(inner: &Arc<Inner>, until: Option<Instant>, done: impl Fn() -> bool) -> Result<bool, Error> {
    loop {
        let seen = inner.turns.seen();
        if done() {
            return Ok(true);
        }
        if !inner.run.lock().is_running() {
            // Perhaps it was done just before the end.
            if done() {
                return Ok(true);
            }
            return Err(Error::new(LOSANT_ERR_NOT_RUNNING, "the device is not connecting or connected"));
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Ok(false);
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        match super::turn_as(inner, left, Some(seen)) {
            Ok(()) => {}
            // Another thread is in the loop, or it is the background thread's.
            Err(e) if matches!(e.status, LOSANT_ERR_BUSY | LOSANT_ERR_NOT_RUNNING) => {
                inner.turns.wait(seen, &inner.outbox, until);
            }
            Err(e) => return Err(e),
        }
    }
}
