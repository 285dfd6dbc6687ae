//! One non-blocking byte stream to the broker, whatever carries it.
//!
//! [`Connecting`] takes the way from a host name to a [`Stream`] step by step, never blocking; the stream then reads and
//! writes like any other and answers `WouldBlock` when it must wait. Nothing above this module knows what is beneath.

mod connect;
mod fault;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod resolve;
mod socket;
mod stream;
mod tls;
mod upgrade;
mod websocket;

pub(crate) use connect::{Connecting, Target};
pub(crate) use fault::lost;
pub(crate) use stream::Stream;
pub(crate) use tls::{IdentitySource, Trust, parse_certificates, parse_identity};

use crate::status::Error;
use std::sync::Arc;

/// How far a connection had come when something happened to it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, reason = "the C names, so that one search finds every use")]
pub enum Stage {
    /// Not about a connection.
    LOSANT_STAGE_NONE = 0,
    /// Looking up the host name.
    LOSANT_STAGE_RESOLVE = 1,
    /// Opening the TCP connection.
    LOSANT_STAGE_TCP = 2,
    /// TLS handshake.
    LOSANT_STAGE_TLS = 3,
    /// WebSocket handshake.
    LOSANT_STAGE_WEBSOCKET = 4,
    /// MQTT CONNECT and SUBSCRIBE.
    LOSANT_STAGE_MQTT = 5,
    /// The connection was complete.
    LOSANT_STAGE_ONLINE = 6,
}

/// An error with the stage that it happened at.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub stage: Stage,
    pub error: Error,
}

/// Called from the resolver's thread when there is an answer; must make the loop turn.
pub(crate) type Notify = Arc<dyn Fn() + Send + Sync>;
