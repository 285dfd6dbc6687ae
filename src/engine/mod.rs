//! What runs a device: the right to run its loop, the caller's own loop, the background thread, and waiting for delivery.
//!
//! A device's link lies in its [`Run`]. Whoever runs the loop takes it out (see [`loop_guard`]), works on it with no lock
//! held, calls the observers, and puts it back; so there is never more than one, and the host's code never meets a lock.

mod background;
mod flush;
mod loop_guard;
mod loop_poll;
mod observers;
mod run;

pub use observers::ObserverId;
pub(crate) use observers::{Observer, Tag};

use crate::{
    callback::{Forked, in_callback},
    connection::{Connection, ConnectionConfig, Link, Next, OpenLink},
    event::EventType,
    options::Options,
    outbox::Outbox,
    session::{Credentials, Identity},
    stats::{ConnectionState::LOSANT_CONNECTION_CONNECTING, LinkStats, Stats},
    status::{Error, Status::*},
    sync::{AtomicBool, Mutex, MutexGuard, Rank, Ranked, thread},
    text::CText,
    throttle,
};
use flush::Rounds;
use loop_guard::LoopGuard;
use observers::Observers;
use rumqttc::QoS;
use run::{Mode, Run, wait_for_give_back};
use std::{
    io,
    os::fd::RawFd,
    sync::{Arc, atomic::Ordering::*},
    time::{Duration, Instant},
};

/// One device: its identity, its options, the states that it has accepted, and its connection.
pub(crate) struct Engine {
    pub id: CText,
    credentials: Option<Credentials>,
    pub outbox: Mutex<Outbox>,
    link_stats: Mutex<LinkStats>,
    observers: Observers,
    rounds: Rounds,
    online: AtomicBool,
    /// Set by whoever has made work for the loop, cleared by the loop before it looks.
    work_pending: AtomicBool,
    run: Mutex<Run>,
    open_link: OpenLink,
    #[cfg(test)]
    pub fault: crate::testing::fault_point::Faults,
}

impl Ranked for Outbox {
    const RANK: Rank = Rank::Outbox;
}

impl Engine {
    pub fn new(id: &str, credentials: Option<Credentials>) -> Arc<Engine> {
        let options = Options::default();
        Arc::new(Engine {
            id: id.into(),
            credentials,
            outbox: Mutex::new(Outbox::new(id, options.limits)),
            link_stats: Mutex::new(LinkStats::new(Instant::now())),
            observers: Observers::default(),
            rounds: Rounds::default(),
            online: AtomicBool::new(false),
            work_pending: AtomicBool::new(false),
            run: Mutex::new(Run::new(options)),
            #[cfg(not(test))]
            open_link: Connection::open,
            #[cfg(test)]
            open_link: crate::testing::model_link::open_link(Connection::open),
            #[cfg(test)]
            fault: Default::default(),
        })
    }

    /// Changes options of a device that is not connecting or connected.
    pub fn change_options(&self, change: impl FnOnce(&mut Options)) -> Result<(), Error> {
        let mut run = self.run.lock();
        if run.is_running() {
            let why = "options are set before connecting: close the device first";
            return Err(Error::new(LOSANT_ERR_ALREADY_RUNNING, why));
        }
        let limits = run.options.limits;
        change(&mut run.options);
        if run.options.limits != limits {
            self.outbox.lock().set_limits(run.options.limits);
        }
        Ok(())
    }

    /// Adds an observer; hands it back if the device is shut down already.
    pub fn observe(
        &self,
        event: EventType,
        tag: Option<Tag>,
        observer: Arc<Observer>,
    ) -> Result<ObserverId, Arc<Observer>> {
        if matches!(event, EventType::LOSANT_EVENT_DELIVERED | EventType::LOSANT_EVENT_DROPPED) {
            self.outbox.lock().want_outcomes();
        }
        self.observers.add(event, tag, observer)
    }

    pub fn remove_observer(&self, id: ObserverId) -> Result<(), Error> {
        self.observers.remove_id(id)
    }

    pub fn remove_tagged_observer(&self, event: EventType, tag: Tag) -> Result<(), Error> {
        self.observers.remove_tagged(event, tag)
    }

    /// All that the device has done so far, as it was at one moment.
    pub fn stats(&self) -> Stats {
        let now = Instant::now();
        let mut stats = Stats::default();
        let mut outbox = self.outbox.lock();
        outbox.fill(&mut stats, now);
        self.link_stats.lock().fill(&mut stats, now);
        stats
    }

    /// Whether the connection is complete: states flow and commands arrive.
    pub fn is_online(&self) -> bool {
        self.online.load(Acquire)
    }

