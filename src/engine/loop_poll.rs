//! The poll of a device that the caller's threads drive, and its descriptor for the caller's own event loop.

use super::Engine;
use crate::{
    connection::{Link, Next, Readiness},
    status::{Error, Status::*},
    sync::{Poll, Waker},
};
use mio::{Events, Registry, Token};
use std::{
    io,
    os::fd::{AsRawFd, RawFd},
    sync::{Arc, atomic::Ordering::*},
    time::{Duration, Instant},
};

pub(super) const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);

/// What whoever runs the loop waits with.
pub(super) struct Poller {
    poll: Poll,
    events: Events,
}

impl Poller {
    pub fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Waits until there is something to do, at most this long, and tells the link that its socket is ready. Whether the
    /// wait was interrupted by a signal of the host, which wants to look around.
    pub fn wait(
        &mut self,
        engine: &Engine,
        link: &mut Option<Box<dyn Link>>,
        next: Next,
        timeout: Option<Duration>,
    ) -> Result<bool, Error> {
        let timeout = {
            let mut run = engine.run.lock();
            if run.close_requested || engine.work_pending.load(Acquire) || next == Next::Now {
                Some(Duration::ZERO)
            } else {
                run.own.sleeping = true;
                let due = match next {
                    Next::At(when) => Some(when.saturating_duration_since(Instant::now())),
                    Next::Now | Next::Never => None,
                };
                due.map_or(timeout, |due| Some(timeout.map_or(due, |timeout| timeout.min(due))))
            }
        };
        let outcome = self.poll.poll(&mut self.events, timeout);
        engine.run.lock().own.sleeping = false;
        match outcome {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(e) => return Err(Error::new(LOSANT_ERR_SYSTEM, format!("cannot poll: {e}"))),
        }
        let socket = self.events.iter().find(|event| event.token() == SOCKET);
        if let (Some(event), Some(link)) = (socket, link) {
            link.ready(Readiness { ready: true, hung_up: event.is_read_closed() });
        }
        Ok(false)
    }
}

/// Where a device keeps its poll. It is made once, when first needed, and stays.
#[derive(Default)]
pub(super) struct LoopPoll {
    /// Not here while someone runs the loop.
    pub poller: Option<Box<Poller>>,
    waker: Option<Arc<Waker>>,
    fd: Option<RawFd>,
    /// Whether the caller may be polling the descriptor, so that each piece of work must make it readable.
    fd_shared: bool,
    /// Whether someone is in the poll.
    pub sleeping: bool,
}

impl LoopPoll {
    pub fn make(&mut self) -> Result<(), Error> {
        if self.waker.is_some() {
            return Ok(());
        }
        let (poll, waker) = make_poll(WAKE)?;
        self.fd = Some(poll.as_raw_fd());
        self.waker = Some(Arc::new(waker));
        self.poller = Some(Box::new(Poller { poll, events: Events::with_capacity(4) }));
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
        if let Some(poller) = &mut self.poller {
            // Failure leaves it readable, no more.
            let _ = poller.poll.poll(&mut poller.events, Some(Duration::ZERO));
        }
    }

    pub fn wake(&self) -> io::Result<()> {
        match &self.waker {
            Some(waker) if self.sleeping || self.fd_shared => waker.wake(),
            _ => Ok(()),
        }
    }
}

/// A poll, and what wakes it under this token.
pub(super) fn make_poll(wake: Token) -> Result<(Poll, Waker), Error> {
    let made = Poll::new().and_then(|poll| Waker::new(poll.registry(), wake).map(|waker| (poll, waker)));
    made.map_err(|e| Error::new(LOSANT_ERR_SYSTEM, format!("cannot make a poll descriptor: {e}")))
}
