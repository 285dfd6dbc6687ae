//! What travels in MQTT payloads: states out, commands in.
//!
//! Losant's format: a state is `{"time": ms, "data": {…}}` on `losant/ID/state`, a command is
//! `{"name": "…", "payload": any, "time": {"$date": …}}` on `losant/ID/command`, in extended JSON.

mod command;
mod schema;
mod state;

pub use command::Command;
pub(crate) use command::decode_command;
pub(crate) use schema::Breach;
pub(crate) use state::{Element, encode_states, extra_fields, validate_state};

/// Largest message payload that the platform takes.
pub(crate) const MAX_PAYLOAD: usize = 262_144;

/// A payload or time nested deeper is not passed on: many a JSON parser of a host would refuse it, or overrun its stack.
const MAX_DEPTH: usize = 128;

/// The longest frame that can stand around a state's JSON: `{"time":-9223372036854775808,"data":}`.
pub(crate) const FRAME: usize = 38;