    /// Wakes whoever runs the loop: there is something to send or to end.
    pub fn wake(&self) {
        if !self.work_pending.swap(true, AcqRel) {
            let woken = self.run.lock().signal();
            report_wake(woken);
        }
    }

    /// Connects, and runs the loop on this thread until the device has ended.
    pub fn connect_blocking(self: &Arc<Self>) -> Result<(), Error> {
        if in_callback() {
            return Err(Error::new(LOSANT_ERR_IN_CALLBACK, "a blocking connect is not possible inside a callback"));
        }
        let run = self.begin_own(true)?;
        // Held to the end: a close by another thread is to be done here, not to find the loop unattended in between.
        let mut guard = LoopGuard::take(self, run)?;
        while guard.is_running() {
            if let Err(failure) = guard.round(None) {
                if failure.status != LOSANT_ERR_FORKED {
                    // Nobody would drive it from here on.
                    self.run.lock().close_requested = true;
                    guard.finish()?;
                }
                return Err(failure);
            }
        }
        guard.finish()?.unwrap_or(Ok(()))
    }

    /// Begins to connect; [`Self::run_loop`] does the work.
    pub fn connect(self: &Arc<Self>) -> Result<(), Error> {
        let woken = self.begin_own(false)?.signal();
        report_wake(woken);
        Ok(())
    }

