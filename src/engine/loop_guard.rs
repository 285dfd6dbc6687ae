//! The right to run one device's loop, held by one thread at a time.

use super::{
    Engine, Round,
    background::Membership,
    loop_poll::{self, Poller},
    report_wake,
    run::{Mode, Run},
};
use crate::{
    callback::Forked,
    connection::{Context, Link, Next, Phase, Readiness},
    defect,
    event::{Event, EventType, PendingEvent},
    outbox::Blame,
    stats::ConnectionState::LOSANT_CONNECTION_CLOSED,
    status::{Error, Status::*},
    sync::{MutexGuard, thread},
    time::Now,
};
use mio::Token;
use std::{
    collections::VecDeque,
    io, mem,
    sync::{Arc, atomic::Ordering::*},
    time::{Duration, Instant},
};

pub(super) struct LoopGuard<'a> {
    engine: &'a Arc<Engine>,
    /// `None` once it has ended.
    link: Option<Box<dyn Link>>,
    next: Next,
    /// For devices that the caller's threads drive.
    poller: Option<Box<Poller>>,
    /// For devices of the background thread.
    membership: Option<Membership>,
    events: VecDeque<PendingEvent>,
    outcome: Option<Result<(), Error>>,
    given_back: bool,
}

impl<'a> LoopGuard<'a> {
    /// Takes the loop of a device that is this member of the background thread.
    pub fn take_background(engine: &'a Arc<Engine>, token: Token) -> Result<Self, Error> {
        let run = engine.run.lock();
        match &run.mode {
            Mode::Background(membership) if membership.token == token => Self::take(engine, run),
            _ => Err(Error::new(LOSANT_ERR_NOT_RUNNING, "the device has left the background thread")),
        }
    }

    /// Takes the loop of a running device, whatever its mode.
    pub fn take(engine: &'a Arc<Engine>, mut run: MutexGuard<'_, Run>) -> Result<Self, Error> {
        let here = thread::here();
        match run.loop_owner {
            Some(thread) if thread == here => {
                return Err(Error::new(LOSANT_ERR_IN_CALLBACK, "not possible inside a callback of the same device"));
            }
            Some(_) => return Err(Error::new(LOSANT_ERR_BUSY, "another thread is running this device's loop")),
            None => {}
        }
        let membership = match &run.mode {
            Mode::Background(membership) => Some(membership.clone()),
            Mode::Own | Mode::Idle => None,
        };
        let Some(link) = run.link.take() else {
            return Err(Error::new(LOSANT_ERR_NOT_RUNNING, "the device is not connecting or connected"));
        };
        run.loop_owner = Some(here);
        Ok(LoopGuard {
            engine,
            link: Some(link),
            next: run.next.unwrap_or(Next::Now),
            poller: run.own.poller.take(),
            membership,
            events: VecDeque::new(),
            outcome: None,
            given_back: false,
        })
    }

    /// Whether the link has not ended yet.
    pub fn is_running(&self) -> bool {
        self.link.is_some()
    }

    pub fn next(&self) -> Next {
        self.next
    }

    pub fn ready(&mut self, socket: Readiness) {
        if let Some(link) = &mut self.link {
            link.ready(socket);
        }
    }

    /// One round of a device that the caller's thread drives: waits, works, calls the observers.
    pub fn round(&mut self, timeout: Option<Duration>) -> Result<Round, Error> {
        let interrupted = match &mut self.poller {
            Some(poller) => poller.wait(self.engine, &mut self.link, self.next, timeout)?,
            None => false,
        };
        self.work();
        let connecting = self.link.as_ref().is_some_and(|link| link.phase() == Phase::Connecting);
        self.dispatch()?;
        // Edge-triggered readiness is told once, so what is left to do must make the descriptor readable again.
        if self.next == Next::Now {
            self.engine.wake();
        }
        Ok(if connecting && !interrupted { Round::Connecting } else { Round::Over })
    }

