//! The kernel's poll, which a model asks without waiting: it waits for the next wake-up of the model instead.

use mio::{Events, Interest, Registry, Token, unix::SourceFd};
use shuttle::sync as shuttled;
use std::{
    io,
    os::fd::{AsRawFd, RawFd},
    sync::Arc,
    time::Duration,
};

/// How often a descriptor of a model may have become ready.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    count: shuttled::Mutex<u64>,
    changed: shuttled::Condvar,
}

fn wakes() -> Arc<Wakes> {
    super::RUN.with_borrow(|run| run.polls.clone())
}

/// Something has been written to a descriptor that somebody may be polling.
pub(crate) fn woken() {
    let wakes = wakes();
    *wakes.count.lock().unwrap() += 1;
    wakes.changed.notify_all();
}

/// Asks until the answer is yes, each time that something may have changed.
pub(crate) fn wait_until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let wakes = wakes();
    loop {
        let seen = *wakes.count.lock().unwrap();
        if let Some(answer) = ask() {
            return answer;
        }
        let mut count = wakes.count.lock().unwrap();
        while *count == seen {
            count = wakes.changed.wait(count).unwrap();
        }
    }
}

/// What an event loop of a host does: waits until this descriptor is readable.
pub(crate) fn wait_readable(fd: RawFd) {
    let mut host = mio::Poll::new().expect("there are descriptors left");
    host.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE).expect("it can be polled");
    let mut events = Events::with_capacity(1);
    wait_until(|| {
        host.poll(&mut events, Some(Duration::ZERO)).expect("it can be polled");
        (!events.is_empty()).then_some(())
    });
}

#[derive(Debug)]
pub(crate) struct Poll(mio::Poll);

impl Poll {
    pub fn new() -> io::Result<Self> {
        mio::Poll::new().map(Poll)
    }

    pub fn registry(&self) -> &Registry {
        self.0.registry()
    }

    pub fn poll(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        if !super::is_on() || timeout == Some(Duration::ZERO) {
            return self.0.poll(events, timeout);
        }
        wait_until(|| match self.0.poll(events, Some(Duration::ZERO)) {
            Ok(()) => (!events.is_empty()).then_some(Ok(())),
            Err(e) => Some(Err(e)),
        })
    }
}

impl AsRawFd for Poll {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[derive(Debug)]
pub(crate) struct Waker(mio::Waker);

impl Waker {
    pub fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        mio::Waker::new(registry, token).map(Waker)
    }

    pub fn wake(&self) -> io::Result<()> {
        self.0.wake()?;
        if super::is_on() {
            woken();
        }
        Ok(())
    }
}