    fn begin_own(self: &Arc<Self>, first_failure_ends: bool) -> Result<MutexGuard<'_, Run>, Error> {
        let mut run = self.run.lock();
        if first_failure_ends {
            // The thread that ended it the last time may still be in the observers of the close event.
            while run.loop_owner.is_some() && !run.is_running() {
                wait_for_give_back(&mut run, None);
            }
        }
        run.check_idle()?;
        run.own.make()?;
        let link = self.link(&run, first_failure_ends);
        self.open_outbox(&run);
        self.link_stats.lock().set_state(LOSANT_CONNECTION_CONNECTING, Instant::now());
        run.begin(Mode::Own, link);
        Ok(run)
    }

    /// Runs the loop of a device that was begun by [`Self::connect`]: waits at most this long for something to do
    /// (`None`: as long as it takes), and does it. While a connection is being made it goes on within that time.
    pub fn run_loop(self: &Arc<Self>, timeout: Option<Duration>) -> Result<(), Error> {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut left = timeout;
        loop {
            let round = self.run_round(left, None)?;
            left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if round != Round::Connecting || left == Some(Duration::ZERO) {
                return Ok(());
            }
        }
    }

    /// `after`: the round that someone who waits for delivery has seen last; at once back if there was another since.
    fn run_round(self: &Arc<Self>, timeout: Option<Duration>, after: Option<u64>) -> Result<Round, Error> {
        let mut run = self.run.lock();
        if !run.is_running() {
            run.own.drain();
        }
        run.check_own()?;
        let elsewhere = run.loop_owner.is_some_and(|loop_owner| loop_owner != thread::here());
        // Inside a callback this would be for ever if the other thread, in a callback too, waited for this one's device.
        let may_wait = elsewhere && !in_callback();
        if may_wait && (run.close_requested || run.link.is_some() || run.waits_for_delivery) {
            // The other thread is not in the loop of its own: it closes the device, is still in the observers of the close
            // before, or flushes.
            wait_for_give_back(&mut run, timeout);
            return Ok(Round::Over);
        }
        if run.loop_owner.is_none() {
            if after.is_some_and(|seen| seen != self.rounds.seen()) {
                return Ok(Round::Over);
            }
            run.waits_for_delivery = after.is_some();
        }
        let mut guard = LoopGuard::take(self, run)?;
        let round = guard.round(timeout)?;
        guard.finish()?.unwrap_or(Ok(()))?;
        Ok(round)
    }

    /// Connects and lets the background thread, which all started devices share, do the work.
    pub fn start(self: &Arc<Self>) -> Result<(), Error> {
        let mut run = self.run.lock();
        run.check_idle()?;
        let link = self.link(&run, false);
        let membership = background::join(self)?;
        self.open_outbox(&run);
        self.link_stats.lock().set_state(LOSANT_CONNECTION_CONNECTING, Instant::now());
        run.begin(Mode::Background(membership), link);
        let woken = run.signal();
        drop(run);
        report_wake(woken);
        Ok(())
    }

    /// A descriptor that is readable when [`Self::run_loop`] has work.
    pub fn fd(&self) -> Result<RawFd, Error> {
        let mut run = self.run.lock();
        if let Mode::Background(_) = run.mode {
            run.check_own()?;
        }
        run.own.make()?;
        run.own.share_fd(self.work_pending.load(Acquire))
    }

    /// How long [`Self::run_loop`] need not be called if the descriptor stays silent; `None`: for ever.
    pub fn next_timeout(&self) -> Result<Option<Duration>, Error> {
        let run = self.run.lock();
        run.check_own()?;
        Ok(match run.next {
            _ if run.close_requested || self.work_pending.load(Acquire) => Some(Duration::ZERO),
            Some(Next::Now) => Some(Duration::ZERO),
            Some(Next::At(when)) => Some(when.saturating_duration_since(Instant::now())),
            Some(Next::Never) | None => None,
        })
    }

    /// Ends the connection. Never waits.
    pub fn close(self: &Arc<Self>) -> Result<(), Error> {
        let mut run = self.run.lock();
        if !run.is_running() {
            return Ok(());
        }
        run.close_requested = true;
        if run.loop_owner.is_some() || matches!(run.mode, Mode::Background(_)) {
            let woken = run.signal();
            drop(run);
            report_wake(woken);
            return Ok(());
        }
        // Nobody is in the loop, so this thread runs it for the last time.
        LoopGuard::take(self, run)?.finish()?;
        Ok(())
    }

    /// Ends everything: no observer is called any more, the connection is closed.
    pub fn shut_down(self: &Arc<Self>) -> Result<(), Forked> {
        self.observers.close()?;
        self.end_now()?;
        if !in_callback() {
            background::reap();
        }
        Ok(())
    }

    /// Ends the connection here and now unless another thread, or this one further up the stack, is at work on it: then that
    /// one does it as soon as it is back in the library. The background thread is back in a moment, for no callback of the
    /// device runs any more; it is waited for, so that it can end.
    fn end_now(self: &Arc<Self>) -> Result<(), Forked> {
        let mut run = self.run.lock();
        run.freed = true;
        let here = thread::here();
        let mut woken = Ok(());
        // More than once where the loop_owner was still in the observers of the close before, and another thread had begun anew.
        while run.is_running() {
            run.close_requested = true;
            let Some(loop_owner) = run.loop_owner else {
                if let Ok(guard) = LoopGuard::take(self, run) {
                    guard.finish()?;
                }
                report_wake(woken);
                return Ok(());
            };
            woken = run.signal();
            if loop_owner == here || in_callback() || !matches!(run.mode, Mode::Background(_)) {
                break;
            }
            wait_for_give_back(&mut run, None);
        }
        drop(run);
        report_wake(woken);
        Ok(())
    }

    /// States are accepted, and go out at the pace that is left to this device id on that broker.
    fn open_outbox(&self, run: &MutexGuard<'_, Run>) {
        let options = &run.options;
        let (target, limits) = (options.target(), options.limits);
        let now = Instant::now();
        let throttle =
            throttle::of(&self.id, target.host.identity(), target.port, limits.per_topic, limits.per_connection, now);
        let mut outbox = self.outbox.lock();
        outbox.set_throttle(throttle);
        outbox.set_closing(false);
    }

    /// A link as the options of now want it. The caller holds `run`, so that no option changes meanwhile.
    fn link(self: &Arc<Self>, run: &MutexGuard<'_, Run>, first_failure_ends: bool) -> Box<dyn Link> {
        let options = &run.options;
        let config = ConnectionConfig {
            identity: Identity {
                client_id: self.id.to_string(),
                credentials: self.credentials.clone(),
                command_topic: format!("losant/{}/command", self.id),
                subscribe: options.receive_commands,
                keep_alive: options.keep_alive,
            },
            target: options.target(),
            qos: if options.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce },
            reconnect_initial: options.reconnect_initial,
            reconnect_max: options.reconnect_max,
            connect_timeout: options.connect_timeout,
            first_failure_ends,
            known_to_broker: run.known_to_broker,
        };
        // Weak: a resolver that hangs must not keep the device and its secret.
        let weak = Arc::downgrade(self);
        let notify = move || {
            if let Some(engine) = weak.upgrade() {
                engine.wake();
            }
        };
        (self.open_link)(config, Arc::new(notify))
    }
}

/// What came of one round of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// A connection is being made, and nothing but the network is in its way.
    Connecting,
    Over,
}

/// Logs that whoever waits for a device could not be woken, as when the host has closed descriptors that are not its own.
/// Not to be called with a lock held: the log callback may call any function.
fn report_wake(woken: io::Result<()>) {
    if let Err(e) = woken {
        log::error!("cannot wake the thread that waits for the network: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As by a thread that has looked the handle up just before another freed it.
    #[test]
    fn nothing_begins_after_the_end() {
        let engine = Engine::new("d", None);
        engine.shut_down().unwrap();
        for begun in [engine.start(), engine.connect(), engine.connect_blocking()] {
            assert_eq!(begun.unwrap_err().status, LOSANT_ERR_INVALID_HANDLE);
        }
    }
}
