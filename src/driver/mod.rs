//! Who turns the crank: the caller's thread, by blocking or by calling the loop, or the background thread.
//!
//! A device's connection lies in its [`Run`]. Whoever turns takes it out (see [`crank`]), works on it with no lock held,
//! calls the observers, and puts it back; so there is never more than one, and user code never meets a lock.

mod background;
mod crank;
mod delivery;
mod own;

use crate::{
    connection::{Connection, Next},
    device::Inner,
    observers::in_callback,
    status::{Error, Status::*},
    sync::{
        Condvar, MutexGuard, Rank, Ranked,
        thread::{self, ThreadId},
    },
};
use crank::Crank;
pub(crate) use delivery::{Turns, close_timeout, flush};
use own::OwnPoll;
use std::{
    io,
    os::fd::RawFd,
    sync::Arc,
    time::{Duration, Instant},
};

/// How a device is being run.
#[derive(Default)]
pub(crate) struct Run {
    mode: Mode,
    /// Here unless someone is turning it.
    connection: Option<Box<Connection>>,
    turner: Option<ThreadId>,
    /// Whether that one only waits for delivery: threads that come to turn the loop meanwhile wait with it.
    waits_for_delivery: bool,
    /// Signalled when there is no turner any more.
    given_back: Arc<Condvar>,
    close_requested: bool,
    /// The device is freed: whoever still had it in hand can begin nothing more.
    freed: bool,
    next: Option<Next>,
    own: own::Place,
    /// Whether the broker has ever accepted this device.
    pub known_to_broker: bool,
}

impl Ranked for Run {
    const RANK: Rank = Rank::Run;
}

#[derive(Default)]
enum Mode {
    #[default]
    Idle,
    /// The caller's threads.
    Own,
    Background(background::Membership),
}

impl Run {
    pub fn is_running(&self) -> bool {
        !matches!(self.mode, Mode::Idle)
    }

    /// Makes whoever waits for this device stop waiting.
    /// For [`report`], when the lock has been let go.
    pub fn signal(&self) -> io::Result<()> {
        match &self.mode {
            Mode::Background(membership) => membership.wake(),
            Mode::Own | Mode::Idle => self.own.wake(),
        }
    }

    fn begin(&mut self, mode: Mode, connection: Connection) {
        self.mode = mode;
        self.connection = Some(Box::new(connection));
        self.close_requested = false;
        self.next = Some(Next::Now);
    }

    /// The connection has ended. For [`report`], when the lock has been let go.
    fn settle(&mut self, known_to_broker: bool) -> io::Result<()> {
        self.known_to_broker |= known_to_broker;
        self.connection = None;
        self.close_requested = false;
        self.next = None;
        match std::mem::take(&mut self.mode) {
            Mode::Background(membership) => membership.leave(),
            // Another thread's event loop must hear of it.
            Mode::Own | Mode::Idle => self.own.wake(),
        }
    }

    fn check_idle(&self) -> Result<(), Error> {
        if self.freed {
            return Err(Error::new(LOSANT_ERR_INVALID_HANDLE, "another thread has freed the device meanwhile"));
        }
        if self.is_running() {
            return Err(Error::new(LOSANT_ERR_ALREADY_RUNNING, "the device is already connecting or connected"));
        }
        Ok(())
    }

    fn check_own(&self) -> Result<(), Error> {
        let why = match self.mode {
            Mode::Own => return Ok(()),
            Mode::Idle => "the device is not connecting or connected",
            Mode::Background(_) => "the device is run by the background thread",
        };
        Err(Error::new(LOSANT_ERR_NOT_RUNNING, why))
    }
}

pub(crate) fn connect_blocking(inner: &Arc<Inner>) -> Result<(), Error> {
    if in_callback() {
        return Err(Error::new(LOSANT_ERR_IN_CALLBACK, "a blocking connect is not possible inside a callback"));
    }
    let run = begin_own(inner, true)?;
    // Held to the end: a close by another thread is to be done here, not to find the loop unattended in between.
    let mut crank = Crank::take_locked(inner, run)?;
    while crank.connection.is_some() {
        if let Err(failure) = crank.turn_own(None) {
            if !crank.is_past() {
                // Nobody would drive it from here on.
                inner.run.lock().close_requested = true;
                crank.finish();
            }
            return Err(failure);
        }
    }
    crank.finish().unwrap_or(Ok(()))
}

pub(crate) fn connect(inner: &Arc<Inner>) -> Result<(), Error> {
    let woken = begin_own(inner, false)?.signal();
    report(woken);
    Ok(())
}

fn begin_own(inner: &Arc<Inner>, first_failure_ends: bool) -> Result<MutexGuard<'_, Run>, Error> {
    let mut run = inner.run.lock();
    if first_failure_ends {
        // The thread that ended it the last time may still be in the observers of the close event.
        let given_back = run.given_back.clone();
        while run.turner.is_some() && !run.is_running() {
            given_back.wait(&mut run);
        }
    }
    run.check_idle()?;
    run.own.make()?;
    let connection = inner.plan(&run, first_failure_ends)?;
    inner.outbox.lock().set_closing(false);
    run.begin(Mode::Own, connection);
    Ok(run)
}

