//! What a device is: the safe Rust API, which the C interface and the tests share.

use crate::{
    connection::{Connection, Plan},
    driver::{self, Turns},
    event::{Event, EventType},
    observers::{ObserverId, Observers},
    options::{self, DAY_MS, Options, Transport},
    outbox::{Counters, Limits, Outbox, WhenFull},
    pacer::Rate,
    payload,
    process::ProcessId,
    session::Identity,
    status::{Error, Status::*},
    time::{Now, Stamp},
    transport::{IdentitySource, parse_certificates, parse_identity},
};
use parking_lot::{Mutex, MutexGuard};
use rumqttc::QoS;
use std::{
    os::fd::RawFd,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::*},
    },
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

    /// The broker's host name or address; the default is `broker.losant.com`.
    pub fn set_host(&self, host: &str) -> Result<(), Error> {
        options::check_host(host)?;
        self.set(|options| host.clone_into(&mut options.host))
    }

    /// The broker's port; 0, the default, is the usual one for the transport.
    pub fn set_port(&self, port: u16) -> Result<(), Error> {
        self.set(|options| options.port = (port != 0).then_some(port))
    }

    /// Whether to use TLS; the default is true.
    pub fn set_secure(&self, secure: bool) -> Result<(), Error> {
        self.set(|options| options.secure = secure)
    }

    /// What carries MQTT; the default is TCP.
    pub fn set_transport(&self, transport: Transport) -> Result<(), Error> {
        self.set(|options| options.transport = transport)
    }

    /// The path that a WebSocket is asked for; the default is `/mqtt`.
    pub fn set_websocket_path(&self, path: &str) -> Result<(), Error> {
        options::check_websocket_path(path)?;
        self.set(|options| path.clone_into(&mut options.websocket_path))
    }

    /// The network interface that connections must use, for example `wwan0`; `None`, the default, lets the system choose.
    pub fn set_interface(&self, name: Option<&str>) -> Result<(), Error> {
        name.map_or(Ok(()), options::check_interface)?;
        self.set(|options| options.interface = name.map(str::to_owned))
    }

    /// Roots to trust, as PEM text, besides the bundled ones or, with `replace`, instead of them. `None` takes them back.
    pub fn set_ca_pem(&self, pem: Option<&str>, replace: bool) -> Result<(), Error> {
        if let Some(pem) = pem {
            parse_certificates("pem", pem.as_bytes())?;
        }
        self.set(|options| {
            options.trust.bundled = !(replace && pem.is_some());
            options.trust.ca_pem = pem.map(str::to_owned);
        })
    }

    /// The same from a file, which is read again at each connection, so that it can be changed in the field.
    pub fn set_ca_file(&self, path: Option<&Path>, replace: bool) -> Result<(), Error> {
        self.set(|options| {
            options.trust.bundled = !(replace && path.is_some());
            options.trust.ca_file = path.map(Path::to_owned);
        })
    }

    /// Whether to trust the roots of the operating system too; the default is false.
    pub fn set_system_roots(&self, trusted: bool) -> Result<(), Error> {
        self.set(|options| options.trust.system = trusted)
    }

    /// The device's own certificate chain, leaf first, and its unencrypted PKCS#8 key, as PEM texts.
    pub fn set_client_certificate_pem(&self, certificates: &str, key: &str) -> Result<(), Error> {
        parse_identity(certificates.as_bytes(), key.as_bytes())?;
        let key = Zeroizing::new(key.to_owned());
        let identity = IdentitySource::Text { certificates: certificates.to_owned(), key };
        self.set(|options| options.trust.identity = Some(identity))
    }

    /// The same from files, which are read again at each connection, so that they can be renewed in the field.
    pub fn set_client_certificate_files(&self, certificates: &Path, key: &Path) -> Result<(), Error> {
        let identity = IdentitySource::Files { certificates: certificates.to_owned(), key: key.to_owned() };
        self.set(|options| options.trust.identity = Some(identity))
    }

    /// The MQTT keep-alive in seconds, 1 to 65,535; the default is 15. A dead link is found within twice this time.
    pub fn set_keep_alive(&self, seconds: u32) -> Result<(), Error> {
        options::check_range("keep-alive", "s", seconds.into(), 1..=u16::MAX.into())?;
        self.set(|options| options.keep_alive = Duration::from_secs(seconds.into()))
    }

    /// The MQTT quality of service of states: 1, the default, or 0. The platform has no QoS 2.
    pub fn set_qos(&self, qos: u8) -> Result<(), Error> {
        options::check_range("QoS", "", qos.into(), 0..=1)?;
        self.set(|options| options.qos = qos)
    }

    /// Bounds of the random delay before a reconnect: at most `initial_ms` before the first, doubling up to `max_ms`.
    /// 1 ms to a day; the defaults are 1,000 and 60,000.
    pub fn set_reconnect_delay(&self, initial_ms: u64, max_ms: u64) -> Result<(), Error> {
        options::check_range("initial_ms", "ms", initial_ms, 1..=DAY_MS)?;
        options::check_range("max_ms", "ms", max_ms, initial_ms..=DAY_MS)?;
        self.set(|options| {
            options.reconnect_initial = Duration::from_millis(initial_ms);
            options.reconnect_max = Duration::from_millis(max_ms);
        })
    }

    /// How long one attempt to connect may take in all, from name resolution to the broker's acceptance: 1 ms to a day;
    /// the default is 30,000.
    pub fn set_connect_timeout(&self, timeout_ms: u64) -> Result<(), Error> {
        options::check_range("timeout_ms", "ms", timeout_ms, 1..=DAY_MS)?;
        self.set(|options| options.connect_timeout = Duration::from_millis(timeout_ms))
    }

    /// How much the outbox holds before it is full: 1 to 10,000,000 states and 1,024 bytes to 1 GB; the defaults are
    /// 50,000 and 8 MB. A state counts its JSON text and about 100 bytes. What is over a lowered limit is dropped.
    pub fn set_outbox_limits(&self, states: u64, bytes: u64) -> Result<(), Error> {
        let states = options::check_size("states", "", states, 1..=10_000_000)?;
        let bytes = options::check_size("bytes", "bytes", bytes, 1024..=1 << 30)?;
        self.set_limit(|limits| (limits.states, limits.bytes) = (states, bytes))
    }

    /// What happens to a state that finds the outbox full; the default is that the oldest make room.
    pub fn set_when_full(&self, policy: WhenFull) -> Result<(), Error> {
        self.set_limit(|limits| limits.when_full = policy)
    }

    /// How many QoS 1 messages may be sent before the first is acknowledged: 1 to 10,000; the default is 100.
    pub fn set_in_flight(&self, messages: u32) -> Result<(), Error> {
        let messages = options::check_size("messages", "", messages.into(), 1..=10_000)?;
        self.set_limit(|limits| limits.in_flight = messages)
    }

    /// The largest message that states which must wait are merged into, in bytes: 0 (never merge), or 1,024 to 262,144,
    /// which is the default and the platform's limit.
    pub fn set_merge_limit(&self, bytes: u32) -> Result<(), Error> {
        if bytes != 0 {
            options::check_range("bytes", "bytes", bytes.into(), 1024..=payload::MAX_PAYLOAD as u64)?;
        }
        self.set_limit(|limits| limits.merge = bytes as usize)
    }

    /// The broker's throttle: at most so many messages on one topic, and on the whole connection, within any window of
    /// `window_ms`. Up to 100,000 messages, 0 for no limit; 1 ms to a day. The defaults are Losant's: 30, 300, 15,000.
    pub fn set_rate_limit(&self, per_topic: u32, per_connection: u32, window_ms: u64) -> Result<(), Error> {
        let per_topic = options::check_size("per_topic", "messages", per_topic.into(), 0..=100_000)?;
        let per_connection = options::check_size("per_connection", "messages", per_connection.into(), 0..=100_000)?;
        options::check_range("window_ms", "ms", window_ms, 1..=DAY_MS)?;
        let window = Duration::from_millis(window_ms);
        self.set_limit(|limits| {
            limits.per_topic = Rate { messages: per_topic, window };
            limits.per_connection = Rate { messages: per_connection, window };
        })
    }

    fn set_limit(&self, change: impl FnOnce(&mut Limits)) -> Result<(), Error> {
        self.set(|options| {
            change(&mut options.limits);
            self.inner.outbox.lock().set_limits(options.limits);
        })
    }

    fn set(&self, change: impl FnOnce(&mut Options)) -> Result<(), Error> {
        let run = self.inner.run.lock();
        if run.is_running() {
            return Err(Error::new(
                LOSANT_ERR_ALREADY_RUNNING,
                "options are set before connecting: close the device first",
            ));
        }
        change(&mut self.inner.options.lock());
        Ok(())
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
        if matches!(event, EventType::LOSANT_EVENT_DELIVERED | EventType::LOSANT_EVENT_DROPPED) {
            self.inner.outbox.lock().want_outcomes();
        }
        self.inner.observers.add(event, Arc::new(callback)).unwrap_or(ObserverId::NONE)
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
