//! Waiting for delivery: flush, and close with a deadline. The time belongs to whoever waits, not to the states.

use super::{Engine, report_wake, run::wait_for_give_back};
use crate::{
    callback::in_callback,
    outbox::Outbox,
    status::{Error, Status::*},
    sync::{AtomicU64, AtomicUsize, Condvar, Mutex},
};
use std::{
    sync::{Arc, atomic::Ordering::*},
    time::{Duration, Instant},
};

/// Lets threads wait for the next round of a device's loop, whoever runs it.
#[derive(Default)]
pub(super) struct Rounds {
    count: AtomicU64,
    waiting: AtomicUsize,
    /// Goes with the lock of the outbox.
    counted: Condvar,
}

impl Rounds {
    /// How many there were.
    pub fn seen(&self) -> u64 {
        self.count.load(SeqCst)
    }

    /// A round is over, or whoever ran the loop has let go.
    pub fn count(&self, outbox: &Mutex<Outbox>) {
        self.count.fetch_add(1, SeqCst);
        if self.waiting.load(SeqCst) > 0 {
            // Whoever has looked at the count is waiting by the time this has the lock.
            drop(outbox.lock());
            self.counted.notify_all();
        }
    }

    /// Waits for the round after the one that was `seen`.
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

impl Engine {
    /// Waits until all accepted states are delivered, and their observers told (`Ok`), at most this long (`None`: as long
    /// as it takes).
    pub fn flush(self: &Arc<Self>, timeout: Option<Duration>) -> Result<(), Error> {
        check_waitable("flush")?;
        self.deliver(deadline(timeout))
    }

    /// Accepts no more states, delivers what it can within this time, and closes the device. The answer is that of
    /// [`Self::flush`].
    pub fn drain(self: &Arc<Self>, timeout: Option<Duration>) -> Result<(), Error> {
        check_waitable("drain")?;
        let until = deadline(timeout);
        self.outbox.lock().set_closing(true);
        let delivered = self.deliver(until);
        if let Err(e) = &delivered {
            if matches!(e.status, LOSANT_ERR_NOT_RUNNING | LOSANT_ERR_FORKED) {
                // It was closed already, or by someone else meanwhile; or this is no longer the process whose it is.
                return delivered;
            }
        }
        self.close()?;
        self.wait_for_end(until);
        delivered
    }

    fn deliver(self: &Arc<Self>, until: Option<Instant>) -> Result<(), Error> {
        if self.run_until_delivered(until)? {
            return Ok(());
        }
        // A host that polls the descriptor knows a time that may be older than what has been done here.
        let woken = self.run.lock().signal();
        report_wake(woken);
        let queued = self.outbox.lock().counters().queued;
        Err(Error::new(LOSANT_ERR_NOT_DELIVERED, format!("{queued} states are not delivered yet")))
    }

    /// Waits until whoever runs the loop has closed the device, and its observers have been told.
    fn wait_for_end(&self, until: Option<Instant>) {
        let end = Instant::now() + GRACE;
        let end = until.map_or(end, |until| until.max(end));
        let mut run = self.run.lock();
        while run.is_running() || run.loop_owner.is_some() {
            if wait_for_give_back(&mut run, Some(end.saturating_duration_since(Instant::now()))) {
                break;
            }
        }
    }

    /// Runs the loop, or lets others run it, until all is delivered and told (true), it is time (false), or the device
    /// has ended (`LOSANT_ERR_NOT_RUNNING`).
    fn run_until_delivered(self: &Arc<Self>, until: Option<Instant>) -> Result<bool, Error> {
        loop {
            let seen = self.rounds.seen();
            let (delivered, told) = {
                let outbox = self.outbox.lock();
                (outbox.is_empty(), !outbox.has_untold_outcomes())
            };
            if delivered && told {
                return Ok(true);
            }
            if !self.run.lock().is_running() {
                // Perhaps it was done just before the end; nobody would tell what is untold.
                if self.outbox.lock().is_empty() {
                    return Ok(true);
                }
                return Err(Error::new(LOSANT_ERR_NOT_RUNNING, "the device is not connecting or connected"));
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(delivered);
            }
            match self.run_round(left, Some(seen)) {
                Ok(_) => {}
                // Another thread is in the loop, or it is the background thread's.
                Err(e) if matches!(e.status, LOSANT_ERR_BUSY | LOSANT_ERR_NOT_RUNNING) => {
                    self.rounds.wait(seen, &self.outbox, until);
                }
                Err(e) => return Err(e),
            }
        }
    }
}
