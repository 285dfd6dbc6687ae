//! Device client for the Losant IoT platform, made for C and C++ firmware and for everything that calls C.
//!
//! A [`Device`] accepts states (JSON text), keeps them until the platform has acknowledged them, and tells observers of
//! commands and of its connection. MQTT 3.1.1 is spoken over one non-blocking byte stream per device; the loop that
//! drives it runs on the caller's thread, in the caller's event loop, or on one background thread shared by all devices.
//!
//! From the outside in: [`mod@ffi`] is the C interface (`include/losant.h` is generated from it); `device` the safe Rust
//! API; `driver` turns the crank; `connection` lives one device's connection; `session`, `outbox`, `pacer`,
//! `payload` and `backoff` hold the rules, free of I/O and clocks; `transport` brings the byte stream. Locks and their order
//! are in `sync`.

#![deny(unsafe_op_in_unsafe_fn, unsafe_code)]
#![warn(missing_docs)]

mod backoff;
mod connect_limit;
mod connection;
mod defect;
mod device;
mod driver;
mod event;
#[allow(unsafe_code, reason = "the C boundary is the one place for it")]
pub mod ffi;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod json;
#[cfg(test)]
mod models;
mod observers;
mod options;
mod outbox;
mod pacer;
mod payload;
#[allow(unsafe_code, reason = "the kernel tells of a fork by a page of memory")]
mod process;
mod session;
mod status;
mod sync;
mod time;
mod transport;

pub use connect_limit::set_connect_limit;
pub use device::Device;
pub use event::{Event, EventType};
pub use observers::{Callback, ObserverId};
pub use options::Transport;
pub use outbox::{Counters, WhenFull};
pub use payload::Command;
pub use status::{Error, Stage, Status};
pub use time::parse_time;
