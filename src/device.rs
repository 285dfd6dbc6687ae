//! What a device is: the safe Rust API, which the C interface and the tests share.

mod setters;

use crate::{
    connection::{Connection, Plan},
    driver::{self, Turns},
    event::{Event, EventType},
    observers::{Callback, ObserverId, Observers},
    options::{self, Options},
    outbox::{Counters, Outbox},
    payload,
    process::ProcessId,
    session::Identity,
    status::Error,
    sync::{AtomicBool, Mutex, MutexGuard, Rank, Ranked},
    time::{Now, Stamp},
};
use rumqttc::QoS;
use std::{
    os::fd::RawFd,
    sync::{Arc, atomic::Ordering::*},
    time::Duration,
};
use zeroize::Zeroizing;

/// One Losant device: its identity, its options, the states it has accepted, and its connection.
///
/// Clones are the same device. All methods may be called from any thread and from inside any observer, except where
/// they say otherwise. A started device lives until it is closed; one that the caller drives goes with its last clone,
/// without a word to the broker unless it was closed before.
#[derive(Clone)]
pub struct Device {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub id: String,
    /// Access key and secret; none for devices that only their certificate names.
    login: Option<(Zeroizing<String>, Zeroizing<String>)>,
    pub outbox: Mutex<Outbox>,
    pub turns: Turns,
    pub observers: Observers,
    pub online: AtomicBool,
    /// Set by whoever has made work for the loop, cleared by the loop before it looks.
    pub woken: AtomicBool,
    pub run: Mutex<driver::Run>,
    options: Mutex<Options>,
    #[cfg(test)]
    pub defect: crate::defect::Injected,
}

impl Ranked for Outbox {
    const RANK: Rank = Rank::Outbox;
}

impl Ranked for Options {
    const RANK: Rank = Rank::Options;
}

impl Device {
    /// A device that is not connected yet. `device_id` is the MQTT client id and part of the topics; `login` the access
    /// key and secret, or nothing where a client certificate is all that the broker asks for.
    pub fn new(device_id: &str, login: Option<(&str, &str)>) -> Result<Self, Error> {
        options::check_device_id("device_id", device_id)?;
        let login = match login {
            Some((key, secret)) => {
                options::check_mqtt_text("key", key)?;
                options::check_mqtt_text("secret", secret)?;
                Some((Zeroizing::new(key.to_owned()), Zeroizing::new(secret.to_owned())))
            }
            None => None,
        };
        let options = Options::default();
        Ok(Device {
            inner: Arc::new(Inner {
                id: device_id.to_owned(),
                login,
                outbox: Mutex::new(Outbox::new(device_id, options.limits)),
                turns: Turns::default(),
                observers: Observers::default(),
                online: AtomicBool::new(false),
                woken: AtomicBool::new(false),
                run: Mutex::new(driver::Run::default()),
                options: Mutex::new(options),
                #[cfg(test)]
                defect: crate::defect::Injected::default(),
            }),
        })
    }

    /// The device id.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Accepts a state: the text of one JSON object. `time_ms` is 0 for now, positive for milliseconds since 1970,
    /// negative for that many milliseconds ago. Connected or not, an accepted state is kept until it is delivered.
    /// Returns the id that delivered and dropped events will name: ids grow by one from state to state.
    pub fn send_state(&self, json: &str, time_ms: i64) -> Result<u64, Error> {
        self.submit(None, json, time_ms, |_| {})
    }

    /// The same for a peripheral of this device, which is its gateway.
    pub fn send_peripheral_state(&self, peripheral_id: &str, json: &str, time_ms: i64) -> Result<u64, Error> {
        self.submit(Some(peripheral_id), json, time_ms, |_| {})
    }

    /// The same; `accepted` hears the id before any event about it can be raised. It must not call the device.
    pub fn submit(
        &self,
        peripheral_id: Option<&str>,
        json: &str,
        time_ms: i64,
        accepted: impl FnOnce(u64),
    ) -> Result<u64, Error> {
        peripheral_id.map_or(Ok(()), |id| options::check_device_id("peripheral_id", id))?;
        let json = payload::validate_state(json)?;
        let now = Now::read();
        let stamp = Stamp::new(time_ms, now);
        let (id, dropped) = {
            let mut outbox = self.inner.outbox.lock();
            let taken = outbox.push(peripheral_id, json, stamp, now.instant)?;
            accepted(taken.0);
            taken
        };
        self.inner.wake();
        if dropped > 0 {
            log::warn!("{}: outbox full, dropped the {dropped} oldest", self.inner.id);
        }
        Ok(id)
    }

    /// What became of the states so far.
    pub fn counters(&self) -> Counters {
        self.inner.outbox.lock().counters()
    }

    /// Whether the connection is complete: states flow and commands arrive.
    pub fn is_connected(&self) -> bool {
        self.inner.online.load(Acquire)
    }

