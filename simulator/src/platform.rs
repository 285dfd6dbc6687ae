//! What all connections share: the rules of the platform and the record of what happened.

mod requests;
mod store;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Connect, Publish};

use crate::config::{Config, DeviceConfig, device_of};
use crate::fault::{Fault, Faults};
use crate::packet;
use crate::rate::{self, Rate, SharedRate};
use crate::record::{Ban, ConnectionRecord, Offence, PublishRecord, Records, Violation};
use crate::throttle::{Refused, Throttle};
use crate::wake::Waker;

/// The largest payload of a message.
pub(crate) const LARGEST: usize = 262_144;

/// What a connection's thread is told by others.
pub(crate) enum Order {
    Write(Vec<u8>),
    Close(String),
    /// Faults or rates have been set.
    Look,
}

/// How others reach a connection's thread.
pub(crate) struct Link {
    pub orders: Sender<Order>,
    pub waker: Waker,
    pub socket: TcpStream,
    /// Once it is accepted.
    pub device: Option<String>,
}

impl Link {
    fn tell(&self, order: Order) {
        let _ = self.orders.send(order);
        self.waker.wake();
    }
}

/// The answer to a CONNECT.
pub(crate) enum Greeting {
    Accepted,
    Refused { code: Option<u8>, reason: String },
}

pub(crate) struct Platform {
    pub config: Config,
    pub rate: SharedRate,
    start: Instant,
    stopping: AtomicBool,
    inner: Mutex<Inner>,
    changed: Condvar,
}

struct Inner {
    records: Records,
    throttle: Throttle,
    faults: Faults,
    links: BTreeMap<u64, Link>,
}

impl Inner {
    /// The error is why the connection has ended. Its thread may not know yet: what it still reads counts for nothing.
    fn check_open(&self, id: u64) -> Result<(), String> {
        self.records.connection(id).and_then(|connection| connection.closed.clone()).map_or(Ok(()), Err)
    }
}

pub(crate) fn wall_clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn published(connection: u64, device: &str, message: &Publish) -> PublishRecord {
    PublishRecord {
        device: device.to_owned(),
        topic: message.topic.clone(),
        bytes: message.payload.len(),
        dup: message.dup,
        qos: message.qos as u8,
        connection,
        arrival: Instant::now(),
    }
}

impl Platform {
    pub fn new(config: Config) -> Self {
        let throttle = Throttle::new(config.limits.clone());
        let (records, faults) = (Records::default(), Faults::default());
        let inner = Mutex::new(Inner { records, throttle, faults, links: BTreeMap::new() });
        let (start, stopping, changed) = (Instant::now(), AtomicBool::new(false), Condvar::new());
        let rate = SharedRate::new(config.rate);
        Self { config, rate, start, stopping, inner, changed }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the shared state, and tells those who wait for it.
    fn change<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        let result = work(&mut self.lock());
        self.changed.notify_all();
        result
    }

    fn print(&self, record: &dyn Display) {
        if let Some(printer) = &self.config.printer {
            printer(&record.to_string());
        }
    }

    /// The time of the throttle.
    fn now(&self) -> Duration {
        self.start.elapsed().mul_f64(self.config.time_scale)
    }

    fn device(&self, id: &str) -> Option<&DeviceConfig> {
        self.config.devices.iter().find(|device| device.id == id)
    }

    pub fn read<T>(&self, work: impl FnOnce(&Records) -> T) -> T {
        work(&self.lock().records)
    }

