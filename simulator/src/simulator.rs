//! The simulator as a test holds it.

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use native_tls::TlsAcceptor;
use serde_json::Value;

use crate::config::{Config, Transport};
use crate::connection::Connection;
use crate::fault::{Fault, Target};
use crate::packet;
use crate::platform::{Link, Platform, wall_clock_ms};
use crate::rate::{self, Rate};
use crate::record::{Ban, ConnectionRecord, Records, Rejected, StateRecord, Violation};
use crate::stream;
use crate::wake::{self, Sleeper, Waker};

/// A running simulator; dropping it closes its connections and ends its threads.
pub struct Simulator {
    platform: Arc<Platform>,
    listeners: Vec<Listener>,
}

struct Listener {
    transport: Transport,
    port: u16,
    socket: Arc<TcpListener>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts to listen.
    ///
    /// # Errors
    /// A port is taken, the certificate for TLS is missing or bad, or the time scale is not from 0.001 to 1,000,000.
    pub fn start(config: Config) -> io::Result<Self> {
        if !(0.001..=1e6).contains(&config.time_scale) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the time scale is out of range"));
        }
        let platform = Arc::new(Platform::new(config));
        let mut simulator = Self { platform: platform.clone(), listeners: Vec::new() };
        for &(transport, port) in &platform.config.listeners {
            let identity = platform.config.identity.as_ref();
            let acceptor = if transport.secure() { Some(stream::acceptor(identity)?) } else { None };
            let socket = Arc::new(TcpListener::bind((platform.config.host, port))?);
            rate::narrow((&*socket).into(), platform.config.rate);
            socket.set_nonblocking(true)?;
            let port = socket.local_addr()?.port();
            let (waker, sleeper) = wake::pair()?;
            let (platform, listener) = (platform.clone(), socket.clone());
            let thread = thread::Builder::new()
                .name(format!("listen-{port}"))
                .spawn(move || listen(&platform, &listener, &sleeper, transport, acceptor))?;
            simulator.listeners.push(Listener { transport, port, socket, waker, thread: Some(thread) });
        }
        Ok(simulator)
    }

    /// The port of the first listener; 0 without one.
    pub fn port(&self) -> u16 {
        self.listeners.first().map_or(0, |listener| listener.port)
    }

    /// The transports and their ports, in the order of the configuration.
    pub fn ports(&self) -> Vec<(Transport, u16)> {
        self.listeners.iter().map(|listener| (listener.transport, listener.port)).collect()
    }

    /// The states taken so far, in the order of arrival.
    pub fn states(&self) -> Vec<StateRecord> {
        self.read(|records| records.states.clone())
    }

    /// The states that were ignored, because their time is too far from now.
    pub fn ignored(&self) -> Vec<StateRecord> {
        self.read(|records| records.ignored.clone())
    }

    /// The states that were not taken, and the payloads on state topics that hold none.
    pub fn rejected(&self) -> Vec<Rejected> {
        self.read(|records| records.rejected.clone())
    }

    /// What devices did that is not allowed.
    pub fn violations(&self) -> Vec<Violation> {
        self.read(|records| records.violations.clone())
    }

    /// The bans so far.
    pub fn bans(&self) -> Vec<Ban> {
        self.read(|records| records.bans.clone())
    }

    /// The connections so far, the ended ones too.
    pub fn connections(&self) -> Vec<ConnectionRecord> {
        self.read(|records| records.connections.clone())
    }

    /// Looks at the records without copying them. Nothing else happens meanwhile, so `work` must be quick, and must not
    /// call the simulator.
    pub fn read<T>(&self, work: impl FnOnce(&Records) -> T) -> T {
        self.platform.read(work)
    }

    /// Waits until `predicate` holds, which is asked after each change: whether it did in time. It must not call the
    /// simulator.
    pub fn wait_until(&self, predicate: impl FnMut(&Records) -> bool, timeout: Duration) -> bool {
        self.platform.wait_until(predicate, timeout)
    }

    /// Sends a command: whether a connection has subscribed to the device's commands. Like the platform, it keeps none.
    pub fn send_command(&self, device: &str, name: &str, payload: Option<&Value>) -> bool {
        let command = packet::command(name, payload, wall_clock_ms());
        self.send(&packet::command_topic(device), &command) > 0
    }

    /// Sends any payload on any topic: to how many connections.
    pub fn send(&self, topic: &str, payload: &[u8]) -> usize {
        self.platform.deliver(topic, payload)
    }

    /// Sets how fast all links are, those that stand too.
    pub fn set_rate(&self, rate: Rate) {
        for listener in &self.listeners {
            rate::narrow((&*listener.socket).into(), rate);
        }
        self.platform.set_rate(rate);
    }

    /// Sets a fault: whether a configured device is meant. A fault waits until it can happen, if need be on the device's
    /// next connection; one that goes on replaces an earlier one of its kind.
    pub fn set_fault(&self, target: impl Into<Target>, fault: Fault) -> bool {
        self.platform.change_faults(&target.into(), |faults, device| faults.set(device, fault.clone(), None))
    }

    /// Sets a fault that happens this many times for each device.
    pub fn set_fault_times(&self, target: impl Into<Target>, fault: Fault, times: u32) -> bool {
        self.platform.change_faults(&target.into(), |faults, device| faults.set(device, fault.clone(), Some(times)))
    }

    /// Removes the faults that wait or go on.
    pub fn clear_faults(&self, target: impl Into<Target>) -> bool {
        self.platform.change_faults(&target.into(), |faults, device| faults.clear(device))
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.platform.stop();
        for listener in &self.listeners {
            listener.waker.wake();
        }
        for thread in self.listeners.iter_mut().filter_map(|listener| listener.thread.take()) {
            let _ = thread.join();
        }
    }
}

/// Accepts until the simulator stops, and then waits for the connections to end.
fn listen(
    platform: &Arc<Platform>,
    socket: &TcpListener,
    sleeper: &Sleeper,
    transport: Transport,
    acceptor: Option<TlsAcceptor>,
) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while !platform.is_stopping() {
        let pause = match accept(platform, socket, transport, acceptor.clone()) {
            Ok(thread) => {
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread);
                continue;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            // The process has no descriptors or threads left, or the peer has gone already.
            Err(_) => Some(Duration::from_millis(50)),
        };
        if sleeper.sleep(socket, pause.is_none(), false, pause).is_err() {
            break;
        }
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn accept(
    platform: &Arc<Platform>,
    listener: &TcpListener,
    transport: Transport,
    acceptor: Option<TlsAcceptor>,
) -> io::Result<JoinHandle<()>> {
    let (socket, peer) = listener.accept()?;
    let (orders, receiver) = mpsc::channel();
    let (waker, sleeper) = wake::pair()?;
    let id = platform.opened(peer, Link { orders, waker, socket: socket.try_clone()?, device: None });
    let connection = Connection { platform: platform.clone(), id, socket, orders: receiver, sleeper };
    let thread = thread::Builder::new().name(format!("connection-{id}"));
    let spawned = thread.spawn(move || connection.run(transport, acceptor.as_ref()));
    spawned.inspect_err(|error| platform.closed(id, &error.to_string()))
}
