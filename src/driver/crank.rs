//! The right to turn one device's connection, held by one thread at a time.

use super::{
    Mode, OwnPoll, Run,
    background::Membership,
    own::{self},
    report,
};
use crate::{
    connection::{Connection, Next, Readiness, Surroundings},
    defect,
    device::{Device, Inner},
    event::{Event, Happening},
    process::ProcessId,
    status::{Error, Status::*},
    sync::{MutexGuard, thread},
    time::Now,
};
use mio::Token;
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, atomic::Ordering::*},
};

pub(super) struct Crank<'a> {
    pub inner: &'a Arc<Inner>,
    /// `None` once it has ended.
    pub connection: Option<Box<Connection>>,
    pub next: Next,
    /// For devices that the caller's threads drive.
    pub own: Option<Box<OwnPoll>>,
    /// For devices of the background thread: their place there.
    place: Option<Membership>,
    events: VecDeque<Happening>,
    outcome: Option<Result<(), Error>>,
    process: ProcessId,
}

impl<'a> Crank<'a> {
    /// Takes the crank of a device that runs at this place of the background thread.
    pub fn take_background(inner: &'a Arc<Inner>, token: Token) -> Result<Self, Error> {
        let run = inner.run.lock();
        match &run.mode {
            Mode::Background(membership) if membership.token == token => Self::take_locked(inner, run),
            _ => Err(Error::new(LOSANT_ERR_NOT_RUNNING, "the device has left the background thread")),
        }
    }

    /// Takes the crank of a running device, whatever its mode.
    pub fn take_locked(inner: &'a Arc<Inner>, mut run: MutexGuard<'_, Run>) -> Result<Self, Error> {
        let here = thread::here();
        match run.turner {
            Some(thread) if thread == here => {
                return Err(Error::new(LOSANT_ERR_IN_CALLBACK, "not possible inside a callback of the same device"));
            }
            Some(_) => return Err(Error::new(LOSANT_ERR_BUSY, "another thread is turning this device's loop")),
            None => {}
        }
        let place = match &run.mode {
            Mode::Background(membership) => Some(membership.clone()),
            Mode::Own | Mode::Idle => None,
        };
        let Some(connection) = run.connection.take() else {
            return Err(Error::new(LOSANT_ERR_NOT_RUNNING, "the device is not connecting or connected"));
        };
        run.turner = Some(here);
        Ok(Crank {
            inner,
            connection: Some(connection),
            next: run.next.unwrap_or(Next::Now),
            own: run.own.poll.take(),
            place,
            events: VecDeque::new(),
            outcome: None,
            process: ProcessId::current(),
        })
    }

    /// Whether an observer has forked, and this is the child. It must do nothing more: the device is its parent's.
    pub fn is_past(&self) -> bool {
        self.process.is_past()
    }

    pub fn ready(&mut self, socket: Readiness) {
        if let Some(connection) = &mut self.connection {
            connection.ready(socket);
        }
    }

    /// Does what can be done without waiting; the events are kept for [`Self::dispatch`].
    pub fn work(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        // Before anything is looked at: work that comes from now on must wake us again.
        self.inner.woken.store(false, Release);
        let close = self.inner.run.lock().close_requested;
        let (registry, token) = match (&self.place, &self.own) {
            (Some(place), _) => (place.registry(), place.token),
            (None, Some(own)) => (own.poll.registry(), own::SOCKET),
            (None, None) => return,
        };
        let mut around =
            Surroundings { now: Now::read(), registry, token, outbox: &self.inner.outbox, events: &mut self.events };
        // A defect must not take the host along; the device is closed instead, and says so.
        let worked = defect::contain(|| {
            #[cfg(test)]
            self.inner.defect.strike(defect::Place::Work);
            if close {
                connection.close(&mut around);
                Next::Never
            } else {
                connection.work(&mut around)
            }
        });
        let ended = match worked {
            Ok(next) => {
                self.next = next;
                connection.ended().cloned()
            }
            Err(what) => Some(failed(self.inner, &what)),
        };
        self.inner.online.store(ended.is_none() && connection.is_online(), Release);
        // Also those that other threads have caused, by filling the outbox.
        let outcomes = self.inner.outbox.lock().take_outcomes();
        self.events.extend(outcomes.into_iter().map(Happening::Outcome));
        if let Some(why) = ended {
            self.events.push_back(Event::Close(why).into());
        }
        self.inner.turns.count(&self.inner.outbox);
    }

