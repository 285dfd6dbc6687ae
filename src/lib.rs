//! Device client for the Losant IoT platform, made for C and C++ firmware and for everything that calls C.
//!
//! A [`Device`] accepts states (JSON text), keeps them until the platform has acknowledged them, and tells observers of
//! commands and of its connection. It speaks MQTT 3.1.1. The loop that does the network work runs on the caller's thread,
//! in the caller's event loop, or on one background thread that all devices share.
//!
//! # Example
//!
//! A device against the simulator of the platform, which is part of the source:
//!
//! ```
//! use losant::{Device, Event, EventType};
//! use losant_simulator::{Config, DeviceConfig, Simulator};
//! use std::{sync::mpsc, time::Duration};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let known = DeviceConfig::new("my-device-id", "my-app-access-key", "my-app-access-secret");
//! let simulator = Simulator::start(Config::new(vec![known]))?;
//!
//! let device = Device::new("my-device-id", Some(("my-app-access-key", "my-app-access-secret")))?;
//! device.set_host("127.0.0.1")?;
//! device.set_port(simulator.port())?;
//! device.set_secure(false)?;
//!
//! let (commands, arrived) = mpsc::channel();
//! device.add_observer(EventType::LOSANT_EVENT_COMMAND, move |_, event| {
//!     if let Event::Command { command, .. } = event {
//!         let _ = commands.send(command.name.to_string());
//!     }
//! });
//! device.start()?;
//!
//! let temperature = device.send_state(r#"{"temperature": 21.5}"#, 0)?;
//! assert_eq!(temperature, 1, "the first state has the id 1");
//! device.flush(Some(Duration::from_secs(60)))?;
//! assert_eq!(simulator.states().len(), 1);
//!
//! simulator.send_command("my-device-id", "greet", None);
//! assert_eq!(arrived.recv_timeout(Duration::from_secs(60))?, "greet");
//! device.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Names
//!
//! The variants of [`Status`], [`EventType`] and the other enums that C sees carry their C names, such as
//! `LOSANT_EVENT_COMMAND`. The header is generated from them, and one search finds every use of a name in the C interface,
//! the source, the tests and the documentation.
//!
//! # Inside
//!
//! From the outside in: [`mod@ffi`] is the C interface (`include/losant.h` is generated from it); `device` the safe Rust
//! API; `engine` runs the loop; `connection` is one device's link for life; `session`, `outbox`, `pacer`, `payload` and
//! `backoff` hold the rules, free of I/O and clocks; `transport` brings the byte stream. ARCHITECTURE.md has the layers, the
//! order of locks, and the way of a state out and of a command in.

#![deny(unsafe_op_in_unsafe_fn, unsafe_code)]
#![warn(missing_docs)]

mod backoff;
mod callback;
mod connect_limit;
mod connection;
mod defect;
mod device;
mod engine;
mod event;
#[allow(unsafe_code, reason = "the C boundary is the one place for it")]
pub mod ffi;
mod json;
mod options;
mod outbox;
mod pacer;
mod payload;
#[allow(unsafe_code, reason = "the kernel tells of a fork by a page of memory")]
mod process;
mod session;
mod stats;
mod status;
mod sync;
#[cfg(any(fuzzing, test))]
#[allow(unsafe_code, reason = "the C interface is driven as C drives it")]
pub mod testing;
mod text;
mod throttle;
mod time;
mod transport;

pub use device::{Device, ObserverId, State, set_connect_limit};
pub use event::{Event, EventType};
pub use options::Transport;
pub use outbox::WhenFull;
pub use payload::Command;
pub use stats::{ConnectionState, Stats};
pub use status::{Error, Stage, Status};
pub use text::{CBytes, CText};
pub use time::parse_time;
