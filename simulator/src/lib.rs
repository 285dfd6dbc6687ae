//! Stands in for the Losant platform: speaks MQTT 3.1.1 as the platform does, with its rules, its throttle and its bans,
//! records what devices send, and does on request what networks do unasked.
//!
//! A test starts a [`Simulator`], connects its devices to [`Simulator::port`], and reads the records. Nothing is global:
//! any number of simulators run in one process. The program `losant-simulator` is the same for people.

mod config;
mod connection;
mod console;
mod fault;
mod iso;
mod packet;
mod platform;
mod rate;
mod record;
mod session;
mod simulator;
mod state;
mod stream;
mod throttle;
mod wake;

pub use config::{Config, DeviceConfig, Identity, Printer, Transport};
pub use console::{Input, parse};
pub use fault::{After, Drop, Fault, PubackFault, Target};
pub use packet::MALFORMED;
pub use rate::Rate;
pub use record::{
    Ban, Cause, ConnectionRecord, FaultRecord, Offence, PublishRecord, Records, Rejected, StateRecord, Violation,
};
pub use simulator::Simulator;
pub use state::{State, TimeSource};
pub use throttle::{Excess, Limits, Refused, Throttle};