pub(crate) fn turn(inner: &Arc<Inner>, timeout: Option<Duration>) -> Result<(), Error> {
    turn_as(inner, timeout, None)
}

/// `after`: the turn that someone who waits for delivery has seen last; at once back if there was another since.
fn turn_as(inner: &Arc<Inner>, timeout: Option<Duration>, after: Option<u64>) -> Result<(), Error> {
    let mut run = inner.run.lock();
    if !run.is_running() {
        run.own.drain();
    }
    run.check_own()?;
    let elsewhere = run.turner.is_some_and(|turner| turner != thread::here());
    // Inside a callback this would be for ever if the other thread, in a callback too, waited for this one's device.
    let may_wait = elsewhere && !in_callback();
    if may_wait && (run.close_requested || run.connection.is_some() || run.waits_for_delivery) {
        // The other thread is not in the loop of its own: it closes the device, is still in the observers of the close
        // before, or flushes.
        let given_back = run.given_back.clone();
        match timeout {
            Some(timeout) => drop(given_back.wait_for(&mut run, timeout)),
            None => given_back.wait(&mut run),
        }
        return Ok(());
    }
    if run.turner.is_none() {
        if after.is_some_and(|seen| seen != inner.turns.seen()) {
            return Ok(());
        }
        run.waits_for_delivery = after.is_some();
    }
    let mut crank = Crank::take_locked(inner, run)?;
    crank.turn_own(timeout)?;
    crank.finish().unwrap_or(Ok(()))
}

pub(crate) fn start(inner: &Arc<Inner>) -> Result<(), Error> {
    let mut run = inner.run.lock();
    run.check_idle()?;
    let connection = inner.plan(&run, false)?;
    let membership = background::join(inner)?;
    inner.outbox.lock().set_closing(false);
    run.begin(Mode::Background(membership), connection);
    let woken = run.signal();
    drop(run);
    report(woken);
    Ok(())
}

pub(crate) fn fd(inner: &Arc<Inner>) -> Result<RawFd, Error> {
    let mut run = inner.run.lock();
    if let Mode::Background(_) = run.mode {
        run.check_own()?;
    }
    run.own.make()?;
    let woken = inner.woken.load(std::sync::atomic::Ordering::Acquire);
    run.own.share_fd(woken)
}

pub(crate) fn next_timeout(inner: &Arc<Inner>) -> Result<Option<Duration>, Error> {
    let run = inner.run.lock();
    run.check_own()?;
    let woken = inner.woken.load(std::sync::atomic::Ordering::Acquire);
    Ok(match run.next {
        _ if woken || run.close_requested => Some(Duration::ZERO),
        Some(Next::Now) => Some(Duration::ZERO),
        Some(Next::At(when)) => Some(when.saturating_duration_since(Instant::now())),
        Some(Next::Never) | None => None,
    })
}

pub(crate) fn close(inner: &Arc<Inner>) -> Result<(), Error> {
    let mut run = inner.run.lock();
    if !run.is_running() {
        return Ok(());
    }
    run.close_requested = true;
    if run.turner.is_some() || matches!(run.mode, Mode::Background(_)) {
        let woken = run.signal();
        drop(run);
        report(woken);
        return Ok(());
    }
    // Nobody is in the loop, so this thread turns it for the last time.
    let crank = Crank::take_locked(inner, run)?;
    crank.finish();
    Ok(())
}

pub(crate) fn shut_down(inner: &Arc<Inner>) {
    end_now(inner);
    if !in_callback() {
        background::reap();
    }
}

/// Ends the connection here and now unless another thread, or this one further up the stack, is at work on it: then that
/// one does it as soon as it is back in the library. The background thread is back in a moment, for no callback of the
/// device runs any more; it is waited for, so that it can end.
fn end_now(inner: &Arc<Inner>) {
    let mut run = inner.run.lock();
    run.freed = true;
    let (here, given_back) = (thread::here(), run.given_back.clone());
    let mut woken = Ok(());
    // More than once where the turner was still in the observers of the close before, and another thread had begun anew.
    while run.is_running() {
        run.close_requested = true;
        let Some(turner) = run.turner else {
            if let Ok(crank) = Crank::take_locked(inner, run) {
                crank.finish();
            }
            return report(woken);
        };
        woken = run.signal();
        if turner == here || in_callback() || !matches!(run.mode, Mode::Background(_)) {
            break;
        }
        given_back.wait(&mut run);
    }
    drop(run);
    report(woken);
}

/// Logs that whoever waits for a device could not be woken, as when the host has closed descriptors that are not its own.
/// Not to be called with a lock held: the log callback may call any function.
pub(crate) fn report(woken: io::Result<()>) {
    if let Err(e) = woken {
        log::error!("cannot wake the thread that waits for the network: {e}");
    }
}

#[cfg(test)]
mod tests {
    use crate::{device::Device, status::Status::LOSANT_ERR_INVALID_HANDLE};

    /// As by a thread that has looked the handle up just before another freed it.
    #[test]
    fn nothing_begins_after_the_end() {
        let device = Device::new("d", None).unwrap();
        device.shut_down();
        for begun in [device.start(), device.connect(), device.connect_blocking()] {
            assert_eq!(begun.unwrap_err().status, LOSANT_ERR_INVALID_HANDLE);
        }
    }
}