    /// Does what can be done without waiting; the events are kept for [`Self::dispatch`].
    pub fn work(&mut self) {
        let Some(link) = &mut self.link else { return };
        let engine = self.engine;
        // Before anything is looked at: work that comes from now on must wake us again.
        engine.work_pending.store(false, Release);
        let close = engine.run.lock().close_requested;
        let (registry, token) = match (&self.membership, &self.poller) {
            (Some(membership), _) => (membership.registry(), membership.token),
            (None, Some(poller)) => (poller.registry(), loop_poll::SOCKET),
            (None, None) => return,
        };
        let mut cx = Context {
            now: Now::read_together(),
            registry,
            token,
            outbox: &engine.outbox,
            link_stats: &engine.link_stats,
            events: &mut self.events,
            commands_wanted: engine.observers.listen_for(EventType::LOSANT_EVENT_COMMAND),
        };
        // A defect must not take the host along; the device is closed instead, and says so.
        let worked = defect::contain(|| {
            #[cfg(test)]
            engine.fault.strike(crate::testing::fault_point::FaultPoint::Work);
            if close {
                link.close(&mut cx);
                Next::Never
            } else {
                link.work(&mut cx)
            }
        });
        let (ended, phase) = match worked {
            Ok(next) => {
                self.next = next;
                (link.ended().cloned(), link.phase())
            }
            Err(what) => (Some(failed(engine, &what)), Phase::Ended),
        };
        engine.online.store(phase == Phase::Online, Release);
        if let Some(why) = ended {
            self.events.push_back(Event::Close(why).into());
        }
        self.engine.rounds.count(&self.engine.outbox);
    }

    /// Ends the connection because of a defect; the caller dispatches.
    pub fn fail(&mut self, what: &str) {
        let why = failed(self.engine, what);
        self.engine.online.store(false, Release);
        self.events.push_back(Event::Close(why).into());
    }

    /// Calls the observers of what has happened. After [`Forked`] nothing is left of this guard: what it had is the
    /// parent's.
    pub fn dispatch(&mut self) -> Result<(), Forked> {
        let outcomes = self.events.iter().any(|pending| matches!(pending, PendingEvent::Outcome(_)));
        let told = self.tell_all();
        if told.is_err() {
            // Its descriptors are the parent's too, and so are the bytes that a farewell would send.
            mem::forget((self.link.take(), self.poller.take(), self.membership.take()));
            self.given_back = true;
        } else if outcomes {
            self.engine.outbox.lock().outcomes_told();
        }
        told
    }

    fn tell_all(&mut self) -> Result<(), Forked> {
        while let Some(pending) = self.events.pop_front() {
            match pending {
                PendingEvent::Event(event) => {
                    if let Event::Close(why) = &event {
                        self.end(why);
                    }
                    self.engine.observers.dispatch(&event)?;
                }
                PendingEvent::Outcome(outcome) => {
                    for event in outcome.events() {
                        self.engine.observers.dispatch(&event)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// From here on the device is idle, so that an observer of the close event may connect it again.
    fn end(&mut self, why: &Error) {
        self.outcome = Some(if why.status == LOSANT_OK { Ok(()) } else { Err(why.clone()) });
        let known = self.link.take().is_some_and(|link| link.known_to_broker());
        let woken = self.engine.run.lock().settle(known);
        report_wake(woken);
    }

    /// Gives the loop back; if a close was asked for meanwhile, does it first. The outcome, if the connection ended.
    pub fn finish(mut self) -> Result<Option<Result<(), Error>>, Forked> {
        loop {
            let mut run = self.engine.run.lock();
            if self.link.is_none() || !run.close_requested {
                let woken = self.give_back(&mut run);
                drop(run);
                report_wake(woken);
                return Ok(self.outcome.take());
            }
            drop(run);
            self.work();
            self.dispatch()?;
        }
    }

    /// For [`report_wake`], when the lock has been let go.
    fn give_back(&mut self, run: &mut Run) -> io::Result<()> {
        let mut woken = Ok(());
        self.given_back = true;
        if let Some(poller) = self.poller.take() {
            run.own.poller = Some(poller);
        }
        if let Some(link) = self.link.take() {
            run.link = Some(link);
            run.next = Some(self.next);
        } else if run.is_running() {
            // An observer of the close event has begun anew, and who was woken for it found us still here.
            woken = run.signal();
        }
        run.loop_owner = None;
        run.waits_for_delivery = false;
        run.given_back.notify_all();
        self.engine.rounds.count(&self.engine.outbox);
        woken
    }
}

/// What a defect means for a device. What it has accepted stays accepted.
fn failed(engine: &Engine, what: &str) -> Error {
    engine.outbox.lock().connection_lost(Blame::Nobody, Instant::now());
    engine.link_stats.lock().set_state(LOSANT_CONNECTION_CLOSED, Instant::now());
    let text = format!("a defect in liblosant ended the connection, please report it: {what}");
    log::error!("{}: {text}", engine.id);
    Error::new(LOSANT_ERR_INTERNAL, text)
}

impl Drop for LoopGuard<'_> {
    /// Where a round was left early.
    fn drop(&mut self) {
        if !self.given_back {
            let woken = {
                let engine = self.engine;
                let mut run = engine.run.lock();
                self.give_back(&mut run)
            };
            report_wake(woken);
        }
    }
}