    /// Ends the connection because of a defect; the caller dispatches.
    pub fn fail(&mut self, what: &str) {
        let why = failed(self.inner, what);
        self.inner.online.store(false, Release);
        self.events.push_back(Event::Close(why).into());
    }

    /// Calls the observers of what has happened.
    pub fn dispatch(&mut self) {
        let device = Device { inner: self.inner.clone() };
        while let Some(happening) = self.events.pop_front() {
            match happening {
                Happening::Event(event) => {
                    if let Event::Close(why) = &event {
                        self.end(why);
                    }
                    self.inner.observers.dispatch(&device, &event);
                }
                Happening::Outcome(outcome) => {
                    for event in outcome.events() {
                        self.inner.observers.dispatch(&device, &event);
                        if self.is_past() {
                            return;
                        }
                    }
                }
            }
            if self.is_past() {
                return;
            }
        }
    }

    /// From here on the device is idle, so that an observer of the close event may connect it again.
    fn end(&mut self, why: &Error) {
        self.outcome = Some(match why.status {
            LOSANT_OK => Ok(()),
            _ => Err(why.clone()),
        });
        let known = self.connection.take().is_some_and(|connection| connection.known_to_broker());
        let woken = self.inner.run.lock().settle(known);
        report(woken);
    }

    /// Gives the crank back; if a close was asked for meanwhile, does it first. The outcome, if the connection ended.
    pub fn finish(mut self) -> Option<Result<(), Error>> {
        loop {
            if self.is_past() {
                return Some(Err(forked()));
            }
            let mut run = self.inner.run.lock();
            if self.connection.is_none() || !run.close_requested {
                let woken = self.give_back(&mut run);
                drop(run);
                report(woken);
                return self.outcome.take();
            }
            drop(run);
            self.work();
            self.dispatch();
        }
    }

    /// For [`report`], when the lock has been let go.
    fn give_back(&mut self, run: &mut Run) -> io::Result<()> {
        let mut woken = Ok(());
        if let Some(own) = self.own.take() {
            run.own.poll = Some(own);
        }
        if let Some(connection) = self.connection.take() {
            run.connection = Some(connection);
            run.next = Some(self.next);
        } else if run.is_running() {
            // An observer of the close event has begun anew, and who was woken for it found us still here.
            woken = run.signal();
        }
        run.turner = None;
        run.waits_for_delivery = false;
        run.given_back.notify_all();
        self.inner.turns.count(&self.inner.outbox);
        woken
    }
}

/// What the child's copy of a call has come to.
pub(super) fn forked() -> Error {
    Error::new(LOSANT_ERR_FORKED, "an observer has forked, and this is the child")
}

/// What a defect means for a device. What it has accepted stays accepted.
fn failed(inner: &Inner, what: &str) -> Error {
    inner.outbox.lock().connection_lost();
    let text = format!("a defect in liblosant ended the connection, please report it: {what}");
    log::error!("{}: {text}", inner.id);
    Error::new(LOSANT_ERR_INTERNAL, text)
}

impl Drop for Crank<'_> {
    /// After [`Crank::finish`] nothing is left to give back; this is for observers that panic.
    fn drop(&mut self) {
        if self.is_past() {
            // Its descriptors are its parent's too, and so are the bytes that a farewell would send.
            std::mem::forget((self.connection.take(), self.own.take()));
            return;
        }
        if std::thread::panicking() || self.connection.is_some() {
            let inner = self.inner.clone();
            let mut run = inner.run.lock();
            if run.turner == Some(thread::here()) {
                let woken = self.give_back(&mut run);
                drop(run);
                report(woken);
            }
        }
    }
}
