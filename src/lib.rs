//! Device client for the Losant IoT platform, made for C and C++ firmware and for everything that calls C.
//!
//! A [`Device`] accepts states (JSON text), keeps them until the platform has acknowledged them, and tells observers of
//! commands and of its connection. MQTT 3.1.1 is spoken over one non-blocking byte stream per device; the loop that
//! drives it runs on the caller's thread, in the caller's event loop, or on one background thread shared by all devices.
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
pub use text::CText;
pub use time::parse_time;
