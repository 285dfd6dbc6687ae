//! What a device is: the safe Rust API, which the C interface and the tests share. Arguments are checked here; the rest is
//! the engine's.

mod setters;

use crate::{
    connect_limit, defect,
    engine::{Engine, Observer, Tag},
    event::{Event, EventType},
    options::{self, DAY_MS, check_range, check_size},
    outbox::{NewState, Taken},
    pacer::Rate,
    payload::{self, Breach},
    session::Credentials,
    stats::Stats,
    status::Error,
    text::CText,
    time::{Now, Stamp, check_time},
};
use std::{
    os::fd::RawFd,
    sync::{Arc, Weak},
    time::Duration,
};
use zeroize::Zeroizing;

pub use crate::engine::ObserverId;

/// A state with everything that it can have.
#[derive(Clone, Copy, Debug, Default)]
pub struct State<'a> {
    /// The attributes: the text of one JSON object.
    pub json: &'a str,
    /// When it was measured: 0 for now, positive for milliseconds since 1970, negative for that many milliseconds ago.
    pub time_ms: i64,
    /// The peripheral that it is of, where the device is a gateway.
    pub peripheral_id: Option<&'a str>,
    /// The workflow version that is to handle it.
    pub flow_version: Option<&'a str>,
    /// Anything that is handed on with it: JSON text.
    pub meta: Option<&'a str>,
}

impl<'a> State<'a> {
    fn check(&self, now: Now) -> Result<CheckedState<'a>, Error> {
        self.peripheral_id.map_or(Ok(()), |id| options::check_device_id("peripheral_id", id))?;
        let (json, breach) = payload::validate_state(self.json)?;
        let (extra, breach_of_meta) = payload::extra_fields(self.flow_version, self.meta, json.len())?;
        check_time(self.time_ms, now)?;
        Ok(CheckedState { json, extra, breach: breach.or(breach_of_meta) })
    }
}

/// A state that can be accepted.
struct CheckedState<'a> {
    /// The data.
    json: &'a str,
    /// What else the message says.
    extra: Option<String>,
    /// What the platform's schema does not allow in it.
    breach: Option<Breach<'a>>,
}

/// One Losant device: its identity, its options, the states it has accepted, and its connection.
///
/// Clones are the same device. All methods may be called from any thread and from inside any observer, except where
/// they say otherwise. A started device lives until it is closed; one that the caller drives goes with its last clone,
/// without a word to the broker unless it was closed before.
#[derive(Clone)]
pub struct Device {
    engine: Arc<Engine>,
}

impl Device {
    /// A device that is not connected yet. `device_id` is the MQTT client id and part of the topics; `login` the access
    /// key and secret, or nothing where a client certificate is all that the broker asks for.
    pub fn new(device_id: &str, login: Option<(&str, &str)>) -> Result<Self, Error> {
        options::check_device_id("device_id", device_id)?;
        let credentials = match login {
            Some((key, secret)) => {
                options::check_mqtt_text("key", key)?;
                options::check_mqtt_text("secret", secret)?;
                Some(Credentials { key: Zeroizing::new(key.to_owned()), secret: Zeroizing::new(secret.to_owned()) })
            }
            None => None,
        };
        Ok(Device { engine: Engine::new(device_id, credentials) })
    }

    /// The device id.
    pub fn id(&self) -> &str {
        &self.engine.id
    }

    /// Accepts a state: the text of one JSON object. `time_ms` is 0 for now, positive for milliseconds since 1970,
    /// negative for that many milliseconds ago. Connected or not, an accepted state is kept until it is delivered.
    /// Returns the id that delivered and dropped events will name: ids grow by one from state to state.
    pub fn send_state(&self, json: &str, time_ms: i64) -> Result<u64, Error> {
        self.send(&State { json, time_ms, ..State::default() })
    }

    /// Accepts a state with everything else that a state can have. Returns its id, as [`Self::send_state`] does.
    pub fn send(&self, state: &State<'_>) -> Result<u64, Error> {
        self.submit(state, |_| {})
    }

    /// Accepts a state as [`Self::send`] does; `accepted` hears the id before any event about it can be raised. It must not
    /// call the device.
    pub(crate) fn submit(&self, state: &State<'_>, accepted: impl FnOnce(u64)) -> Result<u64, Error> {
        let now = Now::read();
        let checked = state.check(now);
        let mut outbox = self.engine.outbox.lock();
        let CheckedState { json, extra, breach } = checked.inspect_err(|_| outbox.count_invalid())?;
        let stamp = Stamp::new(state.time_ms, now);
        let new =
            NewState { peripheral: state.peripheral_id, json, extra: extra.as_deref(), stamp, breach: breach.as_ref() };
        let Taken { id, dropped, warn } = outbox.push(new, now.instant)?;
        accepted(id);
        drop(outbox);
        self.engine.wake();
        if dropped > 0 {
            log::warn!("{}: outbox full, dropped the {dropped} oldest", self.id());
        }
        if let Some(breach) = breach.filter(|_| warn) {
            log::warn!("{}: {breach}; it goes alone, behind others", self.id());
        }
        Ok(id)
    }

    /// Counts a state that could not even be read.
    pub(crate) fn count_invalid(&self) {
        self.engine.outbox.lock().count_invalid();
    }

    /// All that the device has done so far, as it was at one moment.
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// Whether the connection is complete: states flow and commands arrive.
    pub fn is_connected(&self) -> bool {
        self.engine.is_online()
    }