    /// Connects, and turns the loop on this thread until the device is closed (`Ok`), the first connection fails, or the
    /// broker refuses the credentials. Not possible inside an observer.
    pub fn connect_blocking(&self) -> Result<(), Error> {
        driver::connect_blocking(&self.inner)
    }

    /// Begins to connect; [`Self::turn`] does the work.
    pub fn connect(&self) -> Result<(), Error> {
        driver::connect(&self.inner)
    }

    /// Does what there is to do for a device that was begun by [`Self::connect`], waiting at most this long (`None`: as
    /// long as it takes) for something to come. Observers are called here. Not possible inside an observer of the same
    /// device.
    pub fn turn(&self, timeout: Option<Duration>) -> Result<(), Error> {
        driver::turn(&self.inner, timeout)
    }

    /// Connects and lets the library's background thread, which all started devices share, do the work.
    pub fn start(&self) -> Result<(), Error> {
        driver::start(&self.inner)
    }

    /// A descriptor that is readable when [`Self::turn`] has work; it stays the same and open as long as the device is.
    pub fn fd(&self) -> Result<RawFd, Error> {
        driver::fd(&self.inner)
    }

    /// How long [`Self::turn`] need not be called if [`Self::fd`] stays silent; `None`: for ever.
    pub fn next_timeout(&self) -> Result<Option<Duration>, Error> {
        driver::next_timeout(&self.inner)
    }

    /// Ends the connection. What is not delivered stays accepted and goes out after the next connect. Never waits.
    pub fn close(&self) -> Result<(), Error> {
        driver::close(&self.inner)
    }

    /// Waits until all accepted states are delivered (`Ok`), at most this long (`None`: as long as it takes). Where nobody
    /// else turns the loop, this thread does. Not possible inside an observer.
    pub fn flush(&self, timeout: Option<Duration>) -> Result<(), Error> {
        driver::flush(&self.inner, timeout)
    }

    /// Accepts no more states, delivers what it can within this time, and closes the device: how many states are left.
    /// They go out after the next connect, which is also when states are accepted again. Not possible inside an observer.
    pub fn close_timeout(&self, timeout: Option<Duration>) -> Result<u64, Error> {
        driver::close_timeout(&self.inner, timeout)
    }

    /// Adds an observer of one type of event; any number, called in the order added. It is dropped when it has been
    /// removed, or the device shut down, and is not running any more; at once if the device is shut down already.
    pub fn add_observer(
        &self,
        event: EventType,
        callback: impl Fn(&Device, &Event) + Send + Sync + 'static,
    ) -> ObserverId {
        self.observe(event, Arc::new(callback)).unwrap_or(ObserverId::NONE)
    }

    /// The same; hands the callback back if the device is shut down already.
    pub(crate) fn observe(&self, event: EventType, callback: Arc<Callback>) -> Result<ObserverId, Arc<Callback>> {
        if matches!(event, EventType::LOSANT_EVENT_DELIVERED | EventType::LOSANT_EVENT_DROPPED) {
            self.inner.outbox.lock().want_outcomes();
        }
        self.inner.observers.add(event, callback)
    }

    /// Removes an observer. Afterwards it is not running on another thread; inside an observer, where
    /// waiting could be for ever, the answer is `LOSANT_ERR_BUSY` if it still is.
    pub fn remove_observer(&self, id: ObserverId) -> Result<(), Error> {
        self.inner.observers.remove(id)
    }

    /// Ends everything: no observer is called any more, the connection is closed. For handles that are given back while
    /// clones may still be about.
    pub fn shut_down(&self) {
        self.inner.shut_down();
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither key nor secret.
        f.debug_struct("Device").field("id", &self.inner.id).finish_non_exhaustive()
    }
}

impl Inner {
    /// Makes the loop turn: there is something to send or to end.
    pub fn wake(&self) {
        if !self.woken.swap(true, AcqRel) {
            let woken = self.run.lock().signal();
            driver::report(woken);
        }
    }

    /// A connection as the options of now want it. The caller holds `run`, so that no option changes meanwhile.
    pub fn plan(
        self: &Arc<Self>,
        run: &MutexGuard<'_, driver::Run>,
        first_failure_ends: bool,
    ) -> Result<Connection, Error> {
        let options = self.options.lock();
        let plan = Plan {
            identity: Identity {
                client_id: self.id.clone(),
                login: self.login.clone(),
                command_topic: format!("losant/{}/command", self.id),
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
            if let Some(inner) = weak.upgrade() {
                inner.wake();
            }
        };
        Ok(Connection::new(plan, Arc::new(notify)))
    }

    pub fn shut_down(self: &Arc<Self>) {
        let process = ProcessId::current();
        self.observers.close();
        // What hangs on an observer may have forked when it was dropped.
        if !process.is_past() {
            driver::shut_down(self);
        }
    }
}
