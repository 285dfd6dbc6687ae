//! The poll of a device that the caller's threads drive, and its descriptor for the caller's own event loop.

use super::{Crank, crank::forked};
use crate::{
    connection::{Next, Readiness},
    status::{Error, Status::*},
    sync::{Poll, Waker},
};
use mio::{Events, Token};
use std::{
    io,
    os::fd::{AsRawFd, RawFd},
    sync::{Arc, atomic::Ordering::*},
    time::{Duration, Instant},
};

pub(super) const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);

pub(super) struct OwnPoll {
    pub poll: Poll,
    events: Events,
}

/// Where a device keeps its poll. It is made once, when first needed, and stays.
#[derive(Default)]
pub(super) struct Place {
    /// Not here while someone turns the loop.
    pub poll: Option<Box<OwnPoll>>,
    waker: Option<Arc<Waker>>,
    fd: Option<RawFd>,
    /// Whether the caller may be polling the descriptor, so that each piece of work must make it readable.
    fd_shared: bool,
    /// Whether someone is in the poll.
    pub sleeping: bool,
}

impl Place {
    pub fn make(&mut self) -> Result<(), Error> {
        if self.waker.is_some() {
            return Ok(());
        }
        let failed = |e: io::Error| Error::new(LOSANT_ERR_SYSTEM, format!("cannot make a poll descriptor: {e}"));
        let poll = Poll::new().map_err(failed)?;
        let waker = Waker::new(poll.registry(), WAKE).map_err(failed)?;
        self.fd = Some(poll.as_raw_fd());
        self.waker = Some(Arc::new(waker));
        self.poll = Some(Box::new(OwnPoll { poll, events: Events::with_capacity(4) }));
        Ok(())
    }

    /// Hands out the descriptor; `pending` tells that there is work already.
    pub fn share_fd(&mut self, pending: bool) -> Result<RawFd, Error> {
        self.fd_shared = true;
        if pending {
            self.wake().map_err(|e| Error::new(LOSANT_ERR_SYSTEM, format!("cannot wake the loop: {e}")))?;
        }
        self.fd.ok_or_else(|| Error::new(LOSANT_ERR_INTERNAL, "no poll descriptor"))
    }

    /// Makes the descriptor silent: there is nothing that the loop could do.
    pub fn drain(&mut self) {
        if let Some(own) = &mut self.poll {
            // Failure leaves it readable, no more.
            let _ = own.poll.poll(&mut own.events, Some(Duration::ZERO));
        }
    }

    pub fn wake(&self) -> io::Result<()> {
        match &self.waker {
            Some(waker) if self.sleeping || self.fd_shared => waker.wake(),
            _ => Ok(()),
        }
    }
}

impl Crank<'_> {
    /// One turn of a device that the caller's thread drives: waits, works, calls the observers.
    pub fn turn_own(&mut self, timeout: Option<Duration>) -> Result<(), Error> {
        self.wait(timeout)?;
        self.work();
        self.dispatch();
        if self.is_past() {
            return Err(forked());
        }
        // Edge-triggered readiness is told once, so what is left to do must make the descriptor readable again.
        if self.next == Next::Now {
            self.inner.wake();
        }
        Ok(())
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), Error> {
        let Some(own) = &mut self.own else { return Ok(()) };
        let timeout = {
            let mut run = self.inner.run.lock();
            if run.close_requested || self.inner.woken.load(Acquire) || self.next == Next::Now {
                Some(Duration::ZERO)
            } else {
                run.own.sleeping = true;
                let due = match self.next {
                    Next::At(when) => Some(when.saturating_duration_since(Instant::now())),
                    Next::Now | Next::Never => None,
                };
                due.map_or(timeout, |due| Some(timeout.map_or(due, |timeout| timeout.min(due))))
            }
        };
        let outcome = own.poll.poll(&mut own.events, timeout);
        self.inner.run.lock().own.sleeping = false;
        match outcome {
            Ok(()) => {}
            // A signal of the host: it wants to look around.
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(e) => return Err(Error::new(LOSANT_ERR_SYSTEM, format!("cannot poll: {e}"))),
        }
        let socket = own.events.iter().find(|event| event.token() == SOCKET);
        if let (Some(event), Some(connection)) = (socket, &mut self.connection) {
            connection.ready(Readiness { ready: true, hung_up: event.is_read_closed() });
        }
        Ok(())
    }
}
