//! Stands in for the Losant platform: speaks MQTT 3.1.1 as the platform does, with its rules, its throttle and its bans,
//! records what devices send, and does on request what networks do unasked.
//!
//! A test starts a [`Simulator`], connects its devices to [`Simulator::port`], and reads the records. Nothing is global:
//! any number of simulators run in one process. The program `losant-simulator` is the same for people.
//!
//! ```no_run
//! # use losant_simulator::{After, Config, DeviceConfig, Drop, Fault, Rate, Simulator};
//! # use std::time::Duration;
//! # fn main() -> std::io::Result<()> {
//! let device = DeviceConfig::new("my-device-id", "key", "secret");
//! let simulator = Simulator::start(Config::new(vec![device]))?;
//! // Connect a device to simulator.port().
//! simulator.set_fault("my-device-id", Fault::Drop(Drop::Rst, After::Packets(10)));
//! assert!(simulator.wait_until(|records| records.states.len() == 100, Duration::from_secs(30)));
//! assert!(simulator.bans().is_empty());
//! // What was taken, ignored and rejected, and how full the fullest window was.
//! simulator.read(|records| {
//!     assert!(records.ignored.is_empty() && records.rejected.is_empty() && records.violations.is_empty());
//!     assert!(records.most_publishes(Duration::from_secs(15), |publish| publish.topic == "losant/my-device-id/state") <= 30);
//! });
//! // From now on a link of 20 kbit/s from the device.
//! simulator.set_rate(Rate { up: Some(2_500), down: None });
//! # Ok(())
//! # }
//! ```

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