    /// Connects, and runs the loop on this thread until the device is closed (`Ok`), the first connection fails, or the
    /// broker refuses the credentials. Not possible inside an observer.
    pub fn connect_blocking(&self) -> Result<(), Error> {
        self.engine.connect_blocking()
    }

    /// Begins to connect; [`Self::run_loop`] does the work.
    pub fn connect(&self) -> Result<(), Error> {
        self.engine.connect()
    }

    /// Does what there is to do for a device that was begun by [`Self::connect`], waiting at most this long (`None`: as
    /// long as it takes) for something to come. Observers are called here. Not possible inside an observer of the same
    /// device.
    pub fn run_loop(&self, timeout: Option<Duration>) -> Result<(), Error> {
        self.engine.run_loop(timeout)
    }

    /// Connects and lets the library's background thread, which all started devices share, do the work.
    pub fn start(&self) -> Result<(), Error> {
        self.engine.start()
    }

    /// A descriptor that is readable when [`Self::run_loop`] has work; it stays the same and open as long as the device is.
    pub fn fd(&self) -> Result<RawFd, Error> {
        self.engine.fd()
    }

    /// How long [`Self::run_loop`] need not be called if [`Self::fd`] stays silent; `None`: for ever.
    pub fn next_timeout(&self) -> Result<Option<Duration>, Error> {
        self.engine.next_timeout()
    }

    /// Ends the connection. What is not delivered stays accepted and goes out after the next connect. Never waits.
    pub fn close(&self) -> Result<(), Error> {
        self.engine.close()
    }

    /// Waits until all accepted states are delivered (`Ok`), at most this long (`None`: as long as it takes). Where nobody
    /// else runs the loop, this thread does. Not possible inside an observer.
    pub fn flush(&self, timeout: Option<Duration>) -> Result<(), Error> {
        self.engine.flush(timeout)
    }

    /// Accepts no more states, delivers what it can within this time, and closes the device: `Ok` if all is delivered,
    /// `LOSANT_ERR_NOT_DELIVERED` if not. What is left goes out after the next connect, which is also when states are accepted
    /// again. Not possible inside an observer.
    pub fn drain(&self, timeout: Option<Duration>) -> Result<(), Error> {
        self.engine.drain(timeout)
    }

    /// Adds an observer of one type of event; any number, called in the order added, on the thread that runs the loop. It
    /// is dropped when it has been removed, or the device shut down, and is not running any more; at once if the device is
    /// shut down already. One that panics is logged, and the device goes on.
    ///
    /// Keep the id to remove the observer with [`Self::remove_observer`]. A device whose observers stay as long as it does
    /// needs no ids, and the result may be dropped.
    pub fn add_observer(
        &self,
        event: EventType,
        callback: impl Fn(&Device, &Event) + Send + Sync + 'static,
    ) -> ObserverId {
        let weak: Weak<Engine> = Arc::downgrade(&self.engine);
        let observer = move |event: &Event| {
            let Some(engine) = weak.upgrade() else { return };
            let device = Device { engine };
            if let Err(what) = defect::contain(|| callback(&device, event)) {
                log::error!("{}: an observer panicked: {what}", device.id());
            }
        };
        self.engine.observe(event, None, Arc::new(observer)).unwrap_or(ObserverId::NONE)
    }

    /// Adds an observer that C calls by its arguments; hands it back if the device is shut down already.
    pub(crate) fn add_tagged_observer(
        &self,
        event: EventType,
        tag: Tag,
        observer: Arc<Observer>,
    ) -> Result<(), Arc<Observer>> {
        self.engine.observe(event, Some(tag), observer).map(drop)
    }

    /// Removes the first observer that C added with these arguments; as [`Self::remove_observer`].
    pub(crate) fn remove_tagged_observer(&self, event: EventType, tag: Tag) -> Result<(), Error> {
        self.engine.remove_tagged_observer(event, tag)
    }

    /// The device id as C reads it.
    pub(crate) fn c_id(&self) -> &CText {
        &self.engine.id
    }

    /// Removes an observer. Afterwards it is not running on another thread; inside an observer, where
    /// waiting could be for ever, the answer is `LOSANT_ERR_BUSY` if it still is.
    pub fn remove_observer(&self, id: ObserverId) -> Result<(), Error> {
        self.engine.remove_observer(id)
    }

    /// Ends everything: no observer is called any more, the connection is closed. For handles that are given back while
    /// clones may still be about. The error is `LOSANT_ERR_FORKED`, in a child that a destructor has forked.
    pub fn shut_down(&self) -> Result<(), Error> {
        Ok(self.engine.shut_down()?)
    }

    #[cfg(test)]
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither key nor secret.
        f.debug_struct("Device").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// Sets how many connections the whole process may begin in any window of `window_ms`, over all devices: up to 100,000,
/// 0 for no limit; 1 ms to a day. The defaults are Losant's limit for one application: 300, 15,000.
pub fn set_connect_limit(attempts: u32, window_ms: u64) -> Result<(), Error> {
    let messages = check_size("attempts", "", attempts.into(), 0..=100_000)?;
    check_range("window_ms", "ms", window_ms, 1..=DAY_MS)?;
    connect_limit::set_rate(Rate { messages, window: Duration::from_millis(window_ms) });
    Ok(())
}