    pub fn wait_until(&self, mut predicate: impl FnMut(&Records) -> bool, timeout: Duration) -> bool {
        let guard = self.lock();
        let waited = self.changed.wait_timeout_while(guard, timeout, |inner| !predicate(&inner.records));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    pub fn set_rate(&self, rate: Rate) {
        self.rate.set(rate);
        for link in self.lock().links.values() {
            rate::narrow((&link.socket).into(), rate);
            link.tell(Order::Look);
        }
    }

    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for link in self.lock().links.values() {
            let _ = link.socket.shutdown(Shutdown::Both);
            link.waker.wake();
        }
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub fn opened(&self, peer: SocketAddr, link: Link) -> u64 {
        self.change(|inner| {
            let id = inner.records.connections.len() as u64 + 1;
            let (device, connack, closed, topics) = (None, None, None, Vec::new());
            let record = ConnectionRecord { id, peer, device, connack, topics, publishes: 0, pings: 0, closed };
            inner.records.connections.push(record);
            if self.is_stopping() {
                let _ = link.socket.shutdown(Shutdown::Both);
            }
            inner.links.insert(id, link);
            id
        })
    }

    /// The connection is no use to the device any more.
    pub fn ended(&self, id: u64, reason: &str) {
        self.change(|inner| self.end_in(&mut inner.records, id, reason));
    }

    fn end_in(&self, records: &mut Records, id: u64, reason: &str) {
        if let Some(connection) = records.connection_mut(id).filter(|connection| connection.closed.is_none()) {
            connection.closed = Some(reason.to_owned());
            let device = connection.device.as_deref().unwrap_or("-");
            self.print(&format_args!("disconnected {device} {reason}"));
        }
    }

    /// The connection's thread is done.
    pub fn closed(&self, id: u64, reason: &str) {
        self.ended(id, reason);
        self.lock().links.remove(&id);
    }

    /// Records an offence; the result is the reason to close the connection with.
    pub fn offend(&self, id: u64, offence: Offence) -> String {
        self.change(|inner| inner.check_open(id).map_or_else(|ended| ended, |()| self.offend_in(inner, id, offence)))
    }

    fn offend_in(&self, inner: &mut Inner, id: u64, offence: Offence) -> String {
        let device = inner.records.connection(id).and_then(|connection| connection.device.clone());
        let violation = Violation { device, connection: id, offence };
        self.print(&violation);
        let reason = violation.offence.to_string();
        inner.records.violations.push(violation);
        reason
    }

    /// Records what the throttle has said.
    fn refused(&self, inner: &mut Inner, id: u64, device: Option<&str>, refused: Refused) -> String {
        match refused {
            Refused::Exceeded(excess, length) => {
                let ban = Ban { device: device.map(str::to_owned), begin: self.now(), length, refused: 0 };
                self.print(&ban);
                inner.records.bans.push(ban);
                self.offend_in(inner, id, Offence::Rate(excess))
            }
            Refused::Banned(left) => {
                if let Some(ban) = inner.records.bans.iter_mut().rfind(|ban| ban.device.as_deref() == device) {
                    ban.refused += 1;
                }
                format!("banned for {:.1} s more", left.as_secs_f64())
            }
        }
    }

    /// Answers a CONNECT, and makes the connection the device's only one if it is accepted.
    pub fn connect(&self, id: u64, connect: &Connect) -> Greeting {
        self.change(|inner| {
            if let Some(connection) = inner.records.connection_mut(id) {
                connection.device = Some(connect.client_id.clone());
            }
            let greeting = self.judge(inner, id, connect);
            let device = &connect.client_id;
            let (code, closed) = match &greeting {
                Greeting::Accepted => {
                    self.print(&format_args!("connected {device}"));
                    (Some(0), None)
                }
                Greeting::Refused { code, reason } => {
                    self.print(&format_args!("refused {device} {reason}"));
                    (*code, Some(reason.clone()))
                }
            };
            if let Some(connection) = inner.records.connection_mut(id) {
                (connection.connack, connection.closed) = (code, closed);
            }
            greeting
        })
    }

    fn judge(&self, inner: &mut Inner, id: u64, connect: &Connect) -> Greeting {
        let now = self.now();
        let banned = self.config.ban_connack;
        let refuse = |code, reason| Greeting::Refused { code, reason };
        if let Err(refused) = inner.throttle.attempt(now) {
            return refuse(banned, self.refused(inner, id, None, refused));
        }
        let Some(device) = self.device(&connect.client_id) else { return refuse(Some(5), "unknown device".into()) };
        if !connect.login.as_ref().is_some_and(|login| login.validate(&device.key, &device.secret)) {
            return refuse(Some(4), "wrong key or secret".into());
        }
        if let Err(refused) = inner.throttle.admit(&device.id, now) {
            return refuse(banned, self.refused(inner, id, Some(&device.id), refused));
        }
        let will = connect.last_will.as_ref();
        let offence = if !connect.clean_session {
            Some(Offence::KeptSession)
        } else if will.is_some_and(|will| will.qos == QoS::ExactlyOnce) {
            Some(Offence::Qos2)
        } else if will.is_some_and(|will| will.retain) {
            Some(Offence::Retained)
        } else {
            will.and_then(|will| device.may_publish(&will.topic).err())
        };
        if let Some(offence) = offence {
            return refuse(None, self.offend_in(inner, id, offence));
        }
        if let Some(Fault::RefuseConnack(code)) =
            self.take_in(inner, id, &device.id, |fault| matches!(fault, Fault::RefuseConnack(_)))
        {
            return refuse(Some(code), format!("refused on request with {code}"));
        }
        for (other, link) in inner.links.iter().filter(|(_, link)| link.device.as_deref() == Some(&device.id)) {
            let reason = "the device has connected again";
            link.tell(Order::Close(reason.into()));
            self.end_in(&mut inner.records, *other, reason);
        }
        if let Some(link) = inner.links.get_mut(&id) {
            link.device = Some(device.id.clone());
        }
        Greeting::Accepted
    }

    /// Counts and judges a message; the error is the reason to close the connection with.
    pub fn publish(&self, id: u64, device_id: &str, message: &Publish) -> Result<(), String> {
        self.change(|inner| {
            inner.check_open(id)?;
            if let Some(connection) = inner.records.connection_mut(id) {
                connection.publishes += 1;
            }
            inner.records.publishes.push(published(id, device_id, message));
            let offence = if message.payload.len() > LARGEST {
                Some(Offence::Oversize)
            } else if message.qos == QoS::ExactlyOnce {
                Some(Offence::Qos2)
            } else if message.retain {
                Some(Offence::Retained)
            } else {
                self.device(device_id).and_then(|device| device.may_publish(&message.topic).err())
            };
            if let Some(offence) = offence {
                return Err(self.offend_in(inner, id, offence));
            }
            if let Err(refused) = inner.throttle.publish(device_id, &message.topic, self.now()) {
                return Err(self.refused(inner, id, Some(device_id), refused));
            }
            if let Some(device) = device_of(&message.topic, "/state") {
                self.store(inner, id, device, message);
            }
            Ok(())
        })
    }

    /// Subscribes to topics; the error is the reason to close the connection with.
    pub fn subscribe(&self, id: u64, device_id: &str, topics: &[String]) -> Result<(), String> {
        self.change(|inner| {
            inner.check_open(id)?;
            let device = self.device(device_id);
            let offence = device.and_then(|device| topics.iter().find_map(|topic| device.may_subscribe(topic).err()));
            if let Some(offence) = offence {
                return Err(self.offend_in(inner, id, offence));
            }
            if let Some(connection) = inner.records.connection_mut(id) {
                connection.topics.retain(|topic| !topics.contains(topic));
                connection.topics.extend_from_slice(topics);
            }
            Ok(())
        })
    }

    pub fn unsubscribe(&self, id: u64, topics: &[String]) {
        self.change(|inner| {
            if let Some(connection) = inner.records.connection_mut(id) {
                connection.topics.retain(|topic| !topics.contains(topic));
            }
        });
    }

    pub fn pinged(&self, id: u64) {
        self.change(|inner| {
            if let Some(connection) = inner.records.connection_mut(id) {
                connection.pings += 1;
            }
        });
    }

    pub fn is_subscribed(&self, id: u64, topic: &str) -> bool {
        self.read(|records| {
            records.connection(id).is_some_and(|connection| connection.topics.iter().any(|t| t == topic))
        })
    }

    /// Sends a message to whoever has subscribed to the topic: how many connections that is.
    pub fn deliver(&self, topic: &str, payload: &[u8]) -> usize {
        let inner = self.lock();
        let subscribed = |id| {
            let connection = inner.records.connection(id).filter(|connection| connection.closed.is_none());
            connection.is_some_and(|connection| connection.topics.iter().any(|t| t == topic))
        };
        let links = inner.links.iter().filter(|(id, _)| subscribed(**id));
        links.map(|(_, link)| link.tell(Order::Write(packet::publish(topic, payload)))).count()
    }
}
