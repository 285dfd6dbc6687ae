//! The one background thread that all started devices share. It begins with the first and ends with the last.

use super::{Engine, LoopGuard, loop_poll::make_poll, report_wake};
use crate::{
    callback::Forked,
    connection::{Next, Readiness},
    defect,
    process::PerProcess,
    status::{Error, Status::*},
    sync::{
        Condvar, Mutex, Poll, Rank, Ranked, Waker, spawn_quiet,
        thread::{self, JoinHandle},
    },
};
use mio::{Events, Registry, Token};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::Instant,
};

#[cfg(test)]
use crate::testing::fault_point::FaultPoint;

const WAKE: Token = Token(0);

/// The thread that runs, and those that have ended but were not waited for.
#[derive(Default)]
struct Threads {
    current: Option<Thread>,
    ended: Vec<Thread>,
}

type Thread = (Arc<Shared>, JoinHandle<()>);

impl Ranked for Threads {
    const RANK: Rank = Rank::Threads;
}

static THREADS: PerProcess<Mutex<Threads>> = PerProcess::new(Mutex::new(Threads { current: None, ended: Vec::new() }));

/// What the thread and the devices' callers share.
struct Shared {
    waker: Waker,
    registry: Registry,
    mailbox: Mutex<Mailbox>,
    /// Signalled when `calling` or `over` has changed.
    changed: Condvar,
}

#[derive(Default)]
struct Mailbox {
    joined: Vec<(Token, Arc<Engine>)>,
    woken: Vec<Token>,
    /// Devices that run here now.
    members: usize,
    last_token: usize,
    /// The device whose callbacks the thread may be in.
    calling: Option<Arc<Engine>>,
    /// The thread will do nothing more.
    over: bool,
}

impl Ranked for Mailbox {
    const RANK: Rank = Rank::Mailbox;
}

/// A device that runs on the background thread.
#[derive(Clone)]
pub(super) struct Membership {
    shared: Arc<Shared>,
    pub token: Token,
}

impl Membership {
    /// Makes the thread run this device's loop.
    pub fn wake(&self) -> io::Result<()> {
        self.shared.wake(self.token)
    }

    pub fn leave(self) -> io::Result<()> {
        self.shared.mailbox.lock().members -= 1;
        self.wake()
    }

    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }
}

impl Shared {
    fn wake(&self, token: Token) -> io::Result<()> {
        let mut mailbox = self.mailbox.lock();
        mailbox.woken.push(token);
        // Later ones find the thread woken already.
        if mailbox.woken.len() == 1 { self.waker.wake() } else { Ok(()) }
    }

    fn set_calling(&self, device: Option<Arc<Engine>>) {
        self.mailbox.lock().calling = device;
        self.changed.notify_all();
    }

    fn set_over(&self) {
        self.mailbox.lock().over = true;
        self.changed.notify_all();
    }

    /// Waits until the thread is over; not if it may be in a callback, which may be waiting for this very thread.
    fn wait_until_over(&self) -> bool {
        let mut mailbox = self.mailbox.lock();
        while !mailbox.over && !mailbox.calling.as_ref().is_some_and(|device| device.observers.may_run()) {
            self.changed.wait(&mut mailbox);
        }
        mailbox.over
    }
}

/// Makes a device a member of the background thread, which is started if there is none.
pub(super) fn join(engine: &Arc<Engine>) -> Result<Membership, Error> {
    let mut threads = THREADS.get().lock();
    // Where devices end inside callbacks, nobody waits for their threads.
    threads.ended.retain(|(_, thread)| !thread.is_finished());
    let shared = match &threads.current {
        Some((shared, _)) => shared.clone(),
        None => {
            let (shared, thread) = begin()?;
            threads.current = Some((shared.clone(), thread));
            shared
        }
    };
    let mut mailbox = shared.mailbox.lock();
    mailbox.members += 1;
    mailbox.last_token += 1;
    let token = Token(mailbox.last_token);
    mailbox.joined.push((token, engine.clone()));
    drop(mailbox);
    Ok(Membership { shared, token })
}

fn begin() -> Result<Thread, Error> {
    let failed = |e: io::Error| Error::new(LOSANT_ERR_SYSTEM, format!("cannot make a poll descriptor: {e}"));
    let (poll, waker) = make_poll(WAKE)?;
    let registry = poll.registry().try_clone().map_err(failed)?;
    let shared = Arc::new(Shared { waker, registry, mailbox: Mutex::default(), changed: Condvar::new() });
    let theirs = shared.clone();
    let thread = spawn_quiet("losant", move || {
        let mut worker = Worker::new(theirs, poll);
        let ended = defect::contain(|| worker.run()).unwrap_or_else(|what| worker.fail(&what));
        match ended {
            Ok(()) => worker.shared.set_over(),
            // What it has is its parent's.
            Err(Forked) => std::mem::forget(worker),
        }
    })?;
    Ok((shared, thread))
}

/// Waits for threads that have nothing more to do, so that none is left when the last device has been freed; one that is
/// in a callback, of whatever device, is left for the next time. Not to be called inside a callback.
pub(super) fn reap() {
    let mut woken = Ok(());
    let ended = {
        let mut threads = THREADS.get().lock();
        let unused = |(shared, _): &mut Thread| shared.mailbox.lock().members == 0;
        if let Some((shared, thread)) = threads.current.take_if(unused) {
            woken = shared.wake(WAKE);
            threads.ended.push((shared, thread));
        }
        std::mem::take(&mut threads.ended)
    };
    report_wake(woken);
    for (shared, thread) in ended {
        // On the thread itself, as from a log callback, there is nothing to wait for.
        if !thread::is_here(&thread) && shared.wait_until_over() {
            // It caught its panics; there is nothing to learn.
            let _ = thread.join();
        } else {
            THREADS.get().lock().ended.push((shared, thread));
        }
    }
}

struct Member {
    engine: Arc<Engine>,
    due: Option<Instant>,
}

/// The thread's own view.
struct Worker {
    shared: Arc<Shared>,
    poll: Poll,
    events: Events,
    members: BTreeMap<Token, Member>,
    timers: BTreeSet<(Instant, Token)>,
    /// Devices that have more to do than one round.
    unfinished: Vec<Token>,
}

impl Worker {
    fn new(shared: Arc<Shared>, poll: Poll) -> Self {
        Worker {
            shared,
            poll,
            events: Events::with_capacity(256),
            members: BTreeMap::new(),
            timers: BTreeSet::new(),
            unfinished: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<(), Forked> {
        loop {
            for (token, readiness) in self.gather() {
                self.round(token, readiness)?;
            }
            if self.members.is_empty() && self.may_end() {
                return Ok(());
            }
        }
    }

    /// A defect has ended this thread: its devices are closed and say so; those started from now on get another thread.
    fn fail(&mut self, what: &str) -> Result<(), Forked> {
        self.retire(&mut THREADS.get().lock());
        let joined = std::mem::take(&mut self.shared.mailbox.lock().joined);
        let members = std::mem::take(&mut self.members).into_iter().map(|(token, member)| (token, member.engine));
        for (token, engine) in members.chain(joined) {
            // A thread that has it now is freeing it, and ends it itself.
            if let Ok(mut guard) = LoopGuard::take_background(&engine, token) {
                guard.fail(what);
                self.tell(&engine, guard)?;
            }
        }
        Ok(())
    }

    /// Calls the observers of what has happened, and gives the loop back: when the device wants its next round.
    fn tell(&self, engine: &Arc<Engine>, mut guard: LoopGuard<'_>) -> Result<Next, Forked> {
        self.shared.set_calling(Some(engine.clone()));
        guard.dispatch()?;
        let next = guard.next();
        let ended = guard.finish()?.is_some();
        self.shared.set_calling(None);
        Ok(if ended { Next::Never } else { next })
    }

    /// Waits, and tells which devices want a round of work.
    fn gather(&mut self) -> BTreeMap<Token, Readiness> {
        let timeout = if self.unfinished.is_empty() {
            self.timers.first().map(|(due, _)| due.saturating_duration_since(Instant::now()))
        } else {
            Some(std::time::Duration::ZERO)
        };
        if let Err(e) = self.poll.poll(&mut self.events, timeout) {
            // All signals are blocked here, yet a debugger interrupts too.
            if e.kind() != io::ErrorKind::Interrupted {
                log::error!("cannot poll: {e}");
            }
        }
        #[cfg(test)]
        self.members.values().for_each(|member| member.engine.fault.strike(FaultPoint::Thread));
        let mut due = BTreeMap::new();
        for token in self.unfinished.drain(..) {
            due.insert(token, Readiness::default());
        }
        let mut mailbox = self.shared.mailbox.lock();
        for (token, engine) in mailbox.joined.drain(..) {
            self.members.insert(token, Member { engine, due: None });
            due.insert(token, Readiness::default());
        }
        for token in mailbox.woken.drain(..) {
            due.entry(token).or_default();
        }
        drop(mailbox);
        let now = Instant::now();
        while let Some((when, token)) = self.timers.first().copied().filter(|(when, _)| *when <= now) {
            self.timers.remove(&(when, token));
            if let Some(member) = self.members.get_mut(&token) {
                member.due = None;
            }
            due.entry(token).or_default();
        }
        for event in &self.events {
            if event.token() != WAKE {
                let readiness = due.entry(event.token()).or_default();
                readiness.ready = true;
                readiness.hung_up |= event.is_read_closed();
            }
        }
        due
    }

    /// One round of a device.
    fn round(&mut self, token: Token, readiness: Readiness) -> Result<(), Forked> {
        let Some(member) = self.members.get(&token) else { return Ok(()) };
        let engine = member.engine.clone();
        let next = match LoopGuard::take_background(&engine, token) {
            Ok(mut guard) => {
                guard.ready(readiness);
                guard.work();
                Some(self.tell(&engine, guard)?)
            }
            // Another thread has it for a moment and will wake us.
            Err(e) if e.status == LOSANT_ERR_BUSY => None,
            Err(_) => Some(Next::Never),
        };
        let Some(member) = self.members.get_mut(&token) else { return Ok(()) };
        if let Some(due) = member.due.take() {
            self.timers.remove(&(due, token));
        }
        match next {
            Some(Next::Now) => self.unfinished.push(token),
            Some(Next::At(when)) => {
                member.due = Some(when);
                self.timers.insert((when, token));
            }
            Some(Next::Never) => {
                self.members.remove(&token);
            }
            None => {}
        }
        Ok(())
    }

    /// Whether the thread is no longer needed; if so, it is no longer the current one.
    fn may_end(&self) -> bool {
        let mut threads = THREADS.get().lock();
        if self.shared.mailbox.lock().members > 0 {
            return false;
        }
        self.retire(&mut threads);
        true
    }

    /// Is no longer the current one.
    fn retire(&self, threads: &mut Threads) {
        let mine = |(shared, _): &mut Thread| Arc::ptr_eq(shared, &self.shared);
        if let Some(thread) = threads.current.take_if(mine) {
            threads.ended.push(thread);
        }
    }
}
